//! HTTP/2 as [`super::property`] has HTTP/1: whatever the cutting, repeating, reordering and losing,
//! the same transactions, or void ones. Beyond that, tables of fields that were lost, and connections
//! that are entered late.

use filter_common::packet::tcp_flags;

use super::hpack::Encoder;
use super::http2::{PREFACE, frame};
use super::property::{repeat, shuffle};
use super::wire::{CLIENT, Random, SERVER, Wire};
use super::{line, run};
use crate::sensor::SensorConfig;
use crate::sensor::transaction::Transaction;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A stream's frames in each direction, each list to be sent in its order.
struct Exchange {
    frames: [Vec<Kind>; 2],
    /// What [`line`] says of it when nothing is lost.
    expected: String,
}

/// A frame that is to be sent.
enum Kind {
    Head(Vec<(&'static str, String)>),
    Body(usize),
    Trailers,
}

fn exchange(random: &mut Random, number: usize) -> Exchange {
    let status = 400 + number;
    let (asked, answered) = (random.below(900) * random.below(2), random.below(5000));
    let method = if asked == 0 { "GET" } else { "POST" };
    let mut request = vec![
        (":method", method.to_owned()),
        (":scheme", "http".to_owned()),
        (":path", format!("/{number}")),
        (":authority", "example.test".to_owned()),
        ("user-agent", "property/2".to_owned()),
    ];
    for field in 0..random.below(5) {
        request.push(("x-field", "v".repeat(field * 20)));
    }
    let mut frames = [vec![Kind::Head(request)], Vec::new()];
    frames[CLIENT].extend(bodies(random, asked));
    if random.one_in(5) {
        frames[CLIENT].push(Kind::Trailers);
    }
    if random.one_in(4) {
        frames[SERVER].push(Kind::Head(vec![(":status", "103".to_owned())]));
    }
    frames[SERVER].push(Kind::Head(vec![
        (":status", status.to_string()),
        ("server", "property".to_owned()),
        ("content-type", format!("text/{}", random.below(3))),
    ]));
    frames[SERVER].extend(bodies(random, answered));
    if random.one_in(5) {
        frames[SERVER].push(Kind::Trailers);
    }
    Exchange { frames, expected: format!("{method} /{number} {status} {asked} {answered}") }
}

/// Frames of a body.
fn bodies(random: &mut Random, length: usize) -> Vec<Kind> {
    let (mut out, mut left) = (Vec::new(), length);
    while left != 0 {
        let size = 1 + random.below(left);
        out.push(Kind::Body(size));
        left -= size;
    }
    out
}

/// The bytes of a frame, or of a header block with its CONTINUATION frames.
fn bytes(
    random: &mut Random,
    encoder: &mut Encoder,
    stream: u32,
    kind: &Kind,
    ends: bool,
) -> Vec<u8> {
    let end = if ends { END_STREAM } else { 0 };
    let pad = |random: &mut Random, content: Vec<u8>| {
        if !random.one_in(6) {
            return (0, content);
        }
        let padding = random.below(200);
        (8, [vec![padding as u8], content, vec![0; padding]].concat())
    };
    let fields: Vec<(&str, &str)> = match kind {
        Kind::Body(size) => {
            let (flag, payload) = pad(random, vec![b'z'; *size]);
            return frame(0, end | flag, stream, &payload);
        }
        Kind::Head(fields) => fields.iter().map(|(name, value)| (*name, value.as_str())).collect(),
        Kind::Trailers => vec![("x-trailer", "there")],
    };
    let block = encoder.block(random, &fields);
    let mut cuts: Vec<usize> =
        (0..random.below(3)).map(|_| random.below(block.len() + 1)).collect();
    cuts.sort_unstable();
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut from = 0;
    for cut in cuts {
        parts.push(&block[from..cut]);
        from = cut;
    }
    parts.push(&block[from..]);
    let last = parts.len() - 1;
    let mut out = Vec::new();
    for (at, part) in parts.into_iter().enumerate() {
        let done = if at == last { END_HEADERS } else { 0 };
        if at != 0 {
            out.extend(frame(9, done, stream, part));
            continue;
        }
        let (mut flags, mut content) = (end | done, part.to_vec());
        if random.one_in(4) {
            flags |= 0x20;
            content.splice(0..0, [0, 0, 0, 0, 16]);
        }
        let (flag, payload) = pad(random, content);
        out.extend(frame(1, flags | flag, stream, &payload));
    }
    out
}

/// Frames that say nothing of any stream's messages.
fn other(random: &mut Random) -> Vec<u8> {
    match random.below(5) {
        0 => frame(6, 0, 0, b"12345678"),
        1 => frame(8, 0, 0, &[0, 0, 0, 9]),
        2 => frame(4, 1, 0, b""),
        3 => frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]),
        _ => frame(0x77, 0xff, 0, b"whatever"),
    }
}

