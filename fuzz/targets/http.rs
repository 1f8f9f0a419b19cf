//! Two directions of a connection that may speak HTTP, in pieces of any size.
#![no_main]

use filter_common::addr::Addr;
use filter_common::packet::{protocol, tcp_flags};
use filter_common::record::{EGRESS, Header, SEGMENT, V4, VERSION};
use filter_user::sensor::{Sensor, SensorConfig};
use libfuzzer_sys::fuzz_target;

/// What client (`false`) and server have sent so far.
#[derive(Default)]
struct Sent([u32; 2]);

impl Sent {
    fn segment(&mut self, time: u64, answers: bool, payload: &[u8]) -> Header {
        let ends = [(Addr::v4(0x0a00_0001), 40_000), (Addr::v4(0x0a00_0002), 80)];
        let [source, destination] = if answers { [ends[1], ends[0]] } else { ends };
        let seq = self.0[usize::from(answers)];
        self.0[usize::from(answers)] = seq.wrapping_add(payload.len() as u32);
        Header {
            time,
            source: source.0,
            source_port: source.1,
            destination: destination.0,
            destination_port: destination.1,
            tcp_seq: seq,
            tcp_ack: self.0[usize::from(!answers)],
            payload_len: payload.len() as u32,
            captured: payload.len() as u32,
            wire_len: payload.len() as u32 + 54,
            version: VERSION,
            kind: SEGMENT,
            flags: V4 | if answers { EGRESS } else { 0 },
            protocol: protocol::TCP,
            tcp_flags: tcp_flags::ACK,
            weight: 1 << 16,
            segments: 1,
            ..Header::default()
        }
    }
}

// Each piece begins with a byte: its first bit says who sends, the others how long it is.
fuzz_target!(|bytes: &[u8]| {
    let mut sensor = Sensor::new(SensorConfig::default());
    let mut sent = Sent::default();
    let mut transactions = 0u32;
    let mut emit = |_output| transactions += 1;
    let mut rest = bytes;
    let mut time = 1_000_000_000;
    while let Some((first, more)) = rest.split_first() {
        let length = usize::from(first >> 1) * 4;
        let (payload, after) = more.split_at(length.min(more.len()));
        time += 1_000_000;
        let header = sent.segment(time, first & 1 != 0, payload);
        sensor.push(&header, payload, &mut emit);
        rest = after;
    }
    sensor.flush(&mut emit);
    assert!(transactions as usize <= bytes.len() + 1, "more transactions than bytes");
});
