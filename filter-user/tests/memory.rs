//! What the sensor takes of memory, by the allocator's own count: 100,000 connections at once, and a
//! connection of HTTP/2 whose ends do their worst. docs/sizing.md and docs/sensor.md say these numbers.
//!
//! One test: who else allocates meanwhile would be counted too.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use filter_common::addr::Addr;
use filter_common::packet::{protocol, tcp_flags};
use filter_common::record::{Header, SEGMENT, VERSION};
use filter_user::sensor::{Output, Sensor, SensorConfig};

/// Bytes that are allocated, and the most there were.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn count(more: usize, less: usize) {
    let live = LIVE.fetch_add(more.wrapping_sub(less), Ordering::Relaxed);
    PEAK.fetch_max(live.wrapping_add(more.wrapping_sub(less)), Ordering::Relaxed);
}

// SAFETY: the system's allocator does everything; what it was asked is only counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there while it is moved.
        count(size, 0);
        // SAFETY: as above.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        count(0, layout.size());
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that was allocated while `what` ran, above what there was before.
fn peak(what: impl FnOnce()) -> usize {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    what();
    PEAK.load(Ordering::Relaxed) - before
}

const MIB: usize = 1 << 20;
const FLOWS: u32 = 100_000;

const REQUEST: &[u8] = b"GET /api/v1/orders/12345?page=2 HTTP/1.1\r\n\
    Host: shop.example:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101\r\n\
    Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nAuthorization: Bearer x\r\n\
    Connection: keep-alive\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\
    Content-Type: application/json\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}";

/// A sensor, and a clock for what it is told.
struct Bench {
    sensor: Sensor,
    time: u64,
    told: u64,
}

/// A connection's place in its two streams.
struct Ends {
    client: (Addr, u16),
    next: [u32; 2],
}

impl Bench {
    fn new() -> Self {
        let sensor = Sensor::new(SensorConfig { seed: 7, ..SensorConfig::default() });
        Self { sensor, time: 1_000_000_000, told: 0 }
    }

    fn segment(&mut self, ends: &mut Ends, side: usize, flags: u8, payload: &[u8], skip: u32) {
        self.time += 100;
        let sides = [ends.client, (Addr::v4(0xc0a8_0001), 8080)];
        let header = Header {
            time: self.time,
            source: sides[side].0,
            destination: sides[1 - side].0,
            source_port: sides[side].1,
            destination_port: sides[1 - side].1,
            tcp_seq: ends.next[side].wrapping_add(skip),
            tcp_ack: ends.next[1 - side],
            payload_len: payload.len() as u32,
            captured: payload.len() as u32,
            segments: 1,
            weight: 1 << 16,
            version: VERSION,
            kind: SEGMENT,
            protocol: protocol::TCP,
            tcp_flags: flags,
            ..Header::default()
        };
        if skip == 0 {
            let opens = u32::from(flags & tcp_flags::SYN != 0);
            ends.next[side] = ends.next[side].wrapping_add(payload.len() as u32 + opens);
        }
        let told = &mut self.told;
        self.sensor.push(&header, payload, &mut |output| {
            *told += u64::from(matches!(output, Output::Transaction(_)));
        });
    }

    fn send(&mut self, ends: &mut Ends, side: usize, payload: &[u8]) {
        for piece in payload.chunks(16_000) {
            self.segment(ends, side, tcp_flags::ACK, piece, 0);
        }
    }

