//! The packet that nearly all are, in one look: Ethernet without tags, IPv4 without options or fragments
//! or IPv6 without extension headers, TCP or UDP, all of it in one piece and with lengths that fit.
//!
//! What it says is what the parser proper says, which has every other packet; tests hold them against each other.

use core::mem::offset_of;

use super::ip::ONE_PIECE;
use super::{Fragment, Known, Packet, odd, protocol, tcp_flags};
use crate::addr::Addr;
use crate::bytes::{Bytes, Head};
use crate::oddity::Oddity;
use crate::tables::port_place;

/// Where the IP header begins.
const IP: usize = 14;
/// Where the transport header begins after IPv4 without options.
const AFTER_V4: usize = IP + 20;
/// Where it begins after IPv6 without extension headers.
const AFTER_V6: usize = IP + 40;
/// Bytes of a UDP header.
const UDP: usize = 8;
/// Bytes of a TCP header without options.
const TCP: usize = 20;

/// EtherType, then version 4 and 5 words of header; the type of service is not looked at.
const BEGINS_V4: u32 = u32::from_be_bytes([0x08, 0x00, 0x45, 0]);
/// What [`BEGINS_V4`] is about.
const MASK_V4: u32 = u32::from_be_bytes([0xff, 0xff, 0xff, 0]);
/// EtherType and version 6.
const BEGINS_V6: u32 = u32::from_be_bytes([0x86, 0xdd, 0x60, 0]);
/// What [`BEGINS_V6`] is about.
const MASK_V6: u32 = u32::from_be_bytes([0xff, 0xff, 0xf0, 0]);
/// More fragments, and the fragment offset, before time to live and protocol.
const FRAGMENT: u32 = 0x3fff << 16;

/// Fills in the packet if it is such a one, and gives what is asked first; otherwise what it holds is of
/// no meaning.
#[inline(always)]
pub(super) fn parse<B: Bytes>(bytes: &B, packet: &mut Packet) -> Option<Known> {
    let least = bytes.least_len();
    let head = bytes.head::<{ AFTER_V4 + UDP }>()?;
    if least > ONE_PIECE {
        return None;
    }
    let begins = head.be32::<12>();
    if begins & MASK_V4 == BEGINS_V4 {
        parse_v4(bytes, &head, least, packet)
    } else if begins & MASK_V6 == BEGINS_V6 {
        parse_v6(bytes, least, packet)
    } else {
        None
    }
}

#[inline(always)]
fn parse_v4<B: Bytes>(
    bytes: &B,
    head: &Head<'_, { AFTER_V4 + UDP }>,
    least: usize,
    packet: &mut Packet,
) -> Option<Known> {
    let fragment_ttl_protocol = head.be32::<{ IP + 6 }>();
    let total = head.be16::<{ IP + 2 }>() as usize;
    if fragment_ttl_protocol & FRAGMENT != 0 || total < 20 + UDP || IP + total > least {
        return None;
    }
    let found = Usual {
        source: Addr::v4(head.be32::<{ IP + 12 }>()),
        destination: Addr::v4(head.be32::<{ IP + 16 }>()),
        seq_ack: 0,
        kinds: (fragment_ttl_protocol & 0xffff) as u64 | IS_V4,
        ports: head.be32::<AFTER_V4>(),
        window_flags: 0,
        wire_len: least as u32,
        payload_len: total as u32 - 20,
        payload_offset: AFTER_V4 as u32,
    };
    match fragment_ttl_protocol as u8 {
        protocol::UDP => udp(head.be16::<{ AFTER_V4 + 4 }>(), found, packet),
        protocol::TCP => match bytes.head::<{ AFTER_V4 + TCP }>() {
            Some(head) => {
                let [seq, ack] = [head.be32::<{ AFTER_V4 + 4 }>(), head.be32::<{ AFTER_V4 + 8 }>()];
                tcp([seq, ack, head.be32::<{ AFTER_V4 + 12 }>()], found, packet)
            }
            None => None,
        },
        _ => None,
    }
}

