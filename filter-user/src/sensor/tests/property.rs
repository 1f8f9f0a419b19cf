//! Whatever the cutting, repeating, reordering and losing: the same transactions, or void ones
//! where lost bytes were part of them, and never a status that was not said.

use std::collections::{BTreeSet, HashMap};

use filter_common::packet::tcp_flags;

use super::wire::{CLIENT, Random, Record, SERVER, Wire};
use super::{line, run};
use crate::sensor::SensorConfig;
use crate::sensor::transaction::Transaction;

/// One request and its response, as it goes over the wire.
struct Exchange {
    request: Vec<u8>,
    /// A 100 response, before the request's body.
    interim: bool,
    response: Vec<u8>,
    /// What [`line`] says of it when nothing is lost.
    expected: String,
}

fn chunked(random: &mut Random, length: usize) -> Vec<u8> {
    let (mut out, mut left) = (Vec::new(), length);
    while left != 0 {
        let size = 1 + random.below(left);
        let extension = if random.one_in(3) { ";a=b" } else { "" };
        out.extend_from_slice(format!("{size:x}{extension}\r\n").as_bytes());
        out.extend(std::iter::repeat_n(b'z', size));
        out.extend_from_slice(b"\r\n");
        left -= size;
    }
    out.extend_from_slice(if random.one_in(3) { b"0\r\nTrailer: x\r\n\r\n" } else { b"0\r\n\r\n" });
    out
}

/// Fields and body of a message whose body has `length` bytes.
fn body(random: &mut Random, length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for field in 0..random.below(6) {
        out.extend_from_slice(
            format!("X-Field-{field}: {}\r\n", "v".repeat(field * 20)).as_bytes(),
        );
    }
    if random.one_in(2) {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        out.extend_from_slice(&chunked(random, length));
    } else {
        out.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
        out.extend(std::iter::repeat_n(b'z', length));
    }
    out
}

fn exchange(random: &mut Random, number: usize) -> Exchange {
    let status = 400 + number;
    let target = format!("/{number}");
    let (asked, answered) = (random.below(900), random.below(5000));
    match random.below(6) {
        0 => Exchange {
            request: format!("HEAD {target} HTTP/1.1\r\n\r\n").into_bytes(),
            interim: false,
            response: format!("HTTP/1.1 {status} X\r\nContent-Length: 77\r\n\r\n").into_bytes(),
            expected: format!("HEAD {target} {status} 0 0"),
        },
        1 | 2 => {
            let mut request = format!("POST {target} HTTP/1.1\r\n").into_bytes();
            request.extend_from_slice(&body(random, asked));
            let mut response = format!("HTTP/1.1 {status} X\r\n").into_bytes();
            response.extend_from_slice(&body(random, answered));
            let expected = format!("POST {target} {status} {asked} {answered}");
            Exchange { request, interim: random.one_in(2), response, expected }
        }
        _ => {
            let mut response = format!("HTTP/1.1 {status} X\r\n").into_bytes();
            response.extend_from_slice(&body(random, answered));
            Exchange {
                request: format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes(),
                interim: false,
                response,
                expected: format!("GET {target} {status} 0 {answered}"),
            }
        }
    }
}

/// A connection with several exchanges. `burst` requests are sent before their responses.
fn connection(random: &mut Random, least: usize, burst: usize) -> (Wire, Vec<Exchange>) {
    // Numbers wrap in half of the connections.
    let mut isn = || (random.next() as u32) | if random.one_in(2) { 0xffff_0000 } else { 0 };
    let mut wire = Wire::open([isn(), isn()]);
    let count = 4 + random.below(12);
    let exchanges: Vec<Exchange> = (0..count).map(|number| exchange(random, number)).collect();
    for (group, members) in exchanges.chunks(burst).enumerate() {
        let mut numbered = members.iter().enumerate();
        for (place, member) in numbered.by_ref() {
            wire.exchange = group * burst + place;
            let most = least + random.below(2000);
            wire.send(CLIENT, &member.request, most);
            if member.interim && burst == 1 {
                wire.send(SERVER, b"HTTP/1.1 100 Continue\r\n\r\n", most);
            }
        }
        for (place, member) in members.iter().enumerate() {
            wire.exchange = group * burst + place;
            let most = least + random.below(2000);
            wire.send(SERVER, &member.response, most);
        }
    }
    wire.fin(CLIENT);
    wire.fin(SERVER);
    (wire, exchanges)
}

/// Reads records out of order, within a window in place and in time.
pub(super) fn shuffle(random: &mut Random, records: &mut Vec<Record>, window: usize) {
    let mut keyed: Vec<(usize, Record)> = records
        .drain(..)
        .enumerate()
        .map(|(at, record)| (at + random.below(window), record))
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    records.extend(keyed.into_iter().map(|(_, record)| record));
}

/// Repeats some records, as retransmissions: later, with their payload joined or cut anew.
pub(super) fn repeat(random: &mut Random, records: &mut Vec<Record>) {
    for _ in 0..records.len() / 4 {
        let from = random.below(records.len());
        let mut again = records[from].clone();
        let cut = random.below(again.payload.len() + 1);
        if random.one_in(2) && again.header.tcp_flags & 0b11 == 0 {
            again.payload.drain(..cut);
            again.header.tcp_seq = again.header.tcp_seq.wrapping_add(cut as u32);
            again.header.payload_len -= cut as u32;
            again.header.captured = again.header.payload_len;
        }
        let to = (from + 1 + random.below(20)).min(records.len());
        again.header.time = records[to - 1].header.time;
        records.insert(to, again);
    }
}

