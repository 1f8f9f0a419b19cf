//! The detectors behind one door.

use std::collections::{HashMap, HashSet};

use super::SECOND;
use super::absolute::{Absolute, AbsoluteConfig};
use super::api::ApiProfile;
use super::behaviour::{Behaviour, BehaviourConfig};
use super::brute_force::{BruteForce, BruteForceConfig};
use super::budget::{Alerts, Budget};
use super::codec::{Reader, Writer};
use super::credential_stuffing::{CredentialStuffing, CredentialStuffingConfig};
use super::detector::{Apis, Detect, Tick};
use super::dispersion::{Dispersion, DispersionConfig};
use super::examples::Examples;
use super::finding::{Detector, Finding, Severity};
use super::kept;
use super::lifecycle::Lifecycle;
use super::new_origin::{NewOrigin, NewOriginConfig};
use super::observation::{FlowSeen, Observation, RefusedSeen, Traffic, TurnSeen};
use super::port_scan::{PortScan, PortScanConfig};
use super::pressure::{Pressure, PressureConfig};
use super::rate_shift::{RateShift, RateShiftConfig};
use super::slow_attack::{SlowAttack, SlowAttackConfig};
use super::who::{Sources, WhoConfig};

/// Of what [`Engine::save_api`] and [`Engine::save_budget`] write; other versions are begun anew.
pub const VERSION: u32 = 3;
/// The part with the open findings; others are numbers of detectors.
const FINDINGS: u8 = u8::MAX;

/// Parameters of all detectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// See [`super::brute_force`].
    pub brute_force: BruteForceConfig,
    /// See [`super::rate_shift`].
    pub rate_shift: RateShiftConfig,
    /// See [`super::behaviour`].
    pub behaviour: BehaviourConfig,
    /// See [`super::credential_stuffing`].
    pub credential_stuffing: CredentialStuffingConfig,
    /// See [`super::port_scan`].
    pub port_scan: PortScanConfig,
    /// See [`super::slow_attack`].
    pub slow_attack: SlowAttackConfig,
    /// See [`super::pressure`].
    pub pressure: PressureConfig,
    /// See [`super::dispersion`].
    pub dispersion: DispersionConfig,
    /// See [`super::new_origin`].
    pub new_origin: NewOriginConfig,
    /// See [`super::who`].
    pub who: WhoConfig,
    /// See [`super::absolute`].
    pub absolute: AbsoluteConfig,
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
            behaviour: BehaviourConfig::default(),
            credential_stuffing: CredentialStuffingConfig::default(),
            port_scan: PortScanConfig::default(),
            slow_attack: SlowAttackConfig::default(),
            pressure: PressureConfig::default(),
            dispersion: DispersionConfig::default(),
            new_origin: NewOriginConfig::default(),
            who: WhoConfig::default(),
            absolute: AbsoluteConfig::default(),
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
    apis: Apis,
    detectors: Vec<Box<dyn Detect>>,
    budget: Budget,
    findings: Lifecycle,
    examples: Examples,
    /// See [`Tick::maintained`].
    maintained: HashMap<u32, u64>,
    now: u64,
    epoch: i128,
}

