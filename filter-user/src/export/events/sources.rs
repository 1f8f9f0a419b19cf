//! Which sources were refused or limited: at most one event for each source, API and window, and a
//! bounded number of them however many sources there are.
//!
//! The first sources of a window are told at once, so that one who looks sees them; when it ends,
//! the heaviest of the others fill up the hundred, and one aggregate for each kind stands for the
//! rest. A flood from forged addresses is two lines of the log beyond its first hundred.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use filter_common::reason::{Reason, Verdict};
use filter_common::record::{self, Header};

use super::event::Kind;
use crate::detect::{RefusedBy, SECOND};
use crate::sensor::transaction::ip;

/// Events for sources of an API in a window.
const TOLD: usize = 100;
/// Of these, told at once.
const AT_ONCE: usize = 50;
/// Sources of an API that are told apart in a window.
const TRACKED: usize = 4096;
/// APIs with a window.
const APIS: usize = 1024;

/// A packet that was dropped, or would have been: what a notice from the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Stable id of the API, 0 for none.
    pub api: u32,
    /// Who sent it.
    pub source: IpAddr,
    /// Why.
    pub reason: Reason,
    /// Monitor mode let it pass.
    pub would: bool,
    /// Packets this stands for, at least 1.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
}

impl Refused {
    /// Reads a notice; `None` when the record is none, or names no reason to drop that is known.
    pub fn of(header: &Header) -> Option<Self> {
        let reason = Reason::from_number(header.reason)?;
        let is_refusal = header.kind == record::NOTICE && reason.verdict() == Verdict::Drop;
        is_refusal.then_some(Self {
            api: header.api,
            source: ip(header.source),
            reason,
            would: header.flags & record::WOULD != 0,
            packets: u64::from(header.segments.max(1)),
            bytes: u64::from(header.wire_len),
        })
    }
}

/// What is told of a source, or of the rest of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// [`Kind::SourceLimited`] or [`Kind::SourceRefused`].
    pub kind: Kind,
    /// Stable id of the API.
    pub api: u32,
    /// Who; `None` in an aggregate.
    pub source: Option<IpAddr>,
    /// Why the first of these packets was dropped.
    pub reason: Reason,
    /// Monitor mode let it pass.
    pub would: bool,
    /// Packets told of.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sources this stands for; in an aggregate with more than 4,096, notices of further ones.
    pub sources: u64,
    /// Length of the window, seconds.
    pub window: u64,
}

/// Whether a reason is a limit's.
pub const fn is_limit(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::LimitPackets
            | Reason::LimitBytes
            | Reason::LimitConnections
            | Reason::TotalPackets
            | Reason::TotalBytes
            | Reason::TotalConnections
            | Reason::LimitOverflow
    )
}

/// What of a reason detectors tell apart.
pub const fn refused_by(reason: Reason) -> RefusedBy {
    match reason {
        Reason::UnclaimedRefused => RefusedBy::Unclaimed,
        Reason::Banned => RefusedBy::Ban,
        reason if is_limit(reason) => RefusedBy::Limit,
        _ => RefusedBy::Other,
    }
}

fn kind_of(reason: Reason) -> Kind {
    if is_limit(reason) { Kind::SourceLimited } else { Kind::SourceRefused }
}

#[derive(Debug)]
struct Window {
    start: u64,
    sources: HashMap<(Kind, IpAddr), (Summary, bool)>,
    told: usize,
    rest: Vec<Summary>,
}

/// The windows of all APIs.
#[derive(Debug)]
pub struct SourceEvents {
    windows: HashMap<u32, Window>,
    length: u64,
    lost: u64,
}

impl SourceEvents {
    /// Windows of so many seconds, at least 1.
    pub fn new(window: u64) -> Self {
        Self { windows: HashMap::new(), length: window.max(1), lost: 0 }
    }

    /// Takes a refusal at a time (ns); returns what is to be told at once.
    pub fn push(&mut self, now: u64, refused: &Refused) -> Option<Summary> {
        if self.windows.len() >= APIS && !self.windows.contains_key(&refused.api) {
            self.lost += 1;
            return None;
        }
        let window = self.windows.entry(refused.api).or_insert_with(|| Window {
            start: now,
            sources: HashMap::new(),
            told: 0,
            rest: Vec::new(),
        });
        let kind = kind_of(refused.reason);
        let summary = Summary {
            kind,
            api: refused.api,
            source: Some(refused.source),
            reason: refused.reason,
            would: refused.would,
            packets: refused.packets.max(1),
            bytes: refused.bytes,
            sources: 1,
            window: self.length,
        };
        if let Some((known, _)) = window.sources.get_mut(&(kind, refused.source)) {
            known.packets += summary.packets;
            known.bytes += summary.bytes;
            return None;
        }
        if window.sources.len() >= TRACKED {
            aggregate(&mut window.rest, &summary);
            return None;
        }
        let at_once = window.told < AT_ONCE;
        window.sources.insert((kind, refused.source), (summary, at_once));
        window.told += usize::from(at_once);
        at_once.then_some(summary)
    }

