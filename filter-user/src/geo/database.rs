//! One database.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use maxminddb::{PathElement, Reader};
use serde::Serialize;

use super::Country;
use crate::text::{read_regular, reason};

/// The largest database that is read: all of it is held in memory.
const MAX_BYTES: u64 = 512 << 20;

/// Where a country is written: as MaxMind does, then as others.
const COUNTRY: [&[&str]; 3] = [&["country", "iso_code"], &["country_code"], &["country"]];
/// Where the number of an autonomous system is.
const ASN: [&[&str]; 2] = [&["autonomous_system_number"], &["asn"]];

/// By what a changed file is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let about = std::fs::metadata(path).ok()?;
        let changed = (about.mtime(), about.mtime_nsec());
        Some(Self { inode: about.ino(), size: about.len(), changed })
    }
}

/// How a database is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Where it is; `None`: the settings name none.
    pub path: Option<PathBuf>,
    /// Its type, as it says itself; `None`: nothing was read.
    pub kind: Option<String>,
    /// When it was built, seconds since 1970.
    pub built: Option<u64>,
    /// Why nothing, or nothing newer, was read.
    pub problem: Option<String>,
}

impl Status {
    /// The state in a word: `none`, `absent`, `loaded` or `kept`.
    pub fn state(&self) -> &'static str {
        match (&self.path, &self.kind, &self.problem) {
            (None, ..) => "none",
            (_, None, _) => "absent",
            (_, Some(_), None) => "loaded",
            (_, Some(_), Some(_)) => "kept",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Database {
    path: Option<PathBuf>,
    reader: Option<std::sync::Arc<Reader<Vec<u8>>>>,
    stamp: Option<Stamp>,
    problem: Option<String>,
}

impl Database {
    /// Reads the one at a path, if there is one.
    pub fn read(path: Option<&Path>) -> Self {
        let path = path.map(Path::to_owned);
        let mut database = Self { path, reader: None, stamp: None, problem: None };
        database.fill();
        database
    }

    /// The one that is there now, when that is another file; what was read stays when it is not one.
    pub(super) fn again(&self) -> Option<Self> {
        let path = self.path.as_ref()?;
        if Stamp::of(path) == self.stamp {
            return None;
        }
        let mut database = Self {
            path: self.path.clone(),
            reader: self.reader.clone(),
            stamp: None,
            problem: None,
        };
        database.fill();
        Some(database)
    }

    fn fill(&mut self) {
        let Some(path) = &self.path else { return };
        self.stamp = Stamp::of(path);
        let read =
            read_regular(path, MAX_BYTES).map_err(|error| reason(&error)).and_then(|bytes| {
                let reader = Reader::from_source(bytes).map_err(|error| error.to_string())?;
                // A tree that leads nowhere is found now, not when a source is asked for.
                reader.verify().map_err(|error| error.to_string())?;
                Ok(reader)
            });
        match read {
            Ok(reader) => self.reader = Some(std::sync::Arc::new(reader)),
            Err(problem) => {
                let kept = if self.reader.is_some() { "; what was read before stays" } else { "" };
                let problem = format!("cannot read {}: {problem}{kept}", path.display());
                tracing::warn!("{problem}");
                self.problem = Some(problem);
            }
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.reader.is_some()
    }

    pub(super) fn country(&self, address: IpAddr) -> Option<Country> {
        let found = self.reader.as_ref()?.lookup(address).ok()?;
        COUNTRY.iter().find_map(|path| {
            let path: Vec<_> = path.iter().map(|key| PathElement::Key(key)).collect();
            Country::of(found.decode_path::<&str>(&path).ok()??)
        })
    }

    pub(super) fn asn(&self, address: IpAddr) -> Option<u32> {
        let found = self.reader.as_ref()?.lookup(address).ok()?;
        ASN.iter().find_map(|path| {
            let path: Vec<_> = path.iter().map(|key| PathElement::Key(key)).collect();
            found.decode_path(&path).ok()?
        })
    }

    /// How it is.
    pub fn status(&self) -> Status {
        let metadata = self.reader.as_ref().map(|reader| reader.metadata());
        Status {
            path: self.path.clone(),
            kind: metadata.map(|about| about.database_type.chars().take(100).collect()),
            built: metadata.map(|about| about.build_epoch),
            problem: self.problem.clone(),
        }
    }
}
