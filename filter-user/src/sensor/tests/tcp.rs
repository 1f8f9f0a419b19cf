//! What a connection tells of itself: its opening, its retransmissions, resets and full windows.

use filter_common::packet::tcp_flags::{ACK, RST, SYN};

use super::run;
use super::wire::{CLIENT, SERVER, Wire};
use crate::sensor::{Opening, SensorConfig, Tcp};

const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn facts(write: impl FnOnce(&mut Wire)) -> Tcp {
    let mut wire = Wire::new([40_000, 8080], [10, 20]);
    write(&mut wire);
    let (seen, _) = run(&wire.records, SensorConfig::default());
    assert_eq!(seen.flows.len(), 1);
    seen.flows[0].tcp.unwrap()
}

fn whole(wire: &mut Wire) {
    wire.shake();
    wire.send(CLIENT, REQUEST, usize::MAX);
    wire.send(SERVER, ANSWER, usize::MAX);
}

#[test]
fn openings() {
    type Write = fn(&mut Wire);
    let rows: [(&str, Write, Opening); 6] = [
        ("whole", whole, Opening::Established),
        ("no answer", |wire| wire.segment(CLIENT, &[], SYN), Opening::Attempted),
        (
            "refused",
            |wire| {
                wire.segment(CLIENT, &[], SYN);
                wire.receive(CLIENT);
                wire.segment(SERVER, &[], RST | ACK);
            },
            Opening::Rejected,
        ),
        ("the client never goes on", Wire::shake, Opening::HalfOpen),
        (
            "the client resets",
            |wire| {
                wire.shake();
                wire.segment(CLIENT, &[], RST);
            },
            Opening::HalfOpen,
        ),
        ("from its middle", |wire| wire.send(CLIENT, REQUEST, usize::MAX), Opening::Midstream),
    ];
    for (what, write, expected) in rows {
        assert_eq!(facts(write).opening, expected, "{what}");
    }
}

#[test]
fn handshakes_and_counts() {
    let plain = facts(whole);
    // SYN, SYN-ACK and request are a step apart each.
    assert_eq!(plain.handshake, Some(200_000));
    assert_eq!((plain.retransmissions, plain.resets, plain.zero_windows), Default::default());
    assert!(!plain.unfinished_head);
    assert_eq!(facts(|wire| wire.send(CLIENT, REQUEST, usize::MAX)).handshake, None);

    // A SYN that is repeated counts from the first: somebody waited that long.
    let patient = facts(|wire| {
        wire.segment(CLIENT, &[], SYN);
        let mut first = wire.records.clone();
        let mut again = Wire::new([40_000, 8080], [10, 20]);
        again.time = wire.time + 1_000_000_000;
        whole(&mut again);
        first.append(&mut again.records);
        wire.records = first;
    });
    assert_eq!((patient.handshake, patient.retransmissions), (Some(1_000_300_000), [1, 0]));

    let noisy = facts(|wire| {
        whole(wire);
        let request = wire.records[2].clone();
        let answer = wire.records[3].clone();
        wire.records.extend([request, answer.clone(), answer]);
        wire.segment(SERVER, &[], ACK);
        wire.records.last_mut().unwrap().header.tcp_window = 0;
        wire.segment(CLIENT, &[], RST);
        wire.records.last_mut().unwrap().header.tcp_window = 0;
    });
    assert_eq!(noisy.retransmissions, [1, 2]);
    assert_eq!(noisy.resets, [1, 0]);
    assert_eq!(noisy.zero_windows, [0, 1], "a reset's window means nothing");
}

#[test]
fn heads_that_never_end() {
    for (sent, unfinished) in [
        (&b"GET /a HTTP/1.1\r\nX: "[..], true),
        (b"GET /a HT", true),
        (b"POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n1234", false),
    ] {
        let found = facts(|wire| {
            wire.shake();
            wire.send(CLIENT, sent, 7);
        });
        assert_eq!(found.unfinished_head, unfinished);
    }
}
