//! Steady, varying, attacked and silent APIs.

use crate::detect::simulation::{Random, client, login, orders, traffic};
use crate::detect::{Config, Detector, Engine, Finding, Observation, SECOND, State};

fn engine() -> Engine {
    let mut engine = Engine::new(Config::default(), 1);
    engine.set_apis([orders()]);
    engine
}

fn states(findings: &[Finding]) -> Vec<State> {
    assert!(findings.iter().all(|finding| finding.detector == Detector::RateShift));
    findings.iter().map(|finding| finding.state).collect()
}

#[test]
fn usual_traffic_raises_no_alarm() {
    for (what, days, rate) in [
        ("steady", 3, (|_| 20.0) as fn(u64) -> f64),
        ("slow", 7, |_| 0.05),
        ("a day's rise and fall", 3, |second| {
            10.0 - 9.0 * (second as f64 / 86_400.0 * std::f64::consts::TAU).cos()
        }),
        ("bursts of seconds", 3, |second| if second % 97 < 3 { 60.0 } else { 2.0 }),
        ("noon break", 1, |second| 4.0 + (second / 7 % 5) as f64),
    ] {
        let found = traffic(&mut engine(), &mut Random::new(7), 0..days * 86_400, rate);
        assert!(found.is_empty(), "{what}: {} reports, first {:?}", found.len(), found.first());
    }
}

#[test]
fn shifts_open_and_close() {
    for (what, low, high, expected) in [
        ("up tenfold", 10.0, 100.0, &[State::Open, State::Update, State::Closed][..]),
        ("to silence", 20.0, 0.0, &[State::Open, State::Update, State::Closed]),
        ("up by a half", 20.0, 30.0, &[]),
        ("tenfold of little", 0.1, 1.0, &[]),
        ("out of nothing", 0.1, 50.0, &[State::Open, State::Update, State::Closed]),
    ] {
        let mut engine = engine();
        let mut random = Random::new(3);
        let shifted = 900..1020;
        let rate = |second| if shifted.contains(&second) { high } else { low };
        let found = traffic(&mut engine, &mut random, 0..2000, rate);
        assert_eq!(states(&found), expected, "{what}");
        let [first, .., last] = &found[..] else { continue };
        assert_eq!(first.id, last.id, "{what}");
        assert!(first.opened <= 925 * SECOND, "{what}: opened {}", first.opened);
        assert!((first.measure.observed - high).abs() < high * 0.4 + 1.0, "{what}: {first:?}");
        assert!((first.measure.baseline - low).abs() < low * 0.2 + 0.2, "{what}: {first:?}");
        assert_eq!(first.measure.owasp.is_some(), high > low, "{what}");
        assert!(last.closed.unwrap() <= 1160 * SECOND, "{what}: closed {:?}", last.closed);
        assert_eq!(engine.open().count(), 0, "{what}");
    }
}

#[test]
fn a_new_level_is_adopted_after_an_hour() {
    let mut engine = engine();
    let rate = |second| if second < 900 { 10.0 } else { 100.0 };
    let found = traffic(&mut engine, &mut Random::new(5), 0..3 * 3600, rate);
    assert_eq!(found.first().map(|finding| finding.state), Some(State::Open));
    let last = found.last().unwrap();
    assert_eq!(last.state, State::Closed);
    assert!(last.measure.why.contains("usual now"), "{}", last.measure.why);
    assert_eq!(found.iter().filter(|finding| finding.state == State::Open).count(), 1);
    // Updates come once a minute, no more.
    assert!(found.len() <= 64, "{}", found.len());
}

#[test]
fn warm_up_and_blindness_judge_nothing() {
    let mut engine = engine();
    let found =
        traffic(&mut engine, &mut Random::new(9), 0..280, |s| if s < 100 { 1.0 } else { 100.0 });
    assert!(found.is_empty(), "warm-up: {:?}", found.first());
    traffic(&mut engine, &mut Random::new(9), 280..1000, |_| 100.0);
    // Nothing comes, and telemetry says that most of it was lost.
    for second in 1000..1200 {
        assert_eq!(engine.tick(second * SECOND, 0, 0.3), []);
    }
}

#[test]
fn sampled_and_lossy_counts_are_scaled() {
    // One request in 16 is seen, each standing for 16, and a fifth of those is lost.
    let mut engine = engine();
    let mut random = Random::new(11);
    let mut found = Vec::new();
    for second in 0..1100 {
        let rate = if second < 1000 { 160.0 } else { 1600.0 };
        for _ in 0..random.poisson(rate / 16.0 * 0.8) {
            engine.observe(&Observation {
                weight: 16 << 16,
                ..login(second * SECOND, client(1), 200)
            });
        }
        found.extend(engine.tick((second + 1) * SECOND, 0, 0.8));
    }
    let first = found.first().unwrap();
    assert!((first.measure.baseline - 160.0).abs() < 16.0, "{first:?}");
    assert!((first.measure.observed - 1600.0).abs() < 160.0, "{first:?}");
    assert_eq!((first.measure.weight, first.completeness), (16.0, 0.8));
    assert!(!first.measure.evidence_forgeable);
}

