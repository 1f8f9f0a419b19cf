//! Datagrams between two ends that may speak QUIC.
#![no_main]

use filter_common::addr::Addr;
use filter_common::packet::protocol;
use filter_common::record::{EGRESS, Header, SEGMENT, V4, VERSION};
use filter_user::sensor::{Output, Sensor, SensorConfig};
use libfuzzer_sys::fuzz_target;

// Each datagram begins as those of the recordings do, with a byte, the first bit of which says who sends,
// and two of length.
fuzz_target!(|bytes: &[u8]| {
    let mut sensor = Sensor::new(SensorConfig::default());
    let mut handshakes = 0u32;
    let mut emit = |output| handshakes += u32::from(matches!(output, Output::Quic(_)));
    let ends = [(Addr::v4(0x0a00_0001), 40_000), (Addr::v4(0x0a00_0002), 443)];
    let mut rest = bytes;
    let mut time = 1_000_000_000;
    while let Some(([how, high, low], more)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(more.len());
        let (payload, after) = more.split_at(length);
        let answers = how & 1 != 0;
        let [source, destination] = if answers { [ends[1], ends[0]] } else { ends };
        time += 1_000_000;
        let header = Header {
            time,
            source: source.0,
            source_port: source.1,
            destination: destination.0,
            destination_port: destination.1,
            payload_len: length as u32,
            captured: length as u32,
            wire_len: length as u32 + 42,
            version: VERSION,
            kind: SEGMENT,
            flags: V4 | if answers { EGRESS } else { 0 },
            protocol: protocol::UDP,
            weight: 1 << 16,
            segments: 1,
            ..Header::default()
        };
        sensor.push(&header, payload, &mut emit);
        rest = after;
    }
    sensor.flush(&mut emit);
    assert!(handshakes <= 1, "one connection, {handshakes} handshakes");
});
