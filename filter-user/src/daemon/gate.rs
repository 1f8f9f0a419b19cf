//! What is in force: the kernel half with the policy it was made from. One lock guards it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};
use filter_common::tables::feature;

use crate::config::{Config, OnExit};
use crate::control::api::ApiError;
use crate::image::{Ids, Image};
use crate::kernel;
use crate::kernel::attach::{self, Gated, Target};
use crate::kernel::generation::{Generation, Logger};
use crate::kernel::held;
use crate::kernel::ring::{Positions, Reader, Received};
use crate::kernel::state::State;
use crate::policy::{self, Policy};
use crate::store::{New, State as Fate, Who};

use super::interfaces::{Open, check_trusted};
use super::keeper::Keeper;
use super::settings;
use super::start::{Candidate, Start};
use super::waiting::Waiting;

/// The policy in force.
#[derive(Clone)]
pub(super) struct InForce {
    /// The policy.
    pub(super) policy: Arc<Policy>,
    /// Its tables.
    pub(super) image: Arc<Image>,
    /// Where it was read; `None` when weir observes.
    pub(super) path: Option<PathBuf>,
    /// Its hash.
    pub(super) hash: String,
    /// Number of its generation.
    pub(super) generation: u32,
    /// When it was put in force, seconds since 1970.
    pub(super) since: u64,
    /// Its number in the history; `None` when the store did not take it, or weir observes.
    pub(super) number: Option<u64>,
}

/// On whose word, and for how long.
pub(super) struct Terms {
    /// Who wants it.
    pub(super) who: Who,
    /// Within which time it must be confirmed.
    pub(super) confirm: Option<Duration>,
    /// The generation of the history that it brings back.
    pub(super) restores: Option<u64>,
}

/// What an apply did.
pub(super) struct Change {
    /// The hash before; `None` when weir observed or has just started.
    pub(super) previous_hash: Option<String>,
    /// How long it took, seconds.
    pub(super) seconds: f64,
}

/// How the pipeline gets its records.
pub(super) struct Source {
    /// The reader.
    pub(super) reader: Reader,
    /// Seed for its tables.
    pub(super) seed: u64,
}

/// The kernel half and what is in force.
pub(super) struct Gate {
    /// Pinned state.
    pub(super) state: State,
    /// The history.
    pub(super) keeper: Keeper,
    /// Set while what is in force waits to be confirmed.
    pub(super) waiting: Option<Waiting>,
    /// The programs in force.
    pub(super) generation: Generation,
    /// The policy.
    pub(super) now: InForce,
    /// The interfaces, as they are to be gated.
    pub(super) targets: Vec<Target>,
    /// The interfaces, as they are.
    pub(super) gated: Vec<Gated>,
    /// Those that are not gated, and why.
    pub(super) open: Vec<Open>,
    /// Why a ban was made: kept here, the kernel has no room for it.
    pub(super) reasons: HashMap<(IpAddr, u8, Option<u32>), String>,
    /// How full the ring is.
    pub(super) positions: Arc<Positions>,
    /// What its reader counts.
    pub(super) received: Arc<Received>,
    /// The programs' log, when they write one.
    pub(super) logger: Option<Logger>,
    pub(super) pins: PathBuf,
    on_exit: OnExit,
}

