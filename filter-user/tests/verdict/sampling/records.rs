//! What is taken of a packet, field by field.

use filter_common::reason::Reason;
use filter_common::record::{EGRESS, Header, SEGMENT, V4, VERSION, WOULD};
use filter_user::kernel::clock::monotonic_ns;
use filter_user::sensor::transaction::addr;

use super::{Sensor, data};
use crate::frame::{ACK, Body, FIN, Frame, PSH, RST, SYN, icmp, syn, tcp, udp};
use crate::rows::{CLIENT, CLIENT6, STRANGER};

#[test]
fn what_is_taken() {
    let mut sensor = Sensor::open(|_| {});
    let (web, watched) = (sensor.api("web"), sensor.api("watched"));
    /// What is said of the packet, the packet, and what its record says, if there is one.
    type Row = (&'static str, Frame, Option<(u32, u8, Reason)>);
    let rows: Vec<Row> = vec![
        ("SYN", syn(CLIENT, 8080), Some((web, 0, Reason::Allowed))),
        ("data", data(CLIENT, 8080, b"x"), Some((web, 0, Reason::Allowed))),
        ("end", tcp(CLIENT6, 8080, ACK | FIN), Some((web, 0, Reason::Allowed))),
        ("reset", tcp(CLIENT, 8080, RST), Some((web, 0, Reason::Allowed))),
        ("nothing but an ACK", tcp(CLIENT, 8080, ACK), None),
        ("an ACK without room", tcp(CLIENT, 8080, ACK).with(|f| f.window = 0), {
            Some((web, 0, Reason::Allowed))
        }),
        ("padding is no payload", tcp(CLIENT, 8080, ACK).with(|f| f.padding = 6), None),
        ("UDP", udp(CLIENT6, 8080), Some((web, 0, Reason::Allowed))),
        ("empty UDP", udp(CLIENT, 8080).carrying(b""), None),
        ("echo", icmp(CLIENT, 8, 0), None),
        ("first fragment", data(CLIENT, 8080, &[1; 32]).piece(0, true), {
            Some((web, 0, Reason::Allowed))
        }),
        ("later fragment", data(CLIENT, 8080, &[1; 32]).piece(9, true), None),
        ("no API", data(CLIENT, 81, b"x"), Some((0, 0, Reason::Unclaimed))),
        ("what is dropped", data(STRANGER, 8080, b"x"), None),
        ("what would be", data(STRANGER, 9090, b"x"), Some((watched, WOULD, Reason::NotAllowed))),
        ("an opaque API", data(CLIENT, 22, b"x"), None),
        ("malformed", data(CLIENT, 8080, b"x").with(|f| f.length = Some(9)), None),
    ];
    for (what, frame, expected) in rows {
        sensor.comes_in(&frame);
        let family = if frame.source.is_ipv4() { V4 } else { 0 };
        let known = V4 | WOULD | EGRESS;
        let records = sensor.records();
        let segments: Vec<_> = records
            .iter()
            .filter(|record| record.0.kind == SEGMENT)
            .map(|(header, ..)| (header.api, header.flags & known, header.reason))
            .collect();
        let expected: Vec<_> = expected
            .map(|(api, flags, reason)| (api, flags | family, reason as u8))
            .into_iter()
            .collect();
        assert_eq!(segments, expected, "{what}");
    }
    let [attempted, submitted, ..] = sensor.outcomes();
    assert_eq!((attempted, submitted), (9, 9));
}

#[test]
fn what_goes_out() {
    let mut sensor = Sensor::open(|_| {});
    let web = sensor.api("web");
    for (what, frame, expected) in [
        ("a response", data(CLIENT, 8080, b"hello").back(), Some(web)),
        ("a response, IPv6", data(CLIENT6, 8080, b"hello").back(), Some(web)),
        ("this host's own request", data(CLIENT, 50_000, b"hello").back(), Some(0)),
        ("an opaque API's response", data(CLIENT, 22, b"hello").back(), None),
        ("an ACK", tcp(CLIENT, 8080, ACK).back(), None),
    ] {
        sensor.goes_out(&frame);
        let records = sensor.records();
        let found: Vec<_> = records.iter().map(|(header, ..)| header.api).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{what}");
        assert!(records.iter().all(|(header, ..)| header.flags & EGRESS != 0), "{what}");
    }
    let sent = sensor.kernel.state.counters.egress(web).expect("counters");
    let frames = [data(CLIENT, 8080, b"hello"), data(CLIENT6, 8080, b"hello"), tcp(CLIENT, 1, ACK)];
    let bytes: usize = frames.iter().map(|frame| frame.bytes().len()).sum();
    assert_eq!((sent.packets, sent.bytes), (3, bytes as u64));
}

#[test]
fn a_record_holds_what_the_packet_held() {
    let mut sensor = Sensor::open(|settings| (settings.snap, settings.turn) = (16 * 1024, 1 << 20));
    let long: Vec<u8> = (0..8_900u32).map(|n| (n * 7 + n / 256) as u8).collect();
    let mut rows = Vec::new();
    for client in [CLIENT, CLIENT6] {
        for length in [1, 2, 63, 64, 65, 1_000, 1_460, 3_000, 8_900] {
            rows.push(data(client, 8080, &long[..length]));
            rows.push(udp(client, 8080).carrying(&long[..length]));
        }
        rows.push(syn(client, 8080));
        rows.push(data(client, 8080, b"tagged").tagged(&[0x88a8, 0x8100]));
        rows.push(data(client, 8080, b"padded").with(|f| f.padding = 9));
    }
    rows.push(data(CLIENT, 8080, b"options").with(|f| f.options = vec![1; 40]));
    for (number, frame) in rows.iter().enumerate() {
        let before = monotonic_ns();
        sensor.comes_in(frame);
        let after = monotonic_ns();
        let records = sensor.records();
        let [(header, payload, 0)] = &records[..] else { panic!("{frame:?}: {records:?}") };
        let is_tcp = !matches!(frame.body, Body::Udp { .. });
        let expected = Header {
            time: header.time,
            sequence: number as u64,
            source: addr(frame.source),
            destination: addr(frame.destination),
            tcp_seq: if is_tcp { 0x1122_3344 } else { 0 },
            tcp_ack: if is_tcp { 0x5566_7788 } else { 0 },
            payload_len: frame.payload.len() as u32,
            captured: frame.payload.len() as u32,
            wire_len: frame.bytes().len() as u32,
            api: sensor.api("web"),
            interface: 1,
            generation: sensor.kernel.generation.number,
            weight: 1 << 16,
            cpu: header.cpu,
            source_port: 40_000,
            destination_port: 8080,
            tcp_window: if is_tcp { 0x2021 } else { 0 },
            segments: 1,
            version: VERSION,
            kind: SEGMENT,
            flags: if frame.source.is_ipv4() { V4 } else { 0 },
            reason: Reason::Allowed as u8,
            protocol: if is_tcp { 6 } else { 17 },
            tcp_flags: match (is_tcp, frame.payload.is_empty()) {
                (true, true) => SYN,
                (true, false) => ACK | PSH,
                _ => 0,
            },
            reserved: [0; 2],
        };
        assert_eq!(*header, expected);
        assert!((before..=after).contains(&header.time), "{before} {} {after}", header.time);
        assert!(*payload == frame.payload, "payload of {} bytes", frame.payload.len());
    }
}

#[test]
fn the_snap_cuts_and_says_so() {
    let long: Vec<u8> = (0..8_000u32).map(|n| (n / 3) as u8).collect();
    for snap in [1, 64, 1_000, 4_096] {
        let mut sensor = Sensor::open(|settings| settings.snap = snap);
        for length in [1, 63, 64, 65, 999, 1_001, 4_095, 4_096, 4_097, 8_000] {
            sensor.comes_in(&data(CLIENT, 8080, &long[..length]));
            // The kernel makes no larger packet for a TC program.
            let both_ways = length <= 1_001;
            if both_ways {
                sensor.goes_out(&data(CLIENT, 8080, &long[..length]).back());
            }
            let records = sensor.records();
            assert_eq!(records.len(), 1 + usize::from(both_ways), "{length} bytes");
            for (header, payload, _) in records {
                let kept = length.min(snap as usize);
                assert_eq!((header.payload_len, header.captured), (length as u32, kept as u32));
                assert!(payload == long[..kept], "{length} bytes, {snap} kept");
            }
        }
    }
}
