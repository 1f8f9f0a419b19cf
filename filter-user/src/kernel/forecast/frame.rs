//! The frame of an example: a TCP segment of a connection that is there, or a UDP datagram, without
//! payload or checksums, which no program of ours looks at.

use std::net::IpAddr;

use crate::policy::Protocol;
use crate::policy::examples::Example;

/// Ethernet, IP and transport header; both addresses are of one family.
pub(in crate::kernel) fn build(example: &Example, destination: IpAddr) -> Vec<u8> {
    let port = example.listen.port;
    let mut transport = Vec::new();
    transport.extend(40_000u16.to_be_bytes());
    transport.extend(port.port.to_be_bytes());
    match port.protocol {
        // Sequence and acknowledgement 0, five words, ACK, window 256.
        Protocol::Tcp => transport.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0]),
        Protocol::Udp => transport.extend([0, 8, 0, 0]),
    }
    let length = transport.len() as u16;
    let protocol = port.protocol.number();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    match (example.source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([8, 0, 0x45, 0]);
            frame.extend((length + 20).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        (source, destination) => {
            let octets = |address: IpAddr| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                IpAddr::V6(address) => address.octets(),
            };
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([protocol, 64]);
            frame.extend(octets(source));
            frame.extend(octets(destination));
        }
    }
    frame.extend(transport);
    // No Ethernet frame is shorter.
    frame.resize(frame.len().max(64), 0);
    frame
}
