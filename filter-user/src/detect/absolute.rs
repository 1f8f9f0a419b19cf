//! Absolute limits that the operator sets beside the alert budget: what an API may do at most, or at
//! least, whatever is usual for it.
//!
//! **Formula.** Every `window` seconds give, of the API as a whole: the share of answers that are 500
//! or more; the 99th percentile of latency; requests a second (weighted, divided by the telemetry's
//! completeness). The percentile is above its limit when more than one answer in a hundred took
//! longer than that, which is counted exactly; its value is read off a histogram (5 %). Where only one
//! flow in `w` is sampled, `k` were seen and `m` would have been seen at the limit, a count must be
//! off by three standard deviations of the sampling too, and so must a share `s` of `k`:
//!
//! ```text
//! |k - m| > 3 sqrt(m (1 - 1/w)),   |s - limit| > 3 sqrt(limit (1 - limit) (1 - 1/w) / k)
//! ```
//!
//! which is 0 when everything is seen. A finding opens when two of the last three windows, this one among
//! them, are beyond the limit, is updated while they are, and closes after `calm` windows in a row that
//! are not. Shares and percentiles of fewer than `least` answers say nothing, which counts as not beyond.
//!
//! **Assumptions.** None about what is usual, and so no warm-up: the baseline told is the mean of the
//! last hour or so of windows within the limit. Requests of one connection are sampled together, so that with few
//! long connections the deviation of sampling is larger than said here. Connections whose requests
//! cannot be read count by their turns, for rate and latency. An API of which nothing is sampled looks
//! silent: a least rate needs the sensor.
//!
//! Windows in which the API was being maintained, or of which less than the floor was seen, are left
//! out. A finding ends with a restart, and opens again two windows later if it still is so.
//!
//! **Memory.** 1.2 KiB an API that has limits.

use std::collections::HashMap;
use std::time::Duration;

use super::SECOND;
use super::api::ApiProfile;
use super::detector::{Detect, Tick};
use super::engine::StateCount;
use super::finding::{Detector, Measure};
use super::hasher::Mixing;
use super::lifecycle::Subject;
use super::observation::{Observation, TurnSeen};
use crate::policy::AlertLimits;

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AbsoluteConfig {
    /// Seconds of a window, at least 1.
    pub window: u64,
    /// Answers seen within a window without which there is no share and no percentile.
    pub least: u32,
    /// Windows in a row not beyond a limit after which its finding closes.
    pub calm: u32,
}

impl Default for AbsoluteConfig {
    fn default() -> Self {
        Self { window: 60, least: 50, calm: 3 }
    }
}

/// The share of answers that may be slower than the 99th percentile.
const SLOWER: f64 = 0.01;
/// Buckets of latency, each `STEP` times the one before, from 0.1 ms to 100 s.
const BUCKETS: usize = 284;
const STEP: f64 = 1.05;
const FIRST: f64 = 1e5;

/// What is limited, and how a limit is called in subjects of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Errors,
    Latency,
    Least,
    Most,
}

const PARTS: [Part; 4] = [Part::Errors, Part::Latency, Part::Least, Part::Most];

/// What was counted in a window.
#[derive(Clone, Debug)]
struct Tally {
    seen: u32,
    verified: u32,
    weighted: f64,
    answered: u32,
    errors: u32,
    timed: u32,
    slow: u32,
    latencies: Box<[u32; BUCKETS]>,
}

impl Tally {
    fn new() -> Self {
        let latencies = Box::new([0; BUCKETS]);
        Self {
            seen: 0,
            verified: 0,
            weighted: 0.0,
            answered: 0,
            errors: 0,
            timed: 0,
            slow: 0,
            latencies,
        }
    }

    fn clear(&mut self) {
        self.latencies.fill(0);
        (self.seen, self.verified, self.weighted) = (0, 0, 0.0);
        (self.answered, self.errors, self.timed, self.slow) = (0, 0, 0, 0);
    }

    /// The 99th percentile, ms.
    fn percentile(&self) -> f64 {
        let above = (f64::from(self.timed) * SLOWER) as u32;
        let mut left = above;
        for (place, &count) in self.latencies.iter().enumerate().rev() {
            if count > left {
                // The middle of the bucket.
                return FIRST * STEP.powf(place as f64 + 0.5) / 1e6;
            }
            left -= count;
        }
        0.0
    }
}

/// Where a part stands.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// Which of the last three windows were beyond, the newest in bit 0.
    recent: u8,
    is_open: bool,
    calm: u32,
    /// What is usual within the limit.
    usual: Option<f64>,
}

/// A window against a limit.
#[derive(Clone, Copy, Debug)]
struct Judged {
    observed: f64,
    limit: f64,
    beyond: bool,
}

#[derive(Debug)]
struct State {
    began: u64,
    /// Requests may come before the tick that ends the window.
    now: Tally,
    completeness: f64,
    weight: f64,
    parts: [Course; 4],
}

impl State {
    fn new(began: u64) -> Self {
        Self {
            began,
            now: Tally::new(),
            completeness: 1.0,
            weight: 1.0,
            parts: [Course::default(); 4],
        }
    }

