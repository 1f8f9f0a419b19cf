//! Guessing of credentials: a burst of failed logins of one source at one API.
//!
//! **Formula.** [`sprt`] over the attempts of each (API, source). A finding opens when the test
//! decides for an attack and at least `min_failures` attempts (weighted) failed within `window`. It
//! closes when the source has not failed for `quiet`, or when its successes have taken back all
//! evidence.
//!
//! **Assumptions.** Attempts of a benign source fail independently with a share of at most `p0`.
//! With the defaults it takes 15 failures in a row; a source whose attempts fail one time in five
//! raises an alarm in fewer than one test in 10^8 (Wald's bound `exp(-h (A - s))`, where `h` = 1.51
//! solves `E[exp(h step)] = 1` at that share, `A` = 13.8 and `s` = 1.0, the failure a state begins
//! with). What it does not see: less than about 10 failures in ten minutes, for evidence decays; an
//! attacker whose attempts succeed 44 % of the time; guesses spread over many sources. An API
//! without `login` in the policy counts every request: one whose clients are first answered 401, as
//! HTTP authentication of connections does (RFC 4559), needs its login routes named.
//!
//! **Sampling.** Each attempt seen is one trial, whatever it stands for: a weight is no evidence. The
//! counts shown, and `min_failures`, are weighted.
//!
//! **Forgery.** A second test runs over the attempts whose connection had a handshake in both
//! directions; only when it decides too can the evidence not be forged.
//!
//! **Memory.** At most `sources` states. A state is made by a failure and dropped when the test
//! decides for benign. When there is no room, the sixteenth with the least evidence goes, open
//! findings last; each is counted.

pub mod sprt;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use super::SECOND;
use super::api::{ApiProfile, Attempt};
use super::detector::{Detect, Tick};
use super::engine::StateCount;
use super::finding::{Detector, Measure};
use super::lifecycle::Subject;
use super::observation::Observation;
use super::source::Source;
use sprt::Hypotheses;
use state::SourceState;

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BruteForceConfig {
    /// What is tested.
    pub hypotheses: Hypotheses,
    /// Failures (weighted) within `window` without which there is no finding.
    pub min_failures: f64,
    /// Over how long failures are counted, and the half-life of evidence, seconds, at least 10.
    pub window: u64,
    /// Attempts after which an undecided test begins anew.
    pub max_attempts: u32,
    /// Seconds without a failure after which a finding closes.
    pub quiet: u64,
    /// Most sources with a state.
    pub sources: usize,
}

impl Default for BruteForceConfig {
    fn default() -> Self {
        Self {
            hypotheses: Hypotheses::default(),
            min_failures: 10.0,
            window: 600,
            max_attempts: 1000,
            quiet: 300,
            sources: 65_536,
        }
    }
}

type Key = (u32, Source);

/// The detector.
#[derive(Debug)]
pub(crate) struct BruteForce {
    config: BruteForceConfig,
    states: HashMap<Key, SourceState>,
    /// Those whose test has decided for an attack, or who have a finding.
    suspects: BTreeSet<Key>,
    evicted: u64,
}

impl BruteForce {
    pub(crate) fn new(config: BruteForceConfig) -> Self {
        Self { config, states: HashMap::new(), suspects: BTreeSet::new(), evicted: 0 }
    }

    fn evict(&mut self) {
        let mut order: Vec<(bool, f64, u64, Key)> = self
            .states
            .iter()
            .map(|(key, state)| (state.open, state.score(), state.last(), *key))
            .collect();
        let count = (order.len() / 16).max(1).min(order.len());
        let least = |a: &(bool, f64, u64, Key), b: &(bool, f64, u64, Key)| {
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
        };
        if count < order.len() {
            order.select_nth_unstable_by(count, least);
        }
        for (.., key) in &order[..count] {
            self.states.remove(key);
            self.evicted += 1;
        }
    }
}

