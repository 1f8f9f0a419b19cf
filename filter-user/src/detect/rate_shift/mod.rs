//! A shift of an API's request rate against what is usual for it.
//!
//! **Formula.** Requests are counted (weighted, divided by the telemetry's completeness) in intervals
//! of `interval` seconds. Each is compared with the
//! [`Baseline`](super::baseline::Baseline) of the API:
//!
//! ```text
//! z = (count - level) / max(spread, sqrt(level * mean weight), mean weight)
//! ```
//!
//! It is outlying when `|z| >= z` and the effect is worth speaking of: by `min_change` requests a
//! second or more, and by the factor `ratio` above the highest, or below the lowest, twelfth of what
//! the baseline remembers, so that bursts which keep coming back are no shift. A rise rests on
//! `min_seen` requests that were seen: of sampled flows one may stand for a thousand. Two outlying intervals in the same
//! direction among the last three open a finding; `calm` intervals in a row that are not outlying
//! close it. While it is open the baseline learns nothing, so that an attack does not become usual;
//! after `adopt` seconds the new level is taken for usual and the finding closes.
//!
//! Intervals in which the API is being maintained, or of which too little was seen, are left out; after
//! a maintenance longer than the baseline looks back it begins anew, unless there is a finding.
//!
//! **Assumptions.** Within the ten minutes the baseline looks back, the rate has one level. Counts
//! vary at least as Poisson's do (the second term), and more by their sampling weight: with flows
//! sampled at 1/w, a count has w times the variance. What it does not see: a shift slower than the
//! window, and what hour it is; a job that runs once an hour is a shift each time.
//!
//! **Memory.** One state an API, at most `apis`; further APIs are counted as refused.

mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::SECOND;
use super::api::ApiProfile;
use super::baseline::RobustWindow;
use super::detector::{Detect, Tick};
use super::engine::StateCount;
use super::finding::{Detector, Measure};
use super::hasher::Mixing;
use super::lifecycle::Subject;
use super::observation::Observation;
use state::{Blind, Judged, RateState, Step};

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateShiftConfig {
    /// Seconds over which requests are counted, at least 1.
    pub interval: u64,
    /// Intervals the baseline looks back.
    pub lookback: usize,
    /// Intervals before anything is judged.
    pub warm_up: usize,
    /// Standard deviations from which on an interval is outlying.
    pub z: f64,
    /// Factor, more than 1, by which the rate must rise or fall.
    pub ratio: f64,
    /// Requests a second by which it must rise or fall.
    pub min_change: f64,
    /// Requests seen in an interval without which it is no rise.
    pub min_seen: u32,
    /// Intervals in a row that are not outlying, after which a finding closes.
    pub calm: u32,
    /// Seconds after which a new level is the usual one.
    pub adopt: u64,
    /// Most APIs with a state.
    pub apis: usize,
}

impl Default for RateShiftConfig {
    fn default() -> Self {
        Self {
            interval: 10,
            lookback: 60,
            warm_up: 30,
            z: 6.0,
            ratio: 2.0,
            min_change: 5.0,
            min_seen: 20,
            calm: 12,
            adopt: 3600,
            apis: 1024,
        }
    }
}

/// The detector.
#[derive(Debug)]
pub(crate) struct RateShift {
    config: RateShiftConfig,
    states: HashMap<u32, RateState<RobustWindow>, Mixing>,
    refused: u64,
}

impl RateShift {
    pub(crate) fn new(config: RateShiftConfig) -> Self {
        Self { config, states: HashMap::default(), refused: 0 }
    }
}

impl Detect for RateShift {
    fn observe(&mut self, api: &ApiProfile, observation: &Observation<'_>) {
        let room = self.states.len() < self.config.apis;
        let config = &self.config;
        let state = match self.states.get_mut(&api.id) {
            Some(state) => state,
            None if room => self.states.entry(api.id).or_insert_with(|| {
                let baseline = RobustWindow::new(config.lookback, config.warm_up);
                RateState::new(observation.time, config, baseline)
            }),
            None => {
                self.refused += 1;
                return;
            }
        };
        state.count(observation, config);
    }

    /// Judges the intervals that ended.
    fn tick(&mut self, tick: &mut Tick<'_>) {
        let (now, completeness, floor) = (tick.now, tick.completeness, tick.floor);
        let maintained = tick.maintained;
        let findings = &mut *tick.findings;
        let config = &self.config;
        for (&id, state) in &mut self.states {
            let Some(api) = tick.apis.get(&id) else { continue };
            let maintained_until = maintained.get(&id).copied().unwrap_or(0);
            let subject = Subject::api(Detector::RateShift, id);
            state.note_completeness(completeness);
            let blind = Blind { floor, maintained_until };
            while let Some((judged, step)) = state.advance(now, config, &blind) {
                let measure = || measure(&judged, api, config);
                match step {
                    Step::Open => {
                        if !findings.open(&subject, api, measure(), judged.completeness, now) {
                            state.give_up();
                        }
                    }
                    Step::Goes => {
                        let forgeable = judged.forgeable;
                        findings.update(&subject, measure, forgeable, judged.completeness, now);
                    }
                    Step::Calm => {
                        let why = format!(
                            "requests to {} are at {:.1} a second again, for {} seconds",
                            api.name,
                            judged.rate(config),
                            u64::from(config.calm) * config.interval,
                        );
                        findings.close(&subject, why, now);
                    }
                    Step::Adopted => {
                        let why = format!(
                            "{:.1} requests a second to {} are usual now, after {} minutes",
                            judged.rate(config),
                            api.name,
                            config.adopt / 60,
                        );
                        findings.close(&subject, why, now);
                    }
                    Step::Usual => {}
                }
            }
        }
    }

    fn retain(&mut self, keep: &dyn Fn(u32) -> bool) {
        self.states.retain(|api, _| keep(*api));
    }

    fn state_counts(&self) -> Vec<StateCount> {
        vec![StateCount {
            detector: Detector::RateShift,
            states: self.states.len() as u64,
            evicted: self.refused,
        }]
    }
}

fn measure(judged: &Judged, api: &ApiProfile, config: &RateShiftConfig) -> Measure {
    let seconds = config.interval.max(1) as f64;
    let (observed, baseline) = (judged.rate(config), judged.level / seconds);
    let threshold = judged.threshold(config) / seconds;
    let up = judged.count > judged.level;
    let why = format!(
        "{observed:.1} requests a second to {} within {} seconds; {baseline:.1} were usual over the \
         last {} minutes, and {} {threshold:.1} counts as a shift",
        api.name,
        config.interval,
        (config.interval * config.lookback as u64).div_ceil(60),
        if up { "more than" } else { "less than" },
    );
    Measure {
        unit: "requests a second",
        observed,
        baseline,
        threshold,
        window_seconds: config.interval,
        weight: judged.weight,
        why,
        owasp: up.then_some("API4:2023 Unrestricted Resource Consumption"),
        evidence_forgeable: judged.forgeable,
    }
}

/// The length of an interval, ns.
fn interval(config: &RateShiftConfig) -> u64 {
    config.interval.max(1) * SECOND
}
