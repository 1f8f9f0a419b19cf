//! What is remembered of one source at one API.

use super::BruteForceConfig;
use super::sprt::{Evidence, Outcome};
use crate::detect::SECOND;
use crate::detect::observation::Observation;
use crate::detect::window::{Counts, SLOTS, Window};

/// Evidence and counts of one source.
#[derive(Debug)]
pub(super) struct SourceState {
    /// Over all attempts.
    all: Evidence,
    /// Over attempts with a handshake in both directions.
    verified: Evidence,
    window: Window,
    /// Until when evidence has decayed.
    last: u64,
    last_failure: u64,
    /// It has a finding.
    pub(super) open: bool,
}

impl SourceState {
    pub(super) fn new(time: u64) -> Self {
        Self {
            all: Evidence::default(),
            verified: Evidence::default(),
            window: Window::default(),
            last: time,
            last_failure: time,
            open: false,
        }
    }

    /// Takes an attempt into account; says what the test over all attempts decides.
    pub(super) fn add(
        &mut self,
        failed: bool,
        observation: &Observation<'_>,
        config: &BruteForceConfig,
    ) -> Outcome {
        self.pass(observation.time, config);
        // A weight is a count below 2^16: exact.
        let weight = observation.stands_for() as f32;
        let counts = Counts {
            attempts: weight,
            failures: if failed { weight } else { 0.0 },
            verified: if failed && observation.handshake { weight } else { 0.0 },
            seen: 1,
        };
        self.window.add(observation.time, slot(config), &counts);
        if failed {
            self.last_failure = self.last_failure.max(observation.time);
        }
        if observation.handshake {
            self.verified.add(failed, &config.hypotheses, config.max_attempts);
        }
        self.all.add(failed, &config.hypotheses, config.max_attempts)
    }

    /// Lets evidence decay until a time.
    pub(super) fn pass(&mut self, now: u64, config: &BruteForceConfig) {
        let passed = now.saturating_sub(self.last);
        self.all.decay(passed, config.window * SECOND);
        self.verified.decay(passed, config.window * SECOND);
        self.last = self.last.max(now);
    }

    pub(super) fn counts(&mut self, config: &BruteForceConfig, now: u64) -> Counts {
        self.window.sum(now, slot(config))
    }

    /// Whether there is enough for a finding.
    pub(super) fn is_attack(&mut self, config: &BruteForceConfig, now: u64) -> bool {
        let failures = f64::from(self.counts(config, now).failures);
        self.all.is_attack(&config.hypotheses) && failures >= config.min_failures
    }

    /// Whether it takes attempts without a handshake to see an attack here.
    pub(super) fn forgeable(&mut self, config: &BruteForceConfig, now: u64) -> bool {
        let failures = f64::from(self.counts(config, now).verified);
        !self.verified.is_attack(&config.hypotheses) || failures < config.min_failures
    }

    /// Whether its test has decided for an attack, however few failures that took.
    pub(super) fn is_suspect(&self, config: &BruteForceConfig) -> bool {
        self.all.is_attack(&config.hypotheses)
    }

    pub(super) fn score(&self) -> f64 {
        self.all.score()
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn last_failure(&self) -> u64 {
        self.last_failure
    }
}

fn slot(config: &BruteForceConfig) -> u64 {
    (config.window * SECOND / SLOTS as u64).max(1)
}
