//! The page: what it counts, that it is bounded, and that Prometheus' own checker accepts it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::*;
use crate::geo::Country;

fn transaction() -> Transaction {
    Transaction { target: "/a?secret".to_owned(), ..Transaction::example() }
}

fn full() -> KernelSnapshot {
    let count = |api: &str, verdict, reason, packets| PacketCount {
        api: api.to_owned(),
        verdict,
        reason,
        packets,
        bytes: packets * 100,
    };
    KernelSnapshot {
        packets: vec![
            count("orders", "pass", "allowed", 7),
            count("orders", "drop", "not_allowed", 2),
            // Two stable ids under one name.
            count("orders", "drop", "not_allowed", 3),
            count("__unclaimed__", "pass", "unclaimed", 1),
        ],
        egress: vec![EgressCount { api: "orders".to_owned(), packets: 5, bytes: 9000 }],
        samples: vec![("attempted", 10), ("submitted", 8), ("dropped", 2), ("sampled_out", 0)],
        kernel: vec![("limiter_full", 4)],
        maps: vec![
            MapFill { map: "bans".to_owned(), entries: Some(1), capacity: 65_536 },
            MapFill { map: "ring".to_owned(), entries: None, capacity: 16 << 20 },
        ],
        insert_failures: vec![("limiter", 7)],
        evictions: vec![("seen", 5)],
        ring_pending_bytes: 12,
        completeness: 0.98,
        sample_share: 1.0,
        policy: Some(PolicyInfo { name: "edge".to_owned(), hash: "abc".to_owned(), generation: 3 }),
        policy_entries: vec![PolicyEntries { kind: "apis".to_owned(), desired: 2, enforced: 1 }],
        apis: vec![ApiInfo {
            api: "orders".to_owned(),
            owner: "team \"o\"\n\\".to_owned(),
            ..ApiInfo::default()
        }],
        overrides: vec![("orders".to_owned(), "lockdown"), ("orders".to_owned(), "lockdown")],
        interfaces: vec![("eth0".to_owned(), true), ("eth1".to_owned(), false)],
        bans: vec![("operator", 1)],
        feeds: vec![FeedCount {
            feed: "feeds/blocklist.txt".to_owned(),
            last_success: 1.7e9,
            stale: true,
            entries: 12,
        }],
        sensor: vec![("gaps", 2)],
        routes: 3,
        routes_overflow: 1,
        detectors: vec![DetectorCount { detector: "brute_force", states: 5, evicted: 1 }],
        events: vec![("ban_added", "notice", 1)],
        event_lines: vec![("written", 9)],
        sinks: vec![crate::export::sinks::Standing {
            name: "siem".to_owned(),
            delivered: 7,
            dropped: [("http_400".to_owned(), 2), ("spool_full".to_owned(), 1)].into(),
            pending: 3,
            last_success: Some(1_717_243_200),
            ..Default::default()
        }],
        record_lines: vec![("written", 5)],
        assessed: 1_772_373_600,
        store_failures: vec![("weir.db", 1)],
        maintenance: vec![("orders".to_owned(), true), ("stock".to_owned(), false)],
        actions_held: 1,
        actions_stopped: true,
    }
}

fn metrics(series: usize) -> Metrics {
    Metrics::new(series, Arc::new(full)).unwrap()
}

fn value(page: &str, series: &str) -> f64 {
    let found = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{series} is not on the page:\n{page}")).parse().unwrap()
}

/// One of each metric.
fn page() -> String {
    use crate::detect::{ApiProfile, Config, Engine, Observation};
    let metrics = metrics(SERIES);
    let route = Arc::from("/a");
    metrics.observe(&Arc::from("orders"), &route, &transaction());
    metrics.handshake(&Arc::from("orders"), &Handshake::example());
    metrics.turn(&Arc::from("orders"), &Turn::example());
    metrics.flow(&Arc::from("orders"), &FlowSummary::example());
    let mut engine = Engine::new(Config::default(), 1);
    engine.set_apis([ApiProfile { id: 1, name: "orders".into(), ..ApiProfile::unclaimed() }]);
    let failed = Transaction { status: Some(401), ..transaction() };
    (0..15)
        .for_each(|_| engine.observe(&Observation::of(&failed, failed.flow.client, "/a").unwrap()));
    let finding = engine.tick(1, 0, 1.0).remove(0);
    metrics.finding(&finding);
    let germany = Country::of("de").unwrap();
    metrics.country(&"orders".into(), germany, 3 << 15);
    metrics.country(&"orders".into(), germany, 3 << 15);
    metrics.finding(&Finding { id: "other".into(), ..finding.clone() });
    metrics.finding(&Finding { id: "muted".into(), ..finding.clone() });
    metrics.mute("muted", true);
    metrics.finding(&Finding { state: State::Update, ..finding.clone() });
    metrics.finding(&Finding { state: State::Closed, ..finding });
    metrics.action(&Outcome::Impossible(crate::respond::Refusal::NoSource));
    metrics.render().unwrap()
}