    fn open(&mut self, number: u32) -> Ends {
        let client = (Addr::v4(0x0a00_0000 + number / 50_000), (1024 + number % 50_000) as u16);
        let mut ends = Ends { client, next: [number, number ^ 0xffff] };
        self.segment(&mut ends, 0, tcp_flags::SYN, b"", 0);
        self.segment(&mut ends, 1, tcp_flags::SYN | tcp_flags::ACK, b"", 0);
        ends
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// An integer of HPACK behind the bits of `first` (RFC 7541, 5.1).
fn integer(first: u8, bits: u8, value: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![first | value as u8];
    }
    let mut bytes = vec![first | most as u8];
    let mut rest = value - most;
    while rest >= 128 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A field with a new name: kept in the table (0x40), or not (0x00).
fn field(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[first], &integer(0, 7, name.len())[..], name, &integer(0, 7, value.len()), value].concat()
}

/// A connection of HTTP/2 that was opened, both sides having said their settings.
fn http2(bench: &mut Bench, number: u32) -> Ends {
    let mut ends = bench.open(number);
    let settings = frame(4, 0, 0, &[]);
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat();
    bench.send(&mut ends, 0, &preface);
    bench.send(&mut ends, 1, &settings);
    ends
}

/// Head of a request: GET, http, and fields that are as long as they may be.
fn long_head(stream: u32) -> Vec<u8> {
    let long = |length: usize| vec![b'x'; length];
    let mut block = vec![0x82, 0x86];
    block.extend(field(0, b":path", &[&b"/"[..], &long(8000)].concat()));
    block.extend(field(0, b":authority", &long(2000)));
    block.extend(field(0, b"user-agent", &long(2000)));
    block.extend(field(0, b"content-type", &long(1000)));
    block.extend(field(0, b"x-forwarded-for", "2001:db8::1, ".repeat(60).as_bytes()));
    frame(1, 4, stream, &block)
}

/// Everything that makes a connection remember more, one after the other. Each side's table as large as
/// it gets, of many small entries; many streams; a head that never ends; segments that wait.
fn do_your_worst(bench: &mut Bench, ends: &mut Ends) {
    for side in [0, 1] {
        let mut block = integer(0x20, 5, 64 << 10);
        for _ in 0..2000 {
            block.extend(field(0x40, b"a", b""));
        }
        let (status, stream) = ([0x88], 1 + side as u32 * 2);
        let block = if side == 1 { [&status[..], &block].concat() } else { block };
        let (first, rest) = block.split_at(block.len().min(16_000));
        bench.send(ends, side, &frame(1, if rest.is_empty() { 4 } else { 0 }, stream, first));
        if !rest.is_empty() {
            bench.send(ends, side, &frame(9, 4, stream, rest));
        }
    }
    for stream in 0..1000 {
        bench.send(ends, 0, &long_head(5 + stream * 2));
    }
    let coded = [&[0x00, 1, b'a'][..], &integer(0x80, 7, 60_000)].concat();
    bench.send(ends, 1, &frame(1, 0, 5, &coded));
    for _ in 0..20 {
        bench.send(ends, 1, &frame(9, 0, 5, &[0; 16_000]));
    }
    bench.send(ends, 0, &frame(1, 0, 4001, &[0x82, 0x86]));
    for _ in 0..20 {
        bench.send(ends, 0, &frame(9, 0, 4001, &field(0, b"name", &[b'v'; 15_000])));
    }
    for place in 1..800 {
        for side in [0, 1] {
            bench.segment(ends, side, tcp_flags::ACK, &[b'x'; 16_000], place * 20_000);
        }
    }
}

#[test]
fn the_sensor_keeps_to_its_bounds() {
    let mut lines = Vec::new();
    let mut below = |what: &str, limit: usize, taken: usize| {
        lines.push(format!("{what}: {:.2} MiB of {} MiB", taken as f64 / MIB as f64, limit / MIB));
        assert!(taken < limit, "{lines:#?}");
    };

    // Connections that are kept, each with a request that was answered and one that was not yet.
    let kept = peak(|| {
        let mut bench = Bench::new();
        for number in 0..FLOWS {
            let mut ends = bench.open(number);
            bench.send(&mut ends, 0, REQUEST);
            bench.send(&mut ends, 1, RESPONSE);
            bench.send(&mut ends, 0, REQUEST);
        }
        assert_eq!((bench.sensor.flows(), bench.told), (FLOWS as usize, FLOWS.into()));
        assert_eq!(bench.sensor.stats().flows_evicted, 0);
    });
    below("100,000 connections of HTTP/1.1, a request open in each", 256 * MIB, kept);

    // Each in the middle of a head, and with segments that came too early: the bound of all flows.
    let stuck = peak(|| {
        let mut bench = Bench::new();
        for number in 0..FLOWS {
            let mut ends = bench.open(number);
            bench.send(&mut ends, 0, &REQUEST[..REQUEST.len() - 2]);
            for place in 1..4 {
                bench.segment(&mut ends, 0, tcp_flags::ACK, &[b'x'; 1400], place * 3000);
            }
        }
        assert_eq!(bench.sensor.flows(), FLOWS as usize);
        assert!(bench.sensor.stats().buffer_limit > 0, "more than is kept of all flows");
    });
    below("100,000 that wait for what is missing", 256 * MIB, stuck);

    let plain = peak(|| {
        let mut bench = Bench::new();
        http2(&mut bench, 0);
    });
    let worst = peak(|| {
        let mut bench = Bench::new();
        let mut ends = http2(&mut bench, 0);
        do_your_worst(&mut bench, &mut ends);
        let stats = bench.sensor.stats();
        assert!(stats.buffer_limit > 10 && stats.http2_flows == 1, "{stats:?}");
    });
    below("a connection of HTTP/2", 2 * MIB, worst - plain.min(worst));

    let many = peak(|| {
        let mut bench = Bench::new();
        for number in 0..200 {
            let mut ends = http2(&mut bench, number);
            do_your_worst(&mut bench, &mut ends);
        }
        assert_eq!(bench.sensor.flows(), 200);
    });
    below("200 of them", 256 * MIB, many);
    println!("{lines:#?}");
}
