//! From bytes to the few fields a verdict needs: Ethernet, up to two VLAN tags, IPv4 with options,
//! IPv6 with a bounded walk of its extension headers, TCP, UDP and ICMP.
//!
//! Checksums are not looked at: they are not final on live traffic, and the stack checks them.

mod ip;
pub mod options;
mod transport;
mod usual;

use crate::addr::Addr;
use crate::bytes::{Bytes, headers};
use crate::oddity::Oddity;
use crate::reason::Reason;
use crate::tables::{NO_PORT, port_place};
use crate::verifier::forget;

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// IP protocol numbers the verdict knows.
pub mod protocol {
    /// ICMP, RFC 792.
    pub const ICMP: u8 = 1;
    /// TCP, RFC 9293.
    pub const TCP: u8 = 6;
    /// UDP, RFC 768.
    pub const UDP: u8 = 17;
    /// ICMPv6, RFC 4443.
    pub const ICMPV6: u8 = 58;
}
/// TCP flags as they lie in the header's 14th byte.
pub mod tcp_flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgement field counts.
    pub const ACK: u8 = 0x10;

    /// A bit for each value of the six flags of RFC 9293 (the lowest bits): set when no TCP sends
    /// them together.
    const NEVER: u64 = {
        let mut bits = 0;
        let mut flags = 0u8;
        while flags < 64 {
            let has_no_role = flags & (SYN | RST | ACK) == 0;
            let contradicts = (flags & SYN != 0 && flags & (FIN | RST) != 0)
                || (flags & RST != 0 && flags & FIN != 0);
            if has_no_role || contradicts {
                bits |= 1 << flags;
            }
            flags += 1;
        }
        bits
    };

    /// Whether no TCP sends these flags together. Every segment has ACK but the first SYN and some
    /// resets (RFC 9293, 3.1, 3.10.7.1), and of SYN, FIN and RST there is at most one. PSH, URG and
    /// the bits of ECN (RFC 3168) may be anything.
    #[inline(always)]
    pub const fn never_sent(flags: u8) -> bool {
        NEVER >> (flags & 0x3f) & 1 != 0
    }
}

/// Place of a packet in a fragmented datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Fragment {
    /// Not a fragment.
    #[default]
    None,
    /// The first: it has the transport header.
    First,
    /// A later one: no ports.
    Later,
}

/// What the parser found. Numbers are in host byte order, offsets and lengths in bytes.
///
/// Fields that the usual packet fills together lie together, see [`usual`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// TCP sequence number.
    pub tcp_seq: u32,
    /// TCP acknowledgement number.
    pub tcp_ack: u32,
    /// IP protocol after the extension headers.
    pub protocol: u8,
    /// IPv4 time to live or IPv6 hop limit.
    pub hop_limit: u8,
    /// Whether the IP version is 4.
    pub is_v4: bool,
    /// Place in a fragmented datagram.
    pub fragment: Fragment,
    /// Bits of the [`Oddity`]s that its headers tell, the source address apart.
    pub odd: u16,
    /// ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// ICMP or ICMPv6 code.
    pub icmp_code: u8,
    /// Destination port, 0 when the protocol has none.
    pub destination_port: u16,
    /// Source port, 0 when the protocol has none.
    pub source_port: u16,
    /// TCP window as in the header, not scaled.
    pub tcp_window: u16,
    /// TCP flags, see [`tcp_flags`].
    pub tcp_flags: u8,
    /// Bytes of the frame on the wire.
    pub wire_len: u32,
    /// Transport payload on the wire, without link-layer padding.
    pub payload_len: u32,
    /// Where the transport payload begins.
    pub payload_offset: u32,
}

/// The bit of an oddity in [`Packet::odd`].
#[inline(always)]
const fn odd(kind: Oddity) -> u16 {
    assert!((kind as u32) < u16::BITS);
    1 << kind as u32
}

impl Packet {
    /// Forgets everything. In the kernel word by word: the compiler would call a `memset` that goes byte
    /// by byte.
    #[inline(always)]
    fn clear(&mut self) {
        #[cfg(target_arch = "bpf")]
        {
            const { assert!(size_of::<Self>().is_multiple_of(8) && align_of::<Self>() == 8) };
            let words = (&raw mut *self).cast::<u64>();
            for place in 0..size_of::<Self>() / 8 {
                // SAFETY: the word lies in the packet, of which all bits zero are a value: the default.
                unsafe { words.add(place).write_volatile(0) };
            }
        }
        #[cfg(not(target_arch = "bpf"))]
        {
            *self = Self::default();
        }
    }

    /// A TCP segment that opens a connection: SYN without ACK.
    #[inline(always)]
    pub const fn opens_connection(&self) -> bool {
        self.protocol == protocol::TCP
            && self.tcp_flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN
    }

