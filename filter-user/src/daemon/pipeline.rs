//! The pipeline: ring to records to transactions to metrics and findings, on a thread of its own.
//!
//! The kernel wakes nobody for a record; this thread looks every 32 ms, more often the more there is, and as long as
//! there is something it does not sleep at all. Everything here runs on CLOCK_MONOTONIC, as the
//! records do; only events carry wall time.

mod analysis;
mod hand;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use filter_common::reason::{Reason, Verdict};
use filter_common::record;

use crate::detect::Traffic;
use crate::export::events::{Event, Kind, LossField, is_limit};
use crate::export::metrics::DetectorCount;
use crate::kernel::clock;
use crate::kernel::counters::Counters;
use crate::kernel::ring::Reader;
use crate::kernel::state::sample_below;
use crate::recording::Line;
use crate::sensor::{Sensor, SensorConfig};

use super::core::{Core, Message, lock, unix_ns};
use super::enforcement::Enforcement;
use super::gate::Source as Ring;
use super::learned;
use super::losses::{Losses, wanted_and_lost};
use super::sampling::{Sampling, Step};

use analysis::Analysis;
pub(super) use hand::Hand;

/// The first pause.
const PAUSE: Duration = Duration::from_millis(5);
/// Niceness of the thread.
const NICE: i32 = -10;
/// Records taken before anything else gets its turn.
const BATCH: usize = 8192;
/// How often detectors are asked.
const DETECT: u64 = 30_000_000;
/// How often losses, bans and reports are looked after.
const LOOK_AFTER: u64 = 1_000_000_000;
/// APIs whose counters are read in a second.
const APIS_A_SECOND: usize = 100;

/// What the pipeline says of itself, once a second.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// Share of the telemetry of the last minute that was not lost.
    pub(super) completeness: f64,
    /// Share of flows that are sampled.
    pub(super) share: f64,
    /// Counters of the sensor.
    pub(super) sensor: Vec<(&'static str, u64)>,
    /// Distinct routes.
    pub(super) routes: u64,
    /// Requests without room for their route.
    pub(super) routes_overflow: u64,
    /// States of the detectors.
    pub(super) detectors: Vec<DetectorCount>,
    /// Lines of the recording by outcome.
    pub(super) recorded: Vec<(&'static str, u64)>,
    /// Open findings by severity.
    pub(super) open: BTreeMap<&'static str, u64>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            completeness: 1.0,
            share: 1.0,
            sensor: Vec::new(),
            routes: 0,
            routes_overflow: 0,
            detectors: Vec::new(),
            recorded: Vec::new(),
            open: BTreeMap::new(),
        }
    }
}

/// Starts the thread.
pub(super) fn start(core: Arc<Core>, source: Ring) -> Result<JoinHandle<()>> {
    let messages = core.take_messages().ok_or_else(|| anyhow!("the pipeline runs already"))?;
    std::thread::Builder::new()
        .name("weir-pipeline".to_owned())
        .spawn(move || Pipeline::new(core, source, messages).run())
        .context("cannot start the pipeline")
}

/// Asks for this thread to be run before others: what it does not read in time is lost, and the more
/// there is to read the busier the host. Without the right to ask (CAP_SYS_NICE) it does without.
fn prefer() {
    // SAFETY: 0 is this thread; the call takes numbers only.
    let refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0;
    if refused {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "the pipeline runs without priority");
    }
}

struct Pipeline {
    core: Arc<Core>,
    reader: Reader,
    messages: Receiver<Message>,
    sensor: Sensor,
    analysis: Analysis,
    losses: Losses,
    enforcement: Enforcement,
    sampling: Sampling,
    /// The API whose counters were read last.
    counted: u32,
}

impl Pipeline {
    fn new(core: Arc<Core>, source: Ring, messages: Receiver<Message>) -> Self {
        let config = SensorConfig {
            max_flows: core.config.sensor.flows as usize,
            seed: source.seed,
            ..SensorConfig::default()
        };
        let epoch = unix_ns() / 1_000_000_000;
        let analysis = Analysis::new(&core, epoch);
        Self {
            core,
            reader: source.reader,
            messages,
            sensor: Sensor::new(config),
            analysis,
            losses: source.losses,
            enforcement: Enforcement::new(epoch),
            sampling: source.sampling,
            counted: 0,
        }
    }

    fn run(mut self) {
        prefer();
        let mut detected = 0;
        let mut looked_after = 0;
        let mut pause = PAUSE;
        // How much waited when the last pause ended.
        let mut waited = 0.0_f64;
        while !self.core.stopping() {
            self.obey();
            self.core.look_after_confirmation();
            let level = self.sampling.level();
            let taken = self.drain();
            let now = clock::monotonic_ns();
            self.tune(now, level);
            if taken == 0 {
                let analysis = &mut self.analysis;
                self.sensor.tick(now, &mut |output| analysis.output(&output));
            }
            if now.saturating_sub(detected) >= DETECT {
                detected = now;
                self.analysis.detect(now, self.losses.completeness());
            }
            if now.saturating_sub(looked_after) >= LOOK_AFTER {
                looked_after = now;
                self.look_after(now);
            }
            waited = waited.max(level);
            if taken == 0 {
                pause = self.sampling.pause(pause, waited);
                std::thread::sleep(pause);
                waited = 0.0;
            }
        }
        self.drain();
        let analysis = &mut self.analysis;
        self.sensor.flush(&mut |output| analysis.output(&output));
        self.look_after(clock::monotonic_ns());
        if let Some(profile) = &self.analysis.profile {
            let guards = self.analysis.guards();
            learned::keep_all(&self.core, &self.analysis.engine, profile, &guards);
        }
    }