#[test]
fn every_metric_is_on_the_page_and_in_the_docs() {
    let (page, docs) = (page(), include_str!("../../../../docs/metrics.md"));
    for def in def::ALL {
        assert!(page.contains(&format!("# TYPE {} ", def.name)), "{} is not on the page", def.name);
        assert!(
            docs.contains(&format!("`{}`", def.name)),
            "{} is not in docs/metrics.md",
            def.name
        );
        for label in def.labels {
            assert!(docs.contains(&format!("`{label}`")), "label {label} is not in the docs");
            assert!(!["source", "ip", "client", "address"].contains(label), "{}", def.name);
        }
    }
    assert!(!page.contains("198.51.100.1") && !page.contains("secret"), "{page}");
}

#[test]
fn counts() {
    let page = page();
    let labels = "http_request_method=\"GET\",http_route=\"/a\",http_response_status_code=\"200\",\
                  api=\"orders\"";
    for (series, expected) in [
        (format!("http_server_request_duration_seconds_bucket{{{labels},le=\"0.0025\"}}"), 0.0),
        (format!("http_server_request_duration_seconds_bucket{{{labels},le=\"0.005\"}}"), 1.0),
        (format!("http_server_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}}"), 1.0),
        (format!("http_server_request_duration_seconds_sum{{{labels}}}"), 0.003),
        (format!("http_server_request_body_size_bytes_bucket{{{labels},le=\"0\"}}"), 1.0),
        (format!("http_server_response_body_size_bytes_sum{{{labels}}}"), 1234.0),
        ("weir_packets_total{api=\"orders\",verdict=\"drop\",reason=\"not_allowed\"}".into(), 5.0),
        ("weir_bytes_total{api=\"orders\",verdict=\"pass\",reason=\"allowed\"}".into(), 700.0),
        ("weir_policy_info{name=\"edge\",hash=\"abc\",generation=\"3\"}".into(), 1.0),
        ("weir_api_override{api=\"orders\",kind=\"lockdown\"}".into(), 1.0),
        ("weir_policy_entries{kind=\"apis\",state=\"desired\"}".into(), 2.0),
        ("weir_policy_entries{kind=\"apis\",state=\"enforced\"}".into(), 1.0),
        ("weir_interface_gated{interface=\"eth0\"}".into(), 1.0),
        ("weir_interface_gated{interface=\"eth1\"}".into(), 0.0),
        ("weir_map_entries{map=\"bans\"}".into(), 1.0),
        ("weir_map_capacity{map=\"ring\"}".into(), 16_777_216.0),
        ("weir_telemetry_completeness_ratio".into(), 0.98),
        ("weir_sensor_gaps_total".into(), 2.0),
        (
            "weir_findings_total{detector=\"brute_force\",severity=\"warning\",api=\"orders\"}"
                .into(),
            3.0,
        ),
        ("weir_findings_open{api=\"orders\",severity=\"warning\"}".into(), 1.0),
        ("weir_maintenance{api=\"orders\"}".into(), 1.0),
        ("weir_maintenance{api=\"stock\"}".into(), 0.0),
        ("weir_findings_muted{api=\"orders\",severity=\"warning\"}".into(), 1.0),
        ("weir_actions_total{action=\"ban\",outcome=\"refused\"}".into(), 1.0),
        ("weir_http_series".into(), 1.0),
        ("weir_tls_turn_duration_seconds_bucket{api=\"orders\",le=\"0.0025\"}".into(), 0.0),
        ("weir_tls_turn_duration_seconds_bucket{api=\"orders\",le=\"0.005\"}".into(), 1.0),
        ("weir_tls_turn_duration_seconds_sum{api=\"orders\"}".into(), 0.003),
        ("weir_tls_handshake_duration_seconds_sum{api=\"orders\"}".into(), 0.02),
        (
            "weir_tls_handshakes_total{api=\"orders\",transport=\"tcp\",version=\"1.3\",alpn=\"h2\"}"
                .into(),
            1.0,
        ),
    ] {
        assert_eq!(value(&page, &series), expected, "{series}");
    }
    assert!(!page.contains("weir_map_entries{map=\"ring\"}"));
}

