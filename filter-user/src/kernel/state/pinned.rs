//! Which maps are pinned, how large they are, and what is found under the pins already.

use std::collections::BTreeMap;
use std::path::Path;

use aya::maps::{Map, MapData, MapType};
use aya::{Ebpf, EbpfLoader};
use filter_common::SCHEMA;
use filter_common::limiter::{self, WAYS};
use filter_common::tables::{self, COUNTS_PER_API, MAX_GROUPS, Name, SHARED_PER_API, Shared};

use super::Settings;
use crate::kernel::error::{Error, Result};
use crate::kernel::mapped::{Cell, Mapped};

/// Every map that is pinned, with the bytes of its values and whether `settings` size it.
pub(super) const PINNED: [(&str, u32); 18] = [
    ("OVERRIDES", size_of::<tables::Override>() as u32),
    ("CONTROL", size_of::<tables::Control>() as u32),
    ("BAN_BITS", 8),
    ("BANS", size_of::<tables::Ban>() as u32),
    ("OWN", 4),
    ("LIMITER", size_of::<limiter::Cell>() as u32),
    ("SHARED", size_of::<Shared>() as u32),
    ("SEEN", size_of::<filter_common::seen::Cell>() as u32),
    ("COUNTS", size_of::<tables::Count>() as u32),
    ("EGRESS", size_of::<tables::Count>() as u32),
    ("STATS", 8),
    ("RING", 0),
    ("SEQUENCE", 8),
    ("TURNS", 8),
    ("NOTICES", 8),
    ("INTERFACES", 4),
    ("API_NAMES", size_of::<Name>() as u32),
    ("GROUP_NAMES", size_of::<Name>() as u32),
];
/// As the others; apart because it says how the rest is to be read.
pub(super) const META: (&str, u32) = ("META", 8);

pub(super) fn wanted_sizes(settings: &Settings) -> BTreeMap<&'static str, u32> {
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
pub(super) fn adopt_size(
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
pub(super) fn other_schemas(pins: &Path) -> Vec<String> {
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

pub(super) fn configure(
    loader: &mut EbpfLoader<'_>,
    directory: &Path,
    sizes: &BTreeMap<&'static str, u32>,
) {
    for (name, _) in PINNED.into_iter().chain([META]) {
        loader.map_pin_path(name, directory.join(name));
    }
    for (&name, &size) in sizes {
        loader.map_max_entries(name, size);
    }
}

pub(super) fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).ok_or_else(|| Error::new(format!("the object has no map {name}")))
}

pub(super) fn typed<T: TryFrom<Map, Error = aya::maps::MapError>>(
    ebpf: &mut Ebpf,
    name: &str,
) -> Result<T> {
    T::try_from(take(ebpf, name)?)
        .map_err(|e| Error::new(format!("map {name} is not what it should be")).because(e))
}

pub(super) fn mapped<T: Cell>(ebpf: &Ebpf, name: &str) -> Result<Mapped<T>> {
    let map = ebpf.map(name).ok_or_else(|| Error::new(format!("the object has no map {name}")))?;
    Mapped::new(name, map)
}

/// Whether a map is shared by all generations.
pub(in crate::kernel) fn is_pinned(map: &str) -> bool {
    PINNED.iter().chain([&META]).any(|(name, _)| *name == map)
}
