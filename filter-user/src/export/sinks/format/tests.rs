//! What receivers get, in full.

use serde_json::{Value, json};

use super::alert::{Report, Standing};
use super::*;
use crate::control::api::FindingEntry;
use crate::detect::Severity;
use crate::export::events::{
    AcknowledgedField, ActionField, ApiField, EvidenceField, FindingField, HttpField, Kind,
    PolicyField, SourceField,
};

const TIME: u64 = 1_717_243_200_123_456_789;

pub(in crate::export::sinks) fn finding() -> FindingField {
    FindingField {
        id: "5c0e7a11-3".into(),
        state: "open",
        detector: "brute_force",
        observed: 1.0,
        baseline: 0.3,
        threshold: 0.561,
        unit: "share of attempts that fail".into(),
        window: 600,
        completeness: 1.0,
        weight: 1.0,
        why: "15 of 15 \"attempts\" failed".to_owned(),
        credential: None,
        owasp: Some("API2:2023 Broken Authentication".into()),
        evidence_forgeable: false,
        opened: TIME,
        closed: None,
        group: "5c0e7a11-3".to_owned(),
        acknowledged: None,
        muted: false,
        evidence: Vec::new(),
    }
}

pub(in crate::export::sinks) fn opened() -> Event {
    Event {
        api: Some(ApiField {
            name: "orders".into(),
            owner: Some("team-orders".into()),
            responder: Some("oncall".into()),
            criticality: Some("high"),
        }),
        source: Some(SourceField {
            ip: "198.51.100.7".parse().expect("an address"),
            prefix: None,
            country: crate::geo::Country::of("de"),
            asn: Some(64_500),
        }),
        http: Some(HttpField { method: "POST".to_owned(), route: "/login".into(), status: None }),
        finding: Some(finding()),
        ..Event::new(Kind::FindingOpened, TIME, "15 of 15 \"attempts\" failed")
    }
}

pub(in crate::export::sinks) fn closed() -> Event {
    let end = TIME + 60_000_000_000;
    let finding = FindingField {
        state: "closed",
        closed: Some(end),
        why: "quiet for a minute".to_owned(),
        ..finding()
    };
    Event {
        severity: Severity::Info,
        kind: Kind::FindingClosed,
        time: end,
        finding: Some(finding),
        ..opened()
    }
}

fn host() -> Host {
    Host { name: "edge 1".to_owned(), pid: 42 }
}

#[test]
fn a_finding_in_ocsf() {
    let got = ocsf::finding(&opened()).expect("is a finding");
    let version = env!("CARGO_PKG_VERSION");
    let expected = json!({
        "activity_id": 1, "activity_name": "Create",
        "category_uid": 2, "category_name": "Findings",
        "class_uid": 2004, "class_name": "Detection Finding",
        "type_uid": 200_401, "type_name": "Detection Finding: Create",
        "severity_id": 3, "severity": "Medium",
        "status_id": 1, "status": "New",
        "time": 1_717_243_200_123_u64, "start_time": 1_717_243_200_123_u64,
        "message": "15 of 15 \"attempts\" failed",
        "metadata": {
            "version": "1.3.0",
            "uid": format!("5c0e7a11-3:{TIME}"),
            "product": { "name": "weir", "vendor_name": "weir", "version": version },
        },
        "finding_info": {
            "uid": "5c0e7a11-3",
            "title": "brute force at orders",
            "desc": "15 of 15 \"attempts\" failed",
            "created_time": 1_717_243_200_123_u64,
            "modified_time": 1_717_243_200_123_u64,
            "analytic": { "name": "brute_force", "uid": "brute_force", "type_id": 3 },
            "types": ["API2:2023 Broken Authentication"],
        },
        "evidences": [{
            "data": {
                "observed": 1.0, "baseline": 0.3, "threshold": 0.561,
                "unit": "share of attempts that fail", "window_seconds": 600,
                "completeness": 1.0, "weight": 1.0, "forgeable": false,
            },
            "src_endpoint": {
                "ip": "198.51.100.7",
                "location": { "country": "DE" },
                "autonomous_system": { "number": 64_500 },
            },
            "api": { "operation": "POST /login", "service": { "name": "orders" } },
        }],
        "resources": [{
            "name": "orders", "uid": "orders", "type": "API",
            "owner": { "name": "team-orders" }, "criticality": "high",
        }],
        "unmapped": { "responder": "oncall" },
    });
    assert_eq!(got, expected);
}

