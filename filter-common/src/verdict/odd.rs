//! Packets that a host may not want whatever they are for: martian sources, options, tags,
//! fragments, flags that never occur, and what could not be read. See [`crate::oddity`].

use super::{Step, Summary, Tables, bans, counted_only};
use crate::oddity::{self, MARTIANS, Oddity, SOURCES};
use crate::packet::Packet;
use crate::reason::Reason;
use crate::tables::{UNCLAIMED, own_place};

/// Sources that no packet from outside has. Before trust, which goes by the source.
#[inline(always)]
pub(super) fn martian<T: Tables>(tables: &T, packet: &Packet) -> Option<Summary> {
    refused(tables, source_kinds(tables, packet, tables.drops()), UNCLAIMED)
}

/// What is refused of the headers, of sources that are not trusted.
#[inline(always)]
pub(super) fn odd<T: Tables>(tables: &T, packet: &Packet, api: u32) -> Option<Summary> {
    refused(tables, packet.odd as u32 & tables.drops(), api)
}

#[inline(always)]
fn refused<T: Tables>(tables: &T, kinds: u32, api: u32) -> Option<Summary> {
    if kinds == 0 {
        return None;
    }
    let reason = tables.odd_reason(kinds)?;
    tables.trace(Step::Odd(reason, false));
    Some(Summary::new(reason, api))
}

/// The decision, or that the policy watches for packets like this one which passed: monitoring a
/// kind lets nothing past the other stages.
#[inline(always)]
pub(super) fn watched<T: Tables>(tables: &T, packet: &Packet, decision: Summary) -> Summary {
    if decision.refuses() {
        return counted_only(tables, packet, decision);
    }
    let watches = tables.watches();
    if watches == 0 {
        return decision;
    }
    let mut kinds = source_kinds(tables, packet, watches);
    if !decision.is(Reason::Trusted) {
        kinds |= packet.odd as u32 & watches;
    }
    if kinds == 0 {
        return decision;
    }
    let Some(reason) = tables.odd_reason(kinds) else { return decision };
    tables.trace(Step::Odd(reason, true));
    Summary::monitored(reason, decision.api(), true)
}

/// The decision on a packet that the parser gave up on. Nobody can be trusted by what cannot be
/// read; what an operator has banned passes under no setting.
#[inline(always)]
pub fn summary_of_unparsed<T: Tables>(tables: &T, packet: &Packet, reason: Reason) -> Summary {
    let Some(kind) = Oddity::of(reason) else { return Summary::new(reason, UNCLAIMED) };
    if tables.drops() & kind.bit() != 0 {
        return Summary::new(reason, UNCLAIMED);
    }
    if let Some(banned) = bans::banned(tables, packet, tables.ban_control(), None, false) {
        return banned;
    }
    if tables.watches() & kind.bit() != 0 {
        return Summary::monitored(reason, UNCLAIMED, true);
    }
    Summary::new(Reason::Unjudged, UNCLAIMED)
}

/// The kinds in `mask` that the source is of: a few comparisons and one look at a bit for nearly all.
#[inline(always)]
fn source_kinds<T: Tables>(tables: &T, packet: &Packet, mask: u32) -> u32 {
    if mask & SOURCES == 0 {
        return 0;
    }
    let source = packet.source;
    let is_special = if packet.is_v4 {
        let bits = source.v4_bits();
        bits >> 24 == 127 || bits >> 29 == 7
    } else {
        source.hi == 0 || source.hi >> 56 == 0xff
    };
    let (word, bit) = own_place(source);
    let may_be_own = mask & Oddity::OwnSources.bit() != 0 && tables.own_bits(word) >> bit & 1 != 0;
    if !is_special && !may_be_own {
        return 0;
    }
    let kinds = tables.source_oddities(packet) & mask;
    if kinds & MARTIANS != 0 && tables.on_loopback() { kinds & !MARTIANS } else { kinds }
}

/// The kinds that the source is of, on whichever interface.
#[inline(always)]
pub fn source_oddities<T: Tables>(tables: &T, packet: &Packet) -> u32 {
    let source = packet.source;
    let mut kinds = 0;
    if packet.is_v4 {
        let bits = source.v4_bits();
        if bits >> 24 == 127 {
            kinds |= Oddity::LoopbackSources.bit();
        }
        if bits >> 28 == 14 || bits == u32::MAX {
            kinds |= Oddity::MulticastSources.bit();
        }
    } else {
        if source.hi == 0 && source.lo == 1 {
            kinds |= Oddity::LoopbackSources.bit();
        }
        if source.hi >> 56 == 0xff {
            kinds |= Oddity::MulticastSources.bit();
        }
        if source.is_v4() {
            kinds |= Oddity::MappedSources.bit();
        }
    }
    if tables.is_own(&source) {
        kinds |= Oddity::OwnSources.bit();
    }
    kinds
}

/// The reason of the first of some kinds, as a number; 255 when there is none.
#[inline(always)]
pub fn odd_reason(kinds: u32) -> u32 {
    match oddity::first_reason(kinds) {
        Some(reason) => reason as u32,
        None => 0xff,
    }
}
