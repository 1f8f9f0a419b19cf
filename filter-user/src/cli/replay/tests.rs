use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::judge::Judge;
use super::print::{Form, Printer};
use super::run;
use crate::cli::style::Style;

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];
const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;

const FIRST: &[u8] = b"GET /a?b=\"c\" HTTP/1.1\r\nHost: h\r\nUser-Agent: u\x1b[31m\r\n\r\n";
const REPLY: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nxyz";
const SECOND: &[u8] = b"PUT /\x1b[2J HTTP/1.1\r\nContent-Length: 1\r\n\r\n.";

/// A capture of raw IP in which a client at port 40000 talks to a server at 8080.
struct Capture {
    file: Vec<u8>,
    seconds: u32,
    next: [u32; 2],
}

impl Capture {
    fn new() -> Self {
        let mut file = 0xa1b2_c3d4u32.to_le_bytes().to_vec();
        file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0]);
        Self { file, seconds: 100, next: [1000, 2000] }
    }

    fn packet(&mut self, data: &[u8]) {
        for word in [self.seconds, 250_000, data.len() as u32, data.len() as u32] {
            self.file.extend(word.to_le_bytes());
        }
        self.seconds += 1;
        self.file.extend_from_slice(data);
    }

    fn tcp(&mut self, side: usize, flags: u8, payload: &[u8]) {
        let length = (40 + payload.len()) as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        let ends = [(CLIENT, 40_000u16), (SERVER, 8080)];
        packet.extend(ends[side].0);
        packet.extend(ends[1 - side].0);
        packet.extend(ends[side].1.to_be_bytes());
        packet.extend(ends[1 - side].1.to_be_bytes());
        packet.extend(self.next[side].to_be_bytes());
        packet.extend(self.next[1 - side].to_be_bytes());
        packet.extend([0x50, flags, 1, 0, 0, 0, 0, 0]);
        packet.extend_from_slice(payload);
        self.next[side] += payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.packet(&packet);
    }

    /// Two exchanges, the second unanswered, and a packet that is no IP.
    fn conversation() -> Self {
        let mut capture = Self::new();
        capture.tcp(0, SYN, b"");
        capture.tcp(1, SYN | ACK, b"");
        capture.tcp(0, ACK, FIRST);
        capture.tcp(1, ACK, REPLY);
        capture.tcp(0, ACK, SECOND);
        capture.tcp(0, ACK | FIN, b"");
        capture.tcp(1, ACK | FIN, b"");
        capture.packet(&[0x10; 30]);
        capture
    }
}

