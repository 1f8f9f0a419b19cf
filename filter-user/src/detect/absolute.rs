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

#[cfg(test)]
mod tests;
mod text;

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
use text::{over, unit, why};

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
