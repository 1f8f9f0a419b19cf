//! TLS connections of real clients and servers, recorded on this project's own hosts: however they
//! are cut, repeated, reordered and lost, what comes out is what was said, or nothing.
//!
//! A recording is what went over a connection in the order in which it was sent: for each segment a
//! byte that is 0 for the client, two of length, and the payload.

use super::property::{repeat, shuffle};
use super::wire::{CLIENT, Random, SERVER, Wire};
use super::{Seen, run};
use crate::sensor::encrypted::{Cipher, Handshake, TlsVersion, Turn};
use crate::sensor::{Application, SensorConfig};

/// A recording, and what is to be seen in it.
struct Recording {
    name: &'static str,
    bytes: &'static [u8],
    handshake: &'static str,
    /// Bytes each way of every turn.
    turns: &'static [(u64, u64)],
}

macro_rules! recordings {
    ($($name:literal $handshake:literal $turns:expr;)+) => {
        &[$(Recording {
            name: $name,
            bytes: include_bytes!(concat!("data/", $name)),
            handshake: $handshake,
            turns: &$turns,
        }),+]
    };
}

const OPENSSL: &str = "TLS_AES_256_GCM_SHA384";

/// nginx and `openssl s_server`, of OpenSSL 3.0; curl and `openssl s_client` of the same; Chromium.
#[rustfmt::skip]
const RECORDINGS: &[Recording] = recordings! {
    "tls13_curl" "1.3 of 1.3, lab.test, http/1.1, TLS_AES_256_GCM_SHA384, t13d3112h1_e8f1e7e78f70_b26ce05bbdd6"
        [(104, 263), (104, 263), (104, 263)];
    "tls13_curl_h2" "1.3 of 1.3, lab.test, h2 http/1.1, TLS_AES_256_GCM_SHA384, t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"
        [(153, 181), (43, 150)];
    "tls13_client_certificate" "1.3 of 1.3, lab.test, http/1.1, TLS_AES_256_GCM_SHA384, t13d3112h1_e8f1e7e78f70_b26ce05bbdd6"
        [(104, 263), (104, 263)];
    "tls13_retry" "1.3 of 1.3, hrr.lab.test, , TLS_AES_256_GCM_SHA384, t13d311000_e8f1e7e78f70_1f22a2ca17c4, again"
        [(40, 5051)];
    // The second turn's answer is a ticket: alone, it looks like any record.
    "tls13_early_data" "1.3 of 1.3, early.lab.test, , TLS_AES_256_GCM_SHA384, t13d311200_e8f1e7e78f70_87f12a3f655c"
        [(54, 263), (33, 0)];
    "tls13_chromium" "1.3 of 1.3, lab.test, h2 http/1.1, TLS_AES_128_GCM_SHA256, t13d1517h2_8daaf6152771_cb7bf5808d99"
        [(565, 171), (171, 38)];
    "tls12_curl" "1.2 of 1.3, lab.test, http/1.1 > http/1.1, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, t13d3112h1_e8f1e7e78f70_b26ce05bbdd6, until 1802000421"
        [(111, 270), (111, 270)];
    "tls10_curl" "1.0 of 1.0, lab.test, http/1.1 > http/1.1, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, t10d0906h1_c491f621fb4c_d4d584b446d3, until 1802000421"
        [(162, 281)];
};

