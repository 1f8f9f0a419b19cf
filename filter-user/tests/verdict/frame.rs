//! Frames for the rows: right by default, and every field can be made to lie.

use std::net::IpAddr;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const URG: u8 = 0x20;

/// The server that weir stands in front of.
pub(crate) const SERVER: &str = "203.0.113.5";
pub(crate) const SERVER6: &str = "2001:db8:5::5";

/// An IPv6 extension header.
#[derive(Clone, Debug)]
pub(crate) struct Extension {
    /// Its number, as the header before it names it.
    pub(crate) number: u8,
    /// Its bytes; the first is overwritten with the number of the next header.
    pub(crate) bytes: Vec<u8>,
}

/// Hop-by-hop options (0), routing (43) or destination options (60) of `8 + 8 * more` bytes.
pub(crate) fn options(number: u8, more: u8) -> Extension {
    let mut bytes = vec![0, more];
    bytes.resize(8 + 8 * usize::from(more), 0);
    Extension { number, bytes }
}

/// A routing header of a type, with so many segments left.
pub(crate) fn routing(kind: u8, left: u8) -> Extension {
    Extension { number: 43, bytes: vec![0, 2, kind, left].into_iter().chain([0; 20]).collect() }
}

/// An authentication header of `8 + 4 * more` bytes.
pub(crate) fn authentication(more: u8) -> Extension {
    let mut bytes = vec![0, more];
    bytes.resize(8 + 4 * usize::from(more), 0);
    Extension { number: 51, bytes }
}

/// A fragment header: `offset` in units of 8 bytes.
pub(crate) fn fragment(offset: u16, more: bool) -> Extension {
    let field = (offset << 3 | u16::from(more)).to_be_bytes();
    Extension { number: 44, bytes: vec![0, 0, field[0], field[1], 0, 0, 0, 7] }
}

/// What IP carries.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Tcp {
        flags: u8,
        options: Vec<u8>,
        data_offset: Option<u8>,
    },
    Udp {
        length: Option<u16>,
    },
    Icmp {
        kind: u8,
        code: u8,
    },
    /// Nothing but the payload, under this number.
    Other(u8),
}

/// A frame in parts. `None` in a field that could lie: the truth.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// TCP's window.
    pub(crate) window: u16,
    /// The EtherTypes of VLAN tags, the outermost first.
    pub(crate) tags: Vec<u16>,
    /// What every tag holds: priority and VLAN.
    pub(crate) tag: u16,
    pub(crate) ethertype: Option<u16>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) version: Option<u8>,
    /// IPv4 only: words of the header.
    pub(crate) words: Option<u8>,
    /// IPv4's total length, IPv6's payload length.
    pub(crate) length: Option<u16>,
    pub(crate) hop_limit: u8,
    /// IPv4 only: reserved, DF, MF, then the offset in units of 8 bytes.
    pub(crate) fragment: u16,
    /// IPv4 only.
    pub(crate) options: Vec<u8>,
    /// IPv6 only.
    pub(crate) extensions: Vec<Extension>,
    pub(crate) body: Body,
    /// Whether the transport header is there at all; later fragments have none.
    pub(crate) headless: bool,
    pub(crate) payload: Vec<u8>,
    /// Bytes after the datagram.
    pub(crate) padding: usize,
    /// The frame ends here.
    pub(crate) cut: Option<usize>,
}

fn frame(source: &str, destination: &str, port: u16, body: Body) -> Frame {
    Frame {
        tags: Vec::new(),
        tag: 7,
        ethertype: None,
        source: source.parse().expect("a source"),
        destination: destination.parse().expect("a destination"),
        source_port: 40_000,
        destination_port: port,
        version: None,
        words: None,
        length: None,
        hop_limit: 64,
        fragment: 0,
        options: Vec::new(),
        extensions: Vec::new(),
        body,
        headless: false,
        payload: Vec::new(),
        padding: 0,
        window: 0x2021,
        cut: None,
    }
}

/// A TCP segment from `source` to the server of the same family; flags choose which.
pub(crate) fn tcp(source: &str, port: u16, flags: u8) -> Frame {
    frame(source, server(source), port, Body::Tcp { flags, options: Vec::new(), data_offset: None })
}

/// A TCP segment with SYN alone.
pub(crate) fn syn(source: &str, port: u16) -> Frame {
    tcp(source, port, SYN)
}

/// A UDP datagram with four bytes.
pub(crate) fn udp(source: &str, port: u16) -> Frame {
    frame(source, server(source), port, Body::Udp { length: None })
        .with(|f| f.payload = b"ping".to_vec())
}

/// An ICMP or ICMPv6 message, by the family of the source.
pub(crate) fn icmp(source: &str, kind: u8, code: u8) -> Frame {
    frame(source, server(source), 0, Body::Icmp { kind, code }).with(|f| f.payload = vec![0; 32])
}

/// A datagram of another protocol.
pub(crate) fn other(source: &str, protocol: u8) -> Frame {
    frame(source, server(source), 0, Body::Other(protocol)).with(|f| f.payload = vec![0; 20])
}

