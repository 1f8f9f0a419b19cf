//! Forgetful people, guessers, forgers and crowds.

use std::net::IpAddr;

use crate::detect::simulation::{Random, client, login, orders};
use crate::detect::{Config, Detector, Engine, Finding, Observation, SECOND, State};

fn engine() -> Engine {
    let mut engine = Engine::new(Config::default(), 1);
    engine.set_apis([orders()]);
    engine
}

/// Sends statuses of one client, one every `step` seconds, and ticks after each.
fn send(engine: &mut Engine, from: u64, step: u64, statuses: &[u16]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, status) in statuses.iter().enumerate() {
        let time = (from + number as u64 * step) * SECOND;
        engine.observe(&login(time, client(1), *status));
        findings.extend(engine.tick(time + SECOND / 2, 0, 1.0));
    }
    findings.retain(|finding| finding.detector == Detector::BruteForce);
    findings
}

fn opened(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.state == State::Open).count()
}

#[test]
fn typos_raise_no_alarm_in_a_month() {
    // 500 people, 12 logins a day, of which 5 to 20 in a hundred fail, each retried within seconds.
    let mut engine = engine();
    let mut random = Random::new(42);
    let mut attempts = 0_u64;
    for day in 0..30_u64 {
        for _ in 0..6000 {
            let person = (random.share() * 500.0) as u32;
            let share = 0.05 + 0.15 * f64::from(person) / 500.0;
            let mut time = day * 86_400 * SECOND + (random.share() * 86_000.0) as u64 * SECOND;
            loop {
                attempts += 1;
                let failed = random.share() < share;
                engine.observe(&login(time, client(person), if failed { 401 } else { 200 }));
                if !failed {
                    break;
                }
                time += 4 * SECOND;
            }
        }
        let found = engine.tick((day + 1) * 86_400 * SECOND, 0, 1.0);
        assert_eq!(opened(&found), 0, "day {day}: {found:?}");
    }
    assert!(attempts > 190_000, "{attempts}");
}

#[test]
fn busy_proxy_with_typos_raises_no_alarm() {
    // A thousand people behind one address, a login a second for two days, one in five failing.
    let mut engine = engine();
    let mut random = Random::new(1);
    for second in 0..2 * 86_400 {
        let status = if random.share() < 0.2 { 401 } else { 200 };
        engine.observe(&login(second * SECOND, client(1), status));
        if second % 10 == 0 {
            let found = engine.tick(second * SECOND, 0, 1.0);
            assert!(found.iter().all(|finding| finding.detector != Detector::BruteForce));
        }
    }
}

#[test]
fn sequences() {
    let fail = |count: usize| vec![401_u16; count];
    for (what, step, statuses, expected) in [
        ("14 failures are not enough", 1, fail(14), 0),
        ("15 failures", 1, fail(15), 1),
        ("20 failures, one every 20 seconds", 20, fail(20), 1),
        ("200 failures, one every two minutes: old ones are forgotten", 120, fail(200), 0),
        ("14 failures, then in", 1, [fail(14), vec![200]].concat(), 0),
        ("four of five fail", 1, [401, 401, 401, 401, 200].repeat(10), 1),
        ("one of two fails", 1, [401, 200].repeat(100), 0),
        ("missing pages", 1, vec![404; 100], 0),
        ("server in trouble", 1, vec![503; 100], 0),
        ("the application limits it", 1, [vec![429; 5], fail(15), vec![429; 5]].concat(), 1),
    ] {
        assert_eq!(opened(&send(&mut engine(), 0, step, &statuses)), expected, "{what}");
    }
}

#[test]
fn opens_updates_and_closes_under_one_id() {
    let mut engine = engine();
    let mut found = send(&mut engine, 1000, 1, &[401; 200]);
    let attacked = found.len();
    for second in 1200..1600 {
        found.extend(engine.tick(second * SECOND, 0, 1.0));
    }
    found.retain(|finding| finding.detector == Detector::BruteForce);
    let states: Vec<_> = found.iter().map(|finding| finding.state).collect();
    assert_eq!(states[0], State::Open);
    assert_eq!(states.last(), Some(&State::Closed));
    assert!(attacked == 4, "an update a minute: {states:?}");
    assert!(found.iter().all(|finding| finding.id == found[0].id));
    let first = &found[0];
    assert_eq!(first.api_name.as_ref(), "orders");
    assert_eq!(first.source.map(|source| source.address), Some(client(1)));
    assert_eq!(first.measure.observed, 1.0);
    assert!(!first.measure.evidence_forgeable);
    assert!(first.measure.why.starts_with("15 of 15 attempts to log in of 10.0.0.1 at orders"));
    let closed = found.last().unwrap();
    assert_eq!(closed.closed, Some(1500 * SECOND - SECOND));
    // The next burst is another finding.
    let again = send(&mut engine, 3000, 1, &[401; 15]);
    assert_eq!(opened(&again), 1);
    assert_ne!(again[0].id, first.id);
}