#[test]
fn a_few_sampled_flows_are_no_rise() {
    // One flow in ten, each of a person who asks for a page a second: a crowd of ten, by its weight.
    let mut engine = engine();
    let mut random = Random::new(12);
    let mut found = Vec::new();
    let mut until = 0;
    for second in 0..36_000 {
        if random.poisson(0.01) > 0 {
            until = second + 18;
        }
        if second < until {
            engine.observe(&Observation {
                weight: 10 << 16,
                ..login(second * SECOND, client(1), 200)
            });
        }
        found.extend(engine.tick((second + 1) * SECOND, 0, 1.0));
    }
    found.retain(|finding| finding.state == State::Open);
    assert_eq!(found, []);
}

#[test]
fn a_long_silence_of_the_caller_is_cheap() {
    let mut engine = engine();
    traffic(&mut engine, &mut Random::new(13), 0..600, |_| 10.0);
    let found = engine.tick(1_000_000_000 * SECOND, 0, 1.0);
    assert!(found.len() <= 3, "{found:?}");
    assert_eq!(engine.tick(1_000_000_001 * SECOND, 0, 1.0), []);
}

#[test]
fn apis_are_bounded() {
    let mut config = Config::default();
    config.rate_shift.apis = 1;
    let mut engine = Engine::new(config, 1);
    engine.set_apis([orders()]);
    engine.observe(&Observation { api: 0, ..login(0, client(1), 200) });
    engine.observe(&login(0, client(1), 200));
    engine.observe(&Observation { api: 77, ..login(0, client(1), 200) });
    let count = engine.state_counts()[1];
    assert_eq!((count.states, count.evicted), (1, 1));
}

#[test]
fn a_maintenance_is_no_shift() {
    let down = 900..1200;
    let rate = |second| if down.contains(&second) { 0.0 } else { 20.0 };
    let mut told = traffic(&mut engine(), &mut Random::new(5), 0..1500, rate);
    assert_eq!(states(&told.drain(..1).collect::<Vec<_>>()), [State::Open], "without");
    let mut engine = engine();
    let mut random = Random::new(5);
    assert_eq!(traffic(&mut engine, &mut random, 0..895, rate), []);
    engine.set_maintained([1], 895 * SECOND);
    assert_eq!(traffic(&mut engine, &mut random, 895..1203, rate), []);
    engine.set_maintained([], 1203 * SECOND);
    assert_eq!(traffic(&mut engine, &mut random, 1203..1500, rate), []);
    // What was usual before is known still.
    let found = traffic(&mut engine, &mut random, 1500..1600, |_| 200.0);
    assert_eq!(states(&found[..1]), [State::Open]);
    assert!((found[0].measure.baseline - 20.0).abs() < 3.0, "{found:?}");
}

#[test]
fn after_a_long_maintenance_the_rate_may_be_another() {
    let rate = |second| if second < 20_000 { 20.0 } else { 200.0 };
    let mut engine = engine();
    let mut random = Random::new(6);
    assert_eq!(traffic(&mut engine, &mut random, 0..1000, rate), []);
    engine.set_maintained([1], 1000 * SECOND);
    assert_eq!(traffic(&mut engine, &mut random, 1000..20_500, rate), []);
    engine.set_maintained([], 20_500 * SECOND);
    assert_eq!(traffic(&mut engine, &mut random, 20_500..22_000, rate), []);
}

#[test]
fn what_is_open_is_not_adopted_in_a_maintenance() {
    let mut engine = engine();
    let mut random = Random::new(7);
    let rate = |second| if (900..7000).contains(&second) { 100.0 } else { 10.0 };
    assert_eq!(states(&traffic(&mut engine, &mut random, 0..930, rate)), [State::Open]);
    engine.set_maintained([1], 930 * SECOND);
    assert_eq!(traffic(&mut engine, &mut random, 930..6000, rate), []);
    engine.set_maintained([], 6000 * SECOND);
    let found = traffic(&mut engine, &mut random, 6000..7200, rate);
    let last = found.last().expect("it closes");
    assert_eq!((last.state, engine.open().count()), (State::Closed, 0));
    assert!(last.measure.why.contains("again"), "{}", last.measure.why);
}