    /// Ends the windows whose time is over; returns what is to be told of them.
    pub fn tick(&mut self, now: u64) -> Vec<Summary> {
        let mut told = Vec::new();
        let length = self.length * SECOND;
        self.windows.retain(|_, window| {
            let over = now.saturating_sub(window.start) >= length;
            if over {
                end(window, &mut told);
            }
            !over
        });
        told
    }

    /// Refusals at APIs for which there was no window, ever.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

fn end(window: &mut Window, told: &mut Vec<Summary>) {
    let mut left: Vec<Summary> =
        window.sources.values().filter(|(_, told)| !told).map(|(summary, _)| *summary).collect();
    left.sort_unstable_by_key(|summary| {
        (Reverse(summary.packets), Reverse(summary.bytes), summary.source)
    });
    let room = TOLD.saturating_sub(window.told).min(left.len());
    told.extend_from_slice(&left[..room]);
    left[room..].iter().for_each(|summary| aggregate(&mut window.rest, summary));
    told.append(&mut window.rest);
}

fn aggregate(rest: &mut Vec<Summary>, summary: &Summary) {
    match rest.iter_mut().find(|known| known.kind == summary.kind) {
        Some(known) => {
            known.packets += summary.packets;
            known.bytes += summary.bytes;
            known.sources += summary.sources;
        }
        None => rest.push(Summary { source: None, ..*summary }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(api: u32, source: u32, reason: Reason, packets: u64) -> Refused {
        let source = std::net::Ipv4Addr::from(source).into();
        Refused { api, source, reason, would: false, packets, bytes: packets * 60 }
    }

    #[test]
    fn notices() {
        let dropped = Header {
            kind: record::NOTICE,
            reason: Reason::NotAllowed as u8,
            api: 3,
            source: filter_common::addr::Addr::v4(0xc000_0201),
            wire_len: 60,
            ..Header::default()
        };
        let expected = refused(3, 0xc000_0201, Reason::NotAllowed, 1);
        for (what, header, expected) in [
            ("dropped", dropped, Some(expected)),
            (
                "would be",
                Header { flags: record::WOULD, ..dropped },
                Some(Refused { would: true, ..expected }),
            ),
            ("segment", Header { kind: record::SEGMENT, ..dropped }, None),
            ("passed", Header { reason: Reason::Allowed as u8, ..dropped }, None),
            ("unknown reason", Header { reason: 63, ..dropped }, None),
        ] {
            assert_eq!(Refused::of(&header), expected, "{what}");
        }
    }

    #[test]
    fn one_for_each_source_api_and_window() {
        let mut events = SourceEvents::new(60);
        use Reason::{Banned, LimitBytes, LimitPackets, NotAllowed};
        for (what, second, api, source, reason, expected) in [
            ("first", 0, 1, 1, NotAllowed, Some(Kind::SourceRefused)),
            ("again", 1, 1, 1, NotAllowed, None),
            ("for another reason of the kind", 2, 1, 1, Banned, None),
            ("of the other kind", 3, 1, 1, LimitPackets, Some(Kind::SourceLimited)),
            ("again", 4, 1, 1, LimitBytes, None),
            ("another source", 5, 1, 2, NotAllowed, Some(Kind::SourceRefused)),
            ("another API", 6, 2, 1, NotAllowed, Some(Kind::SourceRefused)),
            ("a new window", 60, 1, 1, NotAllowed, Some(Kind::SourceRefused)),
        ] {
            assert_eq!(events.tick(second * SECOND), [], "{what}");
            let told = events.push(second * SECOND, &refused(api, source, reason, 1));
            assert_eq!(told.map(|summary| summary.kind), expected, "{what}");
        }
    }

    #[test]
    fn a_flood_is_a_hundred_and_two() {
        let mut events = SourceEvents::new(60);
        let mut at_once = 0;
        for source in 0..10_000_u32 {
            let reason = if source % 10 == 0 { Reason::LimitPackets } else { Reason::NotAllowed };
            let packets = if source == 3000 { 1000 } else { 1 };
            at_once += usize::from(events.push(0, &refused(1, source, reason, packets)).is_some());
        }
        assert_eq!(at_once, 50);
        let told = events.tick(60 * SECOND);
        assert_eq!(told.len(), 52);
        assert_eq!(told[0].packets, 1000, "the heaviest comes first");
        let rest: Vec<_> = told.iter().filter(|summary| summary.source.is_none()).collect();
        assert_eq!(rest.len(), 2);
        assert_eq!(rest.iter().map(|summary| summary.sources).sum::<u64>(), 9_900);
        assert_eq!(events.tick(120 * SECOND), []);
    }

    #[test]
    fn apis_are_bounded() {
        let mut events = SourceEvents::new(60);
        for api in 0..2000 {
            events.push(0, &refused(api, 1, Reason::NotAllowed, 1));
        }
        assert_eq!(events.lost(), 2000 - APIS as u64);
    }
}
