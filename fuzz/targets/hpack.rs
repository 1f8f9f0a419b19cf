//! Header blocks of HTTP/2: what they say does not depend on the frames and segments they are cut
//! into.
#![no_main]

mod wire;

use filter_user::sensor::{Output, Sensor, SensorConfig};
use libfuzzer_sys::fuzz_target;
use wire::Sent;

const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// What comes of requests with these blocks, a block in frames of at most `part` bytes.
fn said(blocks: &[&[u8]], part: usize) -> Vec<[String; 5]> {
    let mut sensor = Sensor::new(SensorConfig::default());
    let mut sent = Sent::default();
    let mut found = Vec::new();
    let mut emit = |output| {
        if let Output::Transaction(transaction) = output {
            let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let credentials: Vec<&str> =
                transaction.credentials.kinds().map(|kind| kind.name()).collect();
            found.push([
                transaction.method,
                transaction.target,
                text(transaction.host),
                text(transaction.user_agent),
                format!("{credentials:?} {:?}", transaction.request_type),
            ]);
        }
    };
    let time = 1_000_000_000;
    for header in sent.shake(time) {
        sensor.push(&header, &[], &mut emit);
    }
    let header = sent.segment(time, false, OPENING);
    sensor.push(&header, OPENING, &mut emit);
    for (number, block) in blocks.iter().enumerate() {
        let stream = 2 * number as u32 + 1;
        let mut parts = block.chunks(part).peekable();
        let first = parts.next().unwrap_or_default();
        let ends = |more: bool| if more { 0 } else { END_HEADERS };
        let mut bytes = frame(1, END_STREAM | ends(parts.peek().is_some()), stream, first);
        while let Some(part) = parts.next() {
            bytes.extend(frame(9, ends(parts.peek().is_some()), stream, part));
        }
        // Frames and segments do not end together.
        for segment in bytes.chunks(part + 3) {
            let header = sent.segment(time, false, segment);
            sensor.push(&header, segment, &mut emit);
        }
    }
    sensor.flush(&mut emit);
    found
}

// Each block begins with a byte that says how long it is.
fuzz_target!(|bytes: &[u8]| {
    let mut blocks = Vec::new();
    let mut rest = bytes;
    while let Some((length, more)) = rest.split_first() {
        let (block, after) = more.split_at(usize::from(*length).min(more.len()));
        blocks.push(block);
        rest = after;
    }
    let whole = said(&blocks, 16_000);
    assert!(whole.len() <= blocks.len(), "more requests than blocks");
    assert_eq!(whole, said(&blocks, 1), "cut after every byte");
    assert_eq!(whole, said(&blocks, 7), "cut after every seventh byte");
});
