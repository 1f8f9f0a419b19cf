//! Dispersion: the requests of an API come from many more, or far fewer, sources than such a number
//! of requests usually does.
//!
//! **Formula.** Within each five minutes: `n` requests of `d` different sources
//! ([`Distinct`](super::who::distinct), sixteen of them, 3 %), and the entropy `H` of requests over
//! sources, estimated by 256 seeded buckets (with Miller's and Madow's correction). [`Level`] of
//! `ln(d / n)`, with a standard deviation of at least 0.15, and of `H / ln(min(d, 256))`, of at least
//! 0.05; the larger evidence counts. A finding needs `min_requests` and `min_sources` and a factor of `ratio`
//! in `d / n`; it closes after a quarter of an hour without, or after three hours, when it is usual.
//!
//! **Assumptions.** A crowd brings people who each ask as often as others do, which leaves `d / n` as
//! it is; a botnet whose members ask once or twice raises it, a flood of few sources lowers it (A.
//! Lakhina, M. Crovella, C. Diot, "Mining anomalies using traffic feature distributions", 2005, for
//! entropy). What it does not see: attacks that imitate both. Before an hour of traffic was seen
//! nothing is judged. **Sampling** by flow leaves `d / n` alone only as long as its share stays.
//! **Forgery**: requests without a handshake are left out.
//!
//! **Memory.** 1.6 KiB an API.

use std::collections::HashMap;

use super::SECOND;
use super::api::ApiProfile;
use super::detector::{Detect, Tick};
use super::engine::StateCount;
use super::finding::{Detector, Measure};
use super::hasher::Mixing;
use super::level::{Course, Level, LevelConfig};
use super::lifecycle::Subject;
use super::observation::Observation;
use super::source::Source;
use super::who::distinct::Distinct;

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DispersionConfig {
    /// Requests and sources within five minutes without which nothing is judged.
    pub min_requests: u32,
    /// See there.
    pub min_sources: f64,
    /// Factor by which sources per request must change.
    pub ratio: f64,
    /// See [`super::level`]; values come every five minutes.
    pub shift: LevelConfig,
}

impl Default for DispersionConfig {
    fn default() -> Self {
        Self {
            min_requests: 500,
            min_sources: 30.0,
            ratio: 2.0,
            shift: LevelConfig { lookback: 288, warm_up: 12, least: 0.15, calm: 3, adopt: 36 },
        }
    }
}

/// Length of an interval, ns.
const INTERVAL: u64 = 300 * SECOND;
const BUCKETS: usize = 256;

#[derive(Debug)]
struct State {
    began: u64,
    requests: u32,
    weight: f64,
    sources: [Distinct; 16],
    buckets: Box<[u32; BUCKETS]>,
    ratio: Level,
    entropy: Level,
}

impl State {
    fn new(began: u64, config: &DispersionConfig) -> Self {
        Self {
            began,
            requests: 0,
            weight: 0.0,
            sources: Default::default(),
            buckets: Box::new([0; BUCKETS]),
            ratio: Level::new(&config.shift),
            entropy: Level::new(&config.shift),
        }
    }

    fn distinct(&self) -> f64 {
        self.sources.iter().map(Distinct::count).sum()
    }

    /// Entropy of requests over sources, nats.
    fn nats(&self) -> f64 {
        let all = f64::from(self.requests.max(1));
        let taken = self.buckets.iter().filter(|count| **count > 0);
        let plain: f64 = taken
            .clone()
            .map(|&count| -f64::from(count) / all * (f64::from(count) / all).ln())
            .sum();
        plain + (taken.count().saturating_sub(1)) as f64 / (2.0 * all)
    }

    fn begin(&mut self, now: u64) {
        (self.began, self.requests, self.weight) = (now, 0, 0.0);
        self.sources = Default::default();
        self.buckets.fill(0);
    }
}

/// The detector.
#[derive(Debug)]
pub(crate) struct Dispersion {
    config: DispersionConfig,
    seed: u64,
    states: HashMap<u32, State, Mixing>,
}

impl Dispersion {
    pub(crate) fn new(config: DispersionConfig, seed: u64) -> Self {
        Self { config, seed, states: HashMap::default() }
    }
}

impl Detect for Dispersion {
    fn observe(&mut self, api: &ApiProfile, observation: &Observation<'_>) {
        if !observation.handshake {
            return;
        }
        let config = &self.config;
        let state =
            self.states.entry(api.id).or_insert_with(|| State::new(observation.time, config));
        let hash = Source::of(observation.source, api.sources).hash(self.seed);
        state.requests = state.requests.saturating_add(1);
        state.weight += observation.stands_for();
        state.sources[(hash & 15) as usize].add(hash.rotate_left(8));
        state.buckets[(hash >> 8 & 255) as usize] += 1;
    }

