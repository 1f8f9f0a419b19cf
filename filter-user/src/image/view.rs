//! The verdict's tables over an [`Image`] and over state in memory.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use filter_common::addr::Addr;
use filter_common::classify::{ClassTables, Node};
use filter_common::stat::{STATS, Stat};
use filter_common::tables::{
    Api, BAN_WORDS, Ban, BanControl, BanKey, ClassGroups, Listen, Override, Profile, Rule,
    SEEN_CELLS, SHARED_PER_API, Shared, own_place,
};
use filter_common::verdict::{Step, Tables};
use filter_common::{hash, limiter, seen};

use super::Image;

/// The name of the loopback interface.
pub const LOOPBACK: &str = "lo";

/// What the kernel keeps in pinned maps, in memory.
#[derive(Debug)]
pub struct State {
    /// Orders by stable id of the API.
    pub overrides: Vec<Override>,
    /// Which kinds of bans there are.
    pub ban_control: BanControl,
    /// The ban bitmap.
    pub ban_bits: Vec<u64>,
    /// Bans.
    pub bans: HashMap<BanKey, Ban>,
    /// This host's own addresses.
    pub own: HashSet<Addr>,
    /// The limiter; a power of two of cells.
    pub limiter: Vec<limiter::Cell>,
    /// Shared budgets.
    pub shared: Vec<Shared>,
    /// UDP flows sent on.
    pub seen: Vec<seen::Cell>,
    /// Counters of the packet path about itself.
    pub stats: RefCell<[u64; STATS as usize]>,
}

impl State {
    /// Empty state for this many APIs and limiter cells, the latter rounded up to a power of two.
    pub fn new(apis: u32, cells: u32) -> Self {
        fn fill<T: Default>(count: usize) -> Vec<T> {
            std::iter::repeat_with(T::default).take(count).collect()
        }
        Self {
            overrides: fill(apis as usize),
            // Nobody keeps account of orders here: they are looked for.
            ban_control: BanControl { orders: 1, ..BanControl::default() },
            ban_bits: vec![0; BAN_WORDS as usize],
            bans: HashMap::new(),
            own: HashSet::new(),
            limiter: fill(cells.next_power_of_two() as usize),
            shared: fill((apis * SHARED_PER_API) as usize),
            seen: fill(SEEN_CELLS as usize),
            stats: RefCell::new([0; STATS as usize]),
        }
    }
}

/// An image and state at one moment, on one interface.
pub struct View<'a> {
    /// The policy.
    pub image: &'a Image,
    /// The state.
    pub state: &'a State,
    /// Seed of all hashes.
    pub seed: u64,
    /// CLOCK_MONOTONIC in grains.
    pub now: u64,
    /// CLOCK_BOOTTIME in ns.
    pub boot_ns: u64,
    /// Name of the interface the packet came in by.
    pub interface: &'a str,
    /// Told of each stage's finding.
    pub listener: Option<&'a dyn Fn(Step<'_>)>,
    /// Bits of `filter_common::tables::feature` beside the image's.
    pub features: u32,
    /// Whether a table was read beyond its end, which no compiled image allows.
    pub missed: Cell<bool>,
}

impl<'a> View<'a> {
    /// A view with clocks at zero that nobody listens to.
    pub fn new(image: &'a Image, state: &'a State) -> Self {
        Self {
            image,
            state,
            seed: 0,
            now: 0,
            boot_ns: 0,
            interface: "",
            listener: None,
            features: 0,
            missed: Cell::new(false),
        }
    }

    fn word(&self, table: &[u64], index: u32) -> u64 {
        table.get(index as usize).copied().unwrap_or_else(|| {
            self.missed.set(true);
            0
        })
    }
}

impl ClassTables for View<'_> {
    fn v4_top(&self, index: u32) -> u64 {
        self.word(&self.image.v4_top, index)
    }

    fn v6_root(&self, index: u32) -> u64 {
        self.word(&self.image.v6_root, index)
    }

    fn entry_pair(&self, index: u32) -> u64 {
        self.word(&self.image.entries, index)
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.image.nodes.get(index as usize)
    }
}

impl Tables for View<'_> {
    fn features(&self) -> u32 {
        self.image.features | self.features
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn source_key(&self, which: usize) -> u64 {
        hash::source_key(self.seed, which)
    }

    fn limiter_mask(&self) -> u32 {
        u32::try_from(self.state.limiter.len()).unwrap_or(u32::MAX) - 1
    }

    fn trusted_classes(&self) -> u32 {
        self.image.trusted_classes
    }

    fn classes(&self) -> u32 {
        self.image.classes()
    }

    fn drops(&self) -> u32 {
        self.image.drops
    }

    fn watches(&self) -> u32 {
        self.image.watches
    }

    fn own_bits(&self, index: u32) -> u64 {
        let places = self.state.own.iter().map(|&addr| own_place(addr));
        places.filter(|&(word, _)| word == index).fold(0, |bits, (_, bit)| bits | 1 << bit)
    }

    fn is_own(&self, addr: &Addr) -> bool {
        self.state.own.contains(addr)
    }

    fn on_loopback(&self) -> bool {
        self.interface == LOOPBACK
    }

    fn on_trusted_interface(&self) -> bool {
        self.image.trusted_interfaces.iter().any(|name| name == self.interface)
    }

    fn port(&self, place: usize) -> u16 {
        self.image.ports.get(place).copied().unwrap_or_else(|| {
            self.missed.set(true);
            0
        })
    }

    fn listen(&self, index: u32) -> Option<&Listen> {
        self.image.listens.get(index as usize)
    }

    fn api(&self, slot: u32) -> Option<&Api> {
        self.image.apis.get(slot as usize)
    }

    fn rule(&self, index: u32) -> Option<&Rule> {
        self.image.rules.get(index as usize)
    }

    fn profile(&self, index: u32) -> Option<&Profile> {
        self.image.profiles.get(index as usize)
    }

    fn class_groups(&self, class: u32) -> Option<&ClassGroups> {
        self.image.class_groups.get(class as usize)
    }

    fn overrides(&self, api: u32) -> Option<&Override> {
        self.state.overrides.get(api as usize)
    }

    fn ban_control(&self) -> Option<&BanControl> {
        Some(&self.state.ban_control)
    }

    fn ban_bits(&self, index: u32) -> u64 {
        self.word(&self.state.ban_bits, index)
    }

    fn ban(&self, key: &BanKey) -> Option<&Ban> {
        self.state.bans.get(key)
    }

    fn limiter(&self, index: u32) -> Option<&limiter::Cell> {
        self.state.limiter.get(index as usize)
    }

    fn shared(&self, index: u32) -> Option<&Shared> {
        self.state.shared.get(index as usize)
    }

    fn seen(&self, index: u32) -> Option<&seen::Cell> {
        self.state.seen.get(index as usize)
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn boot_ns(&self) -> u64 {
        self.boot_ns
    }

    fn bump(&self, stat: Stat) {
        if let Some(counter) = self.state.stats.borrow_mut().get_mut(stat as usize) {
            *counter += 1;
        }
    }

    fn tells(&self) -> bool {
        self.listener.is_some()
    }

    fn trace(&self, step: Step<'_>) {
        if let Some(listener) = self.listener {
            listener(step);
        }
    }
}
