use super::veil::Veil;
use super::{Line, Recorder, Settings, Telemetry};
use crate::detect::{FlowSeen, Observation, Origin, RefusedBy, RefusedSeen, Traffic, TurnSeen};
use crate::sensor::FlowSummary;

#[test]
fn targets_keep_no_secret() {
    let veil = Veil::default();
    for (target, hidden, kept) in [
        ("/orders/17?token=SECRET", &["17", "SECRET"][..], &["/orders/"][..]),
        ("/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP", &["eyJ"], &["/reset/~"]),
        ("/users/alice@example.org/mail", &["alice"], &["/users/~", "/mail"]),
        ("/a;jsessionid=SECRET/b#SECRET", &["SECRET"], &["/a/b"]),
        (
            "http://host/a?user_id=99887766&key=SECRET",
            &["99887766", "SECRET", "host"],
            &["/a?user_id="],
        ),
        ("/a?sessionId=SECRET", &["SECRET"], &["/a?sessionId=~"]),
        ("/.env", &[], &["/.env"]),
        ("*", &[], &["*"]),
        ("/", &[], &["/"]),
    ] {
        let veiled = veil.target(target);
        // A number may turn up by chance within one of eighteen digits.
        for text in hidden.iter().filter(|text| text.len() > 4) {
            assert!(!veiled.contains(text), "{target} became {veiled}");
        }
        kept.iter().for_each(|text| assert!(veiled.contains(text), "{target} became {veiled}"));
        assert_eq!(veiled, veil.target(target));
    }
    let number = |target| veil.target(target)[8..].parse::<u64>().unwrap();
    assert_eq!(number("/orders/118").wrapping_sub(number("/orders/111")), 7);
    assert_ne!(number("/orders/111"), 111);
    assert_ne!(veil.target("/x/a@b"), veil.target("/x/a@c"));
    assert_ne!(Veil::default().target("/orders/111"), veil.target("/orders/111"));
}

#[test]
fn lines_come_back() {
    let veil = Veil::default();
    let origin = Origin { country: Some(*b"DE"), asn: Some(64_500) };
    let (time, credential) = (5_000_000_000, Some(u64::MAX));
    let target = "/orders/17";
    let seen = Observation { time, credential, origin, target, ..Observation::example() };
    let source = seen.source;
    let flow = FlowSeen::of(&FlowSummary::example(), source).unwrap();
    let turn = TurnSeen {
        time,
        api: 1,
        source,
        latency: Some(7),
        response_bytes: 9,
        complete: true,
        handshake: true,
        weight: 65_536,
    };
    let refused = RefusedSeen { time, api: 0, source, port: 22, by: RefusedBy::Unclaimed };
    let traffic = Traffic { api: 1, passed: 1, limited: 2, banned: 3, refused: 4 };
    let epoch = 1_700_000_000_000_000_000;
    for line in [
        Line::request(&seen, Some("orders \"one\""), epoch, &veil),
        Line::connection(&flow, None, epoch),
        Line::turn(&turn, Some("orders"), epoch),
        Line::refusal(&refused, None, epoch),
        Line::traffic(&traffic, Some("orders"), time, epoch),
        Line::Telemetry(Telemetry { time: 7, completeness: 0.5 }),
    ] {
        let text = serde_json::to_string(&line).unwrap();
        let back: Line<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, line, "{text}");
        assert!(back.time() == 7 || back.time() > 1_700_000_000_000_000_000, "{text}");
        match &back {
            Line::Http(request) => {
                let there = request.observation(1);
                let expected = Observation {
                    time: request.time,
                    target: &request.target,
                    route: there.route,
                    ..seen
                };
                assert_eq!(there, expected);
            }
            Line::Flow(connection) => {
                let (start, end) = (connection.start, connection.time);
                assert_eq!(connection.seen(1), FlowSeen { start, end, ..flow });
            }
            Line::Turn(turned) => {
                assert_eq!(turned.seen(1), TurnSeen { time: turned.time, ..turn });
            }
            _ => {}
        }
    }
}

#[test]
fn is_bounded_and_counts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record.jsonl");
    let settings = Settings { path: path.clone(), bytes: 1 << 20 };
    let mut recorder = Recorder::start(&settings).unwrap();
    let telemetry = |time| Line::Telemetry(Telemetry { time, completeness: 1.0 });
    let lines = 100_000;
    for time in 0..lines {
        recorder.write(&telemetry(time));
        if time % 1000 == 0 {
            // So that the disk keeps up.
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    let counts = std::sync::Arc::clone(&recorder.counts);
    drop(recorder);
    let [written, dropped] = [&counts.written, &counts.dropped]
        .map(|count| count.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(written + dropped, lines, "{dropped} dropped");
    assert!(written > 0);
    let sizes = std::fs::read_dir(directory.path()).unwrap();
    let total: u64 = sizes.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!((1 << 19..=1 << 20).contains(&total), "{total}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().all(|line| serde_json::from_str::<Line<'_>>(line).is_ok()));
    // A place that cannot be written loses lines and says so, and nothing waits.
    let settings = Settings { path: "/dev/null/record.jsonl".into(), bytes: 1 << 20 };
    let mut recorder = Recorder::start(&settings).unwrap();
    recorder.write(&telemetry(1));
    let counts = std::sync::Arc::clone(&recorder.counts);
    drop(recorder);
    assert_eq!(counts.dropped.load(std::sync::atomic::Ordering::Relaxed), 1);
}
