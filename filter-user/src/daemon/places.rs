//! Countries and networks of the sources seen lately: looking one up in a database takes a microsecond.

use std::net::IpAddr;

use hashbrown::HashMap;

use crate::detect::Origin;
use crate::geo::{Country, Geo};

/// Sources that are remembered.
const MOST: usize = 16_384;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Places {
    known: HashMap<IpAddr, (Option<Country>, Option<u32>)>,
    generation: u64,
}

impl Places {
    /// The country of a source, `None` without a database, and its autonomous system.
    pub(super) fn of(&mut self, geo: &Geo, source: IpAddr) -> (Option<Country>, Option<u32>) {
        let generation = geo.generation();
        if generation != self.generation || self.known.len() >= MOST {
            self.generation = generation;
            self.known.clear();
        }
        *self.known.entry(source).or_insert_with(|| (geo.country(source), geo.asn(source)))
    }
}

/// A place for detectors, who know nothing of what the database does not.
pub(super) fn origin((country, asn): (Option<Country>, Option<u32>)) -> Origin {
    let country = country.filter(|country| *country != Country::UNKNOWN);
    Origin { country: country.map(Country::code), asn }
}
