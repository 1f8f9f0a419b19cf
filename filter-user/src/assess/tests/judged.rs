//! What facts are judged to mean.

use super::*;

#[test]
fn a_guarded_api_has_nothing_open() {
    let mut facts = facts();
    // The one thing that cannot be there beside readable requests.
    facts.apis[0] = encrypted(facts.apis[0].clone(), "1.3");
    facts.apis[0].seen.visibility.clear();
    let report = Report::of(facts);
    let open: Vec<_> = report.points.iter().map(|point| (point.level, &point.key)).collect();
    let blind = [(Level::Info, "quota"), (Level::Info, "login"), (Level::Info, "openapi")];
    let partly: Vec<_> = report.apis[0]
        .layers
        .iter()
        .filter(|layer| layer.state == State::Partly)
        .map(|layer| layer.layer.name())
        .collect();
    assert_eq!(partly, blind.map(|(_, name)| name), "what is encrypted makes these do less");
    assert_eq!(open.len(), 3, "{open:?}");
}

#[test]
fn layers_of_each_kind() {
    type Row = (&'static str, LayerKind, State, &'static str, fn(&mut Facts));
    let rows: [Row; 37] = [
        ("groups", LayerKind::Allowlist, State::Present, "partners (1 prefix)", |_| {}),
        ("any", LayerKind::Allowlist, State::Missing, "any source", |f| f.apis[0].any = true),
        ("monitored", LayerKind::Allowlist, State::Partly, "only counted", |f| {
            f.apis[0].mode = "monitor".to_owned();
        }),
        ("undeclared", LayerKind::Allowlist, State::Missing, "claims this port", |f| {
            f.apis[0].seen.declared = false;
        }),
        ("rate", LayerKind::RateLimit, State::Present, "packets 100/s a source", |_| {}),
        ("no rate", LayerKind::RateLimit, State::Missing, "not limited", |f| {
            f.apis[0].limits = vec![limit("source", "requests")];
        }),
        ("for all", LayerKind::RateLimit, State::Partly, "one can use up all", |f| {
            f.apis[0].limits = vec![limit("all", "packets")];
        }),
        ("for a group", LayerKind::RateLimit, State::Partly, "other sources", |f| {
            f.apis[0].limits = vec![limit("group partners", "bytes")];
        }),
        ("counted", LayerKind::RateLimit, State::Partly, "monitor mode", |f| {
            f.apis[0].mode = "monitor".to_owned();
        }),
        ("quota", LayerKind::Quota, State::Present, "requests 100/s", |_| {}),
        ("no quota", LayerKind::Quota, State::Missing, "requests are not", |f| {
            f.apis[0].limits.clear();
        }),
        ("blind quota", LayerKind::Quota, State::NotApplicable, "cannot be counted", |f| {
            f.apis[0] = encrypted(bare("orders"), "1.3");
        }),
        ("clear", LayerKind::Tls, State::Missing, "clear text: 4000 requests", |_| {}),
        ("1.3", LayerKind::Tls, State::Present, "TLS 1.3: 40", |f| {
            f.apis[0] = encrypted(bare("orders"), "1.3");
        }),
        ("1.0", LayerKind::Tls, State::Partly, "RFC 8996", |f| {
            f.apis[0] = encrypted(bare("orders"), "1.0");
        }),
        ("both", LayerKind::Tls, State::Partly, "clear text", |f| {
            f.apis[0] = encrypted(guarded(), "1.3");
        }),
        ("idle", LayerKind::Tls, State::Unseen, "nothing", |f| f.apis[0] = bare("orders")),
        ("foreign", LayerKind::Tls, State::Unseen, "neither", |f| {
            f.apis[0] = bare("orders");
            f.apis[0].seen.connections = 3;
        }),
        ("opaque", LayerKind::Tls, State::NotApplicable, "opaque", |f| {
            f.apis[0].kind = "opaque".to_owned();
        }),
        ("all", LayerKind::Authentication, State::Present, "100 % of 4000", |_| {}),
        ("some", LayerKind::Authentication, State::Partly, "75 % of 4", |f| {
            f.apis[0] = plain(bare("orders"), 4, 1);
        }),
        ("none", LayerKind::Authentication, State::Missing, "none of 4", |f| {
            f.apis[0] = plain(bare("orders"), 4, 4);
        }),
        ("encrypted", LayerKind::Authentication, State::Unseen, "cannot be seen", |f| {
            f.apis[0] = encrypted(bare("orders"), "1.3");
        }),
        ("login", LayerKind::Login, State::Present, "POST /login", |_| {}),
        ("no login", LayerKind::Login, State::Missing, "no `login`", |f| {
            f.apis[0].login.clear();
        }),
        ("acts", LayerKind::Response, State::Present, "brute_force: ban 10m", |_| {}),
        ("alerts", LayerKind::Response, State::Missing, "only an alert", |f| {
            f.apis[0].answers.clear();
        }),
        ("dry", LayerKind::Response, State::Partly, "dry run", |f| {
            f.apis[0].respond_mode = "dry_run".to_owned();
        }),
        ("stopped", LayerKind::Response, State::Partly, "has stopped", |f| {
            f.actions_stopped = true;
        }),
        ("document", LayerKind::Openapi, State::Present, "orders.yaml", |_| {}),
        ("nobody", LayerKind::People, State::Missing, "nobody", |f| f.apis[0] = bare("orders")),
        ("no responder", LayerKind::People, State::Partly, "to be called", |f| {
            f.apis[0].seen.responder = None;
        }),
        ("drilled", LayerKind::Playbook, State::Present, "was drilled", |_| {}),
        ("never", LayerKind::Playbook, State::Partly, "never", |f| f.playbooks[0].drilled = None),
        ("long ago", LayerKind::Playbook, State::Partly, "last drilled", |f| {
            f.playbooks[0].drilled = Some(NOW - 181 * DAY);
        }),
        ("failed", LayerKind::Playbook, State::Partly, "failed", |f| {
            f.playbooks[0].drill_passed = Some(false);
        }),
        ("its own", LayerKind::Playbook, State::Present, "its shutdown", |f| {
            f.playbooks.clear();
            f.drills.insert("orders".to_owned(), DrillFact { time: NOW - DAY, passed: true });
        }),
    ];
    for (what, kind, state, words, change) in rows {
        let mut facts = facts();
        change(&mut facts);
        let report = Report::of(facts);
        let layer = report.apis[0].layers.iter().find(|layer| layer.layer == kind).expect(what);
        assert_eq!(layer.state, state, "{what}: {}", layer.found);
        assert!(layer.found.contains(words), "{what}: {}", layer.found);
    }
}

