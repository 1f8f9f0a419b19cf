//! What is in force until somebody confirms it, and the way back when nobody does.

use std::time::Duration;

use anyhow::{Result, bail};
use filter_common::tables::feature;

use crate::kernel;
use crate::kernel::attach::{self, Gated};
use crate::kernel::generation::Generation;
use crate::kernel::{clock, held};
use crate::store::State as Fate;

use super::gate::{Gate, unix_now};
use super::in_force::InForce;
use super::watcher;

/// What is in force and was not confirmed yet, by what was in force before.
pub(super) struct Waiting {
    /// When it is rolled back, CLOCK_BOOTTIME in ns.
    pub(super) deadline: u64,
    /// What was in force before.
    pub(super) before: InForce,
    /// Its programs.
    pub(super) generation: Generation,
    /// Where they were in force.
    pub(super) gated: Vec<Gated>,
}

impl Gate {
    /// Has the generation in force held, and watched over, while `number` waits for at most `wait`.
    /// Returns when that ends.
    pub(super) fn hold(&mut self, number: u32, wait: Duration, enforces: bool) -> Result<u64> {
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        let deadline = clock::boot_ns().saturating_add(wait);
        held::hold(&self.pins, number, &mut self.generation)?;
        if let Err(error) = watcher::start(&self.pins, number, deadline, &self.targets, enforces) {
            self.let_go(number)?;
            return Err(error);
        }
        Ok(deadline)
    }

    /// Ends the watcher of a generation that waits, if it has not acted; whether it had not.
    pub(super) fn let_go(&self, number: u32) -> kernel::error::Result<bool> {
        let ours = held::take(&self.pins, number)?;
        if ours {
            held::release(&self.pins, number)?;
        }
        Ok(ours)
    }

    /// Lets what waits stay. False when its watcher was faster: see [`Self::take_back`] then.
    pub(super) fn confirm(&mut self) -> Result<bool> {
        if !self.let_go(self.now.generation)? {
            return Ok(false);
        }
        self.waiting = None;
        if let Some(number) = self.now.number {
            let _noted = self.keeper.with(|store| store.set_state(number, Fate::Confirmed));
        }
        Ok(true)
    }

    /// Puts back what was in force before what waits, and returns what waited.
    pub(super) fn take_back(&mut self) -> Result<InForce> {
        let Some(mut waiting) = self.waiting.take() else { bail!("nothing waits") };
        let number = self.now.generation;
        let ours = match held::take(&self.pins, number) {
            Ok(ours) => ours,
            Err(error) => {
                self.waiting = Some(waiting);
                return Err(error.into());
            }
        };
        if ours {
            let swapped = attach::swap(
                &self.pins,
                &self.targets,
                &mut waiting.generation,
                Some(&mut self.generation),
            );
            match swapped {
                Ok(gated) => waiting.gated = gated,
                Err(error) => {
                    self.waiting = Some(waiting);
                    held::give_back(&self.pins, number)?;
                    return Err(error.into());
                }
            }
            held::release(&self.pins, number)?;
        } else {
            // The watcher has put these very programs back, or is about to.
            held::settled(&self.pins, number);
        }
        let enforces = waiting.before.image.features & feature::ENFORCE != 0;
        self.state.note_enforces(enforces)?;
        let undone = std::mem::replace(&mut self.now, waiting.before);
        self.now.since = unix_now();
        self.generation = waiting.generation;
        self.gated = waiting.gated;
        self.open_log();
        self.note_behind();
        if let Some(number) = undone.number {
            let _noted = self.keeper.with(|store| store.set_state(number, Fate::RolledBack));
        }
        Ok(undone)
    }

    /// Seconds until what waits is rolled back; `None`: nothing waits.
    pub(super) fn confirm_seconds(&self) -> Option<u64> {
        let waiting = self.waiting.as_ref()?;
        Some(waiting.deadline.saturating_sub(clock::boot_ns()).div_ceil(1_000_000_000))
    }
}
