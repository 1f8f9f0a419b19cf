//! This host's own addresses, as the packet path asks for them: the exact table, and the bitmap that
//! spares nearly all packets the look-up.
//!
//! Which addresses there are is `addresses`' to find out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aya::maps::{HashMap, MapData};
use filter_common::addr::Addr;
use filter_common::slot::Slot;
use filter_common::tables::{CONTROL_OWN, CONTROL_WORDS, MAX_OWN, OWN_WORDS, own_place};

use super::error::{Error, Result};
use super::mapped::Mapped;
use crate::sensor::transaction::addr;

/// The table and its bitmap.
pub struct Own {
    table: HashMap<MapData, Addr, u32>,
    control: Mapped<[Slot; CONTROL_WORDS]>,
}

impl Own {
    pub(super) fn open(
        table: HashMap<MapData, Addr, u32>,
        control: Mapped<[Slot; CONTROL_WORDS]>,
    ) -> Self {
        Self { table, control }
    }

    /// Replaces the addresses. Those beyond the room for them are left out: how many.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<usize> {
        let failed = |e| Error::new("cannot note the host's own addresses").because(e);
        let wanted: BTreeSet<Addr> =
            addresses.iter().map(|&one| addr(one)).take(MAX_OWN as usize).collect();
        let held = self.table.keys().collect::<std::result::Result<Vec<_>, _>>().map_err(failed)?;
        for gone in held.iter().filter(|held| !wanted.contains(held)) {
            self.table.remove(gone).map_err(failed)?;
        }
        for new in wanted.iter().filter(|wanted| !held.contains(wanted)) {
            self.table.insert(new, 1, 0).map_err(failed)?;
        }
        let mut words = [0; OWN_WORDS as usize];
        for &one in &wanted {
            let (word, bit) = own_place(one);
            words[word as usize] |= 1 << bit;
        }
        for (cell, word) in self.control.cells().iter().flatten().skip(CONTROL_OWN).zip(words) {
            cell.store(word);
        }
        Ok(addresses.len() - wanted.len())
    }

    /// Copies the addresses into state in memory.
    pub fn copy_to(&self, state: &mut crate::image::view::State) {
        state.own = self.table.keys().filter_map(std::result::Result::ok).collect();
    }
}
