//! The limiter's table: set-associative, in an array, without allocation or locks.
//!
//! A cell holds eight ways in two cache lines. A way is the arrival time of one kind of limit of one
//! source at one API, under a 64-bit fingerprint. A way whose arrival time is past says no more
//! than an empty one, so taking it over loses nothing: exact state is kept for every source that is
//! inside its burst. Only when all eight are in use is a source turned to the overflow budget.

use crate::slot::Slot;
use crate::verifier::forget;

/// Ways in a cell.
pub const WAYS: usize = 8;

/// One limit of one source.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Way {
    /// Whose it is; 0 when nobody's.
    pub fingerprint: Slot,
    /// The arrival time, see [`crate::gcra`].
    pub arrival: Slot,
}

/// The ways that one hash leads to.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Cell {
    /// In the order they are searched.
    pub ways: [Way; WAYS],
}

const _: () = assert!(size_of::<Cell>() == 128);

/// Kinds of limits, as fingerprints tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Packets.
    Packets = 0,
    /// Bytes on the wire.
    Bytes = 1,
    /// SYNs without ACK.
    Connections = 2,
}

/// Low bits of a hash that make room for what a fingerprint is about.
const ABOUT: u64 = 7;

/// The fingerprint of a kind under a source's hash; never 0.
#[inline(always)]
pub const fn fingerprint(hash: u64, kind: Kind) -> u64 {
    (hash & !ABOUT) | (kind as u64 + 1)
}

/// The fingerprint of a tighter limit that is ordered, beside the policy's own; never 0.
#[inline(always)]
pub const fn tight_fingerprint(hash: u64) -> u64 {
    (hash & !ABOUT) | ABOUT
}

/// The cell of a source's hash, all of whose ways are there. Made of its high bits, which are the good
/// ones (see [`crate::hash::source`]) and which [`fingerprint`] keeps.
#[inline(always)]
pub const fn cell_place(hash: u64, mask: u32) -> u32 {
    hash.swap_bytes() as u32 & mask
}

/// What became of a claim to a way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// There is one now.
    Taken {
        /// Its place in the cell.
        place: usize,
        /// It has been charged.
        charged: bool,
        /// It was another source's that had long been idle.
        evicted: bool,
    },
    /// Every way is in use.
    Full,
}

impl Cell {
    /// The place of the way that is `fingerprint`'s.
    #[inline(always)]
    pub fn find(&self, fingerprint: u64) -> Option<usize> {
        self.ways.iter().position(|way| way.fingerprint.load() == fingerprint)
    }

    /// Makes a way `fingerprint`'s that is idle or nobody's, unless it has one, and charges `cost` grains
    /// to it, at least one: it is then in use, so that no other source takes it.
    ///
    /// Ways are claimed by compare-and-swap in a fixed order, so that two CPUs that meet a new
    /// source at the same time end up in the same way. A way of the same source is never taken for
    /// another of its limits, idle or not: a packet looks for all of its ways before it charges any.
    #[inline(always)]
    pub fn claim(&self, fingerprint: u64, now: u64, cost: u64) -> Claim {
        for (place, way) in self.ways.iter().enumerate() {
            let owner = way.fingerprint.load();
            let arrival = way.arrival.load();
            if owner != 0 && (arrival > now || owner ^ fingerprint <= ABOUT) {
                continue;
            }
            let found = way.fingerprint.swap_if(owner, fingerprint);
            if found == owner {
                // Unless another CPU has met the same source, and has charged it meanwhile.
                let charged = way.arrival.swap_if(arrival, now.wrapping_add(cost)) == arrival;
                return Claim::Taken { place, charged, evicted: owner != 0 };
            }
            if found == fingerprint {
                return Claim::Taken { place, charged: false, evicted: false };
            }
        }
        Claim::Full
    }

    /// The arrival time of a way, by the place that [`Self::find`] gave. The hash that led here is what
    /// makes the verifier forget which place it was: a word of the cell would have to be waited for.
    #[inline(always)]
    pub fn arrival(&self, place: usize, hash: u64) -> &Slot {
        let place = forget::<{ WAYS - 1 }>(place, hash);
        &self.ways[place & (WAYS - 1)].arrival
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn taken(place: usize, evicted: bool) -> Claim {
        Claim::Taken { place, charged: true, evicted }
    }

    #[test]
    fn keeps_active_sources_and_evicts_idle_ones() {
        let cell = Cell::default();
        let of = |source: u64| fingerprint(source << 3, Kind::Packets);
        for source in 0..WAYS {
            assert_eq!(cell.claim(of(100 + source as u64), 1_000, 7), taken(source, false));
            assert_eq!(cell.arrival(source, 0).load(), 1_007, "it is charged at once");
            cell.arrival(source, 0).store(2_000 + source as u64);
        }
        assert_eq!(cell.claim(of(999), 1_000, 7), Claim::Full);
        assert!(cell.find(of(103)).is_some());
        assert_eq!(cell.claim(of(999), 2_003, 7), taken(0, true), "the first idle way is taken");
        assert_eq!(cell.claim(of(100), 1_000, 7), Claim::Full, "its owner had lost nothing");
        assert!(cell.find(of(999)).is_some());
        assert_eq!(cell.claim(of(998), 2_003, 7), taken(1, true), "the first is spoken for");
    }

    #[test]
    fn the_limits_of_a_source_have_a_way_each() {
        let cell = Cell::default();
        let kinds = [Kind::Packets, Kind::Bytes, Kind::Connections];
        let mut prints = kinds.map(|kind| fingerprint(0x5eed, kind)).to_vec();
        prints.push(tight_fingerprint(0x5eed));
        for (place, print) in prints.iter().enumerate() {
            assert_eq!(cell.claim(*print, 1_000, 1), taken(place, false));
        }
        // Long idle, they still make no room for one another.
        cell.ways[1].fingerprint.store(0);
        assert_eq!(cell.claim(prints[1], 9_000, 1), taken(1, false));
        cell.ways[0].fingerprint.store(fingerprint(0xbad, Kind::Packets));
        assert_eq!(cell.claim(prints[0], 99_000, 1), taken(0, true));
    }

    #[test]
    fn fingerprints_differ_by_kind_and_are_never_zero() {
        let kinds = [Kind::Packets, Kind::Bytes, Kind::Connections];
        for hash in [0, 1, 3, u64::MAX] {
            let [a, b, c] = kinds.map(|kind| fingerprint(hash, kind));
            let all = [a, b, c, tight_fingerprint(hash)];
            for (place, one) in all.iter().enumerate() {
                assert!(*one != 0 && !all[..place].contains(one), "{one:#x}");
            }
        }
    }
}