    /// ARP's successor and path-MTU discovery: the host is lost without them. Neighbour discovery
    /// counts only with hop limit 255, which no router lets through (RFC 4861, 7.1).
    #[inline(always)]
    pub const fn is_essential(&self) -> bool {
        match self.protocol {
            protocol::ICMPV6 if !self.is_v4 => {
                self.icmp_type == 2
                    || (self.icmp_type >= 133 && self.icmp_type <= 137 && self.hop_limit == 255)
            }
            protocol::ICMP if self.is_v4 => self.icmp_type == 3 && self.icmp_code == 4,
            _ => false,
        }
    }
}

headers! {
    /// IEEE 802.3, without what may follow.
    Ethernet, 14 { addresses: [u16; 6], ethertype: u16, }
}

/// Where the network header may begin, less one.
const NETWORK_ROOM: usize = 31;

/// Parses a frame that begins with an Ethernet header (IEEE 802.3, 802.1Q, 802.1ad). Whatever `packet`
/// held before is gone.
///
/// # Errors
/// The reason under which the packet is to be counted; what `packet` holds is then incomplete.
#[inline(always)]
pub fn parse<B: Bytes>(bytes: &B, packet: &mut Packet) -> Result<(), Reason> {
    parse_known(bytes, packet).map(|_in_the_packet| ())
}

/// What the verdict asks of a packet first, in registers: who reads back what has just been written waits
/// for it, and everything else waits for these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// The destination's cell in the port table; [`NO_PORT`] of other protocols than TCP and UDP.
    pub port: u32,
    /// The half of [`Packet::source`] that classes go by: the last of an IPv4 address, the first of an IPv6
    /// one.
    pub source: u64,
}

impl Known {
    /// Of a packet that is parsed.
    #[inline(always)]
    pub const fn of(packet: &Packet) -> Self {
        let source = if packet.is_v4 { packet.source.lo } else { packet.source.hi };
        Self { port: port_of(packet.protocol, packet.destination_port), source }
    }
}

/// The cell of a port in the port table; [`NO_PORT`] of other protocols than TCP and UDP.
#[inline(always)]
pub const fn port_of(protocol: u8, port: u16) -> u32 {
    match protocol {
        protocol::TCP => port_place(false, port) as u32,
        protocol::UDP => port_place(true, port) as u32,
        _ => NO_PORT,
    }
}

/// As [`parse`]; gives what is asked first, too.
///
/// # Errors
/// As [`parse`].
#[inline(always)]
pub fn parse_known<B: Bytes>(bytes: &B, packet: &mut Packet) -> Result<Known, Reason> {
    if let Some(known) = usual::parse(bytes, packet) {
        return Ok(known);
    }
    parse_any(bytes, packet)?;
    Ok(Known::of(packet))
}

/// As [`parse`], without a short way for the usual packet.
///
/// # Errors
/// As [`parse`].
#[inline(always)]
pub fn parse_any<B: Bytes>(bytes: &B, packet: &mut Packet) -> Result<(), Reason> {
    packet.clear();
    let parsed = parse_ethernet(bytes, packet);
    if parsed.is_err() {
        // What is not followed to its end is counted whole all the same.
        packet.wire_len = bytes.wire_len() as u32;
    }
    parsed
}

#[inline(always)]
fn parse_ethernet<B: Bytes>(bytes: &B, packet: &mut Packet) -> Result<(), Reason> {
    let ethernet: Ethernet = bytes.load(0).ok_or(Reason::Truncated)?;
    let mut ethertype = u16::from_be(ethernet.ethertype);
    let mut offset = 14;
    if is_vlan(ethertype) {
        // Priority and VLAN, then the type of what follows.
        let outer = bytes.be32(14).ok_or(Reason::Truncated)?;
        ethertype = outer as u16;
        offset = 18;
        packet.odd |= const { odd(Oddity::VlanTags) };
        if is_vlan(ethertype) {
            ethertype = bytes.be32(18).ok_or(Reason::Truncated)? as u16;
            offset = 22;
            if is_vlan(ethertype) {
                return Err(Reason::VlanDepth);
            }
        }
        offset = forget::<NETWORK_ROOM>(offset, ethernet.addresses[0] as u64);
    }
    parse_network(bytes, offset, ethertype, packet)
}

/// Parses from the network header at `offset` on.
///
/// # Errors
/// As [`parse`].
#[inline(always)]
pub fn parse_network<B: Bytes>(
    bytes: &B,
    offset: usize,
    ethertype: u16,
    packet: &mut Packet,
) -> Result<(), Reason> {
    packet.wire_len = bytes.least_len() as u32;
    match ethertype {
        ETHERTYPE_IPV4 => ip::parse_v4(bytes, offset, packet),
        ETHERTYPE_IPV6 => ip::parse_v6(bytes, offset, packet),
        _ => Err(Reason::NotIp),
    }
}

/// 802.1Q, 802.1ad, and the number that came before the latter.
#[inline(always)]
const fn is_vlan(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}
