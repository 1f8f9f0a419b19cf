//! TCP, UDP and ICMP headers; any other protocol is passed over.

use super::{Fragment, Packet, odd, protocol, tcp_flags};
use crate::bytes::{Bytes, headers};
use crate::oddity::Oddity;
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
    if tcp_flags::never_sent(tcp.flags) {
        packet.odd |= const { odd(Oddity::TcpFlags) };
    }
    let header = (tcp.words >> 4) as usize * 4;
    (header >= 20).then_some(header)
}

#[inline(always)]
fn udp<B: Bytes>(bytes: &B, offset: usize, length: usize, packet: &mut Packet) -> Option<usize> {
    // RFC 768: ports, length, checksum.
    let header = bytes.be64(offset)?;
    packet.source_port = (header >> 48) as u16;
    packet.destination_port = (header >> 32) as u16;
    let own = (header >> 16) as u16 as usize;
    // A first fragment says the length of the whole datagram. Zero is a jumbogram, and what
    // segmentation offload of more than 64 KiB leaves here.
    let fits = own <= length || matches!(packet.fragment, Fragment::First);
    (own == 0 || (own >= 8 && fits)).then_some(8)
}

#[inline(always)]
fn icmp<B: Bytes>(bytes: &B, offset: usize, packet: &mut Packet) -> Option<usize> {
    // What all messages of RFC 792 and RFC 4443 share: type, code, checksum.
    let header = bytes.be32(offset)?;
    packet.icmp_type = (header >> 24) as u8;
    packet.icmp_code = (header >> 16) as u8;
    Some(4)
}
