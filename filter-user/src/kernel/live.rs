//! The verdict's tables as the loaded program sees them: single cells, read from the maps of a
//! generation when the verdict asks.
//!
//! The verdict charges limits and counts a ban's hits as it goes. Here it does so to copies that end
//! with the [`Live`], so that asking changes nothing that the kernel goes by.

use std::cell::{Cell, OnceCell, RefCell};

use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData, MapError};
use filter_common::addr::Addr;
use filter_common::classify::{ClassTables, Node};
use filter_common::gcra::GRAINS_PER_NS;
use filter_common::limiter::{self, Way};
use filter_common::seen;
use filter_common::slot::Slot;
use filter_common::stat::Stat;
use filter_common::tables::{
    Api, Ban, BanControl, BanKey, CONTROL_WORDS, ClassGroups, Config, Control, Listen, Override,
    Profile, Rule, Shared, feature,
};
use filter_common::verdict::{Step, Tables};

use super::agreement;
use super::clock;
use super::error::{Error, Result};
use super::generation::Generation;
use super::mapped;
use super::netlink::LOOPBACK;
use super::whole::Whole;

/// What was read once, by its key, so that it can be referred to and reads the same again.
#[derive(Debug)]
struct Kept<K, V>(OnceCell<Box<(K, V, Self)>>);

impl<K: PartialEq, V> Kept<K, V> {
    const fn new() -> Self {
        Self(OnceCell::new())
    }

    fn get(&self, key: K, read: impl FnOnce() -> V) -> &V {
        let mut at = self;
        while let Some(kept) = at.0.get() {
            if kept.0 == key {
                return &kept.1;
            }
            at = &kept.2;
        }
        &at.0.get_or_init(|| Box::new((key, read(), Self::new()))).1
    }
}

/// An array of the generation whose cells are words to the library and a `T` here.
struct Table<'g, W: Pod, T> {
    cells: Array<&'g MapData, W>,
    kept: Kept<u32, Option<T>>,
    make: fn(W) -> T,
}

/// The tables of a generation at one moment, on one interface.
pub struct Live<'g> {
    config: &'g Config,
    interface: u32,
    now: u64,
    boot_ns: u64,
    listener: &'g dyn Fn(Step<'_>),
    v4_top: Array<&'g MapData, u64>,
    v6_root: Array<&'g MapData, u64>,
    entries: Array<&'g MapData, u64>,
    nodes: Table<'g, Node, Node>,
    ports: Vec<u16>,
    listens: Table<'g, Listen, Listen>,
    apis: Vec<Api>,
    rules: Vec<Rule>,
    profiles: Vec<Profile>,
    class_groups: Table<'g, ClassGroups, ClassGroups>,
    overrides: Table<'g, [u64; 16], Override>,
    control: Table<'g, [u64; CONTROL_WORDS], Control>,
    ban_bits: Array<&'g MapData, u64>,
    bans: HashMap<&'g MapData, BanKey, [u64; 4]>,
    own: HashMap<&'g MapData, Addr, u32>,
    kept_bans: Kept<BanKey, Option<Ban>>,
    limiter: Table<'g, [u64; 16], limiter::Cell>,
    shared: Table<'g, [u64; 4], Shared>,
    seen: Table<'g, [u64; 4], seen::Cell>,
    bumped: RefCell<Vec<Stat>>,
    failure: Cell<Option<MapError>>,
}

impl Generation {
    /// CLOCK_MONOTONIC, given in ns, as the limits of this generation see it, in grains.
    pub fn grains(&self, ns: u64) -> u64 {
        grains(&self.config, ns)
    }

