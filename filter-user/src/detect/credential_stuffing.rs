//! Credential stuffing: many sources try a few logins each, and more of them fail than usual.
//!
//! **Formula.** Within each minute every source that tries to log in is one trial: it *fails* when
//! all of its attempts did and there were at most `few` of them (who tries more is brute_force's).
//! With `F` failing of `N` sources, and `p` the share of sources that usually fail, a CUSUM (Page,
//! "Continuous inspection schemes", 1954) adds up
//!
//! ```text
//! score += F ln(p1 / p0) + (N - F) ln((1 - p1) / (1 - p0)),  not below 0 and not above 60 nats
//! p0 = 1.5 p + 0.02    p1 = max(3 p0, p0 + 0.15), at most half way from p0 to 1
//! ```
//!
//! The score is the evidence. So that nobody waits for the end of a minute, it is also looked at every
//! second what the minute adds so far, of sources whose last attempt was five seconds ago.
//! A finding needs `min_sources` different failing sources since the score
//! left 0; it closes when the score is back at 0, or after `quiet` minutes in which it did not grow.
//!
//! **Assumptions.** People fail independently with a share that a day's rhythm changes by less than
//! half. More people who log in (a crowd, Monday morning) change `N`, not the share. When less than
//! half of the usual number of sources succeed the server is in trouble, not under attack: that
//! minute is left out, and is error_shift's. The share is not learned while the score is above half
//! of what opens a finding. What it does not see: an attack that is less than about a tenth of all
//! logins; one source per thousands of attempts; one that goes through a proxy that the policy does
//! not name; passwords inside TLS.
//!
//! **Memory.** At most 1,024 sources for each API and minute are told apart; when there are more,
//! half of them, by a seeded hash, are left out again and again (Wegman's adaptive sampling; Flajolet,
//! 1990), which leaves shares as they are. **Sampling** by flow does the same. **Forgery**: attempts
//! without a handshake in both directions do not count.

use std::collections::HashMap;

use super::SECOND;
use super::api::{ApiProfile, Attempt};
use super::detector::{Detect, Tick};
use super::engine::StateCount;
use super::finding::{Detector, Measure};
use super::hasher::Mixing;
use super::lifecycle::Subject;
use super::observation::Observation;
use super::source::Source;
use super::who::distinct::Distinct;

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CredentialStuffingConfig {
    /// Attempts of a source within a minute up to which it tries few.
    pub few: u8,
    /// Failing sources without which there is no finding.
    pub min_sources: f64,
    /// Share of sources that fail before it is learned, and how many sources that guess counts for.
    pub usual: (f64, f64),
    /// Minutes in which the score does not grow after which a finding closes.
    pub quiet: u32,
    /// Sources of an API that are told apart within a minute.
    pub sources: usize,
}

impl Default for CredentialStuffingConfig {
    fn default() -> Self {
        Self { few: 5, min_sources: 20.0, usual: (0.1, 50.0), quiet: 10, sources: 1024 }
    }
}

/// The highest score, nats.
const MOST: f64 = 60.0;
/// Length of an interval, ns.
const INTERVAL: u64 = 60 * SECOND;
/// Sources after which what was learned halves.
const MEMORY: f64 = 50_000.0;

/// What a source did within the minute.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    failed: u8,
    succeeded: bool,
    /// When the last one was, seconds into the minute.
    at: u8,
}

impl Tries {
    fn fails(&self, config: &CredentialStuffingConfig) -> bool {
        !self.succeeded && (1..=config.few).contains(&self.failed)
    }
}

/// Sources of a minute.
#[derive(Clone, Copy, Debug)]
struct Counts {
    all: f64,
    failing: f64,
    succeeding: f64,
}

#[derive(Debug)]
struct Login {
    began: u64,
    tries: HashMap<u64, Tries, Mixing>,
    /// Of how many halvings of the sources the rest is left.
    level: u32,
    weight: f64,
    attempts: u32,
    /// Failures of the minute, and when these were looked at last.
    failures: u32,
    looked: u64,
    /// Learned: failing sources, all sources, and succeeding ones a minute.
    failing: f64,
    all: f64,
    succeeding: f64,
    score: f64,
    /// Failing sources since the score left 0.
    blamed: Distinct,
    /// Minutes without growth.
    calm: u32,
    open: bool,
    /// The last minute: failing, all.
    last: (f64, f64),
}

