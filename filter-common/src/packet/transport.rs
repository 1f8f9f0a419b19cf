//! TCP, UDP and ICMP headers; any other protocol is passed over.

use super::{Fragment, Packet, protocol};
use crate::bytes::Bytes;
use crate::reason::Reason;

/// Parses the transport header at `offset`, of a datagram with `length` bytes from there on.
#[inline(always)]
pub(super) fn parse<B: Bytes>(
    bytes: &B,
    offset: usize,
    length: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let header = match packet.protocol {
        protocol::TCP => tcp(bytes, offset, packet),
        protocol::UDP => udp(bytes, offset, length, packet),
        protocol::ICMP | protocol::ICMPV6 => icmp(bytes, offset, packet),
        _ => Some(0),
    };
    match header {
        Some(header) if header <= length => {
            packet.payload_offset = (offset + header) as u32;
            packet.payload_len = (length - header) as u32;
            Ok(())
        }
        // A first fragment too short for its ports is made to pass by them: RFC 1858, 3.
        _ if matches!(packet.fragment, Fragment::First) => Err(Reason::EvilFragment),
        _ => Err(Reason::BadTransport),
    }
}

/// Returns the length of the header.
#[inline(always)]
fn tcp<B: Bytes>(bytes: &B, offset: usize, packet: &mut Packet) -> Option<usize> {
    let ports = bytes.be32(offset)?;
    packet.tcp_seq = bytes.be32(offset + 4)?;
    packet.tcp_ack = bytes.be32(offset + 8)?;
    let rest = bytes.be32(offset + 12)?;
    // The urgent pointer ends the fixed header: without it the header is cut.
    bytes.be16(offset + 18)?;
    packet.source_port = (ports >> 16) as u16;
    packet.destination_port = ports as u16;
    packet.tcp_flags = (rest >> 16) as u8;
    packet.tcp_window = rest as u16;
    let header = (rest >> 28) as usize * 4;
    (header >= 20).then_some(header)
}

#[inline(always)]
fn udp<B: Bytes>(bytes: &B, offset: usize, length: usize, packet: &mut Packet) -> Option<usize> {
    let ports = bytes.be32(offset)?;
    let own = bytes.be16(offset + 4)? as usize;
    packet.source_port = (ports >> 16) as u16;
    packet.destination_port = ports as u16;
    // A first fragment says the length of the whole datagram. Zero is a jumbogram, and what
    // segmentation offload of more than 64 KiB leaves here.
    let fits = own <= length || matches!(packet.fragment, Fragment::First);
    (own == 0 || (own >= 8 && fits)).then_some(8)
}

#[inline(always)]
fn icmp<B: Bytes>(bytes: &B, offset: usize, packet: &mut Packet) -> Option<usize> {
    packet.icmp_type = bytes.load(offset)?;
    packet.icmp_code = bytes.load(offset + 1)?;
    bytes.be16(offset + 2)?;
    Some(4)
}
