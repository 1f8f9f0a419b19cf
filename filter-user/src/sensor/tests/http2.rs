//! HTTP/2 frame by frame: what was said, and what the sensor makes of it.

use super::hpack::{Fields, plain};
use super::wire::{CLIENT, SERVER, Wire};
use super::{line, run};
use crate::sensor::transaction::{Credential, Transaction};
use crate::sensor::{Application, Output, Sensor, SensorConfig, Stats};

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

/// What a loss hides is void; what it does not touch is whole.
#[test]
fn losses() {
    let long = [(":status", "200"), ("content-length", "30000")];
    let answer = || [headers(EH, 1, &long), data(0, 1, 16_000), data(ES, 1, 14_000)].concat();
    let rows: Vec<Row> = vec![
        (
            "inside a body",
            vec![
                C(headers(END, 1, GET)),
                S([headers(EH, 1, OK), data(ES, 1, 50)[..20].to_vec()].concat()),
                LoseS(vec![b'z'; 30]),
                S(vec![b'z'; 9]),
                C(headers(END, 3, GET)),
                S(headers(END, 3, OK)),
            ],
            &["GET /a 200 0 50", "GET /a 200 0 0"],
        ),
        (
            "a body and the response behind it: found again, of what is known",
            vec![
                C([headers(END, 1, GET), headers(END, 3, GET)].concat()),
                CutS([answer(), headers(END, 3, OK)].concat(), 4096),
                C(headers(END, 5, GET)),
                S(headers(END, 5, &[(":status", "404")])),
            ],
            &["GET /a 404 0 0", "GET /a 200 0 - !", "GET /a - 0 - !"],
        ),
        (
            "frames of a body: the next response is found, and this one's end",
            vec![
                C([headers(END, 1, GET), headers(END, 3, GET)].concat()),
                CutS([headers(EH, 1, &long), data(0, 1, 16_000), data(0, 1, 4_000)].concat(), 4096),
                S([data(ES, 1, 10_000), headers(EH, 3, OK), data(ES, 3, 8)].concat()),
            ],
            &["GET /a 200 0 30000 !", "GET /a 200 0 8"],
        ),
        (
            "in the middle of a segment",
            vec![
                C([headers(END, 1, GET), headers(END, 3, GET)].concat()),
                CutS(
                    [headers(EH, 1, &long), data(0, 1, 16_000), data(0, 1, 9_000)[..2000].to_vec()]
                        .concat(),
                    4096,
                ),
                S([vec![b'z'; 7009], headers(EH, 3, OK), data(ES, 3, 8), data(ES, 1, 5000)]
                    .concat()),
            ],
            &["GET /a 200 0 8", "GET /a 200 0 30000 !"],
        ),
        (
            "a request",
            vec![
                LoseC(headers(END, 1, GET)),
                S(headers(END, 1, OK)),
                C(headers(END, 3, GET)),
                S(headers(END, 3, &[(":status", "404")])),
            ],
            &["GET /a 404 0 0"],
        ),
        (
            "a response",
            vec![
                C(headers(END, 1, GET)),
                LoseS(headers(END, 1, OK)),
                C(headers(END, 3, GET)),
                S(headers(END, 3, &[(":status", "404")])),
            ],
            &["GET /a 404 0 0", "GET /a - 0 - !"],
        ),
        (
            "the beginning of a response",
            vec![C(headers(END, 1, GET)), LoseS(headers(EH, 1, OK)), S(data(ES, 1, 5))],
            &["GET /a - 0 - !"],
        ),
        (
            "something before a response",
            vec![
                C(headers(END, 1, GET)),
                LoseS(frame(6, 0, 0, b"12345678")),
                S([headers(EH, 1, OK), data(ES, 1, 5)].concat()),
            ],
            &["GET /a 200 0 5"],
        ),
        (
            "the end of a request: its response ends it",
            vec![
                C([headers(EH, 1, POST), data(0, 1, 5)].concat()),
                LoseC(data(ES, 1, 5)),
                S([headers(EH, 1, OK), data(ES, 1, 5)].concat()),
            ],
            &["POST /a 200 - 5 !"],
        ),
        (
            "the end of a block: what is known of it counts",
            vec![
                C(headers(END, 1, GET)),
                CutS(headers(END, 1, &[(":status", "200"), ("server", "something long")]), 40),
                C(headers(END, 3, GET)),
                S(headers(END, 3, OK)),
            ],
            &["GET /a 200 0 0 !", "GET /a 200 0 0"],
        ),
    ];
    for (what, steps, expected) in rows {
        assert_eq!(lines(&steps, usize::MAX), expected, "{what}");
    }
}

