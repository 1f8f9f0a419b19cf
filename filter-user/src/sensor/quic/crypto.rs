//! What CRYPTO frames carry (RFC 9000, 19.6), put together: clients cut their hello into frames, mix
//! them, and spread them over several packets.

use crate::sensor::reader::Reader;

/// Longest hello that is put together.
const MAX_BYTES: usize = 1 << 15;
/// Most pieces that may be there without touching each other.
const MAX_PIECES: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    /// Which of them are there: from, to; ascending, and none touches the next.
    pieces: Vec<(u32, u32)>,
}

impl Stream {
    /// Memory behind it.
    pub(super) fn footprint(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<(u32, u32)>()
    }

    /// Puts bytes at their place. False when they are too far off, or the pieces too many.
    pub(super) fn put(&mut self, offset: u64, data: &[u8]) -> bool {
        let end = offset.saturating_add(data.len() as u64);
        if end > MAX_BYTES as u64 {
            return false;
        }
        if data.is_empty() {
            return true;
        }
        let (mut from, mut to) = (offset as u32, end as u32);
        let first = self.pieces.partition_point(|piece| piece.1 < from);
        let behind = self.pieces.partition_point(|piece| piece.0 <= to);
        if first == behind && self.pieces.len() == MAX_PIECES {
            return false;
        }
        if self.bytes.len() < to as usize {
            self.bytes.resize(to as usize, 0);
        }
        self.bytes[from as usize..to as usize].copy_from_slice(data);
        if first < behind {
            from = from.min(self.pieces[first].0);
            to = to.max(self.pieces[behind - 1].1);
        }
        self.pieces.splice(first..behind, [(from, to)]);
        true
    }

    /// The first handshake message, its type and body, once it is whole.
    pub(super) fn message(&self) -> Option<(u8, &[u8])> {
        let &(0, end) = self.pieces.first()? else { return None };
        let mut reader = Reader::new(&self.bytes[..end as usize]);
        Some((reader.u8()?, reader.vector24()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_any_order() {
        let message: Vec<u8> = [1, 0, 0, 96].into_iter().chain(0..96).collect();
        for step in 1..100usize {
            // Every piece once, in an order that is mixed by a factor without common divisors.
            let pieces: Vec<&[u8]> = message.chunks(7).collect();
            let mut stream = Stream::default();
            for place in 0..pieces.len() {
                let place = (place * step.max(1) * 2 + place) % pieces.len();
                assert!(stream.put(place as u64 * 7, pieces[place]));
            }
            for (place, piece) in pieces.iter().enumerate().rev() {
                assert!(stream.put(place as u64 * 7, piece), "again");
            }
            assert_eq!(stream.message(), Some((1, &message[4..])), "{step}");
            assert_eq!(stream.pieces, [(0, 100)]);
        }
    }

    #[test]
    fn overlaps_and_holes() {
        let mut stream = Stream::default();
        for (offset, data, pieces) in [
            (10, &[1; 5][..], &[(10, 15)][..]),
            (20, &[2; 5], &[(10, 15), (20, 25)]),
            (12, &[3; 2], &[(10, 15), (20, 25)]),
            (15, &[4; 1], &[(10, 16), (20, 25)]),
            (0, &[], &[(10, 16), (20, 25)]),
            (5, &[5; 30], &[(5, 35)]),
            (0, &[0; 1], &[(0, 1), (5, 35)]),
        ] {
            assert!(stream.put(offset, data));
            assert_eq!(stream.pieces, pieces);
        }
        assert_eq!(stream.message(), None);
    }

    #[test]
    fn bounds() {
        let mut stream = Stream::default();
        assert!(!stream.put(MAX_BYTES as u64, &[1]));
        assert!(!stream.put(u64::MAX, &[1]));
        for piece in 0..MAX_PIECES as u64 {
            assert!(stream.put(piece * 2, &[1]));
        }
        assert!(!stream.put(MAX_PIECES as u64 * 2, &[1]));
        assert!(stream.put(1, &[1]), "it joins two");
        assert!(stream.put(MAX_PIECES as u64 * 2, &[1]));
    }
}
