//! Countries of the sources seen lately: looking one up in a database takes a microsecond.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::geo::{Country, Geo};

/// Sources that are remembered.
const MOST: usize = 16_384;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Places {
    countries: HashMap<IpAddr, Option<Country>>,
    generation: u64,
}

impl Places {
    /// The country of a source; `None` without a database.
    pub(super) fn country(&mut self, geo: &Geo, source: IpAddr) -> Option<Country> {
        let generation = geo.generation();
        if generation != self.generation || self.countries.len() >= MOST {
            self.generation = generation;
            self.countries.clear();
        }
        *self.countries.entry(source).or_insert_with(|| geo.country(source))
    }
}
