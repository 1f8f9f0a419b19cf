//! HTTP/2 frame by frame: what was said, and what the sensor makes of it.

mod bounds;
mod grpc;
mod losses;
mod upgrade;

use super::hpack::{Fields, plain};
use super::wire::{CLIENT, SERVER, Wire};
use super::{line, run};
use crate::sensor::transaction::Transaction;
use crate::sensor::{SensorConfig, Stats};

pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// END_STREAM and END_HEADERS, and both.
const ES: u8 = 1;
const EH: u8 = 4;
const END: u8 = 5;

const GET: Fields<'_> = &[(":method", "GET"), (":scheme", "http"), (":path", "/a")];
const POST: Fields<'_> = &[(":method", "POST"), (":scheme", "http"), (":path", "/a")];
const OK: Fields<'_> = &[(":status", "200")];

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn data(flags: u8, stream: u32, length: usize) -> Vec<u8> {
    frame(0, flags, stream, &vec![b'z'; length])
}

fn headers(flags: u8, stream: u32, fields: Fields<'_>) -> Vec<u8> {
    frame(1, flags, stream, &plain(fields))
}

fn reset(stream: u32) -> Vec<u8> {
    frame(3, 0, stream, &[0, 0, 0, 8])
}

/// What happens on the wire.
enum Step {
    C(Vec<u8>),
    S(Vec<u8>),
    LoseC(Vec<u8>),
    LoseS(Vec<u8>),
    /// The server sends, the first bytes of it captured.
    CutS(Vec<u8>, usize),
}
use Step::{C, CutS, LoseC, LoseS, S};

fn play(wire: &mut Wire, steps: &[Step], most: usize) {
    for step in steps {
        match step {
            C(bytes) => wire.send(CLIENT, bytes, most),
            S(bytes) => wire.send(SERVER, bytes, most),
            LoseC(bytes) => wire.lose(CLIENT, bytes),
            LoseS(bytes) => wire.lose(SERVER, bytes),
            CutS(bytes, snap) => wire.cut(SERVER, bytes, *snap),
        }
    }
}

fn greeted(most: usize) -> Wire {
    let mut wire = Wire::open([0xffff_fff0, 0xffff_ff00]);
    wire.send(CLIENT, &[&PREFACE[..], &frame(4, 0, 0, b"")].concat(), most);
    wire.send(SERVER, &frame(4, 0, 0, b""), most);
    wire
}

fn seen(wire: &Wire) -> (Vec<Transaction>, Stats) {
    let (seen, sensor) = run(&wire.records, SensorConfig::default());
    (seen.transactions, *sensor.stats())
}

fn lines(steps: &[Step], most: usize) -> Vec<String> {
    let mut wire = greeted(most);
    play(&mut wire, steps, most);
    seen(&wire).0.iter().map(line).collect()
}

