//! Days of an API with routes: usual, shifted, blind, restarted.

use crate::detect::codec::{Reader, Writer};
use crate::detect::simulation::{Random, orders};
use crate::detect::{Config, Detector, Engine, Finding, Observation, SECOND, State, TurnSeen};

const DAY: u64 = 86_400;

/// What a route's requests are like at a time.
struct Life {
    rate: f64,
    errors: f64,
    latency: f64,
    bytes: f64,
}

const USUAL: Life = Life { rate: 0.5, errors: 0.01, latency: 20.0, bytes: 1000.0 };

fn engine() -> Engine {
    let mut engine = Engine::new(Config::default(), 1);
    engine.set_apis([orders()]);
    engine
}

/// Two routes, the first of which lives as told; ticks every ten seconds.
fn live(
    engine: &mut Engine,
    random: &mut Random,
    seconds: std::ops::Range<u64>,
    completeness: f64,
    life: impl Fn(u64) -> Life,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for second in seconds.step_by(10) {
        for (route, life) in [("/a", life(second)), ("/b", USUAL)] {
            for _ in 0..random.poisson(life.rate * 10.0) {
                let noise = 0.5 + random.share();
                engine.observe(&Observation {
                    time: second * SECOND,
                    route,
                    target: route,
                    status: Some(if random.share() < life.errors { 502 } else { 200 }),
                    latency: Some((life.latency * noise * 1e6) as u64),
                    response_bytes: Some((life.bytes * noise) as u64),
                    ..Observation::example()
                });
            }
        }
        found.extend(engine.tick((second + 10) * SECOND, 0, completeness));
    }
    found
}

fn opened(found: &[Finding]) -> Vec<(Detector, Option<&str>)> {
    let open = found.iter().filter(|finding| finding.state == State::Open);
    open.map(|finding| (finding.detector, finding.endpoint.as_ref().map(|e| &*e.route))).collect()
}

#[test]
fn each_measure_by_route() {
    let shifted = 2 * DAY + 43_200;
    for (what, detector, after) in [
        ("rate", Detector::RateShift, Life { rate: 2.0, ..USUAL }),
        ("errors", Detector::ErrorShift, Life { errors: 0.4, ..USUAL }),
        ("latency", Detector::LatencyShift, Life { latency: 60.0, ..USUAL }),
        ("size", Detector::SizeShift, Life { bytes: 5000.0, ..USUAL }),
    ] {
        let mut engine = engine();
        let mut random = Random::new(21);
        let usual = live(&mut engine, &mut random, 0..shifted, 1.0, |_| USUAL);
        assert!(opened(&usual).len() <= 1, "{what}: {:?}", opened(&usual));
        let found =
            live(&mut engine, &mut random, shifted..shifted + 1800, 1.0, |_| Life { ..after });
        let told = opened(&found);
        assert!(told.contains(&(detector, Some("/a"))), "{what}: {told:?}");
        // All answers slow, or large, is a heavier tail too.
        let same = |found| match found {
            Detector::LatencyTail => detector == Detector::LatencyShift,
            Detector::SizeTail => detector == Detector::SizeShift,
            found => found == detector,
        };
        assert!(
            told.iter().all(|&(found, route)| same(found) && route != Some("/b")),
            "{what}: {told:?}"
        );
        let finding = found
            .iter()
            .find(|found| found.endpoint.is_some() && found.detector == detector)
            .unwrap();
        assert!(finding.opened < (shifted + 1200) * SECOND, "{what}: {finding:?}");
        assert!(finding.measure.observed > finding.measure.threshold, "{what}: {finding:?}");
        assert!(finding.measure.threshold > finding.measure.baseline, "{what}: {finding:?}");
        assert!(finding.measure.why.contains("GET /a of orders"), "{}", finding.measure.why);
    }
}

#[test]
fn blindness_neither_judges_nor_learns() {
    let mut engine = engine();
    let mut random = Random::new(2);
    live(&mut engine, &mut random, 0..2 * DAY + 7200, 1.0, |_| USUAL);
    let silent = |_| Life { rate: 0.0, ..USUAL };
    let found = live(&mut engine, &mut random, 2 * DAY + 7200..3 * DAY, 0.2, silent);
    assert_eq!(opened(&found), []);
    let found = live(&mut engine, &mut random, 3 * DAY..3 * DAY + 7200, 1.0, |_| USUAL);
    assert_eq!(opened(&found), [], "silence was learned");
}

