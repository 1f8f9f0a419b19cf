//! Link types: where a frame's network header begins (numbers as in the registry of tcpdump.org).

use filter_common::bytes::{Bytes, Slice};
use filter_common::packet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Packet, parse, parse_network};
use filter_common::reason::Reason;

/// What a frame begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// An Ethernet header (1).
    Ethernet,
    /// Four bytes of address family, in either byte order (0, 108).
    Loopback,
    /// The IP header (12, 14, 101, 228, 229).
    Raw,
    /// Linux's cooked header of 16 bytes (113).
    Cooked,
    /// Linux's cooked header of 20 bytes (276).
    Cooked2,
}

/// Length of a VLAN tag with the EtherType behind it.
const TAG: usize = 4;

impl Link {
    /// For messages: what [`Self::from_number`] knows.
    pub const SUPPORTED: &str = "Ethernet (1), Linux cooked (113, 276), raw IP (12, 14, 101, 228, 229) and BSD loopback (0, 108)";

    /// The link type of this number; `None` for one that is not known here.
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Ethernet),
            0 | 108 => Some(Self::Loopback),
            12 | 14 | 101 | 228 | 229 => Some(Self::Raw),
            113 => Some(Self::Cooked),
            276 => Some(Self::Cooked2),
            _ => None,
        }
    }

    /// Parses a frame by the parser that the kernel half uses.
    ///
    /// # Errors
    /// The reason under which the frame is to be counted; what `packet` holds is then incomplete.
    pub fn parse(self, bytes: &Slice<'_>, packet: &mut Packet) -> Result<(), Reason> {
        packet.wire_len = bytes.wire_len as u32;
        match self {
            Self::Ethernet => parse(bytes, packet),
            Self::Raw => raw(bytes, 0, packet),
            Self::Loopback => {
                let family: [u8; 4] = bytes.load(0).ok_or(Reason::Truncated)?;
                // AF_INET is 2 everywhere; AF_INET6 is 10, 24, 28 or 30.
                match u32::from_be_bytes(family).min(u32::from_le_bytes(family)) {
                    2 | 10 | 24 | 28 | 30 => raw(bytes, 4, packet),
                    _ => Err(Reason::NotIp),
                }
            }
            Self::Cooked | Self::Cooked2 => {
                let (at, header) = self.ethertype().unwrap_or_default();
                let (ethertype, offset) = tagged(bytes, at, header).ok_or(Reason::Truncated)?;
                parse_network(bytes, offset, ethertype, packet)
            }
        }
    }

    /// Where the network header begins; `None` when the frame ends before it.
    pub fn network(self, bytes: &Slice<'_>) -> Option<usize> {
        match self {
            Self::Raw => Some(0),
            Self::Loopback => Some(4),
            Self::Ethernet | Self::Cooked | Self::Cooked2 => {
                let (at, header) = self.ethertype()?;
                Some(tagged(bytes, at, header)?.1)
            }
        }
    }

    /// Where the EtherType lies, and where what it names begins.
    const fn ethertype(self) -> Option<(usize, usize)> {
        match self {
            Self::Ethernet => Some((12, 14)),
            Self::Cooked => Some((14, 16)),
            Self::Cooked2 => Some((0, 20)),
            Self::Raw | Self::Loopback => None,
        }
    }
}

/// An IP header at `offset`, the version told by its first bits.
fn raw(bytes: &Slice<'_>, offset: usize, packet: &mut Packet) -> Result<(), Reason> {
    let first: u8 = bytes.load(offset).ok_or(Reason::Truncated)?;
    match first >> 4 {
        4 => parse_network(bytes, offset, ETHERTYPE_IPV4, packet),
        6 => parse_network(bytes, offset, ETHERTYPE_IPV6, packet),
        _ => Err(Reason::BadIp),
    }
}

/// The EtherType at one place, and where what it names begins; up to two VLAN tags may lie between.
fn tagged(bytes: &Slice<'_>, at: usize, mut offset: usize) -> Option<(u16, usize)> {
    let mut ethertype = bytes.be16(at)?;
    for _ in 0..2 {
        if !matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
            break;
        }
        ethertype = bytes.be16(offset + 2)?;
        offset += TAG;
    }
    Some((ethertype, offset))
}
