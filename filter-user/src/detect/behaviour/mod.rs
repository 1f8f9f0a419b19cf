//! What an API does, and shifts of it: its request rate, the share of errors, latency and the size of
//! responses, for the API and for each of its routes.
//!
//! **Formula.** Every five minutes make one value of each: requests a second (weighted, divided by
//! the telemetry's completeness); the share of requests answered 500 or more; the geometric means of
//! latency and of response bodies, which a few stragglers do not move; of an API as a whole with each
//! request against its own route ([`reference`]). Each is judged by a
//! [`Series`]: against the hour of the week, with thresholds out of the alert budget. Large shifts of
//! an API's rate are found within seconds by [`super::rate_shift`]; both hold one finding.
//!
//! Connections whose requests cannot be read count by their turns: from the client's data to the
//! server's (latency), and the bytes of it (size).
//!
//! **Assumptions.** Those of [`super::series`]. A step with fewer than `statuses` known answers or
//! `samples` latencies or sizes says nothing of these. Nothing is judged or learned of a step of which
//! less than the floor was seen, or in which the API was being maintained.
//!
//! **Memory.** About a kilobyte for each measure that a route has: at most 4.3 KiB for an endpoint
//! (routes without an error keep none of errors). At most `routes` for an API and `endpoints` in all;
//! further ones are counted as refused, and count for their API. Values are judged in the ticks that
//! follow the end of a step, `a_tick` endpoints each.

mod endpoint;
mod reference;
pub mod tail;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{HashMap, VecDeque};

use super::api::ApiProfile;
use super::codec::{Reader, Writer};
use super::detector::{Detect, Tick};
use super::engine::StateCount;
use super::finding::Detector;
use super::hasher::{Mixing, bytes, mix};
use super::observation::{Observation, TurnSeen};
use super::series::SeriesConfig;
use super::{SECOND, minute_of_week};
use endpoint::{EndpointState, Measured, Sample};

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BehaviourConfig {
    /// How values are judged.
    pub series: SeriesConfig,
    /// How tails are.
    pub tail: tail::TailConfig,
    /// Known answers within a step without which there is no share of errors.
    pub statuses: u32,
    /// Latencies, or sizes, within a step without which there is no mean.
    pub samples: u32,
    /// Most routes of an API.
    pub routes: usize,
    /// Most routes and APIs together.
    pub endpoints: usize,
    /// Endpoints judged in a tick.
    pub a_tick: usize,
}

impl Default for BehaviourConfig {
    fn default() -> Self {
        Self {
            series: SeriesConfig::default(),
            tail: tail::TailConfig::default(),
            statuses: 20,
            samples: 10,
            routes: 100,
            endpoints: 101_000,
            a_tick: 1000,
        }
    }
}

/// The detectors.
pub(super) const DETECTORS: [Detector; 4] =
    [Detector::RateShift, Detector::ErrorShift, Detector::LatencyShift, Detector::SizeShift];

/// The detectors of tails, see [`tail`].
pub(super) const TAILS: [Detector; 2] = [Detector::LatencyTail, Detector::SizeTail];

#[derive(Debug)]
struct ApiState {
    whole: EndpointState,
    /// By a hash of method and route.
    routes: HashMap<u64, EndpointState, Mixing>,
    /// It is being maintained: its tails, which learn with each request, are to learn nothing.
    maintained: bool,
}

/// The detector.
#[derive(Debug)]
pub(crate) struct Behaviour {
    config: BehaviourConfig,
    apis: HashMap<u32, ApiState, Mixing>,
    endpoints: usize,
    refused: u64,
    /// The step that is being counted.
    step: Option<u64>,
    /// Least completeness of this step and of the one before.
    completeness: [f64; 2],
    /// Which of the step before are still to be judged; `None` is the API itself.
    waiting: VecDeque<(u32, Option<u64>)>,
}

impl Behaviour {
    pub(crate) fn new(config: BehaviourConfig) -> Self {
        Self {
            config,
            apis: HashMap::default(),
            endpoints: 0,
            refused: 0,
            step: None,
            completeness: [1.0; 2],
            waiting: VecDeque::new(),
        }
    }

    fn length(&self) -> u64 {
        u64::from(self.config.series.step.max(1)) * SECOND
    }

    fn api(&mut self, api: u32, step: u64) -> Option<&mut ApiState> {
        if !self.apis.contains_key(&api) {
            if self.endpoints >= self.config.endpoints {
                self.refused += 1;
                return None;
            }
            self.endpoints += 1;
            let whole = EndpointState::new(None, step);
            self.apis
                .insert(api, ApiState { whole, routes: HashMap::default(), maintained: false });
        }
        self.apis.get_mut(&api)
    }

    fn add(&mut self, api: u32, endpoint: Option<(&str, &str)>, time: u64, sample: &Sample) {
        // What began in the step before counts now: it is judged already, or about to be.
        let step = (time / self.length()).max(self.step.unwrap_or(0));
        let (room, most) = (self.endpoints < self.config.endpoints, self.config.routes);
        let Some(state) = self.api(api, step) else { return };
        let learns = !state.maintained;
        let as_it_is = [Some(0.0); 2];
        let Some((method, route)) = endpoint.filter(|(_, route)| !route.is_empty()) else {
            return state.whole.add(step, sample, as_it_is, learns);
        };
        let key = hash(method, route);
        let room = room && state.routes.len() < most;
        let (mut refused, mut begun) = (0, 0);
        let moved = match state.routes.get_mut(&key) {
            Some(route_state) if route_state.is(method, route) => {
                route_state.add(step, sample, as_it_is, learns);
                let (of_api, of_route) = (state.whole.typical(), route_state.typical());
                [0, 1].map(|place| Some(of_api[place]? - of_route[place]?))
            }
            // Two names with one hash: the second counts for its API only.
            Some(_) => {
                refused = 1;
                as_it_is
            }
            None if room => {
                let mut new = EndpointState::new(Some((method, route)), step);
                new.add(step, sample, as_it_is, learns);
                state.routes.insert(key, new);
                begun = 1;
                [None; 2]
            }
            None => {
                refused = 1;
                as_it_is
            }
        };
        state.whole.add(step, sample, moved, learns);
        self.refused += refused;
        self.endpoints += begun;
    }

