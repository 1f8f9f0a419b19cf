//! From a question to the packet it is about.

use std::net::IpAddr;

use filter_common::bytes::Slice;
use filter_common::packet::{self, Fragment, Packet, protocol, tcp_flags};
use filter_common::reason::Reason;

use crate::capture::hex;
use crate::control::api::{
    Answer, ApiError, ExplainRequest, Layer, MAX_FRAME, parse_flags, show_flags,
};
use crate::sensor::transaction::{addr, ip};

use super::layers;

/// The wire length of a packet that is not told: a small one.
const LENGTH: u32 = 64;

/// A packet as the parser gives it to the verdict.
pub(super) struct Question {
    /// What the parser found; incomplete when it gave up.
    pub(super) packet: Packet,
    /// Why it gave up.
    pub(super) refused: Option<Reason>,
    /// The headers, where there are bytes.
    pub(super) layers: Vec<Layer>,
    /// What was taken for granted.
    pub(super) notes: Vec<String>,
}

impl Question {
    /// Reads a question.
    ///
    /// # Errors
    /// When no packet is like that.
    pub(super) fn of(request: &ExplainRequest) -> Answer<Self> {
        match &request.packet {
            Some(text) => Self::frame(text, request),
            None => {
                let (layers, notes) = (Vec::new(), Vec::new());
                Ok(Self { packet: described(request)?, refused: None, layers, notes })
            }
        }
    }

    fn frame(text: &str, request: &ExplainRequest) -> Answer<Self> {
        let mut bytes = hex::decode(text).map_err(|problem| {
            ApiError::invalid(format!("the packet is not hexadecimal: {problem}"))
                .hint("`tcpdump -xx` prints frames as they are wanted")
        })?;
        if bytes.is_empty() || bytes.len() > MAX_FRAME {
            let length = bytes.len();
            return Err(ApiError::invalid(format!(
                "a frame of {length} bytes cannot be explained"
            ))
            .hint(format!("give 1 to {MAX_FRAME} bytes, from the Ethernet header on")));
        }
        let mut notes = Vec::new();
        if let Some(ethertype) = bare(&bytes) {
            notes
                .push("the bytes begin with an IP header: an Ethernet header was added".to_owned());
            let mut framed = vec![0; 12];
            framed.extend(ethertype.to_be_bytes());
            framed.append(&mut bytes);
            bytes = framed;
        }
        let wire_len = match request.length {
            Some(length) if (length as usize) < bytes.len() => {
                return Err(ApiError::invalid(format!(
                    "the packet has {} bytes, more than its length on the wire of {length}",
                    bytes.len()
                ))
                .hint("leave --length out, or give that of the frame before it was cut"));
            }
            Some(length) => length as usize,
            None => bytes.len(),
        };
        let mut packet = Packet::default();
        let refused = packet::parse(&Slice { data: &bytes, wire_len }, &mut packet).err();
        let layers = layers::of(&bytes);
        let is_cut =
            layers.iter().any(|layer| layer.text.contains("are here") && layer.name != "payload");
        if refused.is_some() && is_cut && request.length.is_none() {
            notes.push(
                "the frame ends before its headers say: if only the capture is cut, give the length \
                 it had with --length"
                    .to_owned(),
            );
        }
        Ok(Self { packet, refused, layers, notes })
    }

    /// What the parser says of it.
    pub(super) fn parsed(&self) -> String {
        match self.refused {
            Some(reason) => format!("{}: {}", reason.name(), reason.describe().trim()),
            None => self.line(),
        }
    }

    /// The packet in one line.
    pub(super) fn line(&self) -> String {
        let packet = &self.packet;
        let bytes = packet.wire_len;
        if packet.source == packet.destination && packet.source == Default::default() {
            return format!("a frame of {bytes} bytes");
        }
        let ports = packet.source_port != 0 || packet.destination_port != 0;
        let end = |address, port: u16| match ip(address) {
            address if !ports => address.to_string(),
            IpAddr::V4(address) => format!("{address}:{port}"),
            IpAddr::V6(address) => format!("[{address}]:{port}"),
        };
        let name = match packet.protocol {
            protocol::TCP => "tcp".to_owned(),
            protocol::UDP => "udp".to_owned(),
            protocol::ICMP | protocol::ICMPV6 => "icmp".to_owned(),
            number => format!("protocol {number}"),
        };
        let flags = match packet.protocol {
            protocol::TCP if packet.fragment != Fragment::Later => {
                format!(" {}", show_flags(packet.tcp_flags).to_uppercase())
            }
            _ => String::new(),
        };
        format!(
            "{name} {} → {}{flags}, {bytes} bytes",
            end(packet.source, packet.source_port),
            end(packet.destination, packet.destination_port),
        )
    }
}

/// The EtherType of bytes that are a whole IP packet without a link layer.
fn bare(bytes: &[u8]) -> Option<u16> {
    let number =
        |at: usize| Some(usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    let known = number(12)
        .is_some_and(|kind| matches!(kind, 0x0800 | 0x86dd | 0x8100 | 0x88a8 | 0x9100 | 0x0806));
    match bytes.first()? >> 4 {
        _ if known => None,
        4 if bytes.len() >= 20 && number(2)? >= bytes.len() => Some(packet::ETHERTYPE_IPV4),
        6 if bytes.len() >= 40 && number(4)? + 40 >= bytes.len() => Some(packet::ETHERTYPE_IPV6),
        _ => None,
    }
}

/// The packet that addresses and ports describe.
fn described(request: &ExplainRequest) -> Answer<Packet> {
    let (Some(src), Some(dst)) = (request.src, request.dst) else {
        return Err(ApiError::invalid("a packet has a source and a destination")
            .hint("give both addresses, or --packet with the bytes of a frame"));
    };
    if src.is_ipv4() != dst.is_ipv4() {
        return Err(ApiError::invalid(format!(
            "{src} and {dst} are of two families: no packet goes from one to the other"
        ))
        .hint("give two IPv4 or two IPv6 addresses"));
    }
    let v4 = src.is_ipv4();
    let number = match request.proto.as_str() {
        "tcp" | "" => protocol::TCP,
        "udp" => protocol::UDP,
        "icmp" if v4 => protocol::ICMP,
        "icmp" | "icmpv6" if !v4 => protocol::ICMPV6,
        other => other.parse().map_err(|_| {
            ApiError::invalid(format!("{other} is not a protocol weir tells apart"))
                .hint("use tcp, udp, icmp or a number from 0 to 255")
        })?,
    };
    let ports = matches!(number, protocol::TCP | protocol::UDP);
    if ports && request.dport.is_none() {
        return Err(ApiError::invalid("a TCP or UDP packet has a port").hint("add --dport PORT"));
    }
    let flags = match &request.flags {
        Some(text) => parse_flags(text).map_err(ApiError::invalid)?,
        None if request.established => tcp_flags::ACK,
        None => tcp_flags::SYN,
    };
    Ok(Packet {
        source: addr(src),
        destination: addr(dst),
        source_port: if ports { request.sport.unwrap_or(40_000) } else { 0 },
        destination_port: request.dport.filter(|_| ports).unwrap_or(0),
        protocol: number,
        tcp_flags: if number == protocol::TCP { flags } else { 0 },
        // An echo request: neither neighbour discovery nor path-MTU discovery.
        icmp_type: if v4 { 8 } else { 128 },
        wire_len: request.length.unwrap_or(LENGTH),
        hop_limit: 64,
        is_v4: v4,
        ..Packet::default()
    })
}
