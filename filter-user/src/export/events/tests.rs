//! The schema, the log, and the docs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::detect::{ApiProfile, Engine, Finding, Observation};
use crate::respond::{Action, Outcome, Refusal};
use filter_common::reason::Reason;

const NOON: u64 = 1_717_243_200_123_456_789;

fn json(event: &Event) -> serde_json::Value {
    serde_json::from_str(&serde_json::to_string(event).unwrap()).unwrap()
}

fn orders() -> ApiField {
    ApiField { name: "orders".into(), responder: Some("oncall".into()), ..ApiField::default() }
}

fn finding() -> Finding {
    let mut engine = Engine::new(crate::detect::Config::default(), 1);
    engine.set_apis([ApiProfile { id: 1, name: "orders".into(), ..ApiProfile::unclaimed() }]);
    let observation = Observation {
        time: 1000,
        api: 1,
        source: "2001:db8::1".parse().unwrap(),
        method: "POST",
        target: "/login?password=SECRET",
        status: Some(401),
        ..Observation::example()
    };
    (0..15).for_each(|_| engine.observe(&observation));
    engine.tick(1_000_000_000, 0, 1.0).remove(0)
}

#[test]
fn minimal_event() {
    let event = Event::new(Kind::DaemonStarted, NOON, "");
    let expected = r#"{"schema":1,"time":"2024-06-01T12:00:00.123Z","event":"daemon_started","severity":"info"}"#;
    assert_eq!(serde_json::to_string(&event).unwrap(), expected);
    for (time, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (999_999, "1970-01-01T00:00:00.000Z"),
        (u64::MAX, "2554-07-21T23:34:33.709Z"),
    ] {
        assert_eq!(json(&Event { time, ..event.clone() })["time"], expected);
    }
}

#[test]
fn findings_and_answers() {
    let finding = finding();
    let epoch = i128::from(NOON) - 1_000_000_000;
    let event = json(&Event::finding(&finding, orders(), epoch));
    for (pointer, expected) in [
        ("/event", "\"finding_opened\""),
        ("/time", "\"2024-06-01T12:00:00.123Z\""),
        ("/severity", "\"warning\""),
        ("/api/name", "\"orders\""),
        ("/api/responder", "\"oncall\""),
        ("/source/ip", "\"2001:db8::\""),
        ("/source/prefix", "64"),
        ("/finding/state", "\"open\""),
        ("/finding/detector", "\"brute_force\""),
        ("/finding/observed", "1.0"),
        ("/finding/window", "600"),
        ("/finding/completeness", "1.0"),
        ("/finding/owasp", "\"API2:2023 Broken Authentication\""),
        ("/finding/evidence_forgeable", "false"),
    ] {
        let found = event.pointer(pointer).map(ToString::to_string);
        assert_eq!(found.as_deref(), Some(expected), "{pointer}");
    }
    assert_eq!(event["api"].get("owner"), None);
    assert!(!event.to_string().contains("SECRET"));
    let ban = Action::Ban {
        source: finding.source.unwrap(),
        api: 1,
        ttl: Duration::from_secs(600),
        reason: String::new(),
    };
    for (outcome, expected) in [
        (Outcome::Done(ban.clone()), "action_taken ban done "),
        (Outcome::Refused(ban.clone(), Refusal::Proxy), "action_refused ban refused proxy"),
        (Outcome::Impossible(Refusal::NoSource), "action_refused ban refused no_source"),
        (Outcome::Failed(ban, "map full".to_owned()), "action_refused ban failed "),
    ] {
        let event = Event::answer(&outcome, &finding, orders(), NOON);
        let action = event.action.clone().unwrap();
        let refusal = action.refusal.unwrap_or_default();
        let found = format!("{} {} {} {refusal}", event.kind.name(), action.kind, action.outcome);
        assert_eq!(found, expected);
        assert_eq!(action.by, Some("detector"));
        assert!(!event.message.is_empty());
    }
    let closed =
        Finding { state: crate::detect::State::Closed, closed: Some(2_000_000_000), ..finding };
    let event = json(&Event::finding(&closed, orders(), epoch));
    assert_eq!(event["event"], "finding_closed");
    assert_eq!(event["severity"], "info");
    assert_eq!(event["finding"]["closed"], "2024-06-01T12:00:01.123Z");
}

#[test]
fn refused_sources() {
    let mut sources = SourceEvents::new(60);
    let refused = Refused {
        api: 1,
        source: "192.0.2.1".parse().unwrap(),
        reason: Reason::NotAllowed,
        would: true,
        packets: 3,
        bytes: 180,
    };
    let summary = sources.push(0, &refused).unwrap();
    let event = json(&Event::refused(&summary, orders(), NOON));
    assert_eq!(event["event"], "source_refused");
    assert_eq!(event["source"], serde_json::json!({"ip": "192.0.2.1"}));
    let traffic = serde_json::json!({"verdict": "would_drop", "reason": "not_allowed",
        "packets": 3, "bytes": 180, "sources": 1, "window": 60});
    assert_eq!(event["traffic"], traffic);
    let rest = Summary { source: None, sources: 900, ..summary };
    let event = json(&Event::refused(&rest, orders(), NOON));
    assert!(event["message"].as_str().unwrap().starts_with("900 more sources at orders: "));
    assert_eq!(event.get("source"), None);
}

