//! From a frame to what the documentation says of it, a byte at a time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use filter_common::oddity::Oddity;
use filter_common::reason::Reason;

/// What is known of a packet that could be read.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) flags: u8,
    pub(super) icmp: (u8, u8),
    pub(super) hop_limit: u8,
    pub(super) is_later: bool,
    pub(super) is_first: bool,
    /// Kinds that the headers tell.
    pub(super) kinds: Vec<Oddity>,
}

/// Why a packet could not be read, and whose it was if that was read.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) reason: Reason,
    pub(super) source: Option<IpAddr>,
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte))
}

fn unread<T>(reason: Reason, source: Option<IpAddr>) -> Result<T, Unread> {
    Err(Unread { reason, source })
}

/// Reads a frame that begins with an Ethernet header.
pub(super) fn read(frame: &[u8]) -> Result<Seen, Unread> {
    let mut kinds = Vec::new();
    let mut at = 14;
    let mut tags = 0;
    loop {
        let Some(kind) = frame.get(at - 2..at) else { return unread(Reason::Truncated, None) };
        match number(kind) {
            0x8100 | 0x88a8 | 0x9100 if tags == 2 => return unread(Reason::VlanDepth, None),
            0x8100 | 0x88a8 | 0x9100 => {
                tags += 1;
                at += 4;
                if frame.len() < at {
                    return unread(Reason::Truncated, None);
                }
            }
            other => {
                if tags != 0 {
                    kinds.push(Oddity::VlanTags);
                }
                return match other {
                    0x0800 => v4(&frame[at..], kinds),
                    0x86dd => v6(&frame[at..], at, kinds),
                    _ => unread(Reason::NotIp, None),
                };
            }
        }
    }
}

fn v4(packet: &[u8], mut kinds: Vec<Oddity>) -> Result<Seen, Unread> {
    if packet.len() < 20 {
        return unread(Reason::Truncated, None);
    }
    let header = usize::from(packet[0] % 16) * 4;
    if packet[0] / 16 != 4 || header < 20 {
        return unread(Reason::BadIp, None);
    }
    let address = |at: usize| {
        IpAddr::from(Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]))
    };
    let (source, destination) = (address(12), address(16));
    let total = number(&packet[2..4]);
    if total < header || total > packet.len() {
        return unread(Reason::BadIp, Some(source));
    }
    if header > 20 {
        kinds.push(Oddity::Ipv4Options);
        let mut rest = &packet[20..header];
        loop {
            match *rest {
                [] | [0, ..] => break,
                [1, ..] => rest = &rest[1..],
                [kind, length, ..] if length >= 2 && usize::from(length) <= rest.len() => {
                    if kind == 131 || kind == 137 {
                        kinds.push(Oddity::SourceRoutes);
                    }
                    rest = &rest[usize::from(length)..];
                }
                _ => return unread(Reason::BadIp, Some(source)),
            }
        }
    }
    let field = number(&packet[6..8]);
    let mut seen = Seen {
        source,
        destination,
        protocol: packet[9],
        source_port: 0,
        destination_port: 0,
        flags: 0,
        icmp: (0, 0),
        hop_limit: packet[8],
        is_later: field & 0x1fff != 0,
        is_first: field & 0x1fff == 0 && field & 0x2000 != 0,
        kinds,
    };
    if field & 0x1fff == 1 && seen.protocol == 6 {
        return unread(Reason::EvilFragment, Some(source));
    }
    transport(&packet[header..], total - header, &mut seen)?;
    Ok(seen)
}

