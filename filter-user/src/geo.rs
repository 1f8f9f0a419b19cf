//! Where a source is: its country and its autonomous system, out of databases in MaxMind's format.
//!
//! A database that is not there is a state, not an error: everything else goes on without it. One
//! that changed is read again; when it cannot be read, what was read before stays.

mod database;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Serialize, Serializer};

use crate::config;
pub use database::{Database, Status};

/// An ISO 3166-1 alpha-2 code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// A source of which the database says nothing: the code that ISO 3166 leaves to users, and
    /// Unicode's CLDR to what is unknown.
    pub const UNKNOWN: Self = Self(*b"ZZ");

    /// Two letters; `None` for anything else.
    pub fn of(text: &str) -> Option<Self> {
        let code: [u8; 2] = text.as_bytes().try_into().ok()?;
        let letters = code.iter().all(u8::is_ascii_alphabetic);
        letters.then(|| Self(code.map(|letter| letter.to_ascii_uppercase())))
    }

    /// As two letters.
    pub const fn code(self) -> [u8; 2] {
        self.0
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Both databases, as they are now.
#[derive(Debug)]
pub struct Geo {
    country: RwLock<Arc<Database>>,
    asn: RwLock<Arc<Database>>,
    generation: AtomicU64,
}

impl Geo {
    /// Reads what the settings name.
    pub fn new(settings: &config::Geo) -> Self {
        let read = |path: Option<&Path>| RwLock::new(Arc::new(Database::read(path)));
        Self {
            country: read(settings.country.as_deref()),
            asn: read(settings.asn.as_deref()),
            generation: AtomicU64::new(0),
        }
    }

    /// Reads again what changed; true when something else is said of sources now.
    pub fn refresh(&self) -> bool {
        let mut changed = false;
        for slot in [&self.country, &self.asn] {
            // Read without the lock: it takes a while.
            if let Some(new) = current(slot).again() {
                *slot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                changed = true;
            }
        }
        if changed {
            self.generation.fetch_add(1, Ordering::Release);
        }
        changed
    }

    /// Another number whenever something else may be said of sources.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The country of an address: `None` without a database, [`Country::UNKNOWN`] when it says
    /// nothing.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        let database = current(&self.country);
        database.is_there().then(|| database.country(address).unwrap_or(Country::UNKNOWN))
    }

    /// The autonomous system of an address, when that is known.
    pub fn asn(&self, address: IpAddr) -> Option<u32> {
        current(&self.asn).asn(address)
    }

    /// Whether there is anything to ask.
    pub fn is_there(&self) -> bool {
        current(&self.country).is_there() || current(&self.asn).is_there()
    }

    /// How the databases are: of countries, of autonomous systems.
    pub fn status(&self) -> [Status; 2] {
        [current(&self.country).status(), current(&self.asn).status()]
    }
}

fn current(slot: &RwLock<Arc<Database>>) -> Arc<Database> {
    Arc::clone(&slot.read().unwrap_or_else(PoisonError::into_inner))
}
