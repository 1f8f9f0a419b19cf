//! The pinned state that all generations share: where it lies and what it holds.
//!
//! State is under a directory that carries the schema's version; links are beside it, so that an
//! upgrade which resets state still adopts the links and leaves no gap.

mod names;
mod open;
mod pinned;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aya::maps::{Array, HashMap, Map, MapData};
use filter_common::SCHEMA;
use filter_common::gcra::GRAINS_PER_NS;
use filter_common::limiter::WAYS;
use filter_common::seen::{self, WAYS as SEEN_WAYS};
use filter_common::slot::Slot;
use filter_common::stat::Stat;
use filter_common::tables::{
    CONTROL_SAMPLE, CONTROL_WORDS, META_ENFORCES, META_GENERATION, META_SEED, NOTICE_CELLS,
    NOTICE_WINDOW_SHIFT, Name, SEEN_CELLS, Shared,
};

use super::bans::Bans;
use super::clock::{self, Tick};
use super::counters::Counters;
use super::error::{Error, Result};
use super::mapped::Mapped;
use super::orders::Orders;
use super::own::Own;
use crate::image::Ids;
use pinned::META;
pub(super) use pinned::is_pinned;

/// What the operator decides about the kernel half.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory of the pins, on a BPF file system.
    pub pins: PathBuf,
    /// APIs there can be in a boot, with id 0 among them.
    pub max_apis: u32,
    /// Bans there can be.
    pub max_bans: u32,
    /// Sources whose limits are kept exactly; rounded up to a power of two.
    pub sources: u32,
    /// Size of the ring in bytes, a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// Payload bytes a sample may carry.
    pub snap: u32,
    /// Payload bytes of a turn that samples may carry.
    pub turn: u32,
    /// Share of flows in the sample, 0 to 1; at 0 the programs have no sensor.
    pub sample: f64,
    /// Whether the programs log rare events.
    pub log: bool,
}

/// Sets the share of flows in the sample, while others hold the state.
#[derive(Clone, Debug)]
pub struct Sampler(Arc<Mapped<[Slot; CONTROL_WORDS]>>);

impl Sampler {
    /// From now on this share of flows, 0 to 1.
    pub fn set(&self, share: f64) {
        if let Some(words) = self.0.cells().first() {
            words[CONTROL_SAMPLE].store(sample_below(share));
        }
    }
}

/// The flows in a sample of this share: those whose hash has its upper 32 bits below this.
pub fn sample_below(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * (1u64 << 32) as f64) as u64
}

/// Interfaces that can be gated, as the map is declared.
const INTERFACES: u64 = 256;

/// Entries of a map and what it can hold.
#[derive(Clone, Debug)]
pub struct MapUse {
    /// Its name in lower case.
    pub name: String,
    /// Entries in use, where that can be told.
    pub entries: Option<u64>,
    /// Entries there can be.
    pub capacity: u64,
}

/// The open state.
pub struct State {
    /// The settings it was opened with.
    pub settings: Settings,
    directory: PathBuf,
    sizes: BTreeMap<&'static str, u32>,
    meta: Array<MapData, u64>,
    api_names: Array<MapData, Name>,
    group_names: Array<MapData, Name>,
    interfaces: HashMap<MapData, u32, u32>,
    shared: Mapped<Shared>,
    control: Arc<Mapped<[Slot; CONTROL_WORDS]>>,
    seen: Mapped<seen::Cell>,
    notices: Mapped<Slot>,
    ring: Option<MapData>,
    tick: Tick,
    ids: Ids,
    /// This host's own addresses.
    pub own: Own,
    /// Bans.
    pub bans: Bans,
    /// Orders about APIs.
    pub orders: Orders,
    /// Counters.
    pub counters: Counters,
    /// What was found that differs from what was asked for, in sentences.
    pub notes: Vec<String>,
    /// Whether there was state before.
    pub adopted: bool,
}

impl State {
    /// The length and origin of a jiffy.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// The seed of all hashes.
    ///
    /// # Errors
    /// When the kernel does not give it.
    pub fn seed(&self) -> Result<u64> {
        get(&self.meta, META_SEED)
    }

    /// The number of the last generation that was loaded; 0 before the first.
    ///
    /// # Errors
    /// When the kernel does not give it.
    pub fn generation(&self) -> Result<u32> {
        Ok(get(&self.meta, META_GENERATION)? as u32)
    }

    /// Whether the generation that was put in force last drops anything: what a restart must not
    /// undo by accident.
    ///
    /// # Errors
    /// When the kernel does not give it.
    pub fn enforces(&self) -> Result<bool> {
        Ok(get(&self.meta, META_ENFORCES)? != 0)
    }

