//! Interfaces come and go while a daemon runs: what is made anew is gated anew, by itself, and what
//! is not gated is never called enforced.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::export::events::{Event, Kind};
use crate::kernel::attach::{self, Gated, Target};
use crate::kernel::error::Error;
use crate::kernel::generation::Generation;
use crate::kernel::netlink::Changes;
use crate::kernel::stale;
use crate::kernel::state::State;
use crate::kernel::{self, clock};

use super::core::{Core, unix_ns};
use super::gate::Gate;

/// Between two looks when the kernel tells of no change: a link that somebody detached is not told.
const PAUSE: Duration = Duration::from_millis(500);

/// An interface that is to be gated and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// Its name.
    pub(super) name: String,
    /// Why it is not gated, and what to do.
    pub(super) why: String,
}

impl Open {
    /// Both in a sentence.
    pub(super) fn line(&self) -> String {
        format!("{} is not gated: {}", self.name, self.why)
    }
}

/// Why the programs could not be loaded again for a trusted interface that was made anew.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// The last refusal, when it was, CLOCK_BOOTTIME in ns.
    refused: Option<(u64, String)>,
}

/// Between two attempts to renew, in ns: each loads all tables and programs.
const RETRY: u64 = 10_000_000_000;

impl Renewal {
    fn is_due(&self, now: u64) -> bool {
        self.refused.as_ref().is_none_or(|(at, _)| now.saturating_sub(*at) >= RETRY)
    }

    /// Notes a refusal; whether it is another than before.
    fn failed(&mut self, now: u64, why: String) -> bool {
        let is_new = self.refused.as_ref().is_none_or(|(_, before)| *before != why);
        self.refused = Some((now, why));
        is_new
    }
}

/// What changed about an interface.
enum Turn {
    Opened(Open),
    Gated(String),
}

impl Gate {
    /// Gates what is there and is not gated, and notes what cannot be.
    fn tend(&mut self) -> Vec<Turn> {
        // Who rolls back what was not confirmed in time replaces programs behind our back.
        let overdue = |deadline: u64| clock::boot_ns() >= deadline;
        if self.waiting.as_ref().is_some_and(|waiting| overdue(waiting.deadline)) {
            return Vec::new();
        }
        self.follow_names();
        self.follow_trusted();
        let mut turns = Vec::new();
        for target in self.targets.clone() {
            let held = |gated: &Gated| gated.name == target.name && gated.holds();
            let holds = self.gated.iter().any(held);
            match if holds { Ok(()) } else { self.put(&target) } {
                Ok(()) => {
                    let open = self.open.len();
                    self.open.retain(|open| open.name != target.name);
                    if !holds || self.open.len() < open {
                        turns.push(Turn::Gated(target.name));
                    }
                }
                Err(error) => {
                    self.gated.retain(|gated| gated.name != target.name);
                    let open = Open { why: why(&target, &error), name: target.name };
                    if !self.open.contains(&open) {
                        self.open.retain(|before| before.name != open.name);
                        self.open.push(open.clone());
                        turns.push(Turn::Opened(open));
                    }
                }
            }
        }
        if !turns.is_empty()
            && let Err(error) = stale::sweep(&self.pins)
        {
            tracing::warn!(%error, "links of interfaces that are gone");
        }
        turns
    }

    fn put(&mut self, target: &Target) -> kernel::error::Result<()> {
        self.note_interfaces()?;
        let gated = attach::put(&self.pins, target, &mut self.generation)?;
        self.gated.retain(|before| before.name != gated.name);
        self.gated.push(gated);
        Ok(())
    }

    /// Renews what is in force when a trusted interface has another index than the programs know. A
    /// refusal is told once, and tried again after a while.
    fn follow_trusted(&mut self) {
        if self.waiting.is_some() || self.generation.knows(&self.now.image.trusted_interfaces) {
            return;
        }
        let now = clock::boot_ns();
        if !self.renewal.is_due(now) {
            return;
        }
        if let Err(error) = self.renew()
            && self.renewal.failed(now, error.to_string())
        {
            tracing::error!(%error, "a trusted interface was made anew, and is not trusted yet");
        }
    }