#[test]
fn normalises_and_weighs() {
    let weird = |change: fn(&mut Transaction)| {
        let mut transaction = transaction();
        change(&mut transaction);
        transaction
    };
    let count = "http_server_response_body_size_bytes_count";
    for (what, transaction, labels, expected) in [
        ("method", weird(|t| t.method = "BREW".to_owned()), "_OTHER 200", Some(1.0)),
        ("lower case", weird(|t| t.method = "get".to_owned()), "_OTHER 200", Some(1.0)),
        ("status", weird(|t| t.status = Some(999)), "GET __other__", Some(1.0)),
        ("no response seen", weird(|t| t.status = None), "GET ", Some(1.0)),
        ("weight 2.5", weird(|t| t.weight = 5 << 15), "GET 200", Some(2.0)),
        ("weight 0", weird(|t| t.weight = 0), "GET 200", Some(1.0)),
        ("left the host", weird(|t| t.inbound = false), "GET 200", None),
        ("size unknown", weird(|t| t.response_body_bytes = None), "GET 200", None),
    ] {
        let metrics = metrics(SERIES);
        metrics.observe(&Arc::from("orders"), &Arc::from("/a"), &transaction);
        let page = metrics.render().unwrap();
        let (method, status) = labels.split_once(' ').unwrap();
        let series = format!(
            "{count}{{http_request_method=\"{method}\",http_route=\"/a\",\
             http_response_status_code=\"{status}\",api=\"orders\"}}"
        );
        match expected {
            Some(expected) => assert_eq!(value(&page, &series), expected, "{what}"),
            None => assert!(!page.contains(count), "{what}"),
        }
    }
    // Two and a half, twice: nothing is lost to rounding.
    let metrics = metrics(SERIES);
    let half = weird(|t| t.weight = 5 << 15);
    (0..2).for_each(|_| metrics.observe(&Arc::from("orders"), &Arc::from("/a"), &half));
    assert!(metrics.render().unwrap().contains("le=\"+Inf\"} 5\n"));
}

/// Whatever clients offer, there are few label sets; names of servers are in none.
#[test]
fn handshakes_are_told_apart_by_little() {
    use crate::sensor::encrypted::{QuicVersion, TlsVersion};
    let weird = |change: fn(&mut Handshake)| {
        let mut handshake = Handshake::example();
        change(&mut handshake);
        handshake
    };
    for (what, handshake, expected) in [
        ("offered first", weird(|_| ()), Some(("tcp", "1.3", "h2", 1))),
        (
            "chosen",
            weird(|t| t.alpn_selected = Some("http/1.1".to_owned())),
            Some(("tcp", "1.3", "http/1.1", 1)),
        ),
        ("none", weird(|t| t.alpn.clear()), Some(("tcp", "1.3", "", 1))),
        (
            "strange",
            weird(|t| {
                t.alpn = vec!["a".repeat(255)];
                t.version = Some(TlsVersion(0x7abc));
            }),
            Some(("tcp", "other", "other", 1)),
        ),
        ("no answer", weird(|t| t.version = None), Some(("tcp", "1.3", "h2", 1))),
        ("weight 3.5", weird(|t| t.weight = 7 << 15), Some(("tcp", "1.3", "h2", 3))),
        ("quic", weird(|t| t.quic = Some(QuicVersion(1))), Some(("quic", "1.3", "h2", 1))),
        ("left the host", weird(|t| t.inbound = false), None),
    ] {
        let metrics = metrics(SERIES);
        metrics.handshake(&Arc::from("orders"), &handshake);
        let page = metrics.render().unwrap();
        let name = "weir_tls_handshakes_total{";
        let lines: Vec<&str> = page.lines().filter(|line| line.starts_with(name)).collect();
        let expected = expected.map(|(transport, version, alpn, count)| {
            format!(
                "{name}api=\"orders\",transport=\"{transport}\",version=\"{version}\",\
                 alpn=\"{alpn}\"}} {count}"
            )
        });
        assert_eq!(lines, expected.iter().collect::<Vec<_>>(), "{what}");
        assert!(!page.contains("lab.test"));
    }
    let metrics = metrics(SERIES);
    metrics.turn(&Arc::from("orders"), &Turn { latency: None, ..Turn::example() });
    metrics.turn(&Arc::from("gone"), &Turn::example());
    metrics.retain(|api| api == "orders");
    assert!(!metrics.render().unwrap().contains("weir_tls_turn_duration_seconds_count"));
}

