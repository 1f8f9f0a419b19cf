//! What is kept of a connection, and what becomes of more.

use super::*;
use crate::sensor::{Output, Sensor};

/// Large tables, long targets, unfinished blocks: a connection keeps no more than a flow may.
#[test]
fn memory_of_a_connection() {
    let mut wire = greeted(usize::MAX);
    for side in [CLIENT, SERVER] {
        // A table of a MiB is announced and filled.
        wire.send(side, &frame(1, END, 1, &[0x3f, 0xe1, 0xff, 0x3f, 0x82]), usize::MAX);
        for number in 0..400_u32 {
            let value = format!("{number:0>900}");
            let length = [0x7f, 0x85, 0x06];
            let block = [&[0x40, 1, b'x'][..], &length, value.as_bytes()].concat();
            wire.send(side, &frame(1, EH, 3, &block), usize::MAX);
        }
        // The beginning of a long field.
        wire.send(side, &frame(1, 0, 5, &[0, 1, b'a', 0x7f, 0xe1, 0xff, 0x03]), usize::MAX);
        for _ in 0..3 {
            wire.send(side, &frame(9, 0, 5, &[b'y'; 16_000]), usize::MAX);
        }
        wire.send(side, &frame(9, EH, 5, b""), usize::MAX);
    }
    let long = format!("/{}", "x".repeat(2040));
    let fields = [(":method", "GET"), (":path", long.as_str())];
    for number in 5..505 {
        wire.send(CLIENT, &headers(END, 1 + 2 * number, &fields), usize::MAX);
    }
    let config = SensorConfig::default();
    let mut sensor = Sensor::new(config);
    let (mut found, mut most) = (0, 0);
    let mut count = |output| found += usize::from(matches!(output, Output::Transaction(_)));
    for record in &wire.records {
        sensor.push(&record.header, &record.payload, &mut count);
        most = most.max(sensor.table.footprint());
    }
    assert!(most > config.flow_bytes / 2, "{most}: the bound is not tried");
    assert!(most <= config.flow_bytes, "{most}");
    assert!(sensor.stats().http2_table_limit > 0);
    assert_eq!(sensor.stats().buffer_limit, 1);
    sensor.flush(&mut count);
    assert!(found > 500, "{found}: what is let go is told");
}

/// What the client gives up, never ends, or floods with stays within bounds.
#[test]
fn bounds() {
    let mut wire = greeted(usize::MAX);
    for number in 0..600 {
        wire.send(CLIENT, &headers(END, 1 + 2 * number, GET), usize::MAX);
    }
    let (found, stats) = seen(&wire);
    assert_eq!((found.len(), stats.http2_stream_limit), (512, 88));

    // Streams whose end a loss may hide make room.
    let mut wire = greeted(usize::MAX);
    for number in 0..600 {
        wire.send(CLIENT, &headers(END, 1 + 2 * number, GET), usize::MAX);
        if number == 300 {
            wire.lose(SERVER, b"anything");
            wire.send(SERVER, &frame(6, 0, 0, b"12345678"), usize::MAX);
        }
    }
    let (found, stats) = seen(&wire);
    assert_eq!((found.len(), stats.http2_stream_limit), (600, 0));

    // A block that never ends, of many fields.
    let mut wire = greeted(usize::MAX);
    wire.send(CLIENT, &frame(1, 0, 1, &plain(GET)), usize::MAX);
    let more = frame(9, 0, 1, &plain(&[("x", &"y".repeat(16_000))]));
    for _ in 0..500 {
        wire.send(CLIENT, &more, usize::MAX);
    }
    wire.send(CLIENT, &frame(9, EH, 1, b""), usize::MAX);
    let (found, stats) = seen(&wire);
    assert_eq!(found.iter().map(line).collect::<Vec<_>>(), ["GET /a - 0 - !"]);
    assert_eq!((stats.head_limit, stats.buffer_limit), (1, 0), "fields are let go one by one");

    // A large field that is referred to again and again.
    let mut wire = greeted(usize::MAX);
    let mut bomb =
        [&[0x82, 0x84, 0x40, 6][..], b"cookie", &[0x7f, 0xa1, 0x1e], &[b'c'; 4000]].concat();
    bomb.resize(16_000, 0xbe);
    wire.send(CLIENT, &frame(1, END, 1, &bomb), usize::MAX);
    wire.send(CLIENT, &frame(1, END, 3, &[0x82, 0x84, 0xbe]), usize::MAX);
    let (found, stats) = seen(&wire);
    assert_eq!(found.iter().map(line).collect::<Vec<_>>(), ["GET / - 0 - !"; 2]);
    assert_eq!((stats.head_limit, stats.voided, stats.unanswered), (1, 1, 1));

    // A field that is too long.
    let mut wire = greeted(usize::MAX);
    let long = plain(&[(":method", "GET"), ("x", &"y".repeat(70_000)), (":path", "/a")]);
    let (first, rest) = long.split_at(16_000);
    wire.send(CLIENT, &frame(1, 1, 1, first), usize::MAX);
    for part in rest.chunks(16_000) {
        wire.send(CLIENT, &frame(9, 0, 1, part), usize::MAX);
    }
    wire.send(CLIENT, &frame(9, EH, 1, b""), usize::MAX);
    wire.send(CLIENT, &headers(END, 3, GET), usize::MAX);
    let (found, stats) = seen(&wire);
    assert_eq!(found.iter().map(line).collect::<Vec<_>>(), ["GET  - 0 - !", "GET /a - 0 - !"]);
    assert_eq!((stats.head_limit, stats.voided), (1, 1));
}