    /// Loads what is in force again: the programs have the indices of trusted interfaces in them.
    fn renew(&mut self) -> kernel::error::Result<()> {
        let mut generation = Generation::load(&mut self.state, &self.now.image)?;
        self.note_interfaces()?;
        let old = Some(&mut self.generation);
        self.gated = attach::swap(&self.pins, &self.targets, &mut generation, old)?;
        self.now.generation = generation.number;
        self.generation = generation;
        self.renewal = Renewal::default();
        self.open_log();
        let kernel = self.now.generation;
        if let Some(number) = self.now.number {
            let _noted = self.keeper.with(|store| store.set_kernel(number, kernel));
        }
        Ok(())
    }

    /// An interface that was renamed is still gated: it is known by its new name from now on. The
    /// old one is still one of those to be gated.
    fn follow_names(&mut self) {
        for gated in &mut self.gated {
            let Some(name) = gated.renamed() else { continue };
            tracing::warn!(before = gated.name, now = name, "a gated interface was renamed");
            if let Some(target) = self.targets.iter().find(|target| target.name == gated.name) {
                let renamed = Target { name: name.clone(), ..target.clone() };
                if !self.targets.contains(&renamed) {
                    self.targets.push(renamed);
                }
            }
            gated.name = name;
        }
    }

    /// Tells the programs where packets are judged.
    pub(super) fn note_interfaces(&mut self) -> kernel::error::Result<()> {
        note(&mut self.state, &self.targets)
    }

    /// Names of the interfaces that are to be gated and are not.
    pub(super) fn not_gated(&self) -> Vec<String> {
        let open = |target: &&Target| !self.gated.iter().any(|gated| gated.name == target.name);
        self.targets.iter().filter(open).map(|target| target.name.clone()).collect()
    }
}

/// Tells the programs where packets are judged: at those of the interfaces that are there.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn note(state: &mut State, targets: &[Target]) -> kernel::error::Result<()> {
    let indices: Vec<u32> = targets.iter().filter_map(Target::index).collect();
    state.gate_interfaces(&indices)
}

/// Refuses trust on an interface that is not there and not awaited either: likely a slip of the pen.
///
/// # Errors
/// The name and those that could be meant.
pub(super) fn check_trusted(trusted: &[String], targets: &[Target]) -> kernel::error::Result<()> {
    for name in trusted {
        if targets.iter().all(|target| target.name != *name) {
            kernel::host::interface_index(name).map_err(|error| {
                let hint = error.hint.clone().unwrap_or_default();
                Error::new(format!("[trusted] interfaces: {}", error.what)).hint(hint)
            })?;
        }
    }
    Ok(())
}

fn why(target: &Target, error: &kernel::Error) -> String {
    match target.index() {
        None => "it is not there; it is gated again as soon as it comes back".to_owned(),
        Some(_) => error.to_string(),
    }
}

impl Core {
    /// Looks after the interfaces, and tells what changed.
    pub(super) fn tend_interfaces(&self) {
        let mut gate = self.gate();
        if self.stopping() {
            return;
        }
        let turns = gate.tend();
        drop(gate);
        for turn in turns {
            let (kind, message) = match turn {
                Turn::Opened(open) => {
                    tracing::error!(interface = open.name, "not gated: {}", open.why);
                    (Kind::InterfaceOpen, open.line())
                }
                Turn::Gated(name) => {
                    tracing::warn!(interface = name, "gated again");
                    (Kind::InterfaceGated, format!("{name} is gated again"))
                }
            };
            self.tell(&Event::new(kind, unix_ns(), message));
        }
    }
}

/// Looks after the interfaces until the end, on a thread of its own.
///
/// # Errors
/// The kernel gives no socket or thread.
pub(super) fn watch(core: Arc<Core>) -> Result<()> {
    let events = Changes::of_links()?;
    std::thread::Builder::new()
        .name("weir-links".to_owned())
        .spawn(move || {
            while !core.stopping() {
                core.tend_interfaces();
                if let Err(error) = events.wait(PAUSE) {
                    tracing::error!(%error, "the kernel does not tell of interfaces");
                    std::thread::sleep(PAUSE);
                }
            }
        })
        .map(drop)
        .context("cannot start the thread that looks after interfaces")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_once_and_tried_again_later() {
        let mut renewal = Renewal::default();
        assert!(renewal.is_due(5));
        assert!(renewal.failed(5, "no memory".into()));
        assert!(!renewal.is_due(5 + RETRY - 1));
        assert!(renewal.is_due(5 + RETRY));
        assert!(!renewal.failed(5 + RETRY, "no memory".into()), "told before");
        assert!(renewal.failed(5 + 2 * RETRY, "refused".into()), "another reason");
    }
}
