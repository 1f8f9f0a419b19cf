//! Conditions that come and go.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::detect::ApiProfile;
use crate::inventory::catalog::Catalog;
use crate::inventory::declared::DeclaredApi;
use crate::inventory::openapi;
use crate::policy::{Lifecycle, Port, Protocol, SourceLengths};
use crate::sensor::transaction::Transaction;

const DAY: u64 = 86_400;
const NOW: u64 = 20_000 * DAY;

/// API, method, route, status.
type Request<'a> = (u32, &'a str, &'a str, u16);

fn catalog(seen: &[Request<'_>]) -> Catalog {
    let mut catalog = Catalog::default();
    let lengths = SourceLengths::default();
    catalog.follow([(1, Arc::from("orders"), lengths)], &BTreeSet::new());
    for &(api, method, route, status) in seen {
        let mut transaction = Transaction {
            api,
            method: method.to_owned(),
            status: Some(status),
            ..Transaction::example()
        };
        transaction.flow.server_port = 9000;
        let client = transaction.flow.client;
        catalog.transaction(&transaction, client, &Arc::from(route), NOW);
    }
    catalog
}

fn orders(lifecycle: Lifecycle, spec: &str) -> DeclaredApi {
    let profile = ApiProfile { id: 1, name: "orders".into(), ..ApiProfile::unclaimed() };
    let read = || openapi::read(spec.as_bytes(), "s", |told| panic!("{told}"));
    let spec = (!spec.is_empty()).then(read).flatten().map(Arc::new);
    DeclaredApi { profile, lifecycle, spec }
}

const SPEC: &str =
    "openapi: 3.0.0\npaths:\n  /a: {get: {}, put: {deprecated: true}}\n  /b: {get: {}}\n";

fn held(catalog: &Catalog, declared: &[DeclaredApi], now: u64, completeness: f64) -> Vec<String> {
    let unused_after = 7 * DAY;
    let case = Case { catalog, declared, now, unused_after, completeness };
    let told = |condition: Condition| {
        let why = &condition.measure.why;
        assert!(why.chars().any(|c| c.is_ascii_digit()), "no numbers: {why}");
        let Subject { detector, api, endpoint } = condition.subject;
        match endpoint {
            Some(Endpoint { method, route }) => {
                format!("{} {api} {method} {route}", detector.name())
            }
            None => format!("{} {api}", detector.name()),
        }
    };
    judge(&case).into_iter().map(told).collect()
}

#[test]
fn what_holds() {
    let active = |spec: &str| vec![orders(Lifecycle::Active, spec)];
    let later = NOW + 8 * DAY;
    // Requests, the policy, when it is judged, completeness, what holds.
    type Row<'a> = (&'a [Request<'a>], Vec<DeclaredApi>, u64, f64, &'a [&'a str]);
    let rows: [Row<'_>; 13] = [
        (&[(1, "GET", "/a", 200)], active(""), NOW, 1.0, &[]),
        (&[(1, "GET", "/a", 200)], active(SPEC), NOW, 1.0, &[]),
        (&[(1, "GET", "/c", 200)], active(SPEC), NOW, 1.0, &["undocumented_route orders GET /c"]),
        (&[(1, "POST", "/a", 200)], active(SPEC), NOW, 1.0, &["undocumented_route orders POST /a"]),
        (&[(1, "HEAD", "/a", 200), (1, "GET", "/c", 404)], active(SPEC), NOW, 1.0, &[]),
        (&[(1, "GET", "/c", 200)], active(SPEC), NOW + QUIET, 1.0, &["unused_route orders"]),
        (&[(1, "GET", "/a", 200)], active(SPEC), later, 1.0, &["unused_route orders"]),
        (&[(1, "GET", "/a", 200)], active(SPEC), later, 0.8, &[]),
        (&[], active(SPEC), later, 1.0, &[]),
        (&[(1, "PUT", "/a", 200)], active(SPEC), NOW, 1.0, &["deprecated_use orders PUT /a"]),
        (
            &[(1, "GET", "/a", 404)],
            vec![orders(Lifecycle::Retired, "")],
            NOW,
            1.0,
            &["deprecated_use orders"],
        ),
        (&[(0, "GET", "/a", 200)], active(""), NOW, 1.0, &["undeclared_port tcp/9000"]),
        (&[(0, "GET", "/a", 200)], Vec::new(), NOW, 1.0, &[]),
    ];
    for (number, (seen, declared, now, completeness, expected)) in rows.iter().enumerate() {
        let found = held(&catalog(seen), declared, *now, *completeness);
        assert_eq!(found, *expected, "row {number}");
    }
}

#[test]
fn tls_on_an_undeclared_port_and_too_old() {
    let mut catalog = catalog(&[]);
    let old = crate::sensor::encrypted::Handshake {
        version: Some(crate::sensor::encrypted::TlsVersion(0x0301)),
        api: 0,
        ..crate::sensor::encrypted::Handshake::example()
    };
    catalog.handshake(&old, NOW);
    let declared = [orders(Lifecycle::Active, "")];
    let expected = ["undeclared_port tcp/80", "old_tls tcp/80"];
    assert_eq!(held(&catalog, &declared, NOW, 1.0), expected);
    assert_eq!(held(&catalog, &declared, NOW + QUIET, 1.0), [] as [&str; 0]);
}

#[test]
fn a_port_that_is_declared_now_is_forgotten() {
    let mut catalog = catalog(&[(0, "GET", "/a", 200)]);
    assert!(catalog.get("tcp/9000").is_some());
    let port = Port { protocol: Protocol::Tcp, port: 9000 };
    catalog.follow([], &BTreeSet::from([port]));
    assert!(catalog.get("tcp/9000").is_none());
    assert_eq!(catalog.occupancy(), (0, 0));
}

#[test]
fn findings_open_go_on_and_close_over_a_restart() {
    let condition = |observed: f64| {
        let catalog = catalog(&[(1, "GET", "/c", 200)]);
        let declared = [orders(Lifecycle::Active, SPEC)];
        let case = Case {
            catalog: &catalog,
            declared: &declared,
            now: NOW,
            unused_after: DAY,
            completeness: 1.0,
        };
        let mut condition = judge(&case).remove(0);
        condition.measure.observed = observed;
        vec![condition]
    };
    let at = |seconds: u64| (NOW + seconds) * SECOND;
    let states = |due: &[Finding]| due.iter().map(|found| found.state).collect::<Vec<_>>();
    let mut register = Register::default();
    let opened = register.follow(condition(1.0), at(0), 1.0);
    assert_eq!(states(&opened), [State::Open]);
    let (id, subject) = (Arc::clone(&opened[0].id), condition(1.0)[0].subject.clone());
    assert_eq!(register.follow(condition(5.0), at(30), 1.0), [], "too early for an update");
    assert_eq!(states(&register.follow(condition(5.0), at(90), 1.0)), [State::Update]);
    assert_eq!(register.follow(condition(6.0), at(300), 1.0), [], "not yet doubled");
    assert_eq!(states(&register.follow(condition(6.0), at(90 + UPDATE), 1.0)), [State::Update]);
    assert_eq!(register.follow(condition(6.0), at(90 + 3 * UPDATE), 1.0), [], "nothing is new");
    // A restart: it goes on under its id, and is not told again.
    let mut register = Register::default();
    let (opened, updated) = (at(0), at(90 + UPDATE));
    let severity = Severity::Notice;
    let open = Open { id: Arc::clone(&id), severity, opened, updated, observed: 6.0 };
    register.restore(subject, open);
    assert_eq!(register.follow(condition(6.0), at(8_000), 1.0), []);
    assert_eq!(register.severities().collect::<Vec<_>>(), [Severity::Notice]);
    let closed = register.follow(Vec::new(), at(9_000), 1.0);
    assert_eq!(states(&closed), [State::Closed]);
    assert_eq!((&closed[0].id, closed[0].opened, closed[0].closed), (&id, at(0), Some(at(9_000))));
    let again = register.follow(condition(1.0), at(9_001), 1.0);
    assert_ne!(again[0].id, id, "an id is not used again");
}