/// Entries of the dynamic table that were not seen are unknown; those that come later are known.
#[test]
fn entered_in_the_middle() {
    // ":authority: early" goes into the table unseen, and is referred to as 62.
    let early = [&[0x82, 0x86, 0x84][..], &[0x41, 5], b"early"].concat();
    let later = [0x82, 0x86, 0x84, 0xbe];
    // "user-agent: late" goes into the table; the authority is 63 then.
    let learned = [&[0x82, 0x86, 0x84, 0xbe, 0x7a, 4][..], b"late"].concat();
    let known = [0x82, 0x86, 0x84, 0xbf, 0xbe];
    let mut wire = Wire::new([40_000, 8080], [5, 6]);
    for (stream, block) in [(1, &early[..]), (3, &later), (5, &learned), (7, &known)] {
        wire.send(CLIENT, &frame(1, END, stream, block), usize::MAX);
        wire.send(SERVER, &frame(1, END, stream, &[0x88]), usize::MAX);
    }
    let told = |transaction: &Transaction| {
        let Transaction { host, user_agent, complete, .. } = transaction;
        (host.clone(), user_agent.clone(), *complete)
    };
    let text = |text: &str| Some(text.to_owned());
    let (whole, stats) = seen(&wire);
    let early = text("early");
    let all = [
        (early.clone(), None, true),
        (early.clone(), None, true),
        (early.clone(), text("late"), true),
        (early.clone(), text("late"), true),
    ];
    // Nothing says that no block came before.
    assert_eq!(whole.iter().map(told).collect::<Vec<_>>(), all);
    assert_eq!((stats.http2_flows, stats.http2_resyncs, stats.http2_unknown), (1, 2, 0));
    wire.records.drain(..2);
    let (late, stats) = seen(&wire);
    let all = [(None, None, false), (None, text("late"), false), (None, text("late"), false)];
    assert_eq!(late.iter().map(told).collect::<Vec<_>>(), all);
    assert_eq!((stats.http2_unknown, stats.voided), (3, 3));
    assert!(late.iter().all(|found| found.status == Some(200) && found.target == "/"));
    assert!(late.iter().all(|found| found.method == "GET"));
}

/// What refers to what was not seen is unknown, not guessed: here all of it.
#[test]
fn unknown_method_target_and_status() {
    let mut wire = greeted(usize::MAX);
    wire.lose(CLIENT, &headers(END, 1, GET));
    wire.send(CLIENT, &headers(END, 3, GET), usize::MAX);
    wire.send(CLIENT, &frame(1, EH, 5, &[0xbe, 0xbf, 0xc0]), usize::MAX);
    wire.send(CLIENT, &data(ES, 5, 7), usize::MAX);
    wire.lose(SERVER, &headers(END, 3, OK));
    wire.send(SERVER, &headers(END, 3, OK), usize::MAX);
    wire.send(SERVER, &frame(1, END, 5, &[0xbe]), usize::MAX);
    let (found, stats) = seen(&wire);
    let lines: Vec<String> = found.iter().map(line).collect();
    assert_eq!(lines, ["GET /a 200 0 0", "  - 7 - !"]);
    assert_eq!((found[1].latency, found[1].complete), (None, false));
    assert_eq!((stats.http2_unknown, stats.voided), (2, 1));
}

