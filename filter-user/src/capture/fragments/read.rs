//! What the headers of a fragment say: RFC 791, 3.1, and RFC 8200, 4.5.

use filter_common::bytes::{Bytes, Slice};

use crate::capture::Frame;

/// IPv6 extension headers that are walked before the fragment header, at most.
const MAX_EXTENSIONS: usize = 8;
/// Bytes of an IPv6 header, and of a fragment header.
const IPV6: usize = 40;
const FRAGMENT_HEADER: usize = 8;
/// Next header of IPv6: fragment.
const FRAGMENT: u8 = 44;
/// More fragments follow, in an IPv4 header.
const MORE_V4: u16 = 0x2000;

/// Which datagram a fragment is of. Of IPv6 the protocol does not count (RFC 8200, 4.5) and is 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    pub(super) source: [u8; 16],
    pub(super) destination: [u8; 16],
    pub(super) identification: u32,
    pub(super) protocol: u8,
    pub(super) is_v4: bool,
}

/// A fragment as it lies in a frame. Lengths and places in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) key: Key,
    /// All headers that are repeated in each fragment, of IPv6 the fragment header too.
    pub(super) head: &'a [u8],
    /// Where `head` names what follows the fragment header. Of IPv6 only.
    pub(super) names: usize,
    /// Place in the datagram's payload.
    pub(super) start: u32,
    /// Behind its last byte; at most 8 × 8,191 + 65,535.
    pub(super) end: u32,
    /// Whether it is not the last.
    pub(super) more: bool,
    /// What was captured of it, from `start` on.
    pub(super) data: &'a [u8],
}

impl<'a> Piece<'a> {
    /// The fragment in a frame; `None` when it is none, or its headers were not captured or are wrong.
    pub(super) fn of(frame: &Frame<'a>) -> Option<Self> {
        let bytes = Slice { data: frame.data, wire_len: frame.wire_len };
        let at = frame.link.network(&bytes)?;
        let data = frame.data.get(at..)?;
        match data.first()? >> 4 {
            4 => Self::v4(data),
            6 => Self::v6(data),
            _ => None,
        }
    }

    fn v4(data: &'a [u8]) -> Option<Self> {
        let bytes = Slice { data, wire_len: data.len() };
        let head = usize::from(data.first()? & 0x0f) * 4;
        let total = usize::from(bytes.be16(2)?);
        let place = bytes.be16(6)?;
        let mut key = Key {
            source: [0; 16],
            destination: [0; 16],
            identification: bytes.be16(4)?.into(),
            protocol: bytes.load(9)?,
            is_v4: true,
        };
        key.source[..4].copy_from_slice(data.get(12..16)?);
        key.destination[..4].copy_from_slice(data.get(16..20)?);
        let start = u32::from(place & 0x1fff) * 8;
        let more = place & MORE_V4 != 0;
        Self { key, head: data.get(..head)?, names: 0, start, end: start, more, data }
            .holding(head, total)
    }

    fn v6(data: &'a [u8]) -> Option<Self> {
        let bytes = Slice { data, wire_len: data.len() };
        let total = IPV6 + usize::from(bytes.be16(4)?);
        let (mut names, mut at) = (6, IPV6);
        let mut next: u8 = bytes.load(names)?;
        for _ in 0..MAX_EXTENSIONS {
            let length = usize::from(bytes.load::<u8>(at + 1)?);
            match next {
                FRAGMENT => break,
                // Hop-by-hop options, routing, destination options: 8-byte units beyond the first.
                0 | 43 | 60 => {
                    names = at;
                    at += (length + 1) * 8;
                }
                _ => return None,
            }
            next = bytes.load(names)?;
        }
        if next != FRAGMENT {
            return None;
        }
        let place = bytes.be16(at + 2)?;
        let key = Key {
            source: bytes.load(8)?,
            destination: bytes.load(24)?,
            identification: bytes.be32(at + 4)?,
            protocol: 0,
            is_v4: false,
        };
        let head = at + FRAGMENT_HEADER;
        let (start, more) = (u32::from(place & !7), place & 1 != 0);
        Self { key, head: data.get(..head)?, names, start, end: start, more, data }
            .holding(head, total)
    }

    /// With what lies from `head` up to `total` of `self.data`. A fragment has at least a byte, and
    /// one that is not the last a multiple of eight.
    fn holding(mut self, head: usize, total: usize) -> Option<Self> {
        let length = total.checked_sub(head).filter(|&length| length > 0)?;
        if self.more && length % 8 != 0 {
            return None;
        }
        self.end = self.start + length as u32;
        let data = self.data.get(head..).unwrap_or_default();
        self.data = &data[..data.len().min(length)];
        Some(self)
    }
}

/// The head of a whole datagram with so many bytes behind it, in front of which `head` stood in its
/// first fragment; `None` when that is more than a datagram can have. Of what is not `whole` it
/// goes on saying that more follows.
pub(super) fn head(piece: &Head, length: u32, whole: bool) -> Option<Vec<u8>> {
    let mut head = piece.bytes.to_vec();
    if piece.is_v4 {
        let total = u16::try_from(head.len() + length as usize).ok()?;
        head.get_mut(2..4)?.copy_from_slice(&total.to_be_bytes());
        let place = if whole { 0 } else { MORE_V4 };
        head.get_mut(6..8)?.copy_from_slice(&place.to_be_bytes());
        return Some(head);
    }
    if whole {
        let at = head.len().checked_sub(FRAGMENT_HEADER)?;
        *head.get_mut(piece.names)? = *head.get(at)?;
        head.truncate(at);
    }
    let payload = head.len().checked_sub(IPV6)? + length as usize;
    head.get_mut(4..6)?.copy_from_slice(&u16::try_from(payload).ok()?.to_be_bytes());
    Some(head)
}

/// The head of a datagram's first fragment.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) bytes: Box<[u8]>,
    pub(super) names: usize,
    pub(super) is_v4: bool,
}