    fn tick(&mut self, tick: &mut Tick<'_>) {
        let config = &self.config;
        for (&id, state) in &mut self.states {
            if tick.now < state.began.saturating_add(INTERVAL) {
                continue;
            }
            let Some(api) = tick.apis.get(&id) else { continue };
            // What was counted blindly, or in a maintenance, says nothing.
            if !tick.judges() || tick.maintained_until(id) > state.began {
                state.begin(tick.now);
                continue;
            }
            let (requests, sources) = (f64::from(state.requests), state.distinct());
            let enough = state.requests >= config.min_requests && sources >= config.min_sources;
            let subject = Subject::api(Detector::Dispersion, id);
            let weight = (state.weight / requests.max(1.0)).max(1.0);
            let now = tick.now;
            if enough {
                let value = (sources / requests).ln();
                let spread = state.nats() / sources.min(BUCKETS as f64).ln();
                let shift = &config.shift;
                let ratio = state.ratio.judge(value, shift);
                let narrow = LevelConfig { least: shift.least / 3.0, ..*shift };
                let entropy = state.entropy.judge(spread, &narrow);
                let evidence = ratio.evidence.max(entropy.evidence);
                let factor = (value - ratio.level).abs().exp();
                let measure = || {
                    let usual = ratio.level.exp();
                    let why = format!(
                        "{requests:.0} requests to {} came from {sources:.0} sources within five \
                         minutes; so many usually come from {:.0}",
                        api.name,
                        usual * requests,
                    );
                    let limit = if ratio.up { config.ratio } else { 1.0 / config.ratio };
                    Measure {
                        unit: "sources per request",
                        observed: sources / requests,
                        baseline: usual,
                        threshold: usual * limit,
                        window_seconds: INTERVAL / SECOND,
                        weight,
                        why,
                        owasp: Some("API4:2023 Unrestricted Resource Consumption"),
                        evidence_forgeable: false,
                    }
                };
                let strange = factor >= config.ratio;
                if state.ratio.is_open() {
                    match state.ratio.course(strange, shift) {
                        Course::Goes => {
                            tick.findings.update(&subject, measure, false, tick.completeness, now);
                        }
                        Course::Calm | Course::Adopted => {
                            state.entropy.course(false, &LevelConfig { calm: 1, ..*shift });
                            let why =
                                format!("sources per request are usual again at {}", api.name);
                            tick.findings.close(&subject, why, now);
                        }
                    }
                } else if strange
                    && evidence > 0.0
                    && tick.budget.exceeds(Detector::Dispersion, evidence)
                    && tick.findings.open(&subject, api, measure(), tick.completeness, now)
                {
                    state.ratio.open();
                    state.entropy.open();
                }
            } else if state.ratio.is_open()
                && state.ratio.course(false, &config.shift) != Course::Goes
            {
                state.entropy.course(false, &LevelConfig { calm: 1, ..config.shift });
                let why = format!("{} has too few requests to say more", api.name);
                tick.findings.close(&subject, why, now);
            }
            state.begin(now);
        }
    }

    fn retain(&mut self, keep: &dyn Fn(u32) -> bool) {
        self.states.retain(|api, _| keep(*api));
    }

    fn state_counts(&self) -> Vec<StateCount> {
        let states = self.states.len() as u64;
        vec![StateCount { detector: Detector::Dispersion, states, evicted: 0 }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::simulation::{Random, client, orders};
    use crate::detect::{Finding, State as Is};
    use crate::detect::{budget::Budget, lifecycle::Lifecycle};

    /// Hours of people who ask ten times each; in the last half hour something else.
    fn play(seed: u64, extra: impl Fn(&mut Random, &mut Vec<u32>)) -> Vec<Finding> {
        let mut detector = Dispersion::new(DispersionConfig::default(), 7);
        let (mut findings, mut budget) = (Lifecycle::new(1, 10, SECOND), Budget::default());
        let apis = HashMap::from_iter([(1, orders())]);
        let mut random = Random::new(seed);
        let mut found = Vec::new();
        for interval in 0..60_u64 {
            let mut sources = Vec::new();
            // Day and night.
            let people = 150.0 + 100.0 * (interval as f64 / 10.0).sin();
            for _ in 0..random.poisson(people) {
                let person = (random.share() * 1e5) as u32;
                sources.extend((0..=random.poisson(9.0)).map(|_| person));
            }
            if interval >= 54 {
                extra(&mut random, &mut sources);
            }
            for source in sources {
                let time = interval * INTERVAL;
                let source = client(source);
                let seen = Observation { time, source, ..Observation::example() };
                detector.observe(&apis[&1], &seen);
            }
            detector.tick(&mut Tick {
                now: (interval + 1) * INTERVAL,
                epoch: 0,
                completeness: 1.0,
                floor: 0.5,
                maintained: &HashMap::new(),
                apis: &apis,
                findings: &mut findings,
                budget: &mut budget,
            });
            found.extend(findings.take(|_, _| std::sync::Arc::default()));
        }
        found
    }

    #[test]
    fn rows() {
        for seed in 0..10 {
            assert_eq!(play(seed, |_, _| {}), [], "nothing, seed {seed}");
            let crowd = play(seed, |random, sources| {
                for _ in 0..2000 {
                    let person = 200_000 + (random.share() * 1e6) as u32;
                    sources.extend((0..=random.poisson(9.0)).map(|_| person));
                }
            });
            assert_eq!(crowd, [], "a crowd, seed {seed}");
            let botnet = play(seed, |random, sources| {
                sources.extend((0..6000).map(|_| 1_000_000 + (random.share() * 1e6) as u32));
            });
            assert_eq!(botnet.first().map(|f| f.state), Some(Is::Open), "a botnet, seed {seed}");
            assert!(botnet[0].measure.observed > 2.0 * botnet[0].measure.baseline);
            let flood = play(seed, |_, sources| sources.extend([5; 20_000]));
            assert_eq!(flood.first().map(|f| f.state), Some(Is::Open), "a flood, seed {seed}");
        }
    }
}
