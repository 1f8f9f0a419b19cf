//! Which UDP flows this host has lately sent on, so that their answers are known from strangers'
//! packets.

use crate::slot::Slot;

/// Entries in a cell.
pub const WAYS: usize = 4;

/// How long an answer may take, in seconds. DNS and NTP answer in less; RFC 4787 asks NATs for 120.
pub const LIFETIME: u32 = 180;

/// One cell of the table: fingerprint in the upper half, second of the last packet in the lower.
#[repr(C, align(32))]
#[derive(Debug, Default)]
pub struct Cell {
    /// Entries, in no order.
    pub ways: [Slot; WAYS],
}

const _: () = assert!(size_of::<Cell>() == 32);

impl Cell {
    /// Notes a packet sent at `second`, in place of the oldest entry when the flow is new; whether an
    /// answer to that one could still have come.
    #[inline(always)]
    pub fn note(&self, hash: u64, second: u32) -> bool {
        let entry = (hash & !0xffff_ffff) | second as u64;
        let mut oldest = &self.ways[0];
        let mut age = u32::MAX;
        for way in &self.ways {
            let held = way.load();
            if held >> 32 == hash >> 32 {
                if held != entry {
                    way.store(entry);
                }
                return false;
            }
            if (held as u32) < age {
                age = held as u32;
                oldest = way;
            }
        }
        oldest.store(entry);
        age != 0 && second.wrapping_sub(age) <= LIFETIME
    }

    /// Entries that were sent on within [`LIFETIME`].
    pub fn known(&self, second: u32) -> usize {
        let known = |way: &&Slot| {
            let held = way.load();
            held != 0 && second.wrapping_sub(held as u32) <= LIFETIME
        };
        self.ways.iter().filter(known).count()
    }

    /// Whether the flow was sent on within [`LIFETIME`].
    #[inline(always)]
    pub fn knows(&self, hash: u64, second: u32) -> bool {
        for way in &self.ways {
            let held = way.load();
            if held != 0 && held >> 32 == hash >> 32 && second.wrapping_sub(held as u32) <= LIFETIME
            {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_known_for_a_while() {
        let cell = Cell::default();
        let flow = |n: u64| n << 32 | 0xabc;
        assert!(!cell.knows(flow(1), 1_000));
        assert!(!cell.note(flow(1), 1_000));
        assert!(cell.knows(flow(1), 1_000 + LIFETIME));
        assert_eq!((cell.known(1_000 + LIFETIME), cell.known(1_001 + LIFETIME)), (1, 0));
        assert!(!cell.knows(flow(1), 1_001 + LIFETIME));
        for n in 2..=5 {
            assert_eq!(cell.note(flow(n), 1_000 + n as u32), n == 5, "{n}");
        }
        assert!(!cell.note(flow(5), 1_006) && !cell.note(flow(6), 9_000), "nobody waits");
        assert!(!cell.knows(flow(1), 1_010), "the oldest makes room");
        assert!(cell.knows(flow(3), 1_010) && cell.knows(flow(5), 1_010));
    }
}