impl Login {
    fn new(began: u64) -> Self {
        Self {
            began,
            tries: HashMap::default(),
            level: 0,
            weight: 0.0,
            attempts: 0,
            failures: 0,
            looked: began,
            failing: 0.0,
            all: 0.0,
            succeeding: 0.0,
            score: 0.0,
            blamed: Distinct::default(),
            calm: 0,
            open: false,
            last: (0.0, 0.0),
        }
    }

    fn usual(&self, config: &CredentialStuffingConfig) -> f64 {
        let (share, weight) = config.usual;
        (self.failing + share * weight) / (self.all + weight)
    }

    fn add(
        &mut self,
        time: u64,
        source: u64,
        failed: bool,
        weight: f64,
        config: &CredentialStuffingConfig,
    ) {
        self.attempts += 1;
        self.failures += u32::from(failed);
        self.weight += weight;
        let kept = |source: u64, level: u32| source.trailing_zeros() >= level;
        if !kept(source, self.level) {
            return;
        }
        let tries = self.tries.entry(source).or_default();
        tries.failed = tries.failed.saturating_add(u8::from(failed));
        tries.succeeded |= !failed;
        tries.at = u8::try_from(time.saturating_sub(self.began) / SECOND).unwrap_or(u8::MAX);
        while self.tries.len() > config.sources {
            self.level += 1;
            let level = self.level;
            self.tries.retain(|source, _| kept(*source, level));
        }
    }

    /// The sources of the minute whose last attempt was before a second of it.
    fn counts(&self, before: u8, config: &CredentialStuffingConfig) -> Counts {
        let scale = f64::from(1_u32 << self.level.min(31));
        let mut counts = Counts { all: 0.0, failing: 0.0, succeeding: 0.0 };
        for one in self.tries.values().filter(|one| one.at < before) {
            // Who tries more belongs to neither.
            counts.all += f64::from(u8::from(one.succeeded || one.failed <= config.few));
            counts.failing += f64::from(u8::from(one.fails(config)));
            counts.succeeding += f64::from(u8::from(one.succeeded)) * scale;
        }
        counts
    }

    /// The score with these.
    fn scored(&self, counts: &Counts, config: &CredentialStuffingConfig) -> f64 {
        let p0 = (1.5 * self.usual(config) + 0.02).min(0.9);
        let p1 = (3.0 * p0).max(p0 + 0.15).min(f64::midpoint(p0, 1.0));
        let step = counts.failing * (p1 / p0).ln()
            + (counts.all - counts.failing) * ((1.0 - p1) / (1.0 - p0)).ln();
        (self.score + step).clamp(0.0, MOST)
    }

    /// Whether so many successes in a part of a minute are too few for a server that works.
    fn in_trouble(&self, succeeding: f64, part: f64) -> bool {
        self.succeeding >= 10.0 && succeeding < self.succeeding / 2.0 * part
    }

    /// What the minute adds so far, looked at once a second: the score with it, and the failing
    /// sources; `None` when there is nothing to see.
    fn so_far(&mut self, now: u64, config: &CredentialStuffingConfig) -> Option<f64> {
        let enough = f64::from(self.failures) >= config.min_sources;
        if !enough || now < self.looked.saturating_add(SECOND) {
            return None;
        }
        self.looked = now;
        let passed = now.saturating_sub(self.began);
        let until = (passed / SECOND).saturating_sub(5);
        let until = u8::try_from(until).ok().filter(|until| *until > 0)?;
        let counts = self.counts(until, config);
        let scale = f64::from(1_u32 << self.level.min(31));
        let part = f64::from(until) * SECOND as f64 / INTERVAL as f64;
        if counts.failing * scale < config.min_sources || self.in_trouble(counts.succeeding, part) {
            return None;
        }
        self.last = (counts.failing * scale, counts.all * scale);
        Some(self.scored(&counts, config))
    }

