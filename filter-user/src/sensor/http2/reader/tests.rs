use super::*;

fn piece(data: &[u8]) -> Piece<'_> {
    Piece { data, seq: 0, ack: None, time: 0, peer: None }
}

fn told(reader: &mut Reader, bytes: &[u8], found: &mut Vec<String>) -> bool {
    let mut cursor = Cursor::new(piece(bytes), 0);
    loop {
        let event = reader.next(&mut cursor);
        let stream = reader.head().stream;
        found.push(match event {
            Event::Idle => return true,
            Event::Preface => "preface".to_owned(),
            Event::Data(bytes, last) => format!("{stream} data {bytes} {last}"),
            Event::Block { bytes, first, last } => {
                format!("{stream} block {} {first} {last}", String::from_utf8_lossy(bytes))
            }
            Event::Setting(what, value) => format!("setting {what} {value}"),
            Event::Reset => format!("{stream} reset"),
            Event::Malformed => {
                found.push("malformed".to_owned());
                return false;
            }
        });
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags, 0, 0, 0, stream]);
    bytes.extend_from_slice(payload);
    bytes
}

fn greeting() -> Vec<u8> {
    [PREFACE.to_vec(), frame(frame::SETTINGS, 0, 0, b"")].concat()
}

fn connection() -> Vec<u8> {
    [
        PREFACE.to_vec(),
        frame(frame::SETTINGS, 0, 0, &[0, 1, 0, 0, 0x10, 0, 0, 5, 0, 1, 0, 0]),
        frame(frame::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]),
        frame(frame::HEADERS, 0x28, 1, b"\x02\0\0\0\0\x10ab\0\0"),
        frame(frame::CONTINUATION, 0, 1, b"cd"),
        frame(frame::CONTINUATION, 4, 1, b""),
        frame(frame::DATA, 8, 1, b"\x03bodyxxx"),
        frame(frame::DATA, 1, 1, b""),
        frame(0x42, 0xff, 9, b"unknown"),
        frame(frame::HEADERS, 5, 3, b"ef"),
        frame(frame::RST_STREAM, 0, 3, &[0, 0, 0, 8]),
        frame(frame::PING, 0, 0, b"12345678"),
    ]
    .concat()
}

const WHOLE: [&str; 10] = [
    "preface",
    "setting 1 4096",
    "setting 5 65536",
    "1 block ab true false",
    "1 block cd false false",
    "1 block  false true",
    "1 data 4 true",
    "1 data 0 true",
    "3 block ef true true",
    "3 reset",
];

/// Joins what the parts of one frame's content say.
fn joined(found: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut data = 0;
    let mut block = (String::new(), false);
    for event in found {
        let words: Vec<&str> = event.split(' ').collect();
        match words[..] {
            [stream, "data", bytes, last] => {
                data += bytes.parse::<u32>().unwrap();
                if last == "true" {
                    out.push(format!("{stream} data {} true", std::mem::take(&mut data)));
                }
            }
            [_, "block", bytes, first, last] => {
                block = (block.0 + bytes, block.1 || first == "true");
                if last == "true" {
                    out.push(format!("block {} {}", block.0, block.1));
                    block = Default::default();
                }
            }
            _ => out.push(event),
        }
    }
    out
}

#[test]
fn every_split_reads_alike() {
    let bytes = connection();
    let (mut reader, mut found) = (Reader::client(0), Vec::new());
    assert!(told(&mut reader, &bytes, &mut found));
    assert_eq!(found, WHOLE);
    let whole = joined(found);
    for step in 1..bytes.len() {
        let (mut reader, mut found) = (Reader::client(0), Vec::new());
        assert!(bytes.chunks(step).all(|part| told(&mut reader, part, &mut found)));
        assert_eq!(joined(found), whole, "by {step}");
    }
}

#[test]
fn missing_bytes() {
    use Missing::{Block, Data, Inside, Lost};
    let [settings, block, data] = [
        frame(frame::SETTINGS, 0, 0, &[0; 12]),
        frame(frame::HEADERS, 4, 1, b"abcdef"),
        frame(frame::DATA, 8, 1, b"\x03bodyxxx"),
    ];
    for (what, frame, seen, length, expected) in [
        ("in settings", &settings, 11, 7, Inside),
        ("all settings", &settings, 9, 12, Inside),
        ("settings and more", &settings, 9, 13, Lost),
        ("in a head", &settings, 8, 1, Lost),
        ("before a head", &settings, 0, 1, Lost),
        ("after a frame", &settings, 21, 1, Lost),
        ("in a block", &block, 10, 2, Block { first: false, last: true }),
        ("the beginning of a block", &block, 9, 2, Block { first: true, last: true }),
        ("all of a block", &block, 9, 6, Block { first: true, last: true }),
        ("a block and more", &block, 9, 7, Lost),
        ("the length of the padding", &data, 9, 1, Lost),
        ("in a body", &data, 11, 2, Data(2, false)),
        ("the end of a body", &data, 11, 3, Data(3, true)),
        ("into the padding", &data, 11, 5, Data(3, true)),
        ("to the end of the padding", &data, 11, 6, Data(3, true)),
        ("beyond the padding", &data, 11, 7, Lost),
        ("in the padding", &data, 15, 1, Inside),
    ] {
        let (mut reader, mut found) = (Reader::late(), Vec::new());
        reader.resume();
        assert!(told(&mut reader, &frame[..seen], &mut found));
        assert_eq!(reader.missing(length), expected, "{what}");
        if expected != Lost {
            // The next frame is found behind it.
            found.clear();
            assert!(told(&mut reader, &frame[seen + length as usize..], &mut found), "{what}");
            found.clear();
            assert!(told(&mut reader, &block, &mut found), "{what}");
            assert_eq!(found, ["1 block abcdef true true"], "{what}");
        }
    }
}

#[test]
fn what_is_no_http2() {
    for (what, bytes) in [
        ("a preface that is none", b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n".to_vec()),
        ("no settings", [PREFACE.to_vec(), frame(1, 4, 1, b"a")].concat()),
        ("continuation of nothing", [greeting(), frame(9, 4, 1, b"a")].concat()),
        (
            "another frame inside a block",
            [greeting(), frame(1, 0, 1, b"a"), frame(0, 0, 1, b"a")].concat(),
        ),
        (
            "another stream inside a block",
            [greeting(), frame(1, 0, 1, b"a"), frame(9, 0, 3, b"a")].concat(),
        ),
        ("more padding than payload", [greeting(), frame(0, 8, 1, b"\x02a")].concat()),
    ] {
        for step in [1, 7, usize::MAX] {
            let (mut reader, mut found) = (Reader::client(0), Vec::new());
            let good =
                bytes.chunks(step.min(bytes.len())).all(|p| told(&mut reader, p, &mut found));
            assert!(!good && found.last().is_some_and(|last| last == "malformed"), "{what}");
        }
    }
}