fn lines(transactions: &[Transaction]) -> Vec<String> {
    transactions.iter().map(line).collect()
}

/// Nothing lost: the same, in the same order, with the same latencies.
#[test]
fn cutting_repeating_and_reordering_change_nothing() {
    for seed in 0..600 {
        let random = &mut Random::new(seed);
        let (least, burst) = (1 + random.below(300), 1 + random.below(4) * random.below(2));
        let (wire, exchanges) = connection(random, least, burst);
        let expected: Vec<&str> = exchanges.iter().map(|made| made.expected.as_str()).collect();
        let (plain, _) = run(&wire.records, SensorConfig::default());
        assert_eq!(lines(&plain.transactions), expected, "seed {seed}");

        let mut records = wire.records.clone();
        let window = 1 + random.below(30);
        shuffle(random, &mut records, window);
        repeat(random, &mut records);
        let (seen, sensor) = run(&records, SensorConfig::default());
        assert_eq!(seen.transactions, plain.transactions, "seed {seed}");
        assert_eq!((sensor.stats().gaps, sensor.stats().voided), (0, 0), "seed {seed}");
    }
}

/// What went through with losses, against what was said.
fn check(seed: u64, transactions: &[Transaction], exchanges: &[Exchange]) {
    let mut before = None;
    for transaction in transactions {
        let number: usize = transaction.target[1..].parse().unwrap();
        assert!(before < Some(number), "seed {seed}: /{number} again or out of order");
        before = Some(number);
        if let Some(status) = transaction.status {
            assert_eq!(usize::from(status), 400 + number, "seed {seed}: /{number}");
        }
        let said: Vec<&str> = exchanges[number].expected.split(' ').collect();
        let seen = line(transaction);
        for (what, (said, seen)) in said.iter().zip(seen.split(' ')).enumerate() {
            // A body that the end of the connection cuts has fewer bytes.
            if seen != "-" && (transaction.complete || what < 3) {
                assert_eq!(*said, seen, "seed {seed}: /{number}");
            }
        }
    }
}

/// Some records lost, one exchange after the other: those that lost nothing are whole.
#[test]
fn losses_void_only_what_they_touch() {
    let (mut whole, mut touched_by_loss) = (0, 0);
    for seed in 0..1500 {
        let random = &mut Random::new(1_000_000 + seed);
        let (mut wire, exchanges) = connection(random, 100, 1);
        wire.step = 100_000;
        let mut touched: BTreeSet<usize> = BTreeSet::new();
        let share = 5 + random.below(60);
        wire.records.retain(|record| {
            // The first exchanges show that the client waits for each response.
            let lost = record.of.iter().any(|&number| number > 1) && random.one_in(share);
            touched.extend(record.of.iter().filter(|_| lost));
            !lost
        });
        let mut records = wire.records;
        if random.one_in(2) {
            repeat(random, &mut records);
        }
        if random.one_in(2) {
            shuffle(random, &mut records, 10);
        }
        // A retransmission repeats records that were not lost; the lost ones stay so.
        let (seen, _) = run(&records, SensorConfig::default());
        check(seed, &seen.transactions, &exchanges);
        let found: HashMap<String, &Transaction> =
            seen.transactions.iter().map(|found| (line(found), found)).collect();
        for (number, made) in exchanges.iter().enumerate() {
            if !touched.contains(&number) {
                assert!(
                    found.contains_key(&made.expected),
                    "seed {seed}: {} lost nothing, but {:?}",
                    made.expected,
                    lines(&seen.transactions)
                );
                whole += 1;
            }
        }
        touched_by_loss += touched.len();
    }
    assert!(whole > 1000 && touched_by_loss > 1000, "{whole} {touched_by_loss}");
}

/// Losses of any kind, in pipelines too, with time passing or not, within small bounds: nothing
/// false comes out.
#[test]
fn losses_never_make_up_a_status() {
    let mut told = 0;
    for seed in 0..3000 {
        let random = &mut Random::new(2_000_000 + seed);
        let (least, burst) = (1 + random.below(300), 1 + random.below(4));
        let (mut wire, exchanges) = connection(random, least, burst);
        let share = 3 + random.below(60);
        let snap = if random.one_in(3) { 20 + random.below(400) } else { usize::MAX };
        let slow = if random.one_in(3) { 1 + random.next() % 100 } else { 1 };
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
        if random.one_in(2) {
            repeat(random, &mut records);
        }
        let config = match random.below(3) {
            0 => SensorConfig { flow_bytes: 3000, ..SensorConfig::default() },
            1 => SensorConfig { reorder_ns: 0, hole_ns: 0, ..SensorConfig::default() },
            _ => SensorConfig::default(),
        };
        // Records come late by no more than the sensor is told to wait for, and has room for.
        let roomy = config.flow_bytes == SensorConfig::default().flow_bytes;
        let window = (config.reorder_ns / (wire.step * slow)) as usize * usize::from(roomy);
        let window = 1 + random.below(40).min(window);
        shuffle(random, &mut records, window);
        let (seen, _) = run(&records, config);
        check(seed, &seen.transactions, &exchanges);
        told += seen.transactions.iter().filter(|found| found.status.is_some()).count();
    }
    assert!(told > 3000, "{told}");
}