    /// Ends a minute.
    fn advance(&mut self, now: u64, threshold: f64, config: &CredentialStuffingConfig) {
        let counts = self.counts(u8::MAX, config);
        let before = self.score;
        let trouble = self.in_trouble(counts.succeeding, 1.0);
        if !trouble {
            self.score = self.scored(&counts, config);
        }
        let tries = std::mem::take(&mut self.tries);
        let Counts { all, failing, succeeding } = counts;
        let scale = f64::from(1_u32 << self.level.min(31));
        if self.score == 0.0 {
            self.blamed = Distinct::default();
        } else {
            tries.iter().filter(|(_, one)| one.fails(config)).for_each(|(source, _)| {
                self.blamed.add(source.rotate_left(32));
            });
        }
        if self.score < threshold / 2.0 && !trouble {
            self.failing += failing;
            self.all += all;
            self.succeeding += (succeeding - self.succeeding) / 30.0;
            if self.all > MEMORY {
                self.failing /= 2.0;
                self.all /= 2.0;
            }
        }
        let grew = self.score > before || self.score >= MOST;
        self.calm = if grew { 0 } else { self.calm + 1 };
        self.last = (failing * scale, all * scale);
        self.level = 0;
        self.failures = 0;
        let passed = now.saturating_sub(self.began) / INTERVAL;
        self.began += passed.max(1) * INTERVAL;
    }

    fn measure(&mut self, api: &ApiProfile, config: &CredentialStuffingConfig) -> Measure {
        let usual = self.usual(config);
        let (failing, all) = self.last;
        let share = failing / all.max(1.0);
        let why = format!(
            "{failing:.0} of {all:.0} sources that tried to log in at {} within the last minute \
             failed with few attempts each ({:.0} %; {:.0} % is usual)",
            api.name,
            share * 100.0,
            usual * 100.0,
        );
        let measure = Measure {
            unit: "share of sources that fail to log in",
            observed: share,
            baseline: usual,
            threshold: (1.5 * usual + 0.02).min(1.0),
            window_seconds: INTERVAL / SECOND,
            weight: (self.weight / f64::from(self.attempts.max(1))).max(1.0),
            why,
            owasp: Some("API2:2023 Broken Authentication"),
            evidence_forgeable: false,
        };
        (self.weight, self.attempts) = (0.0, 0);
        measure
    }
}

/// The detector.
#[derive(Debug)]
pub(crate) struct CredentialStuffing {
    config: CredentialStuffingConfig,
    seed: u64,
    logins: HashMap<u32, Login, Mixing>,
}

impl CredentialStuffing {
    pub(crate) fn new(config: CredentialStuffingConfig, seed: u64) -> Self {
        Self { config, seed, logins: HashMap::default() }
    }
}

impl Detect for CredentialStuffing {
    fn observe(&mut self, api: &ApiProfile, observation: &Observation<'_>) {
        // Without named routes every request is an attempt, and most sources succeed.
        let Some(attempt) = api.attempt(observation) else { return };
        if !observation.handshake {
            return;
        }
        let login = self.logins.entry(api.id).or_insert_with(|| Login::new(observation.time));
        let source = Source::of(observation.source, api.sources);
        let source = source.hash(self.seed);
        let failed = attempt == Attempt::Failed;
        let weight = observation.stands_for();
        login.add(observation.time, source, failed, weight, &self.config);
    }

    fn tick(&mut self, tick: &mut Tick<'_>) {
        let threshold = tick.budget.threshold(Detector::CredentialStuffing);
        for (&id, login) in &mut self.logins {
            let Some(api) = tick.apis.get(&id) else { continue };
            if tick.now < login.began.saturating_add(INTERVAL) {
                if !login.open
                    && tick.judges()
                    && let Some(evidence) = login.so_far(tick.now, &self.config)
                    && tick.budget.exceeds(Detector::CredentialStuffing, evidence)
                {
                    let measure = login.measure(api, &self.config);
                    let subject = Subject::api(Detector::CredentialStuffing, id);
                    let completeness = tick.completeness;
                    login.open = tick.findings.open(&subject, api, measure, completeness, tick.now);
                    // The minute has not been added yet.
                    (login.calm, login.score) = (0, evidence / 2.0);
                }
                continue;
            }
            login.advance(tick.now, threshold, &self.config);
            if !tick.judges() {
                continue;
            }
            let subject = Subject::api(Detector::CredentialStuffing, id);
            let (now, completeness) = (tick.now, tick.completeness);
            if login.open {
                if login.score == 0.0 || login.calm >= self.config.quiet {
                    let why = format!("no more sources than usual fail to log in at {}", api.name);
                    tick.findings.close(&subject, why, now);
                    login.open = false;
                    login.score = 0.0;
                } else {
                    let config = &self.config;
                    let measure = || login.measure(api, config);
                    tick.findings.update(&subject, measure, false, completeness, now);
                }
            } else if login.score > 0.0
                && login.blamed.count() >= self.config.min_sources
                && tick.budget.exceeds(Detector::CredentialStuffing, login.score)
            {
                let measure = login.measure(api, &self.config);
                login.open = tick.findings.open(&subject, api, measure, completeness, now);
                login.calm = 0;
            }
        }
    }