#[test]
fn successes_close_it_early() {
    let mut engine = engine();
    let found = send(&mut engine, 0, 1, &[vec![401; 15], vec![200; 15]].concat());
    let states: Vec<_> = found.iter().map(|finding| finding.state).collect();
    assert_eq!(states, [State::Open, State::Closed]);
    assert!(found[1].measure.why.contains("logs in"), "{}", found[1].measure.why);
}

#[test]
fn forgeable_evidence_is_marked_until_it_no_longer_is() {
    let mut engine = engine();
    let mut attempt = |time: u64, handshake| {
        engine.observe(&Observation { handshake, ..login(time * SECOND, client(1), 401) });
        engine.tick(time * SECOND, 0, 1.0)
    };
    let forged: Vec<_> = (0..30).flat_map(|time| attempt(time, false)).collect();
    assert_eq!(forged.len(), 1);
    assert!(forged[0].measure.evidence_forgeable);
    let real: Vec<_> = (30..50).flat_map(|time| attempt(time, true)).collect();
    assert_eq!(real.len(), 1, "told at once, then no more than once a minute");
    assert!(!real[0].measure.evidence_forgeable);
    assert_eq!((real[0].state, &real[0].id), (State::Update, &forged[0].id));
}

#[test]
fn abstains_when_blind() {
    let mut engine = engine();
    for time in 0..15 {
        engine.observe(&login(time * SECOND, client(1), 401));
        assert_eq!(engine.tick(time * SECOND, 0, 0.49), []);
    }
    let found = engine.tick(16 * SECOND, 0, 0.5);
    assert_eq!((opened(&found), found[0].completeness), (1, 0.5));
    // Blind again: it cannot be said to be over.
    assert_eq!(engine.tick(1000 * SECOND, 0, 0.1), []);
    assert_eq!(engine.tick(1001 * SECOND, 0, 1.0)[0].state, State::Closed);
}

#[test]
fn weights_count_but_prove_nothing() {
    let mut engine = engine();
    let seen = |engine: &mut Engine, range: std::ops::Range<u64>| -> Vec<Finding> {
        let each = |time: u64| {
            engine.observe(&Observation {
                weight: 100 << 16,
                ..login(time * SECOND, client(1), 401)
            });
            engine.tick(time * SECOND, 0, 1.0)
        };
        range.flat_map(each).collect()
    };
    assert_eq!(seen(&mut engine, 0..14).len(), 0, "1,400 failures estimated, 14 seen");
    let found = seen(&mut engine, 14..15);
    assert_eq!(found[0].measure.weight, 100.0);
    assert!(found[0].measure.why.starts_with("1500 of 1500"), "{}", found[0].measure.why);
}

#[test]
fn ipv6_sources_are_networks() {
    let mut engine = engine();
    for time in 0..15_u64 {
        let address: IpAddr = format!("2001:db8::{time:x}:1").parse().unwrap();
        engine.observe(&login(time * SECOND, address, 401));
    }
    let found = engine.tick(15 * SECOND, 0, 1.0);
    assert_eq!(found[0].source.unwrap().to_string(), "2001:db8::/64");
}

#[test]
fn memory_is_bounded_and_evidence_is_kept() {
    let mut config = Config::default();
    config.brute_force.sources = 64;
    let mut engine = Engine::new(config, 1);
    engine.set_apis([orders()]);
    (0..14).for_each(|time| engine.observe(&login(time * SECOND, client(0), 401)));
    (1..1000).for_each(|number| engine.observe(&login(20 * SECOND, client(number), 401)));
    let count = engine.state_counts()[0];
    assert!(count.states <= 64, "{count:?}");
    assert_eq!(count.states + count.evicted, 1000);
    engine.observe(&login(21 * SECOND, client(0), 401));
    assert_eq!(opened(&engine.tick(21 * SECOND, 0, 1.0)), 1, "the guesser was not evicted");
}

#[test]
fn open_findings_are_bounded_and_follow_the_policy() {
    let mut engine = Engine::new(Config { max_open: 2, ..Config::default() }, 1);
    engine.set_apis([orders()]);
    for time in 0..15 {
        (0..3).for_each(|number| engine.observe(&login(time * SECOND, client(number), 401)));
    }
    assert_eq!(opened(&engine.tick(15 * SECOND, 0, 1.0)), 2);
    assert_eq!(engine.refused(), 1);
    engine.set_apis([]);
    let found = engine.tick(16 * SECOND, 0, 1.0);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|finding| finding.state == State::Closed));
    assert_eq!(engine.open().count(), 0);
    assert_eq!(engine.state_counts()[0].states, 0);
}
