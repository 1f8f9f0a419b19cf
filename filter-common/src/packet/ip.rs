//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use super::{Fragment, Packet, protocol, transport};
use crate::addr::Addr;
use crate::bytes::Bytes;
use crate::reason::Reason;
use crate::verifier::forget;

const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Extension headers that are walked before a packet is too deep.
pub(super) const MAX_EXTENSIONS: u32 = 8;

#[inline(always)]
pub(super) fn parse_v4<B: Bytes>(
    bytes: &B,
    offset: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let first: u8 = bytes.load(offset).ok_or(Reason::Truncated)?;
    let header = ((first & 0x0f) as usize) * 4;
    if first >> 4 != 4 || header < 20 {
        return Err(Reason::BadIp);
    }
    let total = bytes.be16(offset + 2).ok_or(Reason::Truncated)? as usize;
    let fragment = bytes.be16(offset + 6).ok_or(Reason::Truncated)?;
    let ttl: u8 = bytes.load(offset + 8).ok_or(Reason::Truncated)?;
    let next: u8 = bytes.load(offset + 9).ok_or(Reason::Truncated)?;
    let source = bytes.be32(offset + 12).ok_or(Reason::Truncated)?;
    let destination = bytes.be32(offset + 16).ok_or(Reason::Truncated)?;

    packet.is_v4 = true;
    packet.hop_limit = ttl;
    packet.protocol = next;
    packet.source = Addr::v4(source);
    packet.destination = Addr::v4(destination);

    let total = check_length(bytes, offset, total, packet).ok_or(Reason::BadIp)?;
    if total < header {
        return Err(Reason::BadIp);
    }
    let fragment_offset = fragment & FRAGMENT_OFFSET;
    if fragment_offset != 0 {
        packet.fragment = Fragment::Later;
        // Offset 1 overlays a TCP header's flags: RFC 1858, 3; no stack sends such a fragment.
        return if fragment_offset == 1 && next == protocol::TCP {
            Err(Reason::EvilFragment)
        } else {
            Ok(())
        };
    }
    if fragment & MORE_FRAGMENTS != 0 {
        packet.fragment = Fragment::First;
    }
    transport::parse(bytes, offset + header, total - header, packet)
}

/// Bytes from `offset` on that the header says there are, if they can be there. The exact length on
/// the wire is asked only when the cheap one does not do.
#[inline(always)]
fn check_length<B: Bytes>(
    bytes: &B,
    offset: usize,
    claimed: usize,
    packet: &mut Packet,
) -> Option<usize> {
    if claimed != 0 && offset + claimed <= bytes.least_len() {
        return Some(claimed);
    }
    let wire_len = bytes.wire_len();
    packet.wire_len = wire_len as u32;
    let present = wire_len.checked_sub(offset)?;
    if claimed == 0 && present > 0xffff {
        // A segmentation-offload packet of more than 64 KiB ("BIG TCP"), or a jumbogram (RFC 2675).
        return Some(present);
    }
    (claimed <= present).then_some(claimed)
}

#[inline(always)]
pub(super) fn parse_v6<B: Bytes>(
    bytes: &B,
    offset: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let first: u8 = bytes.load(offset).ok_or(Reason::Truncated)?;
    if first >> 4 != 6 {
        return Err(Reason::BadIp);
    }
    let payload = bytes.be16(offset + 4).ok_or(Reason::Truncated)? as usize;
    let next: u8 = bytes.load(offset + 6).ok_or(Reason::Truncated)?;
    packet.hop_limit = bytes.load(offset + 7).ok_or(Reason::Truncated)?;
    packet.source = Addr {
        hi: bytes.be64(offset + 8).ok_or(Reason::Truncated)?,
        lo: bytes.be64(offset + 16).ok_or(Reason::Truncated)?,
    };
    packet.destination = Addr {
        hi: bytes.be64(offset + 24).ok_or(Reason::Truncated)?,
        lo: bytes.be64(offset + 32).ok_or(Reason::Truncated)?,
    };
    packet.is_v4 = false;
    packet.protocol = next;
    if packet.source.is_v4() {
        return Err(Reason::MappedSource);
    }
    let payload = check_length(bytes, offset + 40, payload, packet).ok_or(Reason::BadIp)?;
    walk_extensions(bytes, offset + 40, offset + 40 + payload, next, packet)
}

/// Where headers may begin, less one: beyond lies no header that any host sends. The kernel reads
/// headers in the linear part of a frame only, which has more than this of any frame that long.
const HEADER_ROOM: usize = 0x7ff;

/// Hop-by-hop options, routing, destination options, authentication and fragment headers, in any
/// order, at most [`MAX_EXTENSIONS`].
#[inline(always)]
fn walk_extensions<B: Bytes>(
    bytes: &B,
    start: usize,
    end: usize,
    first: u8,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let mut next = first;
    let mut offset = start;
    let mut walked = 0;
    while is_extension(next) {
        if walked == MAX_EXTENSIONS {
            return Err(Reason::ExtensionDepth);
        }
        walked += 1;
        let units = match next {
            44 => {
                let fragment = bytes.be16(offset + 2).ok_or(Reason::Truncated)?;
                if fragment >> 3 != 0 {
                    packet.fragment = Fragment::Later;
                } else if fragment & 1 != 0 {
                    packet.fragment = Fragment::First;
                }
                // An atomic fragment (RFC 6946) is a whole packet, or what it was before.
                8
            }
            // Authentication header (RFC 4302): 4-byte units beyond the first two.
            51 => {
                let length: u8 = bytes.load(offset + 1).ok_or(Reason::Truncated)?;
                (length as usize + 2) * 4
            }
            // The others: 8-byte units beyond the first.
            _ => {
                let length: u8 = bytes.load(offset + 1).ok_or(Reason::Truncated)?;
                (length as usize + 1) * 8
            }
        };
        next = bytes.load(offset).ok_or(Reason::Truncated)?;
        packet.protocol = next;
        if packet.fragment as u8 == Fragment::Later as u8 {
            return Ok(());
        }
        offset += units;
        if offset > HEADER_ROOM {
            return Err(Reason::ExtensionDepth);
        }
        offset = forget::<HEADER_ROOM>(offset, packet.source.lo);
    }
    if offset > end {
        return Err(Reason::BadIp);
    }
    transport::parse(bytes, offset, end - offset, packet)
}

/// Hop-by-hop (0), routing (43), fragment (44), authentication (51), destination options (60).
#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(next, 0 | 43 | 44 | 51 | 60)
}
