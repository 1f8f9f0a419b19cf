use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::judge::Judge;
use super::print::{Form, Printer};
use super::run;

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
    run(capture, Path::new("x.pcap"), judge, Printer::new(&mut out, form, verdicts)).unwrap();
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
    let error = run(&b"no capture"[..], Path::new("x.pcap"), None, printer).unwrap_err();
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
