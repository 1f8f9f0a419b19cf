//! Exchanges byte by byte: what was said, and what the sensor makes of it.

use super::wire::{CLIENT, SERVER, Wire};
use super::{line, run};
use crate::sensor::{Application, SensorConfig};

/// What happens on the wire.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The client sends.
    C(&'static str),
    /// The server sends.
    S(&'static str),
    /// The client sends, and it is lost.
    LoseC(&'static str),
    /// The server sends, and it is lost.
    LoseS(&'static str),
    /// The client sends, the first bytes of it captured.
    CutC(&'static str, usize),
    /// The server sends, the first bytes of it captured.
    CutS(&'static str, usize),
    /// The client ends its direction.
    FinC,
    /// The server ends its direction.
    FinS,
}
use Step::{C, CutC, CutS, FinC, FinS, LoseC, LoseS, S};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n";

fn play(wire: &mut Wire, steps: &[Step], most: usize) {
    for &step in steps {
        match step {
            C(text) => wire.send(CLIENT, text.as_bytes(), most),
            S(text) => wire.send(SERVER, text.as_bytes(), most),
            LoseC(text) => wire.lose(CLIENT, text.as_bytes()),
            LoseS(text) => wire.lose(SERVER, text.as_bytes()),
            CutC(text, snap) => wire.cut(CLIENT, text.as_bytes(), snap),
            CutS(text, snap) => wire.cut(SERVER, text.as_bytes(), snap),
            FinC => wire.fin(CLIENT),
            FinS => wire.fin(SERVER),
        }
    }
}

fn lines(steps: &[Step], most: usize, shaken: bool) -> Vec<String> {
    let isn = [0xffff_fff0, 0xffff_ff00];
    let mut wire = if shaken { Wire::open(isn) } else { Wire::new([40_000, 8080], isn) };
    play(&mut wire, steps, most);
    let (seen, _) = run(&wire.records, SensorConfig::default());
    seen.transactions.iter().map(line).collect()
}

/// Framing and its corners; each is run whole and cut into segments of one to nine bytes.
#[test]
fn exchanges() {
    let rows: &[(&str, &[Step], &[&str])] = &[
        ("one", &[C("GET /a HTTP/1.1\r\nHost: h\r\n\r\n"), S(OK)], &["GET /a 200 0 2"]),
        (
            "kept alive",
            &[C("GET /a HTTP/1.1\r\n\r\n"), S(OK), C("GET /b HTTP/1.1\r\n\r\n"), S(NOT_FOUND)],
            &["GET /a 200 0 2", "GET /b 404 0 0"],
        ),
        (
            "pipelined",
            &[
                C("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n"),
                S(OK),
                S(NOT_FOUND),
                S(CHUNKED),
            ],
            &["GET /a 200 0 2", "GET /b 404 0 0", "GET /c 200 0 3"],
        ),
        (
            "bodies both ways",
            &[C("POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345"), S(OK)],
            &["POST /a 200 5 2"],
        ),
        (
            "chunks both ways",
            &[
                C(
                    "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
                ),
                S(CHUNKED),
            ],
            &["POST /a 200 3 3"],
        ),
        (
            "no body where there is a length",
            &[
                C("HEAD /a HTTP/1.1\r\n\r\n"),
                S("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
                C("GET /b HTTP/1.1\r\n\r\n"),
                S("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
                C("GET /c HTTP/1.1\r\n\r\n"),
                S("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n"),
                C("GET /d HTTP/1.1\r\n\r\n"),
                S(OK),
            ],
            &["HEAD /a 200 0 0", "GET /b 304 0 0", "GET /c 204 0 0", "GET /d 200 0 2"],
        ),
        (
            "interim responses",
            &[
                C("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
                S("HTTP/1.1 100 Continue\r\n\r\n"),
                C("xx"),
                S("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
                S(OK),
            ],
            &["POST /a 200 2 2"],
        ),
        (
            "to the end of the connection",
            &[C("GET /a HTTP/1.0\r\n\r\n"), S("HTTP/1.0 200 OK\r\n\r\nhello"), FinS, FinC],
            &["GET /a 200 0 5"],
        ),
        (
            "cut short by the end",
            &[
                C("GET /a HTTP/1.1\r\n\r\n"),
                S("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
                FinS,
                FinC,
            ],
            &["GET /a 200 0 5 !"],
        ),
        ("unanswered", &[C("GET /a HTTP/1.1\r\n\r\n"), FinC, FinS], &["GET /a - 0 - !"]),
        (
            "answered before it was asked to the end",
            &[
                C("POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n1234"),
                S("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"),
                C("56789"),
                C("GET /b HTTP/1.1\r\n\r\n"),
                S(OK),
            ],
            &["POST /a 413 9 0", "GET /b 200 0 2"],
        ),
        (
            "without a version",
            &[C("GET /a\r\n"), S("<html>"), S("</html>"), FinS, FinC],
            &["GET /a - 0 13"],
        ),
        (
            "bare line feeds, folds and empty lines",
            &[
                C("\r\n\nGET /a HTTP/1.1\nHost:\n h\n\n"),
                S("HTTP/1.1 200\nContent-Length:\n 2\n\nok"),
            ],
            &["GET /a 200 0 2"],
        ),
        (
            "absolute target",
            &[C("GET http://other/a HTTP/1.1\r\nHost: h\r\n\r\n"), S(OK)],
            &["GET http://other/a 200 0 2"],
        ),
        (
            "tunnel",
            &[
                C("CONNECT h:443 HTTP/1.1\r\n\r\n"),
                S("HTTP/1.1 200 OK\r\n\r\n"),
                C("\u{16}\u{3}"),
                S("GET / HTTP/1.1\r\n\r\n"),
            ],
            &["CONNECT h:443 200 0 0"],
        ),
        (
            "refused tunnel",
            &[
                C("CONNECT h:443 HTTP/1.1\r\n\r\n"),
                S(NOT_FOUND),
                C("GET /b HTTP/1.1\r\n\r\n"),
                S(OK),
            ],
            &["CONNECT h:443 404 0 0", "GET /b 200 0 2"],
        ),
        (
            "upgrade",
            &[
                C("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
                S("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
                C("GET / HTTP/1.1\r\n\r\n"),
            ],
            &["GET /ws 101 0 0"],
        ),
        (
            "lengths that contradict each other",
            &[C("POST /a HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345"), S(OK)],
            &["POST /a 200 - 2 !"],
        ),
        (
            "a response nobody asked for",
            &[
                C("GET /a HTTP/1.1\r\n\r\n"),
                S(OK),
                S("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"),
                FinS,
            ],
            &["GET /a 200 0 2"],
        ),
    ];
    for (what, steps, expected) in rows {
        assert_eq!(lines(steps, usize::MAX, true), *expected, "{what}");
        for most in 1..10 {
            assert_eq!(lines(steps, most, true), *expected, "{what}, segments of {most}");
        }
    }
}

/// What a loss hides is void; what it does not touch is whole.
#[test]
fn losses() {
    const POST: &str = "POST /a HTTP/1.1\r\nContent-Length: 100\r\n\r\n";
    const BODY: &str = "01234567890123456789012345678901234567890123456789";
    const A: &str = "GET /a HTTP/1.1\r\n\r\n";
    const B: &str = "GET /b HTTP/1.1\r\n\r\n";
    const D: &str = "GET /d HTTP/1.1\r\n\r\n";
    let rows: &[(&str, &[Step], &[&str])] = &[
        (
            "inside a body of known length",
            &[C(POST), LoseC(BODY), C(BODY), S(OK), C(B), S(NOT_FOUND)],
            &["POST /a 200 100 2", "GET /b 404 0 0"],
        ),
        (
            "the end of a body of known length",
            &[C(POST), C(BODY), LoseC(BODY), S(OK), C(B), S(NOT_FOUND)],
            &["POST /a 200 100 2", "GET /b 404 0 0"],
        ),
        (
            "captured in part",
            &[C(A), CutS("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789", 40), C(B), S(OK)],
            &["GET /a 200 0 9", "GET /b 200 0 2"],
        ),
        (
            "a request's head captured in part",
            &[CutC("GET /a HTTP/1.1\r\nCookie: 123456789\r\n\r\n", 20), S(OK), C(B), S(NOT_FOUND)],
            &["GET /a 200 - 2 !", "GET /b 404 0 0"],
        ),
        (
            "a response's head captured in part",
            &[C(A), CutS(OK, 20), C(B), S(NOT_FOUND)],
            &["GET /a 200 0 - !", "GET /b 404 0 0"],
        ),
        ("a request", &[LoseC(A), S(OK), C(B), S(NOT_FOUND)], &["GET /b 404 0 0"]),
        (
            "a later request",
            &[C(A), S(OK), LoseC(B), S(NOT_FOUND), C(D), S(OK)],
            &["GET /a 200 0 2", "GET /d 200 0 2"],
        ),
        (
            "a response",
            &[C(A), LoseS(OK), C(B), S(NOT_FOUND)],
            &["GET /a - 0 - !", "GET /b 404 0 0"],
        ),
        (
            "a response and the next request",
            &[C(A), LoseS(OK), LoseC(B), S(NOT_FOUND), C(D), S(OK)],
            &["GET /a - 0 - !", "GET /d 200 0 2"],
        ),
        (
            "an exchange of a client that waits",
            &[C(A), S(OK), C(B), S(OK), LoseC(B), LoseS(NOT_FOUND), C(D), S(OK)],
            &["GET /a 200 0 2", "GET /b 200 0 2", "GET /d 200 0 2"],
        ),
        (
            "an exchange of a client that may not wait",
            &[LoseC(B), LoseS(NOT_FOUND), C(D), S(OK)],
            &["GET /d - 0 - !"],
        ),
        (
            "the framing of chunks",
            &[
                C(A),
                S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"),
                LoseS("c\r\n4"),
                S("\r\nabcd\r\n0\r\n\r\n"),
                C(B),
                S(NOT_FOUND),
            ],
            &["GET /a 200 0 - !", "GET /b 404 0 0"],
        ),
        (
            "inside a chunk",
            &[
                C(A),
                S("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nab"),
                LoseS("cd"),
                S("ef\r\n0\r\n\r\n"),
            ],
            &["GET /a 200 0 6"],
        ),
        (
            "the first of a pipeline's requests: no status is told",
            &[
                LoseC(A),
                C("GET /b HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n\r\n"),
                S(OK),
                S(NOT_FOUND),
                S(OK),
            ],
            &["GET /b - 0 - !", "GET /d - 0 - !"],
        ),
        (
            "the first of two in a pipeline",
            &[LoseC(A), C(B), S(OK), S(NOT_FOUND)],
            &["GET /b - 0 - !"],
        ),
        (
            "the second of two in a pipeline",
            &[C(A), LoseC(B), S(OK), S(NOT_FOUND), C(D), S(OK)],
            &["GET /a 200 0 2", "GET /d 200 0 2"],
        ),
        (
            "the first of a pipeline's responses: no status is told",
            &[C("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"), LoseS(OK), S(NOT_FOUND)],
            &["GET /a - 0 - !", "GET /b - 0 - !"],
        ),
        (
            "the answer to HEAD, not seen to be asked",
            &[
                LoseC("HEAD /a HTTP/1.1\r\n\r\n"),
                S("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
                C(B),
                S(OK),
            ],
            &["GET /b 200 0 2"],
        ),
    ];
    for (what, steps, expected) in rows {
        assert_eq!(lines(steps, usize::MAX, true), *expected, "{what}");
    }
}

/// Connections of which the beginning was not seen.
#[test]
fn entered_in_the_middle() {
    let rows: &[(&str, &[Step], &[&str])] = &[
        ("at a request", &[C("GET /a HTTP/1.1\r\n\r\n"), S(OK)], &["GET /a 200 0 2"]),
        (
            "in a response",
            &[S("rest of something\r\n"), C("GET /a HTTP/1.1\r\n\r\n"), S(OK)],
            &["GET /a 200 0 2"],
        ),
        (
            "at a response",
            &[S(NOT_FOUND), C("GET /a HTTP/1.1\r\n\r\n"), S(OK)],
            &["GET /a 200 0 2"],
        ),
        (
            "in a request",
            &[C("x=1&y=2"), S(NOT_FOUND), C("GET /a HTTP/1.1\r\n\r\n"), S(OK)],
            &["GET /a 200 0 2"],
        ),
    ];
    for (what, steps, expected) in rows {
        assert_eq!(lines(steps, usize::MAX, false), *expected, "{what}");
    }
}

/// What is no HTTP is left alone after its first bytes.
#[test]
fn other_protocols() {
    let rows: &[(&str, &[Step], Application)] = &[
        ("tls", &[C("\u{16}\u{3}\u{1}\u{2}"), S("\u{16}\u{3}\u{3}")], Application::Tls),
        ("nearly tls", &[C("\u{16}\u{3}\u{5}\u{2}\u{2}"), S("+\r\n")], Application::Opaque),
        ("ssh", &[S("SSH-2.0-x y\r\n"), C("SSH-2.0-OpenSSH_9 Debian\r\n")], Application::Opaque),
        ("smtp", &[S("220 mail\r\n"), C("EHLO a\r\n")], Application::Opaque),
        ("redis", &[C("*1\r\n$4\r\nPING\r\n"), S("+PONG\r\n")], Application::Opaque),
        ("memcached", &[C("get key\r\n"), S("END\r\n")], Application::Opaque),
        ("sip", &[C("OPTIONS sip:a SIP/2.0\r\n\r\n")], Application::Opaque),
        ("http/2", &[C("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")], Application::Http2),
        ("like http/2", &[C("PRI * HTTP/2.0\r\n\r\nSM\r\nX")], Application::Opaque),
        ("http", &[C("GET / HTTP/1.1\r\n\r\n")], Application::Http),
        ("nothing", &[], Application::Unknown),
    ];
    for (what, steps, expected) in rows {
        for most in [1, 2, 3, usize::MAX] {
            let mut wire = Wire::open([1, 2]);
            play(&mut wire, steps, most);
            let (seen, sensor) = run(&wire.records, SensorConfig::default());
            assert_eq!(seen.flows[0].application, *expected, "{what}, segments of {most}");
            let opaque = u64::from(*expected == Application::Opaque);
            assert_eq!(sensor.stats().opaque_flows, opaque, "{what}");
            assert_eq!(sensor.stats().http_flows, u64::from(*expected == Application::Http));
        }
    }
}

/// The parts of a transaction that the other tests do not look at.
#[test]
fn all_of_a_transaction() {
    let mut wire = Wire::open([1, 2]);
    wire.send(
        CLIENT,
        b"GET /a?b HTTP/1.0\r\nHost: h:1\r\nUser-Agent: u\r\nCookie: secret\r\n\r\n",
        20,
    );
    let asked = wire.records[2].header.time;
    wire.send(SERVER, b"HTTP/1.1 100 Continue\r\n\r\n", 99);
    wire.time += 7_000;
    wire.send(SERVER, OK.as_bytes(), 11);
    let (seen, _) = run(&wire.records, SensorConfig::default());
    let [transaction] = seen.transactions.as_slice() else { panic!("{seen:?}") };
    let answered = asked + 3 * wire.step + wire.step + 7_000 + wire.step;
    assert_eq!(transaction.time, asked);
    assert_eq!(transaction.latency, Some(answered - asked));
    assert_eq!(transaction.version, "1.0");
    assert_eq!(transaction.host.as_deref(), Some("h:1"));
    assert_eq!(transaction.user_agent.as_deref(), Some("u"));
    assert!(transaction.credentials.any() && transaction.handshake && transaction.inbound);
    assert_eq!(transaction.weight, 1 << 16);
    assert_eq!(transaction.flow.client_port, 40_000);
    assert_eq!(transaction.flow.server.to_string(), "10.0.0.2");
    assert!(!format!("{transaction:?}").contains("secret"));
}