/// The segments of a recording: side and payload.
pub(super) fn segments(mut bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut out = Vec::new();
    while let Some(([side, high, low], rest)) = bytes.split_first_chunk() {
        let (payload, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        out.push((usize::from(*side), payload));
        bytes = rest;
    }
    out
}

fn connection(recording: &Recording, isn: [u32; 2], most: usize) -> Wire {
    let mut wire = Wire::open(isn);
    for (side, payload) in segments(recording.bytes) {
        wire.send(side, payload, most);
    }
    wire.fin(CLIENT);
    wire.fin(SERVER);
    wire
}

/// A handshake in one line.
pub(super) fn line(told: &Handshake) -> String {
    let version = |version: Option<TlsVersion>| version.map_or("-".to_owned(), TlsVersion::name);
    format!(
        "{} of {}, {}, {}{}, {}, {}{}{}",
        version(told.version),
        version(told.offered),
        told.sni.as_deref().unwrap_or("-"),
        told.alpn.join(" "),
        told.alpn_selected.as_ref().map_or_else(String::new, |name| format!(" > {name}")),
        told.cipher.map_or_else(|| "-".to_owned(), Cipher::name),
        told.ja4.as_deref().unwrap_or("-"),
        if told.retried { ", again" } else { "" },
        told.not_after.map_or_else(String::new, |end| format!(", until {end}")),
    )
}

fn sizes(turns: &[Turn]) -> Vec<(u64, u64)> {
    turns.iter().map(|turn| (turn.request_bytes, turn.response_bytes)).collect()
}

fn check(recording: &Recording, seen: &Seen, how: &str) {
    let lines: Vec<String> = seen.handshakes.iter().map(line).collect();
    assert_eq!(lines, [recording.handshake], "{}, {how}", recording.name);
    assert_eq!(sizes(&seen.turns), recording.turns, "{}, {how}", recording.name);
    let [told] = seen.handshakes.as_slice() else { unreachable!() };
    assert!(told.complete && told.handshake && told.duration.is_some(), "{told:?}");
    assert!(seen.transactions.is_empty());
    assert_eq!(seen.flows[0].application, Application::Tls);
}

#[test]
fn cut_into_segments_of_any_size() {
    for recording in RECORDINGS {
        for most in (1..60).chain([100, 500, 1448, usize::MAX]) {
            let wire = connection(recording, [1, 2], most);
            let (seen, sensor) = run(&wire.records, SensorConfig::default());
            check(recording, &seen, &format!("segments of {most}"));
            let stats = sensor.stats();
            assert_eq!((stats.tls_malformed, stats.tls_resynchronised), (0, 0));
            assert_eq!((stats.tls_flows, stats.tls_joined_late), (1, 0));
            assert_eq!(stats.tls_turns, recording.turns.len() as u64);
        }
    }
}

/// Each segment of the handshake, and of the first turn, cut in two at every byte.
#[test]
fn cut_in_two_at_every_byte() {
    for recording in RECORDINGS {
        let segments = segments(recording.bytes);
        for (place, (_, payload)) in segments.iter().enumerate().take(6) {
            for cut in 1..payload.len() {
                let mut wire = Wire::open([5, 6]);
                for (at, &(side, payload)) in segments.iter().enumerate() {
                    let (first, second) = payload.split_at(if at == place { cut } else { 0 });
                    wire.send(side, first, usize::MAX);
                    wire.send(side, second, usize::MAX);
                }
                let (seen, _) = run(&wire.records, SensorConfig::default());
                check(recording, &seen, &format!("segment {place} cut at {cut}"));
            }
        }
    }
}

#[test]
fn cutting_repeating_and_reordering_change_nothing() {
    for seed in 0..400 {
        let random = &mut Random::new(3_000_000 + seed);
        let recording = &RECORDINGS[random.below(RECORDINGS.len())];
        let mut isn = || (random.next() as u32) | if random.one_in(2) { 0xffff_0000 } else { 0 };
        let isn = [isn(), isn()];
        let most = 1 + random.below(1500);
        let wire = connection(recording, isn, most);
        let (plain, _) = run(&wire.records, SensorConfig::default());
        check(recording, &plain, &format!("seed {seed}"));
        let mut records = wire.records;
        // A FIN that comes before everything else is of no flow.
        let fins = records.split_off(records.len() - 2);
        let window = 1 + random.below(30);
        shuffle(random, &mut records, window);
        repeat(random, &mut records);
        records.extend(fins);
        let (seen, sensor) = run(&records, SensorConfig::default());
        assert_eq!(seen.handshakes, plain.handshakes, "seed {seed}");
        assert_eq!(seen.turns, plain.turns, "seed {seed}");
        assert_eq!(sensor.stats().gaps, 0, "seed {seed}");
    }
}

/// Whatever is lost: nothing is told that was not said.
#[test]
fn losses_never_make_anything_up() {
    let (mut told, mut turns) = (0, 0);
    for seed in 0..3000 {
        let random = &mut Random::new(4_000_000 + seed);
        let recording = &RECORDINGS[random.below(RECORDINGS.len())];
        let most = 1 + random.below(1500);
        let mut wire = connection(recording, [random.next() as u32, random.next() as u32], most);
        let (plain, _) = run(&wire.records, SensorConfig::default());
        let share = 3 + random.below(60);
        let snap = if random.one_in(3) { 20 + random.below(400) } else { usize::MAX };
        wire.records.retain(|_| !random.one_in(share));
        for record in &mut wire.records {
            record.payload.truncate(snap);
            record.header.captured = record.payload.len() as u32;
        }
        let mut records = wire.records;
        if random.one_in(2) {
            repeat(random, &mut records);
        }
        if random.one_in(2) {
            shuffle(random, &mut records, 10);
        }
        let config = match random.below(3) {
            0 => SensorConfig { flow_bytes: 1000, ..SensorConfig::default() },
            _ => SensorConfig::default(),
        };
        let (seen, _) = run(&records, config);
        let said = &plain.handshakes[0];
        for found in &seen.handshakes {
            let what = format!("seed {seed}, {}: {found:?}", recording.name);
            told += u64::from(found.complete);
            let same = |name: &str, equal: bool| assert!(equal, "{name} of {what}");
            same("sni", found.sni.is_none() || found.sni == said.sni);
            same("alpn", found.alpn.is_empty() || found.alpn == said.alpn);
            same("offer", found.offered.is_none() || found.offered == said.offered);
            same("version", found.version.is_none() || found.version == said.version);
            same("cipher", found.cipher.is_none() || found.cipher == said.cipher);
            same("ja4", found.ja4.is_none() || found.ja4 == said.ja4);
            same("end", found.not_after.is_none() || found.not_after == said.not_after);
            same("retry", !found.retried || said.retried);
        }
        assert!(seen.handshakes.len() <= 1, "seed {seed}");
        turns += seen.turns.iter().filter(|turn| turn.complete).count();
    }
    assert!(told > 500 && turns > 500, "{told} {turns}");
}

#[test]
fn an_unfinished_hello() {
    let hello = segments(RECORDINGS[0].bytes)[0].1;
    for (seen, expected) in [
        (100, &[][..]),
        (200, &["- of -, lab.test, , -, -"]),
        (hello.len() - 1, &["- of 1.3, lab.test, http/1.1, -, -"]),
        (hello.len(), &["- of 1.3, lab.test, http/1.1, -, t13d3112h1_e8f1e7e78f70_b26ce05bbdd6"]),
    ] {
        let mut wire = Wire::open([1, 2]);
        wire.cut(CLIENT, hello, seen);
        let (seen, _) = run(&wire.records, SensorConfig::default());
        let lines: Vec<String> = seen.handshakes.iter().map(line).collect();
        assert_eq!(lines, expected);
        assert!(seen.handshakes.iter().all(|told| !told.complete));
    }
}

/// Behind STARTTLS, and inside a tunnel by CONNECT.
#[test]
fn begun_inside_another_protocol() {
    let openings: [&[(usize, &[u8])]; 3] = [
        &[
            (SERVER, b"220 mail ESMTP\r\n"),
            (CLIENT, b"EHLO me\r\n"),
            (SERVER, b"250-mail\r\n250 STARTTLS\r\n"),
            (CLIENT, b"STARTTLS\r\n"),
            (SERVER, b"220 go\r\n"),
        ],
        // PostgreSQL's SSLRequest.
        &[(CLIENT, &[0, 0, 0, 8, 4, 210, 22, 47]), (SERVER, b"S")],
        &[
            (CLIENT, b"CONNECT lab.test:443 HTTP/1.1\r\nHost: lab.test\r\n\r\n"),
            (SERVER, b"HTTP/1.1 200 Connection established\r\n\r\n"),
        ],
    ];
    for opening in openings {
        for recording in RECORDINGS {
            let mut wire = Wire::open([1, 2]);
            for (side, payload) in opening {
                wire.send(*side, payload, 1000);
            }
            for (side, payload) in segments(recording.bytes) {
                wire.send(side, payload, 1000);
            }
            let (mut seen, _) = run(&wire.records, SensorConfig::default());
            seen.transactions.clear();
            check(recording, &seen, "inside");
        }
    }
}

/// Entered behind the handshake, with the roles told by the SYN or guessed by the ports.
#[test]
fn entered_late() {
    let recording = &RECORDINGS[0];
    for syn in [true, false] {
        let mut wire = connection(recording, [1, 2], 9000);
        let first = wire.records.iter().position(|record| record.payload.len() == 99 + 5).unwrap();
        wire.records.drain(if syn { 2 } else { 0 }..first);
        let (seen, sensor) = run(&wire.records, SensorConfig::default());
        assert!(seen.handshakes.is_empty(), "nothing was seen of it");
        assert_eq!(seen.flows[0].application, Application::Tls);
        assert_eq!(sensor.stats().tls_joined_late, 1);
        // The first of the turns comes with the loss, or is the first that is seen.
        let sizes = sizes(&seen.turns);
        assert!(sizes.ends_with(&recording.turns[1..]), "{sizes:?}");
        assert_eq!(seen.flows[0].flow.client_port, 40_000);
    }
}

/// Who opened the connection is TLS's server, as in FTP's data connections.
#[test]
fn the_roles_are_swapped() {
    for recording in RECORDINGS {
        for most in [1, 700, usize::MAX] {
            let mut wire = Wire::open([1, 2]);
            let (first, rest) = (segments(recording.bytes)[0].1, segments(recording.bytes));
            wire.send(SERVER, first, usize::MAX);
            for (side, payload) in rest.into_iter().skip(1) {
                wire.send(1 - side, payload, most);
            }
            let (seen, _) = run(&wire.records, SensorConfig::default());
            check(recording, &seen, "swapped");
            assert_eq!(seen.handshakes[0].flow.client_port, 40_000, "of the TCP connection");
        }
    }
}

/// The handshake in the format of SSL 2, then a server that goes on with TLS 1.0.
#[test]
fn an_old_hello() {
    let hello =
        [&[0x80, 31, 1, 3, 1, 0, 6, 0, 0, 0, 16][..], &[0, 0, 4, 0, 0, 5], &[7; 16]].concat();
    let server = segments(RECORDINGS[7].bytes)[1].1;
    for most in [5, 1000] {
        let mut wire = Wire::open([1, 2]);
        wire.send(CLIENT, &hello, most);
        wire.send(SERVER, server, 1000);
        let (seen, sensor) = run(&wire.records, SensorConfig::default());
        let lines: Vec<String> = seen.handshakes.iter().map(line).collect();
        assert_eq!(
            lines,
            ["1.0 of -, -,  > http/1.1, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, -, until 1802000421"]
        );
        assert_eq!(sensor.stats().tls_old_hellos, 1);
        assert_eq!(sensor.stats().tls_malformed, 0);
    }
}

/// A large answer of which the kernel ships the first bytes of each segment only.
#[test]
fn large_answers_are_counted_whole() {
    let record = [&[23, 3, 3, 0x40, 0x11][..], &[9; 16_401]].concat();
    let body = record.repeat(20);
    let mut wire = Wire::open([1, 2]);
    for (side, payload) in segments(RECORDINGS[0].bytes).into_iter().take(9) {
        wire.send(side, payload, 9000);
    }
    let request = [&[23, 3, 3, 0, 99][..], &[1; 99]].concat();
    wire.send(CLIENT, &request, 9000);
    for part in body.chunks(65_000) {
        wire.cut(SERVER, part, 4096);
    }
    wire.send(CLIENT, &request, 9000);
    let (seen, _) = run(&wire.records, SensorConfig::default());
    let last = &seen.turns[seen.turns.len() - 2];
    assert_eq!((last.request_bytes, last.response_bytes), (104, body.len() as u64));
    assert!(last.complete && last.latency == Some(wire.step), "{last:?}");
}

/// OpenSSL's cipher is what the recordings of TLS 1.3 chose, but for Chromium's.
#[test]
fn recordings_are_what_they_are_named() {
    for recording in RECORDINGS {
        let openssl = recording.handshake.contains(OPENSSL);
        let expected = recording.name.starts_with("tls13") && !recording.name.contains("chromium");
        assert_eq!(openssl, expected, "{}", recording.name);
    }
}