#[test]
fn the_life_of_a_finding_in_ocsf() {
    let updated = Event {
        kind: Kind::FindingUpdated,
        severity: Severity::Critical,
        finding: Some(FindingField { state: "update", detector: "old_tls", ..finding() }),
        ..opened()
    };
    let bare = Event {
        severity: Severity::Notice,
        finding: Some(finding()),
        policy: Some(PolicyField { generation: 2, ..PolicyField::default() }),
        ..Event::new(Kind::FindingOpened, TIME, "")
    };
    // event, type, severity, status, kind of analytic
    let rows =
        [(&updated, 200_402, 5, 1, 1), (&closed(), 200_403, 1, 4, 3), (&bare, 200_401, 2, 1, 3)];
    for (event, kind, severity, status, analytic) in rows {
        let got = ocsf::finding(event).expect("is a finding");
        let numbers = [&got["type_uid"], &got["severity_id"], &got["status_id"]];
        assert_eq!(numbers, [&json!(kind), &json!(severity), &json!(status)], "{got}");
        assert_eq!(got["finding_info"]["analytic"]["type_id"], analytic);
    }
    let over = ocsf::finding(&closed()).expect("is a finding");
    assert_eq!(over["end_time"], 1_717_243_260_123_u64);
    let got = ocsf::finding(&bare).expect("is a finding");
    assert!(got.get("resources").is_none() && got["evidences"][0].get("api").is_none());
    assert_eq!(got["unmapped"]["policy"]["generation"], 2);
    assert_eq!(ocsf::finding(&Event::new(Kind::BanAdded, TIME, "")), None, "no finding");
    let test = ocsf::finding(&Event::new(Kind::SinkTest, TIME, "test")).expect("can be said");
    assert_eq!((&test["type_uid"], &test["activity_name"]), (&json!(200_499), &json!("Test")));
}

#[test]
fn examples_of_a_finding_in_ocsf() {
    let example = EvidenceField {
        time: TIME,
        source: "198.51.100.7".to_owned(),
        method: "POST".to_owned(),
        route: "/login".to_owned(),
        status: Some(401),
        latency_seconds: Some(0.25),
        ..EvidenceField::default()
    };
    let refused =
        EvidenceField { port: Some(8080), source: "192.0.2.7".into(), ..Default::default() };
    let evidence = vec![example, refused];
    let event = Event { finding: Some(FindingField { evidence, ..finding() }), ..opened() };
    let got = ocsf::finding(&event).expect("is a finding");
    let evidences = got["evidences"].as_array().expect("a list");
    assert_eq!(evidences.len(), 3, "the numbers come first: {got}");
    assert!(evidences[0]["data"]["observed"].is_number());
    let expected = json!({
        "api": { "operation": "POST /login", "service": { "name": "orders" } },
        "data": { "time": TIME / 1_000_000, "status": 401, "latency_seconds": 0.25 },
        "src_endpoint": { "ip": "198.51.100.7" },
    });
    assert_eq!(evidences[1], expected);
    let expected = json!({
        "data": { "time": 0 },
        "src_endpoint": { "ip": "192.0.2.7" },
        "dst_endpoint": { "port": 8080 },
    });
    assert_eq!(evidences[2], expected);
}

