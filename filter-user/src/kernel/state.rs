//! The pinned state that all generations share: where it lies, what it holds, opening it.
//!
//! State is under a directory that carries the schema's version; links are beside it, so that an
//! upgrade which resets state still adopts the links and leaves no gap.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aya::maps::{Array, HashMap, Map, MapData, MapType};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use filter_common::limiter::{self, WAYS};
use filter_common::tables::{
    self, COUNTS_PER_API, MAX_GROUPS, META_ENFORCES, META_GENERATION, META_JIFFIES, META_MONOTONIC,
    META_OFFSET, META_SEED, META_TICK, Name, SHARED_PER_API, Shared, Tuning,
};
use filter_common::{SCHEMA, slot::Slot};

use super::bans::Bans;
use super::clock::{self, Tick};
use super::counters::Counters;
use super::error::{Error, Result};
use super::mapped::Mapped;
use super::orders::Orders;
use super::{OBJECT, host};
use crate::image::{Ids, Image};

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
    /// Share of flows in the sample, 0 to 1; at 0 the programs have no sensor.
    pub sample: f64,
    /// Whether the programs log rare events.
    pub log: bool,
}

/// Every map that is pinned, with the bytes of its values and whether `settings` size it.
const PINNED: [(&str, u32); 17] = [
    ("OVERRIDES", size_of::<tables::Override>() as u32),
    ("BAN_CONTROL", size_of::<tables::BanControl>() as u32),
    ("BAN_BITS", 8),
    ("BANS", size_of::<tables::Ban>() as u32),
    ("LIMITER", size_of::<limiter::Cell>() as u32),
    ("SHARED", size_of::<Shared>() as u32),
    ("SEEN", size_of::<filter_common::seen::Cell>() as u32),
    ("COUNTS", size_of::<tables::Count>() as u32),
    ("EGRESS", size_of::<tables::Count>() as u32),
    ("STATS", 8),
    ("RING", 0),
    ("SEQUENCE", 8),
    ("NOTICES", 8),
    ("TUNING", size_of::<Tuning>() as u32),
    ("INTERFACES", 4),
    ("API_NAMES", size_of::<Name>() as u32),
    ("GROUP_NAMES", size_of::<Name>() as u32),
];
/// As the others; apart because it says how the rest is to be read.
const META: (&str, u32) = ("META", 8);

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
    tuning: Mapped<Tuning>,
    ring: Option<MapData>,
    tick: Tick,
    ids: Ids,
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
    /// Opens the state under the pins' directory, making what is not there.
    ///
    /// # Errors
    /// When the host lacks something, or what is pinned is not what this version makes.
    pub fn open(settings: Settings) -> Result<Self> {
        host::check(&settings.pins)?;
        let directory = directory(&settings.pins);
        let mut notes = other_schemas(&settings.pins);
        std::fs::create_dir_all(&directory)
            .map_err(|e| Error::path("create", directory.as_path(), e))?;
        let adopted = directory.join(META.0).exists();

        let mut sizes = wanted_sizes(&settings);
        for (name, value_bytes) in PINNED.into_iter().chain([META]) {
            let path = directory.join(name);
            if path.exists() {
                adopt_size(name, value_bytes, &path, &mut sizes, &mut notes)?;
            }
        }
        let mut loader = EbpfLoader::new();
        configure(&mut loader, &directory, &sizes);
        let mut ebpf = loader.load(OBJECT).map_err(|e| {
            Error::new(format!("cannot create the maps under {}", directory.display())).because(e)
        })?;

        let mut meta: Array<_, u64> = typed(&mut ebpf, META.0)?;
        if get(&meta, META_SEED)? == 0 {
            set(&mut meta, META_SEED, random_seed()?)?;
        }
        let seed = get(&meta, META_SEED)?;
        let tick = match (get(&meta, META_TICK)?, get(&meta, META_OFFSET)?) {
            (length, offset) if length != 0 => Tick { length: length as u32, offset },
            _ => measure(&mut ebpf, &mut meta)?,
        };
        let api_names = typed(&mut ebpf, "API_NAMES")?;
        let group_names = typed(&mut ebpf, "GROUP_NAMES")?;
        let shared = mapped(&ebpf, "SHARED")?;
        let ids = restore_ids(&api_names, &group_names, &shared, sizes["API_NAMES"])?;
        let ring = match take(&mut ebpf, "RING")? {
            Map::RingBuf(data) => Some(data),
            _ => None,
        };
        let state = Self {
            directory,
            meta,
            api_names,
            group_names,
            interfaces: typed(&mut ebpf, "INTERFACES")?,
            shared,
            tuning: mapped(&ebpf, "TUNING")?,
            ring,
            tick,
            ids,
            bans: Bans::open(
                typed(&mut ebpf, "BANS")?,
                mapped(&ebpf, "BAN_BITS")?,
                typed(&mut ebpf, "BAN_CONTROL")?,
                seed,
                sizes["BANS"],
            )?,
            orders: Orders::open(mapped(&ebpf, "OVERRIDES")?),
            counters: Counters::open(
                typed(&mut ebpf, "COUNTS")?,
                typed(&mut ebpf, "EGRESS")?,
                typed(&mut ebpf, "STATS")?,
            ),
            notes,
            adopted,
            sizes,
            settings,
        };
        state.set_sample(state.settings.sample);
        Ok(state)
    }

    /// Prepares a loader so that its programs use this state.
    pub(super) fn share_with(&self, loader: &mut EbpfLoader<'_>) {
        configure(loader, &self.directory, &self.sizes);
    }

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
    pub(super) fn next_generation(&mut self) -> Result<u32> {
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

    /// Sets the share of flows in the sample.
    pub fn set_sample(&self, share: f64) {
        let below = (share.clamp(0.0, 1.0) * (1u64 << 32) as f64) as u64;
        if let Some(tuning) = self.tuning.cells().first() {
            tuning.sample_below.store(below);
        }
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

    /// How full the maps are that can fill up.
    pub fn map_uses(&self) -> Vec<MapUse> {
        let entries = [
            ("BANS", Some(self.bans.len() as u64)),
            ("API_NAMES", Some(self.ids.apis().count() as u64 + 1)),
            ("GROUP_NAMES", Some(self.ids.groups().count() as u64 + 1)),
        ];
        entries
            .into_iter()
            .map(|(name, entries)| MapUse {
                name: name.to_lowercase(),
                entries,
                capacity: u64::from(self.sizes[name]),
            })
            .chain([MapUse {
                name: "limiter".to_owned(),
                entries: None,
                capacity: u64::from(self.sizes["LIMITER"]) * WAYS as u64,
            }])
            .collect()
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

fn wanted_sizes(settings: &Settings) -> BTreeMap<&'static str, u32> {
    let apis = settings.max_apis.max(2);
    let cells = settings.sources.max(1).div_ceil(WAYS as u32).next_power_of_two();
    BTreeMap::from([
        ("OVERRIDES", apis),
        ("BANS", settings.max_bans.max(1)),
        ("LIMITER", cells),
        ("SHARED", apis * SHARED_PER_API),
        ("COUNTS", apis * COUNTS_PER_API),
        ("EGRESS", apis),
        ("RING", settings.ring_bytes),
        ("API_NAMES", apis),
        ("GROUP_NAMES", MAX_GROUPS),
    ])
}

/// Compares a pinned map with what this version makes, which aya does not, and keeps its size.
fn adopt_size(
    name: &'static str,
    value_bytes: u32,
    path: &Path,
    sizes: &mut BTreeMap<&'static str, u32>,
    notes: &mut Vec<String>,
) -> Result<()> {
    let data = MapData::from_pin(path).map_err(|e| Error::path("open the pinned map", path, e))?;
    let info = data.info().map_err(|e| Error::path("inspect the pinned map", path, e))?;
    let is_ring = matches!(info.map_type(), Ok(MapType::RingBuf));
    if info.value_size() != value_bytes || is_ring != (name == "RING") {
        return Err(Error::new(format!(
            "{} is not a map of this version: its values have {} bytes, not {value_bytes}",
            path.display(),
            info.value_size()
        ))
        .hint("`weir detach` removes it, with the bans and counters it holds"));
    }
    if let Some(wanted) = sizes.get_mut(name)
        && *wanted != info.max_entries()
    {
        notes.push(format!(
            "map {} keeps its size of {} (asked for: {wanted}); `weir detach` and a new start \
             change it",
            name.to_lowercase(),
            info.max_entries()
        ));
        *wanted = info.max_entries();
    }
    Ok(())
}

/// State of other schemas, which is not read.
fn other_schemas(pins: &Path) -> Vec<String> {
    let own = format!("v{SCHEMA}");
    let Ok(entries) = std::fs::read_dir(pins) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with('v') && *name != own)
        .map(|name| {
            format!(
                "bans, limits, orders and counters of schema {name} are not carried over: this \
                 version has schema {own}"
            )
        })
        .collect()
}

fn configure(loader: &mut EbpfLoader<'_>, directory: &Path, sizes: &BTreeMap<&'static str, u32>) {
    for (name, _) in PINNED.into_iter().chain([META]) {
        loader.map_pin_path(name, directory.join(name));
    }
    for (&name, &size) in sizes {
        loader.map_max_entries(name, size);
    }
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).ok_or_else(|| Error::new(format!("the object has no map {name}")))
}