    /// Ends a step: all endpoints are to be judged.
    fn end_step(&mut self, step: u64) {
        self.step = Some(step);
        self.completeness = [1.0, self.completeness[0]];
        self.waiting.clear();
        for (&api, state) in &self.apis {
            self.waiting.push_back((api, None));
            self.waiting.extend(state.routes.keys().map(|&key| (api, Some(key))));
        }
    }

    fn judge(&mut self, tick: &mut Tick<'_>) {
        let Some(step) = self.step else { return };
        let length = self.length();
        let start = u64::saturating_mul(step.saturating_sub(1), length);
        let minute = minute_of_week(i128::from(start) + tick.epoch);
        let blind = self.completeness[1] < tick.floor;
        for _ in 0..self.config.a_tick.min(self.waiting.len()) {
            let Some((id, key)) = self.waiting.pop_front() else { break };
            let (Some(api), Some(state)) = (tick.apis.get(&id), self.apis.get_mut(&id)) else {
                continue;
            };
            let endpoint = match key {
                None => Some(&mut state.whole),
                Some(key) => state.routes.get_mut(&key),
            };
            let Some(endpoint) = endpoint else { continue };
            let Some(tally) = endpoint.close(step) else { continue };
            if blind || tick.maintained_until(id) > start {
                endpoint.skip();
            } else {
                let seen = self.completeness[1];
                endpoint.judge(&tally, minute, seen, api, &self.config, tick);
            }
        }
    }
}

impl Detect for Behaviour {
    fn observe(&mut self, api: &ApiProfile, observation: &Observation<'_>) {
        let sample = Sample {
            weight: observation.stands_for(),
            handshake: observation.handshake,
            status: observation.status,
            latency: observation.latency.map(Measured::latency),
            size: observation.response_bytes.map(Measured::size),
        };
        let endpoint = Some((observation.method, observation.route));
        self.add(api.id, endpoint, observation.time, &sample);
    }

    fn turn(&mut self, api: &ApiProfile, turn: &TurnSeen) {
        if !turn.complete {
            return;
        }
        let sample = Sample {
            weight: turn.stands_for(),
            handshake: turn.handshake,
            status: None,
            latency: turn.latency.map(Measured::latency),
            size: Some(Measured::size(turn.response_bytes)),
        };
        self.add(api.id, None, turn.time, &sample);
    }

    fn tick(&mut self, tick: &mut Tick<'_>) {
        self.completeness[0] = self.completeness[0].min(tick.completeness);
        for (&api, state) in &mut self.apis {
            state.maintained = tick.maintained_until(api) == u64::MAX;
        }
        let step = tick.now / self.length();
        match self.step {
            Some(held) if held >= step => {}
            _ => self.end_step(step),
        }
        self.judge(tick);
    }

    fn retain(&mut self, keep: &dyn Fn(u32) -> bool) {
        self.apis.retain(|api, _| keep(*api));
        self.endpoints = self.apis.values().map(|api| 1 + api.routes.len()).sum();
    }

    fn state_counts(&self) -> Vec<StateCount> {
        // One store for all of them: its room is counted with the first.
        let all = DETECTORS.into_iter().chain(TAILS);
        let mut counts: Vec<_> =
            all.map(|detector| StateCount { detector, states: 0, evicted: 0 }).collect();
        for api in self.apis.values() {
            for endpoint in std::iter::once(&api.whole).chain(api.routes.values()) {
                for (count, held) in counts.iter_mut().zip(endpoint.held()) {
                    count.states += u64::from(held);
                }
            }
        }
        counts[0].evicted = self.refused;
        counts
    }

    fn save(&self, api: u32, to: &mut Writer) {
        let Some(state) = self.apis.get(&api) else { return };
        for endpoint in std::iter::once(&state.whole).chain(state.routes.values()) {
            endpoint.write(to);
        }
    }

    fn load(&mut self, api: &ApiProfile, mut from: Reader<'_>, now: u64) -> Option<()> {
        let step = now / self.length();
        let mut endpoints = Vec::new();
        while !from.is_empty() {
            endpoints.push(EndpointState::read(&mut from, step)?);
        }
        for endpoint in endpoints {
            let name = endpoint.name().map(|(method, route)| hash(method, route));
            let state = self.api(api.id, step)?;
            match name {
                None => state.whole = endpoint,
                Some(key) => {
                    if state.routes.insert(key, endpoint).is_none() {
                        self.endpoints += 1;
                    }
                }
            }
        }
        Some(())
    }

    fn subjects(&self, each: &mut dyn FnMut(super::lifecycle::Subject)) {
        for (&api, state) in &self.apis {
            for endpoint in std::iter::once(&state.whole).chain(state.routes.values()) {
                endpoint.open_subjects(api, each);
            }
        }
    }
}

/// Whoever aims at another route's key is counted for the API only.
fn hash(method: &str, route: &str) -> u64 {
    mix(bytes(1, route.as_bytes()), bytes(2, method.as_bytes()))
}