#[inline(always)]
fn parse_v6<B: Bytes>(bytes: &B, least: usize, packet: &mut Packet) -> Option<Known> {
    let head = bytes.head::<{ AFTER_V6 + UDP }>()?;
    let payload_next_hops = head.be32::<{ IP + 4 }>();
    let payload = (payload_next_hops >> 16) as usize;
    if payload < UDP || AFTER_V6 + payload > least {
        return None;
    }
    let next = (payload_next_hops >> 8) as u8;
    let found = Usual {
        source: Addr { hi: head.be64::<{ IP + 8 }>(), lo: head.be64::<{ IP + 16 }>() },
        destination: Addr { hi: head.be64::<{ IP + 24 }>(), lo: head.be64::<{ IP + 32 }>() },
        seq_ack: 0,
        kinds: next as u64 | (payload_next_hops as u8 as u64) << 8,
        ports: head.be32::<AFTER_V6>(),
        window_flags: 0,
        wire_len: least as u32,
        payload_len: payload as u32,
        payload_offset: AFTER_V6 as u32,
    };
    match next {
        protocol::UDP => udp(head.be16::<{ AFTER_V6 + 4 }>(), found, packet),
        protocol::TCP => match bytes.head::<{ AFTER_V6 + TCP }>() {
            Some(head) => {
                let [seq, ack] = [head.be32::<{ AFTER_V6 + 4 }>(), head.be32::<{ AFTER_V6 + 8 }>()];
                tcp([seq, ack, head.be32::<{ AFTER_V6 + 12 }>()], found, packet)
            }
            None => None,
        },
        _ => None,
    }
}

/// A [`Packet`] of whose small fields those that are filled together are one: each would be a store of
/// its own, and they are a third of what the parser does.
#[repr(C)]
struct Usual {
    source: Addr,
    destination: Addr,
    seq_ack: u64,
    /// Protocol, hop limit, whether it is IPv4, fragment, oddities, ICMP type and code.
    kinds: u64,
    /// Destination, then source.
    ports: u32,
    window_flags: u32,
    wire_len: u32,
    payload_len: u32,
    payload_offset: u32,
}

/// In [`Usual::kinds`]: the IP version is 4.
const IS_V4: u64 = 1 << 16;
/// In [`Usual::kinds`]: the flags never occur together.
const TCP_FLAGS: u64 = (odd(Oddity::TcpFlags) as u64) << 32;

const _: () = {
    assert!(cfg!(target_endian = "little"));
    assert!(size_of::<Usual>() == size_of::<Packet>());
    assert!(align_of::<Usual>() == align_of::<Packet>());
    assert!(offset_of!(Usual, seq_ack) == offset_of!(Packet, tcp_seq));
    assert!(offset_of!(Packet, tcp_ack) == offset_of!(Packet, tcp_seq) + 4);
    assert!(offset_of!(Usual, kinds) == offset_of!(Packet, protocol));
    assert!(offset_of!(Packet, hop_limit) == offset_of!(Packet, protocol) + 1);
    assert!(offset_of!(Packet, is_v4) == offset_of!(Packet, protocol) + 2);
    assert!(offset_of!(Packet, fragment) == offset_of!(Packet, protocol) + 3);
    assert!(offset_of!(Packet, odd) == offset_of!(Packet, protocol) + 4);
    assert!(offset_of!(Usual, ports) == offset_of!(Packet, destination_port));
    assert!(offset_of!(Packet, source_port) == offset_of!(Packet, destination_port) + 2);
    assert!(offset_of!(Usual, window_flags) == offset_of!(Packet, tcp_window));
    assert!(offset_of!(Packet, tcp_flags) == offset_of!(Packet, tcp_window) + 2);
    assert!(offset_of!(Usual, wire_len) == offset_of!(Packet, wire_len));
    assert!(offset_of!(Usual, payload_len) == offset_of!(Packet, payload_len));
    assert!(offset_of!(Usual, payload_offset) == offset_of!(Packet, payload_offset));
    assert!(Fragment::None as u8 == 0);
};