#[test]
fn turns_stand_in() {
    let mut engine = engine();
    let mut random = Random::new(6);
    let mut found = Vec::new();
    for second in (0..2 * DAY + 50_000).step_by(10) {
        for _ in 0..random.poisson(5.0) {
            let slow = if second > 2 * DAY + 40_000 { 4.0 } else { 1.0 };
            engine.turn(&TurnSeen {
                complete: true,
                time: second * SECOND,
                api: 1,
                source: crate::detect::simulation::client(1),
                latency: Some((slow * (20.0 + 10.0 * random.share()) * 1e6) as u64),
                response_bytes: 900 + (random.share() * 100.0) as u64,
                handshake: true,
                weight: 1 << 16,
            });
        }
        found.extend(engine.tick((second + 10) * SECOND, 0, 1.0));
    }
    let told = opened(&found);
    assert!(told.contains(&(Detector::LatencyShift, None)), "{told:?}");
    assert!(told.iter().all(|(detector, _)| *detector != Detector::SizeShift), "{told:?}");
}

#[test]
fn what_was_learned_survives() {
    let mut random = Random::new(13);
    let mut before = engine();
    live(&mut before, &mut random, 0..2 * DAY + 7200, 1.0, |_| USUAL);
    let saved = before.save_api(1);
    let mut after = engine();
    // The host booted: its clock begins anew, ten minutes of the week later.
    assert!(after.load_api(1, &saved, 600 * SECOND, 0));
    let slow = |second| if second > 3600 { Life { latency: 90.0, ..USUAL } } else { USUAL };
    let found = live(&mut after, &mut random, 600..7200, 1.0, slow);
    assert!(opened(&found).contains(&(Detector::LatencyShift, Some("/a"))), "{:?}", opened(&found));
    let older = [&(crate::detect::LEARNED - 1).to_le_bytes(), &saved[4..]].concat();
    for bad in [&saved[..saved.len() - 1], &saved[1..], b"weir", &[0xff; 64], &older] {
        let mut anew = engine();
        assert!(!anew.load_api(1, bad, 0, 0), "{} bytes", bad.len());
        // What sources do comes last, and is what the missing byte is of.
        let known = anew.state_counts().iter().map(|count| count.states).sum::<u64>();
        assert_eq!(known > 0, bad.len() + 1 == saved.len() && bad[0] == saved[0]);
    }
    let mut writer = Writer::default();
    writer.text("x");
    assert_eq!(Reader(&writer.0).text(), Some("x"));
}

#[test]
fn what_is_open_goes_on() {
    let mut random = Random::new(14);
    let mut before = engine();
    let slow =
        |second| if second > 2 * DAY + 7200 { Life { latency: 90.0, ..USUAL } } else { USUAL };
    live(&mut before, &mut random, 0..2 * DAY + 9000, 1.0, slow);
    let open: Vec<_> = before.open().map(|finding| finding.id.clone()).collect();
    assert!(!open.is_empty());
    let saved = before.save_api(1);
    let budget = before.save_budget();
    let mut after = engine();
    assert!(after.load_budget(&budget, 0) && !after.load_budget(&budget[..budget.len() - 1], 0));
    assert!(after.load_api(1, &saved, 0, i128::from((2 * DAY + 9000) * SECOND)));
    let told = after.tick(SECOND, 0, 1.0);
    assert_eq!(told.len(), open.len());
    assert!(told.iter().all(|f| f.state == State::Update && open.contains(&f.id)), "{told:?}");
    assert!(told.iter().all(|f| !f.measure.unit.is_empty() && f.measure.why.contains("orders")));
    // A detector that keeps nothing: its finding does not go on.
    let mut before = engine();
    for second in 0..40 {
        let guess = crate::detect::simulation::login(second * SECOND, [10, 0, 0, 9].into(), 401);
        before.observe(&guess);
    }
    assert_eq!(before.tick(41 * SECOND, 0, 1.0).len(), 1);
    let mut after = engine();
    assert!(after.load_api(1, &before.save_api(1), 0, 0));
    assert_eq!(after.tick(SECOND, 0, 1.0), []);
    assert_eq!(after.open().count(), 0);
}

#[test]
fn bounded() {
    let mut config = Config::default();
    config.behaviour.routes = 3;
    let mut engine = Engine::new(config, 1);
    engine.set_apis([orders()]);
    for number in 0..10 {
        let route = format!("/{number}");
        engine.observe(&Observation { route: &route, ..Observation::example() });
    }
    let count = engine.state_counts().into_iter().find(|count| count.evicted > 0).unwrap();
    assert_eq!((count.detector, count.evicted), (Detector::RateShift, 7));
}

#[test]
fn time_that_jumps_is_no_shift() {
    let mut engine = engine();
    let mut random = Random::new(8);
    live(&mut engine, &mut random, 0..2 * DAY + 7200, 1.0, |_| USUAL);
    // Back, for a capture whose time does; the engine's own time never does.
    let back = live(&mut engine, &mut random, DAY..DAY + 3600, 1.0, |_| USUAL);
    assert!(opened(&back).iter().all(|(_, route)| route.is_none()), "{:?}", opened(&back));
    // A week ahead: nobody looked meanwhile.
    let ahead = live(&mut engine, &mut random, 10 * DAY..10 * DAY + 3600, 1.0, |_| USUAL);
    assert_eq!(opened(&ahead), []);
    // The wall clock steps by hours: another hour of the week, no arithmetic that fails.
    for epoch in [i128::MIN / 4, -1, 7 * 3600 * i128::from(SECOND), i128::MAX / 4] {
        let now = (10 * DAY + 7200) * SECOND;
        engine.tick(now, epoch, 1.0);
    }
}