/// A connection with several exchanges, `burst` of them at the same time.
fn connection(random: &mut Random, least: usize, burst: usize) -> (Wire, Vec<Exchange>) {
    let mut isn = || (random.next() as u32) | if random.one_in(2) { 0xffff_0000 } else { 0 };
    let mut wire = Wire::open([isn(), isn()]);
    let count = 4 + random.below(20);
    let exchanges: Vec<Exchange> = (0..count).map(|number| exchange(random, number)).collect();
    let mut encoders = [Encoder::new(), Encoder::new()];
    let greeting = [&PREFACE[..], &frame(4, 0, 0, &[0, 4, 0, 1, 0, 0])].concat();
    wire.send(CLIENT, &greeting, least);
    wire.send(SERVER, &frame(4, 0, 0, b""), least);
    for (group, members) in exchanges.chunks(burst).enumerate() {
        for side in [CLIENT, SERVER] {
            let mut sent = Vec::new();
            let mut at = vec![0; members.len()];
            // Requests are opened in order, responses come in any.
            while let Some(first) =
                (0..members.len()).find(|&n| at[n] < members[n].frames[side].len())
            {
                let pick = if side == CLIENT {
                    first
                } else {
                    first + random.below(members.len() - first)
                };
                let Some(kind) = members[pick].frames[side].get(at[pick]) else { continue };
                at[pick] += 1;
                let ends = at[pick] == members[pick].frames[side].len();
                let stream = 1 + 2 * (group * burst + pick) as u32;
                sent.extend(bytes(random, &mut encoders[side], stream, kind, ends));
                if random.one_in(8) {
                    sent.extend(other(random));
                }
            }
            let most = least + random.below(2000);
            wire.send(side, &sent, most);
        }
    }
    wire.fin(CLIENT);
    wire.fin(SERVER);
    (wire, exchanges)
}

/// In the order of their targets: streams end in any.
fn lines(transactions: &[Transaction]) -> Vec<String> {
    let mut lines: Vec<String> = transactions.iter().map(line).collect();
    lines.sort();
    lines
}

/// Nothing lost: the same, with the same latencies.
#[test]
fn cutting_repeating_and_reordering_change_nothing() {
    for seed in 0..600 {
        let random = &mut Random::new(seed);
        let (least, burst) = (1 + random.below(300), 1 + random.below(6));
        let (wire, exchanges) = connection(random, least, burst);
        let mut expected: Vec<&str> = exchanges.iter().map(|made| made.expected.as_str()).collect();
        expected.sort_unstable();
        let (plain, _) = run(&wire.records, SensorConfig::default());
        assert_eq!(lines(&plain.transactions), expected, "seed {seed}");
        for found in &plain.transactions {
            assert_eq!((found.version, found.host.as_deref()), ("2", Some("example.test")));
            assert_eq!(found.user_agent.as_deref(), Some("property/2"));
        }
        let mut records = wire.records.clone();
        let window = 1 + random.below(30);
        shuffle(random, &mut records, window);
        repeat(random, &mut records);
        let (seen, sensor) = run(&records, SensorConfig::default());
        assert_eq!(seen.transactions, plain.transactions, "seed {seed}");
        let stats = sensor.stats();
        assert_eq!((stats.gaps, stats.voided, stats.malformed), (0, 0, 0), "seed {seed}");
    }
}