impl Detect for BruteForce {
    fn observe(&mut self, api: &ApiProfile, observation: &Observation<'_>) {
        let Some(attempt) = api.attempt(observation) else { return };
        let key = (api.id, Source::of(observation.source, api.sources));
        let failed = attempt == Attempt::Failed;
        if !self.states.contains_key(&key) {
            if !failed {
                return;
            }
            if self.states.len() >= self.config.sources {
                self.evict();
            }
        }
        let state = self.states.entry(key).or_insert_with(|| SourceState::new(observation.time));
        let outcome = state.add(failed, observation, &self.config);
        match outcome {
            sprt::Outcome::Attack => drop(self.suspects.insert(key)),
            sprt::Outcome::Benign if !state.open => {
                self.suspects.remove(&key);
                self.states.remove(&key);
            }
            sprt::Outcome::Benign | sprt::Outcome::Undecided => {}
        }
    }

    /// Decides about the suspects.
    fn tick(&mut self, tick: &mut Tick<'_>) {
        if !tick.judges() {
            return;
        }
        let (now, completeness) = (tick.now, tick.completeness);
        let findings = &mut *tick.findings;
        let keys: Vec<Key> = self.suspects.iter().copied().collect();
        for key in keys {
            let (Some(state), Some(api)) = (self.states.get_mut(&key), tick.apis.get(&key.0))
            else {
                self.suspects.remove(&key);
                continue;
            };
            let subject = Subject::source(Detector::BruteForce, key.0, key.1);
            let config = &self.config;
            state.pass(now, config);
            let keep = if state.open {
                match over(state, key.1, api, config, now) {
                    Some(why) => {
                        findings.close(&subject, why, now);
                        self.states.remove(&key);
                        false
                    }
                    None => {
                        let forgeable = state.forgeable(config, now);
                        let measure = || measure(state, key.1, api, config, now);
                        findings.update(&subject, measure, forgeable, completeness, now);
                        true
                    }
                }
            } else if !state.is_attack(config, now) {
                state.is_suspect(config)
            } else {
                let measure = measure(state, key.1, api, config, now);
                state.open = findings.open(&subject, api, measure, completeness, now);
                true
            };
            if !keep {
                self.suspects.remove(&key);
            }
        }
    }

    fn retain(&mut self, keep: &dyn Fn(u32) -> bool) {
        self.states.retain(|key, _| keep(key.0));
        self.suspects.retain(|key| keep(key.0));
    }

    fn state_counts(&self) -> Vec<StateCount> {
        vec![StateCount {
            detector: Detector::BruteForce,
            states: self.states.len() as u64,
            evicted: self.evicted,
        }]
    }
}

/// Why a finding is over, if it is.
fn over(
    state: &SourceState,
    source: Source,
    api: &ApiProfile,
    config: &BruteForceConfig,
    now: u64,
) -> Option<String> {
    let quiet = now.saturating_sub(state.last_failure()) / SECOND;
    if quiet >= config.quiet {
        Some(format!("no failed attempt of {source} at {} for {quiet} seconds", api.name))
    } else if state.score() <= 0.0 {
        Some(format!("{source} logs in at {} again", api.name))
    } else {
        None
    }
}

fn measure(
    state: &mut SourceState,
    source: Source,
    api: &ApiProfile,
    config: &BruteForceConfig,
    now: u64,
) -> Measure {
    let counts = state.counts(config, now);
    let share = counts.failure_share();
    let what = if api.login.is_some() { "attempts to log in" } else { "requests" };
    let why = format!(
        "{:.0} of {:.0} {what} of {source} at {} failed within {} minutes ({:.0} %; up to {:.0} % \
         is usual)",
        counts.failures,
        counts.attempts,
        api.name,
        config.window.div_ceil(60),
        share * 100.0,
        config.hypotheses.p0 * 100.0,
    );
    Measure {
        unit: "share of attempts that fail",
        observed: share,
        baseline: config.hypotheses.p0,
        threshold: config.hypotheses.neutral(),
        window_seconds: config.window,
        weight: counts.mean_weight(),
        why,
        owasp: Some("API2:2023 Broken Authentication"),
        evidence_forgeable: state.forgeable(config, now),
    }
}
