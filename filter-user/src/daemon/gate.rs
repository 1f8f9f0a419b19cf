//! What is in force: the kernel half with the policy it was made from. One lock guards it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};
use filter_common::tables::feature;

use crate::config::{Config, OnExit};
use crate::control::api::{ApiError, Caller, Size};
use crate::control::identity;
use crate::image::{Ids, Image};
use crate::kernel;
use crate::kernel::agreement::Entries;
use crate::kernel::attach::{self, Gated, Target};
use crate::kernel::generation::{Generation, Logger};
use crate::kernel::held;
use crate::kernel::ring::{Positions, Reader, Received};
use crate::kernel::state::State;
use crate::lockout::Connection;
use crate::policy::{self, Policy};
use crate::store::{New, State as Fate, Who};

use super::breach::Notes;
use super::in_force::{self, InForce};
use super::interfaces::{self, Open, Renewal, check_trusted};
use super::keeper::Keeper;
use super::lockout;
use super::losses::{Losses, wanted_and_lost};
use super::sampling::Sampling;
use super::settings;
use super::size::Costs;
use super::standing::{self, Reasons};
use super::start::{Candidate, Start};
use super::waiting::Waiting;

/// Bans that are compared with the kernel's at once: each takes a microsecond or two.
const BANS_AT_ONCE: usize = 500;

/// On whose word, and for how long.
pub(super) struct Terms {
    /// Who wants it.
    pub(super) who: Who,
    /// Within which time it must be confirmed.
    pub(super) confirm: Option<Duration>,
    /// The generation of the history that it brings back.
    pub(super) restores: Option<u64>,
    /// No guard was asked.
    pub(super) force: bool,
    /// The connection that must not be cut.
    pub(super) guards: Option<Connection>,
    /// The feeds that made it by changing, when nobody did.
    pub(super) feeds: Vec<String>,
    /// With whose rights feeds are read from now on; `None`: the daemon's own.
    pub(super) reader: Option<Arc<Caller>>,
}

impl Terms {
    /// It stays, and nothing more is said.
    pub(super) fn of(who: Who) -> Self {
        Self {
            who,
            confirm: None,
            restores: None,
            force: false,
            guards: None,
            feeds: Vec::new(),
            reader: None,
        }
    }
}

/// What an apply did.
pub(super) struct Change {
    /// The hash before; `None` when weir observed or has just started.
    pub(super) previous_hash: Option<String>,
    /// How long it took, seconds.
    pub(super) seconds: f64,
    /// How large it is.
    pub(super) size: Size,
}

