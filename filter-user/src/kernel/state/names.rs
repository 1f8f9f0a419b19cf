//! The names behind the stable ids, kept in the kernel to live as long as what is keyed by them.

use aya::maps::{Array, MapData};
use filter_common::slot::Slot;
use filter_common::tables::{self, Name, SHARED_PER_API, Shared};

use super::{State, failed};
use crate::image::{Ids, Image};
use crate::kernel::error::Result;
use crate::kernel::mapped::Mapped;

impl State {
    /// Makes ids and the owners of shared budgets permanent, before a program that uses them runs.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn keep_ids(&mut self, ids: Ids, image: &Image) -> Result<()> {
        for (table, names) in [
            (&mut self.api_names, ids.apis().collect::<Vec<_>>()),
            (&mut self.group_names, ids.groups().collect()),
        ] {
            for (id, name) in names {
                let bytes = encode_name(name);
                let held = table.get(&id, 0).map_err(|e| failed("read a name", e))?;
                if held.bytes != bytes {
                    table.set(id, Name { bytes }, 0).map_err(|e| failed("keep a name", e))?;
                }
            }
        }
        for owner in &image.shared {
            let place = owner.api * SHARED_PER_API + owner.slot;
            if let Some(budget) = self.shared.cells().get(place as usize) {
                budget.owner.store(u64::from(owner.group) + 1);
            }
        }
        self.ids = ids;
        Ok(())
    }
}

fn encode_name(name: &str) -> [u8; tables::NAME_BYTES] {
    let mut bytes = [0; tables::NAME_BYTES];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(tables::NAME_BYTES - 1)) {
        *to = from;
    }
    bytes
}

fn read_names(table: &Array<MapData, Name>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for id in 1..table.len() {
        let name = table.get(&id, 0).map_err(|e| failed("read the names", e))?;
        let text: Vec<u8> = name.bytes.into_iter().take_while(|&byte| byte != 0).collect();
        if text.is_empty() {
            break;
        }
        names.push(String::from_utf8_lossy(&text).into_owned());
    }
    Ok(names)
}

pub(super) fn restore_ids(
    apis: &Array<MapData, Name>,
    groups: &Array<MapData, Name>,
    shared: &Mapped<Shared>,
    max_apis: u32,
) -> Result<Ids> {
    let owner = |slot: &Slot| u32::try_from(slot.load()).ok()?.checked_sub(1);
    let owners = shared
        .cells()
        .iter()
        .enumerate()
        .filter_map(|(place, budget)| {
            let place = place as u32;
            let group = owner(&budget.owner)?;
            Some(((place / SHARED_PER_API, group), place % SHARED_PER_API))
        })
        .collect();
    Ok(Ids::restore(read_names(apis)?, read_names(groups)?, owners, max_apis))
}
