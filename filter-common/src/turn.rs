//! Turns: how much of what one side of a flow says, until the other side answers, is shipped.
//!
//! A request or a response begins a turn, and its head is what userspace reads; the rest of a turn is
//! known by its length. Inside TLS there is no head to read, only the headers of the first records
//! (RFC 8446, 5.1), which tell tickets and frames of control from answers: less is shipped of what is
//! encrypted. A cell a flow, found by the flow's hash, remembers whose turn it is and how
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
/// In a cell's word: the flow carries what is encrypted.
const SEALED: u64 = 1 << 29;
/// In a cell's word: bytes of the turn that were shipped.
const SHIPPED: u64 = SEALED - 1;
/// Bytes that are shipped of a turn of what is encrypted. Two tickets of TLS 1.3, by which they are known
/// as such, begin within (they have up to 1,500 bytes).
pub const SEALED_TURN: u32 = 2048;
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
            Self(cell & (FLOW | WHOLE | SEALED) | side)
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
        // Sealed, and all of that shipped: one question, because the flag lies above the count. What is
        // left otherwise [`Self::note_opening`] says, which knows how a turn begins.
        let spent = self.0 & (SEALED | SHIPPED) >= SEALED | SEALED_TURN as u64;
        let left = if spent { 0 } else { budget.saturating_sub(shipped) };
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

    /// Learns from the first four bytes of a segment what the flow carries. The turn was charged with
    /// `ship` bytes for it, at least 1, and is charged with fewer afterwards when fewer are to be shipped
    /// ([`Self::shipped_since`]).
    ///
    /// Behind the preface of HTTP/2 (RFC 9113, 3.4), which carries many requests in one turn, it is
    /// everything. A turn that begins with a record of application data is encrypted, and so are those
    /// behind it, which may begin inside a record; one that begins like text, with another record
    /// (four bytes of ASCII), or with less than the head of a record, is not.
    #[inline(always)]
    pub const fn note_opening(&mut self, first: u32, ship: u32) {
        if self.is_whole() {
            return;
        }
        if ship >= 4 && first == PREFACE {
            self.0 |= WHOLE;
            return;
        }
        let before = ((self.0 & SHIPPED) as u32).saturating_sub(ship);
        if before == 0 {
            if ship >= 4 && first & RECORD_MASK == RECORD {
                self.0 |= SEALED;
            } else if ship < 4 || first & NOT_ASCII == 0 {
                self.0 &= !SEALED;
            }
        }
        let left = SEALED_TURN.saturating_sub(before);
        if self.0 & SEALED != 0 && ship > left {
            self.0 -= (ship - left) as u64;
        }
    }

    /// How many of `ship` bytes, with which the turn was charged when it was `before`, it still is.
    #[inline(always)]
    pub const fn shipped_since(&self, before: Self, ship: u32) -> u32 {
        let given_back = (before.0 & SHIPPED) as u32 - (self.0 & SHIPPED) as u32;
        ship.wrapping_sub(given_back)
    }

    /// What [`Self::cell`] gave, whatever the flow.
    #[inline(always)]
    pub const fn from_cell(cell: u64) -> Self {
        Self(cell)
    }

    /// What to put into the cell.
    #[inline(always)]
    pub const fn cell(self) -> u64 {
        self.0
    }
}

/// The first four bytes of HTTP/2's preface, as a word in memory.
const PREFACE: u32 = u32::from_ne_bytes(*b"PRI ");
/// A record of application data: content type 23, version 3.0 to 3.7 of which 3.0 to 3.4 are in use.
const RECORD: u32 = u32::from_ne_bytes([23, 3, 0, 0]);
const RECORD_MASK: u32 = u32::from_ne_bytes([0xff, 0xff, 0xf8, 0]);
/// What is set in none of four bytes of ASCII.
const NOT_ASCII: u32 = 0x8080_8080;

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
            turn.note_opening(u32::from_ne_bytes(first), 24);
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

    /// What of each segment is shipped: its side, its length, its first bytes.
    fn opened<const N: usize>(segments: [(bool, u32, [u8; 4]); N]) -> [u32; N] {
        let mut cell = 0;
        segments.map(|(egress, length, first)| {
            let mut turn = Turn::of(cell, HASH, egress);
            let mut ship = turn.ship(length, SNAP, BUDGET);
            if ship != 0 {
                let before = turn;
                turn.note_opening(u32::from_ne_bytes(first), ship);
                ship = turn.shipped_since(before, ship);
            }
            cell = turn.cell();
            ship
        })
    }

    #[test]
    fn of_what_is_encrypted_less_is_shipped() {
        let (comes, goes) = (false, true);
        let (hello, data) = ([22, 3, 1, 2], [23, 3, 3, 0x40]);
        let (inside, text) = ([0x9a, 1, 2, 3], *b"HTTP");
        assert_eq!(
            opened([
                (comes, 1800, hello),
                (goes, 4000, hello),
                (goes, 3000, inside),
                (comes, 80, [20, 3, 3, 0]),
                (goes, 510, data),
                (comes, 500, data),
                (goes, 1000, data),
                (goes, 65_000, inside),
                (goes, 65_000, data),
                (comes, 40, data),
                (goes, 65_000, inside),
                (goes, 65_000, inside),
                (comes, 9000, data),
            ]),
            [1800, 4000, 3000, 80, 510, 500, 1000, 1048, 0, 40, 2048, 0, 2048],
            "handshakes whole, of all that follows the beginning of each turn"
        );
        assert_eq!(
            opened([(goes, 9000, data), (comes, 9000, text), (comes, 9000, inside)]),
            [2048, 4096, 4096],
            "text is no ciphertext"
        );
        assert_eq!(
            opened([(goes, 9000, data), (comes, 9000, hello), (goes, 9000, hello)]),
            [2048, 4096, 4096],
            "another handshake between the same ends"
        );
        assert_eq!(
            opened([(goes, 9000, data), (comes, 1, text), (comes, 9000, inside)]),
            [2048, 1, 4096],
            "whoever begins with a byte is read"
        );
        assert_eq!(
            opened([(goes, 100, text), (goes, 9000, data), (goes, 9000, inside)]),
            [100, 4096, 4096],
            "in the middle of a turn a record begins nothing"
        );
        for other in [[23, 2, 3, 0], [23, 3, 8, 0], [21, 3, 3, 0], [0x97, 3, 3, 0]] {
            assert_eq!(opened([(goes, 9000, other), (goes, 9000, other)]), [4096, 4096]);
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