    /// The tables of this generation, as a packet meets them that comes in at a time in
    /// [`Self::grains`] by the interface with this index. `listener` is told of each stage's finding.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn live<'g>(
        &'g self,
        interface: u32,
        now: u64,
        listener: &'g dyn Fn(Step<'_>),
    ) -> Result<Live<'g>> {
        Ok(Live {
            config: &self.config,
            interface,
            now,
            boot_ns: clock::boot_ns(),
            listener,
            v4_top: self.typed("V4_TOP")?,
            v6_root: self.typed("V6_ROOT")?,
            entries: self.typed("ENTRIES")?,
            nodes: self.table("NODES", |cell| cell)?,
            ports: self.whole(agreement::PORTS)?,
            listens: self.table("LISTENS", |cell| cell)?,
            apis: self.whole(agreement::APIS)?,
            rules: self.whole(agreement::RULES)?,
            profiles: self.whole(agreement::PROFILES)?,
            class_groups: self.table("CLASS_GROUPS", |cell| cell)?,
            overrides: self.table("OVERRIDES", order)?,
            control: self.table("CONTROL", control)?,
            ban_bits: self.typed("BAN_BITS")?,
            bans: self.typed("BANS")?,
            own: self.typed("OWN")?,
            kept_bans: Kept::new(),
            limiter: self.table("LIMITER", ways)?,
            shared: self.table("SHARED", budget)?,
            seen: self
                .table("SEEN", |words: [u64; 4]| seen::Cell { ways: words.map(Slot::new) })?,
            bumped: RefCell::default(),
            failure: Cell::default(),
        })
    }

    fn typed<'g, T: TryFrom<&'g Map, Error = MapError>>(&'g self, name: &str) -> Result<T> {
        T::try_from(self.map(name)?)
            .map_err(|e| Error::new(format!("map {name} is not what it should be")).because(e))
    }

    /// A table that is a section: all of it, as it is now.
    fn whole<T: mapped::Cell + Copy>(&self, name: &'static str) -> Result<Vec<T>> {
        let table = Whole::new(name, self.map(name)?)?;
        table.read().map_err(|e| Error::new(format!("cannot read map {name}")).because(e))
    }

    fn table<W: Pod, T>(&self, name: &str, make: fn(W) -> T) -> Result<Table<'_, W, T>> {
        Ok(Table { cells: self.typed(name)?, kept: Kept::new(), make })
    }
}

/// To the tick, unless the program was loaded with the exact clock.
fn grains(config: &Config, ns: u64) -> u64 {
    if config.features & feature::EXACT_CLOCK != 0 || config.tick == 0 {
        return ns.wrapping_mul(GRAINS_PER_NS);
    }
    let since = ns.wrapping_sub(config.jiffies_offset);
    ns.wrapping_sub(since % u64::from(config.tick)).wrapping_mul(GRAINS_PER_NS)
}

fn ways(words: [u64; 16]) -> limiter::Cell {
    let slot = |place: usize| Slot::new(words.get(place).copied().unwrap_or(0));
    let way = |way: usize| Way { fingerprint: slot(2 * way), arrival: slot(2 * way + 1) };
    limiter::Cell { ways: std::array::from_fn(way) }
}

fn budget(words: [u64; 4]) -> Shared {
    let [owner, packets, bytes, connections] = words.map(Slot::new);
    Shared { owner, arrivals: [packets, bytes, connections] }
}

fn control(words: [u64; CONTROL_WORDS]) -> Control {
    let mut words = words.into_iter();
    let mut next = || words.next().unwrap_or(0);
    let [exact, v4, v6, orders, sample_below] = [next(), next(), next(), next(), next()];
    Control {
        bans: BanControl { exact, v4: v4.to_ne_bytes(), v6: v6.to_ne_bytes(), orders },
        sample_below: Slot::new(sample_below),
        reserved: std::array::from_fn(|_| next()),
        own_bits: std::array::from_fn(|_| next()),
        notices: Slot::new(next()),
        unused: [0; 7],
    }
}

fn ban(words: [u64; 4]) -> Ban {
    let [until, hits, since, flags] = words.map(Slot::new);
    Ban { until, hits, since, flags }
}

fn order(words: [u64; 16]) -> Override {
    let [
        shutdown_until,
        lockdown_until,
        lockdown_group,
        lockdown_flags,
        mode_until,
        mode,
        limit_until,
        limit_mul,
        limit_tau,
        limit_ceiling,
        limit_shift,
        limit_flags,
        reserved @ ..,
    ] = words.map(Slot::new);
    Override {
        shutdown_until,
        lockdown_until,
        lockdown_group,
        lockdown_flags,
        mode_until,
        mode,
        limit_until,
        limit_mul,
        limit_tau,
        limit_ceiling,
        limit_shift,
        limit_flags,
        reserved,
    }
}

impl Live<'_> {
    /// What the program would have counted about itself, in order.
    pub fn bumped(&self) -> Vec<Stat> {
        self.bumped.borrow().clone()
    }

    /// What could not be read meanwhile: the verdict is then not to be trusted.
    ///
    /// # Errors
    /// The first that was.
    pub fn whole(&self) -> Result<()> {
        match self.failure.take() {
            Some(error) => {
                Err(Error::new("a table of the loaded program cannot be read").because(error))
            }
            None => Ok(()),
        }
    }

    /// A cell, or none where there is none.
    fn found<V>(&self, read: std::result::Result<V, MapError>) -> Option<V> {
        match read {
            Ok(value) => Some(value),
            Err(MapError::OutOfBounds { .. } | MapError::KeyNotFound) => None,
            Err(error) => {
                self.failure.set(Some(error));
                None
            }
        }
    }

    fn word(&self, table: &Array<&MapData, u64>, index: u32) -> u64 {
        self.found(table.get(&index, 0)).unwrap_or(0)
    }

    fn cell<'t, W: Pod, T>(&self, table: &'t Table<'_, W, T>, index: u32) -> Option<&'t T> {
        let read = || self.found(table.cells.get(&index, 0)).map(table.make);
        table.kept.get(index, read).as_ref()
    }
}

