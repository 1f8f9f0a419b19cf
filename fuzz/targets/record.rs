//! Records as they lie in the ring, one after another, each behind two bytes of length.
#![no_main]

use filter_common::record::Header;
use filter_user::sensor::{Sensor, SensorConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut sensor = Sensor::new(SensorConfig { max_flows: 4, ..SensorConfig::default() });
    let mut emit = |_output| {};
    let mut rest = bytes;
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(more.len());
        let (record, after) = more.split_at(length);
        if let Ok((header, payload)) = Header::decode(record) {
            assert_eq!(payload.len(), header.captured as usize);
            sensor.push(&header, payload, &mut emit);
            sensor.tick(header.time, &mut emit);
        }
        rest = after;
    }
    sensor.flush(&mut emit);
});