impl Gate {
    /// Opens the state, compiles the policy and puts it in force.
    pub(super) fn open(
        config: &Config,
        choice: &mut Start,
        keeper: Keeper,
    ) -> Result<(Self, Source)> {
        let start = Instant::now();
        kernel::host::check(&config.pins)?;
        let targets = targets(config)?;
        let mut state = State::open(settings::of_kernel(config))?;
        for note in &state.notes {
            tracing::warn!("{note}");
        }
        let pinned = attach::pinned_interfaces(&config.pins);
        if choice.candidate.is_none() && !pinned.is_empty() && state.enforces()? {
            return Err(ApiError::refused(format!(
                "an earlier weir enforces a policy on {}, and none was given now",
                pinned.join(", ")
            ))
            .hint("pass it with --policy FILE, or take the filter off with `weir detach`, then observe")
            .into());
        }
        let (policy, from) = match choice.candidate.take() {
            Some(Candidate { policy, path, text, files }) => (policy, Some((path, text, files))),
            None => (Policy::observe(), None),
        };
        let (image, ids) = compile(&policy, state.ids())?;
        check_trusted(&image.trusted_interfaces, &targets)?;
        state.keep_ids(ids, &image)?;
        let mut generation = Generation::load(&mut state, &image)?;
        let indices: Vec<u32> = targets.iter().filter_map(Target::index).collect();
        state.gate_interfaces(&indices)?;
        // From here on no watcher of an earlier daemon acts: what it would put back is older.
        let held = held::take_all(&config.pins)?;
        let gated = match attach::swap(&config.pins, &targets, &mut generation, None) {
            Ok(gated) => gated,
            Err(error) => {
                for number in held {
                    held::give_back(&config.pins, number)?;
                }
                return Err(error.into());
            }
        };
        for number in held {
            held::release(&config.pins, number)?;
        }
        state.note_enforces(image.features & feature::ENFORCE != 0)?;
        let received = Arc::new(Received::default());
        let ring = state.take_ring().ok_or_else(|| anyhow!("the state has no ring"))?;
        let (reader, positions) = Reader::new(ring, Arc::clone(&received))?;
        let source = Source { reader, seed: state.seed()? };
        let now = InForce {
            hash: policy.hash(),
            policy: Arc::new(policy),
            image: Arc::new(image),
            path: from.as_ref().map(|(path, ..)| path.clone()),
            generation: generation.number,
            since: unix_now(),
            number: None,
        };
        for interface in &gated {
            tracing::info!(
                interface = interface.name,
                mode = interface.mode.name(),
                egress = interface.egress.name(),
                adopted = interface.adopted,
                "gated"
            );
        }
        tracing::info!(
            policy = now.policy.name,
            generation = now.generation,
            seconds = start.elapsed().as_secs_f64(),
            "in force"
        );
        let mut gate = Self {
            state,
            keeper,
            waiting: None,
            generation,
            now,
            targets,
            gated,
            open: Vec::new(),
            reasons: HashMap::new(),
            positions: Arc::new(positions),
            received,
            logger: None,
            pins: config.pins.clone(),
            on_exit: config.on_exit,
        };
        gate.open_log();
        match (&choice.stored, from) {
            (Some(record), _) => {
                gate.now.number = Some(record.number);
                let (number, kernel) = (record.number, gate.now.generation);
                let _noted = gate.keeper.with(|store| store.set_kernel(number, kernel));
            }
            (None, Some((_, text, files))) => {
                let terms =
                    Terms { who: crate::control::ssh::own(), confirm: None, restores: None };
                gate.remember(&text, &files, &terms, None);
            }
            (None, None) => {}
        }
        Ok((gate, source))
    }

    /// Puts a policy in force on every interface that is there, or on none.
    pub(super) fn apply(&mut self, candidate: Candidate, terms: &Terms) -> Result<Change> {
        let start = Instant::now();
        let Candidate { policy, path, text, files } = candidate;
        let (image, ids) = compile(&policy, self.state.ids())?;
        check_trusted(&image.trusted_interfaces, &self.targets)?;
        self.state.keep_ids(ids, &image)?;
        let mut generation = Generation::load(&mut self.state, &image)?;
        // Said first: a restart in between must not take an enforcing program for an observing one.
        let enforces = image.features & feature::ENFORCE != 0;
        let before = self.state.enforces()?;
        let deadline = match terms.confirm {
            Some(wait) => Some(self.hold(generation.number, wait, before)?),
            None => None,
        };
        self.state.note_enforces(enforces || before)?;
        self.note_interfaces()?;
        let gated =
            attach::swap(&self.pins, &self.targets, &mut generation, Some(&mut self.generation));
        let gated = match gated {
            Ok(gated) => gated,
            Err(error) => {
                self.state.note_enforces(before)?;
                if deadline.is_some() {
                    self.let_go(generation.number)?;
                }
                return Err(error.into());
            }
        };
        self.state.note_enforces(enforces)?;
        let previous_hash = self.now.path.is_some().then(|| self.now.hash.clone());
        let now = InForce {
            hash: policy.hash(),
            policy: Arc::new(policy),
            image: Arc::new(image),
            path: Some(path),
            generation: generation.number,
            since: unix_now(),
            number: None,
        };
        let before = std::mem::replace(&mut self.now, now);
        let generation = std::mem::replace(&mut self.generation, generation);
        let gated = std::mem::replace(&mut self.gated, gated);
        let previous = before.number;
        self.waiting = deadline.map(|deadline| Waiting { deadline, before, generation, gated });
        self.open_log();
        self.remember(&text, &files, terms, previous);
        Ok(Change { previous_hash, seconds: start.elapsed().as_secs_f64() })
    }