    /// The window that ended, against what is limited of this part; `None` when it says nothing.
    fn judge(&self, part: Part, limits: &AlertLimits, seconds: f64, least: u32) -> Option<Judged> {
        let tally = &self.now;
        let unseen = 1.0 - 1.0 / self.weight;
        let share = |count: u32, of: u32, limit: f64| {
            let deviation = (limit * (1.0 - limit) * unseen / f64::from(of.max(1))).sqrt();
            f64::from(count) / f64::from(of.max(1)) > limit + 3.0 * deviation
        };
        // Seen in a window at this rate.
        let seen_at = |rate: f64| rate * seconds * self.completeness / self.weight;
        let margin = |rate: f64| 3.0 * (seen_at(rate) * unseen).sqrt();
        let seen = tally.weighted / self.weight;
        let rate = tally.weighted / self.completeness / seconds;
        match part {
            Part::Errors => {
                let limit = limits.error_ratio?;
                (tally.answered >= least).then(|| Judged {
                    observed: f64::from(tally.errors) / f64::from(tally.answered),
                    limit,
                    beyond: share(tally.errors, tally.answered, limit),
                })
            }
            Part::Latency => {
                let limit = limits.latency_p99?.as_secs_f64() * 1e3;
                let found = tally.percentile();
                let beyond = share(tally.slow, tally.timed, SLOWER);
                // The count is exact, the histogram is not: they are not to contradict each other.
                let observed = if beyond { found.max(limit) } else { found.min(limit) };
                (tally.timed >= least).then_some(Judged { observed, limit, beyond })
            }
            Part::Least => {
                let limit = limits.least?;
                let beyond = seen < seen_at(limit) - margin(limit);
                Some(Judged { observed: rate, limit, beyond })
            }
            Part::Most => {
                let limit = limits.most?;
                let beyond = seen > seen_at(limit) + margin(limit);
                Some(Judged { observed: rate, limit, beyond })
            }
        }
    }
}

/// The detector.
#[derive(Debug)]
pub(crate) struct Absolute {
    config: AbsoluteConfig,
    states: HashMap<u32, State, Mixing>,
}

/// What a request or a turn adds.
struct Sample {
    weight: f64,
    handshake: bool,
    status: Option<u16>,
    latency: Option<u64>,
}

impl Absolute {
    pub(crate) fn new(config: AbsoluteConfig) -> Self {
        Self { config, states: HashMap::default() }
    }

    fn add(&mut self, api: &ApiProfile, sample: &Sample) {
        let Some(limits) = &api.alert else { return };
        // One begins with the next tick.
        let Some(state) = self.states.get_mut(&api.id) else { return };
        let tally = &mut state.now;
        tally.seen = tally.seen.saturating_add(1);
        tally.verified = tally.verified.saturating_add(u32::from(sample.handshake));
        tally.weighted += sample.weight;
        if let Some(status) = sample.status {
            tally.answered = tally.answered.saturating_add(1);
            tally.errors = tally.errors.saturating_add(u32::from(status >= 500));
        }
        if let (Some(latency), Some(limit)) = (sample.latency, limits.latency_p99) {
            tally.timed = tally.timed.saturating_add(1);
            let is_slow = Duration::from_nanos(latency) > limit;
            tally.slow = tally.slow.saturating_add(u32::from(is_slow));
            let place = ((latency as f64 / FIRST).max(1.0).ln() / STEP.ln()) as usize;
            let count = &mut tally.latencies[place.min(BUCKETS - 1)];
            *count = count.saturating_add(1);
        }
    }
}

impl Detect for Absolute {
    fn observe(&mut self, api: &ApiProfile, observation: &Observation<'_>) {
        let (status, latency) = (observation.status, observation.latency);
        let (weight, handshake) = (observation.stands_for(), observation.handshake);
        self.add(api, &Sample { weight, handshake, status, latency });
    }

    fn turn(&mut self, api: &ApiProfile, turn: &TurnSeen) {
        if turn.complete {
            let (weight, handshake) = (turn.stands_for(), turn.handshake);
            self.add(api, &Sample { weight, handshake, status: None, latency: turn.latency });
        }
    }

