//! How many transactions the sensor decodes on one core, and what its flows weigh.
//!
//! `cargo run --release -p filter-user --example sensor_rate`

use std::time::Instant;

use filter_common::addr::Addr;
use filter_common::packet::{protocol, tcp_flags};
use filter_common::record::{Header, SEGMENT, VERSION};
use filter_user::sensor::{Output, Sensor, SensorConfig};

const REQUEST: &[u8] = b"GET /api/v1/orders/12345?page=2 HTTP/1.1\r\n\
    Host: shop.example:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101\r\n\
    Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nAuthorization: Bearer x\r\n\
    Connection: keep-alive\r\n\r\n";
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.26\r\nDate: Sun, 22 Nov 2026 05:00:00 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\r\n";

/// A connection's place in the two streams.
struct Ends {
    client: (Addr, u16),
    next: [u32; 2],
}

impl Ends {
    fn new(number: u32) -> Self {
        let client = (Addr::v4(0x0a00_0000 + number / 50_000), (1024 + number % 50_000) as u16);
        Self { client, next: [number, number ^ 0xffff] }
    }

    fn header(&mut self, side: usize, flags: u8, length: usize, captured: usize) -> Header {
        let ends = [self.client, (Addr::v4(0xc0a8_0001), 8080)];
        let header = Header {
            source: ends[side].0,
            destination: ends[1 - side].0,
            source_port: ends[side].1,
            destination_port: ends[1 - side].1,
            tcp_seq: self.next[side],
            tcp_ack: self.next[1 - side],
            payload_len: length as u32,
            captured: captured as u32,
            segments: 1,
            weight: 1 << 16,
            version: VERSION,
            kind: SEGMENT,
            protocol: protocol::TCP,
            tcp_flags: flags,
            ..Header::default()
        };
        let opens = u32::from(flags & tcp_flags::SYN != 0);
        self.next[side] = self.next[side].wrapping_add(length as u32 + opens);
        header
    }

    fn open(&mut self) -> [Header; 2] {
        let syn = self.header(0, tcp_flags::SYN, 0, 0);
        [syn, self.header(1, tcp_flags::SYN | tcp_flags::ACK, 0, 0)]
    }

    fn exchange(&mut self) -> [Header; 2] {
        let request = self.header(0, tcp_flags::ACK, REQUEST.len(), REQUEST.len());
        [request, self.header(1, tcp_flags::ACK, HEAD.len() + 1024, HEAD.len())]
    }
}

/// Resident memory of this process, KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default()
}

fn main() {
    for (connections, rounds) in [(64, 20_000), (10_000, 100), (100_000, 10)] {
        let before = resident();
        let mut sensor = Sensor::new(SensorConfig { seed: 7, ..SensorConfig::default() });
        let mut all: Vec<Ends> = (0..connections).map(Ends::new).collect();
        let (mut found, mut time) = (0u64, 1_000_000_000u64);
        let mut count =
            |output: Output| found += u64::from(matches!(output, Output::Transaction(_)));
        let start = Instant::now();
        for round in 0..rounds {
            for ends in &mut all {
                if round == 0 {
                    for header in &mut ends.open() {
                        time += 100;
                        header.time = time;
                        sensor.push(header, &[], &mut count);
                    }
                }
                for (header, payload) in ends.exchange().iter_mut().zip([REQUEST, HEAD]) {
                    time += 100;
                    header.time = time;
                    sensor.push(header, payload, &mut count);
                }
            }
        }
        let elapsed = start.elapsed();
        let memory = resident().saturating_sub(before);
        println!(
            "{connections} connections: {found} transactions in {elapsed:.2?}, {:.0}/s; {} flows, {} MiB more",
            found as f64 / elapsed.as_secs_f64(),
            sensor.flows(),
            memory / 1024,
        );
    }
}
