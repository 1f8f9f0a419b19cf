//! What the detectors cost for each request, beside what reading it off the wire costs, and what they
//! remember of a million sources.
//!
//! `cargo run --release -p filter-user --example detect_rate`. Times are of the processor, so that
//! neighbours on the machine count for little.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use filter_common::addr::Addr;
use filter_common::packet::{protocol, tcp_flags};
use filter_common::record::{Header, SEGMENT, VERSION};
use filter_user::detect::{ApiProfile, Config, Engine, Login, Observation, Origin};
use filter_user::inventory::route::{Request, RouteLimits, Routes};
use filter_user::policy::Criticality;
use filter_user::sensor::{Output, Sensor, SensorConfig};

const SECOND: u64 = 1_000_000_000;
const REQUEST: &[u8] = b"GET /api/v1/orders/12345?page=2 HTTP/1.1\r\n\
    Host: shop.example:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101\r\n\
    Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nAuthorization: Bearer x\r\n\
    Connection: keep-alive\r\n\r\n";
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.26\r\nDate: Sun, 22 Nov 2026 05:00:00 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\r\n";

/// Processor time of this process, ns.
fn spent() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}

/// Resident memory of this process, KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default()
}

/// Reads so many exchanges of 1,000 connections off the wire; ns for each.
fn decode(exchanges: u32) -> f64 {
    let mut sensor = Sensor::new(SensorConfig { seed: 7, ..SensorConfig::default() });
    let mut routes = Routes::new(RouteLimits::default());
    let mut next = vec![[1_u32, 1_u32]; 1000];
    let mut time = SECOND;
    let mut found = 0_u64;
    let start = spent();
    for number in 0..exchanges {
        let connection = (number % 1000) as usize;
        let ends = [(Addr::v4(0x0a00_0000), 1024 + connection as u16), (Addr::v4(1), 8080)];
        for (side, payload, length) in [(0, REQUEST, REQUEST.len()), (1, HEAD, HEAD.len() + 1024)] {
            time += 100;
            let header = Header {
                time,
                source: ends[side].0,
                destination: ends[1 - side].0,
                source_port: ends[side].1,
                destination_port: ends[1 - side].1,
                tcp_seq: next[connection][side],
                tcp_ack: next[connection][1 - side],
                payload_len: length as u32,
                captured: payload.len() as u32,
                segments: 1,
                weight: 1 << 16,
                version: VERSION,
                kind: SEGMENT,
                protocol: protocol::TCP,
                tcp_flags: tcp_flags::ACK,
                ..Header::default()
            };
            next[connection][side] = next[connection][side].wrapping_add(length as u32);
            sensor.push(&header, payload, &mut |output: Output| {
                if let Output::Transaction(transaction) = output {
                    let (api, status) = (1, transaction.status);
                    let target = &transaction.target;
                    black_box(routes.route(&Request { api, target, status }));
                    found += 1;
                }
            });
        }
    }
    (spent() - start) as f64 / found.max(1) as f64
}

/// Tells the detectors of so many requests of so many sources at 100,000 a second, with a tick twenty
/// times a second; ns for each, and KiB of the whole process.
fn detect(sources: u32, requests: u32) -> (f64, u64) {
    let mut engine = Engine::new(Config::default(), 1_700_000_000);
    engine.set_apis([ApiProfile {
        id: 1,
        name: "orders".into(),
        criticality: Criticality::Critical,
        login: Some(Login::new([("POST", "/login")], &[])),
        ..ApiProfile::unclaimed()
    }]);
    let targets: Vec<String> = (0..5000).map(|n| format!("/api/v1/orders/{n}?page=2")).collect();
    let start = spent();
    for number in 0..requests {
        let time = SECOND + u64::from(number) * 10_000;
        // Every source has its turn, in no order.
        let source = number.wrapping_mul(2_654_435_761) % sources;
        // Each has twenty orders of its own.
        let object = (source * 31 + number / 7 % 20) as usize % targets.len();
        engine.observe(&Observation {
            time,
            api: 1,
            source: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + source)),
            credential: Some(u64::from(source) + 2),
            origin: Origin { country: Some(*b"DE"), asn: Some(source % 50) },
            method: "GET",
            target: &targets[object],
            route: "/api/v1/orders/{id}",
            status: Some(200),
            latency: Some(3_000_000),
            request_bytes: Some(0),
            response_bytes: Some(1024),
            handshake: true,
            weight: 1 << 16,
        });
        if number % 5000 == 0 {
            black_box(engine.tick(time, 0, 1.0));
        }
    }
    let each = (spent() - start) as f64 / f64::from(requests);
    for count in engine.state_counts().iter().filter(|count| count.evicted > 0) {
        println!("  {}: {} states, {} evicted", count.detector.name(), count.states, count.evicted);
    }
    (each, resident())
}

fn main() {
    let decoded = (0..3).map(|_| decode(500_000)).fold(f64::INFINITY, f64::min);
    println!("reading a request and its response, and naming its route: {decoded:.0} ns");
    for (sources, requests) in [(100, 1_000_000), (10_000, 1_000_000), (1_000_000, 3_000_000)] {
        let (each, memory) = detect(sources, requests);
        println!(
            "{sources} sources: {each:.0} ns a request for the detectors, {:.0} % of reading it, {:.1} % \
             of a core at 100,000 a second; {} MiB in all",
            each / decoded * 100.0,
            each * 1e5 / 1e7,
            memory / 1024,
        );
    }
}