    fn obey(&mut self) {
        while let Ok(message) = self.messages.try_recv() {
            match message {
                Message::Policy(profile) => self.analysis.follow(*profile),
                Message::Finding(finding) => self.analysis.respond(&finding),
            }
        }
    }

    fn drain(&mut self) -> usize {
        let (sensor, analysis) = (&mut self.sensor, &mut self.analysis);
        self.reader.drain(BATCH, |header, payload, lost| {
            if lost > 0 {
                sensor.lost();
            }
            if header.kind == record::NOTICE {
                analysis.notice(header);
            } else {
                sensor.push(header, payload, &mut |output| analysis.output(&output));
            }
        })
    }

    /// Samples fewer flows while the ring fills, and more when it does not.
    fn tune(&mut self, now: u64, level: f64) {
        let Some(step) = self.sampling.look(now, level) else { return };
        let analysis = &mut self.analysis;
        let below = sample_below(step.share());
        self.sensor.shed(below, &mut |output| analysis.output(&output));
        // Flows that come back have missed something.
        self.sensor.lost();
        let percent = step.share() * 100.0;
        let (kind, message) = match step {
            Step::Changed(_) => return,
            Step::Reduced(_) => (
                Kind::SamplingReduced,
                format!("{percent} % of flows are sampled: the ring fills faster than it is read"),
            ),
            Step::Restored(_) => {
                (Kind::SamplingRestored, format!("{percent} % of flows are sampled again"))
            }
        };
        self.core.tell(&Event::new(kind, unix_ns(), message));
    }

    /// What is due every second.
    fn look_after(&mut self, now: u64) {
        self.core.sweep_bans();
        self.core.look_after_actions();
        self.core.look_after_mutes();
        self.analysis.maintain(now);
        self.analysis.escalate(now);
        self.core.look_after_enforcement(&mut self.enforcement);
        self.read_losses();
        self.read_traffic(now);
        self.analysis.record_telemetry(now, self.losses.completeness());
        self.analysis.tell_refusals(now);
        self.core.tell_of_sinks();
        self.analysis.keep_learned();
        self.report();
    }

    fn read_losses(&mut self) {
        let Some(mut gate) = self.core.try_gate() else { return };
        if let Some(logger) = &mut gate.logger {
            logger.flush();
        }
        let read = wanted_and_lost(&gate.state.counters);
        drop(gate);
        match read {
            Ok(counted) => {
                let newly = self.losses.note(counted);
                if newly > 0 {
                    self.core.tell(&Event {
                        loss: Some(LossField {
                            records: newly,
                            completeness: self.losses.completeness(),
                        }),
                        ..Event::new(
                            Kind::TelemetryGap,
                            unix_ns(),
                            format!("{newly} samples were lost: the ring was full"),
                        )
                    });
                }
            }
            Err(error) => tracing::error!(%error, "losses are not known"),
        }
    }

    /// Tells detectors what limits and bans do.
    fn read_traffic(&mut self, now: u64) {
        let Some(profile) = &self.analysis.profile else { return };
        // One gate for all: who asks for it waits no longer than for a look at the counters.
        let Some(gate) = self.core.try_gate() else { return };
        let of = |api: u32| traffic(&gate.state.counters, api);
        let mut ids: Vec<u32> = profile.ids().collect();
        ids.sort_unstable();
        let first = ids.partition_point(|id| *id <= self.counted);
        // Reading one takes some fifty calls: of many APIs, some every second.
        let next = ids[first..].iter().chain(&ids[..first]).copied().take(APIS_A_SECOND);
        let read: Result<Vec<Traffic>, _> = next.map(of).collect();
        drop(gate);
        match read {
            Ok(all) => {
                self.counted = all.last().map_or(0, |traffic| traffic.api);
                for traffic in &all {
                    self.analysis.engine.traffic(traffic, now);
                    self.analysis.record(traffic.api, |to, api, epoch| {
                        to.write(&Line::traffic(traffic, api, now, epoch));
                    });
                }
            }
            Err(error) => tracing::error!(%error, "what limits and bans do is not known"),
        }
    }

    fn report(&self) {
        let mut open = BTreeMap::new();
        for finding in self.analysis.engine.open() {
            *open.entry(finding.severity.name()).or_default() += 1;
        }
        for severity in lock(&self.core.inventory).register.severities() {
            *open.entry(severity.name()).or_default() += 1;
        }
        if let Some(severity) = self.enforcement.open() {
            *open.entry(severity.name()).or_default() += 1;
        }
        let report = Report {
            completeness: self.losses.completeness(),
            share: self.sampling.share(),
            sensor: self.sensor.stats().each().collect(),
            routes: self.analysis.routes.len() as u64,
            routes_overflow: self.analysis.routes.overflowed(),
            detectors: self
                .analysis
                .engine
                .state_counts()
                .into_iter()
                .map(|count| DetectorCount {
                    detector: count.detector.name(),
                    states: count.states,
                    evicted: count.evicted,
                })
                .collect(),
            recorded: self
                .analysis
                .recorder
                .as_ref()
                .map(|one| one.counts().to_vec())
                .unwrap_or_default(),
            open,
        };
        *lock(&self.core.report) = report;
    }
}

/// What the kernel counted of an API.
fn traffic(counters: &Counters, api: u32) -> crate::kernel::error::Result<Traffic> {
    let mut traffic = Traffic { api, ..Traffic::default() };
    for row in counters.of(api)? {
        *match row.reason {
            Reason::Banned => &mut traffic.banned,
            reason if reason.verdict() == Verdict::Pass => &mut traffic.passed,
            reason if is_limit(reason) => &mut traffic.limited,
            _ => &mut traffic.refused,
        } += row.packets;
    }
    Ok(traffic)
}