    fn retain(&mut self, keep: &dyn Fn(u32) -> bool) {
        self.logins.retain(|api, _| keep(*api));
    }

    fn state_counts(&self) -> Vec<StateCount> {
        let states = self.logins.values().map(|login| login.tries.len() as u64).sum();
        vec![StateCount { detector: Detector::CredentialStuffing, states, evicted: 0 }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::simulation::{Random, client, login, orders};
    use crate::detect::{Config, Engine, Finding, State};

    /// Plays hours of logins: `people(minute)` of them a minute, of whom a share fails; most of these
    /// try again. `attack(minute)` sources try one login each, one in fifty of which succeeds.
    fn play(
        seed: u64,
        minutes: u64,
        people: impl Fn(u64) -> f64,
        share: impl Fn(u64) -> f64,
        attack: impl Fn(u64) -> f64,
    ) -> Vec<Finding> {
        let mut engine = Engine::new(Config::default(), 1);
        engine.set_apis([orders()]);
        let mut random = Random::new(seed);
        let mut found = Vec::new();
        for minute in 0..minutes {
            let at = |random: &mut Random| minute * INTERVAL + (random.share() * 59e9) as u64;
            for _ in 0..random.poisson(people(minute)) {
                let source = client((random.share() * 3000.0) as u32);
                let time = at(&mut random);
                if random.share() < share(minute) {
                    engine.observe(&login(time, source, 401));
                    if random.share() < 0.3 || share(minute) >= 1.0 {
                        continue;
                    }
                }
                engine.observe(&login(time + SECOND / 2, source, 200));
            }
            for _ in 0..random.poisson(attack(minute)) {
                let source = client(100_000 + (random.share() * 1e6) as u32);
                let status = if random.share() < 0.02 { 200 } else { 401 };
                let time = at(&mut random);
                engine.observe(&login(time, source, status));
            }
            found.extend(engine.tick((minute + 1) * INTERVAL, 0, 1.0));
        }
        found.retain(|finding| finding.detector == Detector::CredentialStuffing);
        found
    }

    #[test]
    fn rows() {
        let day = |minute: u64| 20.0 + 60.0 * (minute as f64 / 229.0).sin().max(0.0);
        type Of = fn(u64) -> f64;
        let none: Of = |_| 0.0;
        let rows: [(&str, u64, Of, Of, bool); 6] = [
            (
                "a day, twice as many typos at noon",
                1440,
                |m| if (600..800).contains(&m) { 0.14 } else { 0.07 },
                none,
                false,
            ),
            (
                "everything fails: the server",
                600,
                |m| if m > 400 { 1.0 } else { 0.07 },
                none,
                false,
            ),
            (
                "40 sources a minute",
                600,
                |_| 0.07,
                |m| if (400..460).contains(&m) { 40.0 } else { 0.0 },
                true,
            ),
            (
                "10 sources a minute, at night",
                600,
                |_| 0.07,
                |m| if (20..140).contains(&m) { 10.0 } else { 0.0 },
                true,
            ),
            (
                "400 sources a minute",
                600,
                |_| 0.07,
                |m| if (400..420).contains(&m) { 400.0 } else { 0.0 },
                true,
            ),
            (
                "2,000 sources a minute",
                420,
                |_| 0.07,
                |m| if (400..410).contains(&m) { 2000.0 } else { 0.0 },
                true,
            ),
        ];
        for (what, minutes, share, attack, expected) in rows {
            for seed in 0..2 {
                let found = play(seed, minutes, day, share, attack);
                let opened = found.iter().filter(|f| f.state == State::Open).count();
                assert_eq!(opened, usize::from(expected), "{what}, seed {seed}: {found:#?}");
                if expected && seed == 0 {
                    println!("{what}: {} s: {}", found[0].opened / SECOND, found[0].measure.why);
                    let closed = found.last().unwrap().state == State::Closed;
                    assert!(closed || minutes < 500, "{what}");
                }
            }
        }
    }

    #[test]
    fn a_crowd_raises_nothing() {
        for seed in 0..2 {
            let crowd = |minute: u64| if minute > 300 { 800.0 } else { 30.0 };
            let found = play(seed, 400, crowd, |_| 0.08, |_| 0.0);
            assert_eq!(found, [], "seed {seed}");
        }
    }
}
