//! The detectors behind one door.

use std::collections::HashMap;

use super::SECOND;
use super::api::ApiProfile;
use super::brute_force::{BruteForce, BruteForceConfig};
use super::budget::Budget;
use super::detector::{Detect, Tick};
use super::finding::{Detector, Finding};
use super::lifecycle::Lifecycle;
use super::observation::{FlowSeen, Observation, Traffic};
use super::rate_shift::{RateShift, RateShiftConfig};

/// Parameters of all detectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// See [`super::brute_force`].
    pub brute_force: BruteForceConfig,
    /// See [`super::rate_shift`].
    pub rate_shift: RateShiftConfig,
    /// Share of the telemetry, 0 to 1, below which nothing is decided.
    pub min_completeness: f64,
    /// Seconds between two updates of a finding.
    pub update_every: u64,
    /// Most findings open at once; further ones are counted, and open when there is room.
    pub max_open: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            brute_force: BruteForceConfig::default(),
            rate_shift: RateShiftConfig::default(),
            min_completeness: 0.5,
            update_every: 60,
            max_open: 1000,
        }
    }
}

/// How much a detector remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateCount {
    /// Which one.
    pub detector: Detector,
    /// Subjects it has a state of: sources or APIs.
    pub states: u64,
    /// States evicted, or refused, because there was no room, ever.
    pub evicted: u64,
}

/// All detectors and their findings.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    apis: HashMap<u32, ApiProfile>,
    detectors: Vec<Box<dyn Detect>>,
    budget: Budget,
    findings: Lifecycle,
    now: u64,
}

impl Engine {
    /// Knows no API yet but the unclaimed one. `epoch` differs from run to run, so that ids of
    /// findings do: seconds since 1970 will do.
    pub fn new(config: Config, epoch: u64) -> Self {
        let unclaimed = ApiProfile::unclaimed();
        Self {
            config,
            apis: HashMap::from([(unclaimed.id, unclaimed)]),
            detectors: vec![
                Box::new(BruteForce::new(config.brute_force)),
                Box::new(RateShift::new(config.rate_shift)),
            ],
            budget: Budget::default(),
            findings: Lifecycle::new(epoch, config.max_open, config.update_every * SECOND),
            now: 0,
        }
    }

    /// The APIs of the policy now. Those that stay keep their state; findings about those that are
    /// gone are closed by the next tick.
    pub fn set_apis(&mut self, apis: impl IntoIterator<Item = ApiProfile>) {
        let unclaimed = ApiProfile::unclaimed();
        self.apis = apis.into_iter().map(|api| (api.id, api)).collect();
        self.apis.entry(unclaimed.id).or_insert(unclaimed);
        let keep = |id| self.apis.contains_key(&id);
        self.detectors.iter_mut().for_each(|detector| detector.retain(&keep));
        self.findings.retain(keep, self.now);
    }

    /// Takes a transaction into account. One of an API that the policy does not have is left out.
    pub fn observe(&mut self, observation: &Observation<'_>) {
        if let Some(api) = self.apis.get(&observation.api) {
            self.detectors.iter_mut().for_each(|detector| detector.observe(api, observation));
        }
    }

    /// Takes a connection that is over into account.
    pub fn flow(&mut self, flow: &FlowSeen) {
        if let Some(api) = self.apis.get(&flow.api) {
            self.detectors.iter_mut().for_each(|detector| detector.flow(api, flow));
        }
    }

    /// Takes the kernel's counters of an API into account, at a time.
    pub fn traffic(&mut self, traffic: &Traffic, now: u64) {
        if let Some(api) = self.apis.get(&traffic.api) {
            self.detectors.iter_mut().for_each(|detector| detector.traffic(api, traffic, now));
        }
    }

    /// Decides, about once a second: what opened, changed or closed. `now` is ns on the clock of the
    /// observations, `epoch` what to add to it for ns since 1970; `completeness` the share of the
    /// telemetry that was not lost lately, 0 to 1: below [`Config::min_completeness`] nothing opens
    /// and nothing closes.
    pub fn tick(&mut self, now: u64, epoch: i128, completeness: f64) -> Vec<Finding> {
        self.now = self.now.max(now);
        self.budget.advance(self.now);
        let mut tick = Tick {
            now: self.now,
            epoch,
            completeness,
            floor: self.config.min_completeness,
            apis: &self.apis,
            findings: &mut self.findings,
            budget: &mut self.budget,
        };
        self.detectors.iter_mut().for_each(|detector| detector.tick(&mut tick));
        self.findings.take()
    }

    /// Findings that are open.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter()
    }

    /// Findings that could not open because [`Config::max_open`] were, ever.
    pub fn refused(&self) -> u64 {
        self.findings.refused()
    }

    /// How much each detector remembers.
    pub fn state_counts(&self) -> Vec<StateCount> {
        self.detectors.iter().flat_map(|detector| detector.state_counts()).collect()
    }
}
