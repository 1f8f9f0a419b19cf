//! What is there of one datagram: pieces that do not overlap.

use std::collections::BTreeMap;

use super::read::{self, Head, Piece};

/// Pieces that one fragment may overlap: what it says is compared with each.
const MAX_OVERLAPPED: usize = 64;
/// What a piece takes beside its bytes, about.
const PIECE: usize = 64;

/// What a fragment was to its datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Added {
    /// New.
    New,
    /// Nothing that was not there.
    Duplicate,
    /// It says otherwise than those before: nobody can tell what the host makes of it.
    Conflict,
}

#[derive(Debug)]
struct Part {
    end: u32,
    /// What was captured of it.
    data: Box<[u8]>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Parts {
    head: Option<Head>,
    parts: BTreeMap<u32, Part>,
    /// Bytes in `parts`, captured or not.
    filled: u32,
    /// Those of them that were captured.
    captured: usize,
    /// Bytes of the whole, once its last fragment was seen.
    total: Option<u32>,
}

impl Parts {
    /// Memory, bytes, about.
    pub(super) fn footprint(&self) -> usize {
        let parts = self.captured + self.parts.len() * PIECE;
        parts + self.head.as_ref().map_or(0, |head| head.bytes.len())
    }

    /// Whether nothing is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.head.is_some() && self.total == Some(self.filled)
    }

    /// Adds a fragment. IPv4 takes overlaps that say the same; in IPv6 they are forbidden but for exact
    /// duplicates (RFC 5722; RFC 8200, 4.5).
    pub(super) fn add(&mut self, piece: &Piece<'_>) -> Added {
        if !self.agrees_on_the_end(piece) {
            return Added::Conflict;
        }
        let added = if piece.key.is_v4 { self.fill(piece) } else { self.fill_strictly(piece) };
        if added != Added::Conflict && piece.start == 0 && self.head.is_none() {
            let (bytes, names) = (piece.head.into(), piece.names);
            self.head = Some(Head { bytes, names, is_v4: piece.key.is_v4 });
        }
        added
    }

    fn agrees_on_the_end(&mut self, piece: &Piece<'_>) -> bool {
        if !piece.more {
            let last = self.parts.last_key_value().map_or(0, |(_, part)| part.end);
            if last > piece.end || self.total.is_some_and(|total| total != piece.end) {
                return false;
            }
            self.total = Some(piece.end);
        }
        self.total.is_none_or(|total| piece.end <= total)
    }

    fn insert(&mut self, start: u32, end: u32, piece: &Piece<'_>) {
        let within = |at: u32| ((at - piece.start) as usize).min(piece.data.len());
        let data: Box<[u8]> = piece.data[within(start)..within(end)].into();
        self.filled += end - start;
        self.captured += data.len();
        self.parts.insert(start, Part { end, data });
    }

    fn fill_strictly(&mut self, piece: &Piece<'_>) -> Added {
        let before = self.parts.range(..piece.end).next_back();
        if let Some((&start, part)) = before.filter(|(_, part)| part.end > piece.start) {
            let same = (start, part.end) == (piece.start, piece.end);
            return match same && agree(&part.data, piece.data) {
                true => Added::Duplicate,
                false => Added::Conflict,
            };
        }
        self.insert(piece.start, piece.end, piece);
        Added::New
    }

    fn fill(&mut self, piece: &Piece<'_>) -> Added {
        let (mut at, mut added) = (piece.start, Added::Duplicate);
        for _ in 0..MAX_OVERLAPPED {
            if at >= piece.end {
                return added;
            }
            let before = self.parts.range(..=at).next_back();
            if let Some((&start, part)) = before.filter(|(_, part)| part.end > at) {
                let there = part.data.get((at - start) as usize..).unwrap_or_default();
                let here = piece.data.get((at - piece.start) as usize..).unwrap_or_default();
                if !agree(there, here) {
                    return Added::Conflict;
                }
                at = part.end;
                continue;
            }
            let next = self.parts.range(at..).next().map_or(piece.end, |(&start, _)| start);
            let end = next.min(piece.end);
            self.insert(at, end, piece);
            (at, added) = (end, Added::New);
        }
        if at >= piece.end { added } else { Added::Conflict }
    }

    /// The datagram, from its IP header on, and its length with what was not captured; unless it is whole
    /// only what lies together at its beginning. `None` without a beginning, or when it is longer
    /// than a datagram can be.
    pub(super) fn datagram(&self) -> Option<(Vec<u8>, usize)> {
        let whole = self.is_whole();
        let mut together = 0;
        let mut cut = false;
        let mut payload = Vec::new();
        for (&start, part) in &self.parts {
            if start != together {
                break;
            }
            together = part.end;
            if !cut {
                payload.extend_from_slice(&part.data);
                cut = part.data.len() < (part.end - start) as usize;
            }
        }
        if together == 0 {
            return None;
        }
        // Where the end is known, so is how much is missing.
        let length = self.total.unwrap_or(together);
        let mut datagram = read::head(self.head.as_ref()?, length, whole)?;
        let wire_len = datagram.len() + length as usize;
        datagram.append(&mut payload);
        Some((datagram, wire_len))
    }
}

/// Whether two captures of the same bytes say the same, as far as both go.
fn agree(a: &[u8], b: &[u8]) -> bool {
    let common = a.len().min(b.len());
    a[..common] == b[..common]
}
