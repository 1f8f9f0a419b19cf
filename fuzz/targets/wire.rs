//! A TCP connection as the sampler would see it.

use filter_common::addr::Addr;
use filter_common::packet::{protocol, tcp_flags};
use filter_common::record::{EGRESS, Header, SEGMENT, V4, VERSION};

/// What client (`false`) and server have sent so far.
#[derive(Default)]
pub struct Sent([u32; 2]);

impl Sent {
    /// The header of a segment; `answers` says that it is the server's.
    pub fn segment(&mut self, time: u64, answers: bool, payload: &[u8]) -> Header {
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

    /// SYN and SYN-ACK, before anything else.
    #[allow(dead_code, reason = "not every target shakes hands")]
    pub fn shake(&mut self, time: u64) -> [Header; 2] {
        let mut open = self.segment(time, false, &[]);
        (open.tcp_flags, open.tcp_ack) = (tcp_flags::SYN, 0);
        self.0[0] += 1;
        let mut answer = self.segment(time, true, &[]);
        answer.tcp_flags |= tcp_flags::SYN;
        self.0[1] += 1;
        [open, answer]
    }
}
