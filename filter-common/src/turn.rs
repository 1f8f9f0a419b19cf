//! Turns: how much of what one side of a flow says, until the other side answers, is shipped.
//!
//! A request or a response begins a turn, and its head is what userspace reads; the rest of a turn is
//! known by its length. A cell a flow, found by the flow's hash, remembers whose turn it is and how
//! much of it was shipped. Cells are few and are not claimed: flows that share one begin their turns
//! anew more often than they should, and more is shipped, never less than a turn's first bytes.

use crate::record::MAX_SNAP;

/// Cells of the table; a power of two.
pub const TURN_CELLS: u32 = 1 << 17;
/// In a cell's word: the flow, by the upper half of its hash.
const FLOW: u64 = !0 << 32;
/// In a cell's word: it is the turn of what leaves the host.
const EGRESS: u64 = 1 << 31;
/// In a cell's word: everything of the flow is shipped.
const WHOLE: u64 = 1 << 30;
/// In a cell's word: bytes of the turn that were shipped.
const SHIPPED: u64 = WHOLE - 1;
/// Records that one segment of a flow that is shipped whole can take: a segmentation-offload packet
/// has up to 64 KiB.
pub const PARTS: u32 = 4;

/// Whose turn it is in a flow, and what of it was shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(u64);

impl Turn {
    /// The turn that a segment of `hash`'s flow belongs to, where `cell` was found in its place.
    #[inline(always)]
    pub const fn of(cell: u64, hash: u64, egress: bool) -> Self {
        let side = if egress { EGRESS } else { 0 };
        if (cell ^ hash) & FLOW != 0 {
            Self(hash & FLOW | side)
        } else if (cell ^ side) & EGRESS != 0 {
            Self(cell & (FLOW | WHOLE) | side)
        } else {
            Self(cell)
        }
    }

    /// Bytes of a segment with `length` of them to ship, when a segment may have `snap` (at most
    /// [`MAX_SNAP`]) and a turn `budget`; the turn is charged with them.
    #[inline(always)]
    pub const fn ship(&mut self, length: u32, snap: u32, budget: u32) -> u32 {
        if self.is_whole() {
            return if length < MAX_SNAP { length } else { MAX_SNAP };
        }
        let shipped = (self.0 & SHIPPED) as u32;
        let left = budget.saturating_sub(shipped);
        let most = if snap < left { snap } else { left };
        let most = if length < most { length } else { most };
        // At most 2^20 and the rest of what a turn may have: it does not reach the flags.
        self.0 += most as u64;
        most
    }

    /// Whether everything of the flow is shipped.
    #[inline(always)]
    pub const fn is_whole(&self) -> bool {
        self.0 & WHOLE != 0
    }

    /// Has everything of the flow shipped from now on, when a segment of it begins like this: the
    /// preface of HTTP/2 (RFC 9113, 3.4), which carries many requests in one turn.
    #[inline(always)]
    pub const fn note_opening(&mut self, first: u32) {
        if first == PREFACE {
            self.0 |= WHOLE;
        }
    }

    /// What to put into the cell.
    #[inline(always)]
    pub const fn cell(self) -> u64 {
        self.0
    }
}

/// The first four bytes of HTTP/2's preface, as a word in memory.
const PREFACE: u32 = u32::from_ne_bytes(*b"PRI ");

/// Most bytes of a turn that can be shipped.
pub const MAX_TURN: u32 = 1 << 20;

const _: () = assert!(TURN_CELLS.is_power_of_two() && (MAX_TURN as u64) < SHIPPED);

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: u64 = 0x1234_5678_9abc_def0;
    const SNAP: u32 = 4096;
    const BUDGET: u32 = 10_000;

    /// What of each segment is shipped: its side and its length.
    fn shipped<const N: usize>(segments: [(bool, u32); N]) -> [u32; N] {
        let mut cell = 0;
        segments.map(|(egress, length)| {
            let mut turn = Turn::of(cell, HASH, egress);
            let ship = turn.ship(length, SNAP, BUDGET);
            cell = turn.cell();
            ship
        })
    }

    #[test]
    fn a_budget_a_turn() {
        let (comes, goes) = (false, true);
        assert_eq!(shipped([(comes, 100), (goes, 3000), (comes, 100)]), [100, 3000, 100]);
        assert_eq!(
            shipped([(goes, 65_000), (goes, 65_000), (goes, 65_000), (goes, 65_000)]),
            [4096, 4096, 10_000 - 8192, 0]
        );
        assert_eq!(
            shipped([(goes, 65_000), (goes, 65_000), (goes, 65_000), (comes, 50), (goes, 5000)]),
            [4096, 4096, 1808, 50, 4096],
            "an answer begins a new turn"
        );
        assert_eq!(shipped([(comes, 0), (comes, 1)]), [0, 1]);
    }

    #[test]
    fn another_flow_takes_the_cell() {
        let mut first = Turn::of(0, HASH, true);
        assert_eq!(first.ship(65_000, SNAP, BUDGET), 4096);
        let mut other = Turn::of(first.cell(), !HASH, true);
        assert_eq!(other.ship(65_000, SNAP, BUDGET), 4096);
        let mut back = Turn::of(other.cell(), HASH, true);
        assert_eq!(back.ship(65_000, 16_384, BUDGET), 10_000, "its turn begins anew");
    }

    #[test]
    fn what_begins_like_http2_is_shipped_whole() {
        for (first, whole) in [(*b"PRI ", true), (*b"GET ", false), (*b" PRI", false)] {
            let mut turn = Turn::of(0, HASH, false);
            turn.ship(24, SNAP, BUDGET);
            turn.note_opening(u32::from_ne_bytes(first));
            for side in [true, false, true] {
                turn = Turn::of(turn.cell(), HASH, side);
                assert_eq!(turn.is_whole(), whole);
                let expected = if whole { MAX_SNAP } else { SNAP };
                assert_eq!(turn.ship(65_000, SNAP, BUDGET), expected);
                turn.ship(65_000, SNAP, BUDGET);
            }
            assert!(!Turn::of(turn.cell(), !HASH, false).is_whole());
        }
    }

    #[test]
    fn the_largest_budget_touches_no_flag() {
        let mut turn = Turn::of(0, HASH, false);
        for _ in 0..200 {
            turn.ship(u32::MAX, MAX_SNAP, MAX_TURN);
        }
        assert!(!turn.is_whole());
        assert_eq!(turn, Turn::of(turn.cell(), HASH, false));
        assert_eq!(turn.ship(1, MAX_SNAP, MAX_TURN), 0);
    }
}