    fn tick(&mut self, tick: &mut Tick<'_>) {
        let (config, now) = (self.config, tick.now);
        let length = config.window.max(1) * SECOND;
        for (&id, api) in tick.apis {
            if api.alert.is_some() {
                self.states.entry(id).or_insert_with(|| State::new(now));
            }
        }
        for (&id, state) in &mut self.states {
            state.completeness = state.completeness.min(tick.completeness);
            if now < state.began.saturating_add(length) {
                continue;
            }
            let Some(api) = tick.apis.get(&id) else { continue };
            let limits = api.alert.unwrap_or_default();
            let maintained = tick.maintained.get(&id).copied().unwrap_or(0) > state.began;
            // Where nobody looked for long, what was counted is no window's.
            let late = now >= state.began.saturating_add(2 * length);
            let blind = state.completeness < tick.floor || maintained || late;
            let seconds = now.saturating_sub(state.began) as f64 / SECOND as f64;
            if state.now.seen > 0 {
                state.weight = (state.now.weighted / f64::from(state.now.seen)).max(1.0);
            }
            let forgeable = state.now.verified.saturating_mul(2) <= state.now.seen;
            for (place, part) in PARTS.into_iter().enumerate() {
                let subject =
                    Subject { part: place as u8, ..Subject::api(Detector::AbsoluteLimit, id) };
                if !is_set(part, &limits) {
                    if state.parts[place].is_open {
                        let why = format!("the policy limits this no longer at {}", api.name);
                        tick.findings.close(&subject, why, now);
                    }
                    state.parts[place] = Course::default();
                    continue;
                }
                if blind {
                    continue;
                }
                let judged = state.judge(part, &limits, seconds, config.least);
                let beyond = judged.is_some_and(|judged| judged.beyond);
                let course = &mut state.parts[place];
                course.recent = (course.recent << 1 | u8::from(beyond)) & 7;
                course.calm = if beyond { 0 } else { course.calm.saturating_add(1) };
                let usual = course.usual;
                let measure = |judged: &Judged| Measure {
                    unit: unit(part),
                    observed: judged.observed,
                    baseline: usual.unwrap_or(judged.limit),
                    threshold: judged.limit,
                    window_seconds: config.window,
                    weight: state.weight,
                    why: why(part, judged, api, config.window),
                    owasp: (part == Part::Most)
                        .then_some("API4:2023 Unrestricted Resource Consumption"),
                    evidence_forgeable: forgeable,
                };
                let seen = state.completeness;
                match judged {
                    Some(judged) if beyond && course.is_open => {
                        tick.findings.update(&subject, || measure(&judged), forgeable, seen, now);
                    }
                    Some(judged) if beyond && course.recent.count_ones() >= 2 => {
                        course.is_open =
                            tick.findings.open(&subject, api, measure(&judged), seen, now);
                    }
                    _ if course.is_open && course.calm >= config.calm => {
                        *course = Course { usual, ..Course::default() };
                        tick.findings.close(&subject, over(part, judged, api), now);
                    }
                    _ => {}
                }
                if let Some(judged) = judged.filter(|judged| !judged.beyond) {
                    let held = course.usual.get_or_insert(judged.observed);
                    *held += (judged.observed - *held) / 60.0;
                }
            }
            state.now.clear();
            (state.began, state.completeness) = (now, 1.0);
        }
        // The findings of one without limits were closed above.
        self.states.retain(|id, _| tick.apis.get(id).is_some_and(|api| api.alert.is_some()));
    }

    fn retain(&mut self, keep: &dyn Fn(u32) -> bool) {
        self.states.retain(|api, _| keep(*api));
    }

    fn state_counts(&self) -> Vec<StateCount> {
        let states = self.states.len() as u64;
        vec![StateCount { detector: Detector::AbsoluteLimit, states, evicted: 0 }]
    }
}

fn is_set(part: Part, limits: &AlertLimits) -> bool {
    match part {
        Part::Errors => limits.error_ratio.is_some(),
        Part::Latency => limits.latency_p99.is_some(),
        Part::Least => limits.least.is_some(),
        Part::Most => limits.most.is_some(),
    }
}

fn unit(part: Part) -> &'static str {
    match part {
        Part::Errors => "share of requests that fail",
        Part::Latency => "milliseconds",
        Part::Least | Part::Most => "requests a second",
    }
}

fn why(part: Part, judged: &Judged, api: &ApiProfile, window: u64) -> String {
    let Judged { observed, limit, .. } = judged;
    let name = &api.name;
    match part {
        Part::Errors => format!(
            "{:.1} % of the requests to {name} failed within {window} seconds; the policy wants {:.1} % at most",
            100.0 * observed,
            100.0 * limit,
        ),
        Part::Latency => format!(
            "one answer of {name} in a hundred took more than {observed:.1} ms within {window} seconds; \
             the policy wants {limit:.1} ms at most"
        ),
        Part::Least => format!(
            "{observed:.2} requests a second to {name} within {window} seconds; the policy wants {limit} at least"
        ),
        Part::Most => format!(
            "{observed:.1} requests a second to {name} within {window} seconds; the policy wants {limit} at most"
        ),
    }
}

fn over(part: Part, judged: Option<Judged>, api: &ApiProfile) -> String {
    let name = &api.name;
    let Some(Judged { observed, .. }) = judged else {
        return format!("{name} has too few requests to say more");
    };
    match part {
        Part::Errors => {
            format!("{:.1} % of the requests to {name} fail: within the limit", 100.0 * observed)
        }
        Part::Latency => {
            format!("99 of 100 answers of {name} take {observed:.1} ms at most: within the limit")
        }
        Part::Least | Part::Most => {
            format!("requests to {name} are at {observed:.1} a second: within the limit")
        }
    }
}

#[cfg(test)]
mod tests {
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

    const USUAL: Life =
        Life { rate: 10.0, errors: 0.01, slow: 0.002, weight: 1.0, completeness: 1.0 };

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
}