impl Usual {
    /// Writes the packet, whose transport header has this length; gives what is asked first, or none when
    /// there is no room for the header.
    #[inline(always)]
    fn keep(mut self, udp: bool, header: u32, packet: &mut Packet) -> Option<Known> {
        if header > self.payload_len {
            return None;
        }
        let known = Known {
            port: port_place(udp, self.ports as u16) as u32,
            source: if self.kinds & IS_V4 != 0 { self.source.lo } else { self.source.hi },
        };
        self.payload_len -= header;
        self.payload_offset += header;
        // SAFETY: as large and aligned as a packet, and its fields are the packet's or several of them
        // side by side, asserted above; of a `bool` and a `Fragment` that have other values than any byte
        // it writes 1 and 0.
        unsafe { (&raw mut *packet).cast::<Self>().write(self) };
        Some(known)
    }
}

/// `own` is the length that the UDP header says.
#[inline(always)]
fn udp(own: u16, found: Usual, packet: &mut Packet) -> Option<Known> {
    let own = own as u32;
    if own < UDP as u32 || own > found.payload_len {
        return None;
    }
    found.keep(true, UDP as u32, packet)
}

/// Sequence and acknowledgement number, then data offset, flags and window in one word.
#[inline(always)]
fn tcp(
    [seq, ack, words_flags_window]: [u32; 3],
    mut found: Usual,
    packet: &mut Packet,
) -> Option<Known> {
    found.seq_ack = seq as u64 | (ack as u64) << 32;
    found.window_flags = words_flags_window & 0xff_ffff;
    if tcp_flags::never_sent((words_flags_window >> 16) as u8) {
        found.kinds |= TCP_FLAGS;
    }
    let header = (words_flags_window >> 28) * 4;
    if header < TCP as u32 {
        return None;
    }
    found.keep(false, header, packet)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::super::{parse as parse_packet, parse_any};
    use super::*;
    use crate::bytes::Slice;

    /// An Ethernet frame around these bytes.
    fn frame(ethertype: u16, parts: &[&[u8]]) -> Vec<u8> {
        [&[2; 12], &ethertype.to_be_bytes()[..], &parts.concat()].concat()
    }

    fn frames() -> [Vec<u8>; 4] {
        let udp = [0x9c, 0x40, 0x1f, 0x90, 0, 12, 0, 0, 1, 2, 3, 4];
        let mut tcp = [0; 24];
        tcp[..14].copy_from_slice(&[0x9c, 0x40, 0x1f, 0x90, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x18]);
        let v4 = |protocol: u8, length: u8| {
            [0x45, 0, 0, 20 + length, 0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
        };
        let v6 = |next: u8, length: u8| {
            let mut header = [0x20; 40];
            header[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, length, next, 64]);
            header
        };
        [
            frame(0x0800, &[&v4(17, 12), &udp, &[0; 6]]),
            frame(0x0800, &[&v4(6, 24), &tcp]),
            frame(0x86dd, &[&v6(17, 12), &udp]),
            frame(0x86dd, &[&v6(6, 24), &tcp, &[0; 6]]),
        ]
    }

    fn both(frame: &[u8], wire_len: usize) -> bool {
        let bytes = Slice { data: frame, wire_len };
        let [mut short, mut long] = [Packet { tcp_seq: 77, odd: 0xffff, ..Packet::default() }; 2];
        let usual = parse(&bytes, &mut short);
        let parsed = parse_any(&bytes, &mut long);
        if let Some(known) = usual {
            assert_eq!((parsed, short), (Ok(()), long), "{frame:02x?} of {wire_len}");
            assert_eq!(known, Known::of(&long));
        }
        let mut either = Packet::default();
        assert_eq!(parse_packet(&bytes, &mut either), parsed, "{frame:02x?} of {wire_len}");
        usual.is_some()
    }

    #[test]
    fn it_says_what_the_parser_proper_says() {
        for frame in frames() {
            assert!(both(&frame, frame.len()), "{frame:02x?} is a usual packet");
            let mut usual = 0;
            for length in 0..=frame.len() {
                both(&frame[..length], length);
                both(&frame[..length], frame.len());
            }
            for place in 12..frame.len() {
                for value in 0..=255 {
                    let mut frame = frame.clone();
                    frame[place] = value;
                    usual += u32::from(both(&frame, frame.len()));
                    both(&frame, 1523);
                }
            }
            assert!(usual > 5_000, "{usual} were usual");
        }
    }
}
