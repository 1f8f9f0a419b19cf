//! Building the packets that no honest client sends: TCP SYN and UDP, IPv4 and IPv6, from any
//! source. Multi-byte fields are in network byte order.

use std::net::IpAddr;

use anyhow::{Result, bail};

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A UDP datagram to this port with this many bytes of payload.
    Udp {
        /// Destination port.
        port: u16,
        /// Bytes after the UDP header.
        payload: u16,
    },
    /// The first packet of a connection to this port.
    Syn {
        /// Destination port.
        port: u16,
    },
}

/// Addresses of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Hardware address of the sender.
    pub from: [u8; 6],
    /// Hardware address of the receiver.
    pub to: [u8; 6],
    /// Source address, true or not.
    pub source: IpAddr,
    /// Source port.
    pub source_port: u16,
    /// Destination address, of the same family.
    pub destination: IpAddr,
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// An Ethernet frame with valid checksums (RFC 791, 768, 9293, 8200).
pub fn build(route: &Route, transport: Transport) -> Result<Vec<u8>> {
    let (protocol, mut segment, checksum_at) = match transport {
        Transport::Udp { port, payload } => (UDP, udp(route.source_port, port, payload), 6),
        Transport::Syn { port } => (TCP, syn(route.source_port, port), 16),
    };
    let length = u16::try_from(segment.len())?;
    let (ether_type, header, pseudo) = match (route.source, route.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let addresses = [source.octets(), destination.octets()].concat();
            let mut header = vec![0x45, 0];
            header.extend((length + 20).to_be_bytes());
            // No identification, "don't fragment", 64 hops, checksum to come.
            header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            header.extend(&addresses);
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            (0x0800_u16, header, addresses)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let addresses = [source.octets(), destination.octets()].concat();
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length.to_be_bytes());
            header.extend([protocol, 64]);
            header.extend(&addresses);
            (0x86dd, header, addresses)
        }
        (source, destination) => bail!("{source} and {destination} are of two families"),
    };
    let sum = checksum(&[&pseudo, &[0, protocol], &length.to_be_bytes(), &segment]);
    // In UDP 0 means "none" (RFC 768); all ones is the same number.
    let sum = if protocol == UDP && sum == 0 { 0xffff } else { sum };
    segment[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());

    let mut frame = [route.to, route.from].concat();
    frame.extend(ether_type.to_be_bytes());
    frame.extend(header);
    frame.extend(segment);
    Ok(frame)
}

fn udp(source: u16, destination: u16, payload: u16) -> Vec<u8> {
    let mut segment =
        [source, destination, payload.saturating_add(8), 0].map(u16::to_be_bytes).concat();
    segment.resize(8 + usize::from(payload), b'w');
    segment
}

fn syn(source: u16, destination: u16) -> Vec<u8> {
    let mut segment = [source, destination].map(u16::to_be_bytes).concat();
    // Sequence and acknowledgement numbers, a header of five words, SYN, a window.
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, 0x02]);
    segment.extend([0xfa, 0xf0, 0, 0, 0, 0]);
    segment
}

/// The Internet checksum (RFC 1071) over parts, of which all but the last have even lengths.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |low| u32::from(*low)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(source: &str, destination: &str) -> Route {
        Route {
            from: [2, 0, 0, 0, 0, 1],
            to: [2, 0, 0, 0, 0, 2],
            source: source.parse().expect("an address"),
            source_port: 40_000,
            destination: destination.parse().expect("an address"),
        }
    }

    #[test]
    fn the_checksum_of_rfc_1071_section_3() {
        let example = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&[&example]), !0xddf2);
        assert_eq!(checksum(&[&example[..4], &example[4..]]), !0xddf2);
    }

    #[test]
    fn frames_have_the_right_size_and_sums() {
        let v4 = ("198.51.100.7", "192.0.2.1");
        let v6 = ("2001:db8:1::7", "2001:db8::1");
        let rows = [
            ("IPv4 UDP", v4, Transport::Udp { port: 53, payload: 9 }, 14 + 20 + 8 + 9),
            ("IPv4 SYN", v4, Transport::Syn { port: 80 }, 14 + 20 + 20),
            ("IPv6 UDP", v6, Transport::Udp { port: 53, payload: 0 }, 14 + 40 + 8),
            ("IPv6 SYN", v6, Transport::Syn { port: 80 }, 14 + 40 + 20),
        ];
        for (name, (source, destination), transport, size) in rows {
            let frame = build(&route(source, destination), transport).expect(name);
            assert_eq!(frame.len(), size, "{name}");
            let is_v4 = frame[12..14] == [0x08, 0x00];
            let (addresses, segment, protocol) = if is_v4 {
                assert_eq!(checksum(&[&frame[14..34]]), 0, "{name}: header");
                (&frame[26..34], &frame[34..], frame[23])
            } else {
                (&frame[22..54], &frame[54..], frame[20])
            };
            let length = u16::try_from(segment.len()).expect("short").to_be_bytes();
            assert_eq!(checksum(&[addresses, &[0, protocol], &length, segment]), 0, "{name}");
        }
    }

    #[test]
    fn two_families_do_not_mix() {
        build(&route("192.0.2.1", "2001:db8::1"), Transport::Syn { port: 80 })
            .expect_err("IPv4 to IPv6");
    }
}