#[test]
fn lines_of_syslog() {
    let action = Event {
        source: Some(SourceField::new("2001:db8::".parse().expect("an address"), Some(64))),
        action: Some(ActionField {
            kind: "ban",
            outcome: "refused",
            refusal: Some("trusted"),
            ..ActionField::default()
        }),
        ..Event::new(Kind::ActionRefused, 0, "")
    };
    let odd = Event {
        api: Some(ApiField { name: "a\"b\\c]d\ne".into(), ..ApiField::default() }),
        severity: Severity::Critical,
        ..Event::new(Kind::InterfaceOpen, TIME, "")
    };
    let rows = [
        (
            opened(),
            3,
            "text",
            "<28>1 2024-06-01T12:00:00.123Z edge1 weir 42 finding_opened [weir@32473 \
             severity=\"warning\" api=\"orders\" owner=\"team-orders\" responder=\"oncall\" \
             criticality=\"high\" source=\"198.51.100.7\" method=\"POST\" route=\"/login\" \
             finding=\"5c0e7a11-3\" state=\"open\" detector=\"brute_force\"] text",
        ),
        (
            action,
            23,
            "a\nb",
            "<188>1 1970-01-01T00:00:00.000Z edge1 weir 42 action_refused [weir@32473 \
             severity=\"warning\" source=\"2001:db8::\" prefix=\"64\" action=\"ban\" \
             outcome=\"refused\" refusal=\"trusted\"] a b",
        ),
        (
            odd,
            0,
            "ü",
            "<2>1 2024-06-01T12:00:00.123Z edge1 weir 42 interface_open [weir@32473 \
             severity=\"critical\" api=\"a\\\"b\\\\c\\]d e\"] ü",
        ),
        (
            Event::new(Kind::BanExpired, TIME, ""),
            1,
            "",
            "<14>1 2024-06-01T12:00:00.123Z edge1 weir 42 ban_expired [weir@32473 \
             severity=\"info\"] ",
        ),
    ];
    for (event, facility, text, expected) in rows {
        assert_eq!(syslog::message(&event, facility, &host(), text), expected);
    }
    let nameless = Host { name: "ü".to_owned(), pid: 1 };
    let line = syslog::message(&Event::new(Kind::BanAdded, 0, ""), 1, &nameless, "");
    assert!(line.starts_with("<13>1 1970-01-01T00:00:00.000Z - weir 1 ban_added"), "{line}");
}

#[test]
fn log_records_of_opentelemetry() {
    let record = otlp::record(&opened()).expect("is one");
    assert_eq!(record["timeUnixNano"], "1717243200123456789");
    assert_eq!((&record["severityNumber"], &record["severityText"]), (&json!(13), &json!("WARN")));
    assert_eq!(record["body"]["stringValue"], "15 of 15 \"attempts\" failed");
    let value = |name: &str| {
        let attributes = record["attributes"].as_array().expect("a list").iter();
        let found = attributes.filter(|a| a["key"] == name).map(|a| &a["value"]);
        found.cloned().collect::<Vec<_>>()
    };
    let rows = [
        ("event.name", json!({ "stringValue": "finding_opened" })),
        ("client.address", json!({ "stringValue": "198.51.100.7" })),
        ("http.request.method", json!({ "stringValue": "POST" })),
        ("http.route", json!({ "stringValue": "/login" })),
        ("weir.api.name", json!({ "stringValue": "orders" })),
        ("weir.source.asn", json!({ "intValue": "64500" })),
        ("weir.finding.observed", json!({ "doubleValue": 1.0 })),
        ("weir.finding.window", json!({ "intValue": "600" })),
        ("weir.finding.evidence_forgeable", json!({ "boolValue": false })),
    ];
    for (name, expected) in rows {
        assert_eq!(value(name), [expected], "{name}");
    }
    for absent in ["weir.time", "weir.message", "weir.severity"] {
        assert!(value(absent).is_empty(), "{absent}");
    }
    let severities = Severity::ALL.map(|severity| {
        let event = Event { severity, ..opened() };
        otlp::record(&event).expect("is one")["severityNumber"].as_u64()
    });
    assert_eq!(severities, [Some(9), Some(10), Some(13), Some(18)]);

    let records = [record.to_string(), record.to_string()];
    let request: Value = serde_json::from_str(&otlp::request(&records, &host())).expect("JSON");
    let resource = &request["resourceLogs"][0];
    let attributes = resource["resource"]["attributes"].to_string();
    assert!(
        attributes.contains("\"service.name\"") && attributes.contains("edge 1"),
        "{attributes}"
    );
    assert_eq!(resource["scopeLogs"][0]["logRecords"], json!([record, record]));
}

