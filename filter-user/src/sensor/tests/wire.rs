//! A TCP connection as the sampler sees it, and a small seeded generator of numbers.

use filter_common::addr::Addr;
use filter_common::packet::{protocol, tcp_flags};
use filter_common::record::{Header, SEGMENT, VERSION};

pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

/// A record with its payload.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
    /// Which exchanges its bytes are of.
    pub(super) of: Vec<usize>,
}

/// xorshift64*: good enough to find corners, and the same on every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A connection that is being written.
pub(super) struct Wire {
    ends: [(Addr, u16); 2],
    next: [u32; 2],
    /// What each end has received.
    seen: [u32; 2],
    pub(super) time: u64,
    /// Time between two segments, ns.
    pub(super) step: u64,
    pub(super) records: Vec<Record>,
    /// The exchange that bytes are of.
    pub(super) exchange: usize,
}

impl Wire {
    /// Ends at these ports, with these initial sequence numbers.
    pub(super) fn new(ports: [u16; 2], isn: [u32; 2]) -> Self {
        let ends = [(Addr::v4(0x0a00_0001), ports[0]), (Addr::v4(0x0a00_0002), ports[1])];
        Self {
            ends,
            next: isn,
            seen: [isn[1], isn[0]],
            time: 1_000_000_000,
            step: 100_000,
            records: Vec::new(),
            exchange: 0,
        }
    }

    /// A connection with its handshake done.
    pub(super) fn open(isn: [u32; 2]) -> Self {
        let mut wire = Self::new([40_000, 8080], isn);
        wire.shake();
        wire
    }

    /// SYN and SYN-ACK.
    pub(super) fn shake(&mut self) {
        self.segment(CLIENT, &[], tcp_flags::SYN);
        self.receive(CLIENT);
        self.segment(SERVER, &[], tcp_flags::SYN | tcp_flags::ACK);
        self.receive(SERVER);
    }

    /// One segment.
    pub(super) fn segment(&mut self, side: usize, payload: &[u8], flags: u8) {
        self.time += self.step;
        let (source, destination) = (self.ends[side], self.ends[1 - side]);
        let header = Header {
            time: self.time,
            source: source.0,
            destination: destination.0,
            source_port: source.1,
            destination_port: destination.1,
            tcp_seq: self.next[side],
            tcp_ack: if flags & tcp_flags::ACK != 0 { self.seen[side] } else { 0 },
            payload_len: payload.len() as u32,
            captured: payload.len() as u32,
            wire_len: payload.len() as u32 + 54,
            weight: 1 << 16,
            segments: 1,
            tcp_window: 1000,
            version: VERSION,
            kind: SEGMENT,
            protocol: protocol::TCP,
            tcp_flags: flags,
            ..Header::default()
        };
        let ends = u32::from(flags & (tcp_flags::SYN | tcp_flags::FIN) != 0);
        self.next[side] = self.next[side].wrapping_add(payload.len() as u32).wrapping_add(ends);
        let of = if payload.is_empty() { Vec::new() } else { vec![self.exchange] };
        self.records.push(Record { header, payload: payload.to_vec(), of });
    }

    /// The other end has all that was sent by `side`.
    pub(super) fn receive(&mut self, side: usize) {
        self.seen[1 - side] = self.next[side];
    }

    /// Bytes in segments of at most `most`, received.
    pub(super) fn send(&mut self, side: usize, bytes: &[u8], most: usize) {
        for part in bytes.chunks(most) {
            self.segment(side, part, tcp_flags::ACK);
        }
        self.receive(side);
    }

    /// Bytes that are sent and received but not recorded.
    pub(super) fn lose(&mut self, side: usize, bytes: &[u8]) {
        self.send(side, bytes, usize::MAX);
        self.records.pop();
    }

    /// A segment of which only the first `snap` bytes are captured.
    pub(super) fn cut(&mut self, side: usize, bytes: &[u8], snap: usize) {
        self.send(side, bytes, usize::MAX);
        let record = self.records.last_mut().unwrap();
        record.payload.truncate(snap);
        record.header.captured = record.payload.len() as u32;
    }

    /// The end of one direction.
    pub(super) fn fin(&mut self, side: usize) {
        self.segment(side, &[], tcp_flags::FIN | tcp_flags::ACK);
        self.receive(side);
    }
}
