//! Two directions of a connection that may speak TLS, in pieces of any size, some of them lost.
#![no_main]

use filter_common::addr::Addr;
use filter_common::packet::{protocol, tcp_flags};
use filter_common::record::{EGRESS, Header, SEGMENT, V4, VERSION};
use filter_user::sensor::{Output, Sensor, SensorConfig};
use libfuzzer_sys::fuzz_target;

/// What client (`false`) and server have sent so far.
#[derive(Default)]
struct Sent([u32; 2]);

impl Sent {
    fn segment(&mut self, time: u64, answers: bool, length: usize, captured: usize) -> Header {
        let ends = [(Addr::v4(0x0a00_0001), 40_000), (Addr::v4(0x0a00_0002), 443)];
        let [source, destination] = if answers { [ends[1], ends[0]] } else { ends };
        let seq = self.0[usize::from(answers)];
        self.0[usize::from(answers)] = seq.wrapping_add(length as u32);
        Header {
            time,
            source: source.0,
            source_port: source.1,
            destination: destination.0,
            destination_port: destination.1,
            tcp_seq: seq,
            tcp_ack: self.0[usize::from(!answers)],
            payload_len: length as u32,
            captured: captured as u32,
            wire_len: length as u32 + 54,
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

// Each piece begins as those of the recordings do, with a byte and two of length. The byte's first bit
// says who sends, the second that the piece is lost, the third that only half of it is captured.
fuzz_target!(|bytes: &[u8]| {
    let mut sensor = Sensor::new(SensorConfig::default());
    let mut sent = Sent::default();
    let (mut handshakes, mut turns) = (0u32, 0u32);
    let mut emit = |output| match output {
        Output::Tls(told) => {
            handshakes += 1;
            assert!(told.alpn.len() <= 32 && told.sni.is_none_or(|name| name.len() <= 3 * 255));
        }
        Output::Turn(_) => turns += 1,
        _ => {}
    };
    // A connection from its beginning.
    let mut opening = sent.segment(1_000_000_000, false, 0, 0);
    opening.tcp_flags = tcp_flags::SYN;
    opening.tcp_seq = u32::MAX;
    sensor.push(&opening, &[], &mut emit);
    let mut rest = bytes;
    let mut time = 1_000_000_000;
    while let Some(([how, high, low], more)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(more.len());
        let (payload, after) = more.split_at(length);
        time += 1_000_000;
        let captured = if how & 4 != 0 { length / 2 } else { length };
        let header = sent.segment(time, how & 1 != 0, length, captured);
        if how & 2 == 0 {
            sensor.push(&header, &payload[..captured], &mut emit);
        }
        rest = after;
    }
    sensor.flush(&mut emit);
    assert!(handshakes <= 1, "one connection, {handshakes} handshakes");
    assert!(turns as usize <= bytes.len(), "more turns than bytes");
});