    /// Puts what is in force into the history.
    fn remember(
        &mut self,
        text: &str,
        files: &[policy::NamedFile],
        terms: &Terms,
        previous: Option<u64>,
    ) {
        let Some(path) = &self.now.path else { return };
        let new = New {
            kernel: self.now.generation,
            name: &self.now.policy.name,
            hash: &self.now.hash,
            path,
            text,
            files,
            applied_at: self.now.since,
            who: &terms.who,
            state: if self.waiting.is_some() { Fate::Pending } else { Fate::Confirmed },
            previous,
            restores: terms.restores,
        };
        self.now.number = self.keeper.with(|store| store.add(&new));
    }

    /// What an orderly end leaves behind.
    pub(super) fn close(&self) {
        if self.on_exit == OnExit::Open {
            match attach::open_gate(&self.pins, &self.gated) {
                Ok(()) => tracing::warn!("on_exit = \"open\": the filter is off"),
                Err(error) => tracing::error!(%error, "the filter could not be taken off"),
            }
        }
    }

    /// The pins' directory.
    pub(super) fn pins(&self) -> &Path {
        &self.pins
    }

    /// The name of an API by stable id, of the policy in force or a former one.
    pub(super) fn api_name(&self, id: u32) -> String {
        self.state.ids_ref().api_name(id).unwrap_or(super::profile::UNCLAIMED).to_owned()
    }

    /// What was meant and what is enforced: table, cells meant, cells in the kernel that agree.
    pub(super) fn agreement(&self) -> kernel::error::Result<[(&'static str, usize, usize); 3]> {
        self.generation.agreement(&self.now.image)
    }

    /// Reads the log of the programs in force, where they write one.
    pub(super) fn open_log(&mut self) {
        self.logger = None;
        if self.state.settings.log {
            match self.generation.logger() {
                Ok(logger) => self.logger = Some(logger),
                Err(error) => tracing::warn!(%error, "the programs' log is not read"),
            }
        }
    }
}

/// The interfaces of the settings, and those that an earlier start has gated: what is enforced
/// there is never left behind at an older policy.
fn targets(config: &Config) -> Result<Vec<Target>> {
    let mut names = config.interfaces.clone();
    for name in attach::pinned_interfaces(&config.pins) {
        if !names.contains(&name) {
            tracing::warn!(
                interface = name,
                "gated by an earlier start and not among the interfaces now: it stays gated; \
                 `weir detach` takes it off"
            );
            names.push(name);
        }
    }
    let driver = settings::driver(config.xdp_mode);
    let egress = settings::egress(config.egress);
    let targets = names.iter().map(|name| Target::new(name, driver, egress));
    Ok(targets.collect::<kernel::error::Result<_>>()?)
}

fn compile(policy: &Policy, mut ids: Ids) -> Result<(Image, Ids)> {
    match policy::compile(policy, &mut ids) {
        Ok(image) => Ok((image, ids)),
        Err(problem) => bail!("{}: {}", problem.message, problem.hint),
    }
}

/// Seconds since 1970.
pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
