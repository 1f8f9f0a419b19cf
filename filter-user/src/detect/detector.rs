//! What a detector is to the engine.

use std::collections::HashMap;

use super::api::ApiProfile;
use super::budget::Budget;
use super::codec::{Reader, Writer};
use super::engine::StateCount;
use super::hasher::Mixing;
use super::lifecycle::{Lifecycle, Subject};
use super::observation::{FlowSeen, Observation, RefusedSeen, Traffic, TurnSeen};

/// The APIs by stable id.
pub(crate) type Apis = HashMap<u32, ApiProfile, Mixing>;

/// A detector. What it is told only updates its state, and costs little: it is told of every
/// request. It decides in [`Self::tick`].
pub(crate) trait Detect: std::fmt::Debug + Send {
    /// A request.
    fn observe(&mut self, _: &ApiProfile, _: &Observation<'_>) {}

    /// A connection that is over.
    fn flow(&mut self, _: &ApiProfile, _: &FlowSeen) {}

    /// A connection that is not over, whose client takes its time over a request; told every ten
    /// seconds.
    fn slow(&mut self, _: &ApiProfile, _: &FlowSeen) {}

    /// A packet that the kernel refused, one of each source and reason within a second.
    fn refusal(&mut self, _: &ApiProfile, _: &RefusedSeen) {}

    /// A turn of a connection whose requests cannot be read.
    fn turn(&mut self, _: &ApiProfile, _: &TurnSeen) {}

    /// The kernel's counters of an API, about once a second.
    fn traffic(&mut self, _: &ApiProfile, _: &Traffic, _now: u64) {}

    /// Opens, updates and closes findings.
    fn tick(&mut self, tick: &mut Tick<'_>);

    /// Forgets the APIs that are not to be kept.
    fn retain(&mut self, keep: &dyn Fn(u32) -> bool);

    /// How much it remembers.
    fn state_counts(&self) -> Vec<StateCount>;

    /// Writes what it has learned of an API, to be known after a restart; nothing, when there is
    /// nothing that is worth it.
    fn save(&self, _api: u32, _: &mut Writer) {}

    /// Takes up what [`Self::save`] wrote; `None`, and nothing is taken up, when it is not that.
    fn load(&mut self, _: &ApiProfile, _: Reader<'_>, _now: u64) -> Option<()> {
        Some(())
    }

    /// Tells which of its findings go on after a [`Self::load`].
    fn subjects(&self, _: &mut dyn FnMut(Subject)) {}
}

/// What a decision is made with.
#[derive(Debug)]
pub(crate) struct Tick<'a> {
    /// The time, ns, on the clock of the observations; never goes back.
    pub(crate) now: u64,
    /// What to add to `now` for ns since 1970, UTC: for what depends on the hour of the week.
    pub(crate) epoch: i128,
    /// Share of the telemetry that was not lost lately, 0 to 1.
    pub(crate) completeness: f64,
    /// Completeness below which nothing is to open or to close.
    pub(crate) floor: f64,
    /// Up to when each API was maintained, ns on the clock of `now`; `u64::MAX` while it is.
    pub(crate) maintained: &'a HashMap<u32, u64>,
    /// The APIs by stable id.
    pub(crate) apis: &'a Apis,
    /// Where findings open and close.
    pub(crate) findings: &'a mut Lifecycle,
    /// How surprising something must be.
    pub(crate) budget: &'a mut Budget,
}

impl Tick<'_> {
    /// Whether enough was seen to say anything.
    pub(crate) fn judges(&self) -> bool {
        self.completeness >= self.floor
    }

    /// Up to when an API was maintained, ns: what was counted before then is neither judged nor
    /// learned. `u64::MAX` while it is maintained, 0 when it never was.
    pub(crate) fn maintained_until(&self, api: u32) -> u64 {
        self.maintained.get(&api).copied().unwrap_or(0)
    }
}