#[test]
fn risks_by_what_can_be_seen_and_is_set() {
    // Covered, partly and not visible, in the list's order.
    let rows: [(&str, &str, ApiFacts); 7] = [
        ("everything", "PPPCPPNPCN", guarded()),
        ("bare, clear text", "PPPPPPNPPN", plain(bare("orders"), 4, 4)),
        ("bare, encrypted", "NNPPNNNPPN", encrypted(bare("orders"), "1.3")),
        ("idle", "NNNPNNNNPN", bare("orders")),
        ("opaque", "NNNPNNNNPN", ApiFacts { kind: "opaque".to_owned(), ..bare("orders") }),
        (
            "limited, encrypted, for few",
            "NNPCPPNPPN",
            ApiFacts {
                any: false,
                limits: vec![limit("source", "connections")],
                ..encrypted(bare("orders"), "1.2")
            },
        ),
        ("counted", "PPPPPPNPCN", ApiFacts { mode: "monitor".to_owned(), ..guarded() }),
    ];
    for (what, expected, api) in rows {
        let report = Report::of(Facts { apis: vec![api], ..facts() });
        let owasp = &report.apis[0].owasp;
        let letters: String = owasp
            .iter()
            .map(|entry| match entry.coverage {
                Coverage::Covered => 'C',
                Coverage::Partly => 'P',
                Coverage::NotVisible => 'N',
            })
            .collect();
        assert_eq!(letters, expected, "{what}");
        assert!(owasp.iter().all(|entry| entry.reason.len() > 20), "{what}: a reason for each");
    }
}

#[test]
fn nothing_is_said_to_be_noticed_that_is_not_visible() {
    // As docs/detectors.md says what detectors see.
    let rows = [
        (plain(bare("orders"), 4, 4), "shifts of rate", true),
        (encrypted(bare("orders"), "1.3"), "shifts of rate", false),
        (encrypted(bare("orders"), "1.3"), "shifts of latency and size", true),
        (encrypted(bare("orders"), "1.3"), "enumeration", false),
        (encrypted(bare("orders"), "1.3"), "scraping", false),
        (encrypted(bare("orders"), "1.3"), "exfiltration", true),
        (bare("orders"), "shifts of", false),
        (ApiFacts { kind: "opaque".to_owned(), ..bare("orders") }, "shifts of", false),
        (ApiFacts { kind: "opaque".to_owned(), ..bare("orders") }, "exfiltration", false),
    ];
    for (api, words, said) in rows {
        let sight = format!("{:?}: {words}", api.sight());
        let report = Report::of(Facts { apis: vec![api], ..facts() });
        let reasons: Vec<_> = report.apis[0].owasp.iter().map(|entry| &entry.reason).collect();
        assert_eq!(
            reasons.iter().any(|reason| reason.contains(words)),
            said,
            "{sight}: {reasons:#?}"
        );
    }
}

