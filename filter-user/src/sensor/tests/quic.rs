//! QUIC connections of real clients and servers, recorded on this project's own hosts (see
//! [`super::tls`] for the format; a segment is a datagram).

use filter_common::addr::Addr;
use filter_common::packet::protocol;
use filter_common::record::{Header, SEGMENT, VERSION};

use super::run;
use super::tls::{line, segments};
use super::wire::{Random, Record};
use crate::sensor::{Application, SensorConfig, Stats};

/// Name, recording, version of QUIC, and what is to be seen.
const RECORDINGS: &[(&str, &[u8], &str, &str)] = &[
    (
        "chromium to caddy",
        include_bytes!("data/quic_chromium"),
        "1",
        "1.3 of 1.3, lab.test, h3, TLS_AES_128_GCM_SHA256, q13d0312h3_55b375c5d22e_178839b6cec1",
    ),
    (
        "a server that goes on in version 2",
        include_bytes!("data/quic_v1_to_v2"),
        "2",
        "1.3 of 1.3, quic.lab.test, h3 hq-interop, TLS_AES_256_GCM_SHA384, \
         q13d0307h3_55b375c5d22e_1cecd519fee8",
    ),
    (
        "a server that asks for a token",
        include_bytes!("data/quic_retry"),
        "1",
        "1.3 of 1.3, quic.lab.test, h3 hq-interop, TLS_AES_256_GCM_SHA384, \
         q13d0307h3_55b375c5d22e_1cecd519fee8, again",
    ),
];

fn datagrams(recording: &[u8]) -> Vec<Record> {
    let ends = [(Addr::v4(0x0a00_0001), 40_000), (Addr::v4(0x0a00_0002), 443)];
    let mut time = 1_000_000_000;
    segments(recording)
        .into_iter()
        .map(|(side, payload)| {
            time += 100_000;
            let (source, destination) = (ends[side], ends[1 - side]);
            let header = Header {
                time,
                source: source.0,
                destination: destination.0,
                source_port: source.1,
                destination_port: destination.1,
                payload_len: payload.len() as u32,
                captured: payload.len() as u32,
                wire_len: payload.len() as u32 + 42,
                weight: 1 << 16,
                segments: 1,
                version: VERSION,
                kind: SEGMENT,
                protocol: protocol::UDP,
                ..Header::default()
            };
            Record { header, payload: payload.to_vec(), of: Vec::new() }
        })
        .collect()
}

fn told(records: &[Record]) -> (Vec<String>, Option<String>, Application, Stats) {
    let (seen, sensor) = run(records, SensorConfig::default());
    let lines = seen.handshakes.iter().map(line).collect();
    let version = seen.handshakes.first().map(|told| told.quic.unwrap().name());
    (lines, version, seen.flows[0].application, *sensor.stats())
}

#[test]
fn recorded_connections() {
    for (name, recording, version, expected) in RECORDINGS {
        let records = datagrams(recording);
        let (lines, seen, application, stats) = told(&records);
        assert_eq!(lines, [*expected], "{name}");
        assert_eq!(seen.as_deref(), Some(*version), "{name}");
        assert_eq!(application, Application::Quic);
        assert_eq!((stats.quic_bad_tags, stats.quic_malformed), (0, 0), "{name}");
        assert_eq!((stats.quic_flows, stats.quic_handshakes), (1, 1));
    }
}

/// A byte that is not what it was: the packet is not believed.
#[test]
fn forged_packets_are_not_believed() {
    for (name, recording, _, _) in RECORDINGS {
        let mut records = datagrams(recording);
        records.truncate(1);
        // In the version, the connection ID, the packet number, the content and the tag.
        for at in [2, 7, 30, 150, 250] {
            let mut records = records.clone();
            records[0].payload[at] ^= 1;
            let (lines, _, _, stats) = told(&records);
            assert!(lines.is_empty(), "{name}: byte {at}: {lines:?}");
            assert!(stats.quic_flows == 0 && stats.quic_bad_tags <= 1, "{name}: byte {at}");
        }
    }
    // A Retry whose tag is wrong does not change the keys.
    let mut records = datagrams(RECORDINGS[2].1);
    let last = records[1].payload.len() - 1;
    records[1].payload[last] ^= 1;
    let (lines, _, _, stats) = told(&records);
    assert!(lines[0].starts_with("1.3 of 1.3, quic.lab.test") && !lines[0].contains("again"));
    assert_eq!(stats.quic_bad_tags, 1);
}

/// Lost, repeated and mixed datagrams: nothing comes out that was not said.
#[test]
fn losses_never_make_anything_up() {
    let mut complete = 0;
    for seed in 0..600 {
        let random = &mut Random::new(5_000_000 + seed);
        let (name, recording, _, expected) = RECORDINGS[random.below(RECORDINGS.len())];
        let mut records = datagrams(recording);
        records.retain(|_| !random.one_in(4));
        for _ in 0..random.below(3) {
            let again = random.below(records.len());
            if let Some(record) = records.get(again).cloned() {
                records.insert(random.below(records.len()), record);
            }
        }
        if records.is_empty() {
            continue;
        }
        let (lines, ..) = told(&records);
        assert!(lines.len() <= 1, "seed {seed}");
        for line in lines {
            complete += usize::from(line == expected);
            let mut said = expected.split(", ");
            for part in line.split(", ").skip(1).filter(|part| !matches!(*part, "-" | "")) {
                assert!(said.any(|said| said == part), "seed {seed}, {name}: {line}");
            }
        }
    }
    assert!(complete > 50, "{complete}");
}

#[test]
fn what_is_no_quic() {
    let dns = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0].repeat(110);
    let long = [&[0xc3, 0, 0, 0, 1, 8][..], &[7; 8], &[0, 0, 0x44, 0x9e], &[9; 1300]].concat();
    for (payload, bad_tags) in [(dns, 0), (long, 1)] {
        let mut recording = vec![0];
        recording.extend((payload.len() as u16).to_be_bytes());
        recording.extend(payload);
        let (lines, _, application, stats) = told(&datagrams(&recording));
        assert!(lines.is_empty());
        assert_eq!(application, Application::Opaque);
        assert_eq!((stats.quic_bad_tags, stats.quic_flows), (bad_tags, 0));
        let many = told(&datagrams(&recording.repeat(20)));
        assert_eq!((many.2, many.3.opaque_flows), (Application::Opaque, 1));
        assert!(many.3.quic_bad_tags <= 9, "it is given up");
    }
}