/// An outage of half a day: it fails, slowly, with large answers, from one source.
const OUTAGE: Life = Life { rate: 0.2, errors: 0.9, latency: 2000.0, bytes: 50_000.0 };

/// What is kept of what the API itself does; detectors of sources go on.
fn of_behaviour(engine: &Engine) -> Vec<u8> {
    let saved = engine.save_api(1);
    let mut from = Reader(&saved);
    from.u32().expect("a version");
    while let (Some(number), Some(length)) = (from.u8(), from.u32()) {
        let (part, rest) = from.0.split_at(length as usize);
        if number == 2 {
            return part.to_vec();
        }
        from.0 = rest;
    }
    panic!("nothing of it is kept");
}

#[test]
fn an_outage_in_a_maintenance_is_neither_told_nor_learned() {
    let (from, until) = (7 * DAY + 100, 7 * DAY + 43_250);
    let mut random = Random::new(31);
    let mut learned = engine();
    live(&mut learned, &mut random, 0..from, 1.0, |_| USUAL);
    let (saved, budget) = (learned.save_api(1), learned.save_budget());
    let again = || {
        let mut engine = engine();
        assert!(engine.load_budget(&budget, from * SECOND));
        assert!(engine.load_api(1, &saved, from * SECOND, 0));
        engine
    };

    let mut engine = again();
    let found = live(&mut engine, &mut Random::new(32), from..until, 1.0, |_| OUTAGE);
    let told = opened(&found);
    assert!(told.iter().any(|(detector, _)| *detector == Detector::ErrorShift), "{told:?}");

    let mut engine = again();
    let found = live(&mut engine, &mut Random::new(33), from..from + 700, 1.0, |_| USUAL);
    assert_eq!(opened(&found), []);
    engine.set_maintained([1], (from + 700) * SECOND);
    engine.tick((from + 700) * SECOND, 0, 1.0);
    let before = of_behaviour(&engine);
    let found = live(&mut engine, &mut Random::new(34), from + 700..until, 1.0, |_| OUTAGE);
    assert_eq!(found, [], "in a maintenance");
    assert!(of_behaviour(&engine) == before, "nothing was learned");
    engine.set_maintained([], until * SECOND);
    // The step that the maintenance ended in.
    let found = live(&mut engine, &mut Random::new(35), until..until + 600, 1.0, |_| USUAL);
    assert_eq!(opened(&found), [], "afterwards");
    let found = live(&mut engine, &mut Random::new(36), until + 600..until + 7200, 1.0, |_| USUAL);
    assert_eq!(opened(&found), [], "all is as it was");
    let found =
        live(&mut engine, &mut Random::new(37), until + 7200..until + 10_800, 1.0, |_| OUTAGE);
    let told = opened(&found);
    assert!(told.iter().any(|(detector, _)| *detector == Detector::ErrorShift), "{told:?}");
}

#[test]
fn what_is_open_stays_open_in_a_maintenance_and_an_attack_is_found() {
    let mut engine = engine();
    let mut random = Random::new(41);
    let begun = 2 * DAY + 7200;
    live(&mut engine, &mut random, 0..begun, 1.0, |_| USUAL);
    let found = live(&mut engine, &mut random, begun..begun + 1800, 1.0, |_| OUTAGE);
    let open: Vec<_> = engine.open().map(|finding| finding.id.clone()).collect();
    assert!(!open.is_empty(), "{found:?}");
    engine.set_maintained([1, 99], (begun + 1800) * SECOND);
    let later = begun + 9000;
    let found = live(&mut engine, &mut random, begun + 1800..later, 1.0, |_| USUAL);
    assert_eq!(found, [], "neither updated nor closed");
    for second in 0..40 {
        let time = (later + second) * SECOND;
        engine.observe(&crate::detect::simulation::login(time, [10, 0, 0, 9].into(), 401));
    }
    let found = engine.tick((later + 41) * SECOND, 0, 1.0);
    assert_eq!(opened(&found), [(Detector::BruteForce, None)], "attackers do not pause");
    assert!(open.iter().all(|id| engine.open().any(|finding| finding.id == *id)));
    engine.set_maintained([], (later + 60) * SECOND);
    let found = live(&mut engine, &mut random, later + 60..later + 14_400, 1.0, |_| USUAL);
    let closed = |id| found.iter().any(|f| f.id == id && f.state == State::Closed);
    assert!(open.into_iter().all(closed), "{found:?}");
}
