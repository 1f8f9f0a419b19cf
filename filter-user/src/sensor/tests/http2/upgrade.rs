//! HTTP/1.1 that turns into HTTP/2.

use super::*;
use crate::sensor::Application;
use crate::sensor::transaction::Credential;

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
