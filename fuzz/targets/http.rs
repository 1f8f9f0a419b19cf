//! Two directions of a connection that may speak HTTP, in pieces of any size.
#![no_main]

mod wire;

use filter_user::sensor::{Sensor, SensorConfig};
use libfuzzer_sys::fuzz_target;
use wire::Sent;

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