/// How the pipeline gets its records.
pub(super) struct Source {
    /// The reader.
    pub(super) reader: Reader,
    /// Seed for its tables.
    pub(super) seed: u64,
    /// How many flows it is to have.
    pub(super) sampling: Sampling,
    /// What was lost before: not this reader's loss.
    pub(super) losses: Losses,
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
    /// Whether the programs could follow a trusted interface.
    pub(super) renewal: Renewal,
    /// Why a ban was made: kept here, the kernel has no room for it.
    pub(super) reasons: Reasons,
    /// Who gave an order and why, likewise.
    pub(super) order_notes: Notes,
    /// Files of feeds, with the SHA-256 of what somebody went back behind.
    pub(super) behind: HashMap<PathBuf, [u8; 32]>,
    /// Changes of bans and of orders that the store has.
    pub(super) kept: Option<(u64, u64)>,
    /// How full the ring is.
    pub(super) positions: Arc<Positions>,
    /// What its reader counts.
    pub(super) received: Arc<Received>,
    /// What was tried out so far.
    pub(super) costs: Costs,
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
        mut keeper: Keeper,
        guards: Option<Connection>,
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
        let (policy, path, text, files) = match choice.candidate.take() {
            Some(Candidate { policy, path, text, files }) => (policy, Some(path), text, files),
            None => (Policy::observe(), None, String::new(), Vec::new()),
        };
        let (image, ids) = compile(&policy, state.ids())?;
        if let Some(connection) = &guards {
            let carriers = lockout::carriers(connection, &targets);
            let case = (&policy, &image, &ids);
            // What was put in force once was decided about then.
            let again = choice.stored.is_some();
            lockout::refuse(&state, case, connection, &carriers, again)?;
        }
        check_trusted(&image.trusted_interfaces, &targets)?;
        state.keep_ids(ids, &image)?;
        super::addresses::learn(&mut state);
        let restored = standing::restore(&mut state, &mut keeper);
        choice.notes.extend(restored.notes);
        let mut generation = Generation::load(&mut state, &image)?;
        interfaces::note(&mut state, &targets)?;
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
        let positions = Arc::new(positions);
        let room = state.ring_bytes();
        let sampler = state.sampler();
        let sampling = Sampling::new(config.sensor.sample, Arc::clone(&positions), room, sampler);
        // From here on: what is lost while the daemon is still starting is its loss.
        let losses = Losses::since(wanted_and_lost(&state.counters)?);
        let source = Source { reader, seed: state.seed()?, sampling, losses };
        let since = choice.stored.as_ref().map_or_else(unix_now, |record| record.applied_at);
        let now = InForce {
            hash: policy.hash(),
            feeds: in_force::feeds(&policy, &files, path.as_deref(), since),
            policy: Arc::new(policy),
            image: Arc::new(image),
            text: text.into(),
            files: Arc::new(files),
            path,
            generation: generation.number,
            since: unix_now(),
            number: None,
            reader: choice.stored.as_ref().and_then(|record| reader_of(record.who.uid)),
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
            renewal: Renewal::default(),
            reasons: restored.reasons,
            order_notes: restored.order_notes,
            behind: HashMap::new(),
            kept: None,
            positions,
            received,
            costs: Costs::new(),
            logger: None,
            pins: config.pins.clone(),
            on_exit: config.on_exit,
        };
        gate.open_log();
        match &choice.stored {
            Some(record) => {
                gate.now.number = Some(record.number);
                let (number, kernel) = (record.number, gate.now.generation);
                let _noted = gate.keeper.with(|store| store.set_kernel(number, kernel));
            }
            None => gate.remember(&Terms::of(crate::control::ssh::own()), None),
        }
        if !choice.given_up.is_empty() {
            gate.note_behind();
        }
        Ok((gate, source))
    }

    /// Puts a policy in force on every interface that is there, or on none. What it will cost is tried
    /// out before, if it `may_try`.
    pub(super) fn apply(
        &mut self,
        candidate: Candidate,
        terms: &Terms,
        may_try: bool,
    ) -> Result<Change> {
        let start = Instant::now();
        let Candidate { policy, path, text, files } = candidate;
        let (image, ids) = compile(&policy, self.state.ids())?;
        if let Some(connection) = &terms.guards {
            let carriers = lockout::carriers(connection, &self.targets);
            lockout::refuse(&self.state, (&policy, &image, &ids), connection, &carriers, false)?;
        }
        check_trusted(&image.trusted_interfaces, &self.targets)?;
        let cost = self.forecast(&policy, &image, may_try);
        self.state.keep_ids(ids, &image)?;
        let mut generation = Generation::load(&mut self.state, &image)?;
        let size = Size { cost, ..self.size(&image, Some(&mut generation)) };
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
            feeds: in_force::feeds(&policy, &files, Some(&path), unix_now()),
            policy: Arc::new(policy),
            image: Arc::new(image),
            text: text.into(),
            files: Arc::new(files),
            path: Some(path),
            generation: generation.number,
            since: unix_now(),
            number: None,
            reader: terms.reader.clone(),
        };
        let before = std::mem::replace(&mut self.now, now);
        let generation = std::mem::replace(&mut self.generation, generation);
        let gated = std::mem::replace(&mut self.gated, gated);
        let previous = before.number;
        self.waiting = deadline.map(|deadline| Waiting { deadline, before, generation, gated });
        self.open_log();
        self.remember(terms, previous);
        Ok(Change { previous_hash, seconds: start.elapsed().as_secs_f64(), size })
    }

    /// Puts what is in force into the history.
    fn remember(&mut self, terms: &Terms, previous: Option<u64>) {
        let Some(path) = &self.now.path else { return };
        let new = New {
            kernel: self.now.generation,
            name: &self.now.policy.name,
            hash: &self.now.hash,
            path,
            text: &self.now.text,
            files: &self.now.files,
            applied_at: self.now.since,
            who: &terms.who,
            state: if self.waiting.is_some() { Fate::Pending } else { Fate::Confirmed },
            previous,
            restores: terms.restores,
            why: (!terms.feeds.is_empty()).then_some("feed"),
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

    /// Compares a part of what the kernel holds with what was meant.
    pub(super) fn compare(&mut self) {
        self.generation.compare(&self.now.image);
        self.state.bans.compare(BANS_AT_ONCE);
    }

    /// What was meant and what is enforced, as far as [`Self::compare`] has come.
    pub(super) fn entries(&self) -> Vec<Entries> {
        let mut entries = self.generation.entries(&self.now.image);
        entries.push(self.state.bans.entries());
        entries
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

/// With whose rights the feeds are read of a policy that a user has put in force; `None`: root's.
fn reader_of(uid: u32) -> Option<Arc<Caller>> {
    (uid != 0).then(|| Arc::new(identity::user(uid)))
}

/// The tables of a policy.
pub(super) fn compile(policy: &Policy, mut ids: Ids) -> Result<(Image, Ids)> {
    match policy::compile(policy, &mut ids) {
        Ok(image) => Ok((image, ids)),
        Err(problem) => bail!("{}: {}", problem.message, problem.hint),
    }
}

/// Seconds since 1970.
pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