#[test]
fn what_an_otlp_server_rejects() {
    let rows: [(&str, Option<(u64, &str)>); 6] = [
        ("{}", None),
        ("{\"partialSuccess\":{}}", None),
        ("{\"partialSuccess\":{\"rejectedLogRecords\":\"0\",\"errorMessage\":\"slow\"}}", None),
        (
            "{\"partialSuccess\":{\"rejectedLogRecords\":\"2\",\"errorMessage\":\"x\"}}",
            Some((2, "x")),
        ),
        ("{\"partialSuccess\":{\"rejectedLogRecords\":3}}", Some((3, ""))),
        ("not JSON", None),
    ];
    for (answer, expected) in rows {
        let expected = expected.map(|(count, why)| (count, why.to_owned()));
        assert_eq!(otlp::rejected(answer.as_bytes()), expected, "{answer}");
    }
}

fn reports(events: &[Event]) -> Vec<Report> {
    events.iter().filter_map(Report::of).collect()
}

fn body(text: Option<String>) -> Vec<Value> {
    text.map(|text| serde_json::from_str(&text).expect("a list")).unwrap_or_default()
}

#[test]
fn the_life_of_an_alert() {
    let until = TIME + 240_000_000_000;
    let mut open = Standing::default();
    let labels = json!({
        "alertname": "WeirBruteForce", "detector": "brute_force", "severity": "warning",
        "api": "orders", "owner": "team-orders", "responder": "oncall", "criticality": "high",
        "source": "198.51.100.7", "method": "POST", "route": "/login", "group": "5c0e7a11-3",
    });
    let told = body(open.follow(&reports(&[opened()]), until));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["labels"], labels);
    assert_eq!(told[0]["annotations"]["summary"], "brute force at orders");
    let description = told[0]["annotations"]["description"].as_str().expect("text");
    for part in ["15 of 15", "observed 1", "5c0e7a11-3", "API2:2023"] {
        assert!(description.contains(part), "{description}");
    }
    assert_eq!(told[0]["startsAt"], "2024-06-01T12:00:00.123Z");
    assert_eq!(told[0]["endsAt"], "2024-06-01T12:04:00.123Z");
    assert_eq!(open.len(), 1);
    assert_eq!(body(open.again(until)), told, "the same once more");

    // Another severity, another owner: the alert is the same.
    let mut changed = opened();
    changed.severity = Severity::Critical;
    changed.api = Some(ApiField { name: "orders".into(), ..ApiField::default() });
    let again = body(open.follow(&reports(&[changed]), until));
    assert_eq!(again[0]["labels"], labels);

    let over = body(open.follow(&reports(&[closed()]), until));
    assert_eq!((&over[0]["labels"], over.len()), (&labels, 1));
    assert_eq!(over[0]["endsAt"], "2024-06-01T12:01:00.123Z");
    assert!(over[0]["annotations"]["description"].to_string().contains("quiet"), "{over:?}");
    assert_eq!((open.len(), open.again(until)), (0, None));
    assert_eq!(open.follow(&reports(&[closed()]), until), None, "one that is not known");
    let told = body(open.follow(&reports(&[opened(), closed()]), until));
    assert_eq!(told.len(), 1, "opened and closed in one go is over");
    assert_eq!(told[0]["endsAt"], "2024-06-01T12:01:00.123Z");
}

#[test]
fn users_behind_one_address_are_told_apart() {
    let mut event = opened();
    if let Some(finding) = &mut event.finding {
        finding.credential = Some("00ff".into());
    }
    let told = body(Standing::default().follow(&reports(&[event.clone()]), TIME));
    assert_eq!(told[0]["labels"]["credential"], "00ff");
    assert!(syslog::message(&event, 1, &host(), "").contains(" credential=\"00ff\"]"));
    assert_eq!(ocsf::finding(&event).expect("is one")["unmapped"]["credential"], "00ff");
}

