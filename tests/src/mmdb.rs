//! Small databases of where addresses are, in MaxMind's format (MaxMind DB file format
//! specification, version 2): IPv4 networks, each with a country and an autonomous system.

use std::net::Ipv4Addr;

/// What separates the tree from the data.
const SEPARATOR: [u8; 16] = [0; 16];
/// What the metadata begin behind.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Bits of a record of the tree.
const RECORD: u8 = 24;

/// A network and what is said of it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its first address, and how many bits of it count.
    pub network: (Ipv4Addr, u32),
    /// ISO 3166-1 alpha-2.
    pub country: &'a str,
    /// Number of the autonomous system.
    pub asn: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Record {
    Nothing,
    Node(usize),
    /// Place in the data section.
    Data(usize),
}

/// A database of these networks, which do not overlap.
pub fn database(kind: &str, places: &[Place<'_>]) -> Vec<u8> {
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for place in places {
        let (address, bits) = place.network;
        let bit = |at: u32| (address.to_bits() >> (31 - at) & 1) as usize;
        let mut node = 0;
        for at in 0..bits - 1 {
            node = match nodes[node][bit(at)] {
                Record::Node(next) => next,
                _ => {
                    nodes.push([Record::Nothing; 2]);
                    let next = nodes.len() - 1;
                    nodes[node][bit(at)] = Record::Node(next);
                    next
                }
            };
        }
        nodes[node][bit(bits - 1)] = Record::Data(data.len());
        data.extend(map(&[
            ("country", map(&[("iso_code", text(place.country))])),
            ("autonomous_system_number", unsigned(6, place.asn)),
        ]));
    }
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let value = match record {
            Record::Nothing => nodes.len(),
            Record::Node(node) => *node,
            Record::Data(at) => nodes.len() + SEPARATOR.len() + at,
        };
        file.extend(&(value as u32).to_be_bytes()[1..]);
    }
    file.extend(SEPARATOR);
    file.extend(data);
    file.extend(MARKER);
    file.extend(map(&[
        ("node_count", unsigned(6, nodes.len() as u32)),
        ("record_size", unsigned(5, RECORD.into())),
        ("ip_version", unsigned(5, 4)),
        ("database_type", text(kind)),
        ("languages", vec![0, 4]),
        ("binary_format_major_version", unsigned(5, 2)),
        ("binary_format_minor_version", unsigned(5, 0)),
        ("build_epoch", unsigned(9, 1_700_000_000)),
        ("description", map(&[("en", text("made for a test"))])),
    ]));
    file
}

/// A map of the data section.
fn map(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![7 << 5 | pairs.len() as u8];
    for (key, value) in pairs {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes
}

/// A text of less than 29 bytes.
fn text(value: &str) -> Vec<u8> {
    [&[2 << 5 | value.len() as u8], value.as_bytes()].concat()
}

/// An unsigned integer: of 16 bits (5), 32 bits (6) or 64 bits (9).
fn unsigned(kind: u8, value: u32) -> Vec<u8> {
    let bytes = if kind == 5 { &value.to_be_bytes()[2..] } else { &value.to_be_bytes()[..] };
    let size = bytes.len() as u8;
    let control = if kind < 8 { vec![kind << 5 | size] } else { vec![size, kind - 7] };
    [&control, bytes].concat()
}
