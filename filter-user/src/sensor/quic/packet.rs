//! Packets with a long header, one after another in a datagram (RFC 9000, 12.2 and 17.2; what holds
//! for all versions: RFC 8999).

use super::version::constants;
use crate::sensor::encrypted::QuicVersion;
use crate::sensor::reader::Reader;

/// Longest connection ID (RFC 9000, 17.2).
pub(super) const MAX_ID: usize = 20;
/// Least datagram with an Initial packet of a client's (RFC 9000, 14.1).
const MIN_DATAGRAM: usize = 1200;
/// Bit of a long header.
const LONG: u8 = 0x80;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Initial,
    Retry,
    /// 0-RTT or Handshake.
    Other,
}

/// A packet with a long header, of a version that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) kind: Kind,
    pub(super) version: QuicVersion,
    /// Destination connection ID.
    pub(super) to: &'a [u8],
    /// Source connection ID.
    pub(super) from: &'a [u8],
    /// All of it, from the first byte on.
    pub(super) bytes: &'a [u8],
    /// Where the packet number is.
    pub(super) number_at: usize,
}

/// Whether a datagram can be the first of a connection, a client's.
pub(crate) fn can_begin(datagram: &[u8], length: usize) -> bool {
    let mut rest = datagram;
    length >= MIN_DATAGRAM && first_bytes(datagram) && next(&mut rest).is_some()
}

fn first_bytes(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & LONG != 0)
}

/// Takes the next packet off a datagram. `None` when there is none with a long header, none of a
/// version that is known, or it is not all there.
pub(super) fn next<'a>(datagram: &mut &'a [u8]) -> Option<Packet<'a>> {
    let bytes = *datagram;
    let mut reader = Reader::new(bytes);
    let first = reader.u8()?;
    if first & LONG == 0 {
        return None;
    }
    let version = QuicVersion(reader.u32()?);
    let [initial, retry] = constants(version).first()?.types;
    let (to, from) = (reader.vector8()?, reader.vector8()?);
    if to.len() > MAX_ID || from.len() > MAX_ID {
        return None;
    }
    let kind = match first >> 4 & 3 {
        kind if kind == initial => Kind::Initial,
        kind if kind == retry => Kind::Retry,
        _ => Kind::Other,
    };
    if kind == Kind::Retry {
        // It goes to the datagram's end.
        *datagram = &[];
        return Some(Packet { kind, version, to, from, bytes, number_at: bytes.len() });
    }
    if kind == Kind::Initial {
        let token = reader.varint()?;
        reader.take(usize::try_from(token).ok()?)?;
    }
    let length = usize::try_from(reader.varint()?).ok()?;
    let number_at = bytes.len() - reader.rest().len();
    reader.take(length)?;
    let (bytes, rest) = bytes.split_at(number_at + length);
    *datagram = rest;
    Some(Packet { kind, version, to, from, bytes, number_at })
}