/// HTTP/1.1 turns into HTTP/2; the request that asked for it is answered there.
#[test]
fn upgraded() {
    const ASK: &str = "POST /up HTTP/1.1\r\nHost: h\r\nUser-Agent: u\r\nCookie: c=1\r\n\
        Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\
        Content-Length: 4\r\n\r\nbody";
    const SWITCH: &str =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    for most in [1, 2, 3, 7, 50, usize::MAX] {
        let mut wire = Wire::open([10, 20]);
        wire.send(CLIENT, b"GET /before HTTP/1.1\r\n\r\n", most);
        wire.send(SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", most);
        wire.send(CLIENT, ASK.as_bytes(), most);
        let asked = wire.records.iter().rev().find(|r| r.payload.starts_with(b"P")).unwrap();
        let asked = asked.header.time;
        wire.time += 1_000_000;
        let early = [SWITCH.as_bytes(), &frame(4, 0, 0, b"")[..]].concat();
        wire.send(SERVER, &early, most);
        wire.send(CLIENT, &[&PREFACE[..], &frame(4, 0, 0, b"")].concat(), most);
        let answer = [headers(EH, 1, &[(":status", "201")]), data(ES, 1, 6)].concat();
        wire.send(SERVER, &answer, most);
        wire.send(CLIENT, &headers(END, 3, GET), most);
        wire.send(SERVER, &headers(END, 3, OK), most);
        let (seen, sensor) = run(&wire.records, SensorConfig::default());
        let found = &seen.transactions;
        let lines: Vec<String> = found.iter().map(line).collect();
        assert_eq!(lines, ["GET /before 200 0 0", "POST /up 201 4 6", "GET /a 200 0 0"], "{most}");
        let versions: Vec<&str> = found.iter().map(|found| found.version).collect();
        assert_eq!(versions, ["1.1", "2", "2"]);
        assert_eq!(
            (found[1].host.as_deref(), found[1].user_agent.as_deref()),
            (Some("h"), Some("u"))
        );
        assert!(found[1].credentials.has(Credential::Cookie));
        if most == usize::MAX {
            assert_eq!(found[1].time, asked);
            assert_eq!(found[1].latency, Some(1_000_000 + 3 * wire.step));
        }
        assert_eq!(seen.flows[0].application, Application::Http2);
        let stats = sensor.stats();
        assert_eq!((stats.http_flows, stats.http2_flows, stats.upgraded_flows), (1, 1, 0));
    }
}

/// The request to upgrade, or the 101, is lost; HTTP/2 is found all the same.
#[test]
fn upgraded_unseen() {
    const ASK: &[u8] = b"GET /up HTTP/1.1\r\nUpgrade: h2c\r\n\r\n";
    const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n";
    for (what, lost, expected) in [
        ("the request", 0, &["GET /a 200 0 0"][..]),
        ("the response", 1, &["GET /up - 0 - !", "GET /a 200 0 0"]),
    ] {
        let mut wire = Wire::open([10, 20]);
        for (at, (side, bytes)) in [(CLIENT, ASK), (SERVER, SWITCH)].into_iter().enumerate() {
            if at == lost { wire.lose(side, bytes) } else { wire.send(side, bytes, usize::MAX) }
        }
        wire.send(CLIENT, &[&PREFACE[..], &frame(4, 0, 0, b"")].concat(), usize::MAX);
        wire.send(SERVER, &frame(4, 0, 0, b""), usize::MAX);
        wire.send(SERVER, &headers(END, 1, &[(":status", "201")]), usize::MAX);
        wire.send(CLIENT, &headers(END, 3, GET), usize::MAX);
        wire.send(SERVER, &headers(END, 3, OK), usize::MAX);
        let lines: Vec<String> = seen(&wire).0.iter().map(line).collect();
        assert_eq!(lines, expected, "{what}");
    }
}

#[test]
fn grpc() {
    let call = |path| {
        [
            (":method", "POST"),
            (":path", path),
            (":authority", "h"),
            ("content-type", "application/grpc+proto"),
            ("authorization", "Bearer secret"),
        ]
    };
    const HEAD: Fields<'_> = &[(":status", "200"), ("content-type", "application/grpc")];
    const TRAILERS: Fields<'_> = &[("grpc-status", "5"), ("grpc-message", "not there")];
    let only: Fields<'_> =
        &[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "12")];
    let message = |stream| frame(0, ES, stream, b"\0\0\0\0\x02hi");
    let rows: Vec<(&str, Vec<Step>, &str)> = vec![
        (
            "trailers",
            vec![
                C([headers(EH, 1, &call("/pkg.Greeter/Say")), message(1)].concat()),
                S([headers(EH, 1, HEAD), data(0, 1, 9), headers(END, 1, TRAILERS)].concat()),
            ],
            "pkg.Greeter Say Some(5) true",
        ),
        (
            "trailers only",
            vec![
                C([headers(EH, 1, &call("/Greeter/Say")), message(1)].concat()),
                S(headers(END, 1, only)),
            ],
            "Greeter Say Some(12) true",
        ),
        (
            "no trailers",
            vec![
                C([headers(EH, 1, &call("/Greeter/Say")), message(1)].concat()),
                S([headers(EH, 1, HEAD), reset(1)].concat()),
            ],
            "Greeter Say None false",
        ),
        (
            "lost head",
            vec![
                C([headers(EH, 1, &call("/a/b/Say")), message(1)].concat()),
                LoseS(headers(EH, 1, HEAD)),
                S([data(0, 1, 9), headers(END, 1, TRAILERS)].concat()),
            ],
            "a/b Say Some(5) false",
        ),
        (
            "no path of a call",
            vec![C([headers(EH, 1, &call("/")), message(1)].concat()), S(headers(END, 1, only))],
            "  Some(12) true",
        ),
    ];
    for (what, steps, expected) in rows {
        let mut wire = greeted(usize::MAX);
        play(&mut wire, &steps, usize::MAX);
        let (found, _) = seen(&wire);
        let [found] = found.as_slice() else { panic!("{what}: {found:?}") };
        let grpc = found.grpc.as_deref().unwrap();
        let told = format!("{} {} {:?} {}", grpc.service, grpc.method, grpc.status, found.complete);
        assert_eq!(told, expected, "{what}");
        assert!(found.credentials.has(Credential::Bearer));
        assert!(!format!("{found:?}").contains("secret"));
    }
    for other in ["application/grpc-web", "application/json", "application/grpcx"] {
        let mut wire = greeted(usize::MAX);
        let fields = [(":method", "POST"), (":path", "/a/b"), ("content-type", other)];
        wire.send(CLIENT, &headers(END, 1, &fields), usize::MAX);
        wire.send(SERVER, &headers(END, 1, OK), usize::MAX);
        assert_eq!(seen(&wire).0[0].grpc, None, "{other}");
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