fn print(capture: &[u8], judge: Option<Judge>, form: Form, verdicts: bool) -> String {
    let mut out = Vec::new();
    run(capture, Path::new("x.pcap"), judge, Printer::new(&mut out, form, verdicts), None).unwrap();
    String::from_utf8(out).unwrap()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn json_lines() {
    let capture = Capture::conversation();
    let objects = objects(&print(&capture.file, None, Form::Json, false));
    let flow = json!({ "src": "10.0.0.1", "sport": 40000, "dst": "10.0.0.2", "dport": 8080 });
    assert_eq!(
        objects[0],
        json!({
            "type": "http", "ts": 102.25, "flow": flow, "protocol": "1.1",
            "method": "GET", "target": "/a?b=\"c\"", "host": "h", "user_agent": "u\u{1b}[31m",
            "status": 404, "request_body_bytes": 0, "response_body_bytes": 3,
            "latency_seconds": 1.0, "visibility": "plaintext", "complete": true,
        })
    );
    assert_eq!(
        objects[1],
        json!({
            "type": "http", "ts": 104.25, "flow": flow, "protocol": "1.1",
            "method": "PUT", "target": "/\u{1b}[2J", "host": null, "user_agent": null,
            "status": null, "request_body_bytes": 1, "response_body_bytes": null,
            "latency_seconds": null, "visibility": "plaintext", "complete": false,
        })
    );
    let none = json!({ "client": 0, "server": 0 });
    assert_eq!(
        objects[2],
        json!({
            "type": "flow", "ts": 100.25, "flow": flow, "transport": "tcp",
            "packets": { "to_server": 4, "to_client": 3 },
            "bytes": {
            "to_server": 40 * 4 + FIRST.len() + SECOND.len(),
            "to_client": 40 * 3 + REPLY.len(),
        },
            "duration_seconds": 6.0, "handshake": true, "closed": "fin",
            "application": "http", "transactions": 2,
            "tcp": {
                "opening": "established", "handshake_seconds": 2.0,
                "retransmissions": none, "resets": none, "zero_windows": none,
                "unfinished_head": false,
            },
        })
    );
    let summary = &objects[3];
    assert_eq!(objects.len(), 4);
    for (key, expected) in [
        ("type", json!("summary")),
        ("packets", json!(8)),
        ("bytes", json!(capture.file.len() - 24 - 8 * 16)),
        ("parse", json!({ "ok": 7, "bad_ip": 1 })),
        ("transactions", json!(2)),
        ("flows", json!(1)),
        ("voided", json!(0)),
        ("duration_seconds", json!(7.0)),
        ("truncated_packets", json!(0)),
        ("read_to_end", json!(true)),
    ] {
        assert_eq!(summary[key], expected, "{key}");
    }
    assert_eq!(summary["sensor"]["unanswered"], 1);
    assert!(summary.get("verdicts").is_none());
}

/// The IPv4 packet in fragments of so many bytes, the last first.
fn fragmented(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (head, payload) = packet.split_at(20);
    let count = payload.len().div_ceil(size);
    let piece = |(place, piece): (usize, &[u8])| {
        let mut head = head.to_vec();
        head[2..4].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
        let more = if place + 1 < count { 0x2000 } else { 0 };
        head[4..8]
            .copy_from_slice(&[[0, 7], (more | (place * size / 8) as u16).to_be_bytes()].concat());
        [&head, piece].concat()
    };
    payload.chunks(size).enumerate().map(piece).rev().collect()
}

#[test]
fn what_is_fragmented_reads_as_if_it_were_not() {
    // Of 8 bytes: the first has the ports, and too little of a header for the kernel's parser.
    for size in [8, 24, 64] {
        let mut whole = Capture::new();
        let mut cut = Capture::new();
        let conversation = [
            (0, SYN, &b""[..]),
            (1, SYN | ACK, b""),
            (0, ACK, FIRST),
            (1, ACK, REPLY),
            (0, ACK | FIN, b""),
            (1, ACK | FIN, b""),
        ];
        let mut fragments = 0;
        for (side, flags, payload) in conversation {
            let begins = whole.file.len() + 16;
            whole.tcp(side, flags, payload);
            let packet = whole.file[begins..].to_vec();
            let pieces = if payload.is_empty() { vec![packet] } else { fragmented(&packet, size) };
            fragments += if pieces.len() > 1 { pieces.len() } else { 0 };
            let seconds = cut.seconds;
            for piece in pieces {
                cut.packet(&piece);
                cut.seconds = seconds;
            }
            cut.seconds += 1;
        }
        let [whole, cut] =
            [whole, cut].map(|capture| objects(&print(&capture.file, None, Form::Json, false)));
        assert_eq!(whole[0], cut[0], "{size}");
        assert_eq!((&cut[0]["status"], &cut[0]["complete"]), (&json!(404), &json!(true)));
        let [flow, summary] = &cut[1..] else { panic!("{cut:?}") };
        let packets = flow["packets"].as_object().unwrap();
        let packets: u64 = packets.values().map(|side| side.as_u64().unwrap()).sum();
        assert_eq!(packets, 4 + fragments as u64, "{size}");
        let bytes = flow["bytes"].as_object().unwrap();
        let bytes: u64 = bytes.values().map(|side| side.as_u64().unwrap()).sum();
        assert_eq!(summary["bytes"], bytes, "{size}");
        assert_eq!(
            (&flow["tcp"]["retransmissions"]["client"], &flow["handshake"]),
            (&json!(0), &json!(true))
        );
        assert_eq!(
            (&summary["fragments"], &summary["packets"]),
            (&json!(fragments), &json!(packets))
        );
        assert_eq!(
            summary["datagrams"],
            json!({
                "reassembled": 2, "incomplete": 0, "no_room": 0, "overlapping": 0, "oversize": 0,
                "malformed": 0, "duplicates": 0, "unreadable": 0,
            })
        );
    }
}

#[test]
fn a_first_fragment_alone_is_still_read() {
    let mut capture = Capture::new();
    capture.tcp(0, SYN, b"");
    capture.tcp(1, SYN | ACK, b"");
    let begins = capture.file.len() + 16;
    let request = [FIRST, &[b'x'; 64]].concat();
    capture.tcp(0, ACK, &request);
    let packet = capture.file.split_off(begins);
    capture.file.truncate(begins - 16);
    let first = fragmented(&packet, (20 + FIRST.len()).next_multiple_of(8)).pop().unwrap();
    capture.packet(&first);
    capture.seconds += 3;
    capture.tcp(1, ACK, REPLY);
    let told = objects(&print(&capture.file, None, Form::Json, false));
    assert_eq!((&told[0]["target"], &told[0]["status"]), (&json!("/a?b=\"c\""), &json!(404)));
    assert_eq!(told.last().unwrap()["datagrams"]["incomplete"], 1);
    let text = print(&capture.file, None, Form::Text, false);
    assert!(text.contains("fragments     1, 1 incomplete\n"), "{text}");
}

#[test]
fn a_table_for_people() {
    let capture = Capture::conversation();
    let text = print(&capture.file, None, Form::Text, false);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("TIME"), "{text}");
    for part in ["00:01:42.250", "10.0.0.1:40000", "GET", "/a?b=\"c\"", "404", "1000.000 ms", " 3"]
    {
        assert!(lines[1].contains(part), "{part} is not in {}", lines[1]);
    }
    assert!(text.contains("transactions  2, 1 unanswered"), "{text}");
    assert!(text.contains("not parsed    1 bad_ip"), "{text}");
    assert!(!text.contains('\u{1b}'), "what strangers send must not reach the terminal");

    let cut = &capture.file[..capture.file.len() - 1];
    let text = print(cut, None, Form::Text, false);
    assert!(text.contains("ends in the middle of a packet"), "{text}");
}