fn typed<T: TryFrom<Map, Error = aya::maps::MapError>>(ebpf: &mut Ebpf, name: &str) -> Result<T> {
    T::try_from(take(ebpf, name)?)
        .map_err(|e| Error::new(format!("map {name} is not what it should be")).because(e))
}

fn mapped<T: super::mapped::Cell>(ebpf: &Ebpf, name: &str) -> Result<Mapped<T>> {
    let map = ebpf.map(name).ok_or_else(|| Error::new(format!("the object has no map {name}")))?;
    Mapped::new(name, map)
}

fn random_seed() -> Result<u64> {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is valid for its length.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got != 8 {
        return Err(
            Error::new("cannot draw a random seed").because(std::io::Error::last_os_error())
        );
    }
    Ok(u64::from_ne_bytes(bytes).max(1))
}

/// Measures the jiffy by running the clock program.
fn measure(ebpf: &mut Ebpf, meta: &mut Array<MapData, u64>) -> Result<Tick> {
    let failed = |e| Error::new("cannot run the clock program").because(e);
    let program: &mut Xdp = ebpf
        .program_mut("weir_clock")
        .ok_or_else(|| Error::new("the object has no clock program"))?
        .try_into()
        .map_err(failed)?;
    program.load().map_err(failed)?;
    let frame = [0u8; 64];
    let tick = clock::measure(|| {
        let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() };
        program.test_run(options).map_err(failed)?;
        Ok::<_, Error>((get(meta, META_JIFFIES)?, get(meta, META_MONOTONIC)?))
    })?
    .ok_or_else(|| {
        Error::new("the kernel's tick fits none of 100, 250, 300 and 1000 Hz")
            .hint("report this with the output of `weir doctor --json`")
    })?;
    set(meta, META_OFFSET, tick.offset)?;
    set(meta, META_TICK, u64::from(tick.length))?;
    Ok(tick)
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

fn restore_ids(
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
