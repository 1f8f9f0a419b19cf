//! How much of a turn is shipped, and what is shipped whole.

use filter_common::packet::tcp_flags;
use filter_common::record::{CONTINUED, Header, MAX_SNAP};

use super::{Record, Sensor, data};
use crate::frame::{ACK, FIN, Frame, PSH, tcp, udp};
use crate::rows::{CLIENT, CLIENT6};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Length on the wire and bytes shipped.
fn lengths(records: &[Record]) -> Vec<(u32, usize)> {
    records.iter().map(|(header, payload, _)| (header.payload_len, payload.len())).collect()
}

#[test]
fn the_first_bytes_of_a_turn_and_then_lengths() {
    let mut sensor = Sensor::open(|settings| (settings.snap, settings.turn) = (1_000, 2_500));
    for client in [CLIENT, CLIENT6] {
        for make in [
            |client: &str, bytes: &[u8]| data(client, 8080, bytes),
            |client: &str, bytes: &[u8]| udp(client, 8080).carrying(bytes),
        ] {
            let body = [7; 1_400];
            for expected in [1_000, 1_000, 500, 0, 0] {
                sensor.comes_in(&make(client, &body));
                assert_eq!(lengths(&sensor.records()), [(1_400, expected)], "{client}");
            }
            // The answer is a turn of its own, and what follows it.
            for expected in [900, 900, 700, 0] {
                sensor.goes_out(&make(client, &body[..900]).back());
                assert_eq!(lengths(&sensor.records()), [(900, expected)], "{client}");
            }
            sensor.comes_in(&make(client, b"again"));
            assert_eq!(lengths(&sensor.records()), [(5, 5)], "{client}");
        }
    }
    let [attempted, submitted, ..] = sensor.outcomes();
    assert_eq!((attempted, submitted), (40, 40));
}

/// A connection of its own: the source port is the number.
fn segment(number: u16, flags: u8, payload: &[u8]) -> Frame {
    tcp(CLIENT, 8080, flags).with(|f| f.source_port = number).carrying(payload)
}

#[test]
fn http2_is_shipped_whole() {
    let mut sensor = Sensor::open(|settings| (settings.snap, settings.turn) = (64, 64));
    let long: Vec<u8> = (0..40_000u32).map(|n| (n * 7 + n / 256) as u8).collect();
    for (number, (opening, whole)) in
        [(PREFACE, true), (b"GET / HTTP/1.1\r\n\r\n", false)].into_iter().enumerate()
    {
        let port = 30_000 + number as u16;
        sensor.comes_in(&segment(port, ACK | PSH, opening));
        assert_eq!(sensor.records().len(), 1);
        sensor.outcomes();
        sensor.comes_in(&segment(port, ACK | PSH | FIN, &long));
        let records = sensor.records();
        if !whole {
            assert_eq!(lengths(&records), [(40_000, 64 - opening.len())]);
            continue;
        }
        let most = MAX_SNAP as usize;
        let parts =
            [(MAX_SNAP, most), (MAX_SNAP, most), (40_000 - 2 * MAX_SNAP, 40_000 - 2 * most)];
        assert_eq!(lengths(&records), parts);
        let bytes: Vec<u8> = records.iter().flat_map(|(_, payload, _)| payload.clone()).collect();
        assert!(bytes == long, "the payload, put together again");
        let first = records[0].0;
        for (part, (header, _, lost)) in records.iter().enumerate() {
            let (last, continued) = (part == 2, part != 0);
            let expected = Header {
                tcp_seq: first.tcp_seq + part as u32 * MAX_SNAP,
                sequence: first.sequence + part as u64,
                payload_len: parts[part].0,
                captured: parts[part].0,
                tcp_flags: ACK | PSH | if last { tcp_flags::FIN } else { 0 },
                flags: first.flags | if continued { CONTINUED } else { 0 },
                segments: u16::from(!continued),
                wire_len: if continued { 0 } else { first.wire_len },
                ..first
            };
            assert_eq!((*header, *lost), (expected, 0), "part {part}");
        }
    }
    let [attempted, submitted, ..] = sensor.outcomes();
    assert_eq!((attempted, submitted), (6, 6), "every record counts");
}

/// What does not fit into the parts of one packet is known to be missing.
#[test]
fn the_longest_packet() {
    let mut sensor = Sensor::open(|_| {});
    let port = 31_000;
    sensor.comes_in(&segment(port, ACK, PREFACE));
    sensor.records();
    let long = vec![3; 65_400];
    sensor.comes_in(&segment(port, ACK, &long));
    let records = sensor.records();
    assert_eq!(records.len(), 4);
    assert_eq!(lengths(&records).iter().map(|(wire, _)| *wire as usize).sum::<usize>(), 65_400);
    assert_eq!(lengths(&records).iter().map(|(_, shipped)| shipped).sum::<usize>(), 65_400);
}

/// Ciphertext, of which nobody reads more than the headers of the first records.
#[test]
fn what_is_encrypted_is_not_shipped() {
    let mut sensor = Sensor::open(|settings| (settings.snap, settings.turn) = (4096, 16_384));
    let port = 32_000;
    let bytes = |first: &[u8], length: usize| [first, &vec![0xa5; length - first.len()]].concat();
    let data = [23, 3, 3, 0x40, 0];
    for (step, (out, payload, shipped)) in [
        (false, bytes(&[22, 3, 1, 2, 0], 1800), 1800),
        (true, bytes(&[22, 3, 3, 0, 90], 3000), 3000),
        (true, bytes(&[], 3000), 3000),
        (false, bytes(&[20, 3, 3, 0, 1], 80), 80),
        (false, bytes(&data, 500), 500),
        (true, bytes(&data, 3000), 2048),
        (true, bytes(&[], 3000), 0),
        (false, bytes(&data, 3000), 2048),
        (true, bytes(&[], 1000), 1000),
        (true, bytes(&[], 3000), 1048),
        // Not for good: whoever speaks in the clear is read.
        (false, b"GET /".repeat(1000), 4096),
    ]
    .into_iter()
    .enumerate()
    {
        let frame = segment(port, ACK | PSH, &payload);
        if out {
            sensor.goes_out(&frame.back());
        } else {
            sensor.comes_in(&frame);
        }
        let records = sensor.records();
        assert_eq!(lengths(&records), [(payload.len() as u32, shipped)], "step {step}");
        assert!(records[0].1 == payload[..shipped], "step {step}");
    }
    let [attempted, submitted, dropped, ..] = sensor.outcomes();
    assert_eq!((attempted, submitted, dropped), (11, 11, 0));
}