/// `begins` is where the packet lies in the frame: only so much of a frame is looked at.
fn v6(packet: &[u8], begins: usize, kinds: Vec<Oddity>) -> Result<Seen, Unread> {
    if packet.len() < 40 {
        return unread(Reason::Truncated, None);
    }
    if packet[0] / 16 != 6 {
        return unread(Reason::BadIp, None);
    }
    let address = |at: usize| {
        let bytes: [u8; 16] = packet[at..at + 16].try_into().expect("sixteen bytes");
        IpAddr::from(Ipv6Addr::from(bytes))
    };
    let source = address(8);
    let end = 40 + number(&packet[4..6]);
    if end > packet.len() {
        return unread(Reason::BadIp, Some(source));
    }
    let mut seen = Seen {
        source,
        destination: address(24),
        protocol: packet[6],
        source_port: 0,
        destination_port: 0,
        flags: 0,
        icmp: (0, 0),
        hop_limit: packet[7],
        is_later: false,
        is_first: false,
        kinds,
    };
    let mut at = 40;
    let (mut walked, mut extended) = (0, false);
    while [0, 43, 44, 51, 60].contains(&seen.protocol) {
        if walked == 8 {
            return unread(Reason::ExtensionDepth, Some(source));
        }
        walked += 1;
        let Some(head) = packet.get(at..at + 4) else {
            return unread(Reason::Truncated, Some(source));
        };
        let kind = std::mem::replace(&mut seen.protocol, head[0]);
        extended |= kind != 44;
        if kind == 43 && head[2] == 0 && head[3] != 0 {
            seen.kinds.push(Oddity::SourceRoutes);
        }
        at += match kind {
            44 => 8,
            51 => (usize::from(head[1]) + 2) * 4,
            _ => (usize::from(head[1]) + 1) * 8,
        };
        if kind == 44 && number(&head[2..4]) >= 8 {
            // A fragment of a first fragment is of both kinds.
            seen.is_later = true;
            break;
        }
        seen.is_first |= kind == 44 && head[3] % 2 == 1;
        if begins + at > 2047 {
            return unread(Reason::ExtensionDepth, Some(source));
        }
    }
    if extended && (seen.is_later || seen.protocol != 58) {
        seen.kinds.push(Oddity::Ipv6Extensions);
    }
    if !seen.is_later && at > end {
        return unread(Reason::BadIp, Some(source));
    }
    let (from, length) = if seen.is_later { (&[][..], 0) } else { (&packet[at..], end - at) };
    transport(from, length, &mut seen)?;
    Ok(seen)
}

/// Reads the transport header at the beginning of `bytes`, of a datagram with `length` bytes left.
fn transport(bytes: &[u8], length: usize, seen: &mut Seen) -> Result<(), Unread> {
    if seen.is_first {
        seen.kinds.push(Oddity::FirstFragments);
    }
    if seen.is_later {
        seen.kinds.push(Oddity::LaterFragments);
        return Ok(());
    }
    let needs = match seen.protocol {
        6 => 20,
        17 => 8,
        1 | 58 => 4,
        _ => 0,
    };
    let mut is_good = bytes.len() >= needs && length >= needs;
    if is_good && [6, 17].contains(&seen.protocol) {
        seen.source_port = number(&bytes[..2]) as u16;
        seen.destination_port = number(&bytes[2..4]) as u16;
    }
    if is_good && seen.protocol == 6 {
        seen.flags = bytes[13];
        let header = usize::from(bytes[12] / 16) * 4;
        is_good = header >= 20 && header <= length;
        let has = |bit: u8| seen.flags & bit != 0;
        let (fin, syn, rst, ack) = (has(1), has(2), has(4), has(16));
        let at_once = [fin, syn, rst].iter().filter(|is_set| **is_set).count();
        if at_once > 1 || !(syn || rst || ack) {
            seen.kinds.push(Oddity::TcpFlags);
        }
    }
    if is_good && seen.protocol == 17 {
        let own = number(&bytes[4..6]);
        is_good = own == 0 || (own >= 8 && (own <= length || seen.is_first));
    }
    if is_good && [1, 58].contains(&seen.protocol) {
        seen.icmp = (bytes[0], bytes[1]);
    }
    match (is_good, seen.is_first) {
        (true, _) => Ok(()),
        (false, true) => unread(Reason::EvilFragment, Some(seen.source)),
        (false, false) => unread(Reason::BadTransport, Some(seen.source)),
    }
}