/// Some of a transaction may be unknown; nothing of it is wrong.
fn check(seed: u64, found: &Transaction, exchanges: &[Exchange]) {
    let of_target = found.target.strip_prefix('/').map(|number| number.parse::<usize>().unwrap());
    let of_status = found.status.map(|status| usize::from(status) - 400);
    let whole = line(found);
    let Some(number) = of_target.or(of_status) else {
        assert!(!found.complete, "seed {seed}: {whole}");
        return;
    };
    assert!(of_status.is_none_or(|status| status == number), "seed {seed}: {whole}");
    let expected = &exchanges[number].expected;
    let method = expected.split(' ').next().unwrap();
    assert!(found.method.is_empty() || found.method == method, "seed {seed}: {whole}");
    assert!(found.host.as_deref().is_none_or(|host| host == "example.test"), "seed {seed}");
    assert!(found.user_agent.as_deref().is_none_or(|agent| agent == "property/2"), "seed {seed}");
    let types = found.response_type.as_deref();
    assert!(types.is_none_or(|name| ["text/0", "text/1", "text/2"].contains(&name)));
    if found.complete {
        assert_eq!(&whole, expected, "seed {seed}");
    }
}

/// Losses of any kind, in the middle of blocks and before the first byte seen, with time passing or
/// not, within small bounds: nothing false comes out, and what follows a loss is found again.
#[test]
fn losses_make_nothing_up() {
    let (mut told, mut complete, mut resyncs, mut unknown) = (0, 0, 0, 0);
    for seed in 0..4000 {
        let random = &mut Random::new(2_000_000 + seed);
        let (least, burst) = (1 + random.below(300), 1 + random.below(6));
        let (mut wire, exchanges) = connection(random, least, burst);
        let share = 5 + random.below(80);
        let snap = if random.one_in(3) { 20 + random.below(400) } else { usize::MAX };
        let slow = if random.one_in(3) { 1 + random.next() % 100 } else { 1 };
        if random.one_in(3) {
            let late = random.below(wire.records.len());
            wire.records.drain(..late);
        }
        wire.records.retain(|record| {
            let opens = record.header.tcp_flags & tcp_flags::SYN != 0;
            opens || !random.one_in(share)
        });
        for record in &mut wire.records {
            record.payload.truncate(snap);
            record.header.captured = record.payload.len() as u32;
            record.header.time *= slow;
        }
        let mut records = wire.records;
        if random.one_in(2) && !records.is_empty() {
            repeat(random, &mut records);
        }
        let config = match random.below(3) {
            0 => SensorConfig { flow_bytes: 6000, ..SensorConfig::default() },
            1 => SensorConfig { reorder_ns: 0, hole_ns: 0, ..SensorConfig::default() },
            _ => SensorConfig::default(),
        };
        let (seen, sensor) = run(&records, config);
        let mut numbers: Vec<&str> = Vec::new();
        for found in &seen.transactions {
            check(seed, found, &exchanges);
            told += usize::from(found.status.is_some());
            complete += usize::from(found.complete);
            if !found.target.is_empty() {
                numbers.push(&found.target);
            }
        }
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all, "seed {seed}: a request is told twice");
        resyncs += sensor.stats().http2_resyncs;
        unknown += sensor.stats().http2_unknown;
    }
    assert!(told > 10_000 && complete > 5_000, "{told} {complete}");
    assert!(resyncs > 1000 && unknown > 1000, "{resyncs} {unknown}");
}
