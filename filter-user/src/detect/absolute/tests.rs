use super::*;
use crate::detect::simulation::{Random, orders};
use crate::detect::{Config, Engine, Finding, State as Is};

const LIMITS: AlertLimits = AlertLimits {
    error_ratio: Some(0.05),
    latency_p99: Some(Duration::from_millis(500)),
    least: Some(1.0),
    most: Some(50.0),
};

/// What requests are like.
#[derive(Clone, Copy)]
struct Life {
    rate: f64,
    errors: f64,
    slow: f64,
    weight: f64,
    completeness: f64,
}

const USUAL: Life = Life { rate: 10.0, errors: 0.01, slow: 0.002, weight: 1.0, completeness: 1.0 };

fn engine(alert: Option<AlertLimits>) -> Engine {
    let mut engine = Engine::new(Config::default(), 1);
    engine.set_apis([ApiProfile { alert, ..orders() }]);
    engine
}

/// The findings of this detector.
fn live(
    engine: &mut Engine,
    random: &mut Random,
    seconds: std::ops::Range<u64>,
    life: Life,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for second in seconds {
        for _ in 0..random.poisson(life.rate / life.weight * life.completeness) {
            let slow = random.share() < life.slow;
            engine.observe(&Observation {
                time: second * SECOND,
                status: Some(if random.share() < life.errors { 500 } else { 200 }),
                latency: Some(if slow { 2_000_000_000 } else { 20_000_000 }),
                weight: (life.weight * 65536.0) as u32,
                ..Observation::example()
            });
        }
        found.extend(engine.tick((second + 1) * SECOND, 0, life.completeness));
    }
    found.retain(|finding| finding.detector == Detector::AbsoluteLimit);
    found
}

#[test]
fn each_limit_opens_and_closes() {
    for (what, limit, life) in [
        ("errors", 0.05, Life { errors: 0.2, ..USUAL }),
        ("latency", 500.0, Life { slow: 0.05, ..USUAL }),
        ("silence", 1.0, Life { rate: 0.1, ..USUAL }),
        ("a flood", 50.0, Life { rate: 80.0, ..USUAL }),
        ("one flow in ten", 0.05, Life { errors: 0.5, weight: 10.0, rate: 45.0, ..USUAL }),
        ("a flood, half lost", 50.0, Life { rate: 80.0, completeness: 0.6, ..USUAL }),
    ] {
        let mut engine = engine(Some(LIMITS));
        let mut random = Random::new(3);
        let usual = Life { weight: life.weight, rate: life.rate.clamp(10.0, 45.0), ..USUAL };
        assert_eq!(live(&mut engine, &mut random, 0..1200, usual), [], "{what}");
        let found = live(&mut engine, &mut random, 1200..1500, life);
        let first = found.first().unwrap_or_else(|| panic!("{what}"));
        assert_eq!((first.state, first.measure.threshold), (Is::Open, limit), "{what}");
        assert!((1260..=1380).contains(&(first.opened / SECOND)), "{what}: {first:?}");
        assert!(found[1..].iter().all(|f| f.state == Is::Update && f.id == first.id), "{what}");
        assert!(found.len() >= 3, "{what}: {found:?}");
        let Measure { observed, baseline, .. } = first.measure;
        let beyond = if what == "silence" { observed < limit } else { observed > limit };
        let within = if what == "silence" { baseline > limit } else { baseline < limit };
        assert!(beyond && within, "{what}: {first:?}");
        let found = live(&mut engine, &mut random, 1500..1800, usual);
        // A window that is still beyond may have gone before.
        assert_eq!(found.last().map(|f| f.state), Some(Is::Closed), "{what}");
        assert!(found.iter().filter(|f| f.state != Is::Update).count() == 1, "{what}");
    }
}

#[test]
fn what_is_within_limits_or_too_little_says_nothing() {
    for (what, alert, life) in [
        ("no limits", None, Life { errors: 0.9, slow: 0.9, ..USUAL }),
        ("the usual", Some(LIMITS), USUAL),
        // 40 answers a minute.
        (
            "few",
            Some(AlertLimits { least: None, ..LIMITS }),
            Life { rate: 0.5, errors: 0.9, slow: 0.9, ..USUAL },
        ),
        ("most is lost", Some(LIMITS), Life { errors: 0.9, completeness: 0.4, ..USUAL }),
        // One flow in a thousand: at 45 a second 2.7 are seen within a minute.
        ("hardly sampled", Some(LIMITS), Life { rate: 45.0, weight: 1000.0, ..USUAL }),
    ] {
        let mut engine = engine(alert);
        let found = live(&mut engine, &mut Random::new(4), 0..4 * 3600, life);
        assert_eq!(found, [], "{what}");
    }
}

#[test]
fn a_percentile_is_exact_about_its_limit() {
    // 1 % and 2 % of answers are slower than the limit.
    for (slow, beyond) in [(1, false), (2, true)] {
        let mut state = State::new(0);
        let mut detector = Absolute::new(AbsoluteConfig::default());
        let api = ApiProfile { alert: Some(LIMITS), ..orders() };
        detector.states.insert(1, State::new(0));
        for number in 0..100 {
            let latency = Some(if number < slow { 500_000_001 } else { 500_000_000 });
            detector.observe(&api, &Observation { latency, ..Observation::example() });
        }
        std::mem::swap(&mut state, detector.states.get_mut(&1).expect("there"));
        let judged = state.judge(Part::Latency, &LIMITS, 60.0, 50).expect("enough");
        assert_eq!(judged.beyond, beyond, "{judged:?}");
        assert!(judged.observed <= judged.limit * STEP, "{judged:?}");
    }
    let mut tally = Tally::new();
    for ms in 1..=1000_u32 {
        let place = (f64::from(ms) * 1e6 / FIRST).ln() / STEP.ln();
        tally.latencies[place as usize] += 1;
        tally.timed += 1;
    }
    assert!((tally.percentile() - 990.0).abs() < 50.0, "{}", tally.percentile());
}

#[test]
fn policy_and_maintenance() {
    let bad = Life { errors: 0.5, ..USUAL };
    let mut random = Random::new(5);
    let mut one = engine(Some(LIMITS));
    one.set_maintained([1], 0);
    assert_eq!(live(&mut one, &mut random, 0..900, bad), [], "in a maintenance");
    one.set_maintained([], 900 * SECOND);
    let found = live(&mut one, &mut random, 900..1200, bad);
    assert_eq!(found.first().map(|f| f.state), Some(Is::Open), "and after it");
    // The limit is raised: no longer beyond. Then it is gone.
    let raised = AlertLimits { error_ratio: Some(0.9), ..LIMITS };
    one.set_apis([ApiProfile { alert: Some(raised), ..orders() }]);
    let found = live(&mut one, &mut random, 1200..1500, bad);
    assert_eq!(found.last().map(|f| f.state), Some(Is::Closed));
    one.set_apis([ApiProfile { alert: Some(LIMITS), ..orders() }]);
    live(&mut one, &mut random, 1500..1800, bad);
    assert_eq!(one.open().count(), 1);
    one.set_apis([ApiProfile { alert: None, ..orders() }]);
    let found = live(&mut one, &mut random, 1800..1900, bad);
    assert!(found.last().is_some_and(|f| f.state == Is::Closed), "{found:?}");
    assert_eq!(one.open().filter(|f| f.detector == Detector::AbsoluteLimit).count(), 0);
}
