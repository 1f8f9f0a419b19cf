//! A file that may be a capture, all the way that `weir replay` takes it.
#![no_main]

use filter_common::bytes::Slice;
use filter_common::packet::{Fragment, Packet};
use filter_common::record::Header;
use filter_user::capture;
use filter_user::capture::fragments::Reassembly;
use filter_user::sensor::{Sensor, SensorConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut sensor = Sensor::new(SensorConfig::default());
    let mut fragments = Reassembly::default();
    let (mut frames, mut told) = (0_usize, 0_usize);
    let (mut pieces, mut datagrams) = (0_usize, 0_usize);
    let _read_or_not = capture::read(bytes, |frame| {
        frames += 1;
        assert!(frame.data.len() <= frame.wire_len, "more was captured than sent");
        let mut packet = Packet::default();
        let data = Slice { data: frame.data, wire_len: frame.wire_len };
        let parsed = frame.link.parse(&data, &mut packet).is_ok();
        if packet.fragment != Fragment::None {
            pieces += 1;
            fragments.push(&frame, (), &mut |datagram| {
                datagrams += 1;
                assert!(datagram.data.len() <= datagram.wire_len, "more was captured than sent");
            });
        } else if parsed {
            let payload = frame.data.get(packet.payload_offset as usize..).unwrap_or_default();
            let payload = &payload[..payload.len().min(packet.payload_len as usize)];
            let mut header = Header::of(&packet);
            header.time = frame.time;
            header.captured = payload.len() as u32;
            sensor.push(&header, payload, &mut |_output| told += 1);
        }
        true
    });
    fragments.finish(&mut |_datagram| datagrams += 1);
    // Each at most twice: its beginning, and the whole.
    assert!(datagrams <= 2 * pieces, "more datagrams than fragments");
    sensor.flush(&mut |_output| told += 1);
    assert!(frames <= bytes.len(), "more frames than bytes");
    assert!(told <= bytes.len() + frames, "more was told than there is");
});