#[test]
fn findings_count_at_their_risk() {
    let mut facts = facts();
    facts.findings = vec![finding("f-1", "critical", NOW)];
    let mut other = finding("f-2", "warning", NOW);
    // API1 is not API10.
    other.owasp = Some("API10:2023 Unsafe Consumption of APIs".to_owned());
    facts.findings.push(other);
    let again = facts.clone();
    let report = Report::of(facts);
    let counts: Vec<u64> = report.apis[0].owasp.iter().map(|entry| entry.findings).collect();
    assert_eq!(counts, [0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(report.points[0].level, Level::Critical, "the worst first");
    assert_eq!(report.at_least(Level::Critical).count(), 1);

    // What is muted stands in the report, and fails nothing.
    let mut facts = again;
    facts.findings.iter_mut().for_each(|finding| finding.muted = true);
    let report = Report::of(facts);
    assert_eq!(report.points[0].level, Level::Critical);
    assert!(report.points[0].text.contains("(muted)"), "{:?}", report.points[0]);
    assert_eq!(report.at_least(Level::Critical).count(), 0);
}

#[test]
fn what_is_overdue() {
    let overdue = |change: fn(&mut Facts)| {
        let mut facts = facts();
        change(&mut facts);
        let report = Report::of(facts);
        let points = report.points.iter().filter(|point| point.topic == Topic::Overdue);
        points.map(|point| format!("{} {}", point.level.name(), point.key)).collect::<Vec<_>>()
    };
    type Row = (&'static str, fn(&mut Facts), &'static [&'static str]);
    let rows: [Row; 9] = [
        ("nothing", |_| {}, &[]),
        ("never drilled", |f| f.playbooks[0].drilled = None, &["notice drill leak"]),
        ("drilled long ago", |f| f.terms.drill_seconds = 29 * DAY, &["notice drill leak"]),
        ("drill failed", |f| f.playbooks[0].drill_passed = Some(false), &["warning drill leak"]),
        (
            "open for long",
            |f| f.findings = vec![finding("f-1", "info", NOW - 8 * DAY)],
            &["notice finding f-1"],
        ),
        ("open for a day", |f| f.findings = vec![finding("f-1", "info", NOW - DAY)], &[]),
        (
            "retired and used",
            |f| {
                f.apis[0].seen.lifecycle = Some("retired".to_owned());
                f.apis[0].seen.last_seen = Some(NOW - DAY);
            },
            &["warning retired"],
        ),
        (
            "stale feed",
            |f| {
                let state = FeedState::Kept;
                f.feeds =
                    vec![FeedStatus { feed: "list".to_owned(), state, ..FeedStatus::default() }];
            },
            &["warning feed list"],
        ),
        (
            "report",
            |f| {
                let before = Facts { time: NOW - 100 * DAY, ..facts() };
                f.previous = Some(Box::new(Report::of(before)));
            },
            &["notice report"],
        ),
    ];
    for (what, change, expected) in rows {
        assert_eq!(overdue(change), expected, "{what}");
    }
}

#[test]
fn what_matters_more_weighs_more() {
    let level = |criticality: &str, key: &str| {
        let mut api = plain(bare("orders"), 4, 4);
        api.seen.criticality = Some(criticality.to_owned());
        let report = Report::of(Facts { apis: vec![api], ..facts() });
        report.points.iter().find(|point| point.key == key).map(|point| point.level)
    };
    let rows = [
        ("low", "rate_limit", Level::Info),
        ("medium", "rate_limit", Level::Notice),
        ("high", "rate_limit", Level::Warning),
        ("critical", "rate_limit", Level::Warning),
        ("high", "openapi", Level::Notice),
        ("critical", "openapi", Level::Warning),
        ("high", "allowlist", Level::Info),
    ];
    for (criticality, key, expected) in rows {
        assert_eq!(level(criticality, key), Some(expected), "{criticality} {key}");
    }
    assert_eq!("high".parse(), Ok(Level::Warning));
    assert_eq!("severe".parse::<Level>(), Err(()));
}

#[test]
fn what_changed() {
    let before = Report::of(facts());
    let mut now = facts();
    now.time += 90 * DAY;
    now.apis[0].limits.clear();
    now.apis[0].settings.remove("limit");
    now.apis[0].seen.credentials.insert("basic".to_owned(), 7);
    now.apis.push(ApiFacts {
        seen: ApiEntry { name: "tcp/9000".into(), ..Default::default() },
        ..Default::default()
    });
    now.findings = vec![finding("f-9", "warning", now.time)];
    now.previous = Some(Box::new(before.clone()));
    let report = Report::of(now);
    assert_eq!(report.facts.previous, None, "a report does not hold all before it");
    let changes = report.changes.expect("a report before");
    assert_eq!((changes.since, &changes.added[..]), (NOW, &["tcp/9000".to_owned()][..]));
    assert_eq!(changes.settings.len(), 1);
    assert_eq!(changes.credentials, ["orders: basic"]);
    let layers: Vec<_> = changes.layers.iter().map(|change| (change.layer, change.after)).collect();
    assert_eq!(
        layers,
        [(LayerKind::RateLimit, State::Missing), (LayerKind::Quota, State::Missing)]
    );
    assert_eq!(changes.owasp.len(), 1, "{:?}", changes.owasp);
    let opened: Vec<_> = changes.opened.iter().map(|point| point.key.as_str()).collect();
    assert_eq!(opened, ["f-9", "rate_limit", "quota"]);
    // The same again: nothing.
    let again = Facts { previous: Some(Box::new(before)), ..facts() };
    assert!(Report::of(again).changes.expect("a report before").is_empty());
}