/// An Ethernet frame of some EtherType that is not IP.
pub(crate) fn not_ip(ethertype: u16) -> Frame {
    other("192.0.2.1", 0).with(|f| f.ethertype = Some(ethertype))
}

fn server(source: &str) -> &'static str {
    if source.contains(':') { SERVER6 } else { SERVER }
}

impl Frame {
    /// The same with a change.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same to another address.
    pub(crate) fn to(self, destination: &str) -> Self {
        self.with(|f| f.destination = destination.parse().expect("a destination"))
    }

    /// The same with a payload.
    pub(crate) fn carrying(self, payload: &[u8]) -> Self {
        self.with(|f| f.payload = payload.to_vec())
    }

    /// The same with VLAN tags of these EtherTypes.
    pub(crate) fn tagged(self, tags: &[u16]) -> Self {
        self.with(|f| f.tags = tags.to_vec())
    }

    /// The same with IPv6 extension headers.
    pub(crate) fn extended(self, extensions: &[Extension]) -> Self {
        self.with(|f| f.extensions = extensions.to_vec())
    }

    /// The same as an IPv4 fragment: `offset` in units of 8 bytes. Later ones have no header.
    pub(crate) fn piece(self, offset: u16, more: bool) -> Self {
        self.with(|f| {
            f.fragment = u16::from(more) << 13 | offset;
            f.headless = offset != 0;
        })
    }

    /// The answer to it: source and destination change places.
    pub(crate) fn back(self) -> Self {
        self.with(|f| {
            std::mem::swap(&mut f.source, &mut f.destination);
            std::mem::swap(&mut f.source_port, &mut f.destination_port);
        })
    }

    /// The bytes on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        for tag in &self.tags {
            out.extend(tag.to_be_bytes());
            out.extend(self.tag.to_be_bytes());
        }
        let is_v4 = self.source.is_ipv4();
        let own = if is_v4 { 0x0800 } else { 0x86dd };
        out.extend(self.ethertype.unwrap_or(own).to_be_bytes());
        let transport = self.transport();
        if is_v4 {
            self.v4(&mut out, &transport);
        } else {
            self.v6(&mut out, &transport);
        }
        out.extend(transport);
        out.resize(out.len() + self.padding, 0);
        out.truncate(self.cut.unwrap_or(usize::MAX));
        out
    }

    fn protocol(&self) -> u8 {
        match self.body {
            Body::Tcp { .. } => 6,
            Body::Udp { .. } => 17,
            Body::Icmp { .. } if self.source.is_ipv4() => 1,
            Body::Icmp { .. } => 58,
            Body::Other(number) => number,
        }
    }

    fn v4(&self, out: &mut Vec<u8>, transport: &[u8]) {
        let header = 20 + self.options.len();
        let words = self.words.unwrap_or((header / 4) as u8);
        out.push(self.version.unwrap_or(4) << 4 | words);
        out.push(0);
        out.extend(self.length.unwrap_or((header + transport.len()) as u16).to_be_bytes());
        out.extend([0, 1]);
        out.extend(self.fragment.to_be_bytes());
        out.extend([self.hop_limit, self.protocol(), 0, 0]);
        for address in [self.source, self.destination] {
            let IpAddr::V4(v4) = address else { panic!("{address} in an IPv4 frame") };
            out.extend(v4.octets());
        }
        out.extend(&self.options);
    }

    fn v6(&self, out: &mut Vec<u8>, transport: &[u8]) {
        let extensions: usize = self.extensions.iter().map(|one| one.bytes.len()).sum();
        let numbers = self.extensions.iter().map(|one| one.number);
        let mut numbers = numbers.chain([self.protocol()]);
        out.push(self.version.unwrap_or(6) << 4);
        out.extend([0, 0, 0]);
        out.extend(self.length.unwrap_or((extensions + transport.len()) as u16).to_be_bytes());
        out.extend([numbers.next().expect("the protocol"), self.hop_limit]);
        for address in [self.source, self.destination] {
            let IpAddr::V6(v6) = address else { panic!("{address} in an IPv6 frame") };
            out.extend(v6.octets());
        }
        for (extension, next) in self.extensions.iter().zip(numbers) {
            out.push(next);
            out.extend(&extension.bytes[1..]);
        }
    }

    /// The transport header and the payload.
    fn transport(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.headless {
            out.extend(&self.payload);
            return out;
        }
        let ports = [self.source_port, self.destination_port].map(u16::to_be_bytes).concat();
        match &self.body {
            Body::Tcp { flags, options, data_offset } => {
                out.extend(ports);
                out.extend([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
                out.extend([data_offset.unwrap_or((5 + options.len() / 4) as u8) << 4, *flags]);
                out.extend(self.window.to_be_bytes());
                out.extend([0; 4]);
                out.extend(options);
            }
            Body::Udp { length } => {
                out.extend(ports);
                let own = (8 + self.payload.len()) as u16;
                out.extend(length.unwrap_or(own).to_be_bytes());
                out.extend([0, 0]);
            }
            Body::Icmp { kind, code } => out.extend([*kind, *code, 0, 0]),
            Body::Other(_) => {}
        }
        out.extend(&self.payload);
        out
    }
}
