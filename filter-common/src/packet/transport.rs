//! TCP, UDP and ICMP headers; any other protocol is passed over.

use super::{Fragment, Packet, protocol};
use crate::bytes::{Bytes, headers};
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

headers! {
    /// RFC 9293, 3.1, without options.
    Tcp, 20 {
        source_port: u16,
        destination_port: u16,
        seq: u32,
        ack: u32,
        words: u8,
        flags: u8,
        window: u16,
        _checksum_urgent: u32,
    }
    /// RFC 768.
    Udp, 8 { source_port: u16, destination_port: u16, length: u16, _checksum: u16, }
    /// RFC 792 and RFC 4443, the part that all messages share.
    Icmp, 4 { kind: u8, code: u8, _checksum: u16, }
}

/// Returns the length of the header.
#[inline(always)]
fn tcp<B: Bytes>(bytes: &B, offset: usize, packet: &mut Packet) -> Option<usize> {
    let tcp: Tcp = bytes.load(offset)?;
    packet.source_port = u16::from_be(tcp.source_port);
    packet.destination_port = u16::from_be(tcp.destination_port);
    packet.tcp_seq = u32::from_be(tcp.seq);
    packet.tcp_ack = u32::from_be(tcp.ack);
    packet.tcp_flags = tcp.flags;
    packet.tcp_window = u16::from_be(tcp.window);
    let header = (tcp.words >> 4) as usize * 4;
    (header >= 20).then_some(header)
}

#[inline(always)]
fn udp<B: Bytes>(bytes: &B, offset: usize, length: usize, packet: &mut Packet) -> Option<usize> {
    let udp: Udp = bytes.load(offset)?;
    packet.source_port = u16::from_be(udp.source_port);
    packet.destination_port = u16::from_be(udp.destination_port);
    let own = u16::from_be(udp.length) as usize;
    // A first fragment says the length of the whole datagram. Zero is a jumbogram, and what
    // segmentation offload of more than 64 KiB leaves here.
    let fits = own <= length || matches!(packet.fragment, Fragment::First);
    (own == 0 || (own >= 8 && fits)).then_some(8)
}

#[inline(always)]
fn icmp<B: Bytes>(bytes: &B, offset: usize, packet: &mut Packet) -> Option<usize> {
    let icmp: Icmp = bytes.load(offset)?;
    packet.icmp_type = icmp.kind;
    packet.icmp_code = icmp.code;
    Some(4)
}
