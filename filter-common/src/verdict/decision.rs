//! What is to be done with a packet, and why: in words for people, and in one word for the packet path.

use core::num::NonZeroU64;

use crate::reason::{Reason, Verdict};
use crate::tables::{COUNTS_PER_API, count_place};

/// In a [`Summary`]: the reason says drop.
const REFUSED: u64 = 1 << 32;
/// In a [`Summary`]: the packet is dropped.
const DROPS: u64 = 1 << 33;
/// In a [`Summary`]: always, so that none is 0.
const DECIDED: u64 = 1 << 34;

/// What is to be done with a packet, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Why.
    pub reason: Reason,
    /// The reason says drop, but monitor mode lets it pass.
    pub would: bool,
    /// Stable id of the API; [`crate::tables::UNCLAIMED`] when there is none.
    pub api: u32,
}

impl Decision {
    /// Pass or drop.
    #[inline(always)]
    pub const fn verdict(&self) -> Verdict {
        if self.would { Verdict::Pass } else { self.reason.verdict() }
    }

    /// The verdict's name in metrics and output: `pass`, `drop` or `would_drop`.
    pub const fn verdict_name(&self) -> &'static str {
        match (self.reason.verdict(), self.would) {
            (Verdict::Pass, _) => "pass",
            (Verdict::Drop, false) => "drop",
            (Verdict::Drop, true) => "would_drop",
        }
    }
}

/// A [`Decision`] in one word: the place in the counter table in the low half, which is made of the
/// API, whether the packet would be dropped, and the reason's number; then whether it is refused and
/// dropped.
///
/// Three fields would be put together and taken apart again at every stage, and there is nothing that
/// most packets need of them but these.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary(NonZeroU64);

impl Summary {
    #[inline(always)]
    const fn of(bits: u64) -> Self {
        match NonZeroU64::new(bits | DECIDED) {
            Some(bits) => Self(bits),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// A decision that holds in every mode.
    #[inline(always)]
    pub(super) const fn new(reason: Reason, api: u32) -> Self {
        let place = count_place(api, reason as u32, false) as u64;
        match reason.verdict() {
            Verdict::Pass => Self::of(place),
            Verdict::Drop => Self::of(place | REFUSED | DROPS),
        }
    }

    /// A decision that is only counted, when `would`, if it is to drop.
    #[inline(always)]
    pub(super) const fn monitored(reason: Reason, api: u32, would: bool) -> Self {
        let place = count_place(api, reason as u32, would) as u64;
        match (reason.verdict(), would) {
            (Verdict::Pass, _) => Self::of(place),
            (Verdict::Drop, true) => Self::of(place | REFUSED),
            (Verdict::Drop, false) => Self::of(place | REFUSED | DROPS),
        }
    }

    /// What is decided when nothing can be: the packet is dropped, and counted as unclaimed.
    pub const BROKEN: Self = Self::of(REFUSED | DROPS);

    /// Its bits, and back from them, through which they pass unread.
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.0.get()
    }

    /// From what [`Self::bits`] gave.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self::of(bits)
    }

    /// The place in the counter table.
    #[inline(always)]
    pub const fn place(self) -> u32 {
        self.bits() as u32
    }

    /// Whether the reason says drop.
    #[inline(always)]
    pub const fn refuses(self) -> bool {
        self.bits() & REFUSED != 0
    }

    /// Whether the packet is dropped.
    #[inline(always)]
    pub const fn drops(self) -> bool {
        self.bits() & DROPS != 0
    }

    /// Stable id of the API.
    #[inline(always)]
    pub const fn api(self) -> u32 {
        self.place() / COUNTS_PER_API
    }

    /// The number of the reason.
    #[inline(always)]
    pub const fn reason_number(self) -> u8 {
        (self.place() % crate::reason::REASONS) as u8
    }

    /// Whether it is a drop that is only counted.
    #[inline(always)]
    pub const fn would(self) -> bool {
        self.place() % COUNTS_PER_API >= crate::reason::REASONS
    }

    /// Whether this is the reason.
    #[inline(always)]
    pub const fn is(self, reason: Reason) -> bool {
        self.reason_number() == reason as u8
    }

    /// In words. Bits that no decision has are `not_allowed`.
    #[inline(always)]
    pub const fn decision(self) -> Decision {
        let reason = match Reason::from_number(self.reason_number()) {
            Some(reason) => reason,
            None => Reason::NotAllowed,
        };
        Decision { reason, would: self.would(), api: self.api() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_says_what_the_fields_say() {
        for &reason in Reason::ALL {
            for api in [0, 1, 77, 16_383] {
                for would in [false, true] {
                    let summary = Summary::monitored(reason, api, would);
                    let decision = Decision { reason, would, api };
                    assert_eq!(summary.decision(), decision);
                    assert_eq!(summary.drops(), decision.verdict() == Verdict::Drop);
                    assert_eq!(summary.refuses(), reason.verdict() == Verdict::Drop);
                    assert_eq!(summary.place(), count_place(api, reason as u32, would));
                    assert_eq!(Summary::from_bits(summary.bits()), summary);
                }
                assert_eq!(Summary::new(reason, api), Summary::monitored(reason, api, false));
            }
        }
        assert!(Summary::BROKEN.drops());
    }
}
