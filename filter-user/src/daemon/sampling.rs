//! How many flows are sampled: as many as is asked for, and fewer while the ring fills faster than it
//! is read. A flow is in the sample or it is not, both ways; what is counted of one that is stands
//! for the others.

use std::sync::Arc;
use std::time::Duration;

use crate::kernel::ring::Positions;
use crate::kernel::state::Sampler;

/// Share of the ring that waits to be read above which fewer flows are sampled.
const HIGH: f64 = 0.5;
/// Share below which more are.
const LOW: f64 = 0.1;
/// How long a change gets to show before the next one, ns: what is in the ring has to be read first.
const PATIENCE: u64 = 20_000_000;
/// How long the ring must have been calm for more, ns.
const CALM: u64 = 2_000_000_000;
/// The least share, of what is asked for.
const LEAST: f64 = 1.0 / 1024.0;

/// Share of the ring that is to wait when it is looked at.
const WAITS: f64 = 1.0 / 32.0;
/// The shortest pause.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest pause, of a ring of [`ROOM`] bytes or more; of a smaller one it is shorter in
/// proportion. What begins in it at 250 MB/s, some 300,000 requests a second, fills half of the ring.
const LONGEST: Duration = Duration::from_millis(32);
const ROOM: f64 = 16_777_216.0;

/// Decides.
#[derive(Debug)]
struct Controller {
    /// The share that is asked for.
    asked: f64,
    /// The share now.
    share: f64,
    /// When it was last changed, ns.
    changed: u64,
    /// Since when the ring is calm.
    calm: Option<u64>,
}

impl Controller {
    fn new(asked: f64) -> Self {
        Self { asked, share: asked, changed: 0, calm: None }
    }

    /// The share from now on, when it is another; `level` is the share of the ring that waits.
    fn step(&mut self, now: u64, level: f64) -> Option<f64> {
        let calm_for = if level < LOW {
            now.saturating_sub(*self.calm.get_or_insert(now))
        } else {
            self.calm = None;
            0
        };
        let share = if level > HIGH && now.saturating_sub(self.changed) >= PATIENCE {
            (self.share / 2.0).max(self.asked * LEAST)
        } else if level < LOW && self.share < self.asked && calm_for >= CALM {
            self.calm = None;
            (self.share * 2.0).min(self.asked)
        } else {
            return None;
        };
        // Exact: only halved, doubled, or put to the very bound.
        if share == self.share {
            return None;
        }
        (self.share, self.changed) = (share, now);
        Some(share)
    }
}

fn pause(before: Duration, level: f64, room: f64) -> Duration {
    let longest = LONGEST.mul_f64((room / ROOM).min(1.0)).max(SHORTEST);
    let wanted = before.as_secs_f64() * WAITS / level.max(WAITS / 1e3);
    Duration::from_secs_f64(wanted).clamp(SHORTEST, longest)
}

/// What became of the sampling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// It had been what is asked for, and is less now.
    Reduced(f64),
    /// It is less, or more, than it was.
    Changed(f64),
    /// It is what is asked for again.
    Restored(f64),
}

impl Step {
    /// The share from now on.
    pub(super) fn share(self) -> f64 {
        match self {
            Self::Reduced(share) | Self::Changed(share) | Self::Restored(share) => share,
        }
    }
}

/// See the module.
pub(super) struct Sampling {
    controller: Controller,
    positions: Arc<Positions>,
    /// Bytes of the ring.
    room: f64,
    sampler: Sampler,
}

impl Sampling {
    /// Begins with the share that is asked for.
    pub(super) fn new(asked: f64, positions: Arc<Positions>, room: u32, sampler: Sampler) -> Self {
        let controller = Controller::new(asked);
        Self { controller, positions, room: f64::from(room.max(1)), sampler }
    }

    /// The share now.
    pub(super) fn share(&self) -> f64 {
        self.controller.share
    }

    /// The share of the ring that waits to be read.
    pub(super) fn level(&self) -> f64 {
        // Exact up to 2^53 bytes.
        self.positions.pending() as f64 / self.room
    }

    /// How long to pause until the next look, when the ring was read to its end after a pause of
    /// `before` at whose end so much of it waited: until a little of it waits again at that pace, and the longer the
    /// better, for a look costs the same however much it finds.
    pub(super) fn pause(&self, before: Duration, level: f64) -> Duration {
        pause(before, level, self.room)
    }

    /// Tunes the kernel half to how much waited before it was read, at `now` (ns, on any clock that only
    /// goes forward); what was changed.
    pub(super) fn look(&mut self, now: u64, level: f64) -> Option<Step> {
        let asked = self.controller.asked;
        let before = self.controller.share;
        let share = self.controller.step(now, level)?;
        self.sampler.set(share);
        Some(match (before == asked, share == asked) {
            (true, _) => Step::Reduced(share),
            (_, true) => Step::Restored(share),
            _ => Step::Changed(share),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn less_at_once_and_more_in_a_while() {
        let mut controller = Controller::new(0.5);
        for (what, ms, level, expected) in [
            ("calm", 1_000, 0.0, None),
            ("filling", 1_100, 0.4, None),
            ("too full", 1_200, 0.6, Some(0.25)),
            ("it has to show first", 1_210, 0.7, None),
            ("still", 1_220, 0.7, Some(0.125)),
            ("in between", 1_300, 0.3, None),
            ("calm", 1_400, 0.05, None),
            ("calm for a while", 3_300, 0.05, None),
            ("for long enough", 3_400, 0.05, Some(0.25)),
            ("again", 3_500, 0.0, None),
            ("a short peak", 5_000, 0.2, None),
            ("calm anew", 5_100, 0.0, None),
            ("not yet", 7_000, 0.0, None),
            ("now", 7_100, 0.0, Some(0.5)),
            ("no more than asked for", 20_000, 0.0, None),
        ] {
            assert_eq!(controller.step(ms * MS, level), expected, "{what}");
        }
    }

    #[test]
    fn pauses_are_as_long_as_the_ring_allows() {
        let ms = Duration::from_millis;
        for (what, before, level, room, expected) in [
            ("nothing came", ms(20), 0.0, ROOM, ms(32)),
            ("after a busy time", ms(1), 0.0, ROOM, ms(32)),
            ("as much as is wanted", ms(8), WAITS, ROOM, ms(8)),
            ("twice as much", ms(8), 2.0 * WAITS, ROOM, ms(4)),
            ("half as much", ms(8), WAITS / 2.0, ROOM, ms(16)),
            ("full", ms(20), 1.0, ROOM, ms(1)),
            ("a small ring", ms(5), 0.0, ROOM / 8.0, ms(4)),
            ("a tiny ring", ms(5), 0.0, 4_096.0, ms(1)),
            ("a large ring", ms(5), 0.0, ROOM * 4.0, ms(32)),
        ] {
            assert_eq!(pause(before, level, room), expected, "{what}");
        }
    }

    #[test]
    fn never_nothing() {
        let mut controller = Controller::new(1.0);
        let mut shares: Vec<f64> =
            (1..100).filter_map(|n| controller.step(n * PATIENCE, 1.0)).collect();
        assert_eq!((shares.len(), shares.pop()), (10, Some(LEAST)));
        let mut off = Controller::new(0.0);
        assert_eq!(off.step(PATIENCE, 1.0), None, "off stays off");
    }
}