impl Engine {
    /// Knows no API yet but the unclaimed one. `epoch` differs from run to run, so that ids of
    /// findings do: seconds since 1970 will do.
    pub fn new(config: Config, epoch: u64) -> Self {
        let unclaimed = ApiProfile::unclaimed();
        Self {
            config,
            apis: Apis::from_iter([(unclaimed.id, unclaimed)]),
            detectors: vec![
                Box::new(BruteForce::new(config.brute_force)),
                Box::new(RateShift::new(config.rate_shift)),
                Box::new(Behaviour::new(config.behaviour)),
                Box::new(Sources::new(config.who, epoch)),
                Box::new(CredentialStuffing::new(config.credential_stuffing, epoch)),
                Box::new(PortScan::new(config.port_scan, epoch)),
                Box::new(SlowAttack::new(config.slow_attack, epoch)),
                Box::new(Pressure::new(config.pressure)),
                Box::new(Dispersion::new(config.dispersion, epoch)),
                Box::new(NewOrigin::new(config.new_origin, epoch)),
                Box::new(Absolute::new(config.absolute)),
            ],
            budget: Budget::default(),
            findings: Lifecycle::new(epoch, config.max_open, config.update_every * SECOND),
            examples: Examples::new(epoch),
            maintained: HashMap::new(),
            now: 0,
            epoch: 0,
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
        self.maintained.retain(|id, _| self.apis.contains_key(id));
    }

    /// The APIs that are being maintained from `now` on (ns, as for [`Self::tick`]), no others. What
    /// such an API does is neither judged nor learned, nor is a step of learning that overlaps the
    /// maintenance; detectors of sources and of attacks go on.
    pub fn set_maintained(&mut self, apis: impl IntoIterator<Item = u32>, now: u64) {
        let now = self.now.max(now);
        let these: HashSet<u32> = apis.into_iter().collect();
        for (id, until) in &mut self.maintained {
            if *until == u64::MAX && !these.contains(id) {
                *until = now;
            }
        }
        let known = these.into_iter().filter(|id| self.apis.contains_key(id));
        self.maintained.extend(known.map(|id| (id, u64::MAX)));
    }

    /// How many alerts a day the operator wants to see, shared out among the detectors for the APIs as
    /// they are now.
    pub fn set_alerts(&mut self, alerts: &Alerts) {
        let apis = &self.apis;
        let severity = |detector| apis.values().map(|api| api.severity(detector)).max();
        self.budget.share(alerts, |detector| severity(detector).unwrap_or(Severity::Info));
    }

    /// Takes a transaction into account. One of an API that the policy does not have is left out.
    pub fn observe(&mut self, observation: &Observation<'_>) {
        if let Some(api) = self.apis.get(&observation.api) {
            self.detectors.iter_mut().for_each(|detector| detector.observe(api, observation));
            self.examples.request(api, observation);
        }
    }

    /// Takes a connection that is over into account.
    pub fn flow(&mut self, flow: &FlowSeen) {
        if let Some(api) = self.apis.get(&flow.api) {
            self.detectors.iter_mut().for_each(|detector| detector.flow(api, flow));
            // Of others their requests are told.
            if flow.transactions == 0 {
                self.examples.flow(api, flow);
            }
        }
    }

    /// Takes a connection into account that is not over and trickles.
    pub fn slow(&mut self, flow: &FlowSeen) {
        if let Some(api) = self.apis.get(&flow.api) {
            self.detectors.iter_mut().for_each(|detector| detector.slow(api, flow));
            self.examples.flow(api, flow);
        }
    }

    /// Takes a packet that was refused into account.
    pub fn refusal(&mut self, refused: &RefusedSeen) {
        if let Some(api) = self.apis.get(&refused.api) {
            self.detectors.iter_mut().for_each(|detector| detector.refusal(api, refused));
            self.examples.refusal(api, refused);
        }
    }

    /// Takes a turn of a connection whose requests cannot be read into account.
    pub fn turn(&mut self, turn: &TurnSeen) {
        if let Some(api) = self.apis.get(&turn.api) {
            self.detectors.iter_mut().for_each(|detector| detector.turn(api, turn));
            self.examples.turn(api, turn);
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
        self.epoch = epoch;
        self.budget.advance(self.now);
        let mut tick = Tick {
            now: self.now,
            epoch,
            completeness,
            floor: self.config.min_completeness,
            maintained: &self.maintained,
            apis: &self.apis,
            findings: &mut self.findings,
            budget: &mut self.budget,
        };
        self.detectors.iter_mut().for_each(|detector| detector.tick(&mut tick));
        let (examples, now) = (&self.examples, self.now);
        self.findings.take(|subject, measure| {
            examples.of(subject, measure.observed >= measure.baseline, now)
        })
    }

    /// What was learned of an API and what is open at it, as bytes that [`Self::load_api`] takes up; by
    /// the same version of weir, or one that keeps the same.
    pub fn save_api(&self, api: u32) -> Vec<u8> {
        let mut to = Writer::default();
        to.u32(VERSION);
        let mut part = |number: u8, bytes: Vec<u8>| {
            if !bytes.is_empty() {
                to.u8(number);
                to.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                to.0.extend_from_slice(&bytes);
            }
        };
        for (number, detector) in (0..).zip(&self.detectors) {
            let mut one = Writer::default();
            detector.save(api, &mut one);
            part(number, one.0);
        }
        let mut open = Writer::default();
        for finding in self.findings.iter().filter(|finding| finding.api == api) {
            kept::write(finding, self.epoch, &mut open);
        }
        part(FINDINGS, open.0);
        to.0
    }

    /// Takes up what [`Self::save_api`] wrote; false, and nothing is taken up of the part that could not
    /// be read and of those after it, when it is damaged or of another version. `epoch` as for
    /// [`Self::tick`], which tells what goes on.
    pub fn load_api(&mut self, api: u32, saved: &[u8], now: u64, epoch: i128) -> bool {
        let Some(api) = self.apis.get(&api) else { return false };
        let mut from = Reader(saved);
        if from.u32() != Some(VERSION) {
            return false;
        }
        while !from.is_empty() {
            let part = from.u8().and_then(|number| {
                let length = usize::try_from(from.u32()?).ok()?;
                let (part, rest) = from.0.split_at_checked(length)?;
                from.0 = rest;
                let mut part = Reader(part);
                if number != FINDINGS {
                    return self.detectors.get_mut(usize::from(number))?.load(api, part, now);
                }
                let mut held = HashSet::new();
                let each = &mut |subject| {
                    held.insert(subject);
                };
                self.detectors.iter().for_each(|detector| detector.subjects(each));
                while !part.is_empty() {
                    let (subject, finding) = kept::read(&mut part, api.id, &api.name, epoch)?;
                    if held.contains(&subject) {
                        self.findings.resume(subject, finding, now);
                    }
                }
                Some(())
            });
            if part.is_none() {
                return false;
            }
        }
        true
    }

    /// What thresholds were worked out of, as bytes that [`Self::load_budget`] takes up.
    pub fn save_budget(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.u32(VERSION);
        self.budget.write(&mut to);
        to.0
    }

    /// Takes up what [`Self::save_budget`] wrote; false, and nothing is taken up, when it is not that.
    pub fn load_budget(&mut self, saved: &[u8], now: u64) -> bool {
        let mut from = Reader(saved);
        from.u32() == Some(VERSION) && self.budget.read(&mut from, now).is_some()
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