type Row = (&'static str, Vec<Step>, &'static [&'static str]);

/// Each is run whole and cut into segments of one to nine bytes.
#[test]
fn exchanges() {
    let (head, tail) = (plain(POST), plain(&[("x", "y")]));
    let rows: Vec<Row> = vec![
        ("no bodies", vec![C(headers(END, 1, GET)), S(headers(END, 1, OK))], &["GET /a 200 0 0"]),
        (
            "bodies both ways, in several frames",
            vec![
                C([headers(EH, 1, POST), data(0, 1, 3), data(ES, 1, 4)].concat()),
                S([headers(EH, 1, OK), data(0, 1, 5), data(0, 1, 0), data(ES, 1, 1)].concat()),
            ],
            &["POST /a 200 7 6"],
        ),
        (
            "padding and priority are no body",
            vec![
                C([
                    frame(1, EH | 0x28, 1, &[&[2, 0, 0, 0, 0, 9][..], &head, b"\0\0"].concat()),
                    frame(0, ES | 8, 1, b"\x04body\0\0\0\0"),
                ]
                .concat()),
                S([headers(EH, 1, OK), frame(0, ES | 8, 1, b"\x00x")].concat()),
            ],
            &["POST /a 200 4 1"],
        ),
        (
            "a block in several frames",
            vec![
                C([
                    frame(1, ES, 1, &head[..5]),
                    frame(9, 0, 1, &head[5..6]),
                    frame(9, 0, 1, b""),
                    frame(9, EH, 1, &head[6..]),
                ]
                .concat()),
                S(headers(END, 1, OK)),
            ],
            &["POST /a 200 0 0"],
        ),
        (
            "interim responses and trailers both ways",
            vec![
                C([headers(EH, 1, POST), data(0, 1, 2), frame(1, END, 1, &tail)].concat()),
                S([
                    headers(EH, 1, &[(":status", "100")]),
                    headers(EH, 1, &[(":status", "103"), ("link", "x")]),
                    headers(EH, 1, OK),
                    data(0, 1, 3),
                    frame(1, END, 1, &tail),
                ]
                .concat()),
            ],
            &["POST /a 200 2 3"],
        ),
        (
            "streams at the same time, answered in another order",
            vec![
                C([headers(END, 1, GET), headers(END, 3, GET), headers(EH, 5, POST)].concat()),
                S([
                    headers(EH, 3, &[(":status", "403")]),
                    headers(EH, 1, &[(":status", "401")]),
                    data(0, 3, 30),
                    data(ES, 1, 10),
                    data(ES, 3, 3),
                ]
                .concat()),
                C(data(ES, 5, 50)),
                S(headers(END, 5, &[(":status", "405")])),
            ],
            &["GET /a 401 0 10", "GET /a 403 0 33", "POST /a 405 50 0"],
        ),
        (
            "the client gives up",
            vec![
                C(headers(END, 1, GET)),
                S([headers(EH, 1, OK), data(0, 1, 9)].concat()),
                C([reset(1), headers(END, 3, GET)].concat()),
                S([data(0, 1, 9), headers(END, 3, OK)].concat()),
            ],
            &["GET /a 200 0 9 !", "GET /a 200 0 0"],
        ),
        ("the server refuses", vec![C(headers(EH, 1, POST)), S(reset(1))], &["POST /a - 0 - !"]),
        (
            "the server wants no more of the body",
            vec![
                C([headers(EH, 1, POST), data(0, 1, 9)].concat()),
                S([headers(END, 1, &[(":status", "413")]), reset(1)].concat()),
                C(data(ES, 1, 9)),
            ],
            &["POST /a 413 9 0 !"],
        ),
        (
            "what says nothing of streams",
            vec![
                C([frame(6, 0, 0, b"12345678"), frame(8, 0, 0, &[0, 0, 1, 0])].concat()),
                C([headers(END, 1, GET), frame(2, 0, 9, b"12345")].concat()),
                S([frame(4, 1, 0, b""), frame(0xbe, 0xff, 77, b"unknown")].concat()),
                S([headers(END, 1, OK), frame(7, 0, 0, &[0; 8])].concat()),
            ],
            &["GET /a 200 0 0"],
        ),
        (
            "pushed",
            vec![
                C(headers(END, 1, GET)),
                S([
                    frame(5, EH, 1, &[&[0, 0, 0, 2][..], &plain(GET)].concat()),
                    headers(END, 1, OK),
                    headers(EH, 2, OK),
                    data(ES, 2, 9),
                ]
                .concat()),
            ],
            &["GET /a 200 0 0"],
        ),
        (
            "a tunnel",
            vec![
                C(headers(EH, 1, &[(":method", "CONNECT"), (":authority", "h:1")])),
                S([headers(EH, 1, OK), data(0, 1, 5)].concat()),
                C(data(ES, 1, 6)),
                S(data(ES, 1, 0)),
            ],
            &["CONNECT h:1 200 6 5"],
        ),
        (
            "a length where there is no body",
            vec![
                C(headers(END, 1, &[(":method", "HEAD"), (":path", "/a")])),
                S(headers(END, 1, &[(":status", "200"), ("content-length", "9")])),
            ],
            &["HEAD /a 200 0 0"],
        ),
        ("unanswered", vec![C(headers(END, 1, GET))], &["GET /a - 0 - !"]),
        (
            "answered in part",
            vec![C(headers(END, 1, GET)), S([headers(EH, 1, OK), data(0, 1, 5)].concat())],
            &["GET /a 200 0 5 !"],
        ),
    ];
    for (what, steps, expected) in rows {
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        let whole = lines(&steps, usize::MAX);
        assert_eq!(
            sorted(whole.clone()),
            sorted(expected.iter().map(|&l| l.to_owned()).collect()),
            "{what}"
        );
        for most in 1..10 {
            assert_eq!(lines(&steps, most), whole, "{what}, segments of {most}");
        }
    }
}

/// The server speaks first, or its preface comes with everything else.
#[test]
fn who_begins() {
    for most in [9, 20, usize::MAX] {
        let mut wire = Wire::open([1, 2]);
        wire.send(SERVER, &frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]), most);
        let all = [&PREFACE[..], &frame(4, 0, 0, b""), &headers(END, 1, GET)].concat();
        wire.send(CLIENT, &all, most);
        wire.send(SERVER, &headers(END, 1, OK), most);
        let (found, stats) = seen(&wire);
        assert_eq!(found.iter().map(line).collect::<Vec<_>>(), ["GET /a 200 0 0"]);
        assert_eq!((stats.http2_flows, stats.opaque_flows), (1, 0));
    }
}