#[test]
fn series_are_bounded() {
    let metrics = metrics(20);
    let api: Arc<str> = Arc::from("orders");
    for number in 0..500_u16 {
        let status = Some(100 + number);
        let route = Arc::from(format!("/{}", number % 50));
        metrics.observe(&api, &route, &Transaction { status, ..transaction() });
    }
    let page = metrics.render().unwrap();
    assert_eq!(value(&page, "weir_http_series"), 31.0);
    assert_eq!(value(&page, "weir_http_series_overflow_total"), 480.0);
    let prefix = "http_server_request_duration_seconds_count";
    let counts = page.lines().filter_map(|line| line.strip_prefix(prefix)?.rsplit_once(' '));
    let total: f64 = counts.map(|(_, count)| count.parse::<f64>().unwrap()).sum();
    assert_eq!(total, 500.0, "every request is counted somewhere");
    let last = "{http_request_method=\"_OTHER\",http_route=\"__other__\",\
                http_response_status_code=\"__other__\",api=\"__other__\"}";
    assert_eq!(value(&page, &format!("{prefix}{last}")), 470.0);
    // A label set that has room keeps counting.
    let route = Arc::from("/0");
    metrics.observe(&api, &route, &Transaction { status: Some(100), ..transaction() });
    assert!(metrics.render().unwrap().contains("code=\"100\",api=\"orders\",le=\"+Inf\"} 2\n"));
    metrics.retain(|_| false);
    assert_eq!(value(&metrics.render().unwrap(), "weir_http_series"), 1.0);
}

#[test]
fn promtool_accepts_the_page() {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("skipped: promtool (Debian package prometheus) does not start: {error}");
            return;
        }
    };
    child.stdin.take().unwrap().write_all(page().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn series_follow_their_route() {
    let metrics = Metrics::new(10, Arc::new(KernelSnapshot::default)).unwrap();
    let api: Arc<str> = "orders".into();
    for route in ["/users/a", "/users/b", "/users/{value}", "/other"] {
        metrics.observe(&api, &route.into(), &transaction());
    }
    let now = |route: &str| route.starts_with("/users/").then(|| "/users/{value}".into());
    metrics.rename("nobody", now);
    metrics.rename("orders", now);
    let page = metrics.render().unwrap();
    let count = |route: &str| {
        let has = |line: &&str| {
            line.starts_with("http_server_request_duration_seconds_count") && line.contains(route)
        };
        page.lines().filter(has).map(|line| line.rsplit(' ').next().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((count("/users/{value}"), count("/other")), (vec!["3"], vec!["1"]));
    assert_eq!(count("/users/a"), [] as [&str; 0]);
}

/// What a flow adds, and that those which leave the host add nothing.
#[test]
fn flows_and_what_went_wrong_in_them() {
    let lines = |flow: &FlowSummary| -> Vec<String> {
        let metrics = metrics(SERIES);
        metrics.flow(&Arc::from("orders"), flow);
        let page = metrics.render().unwrap();
        let wanted = [
            "weir_flows_total{",
            "weir_tcp_events_total{",
            "weir_tcp_handshake_duration_seconds_sum",
        ];
        let mut lines: Vec<String> = page
            .lines()
            .filter(|line| wanted.iter().any(|name| line.starts_with(name)))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    let example = FlowSummary::example();
    assert_eq!(
        lines(&FlowSummary { weight: 2 << 16, ..example }),
        [
            "weir_flows_total{api=\"orders\",application=\"http\",opening=\"established\"} 2",
            "weir_tcp_events_total{api=\"orders\",event=\"retransmission\",side=\"client\"} 2",
            "weir_tcp_events_total{api=\"orders\",event=\"unfinished_head\",side=\"client\"} 2",
            "weir_tcp_events_total{api=\"orders\",event=\"zero_window\",side=\"server\"} 6",
            "weir_tcp_handshake_duration_seconds_sum{api=\"orders\"} 0.5",
        ]
    );
    let udp = FlowSummary { tcp: None, protocol: 17, ..example };
    let expected = "weir_flows_total{api=\"orders\",application=\"http\",opening=\"\"} 1";
    assert_eq!(lines(&udp), [expected]);
    assert!(lines(&FlowSummary { inbound: false, ..example }).is_empty());
}
