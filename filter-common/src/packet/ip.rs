//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use super::{Fragment, Packet, odd, options, protocol, transport};
use crate::addr::Addr;
use crate::bytes::{Bytes, headers};
use crate::oddity::Oddity;
use crate::reason::Reason;
use crate::verifier::forget;

const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Extension headers that are walked before a packet is too deep.
pub(super) const MAX_EXTENSIONS: u32 = 8;

headers! {
    /// RFC 791, 3.1, without options.
    Ipv4, 20 {
        version_words: u8,
        _service: u8,
        total: u16,
        _identification: u16,
        fragment: u16,
        ttl: u8,
        protocol: u8,
        _checksum: u16,
        source: u32,
        destination: u32,
    }
    /// RFC 8200, 3.
    Ipv6, 40 {
        version_class: [u8; 4],
        payload: u16,
        next: u8,
        hop_limit: u8,
        source: [u64; 2],
        destination: [u64; 2],
    }
}

#[inline(always)]
pub(super) fn parse_v4<B: Bytes>(
    bytes: &B,
    offset: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let ip: Ipv4 = bytes.load(offset).ok_or(Reason::Truncated)?;
    let header = ((ip.version_words & 0x0f) as usize) * 4;
    if ip.version_words >> 4 != 4 || header < 20 {
        return Err(Reason::BadIp);
    }
    let next = ip.protocol;
    let fragment = u16::from_be(ip.fragment);
    packet.is_v4 = true;
    packet.hop_limit = ip.ttl;
    packet.protocol = next;
    packet.source = Addr::v4(u32::from_be(ip.source));
    packet.destination = Addr::v4(u32::from_be(ip.destination));

    let total = u16::from_be(ip.total) as usize;
    let total = check_length(bytes, offset, total, packet).ok_or(Reason::BadIp)?;
    if total < header {
        return Err(Reason::BadIp);
    }
    if header != 20 {
        options::parse(bytes, offset + 20, header - 20, packet)?;
    }
    // With options or without, what follows is followed once.
    let header = forget::<HEADER_ROOM_V4>(header, packet.source.lo);
    let fragment_offset = fragment & FRAGMENT_OFFSET;
    if fragment_offset != 0 {
        packet.fragment = Fragment::Later;
        packet.odd |= const { odd(Oddity::LaterFragments) };
        // Offset 1 overlays a TCP header's flags: RFC 1858, 3; no stack sends such a fragment.
        return if fragment_offset == 1 && next == protocol::TCP {
            Err(Reason::EvilFragment)
        } else {
            Ok(())
        };
    }
    if fragment & MORE_FRAGMENTS != 0 {
        packet.fragment = Fragment::First;
        packet.odd |= const { odd(Oddity::FirstFragments) };
    }
    transport::parse(bytes, offset + header, total - header, packet)
}

/// The longest header, 60 bytes, as a mask.
const HEADER_ROOM_V4: usize = 0x3f;
/// The longest first piece of a frame that surely has no second: Ethernet with two VLAN tags at an
/// MTU of 1500. Drivers fill a first piece before they begin another, and none is smaller than that.
pub(super) const ONE_PIECE: usize = 1522;

/// Bytes from `offset` on that the header says there are, if they can be there. The exact length on
/// the wire is asked only when the cheap one does not do.
#[inline(always)]
fn check_length<B: Bytes>(
    bytes: &B,
    offset: usize,
    claimed: usize,
    packet: &mut Packet,
) -> Option<usize> {
    let least = bytes.least_len();
    if claimed != 0 && offset + claimed <= least && least <= ONE_PIECE {
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
    let ip: Ipv6 = bytes.load(offset).ok_or(Reason::Truncated)?;
    if ip.version_class[0] >> 4 != 6 {
        return Err(Reason::BadIp);
    }
    let next = ip.next;
    packet.is_v4 = false;
    packet.hop_limit = ip.hop_limit;
    packet.protocol = next;
    packet.source = Addr { hi: u64::from_be(ip.source[0]), lo: u64::from_be(ip.source[1]) };
    packet.destination =
        Addr { hi: u64::from_be(ip.destination[0]), lo: u64::from_be(ip.destination[1]) };
    let payload = u16::from_be(ip.payload) as usize;
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
    let mut left = MAX_EXTENSIONS;
    // Asked at the end of a round whether there is another: the verifier of 6.1 refuses a loop whose
    // way back is not a jump, and with the question first the compiler makes one.
    let mut more = is_extension(next);
    while more {
        // What every extension header begins with (RFC 8200, 4): next header, length, and the
        // fragment header's offset and flag.
        let header = bytes.be32(offset).ok_or(Reason::Truncated)?;
        let length = (header >> 16) as u8 as usize;
        let units = match next {
            44 => {
                let fragment = header as u16;
                if fragment >> 3 != 0 {
                    packet.fragment = Fragment::Later;
                    packet.odd |= const { odd(Oddity::LaterFragments) };
                } else if fragment & 1 != 0 {
                    packet.fragment = Fragment::First;
                    packet.odd |= const { odd(Oddity::FirstFragments) };
                }
                // An atomic fragment (RFC 6946) is a whole packet, or what it was before.
                8
            }
            // Authentication header (RFC 4302): 4-byte units beyond the first two.
            51 => {
                packet.odd |= const { odd(Oddity::Ipv6Extensions) };
                (length + 2) * 4
            }
            // The others: 8-byte units beyond the first.
            _ => {
                packet.odd |= const { odd(Oddity::Ipv6Extensions) };
                // A routing header's type and how many hops are left.
                if next == 43 && header & 0xff00 == 0 && header & 0xff != 0 {
                    packet.odd |= const { odd(Oddity::SourceRoutes) };
                }
                (length + 1) * 8
            }
        };
        next = (header >> 24) as u8;
        packet.protocol = next;
        if packet.fragment as u8 == Fragment::Later as u8 {
            return Ok(());
        }
        offset += units;
        if offset > HEADER_ROOM {
            return Err(Reason::ExtensionDepth);
        }
        offset = forget::<HEADER_ROOM>(offset, packet.source.lo);
        more = is_extension(next);
        if more {
            left -= 1;
            if left == 0 {
                return Err(Reason::ExtensionDepth);
            }
        }
    }
    if offset > end {
        return Err(Reason::BadIp);
    }
    if next == protocol::ICMPV6 {
        packet.odd &= const { !odd(Oddity::Ipv6Extensions) };
    }
    transport::parse(bytes, offset, end - offset, packet)
}

/// Hop-by-hop (0), routing (43), fragment (44), authentication (51), destination options (60).
#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(next, 0 | 43 | 44 | 51 | 60)
}
