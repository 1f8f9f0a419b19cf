//! Flows: their bounds, their ends, and what tells a new one from an old one.

use filter_common::packet::tcp_flags;
use filter_common::record::{EGRESS, NOTICE};

use super::wire::{CLIENT, Random, Record, SERVER, Wire};
use super::{Seen, line, run};
use crate::sensor::{Closed, Sensor, SensorConfig};

const SECOND: u64 = 1_000_000_000;

fn exchange(wire: &mut Wire, target: &str) {
    let request = format!("GET {target} HTTP/1.1\r\n\r\n");
    wire.send(CLIENT, request.as_bytes(), usize::MAX);
    wire.send(SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", usize::MAX);
}

#[test]
fn ends() {
    type Finish = fn(&mut Wire);
    let rows: [(&str, Finish, Closed); 5] = [
        ("fin", |wire| (wire.fin(CLIENT), wire.fin(SERVER)).0, Closed::Fin),
        ("half", |wire| wire.fin(CLIENT), Closed::End),
        ("rst", |wire| wire.segment(SERVER, &[], tcp_flags::RST), Closed::Rst),
        ("none", |_| {}, Closed::End),
        (
            "idle",
            |wire| {
                wire.time += 200 * SECOND;
                let mut other = Wire::new([1, 2], [3, 4]);
                other.time = wire.time;
                other.shake();
                wire.records.append(&mut other.records);
            },
            Closed::Timeout,
        ),
    ];
    for (what, finish, expected) in rows {
        let mut wire = Wire::open([10, 20]);
        exchange(&mut wire, "/a");
        finish(&mut wire);
        let (seen, _) = run(&wire.records, SensorConfig::default());
        let flow = seen.flows.iter().find(|flow| flow.flow.client_port == 40_000).unwrap();
        assert_eq!(flow.closed, expected, "{what}");
        assert!(flow.handshake, "{what}");
        assert_eq!(flow.transactions, 1, "{what}");
    }
}

/// The same ports again, after the end or without one.
#[test]
fn reuse() {
    for closed in [true, false] {
        let mut wire = Wire::open([10, 20]);
        exchange(&mut wire, "/a");
        if closed {
            wire.fin(CLIENT);
            wire.fin(SERVER);
        }
        let mut again = Wire::new([40_000, 8080], [77_777_777, 20]);
        again.time = wire.time + SECOND;
        again.shake();
        exchange(&mut again, "/b");
        wire.records.append(&mut again.records);
        let (seen, _) = run(&wire.records, SensorConfig::default());
        let lines: Vec<String> = seen.transactions.iter().map(line).collect();
        assert_eq!(lines, ["GET /a 200 0 0", "GET /b 200 0 0"]);
        assert_eq!(seen.flows.len(), 2);
        assert_eq!(seen.flows[0].closed, if closed { Closed::Fin } else { Closed::Timeout });
    }
}

/// Who is the client, and whether it came from outside, whatever was seen first.
#[test]
fn roles() {
    let mut wire = Wire::new([50_000, 60_000], [10, 20]);
    wire.shake();
    exchange(&mut wire, "/a");
    for (what, from) in [("whole", 0), ("from the SYN-ACK", 1), ("from the request", 2)] {
        let mut records = wire.records[from..].to_vec();
        for record in &mut records {
            if record.header.source_port == 60_000 {
                record.header.flags |= EGRESS;
            }
        }
        let (seen, _) = run(&records, SensorConfig::default());
        let transaction = &seen.transactions[0];
        assert_eq!(transaction.flow.client_port, 50_000, "{what}");
        assert!(transaction.inbound, "{what}");
        for record in &mut records {
            record.header.flags ^= EGRESS;
        }
        let (seen, _) = run(&records, SensorConfig::default());
        assert!(!seen.transactions[0].inbound, "{what}");
    }
}

/// Anyone can send these; none is proof that the source is where it says.
#[test]
fn forged_handshakes() {
    type Forge = fn(&mut Wire);
    let rows: [(&str, Forge, bool); 5] = [
        ("true", |wire| (wire.shake(), exchange(wire, "/a")).0, true),
        ("SYN, no answer", |wire| wire.segment(CLIENT, &[], tcp_flags::SYN), false),
        (
            "SYN and data with a guessed number",
            |wire| {
                wire.shake();
                wire.segment(CLIENT, b"GET / HTTP/1.1\r\n\r\n", tcp_flags::ACK);
                let guessed = wire.records.last_mut().unwrap();
                guessed.header.tcp_ack = guessed.header.tcp_ack.wrapping_add(12345);
            },
            false,
        ),
        (
            "data, reset by the server",
            |wire| {
                wire.segment(CLIENT, b"GET / HTTP/1.1\r\n\r\n", tcp_flags::ACK);
                wire.receive(CLIENT);
                wire.segment(SERVER, &[], tcp_flags::RST | tcp_flags::ACK);
            },
            false,
        ),
        (
            "data on both sides, nothing acknowledged",
            |wire| {
                wire.segment(CLIENT, b"GET / HTTP/1.1\r\n\r\n", 0);
                wire.segment(SERVER, b"HTTP/1.1 200 OK\r\n\r\n", 0);
            },
            false,
        ),
    ];
    for (what, forge, expected) in rows {
        let mut wire = Wire::new([40_000, 8080], [1000, 2_000_000]);
        forge(&mut wire);
        let (seen, _) = run(&wire.records, SensorConfig::default());
        assert_eq!(seen.flows[0].handshake, expected, "{what}");
        assert!(seen.transactions.iter().all(|found| found.handshake == expected), "{what}");
    }
}

/// The table holds what it may; a flood of SYNs takes its share and no more.
#[test]
fn bounded_flows() {
    let config = SensorConfig { max_flows: 100, ..SensorConfig::default() };
    let mut records = Vec::new();
    let mut kept = Wire::open([1, 2]);
    exchange(&mut kept, "/kept");
    records.append(&mut kept.records.clone());
    let mut sensor = Sensor::new(config);
    let mut seen = Seen::default();
    for port in 0..1000 {
        let mut wire = Wire::new([port, 9], [1, 2]);
        wire.time = kept.time;
        wire.segment(CLIENT, &[], tcp_flags::SYN);
        records.append(&mut wire.records);
    }
    kept.records.clear();
    exchange(&mut kept, "/later");
    records.append(&mut kept.records);
    for record in &records {
        sensor.push(&record.header, &record.payload, &mut |output| seen.take(output));
        assert!(sensor.flows() <= 100);
    }
    assert_eq!(sensor.stats().flows_evicted, 1001 - 1 - 25);
    assert!(seen.flows.iter().all(|flow| flow.closed == Closed::Evicted));
    assert_eq!(
        seen.transactions.iter().map(|found| found.target.as_str()).collect::<Vec<_>>(),
        ["/kept", "/later"]
    );
    assert!(seen.transactions.iter().all(|found| found.complete));

    // With payload, the longest idle goes.
    let mut records = Vec::new();
    for port in 0..150 {
        let mut wire = Wire::new([port, 9], [1, 2]);
        wire.time += u64::from(port);
        wire.shake();
        exchange(&mut wire, "/a");
        records.append(&mut wire.records);
    }
    let (seen, sensor) = run(&records, config);
    assert_eq!(sensor.stats().flows_evicted, 50);
    assert!((0..50).all(|port| seen.flows[usize::from(port)].flow.client_port == port));
}

/// Heads that never end and segments that never fit are let go at the bounds.
#[test]
fn bounded_memory() {
    let config = SensorConfig { flow_bytes: 20_000, ..SensorConfig::default() };
    let long = vec![b'x'; 1000];
    let mut head = Wire::open([10, 20]);
    head.send(CLIENT, b"GET /slow HTTP/1.1\r\n", 99);
    let mut holes = Wire::open([10, 20]);
    exchange(&mut holes, "/a");
    holes.lose(CLIENT, &long);
    for _ in 0..50 {
        head.send(CLIENT, &long, 1000);
        holes.send(CLIENT, &long, 1000);
    }
    for (what, wire) in [("head", &head), ("holes", &holes)] {
        let mut sensor = Sensor::new(config);
        for record in &wire.records {
            sensor.push(&record.header, &record.payload, &mut |_| {});
            assert!(sensor.table.footprint() < 30_000, "{what}: {}", sensor.table.footprint());
        }
        assert!(sensor.stats().buffer_limit > 0, "{what}");
    }

    // All together: slow heads on many connections.
    let config = SensorConfig { max_flows: 100, total_bytes: 200_000, ..SensorConfig::default() };
    let mut sensor = Sensor::new(config);
    let mut wires: Vec<Wire> = (0..100).map(|port| Wire::new([port, 9], [1, 2])).collect();
    for round in 0..40 {
        for wire in &mut wires {
            if round == 0 {
                wire.shake();
                wire.send(CLIENT, b"GET /slow HTTP/1.1\r\n", 99);
            }
            wire.send(CLIENT, &long, 1000);
            for record in wire.records.drain(..) {
                sensor.push(&record.header, &record.payload, &mut |_| {});
            }
            assert!(sensor.table.footprint() < 400_000, "{}", sensor.table.footprint());
        }
    }
    assert!(sensor.stats().buffer_limit > 0);
}

/// A hole is given up when the time has come, not before, and sooner when records were lost.
#[test]
fn holes_wait() {
    let config = SensorConfig::default();
    for (what, lost, after, expected) in [
        ("too early", false, config.reorder_ns, 1),
        ("in time", false, config.hole_ns, 2),
        ("after a loss", true, config.reorder_ns, 2),
    ] {
        let mut wire = Wire::open([10, 20]);
        exchange(&mut wire, "/a");
        wire.segment(CLIENT, b"lost", tcp_flags::ACK);
        wire.records.pop();
        wire.segment(CLIENT, b"GET /b HTTP/1.1\r\n\r\n", tcp_flags::ACK);
        let mut sensor = Sensor::new(config);
        let mut transactions = 0;
        for record in &wire.records {
            sensor.push(&record.header, &record.payload, &mut |_| transactions += 1);
        }
        if lost {
            sensor.lost();
        }
        // Time passes in ticks, as the daemon tells it.
        for tick in 0..=after / 10_000_000 {
            sensor.tick(wire.time + tick * 10_000_000, &mut |_| transactions += 1);
        }
        let mut fin = wire.records[0].clone();
        fin.header.tcp_flags = tcp_flags::RST;
        sensor.push(&fin.header, &[], &mut |_| transactions += 1);
        assert_eq!(1 + sensor.stats().gaps, expected, "{what}");
    }
}

/// Records that are nothing to the sensor, and any bytes at all, are counted and do no harm.
#[test]
fn anything_goes() {
    let mut wire = Wire::open([10, 20]);
    exchange(&mut wire, "/a");
    let mut notice = wire.records[0].clone();
    notice.header.kind = NOTICE;
    let mut icmp = wire.records[0].clone();
    icmp.header.protocol = 1;
    let mut stray = wire.records[0].clone();
    (stray.header.source_port, stray.header.tcp_flags) = (5, tcp_flags::FIN);
    let (seen, sensor) = run(&[notice, icmp, stray], SensorConfig::default());
    assert_eq!(seen, Seen::default());
    let stats = sensor.stats();
    assert_eq!((stats.records, stats.ignored, stats.strays), (3, 2, 1));

    let mut random = Random::new(4);
    let mut records: Vec<Record> = Vec::new();
    for _ in 0..200_000 {
        let mut record = wire.records[random.below(wire.records.len())].clone();
        let header = &mut record.header;
        header.time = random.next() >> random.below(48);
        header.source_port = random.below(4) as u16;
        header.destination_port = random.below(4) as u16;
        header.tcp_seq = (random.next() >> random.below(32)) as u32;
        header.tcp_ack = (random.next() >> random.below(32)) as u32;
        header.tcp_flags = random.next() as u8;
        header.api = random.below(2) as u32;
        header.payload_len = (random.next() >> random.below(40)) as u32;
        for _ in 0..random.below(3) {
            let at = random.below(record.payload.len().max(1));
            if let Some(byte) = record.payload.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        records.push(record);
    }
    let config = SensorConfig { max_flows: 8, flow_bytes: 10_000, ..SensorConfig::default() };
    run(&records, config);
}

/// What HTTP turned into is what the flow is said to be.
#[test]
fn upgrades() {
    for (request, response, expected) in [
        ("Upgrade: websocket", "101 Switching Protocols\r\nUpgrade: WebSocket", "websocket"),
        ("Upgrade: other", "101 Switching Protocols\r\nUpgrade: other", "upgraded"),
        ("Upgrade: websocket", "400 Bad Request\r\nUpgrade: websocket", "http"),
    ] {
        let mut wire = Wire::open([10, 20]);
        let head = format!("GET /chat HTTP/1.1\r\nConnection: Upgrade\r\n{request}\r\n\r\n");
        wire.send(CLIENT, head.as_bytes(), usize::MAX);
        let head = format!("HTTP/1.1 {response}\r\nContent-Length: 0\r\n\r\n");
        wire.send(SERVER, head.as_bytes(), usize::MAX);
        for side in [CLIENT, SERVER, CLIENT] {
            wire.send(side, &[0x81, 0x85, 1, 2, 3, 4, 5, 6, 7, 8, 9], usize::MAX);
        }
        let (seen, _) = run(&wire.records, SensorConfig::default());
        let [flow] = &seen.flows[..] else { panic!("{:?}", seen.flows) };
        assert_eq!(flow.application.name(), expected, "{response}");
        assert_eq!((flow.transactions, flow.packets), (1, [4, 3]), "{response}");
    }
}

/// Requests that take their time are told of while they last, and others are not.
#[test]
fn trickles() {
    type Send = fn(&mut Wire);
    let rows: [(&str, Send, bool); 6] = [
        ("a head", |wire| wire.send(CLIENT, b"GET / HTTP/1.1\r\nA: b\r\n", usize::MAX), true),
        (
            "a body",
            |wire| {
                wire.send(CLIENT, b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", usize::MAX);
            },
            true,
        ),
        (
            "chunks",
            |wire| {
                wire.send(
                    CLIENT,
                    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
                    usize::MAX,
                );
            },
            true,
        ),
        (
            "a request that waits",
            |wire| wire.send(CLIENT, b"GET / HTTP/1.1\r\n\r\n", usize::MAX),
            false,
        ),
        ("kept alive", |wire| exchange(wire, "/a"), false),
        ("nothing", |_| {}, false),
    ];
    for (what, send, expected) in rows {
        let mut wire = Wire::open([10, 20]);
        send(&mut wire);
        let (mut seen, mut sensor) = (Seen::default(), Sensor::new(SensorConfig::default()));
        let mut times = Vec::new();
        for record in &wire.records {
            sensor.push(&record.header, &record.payload, &mut |output| seen.take(output));
        }
        for second in 1..=60 {
            let before = seen.slow.len();
            sensor.tick(wire.time + second * SECOND, &mut |output| seen.take(output));
            if seen.slow.len() > before {
                times.push(second);
            }
        }
        assert_eq!(seen.slow.is_empty(), !expected, "{what}");
        assert!(
            seen.slow.iter().all(|flow| flow.closed == Closed::Open && flow.handshake),
            "{what}"
        );
        assert!(seen.flows.is_empty(), "{what}: it is not over");
        if expected {
            assert!((10..=20).contains(&times[0]), "{what}: {times:?}");
            assert!((4..=6).contains(&times.len()), "{what}: every ten seconds: {times:?}");
        }
    }
}
