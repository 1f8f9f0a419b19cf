//! Two directions of a connection that begins as HTTP/2, in pieces of any size, some of which are
//! lost or captured in part.
#![no_main]

mod wire;

use filter_user::sensor::{Output, Sensor, SensorConfig};
use libfuzzer_sys::fuzz_target;
use wire::Sent;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

// Each piece begins with a byte: its first bit says who sends, the next two what becomes of it (lost,
// half of it captured, or whole), the others how long it is.
fuzz_target!(|bytes: &[u8]| {
    let mut sensor =
        Sensor::new(SensorConfig { hole_ns: 0, reorder_ns: 0, ..SensorConfig::default() });
    let mut sent = Sent::default();
    let mut transactions = 0usize;
    let mut emit = |output| transactions += usize::from(matches!(output, Output::Transaction(_)));
    let mut time = 1_000_000_000;
    for header in sent.shake(time) {
        sensor.push(&header, &[], &mut emit);
    }
    for (answers, opening) in [(false, [PREFACE, SETTINGS].concat()), (true, SETTINGS.to_vec())] {
        let header = sent.segment(time, answers, &opening);
        sensor.push(&header, &opening, &mut emit);
    }
    let mut rest = bytes;
    while let Some((first, more)) = rest.split_first() {
        let length = usize::from(first >> 3) * 8;
        let (payload, after) = more.split_at(length.min(more.len()));
        time += 1_000_000;
        let mut header = sent.segment(time, first & 1 != 0, payload);
        rest = after;
        match first >> 1 & 3 {
            0 => continue,
            1 => header.captured /= 2,
            _ => {}
        }
        sensor.push(&header, &payload[..header.captured as usize], &mut emit);
    }
    sensor.flush(&mut emit);
    // A request is a frame's head and a field at least.
    assert!(transactions <= bytes.len() / 9 + 1, "more transactions than frames");
});