#[test]
fn an_end_that_the_daemon_before_left_is_an_event() {
    let entry = |source: Option<&str>| FindingEntry {
        id: "5c0e7a11-3".into(),
        detector: "brute_force".into(),
        severity: "warning".into(),
        state: "closed".into(),
        api: "orders".into(),
        source: source.map(str::to_owned),
        opened: TIME / 1_000_000_000,
        closed: Some(1_717_243_260),
        unit: "share".into(),
        why: "the daemon ended".into(),
        ..FindingEntry::default()
    };
    let rows = [
        (Some("198.51.100.7"), Some("198.51.100.7".parse().ok()), None),
        (Some("2001:db8::/64"), Some("2001:db8::".parse().ok()), Some(64)),
        (Some("nobody"), None, None),
        (None, None, None),
    ];
    for (source, address, length) in rows {
        let event = Event::ended(&entry(source), None).expect("is over");
        assert_eq!((event.kind, event.time), (Kind::FindingClosed, 1_717_243_260_000_000_000));
        assert_eq!(event.source.map(|source| Some(source.ip)), address, "{source:?}");
        assert_eq!(event.source.and_then(|source| source.prefix), length);
        assert_eq!(event.finding.as_ref().map(|finding| finding.closed), Some(Some(event.time)));
    }
    assert_eq!(Event::ended(&FindingEntry { closed: None, ..entry(None) }, None), None);
    let unknown = FindingEntry { detector: "tea_leaves".into(), ..entry(None) };
    assert_eq!(Event::ended(&unknown, None), None);
}

#[test]
fn findings_that_share_their_labels_share_an_alert() {
    let until = TIME + 240_000_000_000;
    let other = |mut event: Event| {
        if let Some(finding) = &mut event.finding {
            finding.id = "other".into();
        }
        event
    };
    let mut open = Standing::default();
    open.follow(&reports(&[opened(), other(opened())]), until);
    assert_eq!(open.len(), 2);
    assert_eq!(open.follow(&reports(&[closed()]), until), None, "the other one goes on");
    let over = body(open.follow(&reports(&[other(closed())]), until));
    assert_eq!(over[0]["endsAt"], "2024-06-01T12:01:00.123Z");
}

#[test]
fn what_was_seen_is_an_alert_of_its_own_and_what_is_muted_is_none() {
    let until = TIME + 240_000_000_000;
    let acknowledged = |mut event: Event, time: u64| {
        event.time = time;
        if let Some(finding) = &mut event.finding {
            let note = "ticket 9".to_owned();
            finding.acknowledged = Some(AcknowledgedField { time, uid: 1000, note });
        }
        event
    };
    let muted = |mut event: Event| {
        if let Some(finding) = &mut event.finding {
            finding.muted = true;
        }
        event
    };
    let mut open = Standing::default();
    let first = body(open.follow(&reports(&[opened()]), until));
    assert_eq!(first[0]["labels"]["acknowledged"], Value::Null);
    assert_eq!(first[0]["labels"]["group"], "5c0e7a11-3");
    let seen = acknowledged(opened(), TIME + 30_000_000_000);
    let told = body(open.follow(&reports(std::slice::from_ref(&seen)), until));
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0]["labels"], first[0]["labels"], "the one before");
    assert_eq!(told[0]["endsAt"], "2024-06-01T12:00:30.123Z");
    assert_eq!(told[1]["labels"]["acknowledged"], "true");
    assert_eq!(told[1]["annotations"]["acknowledged"], "by uid 1000: ticket 9");
    assert_eq!(told[1]["startsAt"], first[0]["startsAt"]);
    let back = body(open.follow(&reports(&[opened()]), until));
    assert_eq!(back.len(), 2);
    assert_eq!(back[1]["labels"], first[0]["labels"]);

    let over = body(open.follow(&reports(&[muted(opened())]), until));
    assert_eq!((over.len(), open.len()), (1, 0));
    assert_eq!(over[0]["labels"], first[0]["labels"]);
    assert_eq!(open.follow(&reports(&[muted(closed())]), until), None, "it is over already");
    assert_eq!(ocsf::finding(&seen).expect("is one")["status"], "In Progress");
    assert!(syslog::message(&seen, 1, &host(), "").contains(" acknowledged=\"true\"]"));
}
