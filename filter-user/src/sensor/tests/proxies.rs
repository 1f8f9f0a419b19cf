//! Clients behind proxies: what a PROXY header and the fields of a request say of them.

use std::net::IpAddr;

use super::wire::{CLIENT, SERVER, Wire};
use super::{line, run};
use crate::sensor::SensorConfig;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_header_before_the_connection_in_parts_of_every_size() {
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\xc6\x33\x64\x01\x9c\x40\x01\xbb";
    for (header, client) in [
        (&b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 443\r\n"[..], Some("192.0.2.9")),
        (v2, Some("192.0.2.9")),
        (b"PROXY UNKNOWN\r\n", None),
    ] {
        let sent = [header, b"GET /a HTTP/1.1\r\n\r\n"].concat();
        for most in 1..=sent.len() {
            let mut wire = Wire::open([10, 20]);
            wire.send(CLIENT, &sent, most);
            wire.send(SERVER, ANSWER, usize::MAX);
            wire.send(CLIENT, b"GET /b HTTP/1.1\r\n\r\n", most);
            wire.send(SERVER, ANSWER, usize::MAX);
            let (seen, sensor) = run(&wire.records, SensorConfig::default());
            let lines: Vec<_> = seen.transactions.iter().map(line).collect();
            assert_eq!(lines, ["GET /a 200 0 0", "GET /b 200 0 0"], "parts of {most}");
            let client: Option<IpAddr> = client.map(|text| text.parse().unwrap());
            assert!(seen.transactions.iter().all(|transaction| transaction.announced == client));
            assert_eq!(seen.flows[0].announced, client);
            assert_eq!(sensor.stats().announced_flows, 1);
        }
    }
}

/// Methods that begin like a header, split at every byte.
#[test]
fn what_only_looks_like_one() {
    for request in
        ["PUT /a HTTP/1.1\r\n\r\n", "PROPFIND /a HTTP/1.1\r\n\r\n", "PRX /a HTTP/1.1\r\n\r\n"]
    {
        for most in 1..request.len() {
            let mut wire = Wire::open([10, 20]);
            wire.send(CLIENT, request.as_bytes(), most);
            wire.send(SERVER, ANSWER, usize::MAX);
            let (seen, sensor) = run(&wire.records, SensorConfig::default());
            assert_eq!(seen.transactions.len(), 1, "{request:?} in parts of {most}");
            assert!(seen.transactions[0].complete && seen.transactions[0].announced.is_none());
            assert_eq!(sensor.stats().announced_flows, 0);
        }
    }
}

/// A header of which a part is lost, or that is not at the beginning, is no header.
#[test]
fn only_at_the_beginning_and_whole() {
    let header = b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 443\r\n";
    let mut lost = Wire::open([10, 20]);
    lost.send(CLIENT, &header[..10], usize::MAX);
    lost.lose(CLIENT, &header[10..20]);
    lost.send(CLIENT, &header[20..], usize::MAX);
    let mut late = Wire::new([40_000, 8080], [10, 20]);
    late.send(CLIENT, header, usize::MAX);
    for mut wire in [lost, late] {
        wire.send(CLIENT, b"GET /a HTTP/1.1\r\n\r\n", usize::MAX);
        wire.send(SERVER, ANSWER, usize::MAX);
        let (seen, _) = run(&wire.records, SensorConfig::default());
        assert_eq!(seen.flows.len(), 1);
        assert_eq!(seen.flows[0].announced, None);
        assert!(seen.transactions.iter().all(|transaction| transaction.announced.is_none()));
    }
}