#[test]
fn the_table_fits_the_terminal() {
    let mut capture = Capture::new();
    capture.tcp(0, SYN, b"");
    capture.tcp(1, SYN | ACK, b"");
    let path = "/a".repeat(100);
    capture.tcp(0, ACK, format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes());
    capture.tcp(1, ACK, REPLY);
    // Columns, whether sizes have room, how wide the target is.
    for (width, sizes, target) in
        [(160, true, 71), (102, true, 13), (101, false, 34), (80, false, 13)]
    {
        let mut out = Vec::new();
        let style = Style { width: Some(width), unicode: false, ..Style::PLAIN };
        let printer = Printer::new(&mut out, Form::Text, false).styled(style);
        run(capture.file.as_slice(), Path::new("x.pcap"), None, printer, None).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<&str> = text.lines().take(2).collect();
        assert!(rows.iter().all(|row| row.len() == width), "{width}: {text}");
        assert_eq!(rows[0].ends_with("  RESPONSE"), sizes, "{width}: {text}");
        assert!(rows[1].contains(&format!("  {}~  ", &path[..target - 1])), "{width}: {text}");
    }
}

#[test]
fn verdicts() {
    let mut policy = tempfile::NamedTempFile::new().unwrap();
    policy
        .write_all(
            b"[policy]\nname = \"p\"\nversion = 1\n\
              [groups.others]\ncidrs = [\"198.51.100.0/24\"]\n\
              [[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = [\"others\"]\n",
        )
        .unwrap();
    let capture = Capture::conversation();
    let judge = Judge::new(Some(policy.path())).unwrap();
    let found = objects(&print(&capture.file, Some(judge), Form::Json, true));
    let flow = json!({ "src": "10.0.0.1", "sport": 40000, "dst": "10.0.0.2", "dport": 8080 });
    assert_eq!(
        found[0],
        json!({
            "type": "verdict", "ts": 100.25, "flow": flow,
            "verdict": "drop", "reason": "not_allowed", "api": "orders",
        })
    );
    assert_eq!(found[1]["reason"], "unclaimed");
    assert_eq!(found[1]["api"], Value::Null);
    assert_eq!(
        found.last().unwrap()["verdicts"],
        json!({
            "drop": { "not_allowed": 4, "bad_ip": 1 }, "pass": { "unclaimed": 3 },
        })
    );
    // The API's own side of the connection is the server's, whatever the ports say.
    assert!(found.iter().any(|object| object["type"] == "http" && object["flow"] == flow));

    let observing = Judge::new(None).unwrap();
    let found = objects(&print(&capture.file, Some(observing), Form::Json, true));
    assert_eq!(
        found.last().unwrap()["verdicts"],
        json!({
            "would_drop": { "bad_ip": 1 }, "pass": { "unclaimed": 7 },
        })
    );

    policy.write_all(b"nonsense = 1\n").unwrap();
    let Err(problems) = Judge::new(Some(policy.path())) else { panic!("it is valid") };
    assert!(problems.contains("nonsense"), "{problems}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let printer = Printer::new(Vec::new(), Form::Json, false);
    let error = run(&b"no capture"[..], Path::new("x.pcap"), None, printer, None).unwrap_err();
    assert_eq!(format!("{error:#}"), "cannot read x.pcap: neither a pcap nor a pcapng file");
}

/// A connection recorded for the sensor's tests, as a capture.
fn recorded(mut recording: &[u8]) -> Capture {
    let mut capture = Capture::new();
    capture.tcp(0, SYN, b"");
    capture.tcp(1, SYN | ACK, b"");
    while let Some(([side, high, low], rest)) = recording.split_first_chunk() {
        let (payload, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        capture.tcp(usize::from(*side), ACK, payload);
        recording = rest;
    }
    capture
}

#[test]
fn tls() {
    let capture = recorded(include_bytes!("../../sensor/tests/data/tls12_curl"));
    let found = objects(&print(&capture.file, None, Form::Json, false));
    let flow = json!({ "src": "10.0.0.1", "sport": 40000, "dst": "10.0.0.2", "dport": 8080 });
    assert_eq!(
        found[0],
        json!({
            "type": "tls", "ts": 102.25, "flow": flow, "version": "1.2", "version_offered": "1.3",
            "sni": "lab.test", "alpn": ["http/1.1"], "alpn_selected": "http/1.1",
            "cipher": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "ja4": "t13d3112h1_e8f1e7e78f70_b26ce05bbdd6",
            "certificate_not_after": "2027-02-07T11:40:21Z", "handshake_seconds": 3.0,
            "retried": false, "visibility": "tls_metadata", "complete": true,
        })
    );
    assert_eq!(
        found[1],
        json!({
            "type": "turn", "ts": 106.25, "flow": flow, "request_bytes": 111,
            "response_bytes": 270, "latency_seconds": 1.0, "visibility": "tls_metadata",
            "complete": true,
        })
    );
    let summary = found.last().unwrap();
    assert_eq!((&summary["handshakes"], &summary["turns"]), (&json!(1), &json!(2)));

    let text = print(&capture.file, None, Form::Text, false);
    let row = text.lines().nth(1).unwrap();
    for part in ["TLS1.2", "lab.test t13d3112h1_e8f1e7e78f70_b26ce05bbdd6", "3000.000 ms"] {
        assert!(row.contains(part), "{part} is not in {row}");
    }
    assert!(text.contains("handshakes    1, then 2 turns"), "{text}");
}

mod findings {
    //! Detectors over captures and recordings.

    use super::super::{ReplayArgs, replay_any};
    use super::*;

    const POLICY: &str = r#"
        [policy]
        name = "edge"
        version = 1
        [[api]]
        name = "orders"
        owner = "team"
        listen = ["tcp/8080"]
        allow = "any"
        login = { routes = ["POST /login"] }
    "#;

    fn replay(content: &[u8], policy: Option<&str>, form: Form) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("edge.toml");
        let args = ReplayArgs {
            file: "x".into(),
            policy: policy.map(|text| {
                std::fs::write(&path, text).unwrap();
                path.clone()
            }),
            json: form == Form::Json,
            findings: true,
            verdicts: false,
        };
        let judge = Judge::new(args.policy.as_deref()).unwrap();
        let mut out = Vec::new();
        replay_any(content, &args, Some(judge), Printer::new(&mut out, form, false)).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn found(text: &str) -> Vec<Value> {
        objects(text).into_iter().filter(|line| line["type"] == "finding").collect()
    }

    /// An hour of lines; in its middle somebody asks for one object after another.
    fn recording(api: &str, from: u64) -> String {
        let mut text = String::new();
        for second in 0..3600_u64 {
            let mut line = |source: String, number: u64| {
                let time = (from + second) * 1_000_000_000;
                let line = json!({
                    "type": "http", "time": time, "api": api, "source": source,
                    "method": "GET", "target": format!("/orders/{number}"), "route": "/orders/{id}",
                    "status": 200, "response_bytes": 900, "handshake": true, "weight": 65536,
                });
                text += &format!("{line}\n");
            };
            line(format!("10.0.{}.{}", second / 200, second % 200), second * 7919 % 5000);
            if (1000..1200).contains(&second) {
                line("192.0.2.66".to_owned(), second);
            }
        }
        text
    }

    #[test]
    fn of_a_recording() {
        let day = 1_700_000_000;
        let text = recording("orders", day);
        for policy in [Some(POLICY), None] {
            let out = replay(text.as_bytes(), policy, Form::Json);
            let found = found(&out);
            let states: Vec<_> = found.iter().map(|one| one["finding"]["state"].clone()).collect();
            assert_eq!(
                (&states[0], states.last()),
                (&json!("open"), Some(&json!("closed"))),
                "{out}"
            );
            let first = &found[0];
            assert_eq!(first["finding"]["detector"], "enumeration", "{out}");
            assert_eq!(first["source"]["ip"], "192.0.2.66");
            assert_eq!(first["api"]["name"], "orders");
            assert_eq!(first["http"]["route"], "/orders/{id}");
            assert_eq!(first["event"], "finding_opened");
            let at = first["ts"].as_f64().unwrap() - day as f64;
            assert!((1040.0..1200.0).contains(&at), "in its own time: {at}");
            let summary = objects(&out).pop().unwrap();
            assert_eq!(summary["lines"], 3800);
            assert_eq!((&summary["findings"], &summary["skipped"]), (&json!(1), &json!(0)));
            // The same again gives the same.
            assert_eq!(out, replay(text.as_bytes(), policy, Form::Json));
        }
        let out = replay(text.as_bytes(), Some(POLICY), Form::Text);
        assert!(
            out.contains("finding open    warning   enumeration: 192.0.2.66 asked orders"),
            "{out}"
        );
    }

    #[test]
    fn windows_of_the_policy_hold_in_the_time_of_the_recording() {
        // Ten requests a second, none at all for five minutes from the half hour on.
        let day = 1_700_000_000;
        let mut text = String::new();
        for second in (0..3600_u64).filter(|second| !(1800..2100).contains(second)) {
            for _ in 0..10 {
                let line = json!({
                    "type": "http", "time": (day + second) * 1_000_000_000, "api": "orders",
                    "source": "10.0.0.1", "method": "GET", "target": "/", "route": "/",
                    "status": 200, "response_bytes": 900, "handshake": true, "weight": 65536,
                });
                text += &format!("{line}\n");
            }
        }
        // The recording begins on 14 November 2023, a Tuesday, at 22:13:20.
        for (window, expected) in [
            ("", true),
            ("days = [\"tue\"]\nfrom = \"22:43\"\nfor = \"7m\"", false),
            ("days = [\"wed\"]\nfrom = \"22:43\"\nfor = \"7m\"", true),
            ("from = \"2023-11-14T22:43:00Z\"\nuntil = \"2023-11-14T22:50:00Z\"", false),
            ("from = \"2023-11-14T22:50:00Z\"\nuntil = \"2023-11-14T22:57:00Z\"", true),
        ] {
            let header = if window.is_empty() { "" } else { "[[maintenance]]\n" };
            let policy = format!("{POLICY}\n{header}{window}\n");
            let out = replay(text.as_bytes(), Some(&policy), Form::Json);
            let shifts = found(&out)
                .into_iter()
                .filter(|one| one["finding"]["detector"] == "rate_shift")
                // The end of the recording is silence too.
                .filter(|one| one["ts"].as_f64().unwrap() < (day + 3600) as f64)
                .count();
            assert_eq!(shifts > 0, expected, "{window}\n{out}");
        }
    }

    #[test]
    fn torn_foreign_and_unknown_lines_are_counted() {
        let mut text = recording("payments", 1_700_000_000);
        text.insert_str(0, "{\"type\":\"http\",\"time\":1\n{\"type\":\"later\"}\n\n");
        text += &format!("{{\"a\":\"{}\"}}\n", "x".repeat(3 << 20));
        text += "{\"type\":\"telemetry\",\"time\":1700003600000000000,\"completeness\":0.5}";
        let summary = objects(&replay(text.as_bytes(), Some(POLICY), Form::Json)).pop().unwrap();
        assert_eq!(summary["skipped"], 3);
        assert_eq!(summary["unknown_api"], 3800);
        assert_eq!(summary["lines"], 3801);
    }

    #[test]
    fn time_may_go_back_and_jump() {
        // Lines that overtake each other by seconds, as those of several CPUs do.
        let text = recording("orders", 1_700_000_000);
        let mut lines: Vec<&str> = text.lines().collect();
        lines.chunks_mut(20).for_each(<[&str]>::reverse);
        let out = replay(lines.join("\n").as_bytes(), Some(POLICY), Form::Json);
        assert_eq!(found(&out)[0]["source"]["ip"], "192.0.2.66", "{out}");
        // The clock is set back by a day in the middle, and ahead by five centuries at the end.
        let mut text = recording("orders", 1_700_000_000);
        text += &recording("orders", 1_699_900_000);
        text += &recording("orders", 18_000_000_000);
        let out = replay(text.as_bytes(), Some(POLICY), Form::Json);
        let summary = objects(&out).pop().unwrap();
        assert_eq!(
            (&summary["clock_jumps"], &summary["findings"]),
            (&json!(2), &json!(3)),
            "{out}"
        );
    }

    #[test]
    fn of_a_capture() {
        // A conversation of somebody who guesses passwords, with packets in the wrong order.
        let mut capture = Capture::new();
        capture.tcp(0, SYN, b"");
        capture.tcp(1, SYN | ACK, b"");
        for _ in 0..40 {
            capture.tcp(0, ACK, b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
            capture.tcp(1, ACK, b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
            capture.seconds -= 1;
        }
        let out = replay(&capture.file, Some(POLICY), Form::Json);
        let found = found(&out);
        assert_eq!(found[0]["finding"]["detector"], "brute_force", "{out}");
        assert_eq!(found[0]["api"]["name"], "orders");
        let at = found[0]["ts"].as_f64().unwrap();
        assert!((110.0..145.0).contains(&at), "{at}");
        let summary = objects(&out).pop().unwrap();
        assert_eq!(summary["findings"], 1);
        // Without being asked, nothing of it is printed.
        let plain = print(&capture.file, None, Form::Json, false);
        assert!(!plain.contains("finding") && !plain.contains("clock_jumps"), "{plain}");
        // A packet from a day before, and one from the end of time.
        capture.seconds = 100_000;
        capture.tcp(0, ACK, b"GET / HTTP/1.1\r\n\r\n");
        capture.seconds = 50;
        capture.tcp(1, ACK, REPLY);
        capture.seconds = u32::MAX - 1;
        capture.tcp(0, ACK | FIN, b"");
        let summary = objects(&replay(&capture.file, Some(POLICY), Form::Json)).pop().unwrap();
        assert_eq!(summary["clock_jumps"], 2);
    }
}