#[test]
fn the_docs_list_everything() {
    let docs = include_str!("../../../../docs/events.md");
    for kind in Kind::ALL {
        let severity = kind.severity().name();
        let row = format!("| `{}` | {severity}", kind.name());
        assert!(docs.contains(&row), "docs/events.md has no row {row}");
    }
    let everything = Event {
        http: Some(HttpField { method: String::new(), route: "/".into(), status: Some(200) }),
        policy: Some(PolicyField { name: "edge".to_owned(), ..PolicyField::default() }),
        loss: Some(LossField { records: 1, completeness: 0.5 }),
        ..Event::answer(
            &Outcome::Impossible(Refusal::NoSource),
            &finding(),
            ApiField { owner: Some("o".into()), criticality: Some("high"), ..orders() },
            NOON,
        )
    };
    let finding = Event::finding(&finding(), orders(), 0);
    for event in [json(&everything), json(&finding)] {
        for (key, value) in event.as_object().unwrap() {
            assert!(docs.contains(&format!("`{key}`")), "field {key} is not in docs/events.md");
            for inner in value.as_object().into_iter().flatten().map(|(inner, _)| inner) {
                let listed = docs.contains(&format!("`{inner}`"));
                assert!(listed, "field {key}.{inner} is not in docs/events.md");
            }
        }
    }
    for refusal in [
        Refusal::Trusted,
        Refusal::Proxy,
        Refusal::Forgeable,
        Refusal::NoSource,
        Refusal::TooMany,
        Refusal::BlastRadius(crate::respond::Hit::default()),
        Refusal::Shared(crate::respond::Crowd::default()),
        Refusal::Stopped,
    ] {
        assert!(docs.contains(&format!("`{}`", refusal.name())), "{refusal:?}");
    }
}

fn told(number: u64) -> Event {
    Event::new(Kind::BanExpired, number * 1_000_000_000, format!("number {number}"))
}

fn numbers(lines: &[Line]) -> Vec<String> {
    let message = |line: &Line| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["message"].as_str().unwrap().trim_start_matches("number ").to_owned()
    };
    lines.iter().map(message).collect()
}

#[test]
fn tail_follow_and_counts() {
    let log = EventLog::start(Config { tail: 3, ..Config::default() }).unwrap();
    (0..5).for_each(|number| log.tell(&told(number)));
    for (limit, since, expected) in [
        (10, None, &["2", "3", "4"][..]),
        (2, None, &["3", "4"]),
        (10, Some(4), &["4"]),
        (0, None, &[]),
    ] {
        assert_eq!(numbers(&log.past(limit, since)), expected, "{limit} {since:?}");
    }
    let (past, mut live) = log.follow(1, None);
    assert_eq!(numbers(&past), ["4"]);
    log.tell(&told(5));
    assert_eq!(numbers(&[live.try_recv().unwrap()]), ["5"]);
    assert!(live.try_recv().is_err());
    assert_eq!(log.counts(), [("ban_expired", "info", 6)]);
}

#[test]
fn the_file_survives_a_restart_and_starts_the_tail() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.jsonl");
    let config = Config { path: Some(path.clone()), ..Config::default() };
    for round in 0..2 {
        let log = EventLog::start(config.clone()).unwrap();
        (0..10).for_each(|number| log.tell(&told(round * 10 + number)));
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 20);
    let log = EventLog::start(config).unwrap();
    assert_eq!(numbers(&log.past(3, None)), ["17", "18", "19"]);
    assert_eq!(numbers(&log.past(100, Some(18))), ["18", "19"]);
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_broken_disk_stops_nothing_and_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    // A file where the directory should be: nothing can be written until it is gone.
    let blocked = directory.path().join("blocked");
    std::fs::write(&blocked, "").unwrap();
    let path = blocked.join("events.jsonl");
    let retry = Duration::from_millis(10);
    let config = Config { path: Some(path.clone()), retry, queue: 8, ..Config::default() };
    let log = Arc::new(EventLog::start(config).unwrap());
    log.tell(&told(0));
    eventually("a problem is told", || log.problem().is_some());
    assert!(log.problem().unwrap().contains("events.jsonl"), "{:?}", log.problem());
    let before = Instant::now();
    (1..200).for_each(|number| log.tell(&told(number)));
    assert!(before.elapsed() < Duration::from_secs(5));
    assert_eq!(log.past(1000, None).len(), 200, "memory has all of them");
    std::fs::remove_file(&blocked).unwrap();
    let lines = || log.lines().map(|(_, count)| count);
    eventually("every line is written or counted", || lines()[0] + lines()[1] == 200);
    assert!(lines()[0] >= 8 && lines()[1] > 0 && lines()[2] > 0, "{:?}", lines());
    eventually("the problem is over", || log.problem().is_none());
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count() as u64, lines()[0]);
    assert!(text.lines().next().unwrap().contains("number 0"), "the first are kept");
}

#[test]
fn a_full_disk_is_counted() {
    let config = Config {
        path: Some("/dev/full".into()),
        retry: Duration::from_millis(5),
        ..Config::default()
    };
    let log = EventLog::start(config).unwrap();
    log.tell(&told(1));
    eventually("tried more than once", || log.lines()[2].1 > 2);
    assert!(log.problem().unwrap().contains("/dev/full"));
    let before = Instant::now();
    drop(log);
    assert!(before.elapsed() < Duration::from_secs(2), "the end does not wait for the disk");
}