impl ClassTables for Live<'_> {
    fn v4_top(&self, index: u32) -> u64 {
        self.word(&self.v4_top, index)
    }

    fn v6_root(&self, index: u32) -> u64 {
        self.word(&self.v6_root, index)
    }

    fn entry_pair(&self, index: u32) -> u64 {
        self.word(&self.entries, index)
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.cell(&self.nodes, index)
    }
}

impl Tables for Live<'_> {
    fn features(&self) -> u32 {
        self.config.features
    }

    fn seed(&self) -> u64 {
        self.config.seed
    }

    fn source_key(&self, which: usize) -> u64 {
        self.config.source_keys[which]
    }

    fn limiter_mask(&self) -> u32 {
        self.config.limiter_mask
    }

    fn trusted_classes(&self) -> u32 {
        self.config.trusted_classes
    }

    fn classes(&self) -> u32 {
        self.config.classes
    }

    fn drops(&self) -> u32 {
        self.config.drops
    }

    fn watches(&self) -> u32 {
        self.config.watches
    }

    fn own_bits(&self, index: u32) -> u64 {
        let control = self.cell(&self.control, 0);
        control.and_then(|control| control.own_bits.get(index as usize)).copied().unwrap_or(0)
    }

    fn is_own(&self, addr: &Addr) -> bool {
        self.found(self.own.get(addr, 0)).is_some()
    }

    fn on_loopback(&self) -> bool {
        self.interface == LOOPBACK
    }

    fn on_trusted_interface(&self) -> bool {
        self.interface != 0 && self.config.trusted_interfaces.contains(&self.interface)
    }

    fn port(&self, place: usize) -> u16 {
        self.ports.get(place).copied().unwrap_or(0)
    }

    fn listen(&self, index: u32) -> Option<&Listen> {
        self.cell(&self.listens, index)
    }

    fn api(&self, slot: u32) -> Option<&Api> {
        self.apis.get(slot as usize)
    }

    fn rule(&self, index: u32) -> Option<&Rule> {
        self.rules.get(index as usize)
    }

    fn profile(&self, index: u32) -> Option<&Profile> {
        self.profiles.get(index as usize)
    }

    fn class_groups(&self, class: u32) -> Option<&ClassGroups> {
        self.cell(&self.class_groups, class)
    }

    fn overrides(&self, api: u32) -> Option<&Override> {
        self.cell(&self.overrides, api)
    }

    fn ban_control(&self) -> Option<&BanControl> {
        Some(&self.cell(&self.control, 0)?.bans)
    }

    fn ban_bits(&self, index: u32) -> u64 {
        self.word(&self.ban_bits, index)
    }

    fn ban(&self, key: &BanKey) -> Option<&Ban> {
        let read = || self.found(self.bans.get(key, 0)).map(ban);
        self.kept_bans.get(*key, read).as_ref()
    }

    fn limiter(&self, index: u32) -> Option<&limiter::Cell> {
        self.cell(&self.limiter, index)
    }

    fn shared(&self, index: u32) -> Option<&Shared> {
        self.cell(&self.shared, index)
    }

    fn seen(&self, index: u32) -> Option<&seen::Cell> {
        self.cell(&self.seen, index)
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn boot_ns(&self) -> u64 {
        self.boot_ns
    }

    fn bump(&self, stat: Stat) {
        self.bumped.borrow_mut().push(stat);
    }

    fn tells(&self) -> bool {
        true
    }

    fn trace(&self, step: Step<'_>) {
        (self.listener)(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_limits_goes_by_ticks_unless_it_is_exact() {
        let tick = 4_000_000;
        let offset = 7_000_000_123u64.wrapping_sub(4_294_892_296 * tick);
        let mut config = Config { tick: tick as u32, jiffies_offset: offset, ..Config::default() };
        for ticks in [0, 1, 1_000] {
            let began = 7_000_000_123 + ticks * tick;
            for late in [0, 1, tick - 1] {
                assert_eq!(grains(&config, began + late), began * GRAINS_PER_NS, "{late}");
            }
        }
        config.features = feature::EXACT_CLOCK;
        assert_eq!(grains(&config, 12_345), 12_345 * GRAINS_PER_NS);
    }

    #[test]
    fn what_was_read_reads_the_same_again() {
        let kept = Kept::new();
        let first = kept.get(1, || 10);
        assert_eq!((kept.get(2, || 20), kept.get(1, || 11), kept.get(2, || 21)), (&20, &10, &20));
        assert_eq!(first, &10);
    }
}