    /// Notes what [`Self::enforces`] tells.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn note_enforces(&mut self, enforces: bool) -> Result<()> {
        set(&mut self.meta, META_ENFORCES, u64::from(enforces))
    }

    /// The same on pinned state that no daemon has open.
    ///
    /// # Errors
    /// When it is not there, or the kernel refuses.
    pub fn note_enforces_at(pins: &Path, enforces: bool) -> Result<()> {
        let path = directory(pins).join(META.0);
        let data = MapData::from_pin(&path).map_err(|e| Error::path("open", &path, e))?;
        let mut meta = Array::try_from(Map::Array(data)).map_err(|e| failed("use META", e))?;
        set(&mut meta, META_ENFORCES, u64::from(enforces))
    }

    /// Takes the next generation's number.
    pub(in crate::kernel) fn next_generation(&mut self) -> Result<u32> {
        let next = self.generation()?.wrapping_add(1).max(1);
        set(&mut self.meta, META_GENERATION, u64::from(next))?;
        Ok(next)
    }

    /// Cells of the limiter.
    pub fn limiter_cells(&self) -> u32 {
        self.sizes["LIMITER"]
    }

    /// The ids.
    pub fn ids_ref(&self) -> &Ids {
        &self.ids
    }

    /// A copy of the ids, for a compiler to extend.
    pub fn ids(&self) -> Ids {
        self.ids.clone()
    }

    /// Sets the share of flows in the sample.
    pub fn set_sample(&self, share: f64) {
        self.sampler().set(share);
    }

    /// Who sets the share of flows in the sample.
    pub fn sampler(&self) -> Sampler {
        Sampler(Arc::clone(&self.control))
    }

    /// Bytes of the ring.
    pub fn ring_bytes(&self) -> u32 {
        self.sizes["RING"]
    }

    /// The ring, once.
    pub fn take_ring(&mut self) -> Option<MapData> {
        self.ring.take()
    }

    /// Notes that packets are judged where they come in by these interfaces, and by no other.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn gate_interfaces(&mut self, indices: &[u32]) -> Result<()> {
        for index in indices {
            self.interfaces.insert(index, 1, 0).map_err(|e| failed("note a gated interface", e))?;
        }
        let gone: Vec<u32> =
            self.interfaces.keys().flatten().filter(|known| !indices.contains(known)).collect();
        for index in gone {
            // Whoever else removed it did what was wanted.
            let _gone = self.interfaces.remove(&index);
        }
        Ok(())
    }

    /// UDP flows this host has sent on whose answers are known now.
    fn flows_known(&self) -> u64 {
        let second = (clock::boot_ns() / 1_000_000_000) as u32;
        let known = |cell: &seen::Cell| cell.known(second) as u64;
        self.seen.cells().iter().map(known).sum()
    }

    /// Cells that hold back a further notice in this window.
    fn notices_held(&self) -> u64 {
        let grains = clock::monotonic_ns().wrapping_mul(GRAINS_PER_NS);
        let window = (grains >> NOTICE_WINDOW_SHIFT) as u32;
        let holds = |cell: &&Slot| cell.load() as u32 == window;
        self.notices.cells().iter().filter(holds).count() as u64
    }

    /// How full each map is; the ring with so many bytes waiting in it. What the kernel does not give
    /// is left out.
    pub fn map_uses(&self, ring: u64) -> Vec<MapUse> {
        let size = |name: &str| self.sizes.get(name).map_or(0, |size| u64::from(*size));
        let ways = size("LIMITER") * WAYS as u64;
        let claimed = self.counters.stat(Stat::LimiterClaimed).ok();
        let shared = self.shared.cells().iter().filter(|budget| budget.owner.load() != 0).count();
        let apis = self.ids.apis().count() as u64 + 1;
        let ordered = self.ids.apis().filter(|(id, _)| !self.orders.of(*id).is_empty()).count();
        let gated = self.interfaces.keys().count();
        [
            ("bans", Some(self.bans.len() as u64), size("BANS")),
            ("api_names", Some(apis), size("API_NAMES")),
            ("group_names", Some(self.ids.groups().count() as u64 + 1), size("GROUP_NAMES")),
            ("overrides", Some(ordered as u64), size("OVERRIDES")),
            ("shared", Some(shared as u64), size("SHARED")),
            ("interfaces", Some(gated as u64), INTERFACES),
            // A way is never given back: what was claimed once is held, by an idle source perhaps.
            ("limiter", claimed.map(|claimed| claimed.min(ways)), ways),
            ("ring", Some(ring), size("RING")),
            ("seen", Some(self.flows_known()), u64::from(SEEN_CELLS) * SEEN_WAYS as u64),
            ("notices", Some(self.notices_held()), u64::from(NOTICE_CELLS)),
        ]
        .map(|(name, entries, capacity)| MapUse { name: name.to_owned(), entries, capacity })
        .into()
    }
}

/// Where the state of this schema lies.
pub fn directory(pins: &Path) -> PathBuf {
    pins.join(format!("v{SCHEMA}"))
}

fn failed(doing: &str, cause: impl std::error::Error) -> Error {
    Error::new(format!("cannot {doing} in the kernel")).because(cause)
}

fn get(meta: &Array<MapData, u64>, cell: u32) -> Result<u64> {
    meta.get(&cell, 0).map_err(|e| failed("read the state's own facts", e))
}

fn set(meta: &mut Array<MapData, u64>, cell: u32, value: u64) -> Result<()> {
    meta.set(cell, value, 0).map_err(|e| failed("write the state's own facts", e))
}
