//! The packet that nearly all are, in one look: Ethernet without tags, IPv4 without options or
//! fragments, TCP or UDP, all of it in one piece and with lengths that fit.
//!
//! What it says is what the parser proper says, which has every other packet; tests hold them against each other.

use super::ip::ONE_PIECE;
use super::{Fragment, Packet, odd, protocol, tcp_flags};
use crate::addr::Addr;
use crate::bytes::{Bytes, Head};
use crate::oddity::Oddity;

/// Where the IPv4 header begins.
const IP: usize = 14;
/// Where the transport header begins.
const TRANSPORT: usize = IP + 20;
/// Up to the end of a UDP header.
const WITH_UDP: usize = TRANSPORT + 8;
/// Up to the end of a TCP header without options.
const WITH_TCP: usize = TRANSPORT + 20;

/// EtherType, then version 4 and 5 words of header; the type of service is not looked at.
const BEGINS: u32 = u32::from_be_bytes([0x08, 0x00, 0x45, 0]);
/// What [`BEGINS`] is about.
const BEGINS_MASK: u32 = u32::from_be_bytes([0xff, 0xff, 0xff, 0]);
/// More fragments, and the fragment offset, before time to live and protocol.
const FRAGMENT: u32 = 0x3fff << 16;

/// Fills in the packet if it is such a one; otherwise nothing is changed.
#[inline(always)]
pub(super) fn parse<B: Bytes>(bytes: &B, packet: &mut Packet) -> bool {
    let Some(head) = bytes.head::<WITH_UDP>() else { return false };
    if head.be32::<12>() & BEGINS_MASK != BEGINS {
        return false;
    }
    let fragment_ttl_protocol = head.be32::<{ IP + 6 }>();
    let total = head.be16::<{ IP + 2 }>() as usize;
    let least = bytes.least_len();
    if fragment_ttl_protocol & FRAGMENT != 0
        || total < WITH_UDP - IP
        || IP + total > least
        || least > ONE_PIECE
    {
        return false;
    }
    let ports = head.be32::<TRANSPORT>();
    let mut found = Packet {
        source: Addr::v4(head.be32::<{ IP + 12 }>()),
        destination: Addr::v4(head.be32::<{ IP + 16 }>()),
        wire_len: least as u32,
        source_port: (ports >> 16) as u16,
        destination_port: ports as u16,
        protocol: fragment_ttl_protocol as u8,
        hop_limit: (fragment_ttl_protocol >> 8) as u8,
        is_v4: true,
        fragment: Fragment::None,
        ..Packet::EMPTY
    };
    let length = total - (TRANSPORT - IP);
    let header = match found.protocol {
        protocol::UDP => udp(&head, length),
        protocol::TCP => match bytes.head() {
            Some(head) => tcp(&head, length, &mut found),
            None => return false,
        },
        _ => return false,
    };
    if header == 0 {
        return false;
    }
    found.payload_offset = (TRANSPORT + header) as u32;
    found.payload_len = (length - header) as u32;
    *packet = found;
    true
}

/// The length of the header; 0 when the lengths do not fit.
#[inline(always)]
fn udp(head: &Head<'_, WITH_UDP>, length: usize) -> usize {
    let own = head.be16::<{ TRANSPORT + 4 }>() as usize;
    if own >= 8 && own <= length { 8 } else { 0 }
}

/// The length of the header; 0 when the lengths do not fit.
#[inline(always)]
fn tcp(head: &Head<'_, WITH_TCP>, length: usize, packet: &mut Packet) -> usize {
    let words_flags_window = head.be32::<{ TRANSPORT + 12 }>();
    packet.tcp_seq = head.be32::<{ TRANSPORT + 4 }>();
    packet.tcp_ack = head.be32::<{ TRANSPORT + 8 }>();
    packet.tcp_flags = (words_flags_window >> 16) as u8;
    packet.tcp_window = words_flags_window as u16;
    if tcp_flags::never_sent(packet.tcp_flags) {
        packet.odd = const { odd(Oddity::TcpFlags) };
    }
    let header = (words_flags_window >> 28) as usize * 4;
    if header >= 20 && header <= length { header } else { 0 }
}
