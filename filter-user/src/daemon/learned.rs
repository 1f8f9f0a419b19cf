//! What detectors have learned, over restarts: the pipeline writes it down an API at a time, the thread
//! of the inventory puts it into the store, and the pipeline takes it up when it follows a policy.

use std::collections::HashMap;
use std::sync::Mutex;

use filter_common::tables::UNCLAIMED;

use crate::detect::Engine;
use crate::export::events::{Event, Kind};

use super::core::{Core, lock, unix_ns};
use super::guards::Guards;
use super::profile::{Profile, UNCLAIMED as UNCLAIMED_NAME};

/// Seconds in which everything is written once.
const ROUND: usize = 300;
/// The name of what thresholds were worked out of; no API's, for it has a space.
const BUDGET: &str = "alert budget";

/// What was kept and is not taken up yet, and what is to be kept.
#[derive(Debug, Default)]
pub(super) struct Learned {
    kept: Mutex<HashMap<String, Vec<u8>>>,
    unwritten: Mutex<HashMap<String, Vec<u8>>>,
}

impl Learned {
    /// What a store kept.
    pub(super) fn new(kept: HashMap<String, Vec<u8>>) -> Self {
        Self { kept: Mutex::new(kept), unwritten: Mutex::default() }
    }

    /// What is to be written.
    pub(super) fn take(&self) -> HashMap<String, Vec<u8>> {
        std::mem::take(&mut lock(&self.unwritten))
    }

    /// What could not be written: newer comes first.
    pub(super) fn give_back(&self, parts: HashMap<String, Vec<u8>>) {
        let mut unwritten = lock(&self.unwritten);
        for (name, bytes) in parts {
            unwritten.entry(name).or_insert(bytes);
        }
    }

    /// What was kept under a name, once.
    pub(super) fn take_kept(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.kept).remove(name)
    }

    /// Has something written under a name: an API's, or one with a space, which none has.
    pub(super) fn keep(&self, name: &str, bytes: Vec<u8>) {
        lock(&self.unwritten).insert(name.to_owned(), bytes);
    }
}

/// The pipeline's place in its round.
#[derive(Debug, Default)]
pub(super) struct Round {
    next: usize,
    /// What samples of the guards are drawn by is written: before any sample is.
    begun: bool,
}

impl Round {
    /// Writes down what is due this second.
    pub(super) fn go_on(
        &mut self,
        core: &Core,
        engine: &Engine,
        profile: &Profile,
        guards: &Guards<'_>,
    ) {
        if !std::mem::replace(&mut self.begun, true) {
            guards.keep(core);
        }
        let apis = named(profile);
        for _ in 0..apis.len().div_ceil(ROUND) {
            self.next = (self.next + 1) % ROUND.max(apis.len());
            if let Some((id, name)) = apis.get(self.next) {
                core.learned.keep(name, engine.save_api(*id));
                guards.keep_api(core, *id, name);
            }
        }
        if self.next == 0 {
            core.learned.keep(BUDGET, engine.save_budget());
            guards.keep_shared(core, &apis);
        }
    }
}

/// Writes down one API at once: a finding opened or closed.
pub(super) fn keep(core: &Core, engine: &Engine, id: u32, name: &str) {
    core.learned.keep(name, engine.save_api(id));
}

/// Writes down everything.
pub(super) fn keep_all(core: &Core, engine: &Engine, profile: &Profile, guards: &Guards<'_>) {
    guards.keep(core);
    let apis = named(profile);
    for (id, name) in &apis {
        keep(core, engine, *id, name);
        guards.keep_api(core, *id, name);
    }
    guards.keep_shared(core, &apis);
    core.learned.keep(BUDGET, engine.save_budget());
}

/// Takes up what was kept of the APIs of a policy, once.
pub(super) fn take_up(core: &Core, engine: &mut Engine, profile: &Profile, now: u64, epoch: i128) {
    let mut kept = lock(&core.learned.kept);
    let mut lost = Vec::new();
    if let Some(bytes) = kept.remove(BUDGET)
        && !engine.load_budget(&bytes, now)
    {
        lost.push("what thresholds are made of".to_owned());
    }
    for (id, name) in named(profile) {
        if let Some(bytes) = kept.remove(&name)
            && !engine.load_api(id, &bytes, now, epoch)
        {
            lost.push(format!("what is usual at {name}"));
        }
    }
    drop(kept);
    for what in lost {
        let message =
            format!("{what} was kept by another version, or is damaged: it is learned anew");
        tell_reset(core, message);
    }
}

/// Says that something begins anew.
pub(super) fn tell_reset(core: &Core, message: String) {
    tracing::warn!("{message}");
    core.tell(&Event::new(Kind::StateReset, unix_ns(), message));
}

/// The APIs that something may be learned of, with their names.
pub(super) fn named(profile: &Profile) -> Vec<(u32, String)> {
    let mut apis: Vec<_> = profile
        .for_detectors()
        .into_iter()
        .map(|api| (api.id, api.name.to_string()))
        .chain([(UNCLAIMED, UNCLAIMED_NAME.to_owned())])
        .collect();
    apis.sort_unstable();
    apis.dedup_by_key(|(id, _)| *id);
    apis
}
