//! filter-common's tables over the maps.

use core::mem::offset_of;
use core::ptr::read_volatile;

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns, bpf_ktime_get_ns};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_log_ebpf::warn;
use filter_common::addr::Addr;
use filter_common::classify::{ClassTables, Node};
use filter_common::gcra::GRAINS_PER_NS;
use filter_common::packet::{Known, Packet};
use filter_common::reason::Reason;
use filter_common::slot::Slot;
use filter_common::stat::Stat;
use filter_common::tables::{
    Api, Ban, BanControl, BanKey, ClassGroups, Config, Control, Count, Listen, OWN_WORDS, Override,
    PORT_CELLS, Profile, Rule, Shared, feature,
};
use filter_common::turn::TURN_CELLS;
use filter_common::verdict::Tables;
use filter_common::verifier::bound;
use filter_common::{limiter, seen};

use crate::{apart, maps};

/// A field of the generation's constants. Volatile, or the compiler would fold the value that the
/// loader is going to replace; the verifier knows it, and prunes by it.
macro_rules! config {
    ($field:ident : $type:ty) => {{
        let base = (&raw const maps::CONFIG).cast::<u8>();
        // SAFETY: `Global` is a transparent cell around a Config, and the field lies in it.
        unsafe { read_volatile(base.add(offset_of!(Config, $field)).cast::<$type>()) }
    }};
}

/// The loopback interface's index, the same in every network namespace (LOOPBACK_IFINDEX in the
/// kernel's include/net/net_namespace.h).
const LOOPBACK: u32 = 1;

/// Where a packet is: asked only when it matters.
#[derive(Clone, Copy)]
pub enum Place {
    /// At no interface that matters.
    Nowhere,
    /// At the XDP hook.
    Incoming(*const xdp_md),
    /// At the TC hook.
    Outgoing(*const __sk_buff),
}

/// The packet path's view of the world: the maps, and where the packet is.
pub struct Gate {
    place: Place,
    /// Read once: the verifier prunes by it everywhere.
    features: u32,
    /// Looked up once for all who ask; where hardly anybody does, when it is asked.
    control: Option<&'static Control>,
    /// What is asked first of the packet at hand, in registers.
    known: Option<Known>,
}

#[inline(always)]
fn cell<T>(array: &'static Array<T>, index: u32) -> Option<&'static T> {
    array.get(index)
}

#[inline(always)]
fn word(array: &'static Array<u64>, index: u32) -> u64 {
    array.get(index).copied().unwrap_or(0)
}

#[inline(always)]
fn add(counts: &PerCpuArray<Count>, index: u32, packets: u64, bytes: u64) -> bool {
    let Some(count) = counts.get_ptr_mut(index) else { return false };
    // SAFETY: the cell is this CPU's, and no other program runs on it until this one ends.
    unsafe {
        (*count).packets += packets;
        (*count).bytes += bytes;
    }
    true
}

impl Gate {
    #[inline(always)]
    pub fn new(place: Place) -> Self {
        Self { place, features: config!(features: u32), control: None, known: None }
    }

    /// The same, with what every packet asks at hand; `None` never is: the map has one cell.
    #[inline(always)]
    pub fn with_control(place: Place) -> Option<Self> {
        Some(Self { control: Some(cell(&maps::CONTROL, 0)?), ..Self::new(place) })
    }

    /// Notes what the parser gave.
    #[inline(always)]
    pub fn note(&mut self, known: Known) {
        self.known = Some(known);
    }

    /// Index of the interface that the packet came in by or leaves by.
    #[inline(always)]
    pub fn interface(&self) -> u32 {
        match self.place {
            Place::Nowhere => 0,
            // SAFETY: the context of the program that runs.
            Place::Incoming(frame) => unsafe { (*frame).ingress_ifindex },
            // SAFETY: as above.
            Place::Outgoing(packet) => unsafe { (*packet).ifindex },
        }
    }

    /// Number of the generation.
    #[inline(always)]
    pub fn generation(&self) -> u32 {
        config!(generation: u32)
    }

    /// Payload bytes a sample may carry.
    #[inline(always)]
    pub fn snap(&self) -> u32 {
        config!(snap: u32)
    }

    /// Payload bytes of a turn that samples may carry.
    #[inline(always)]
    pub fn turn_budget(&self) -> u32 {
        config!(turn: u32)
    }

    /// Whose turn it is in a flow, by the flow's hash.
    #[inline(always)]
    pub fn turn(&self, hash: u64) -> Option<&'static Slot> {
        cell(&maps::TURNS, hash as u32 & (TURN_CELLS - 1))
    }

    /// What every packet asks.
    #[inline(always)]
    pub fn control(&self) -> Option<&'static Control> {
        match self.control {
            Some(control) => Some(control),
            None => cell(&maps::CONTROL, 0),
        }
    }

    /// When the notice cell last gave one.
    #[inline(always)]
    pub fn notice(&self, index: u32) -> Option<&'static Slot> {
        cell(&maps::NOTICES, index)
    }

    /// Whether packets that come in by this interface are judged there.
    #[inline(always)]
    pub fn is_gated(&self, interface: u32) -> bool {
        // SAFETY: the value is not kept.
        interface != 0 && unsafe { maps::INTERFACES.get(interface) }.is_some()
    }

    /// Counts a packet at its place in the counter table.
    #[inline(always)]
    pub fn count(&self, place: u32, wire_len: u32) {
        if !add(&maps::COUNTS, place, 1, wire_len as u64) {
            self.bump(Stat::MissingCell);
        }
    }

    /// Counts what an API sent: every segment has the headers that the super-packet has once.
    #[inline(always)]
    pub fn count_egress(&self, api: u32, segments: u32, wire_len: u32, headers: u32) {
        let bytes = wire_len as u64 + (segments as u64 - 1) * headers as u64;
        if !add(&maps::EGRESS, api, segments as u64, bytes) {
            self.bump(Stat::MissingCell);
        }
    }
}

impl ClassTables for Gate {
    #[inline(always)]
    fn v4_top(&self, index: u32) -> u64 {
        word(&maps::V4_TOP, index)
    }

    #[inline(always)]
    fn v6_root(&self, index: u32) -> u64 {
        word(&maps::V6_ROOT, index)
    }

    #[inline(always)]
    fn entry_pair(&self, index: u32) -> u64 {
        word(&maps::ENTRIES, index)
    }

    #[inline(always)]
    fn node(&self, index: u32) -> Option<&Node> {
        cell(&maps::NODES, index)
    }
}

impl Tables for Gate {
    #[inline(always)]
    fn features(&self) -> u32 {
        self.features
    }

    #[inline(always)]
    fn seed(&self) -> u64 {
        config!(seed: u64)
    }

    #[inline(always)]
    fn source_key(&self, which: usize) -> u64 {
        let place = offset_of!(Config, source_keys) + which * size_of::<u64>();
        // SAFETY: as in `config!`; there are three of them, and `which` is a constant.
        unsafe { read_volatile((&raw const maps::CONFIG).cast::<u8>().add(place).cast()) }
    }

    #[inline(always)]
    fn limiter_mask(&self) -> u32 {
        config!(limiter_mask: u32)
    }

    #[inline(always)]
    fn trusted_classes(&self) -> u32 {
        config!(trusted_classes: u32)
    }

    #[inline(always)]
    fn classes(&self) -> u32 {
        config!(classes: u32)
    }

    #[inline(always)]
    fn drops(&self) -> u32 {
        config!(drops: u32)
    }

    #[inline(always)]
    fn watches(&self) -> u32 {
        config!(watches: u32)
    }

    #[inline(always)]
    fn own_bits(&self, index: u32) -> u64 {
        self.control().map_or(0, |control| control.own_bits[(index & (OWN_WORDS - 1)) as usize])
    }

    #[inline(always)]
    fn is_own(&self, addr: &Addr) -> bool {
        // SAFETY: the value is not kept.
        unsafe { maps::OWN.get(addr) }.is_some()
    }

    #[inline(always)]
    fn on_loopback(&self) -> bool {
        self.interface() == LOOPBACK
    }

    #[inline(always)]
    fn on_trusted_interface(&self) -> bool {
        let first = offset_of!(Config, trusted_interfaces);
        let interface = self.interface();
        (0..8).any(|place| {
            let base = (&raw const maps::CONFIG).cast::<u8>();
            // SAFETY: as in `config!`; there are eight of them.
            let trusted = unsafe { read_volatile(base.add(first + place * 4).cast::<u32>()) };
            trusted != 0 && trusted == interface
        })
    }

    #[inline(always)]
    fn port(&self, place: usize) -> u16 {
        *maps::PORTS.at(bound::<{ PORT_CELLS - 1 }>(place))
    }

    #[inline(always)]
    fn listen(&self, index: u32) -> Option<&Listen> {
        cell(&maps::LISTENS, index)
    }

    #[inline(always)]
    fn api(&self, slot: u32) -> Option<&Api> {
        maps::APIS.get(slot, config!(apis: u32))
    }

    #[inline(always)]
    fn rule(&self, index: u32) -> Option<&Rule> {
        maps::RULES.get(index, config!(rules: u32))
    }

    #[inline(always)]
    fn profile(&self, index: u32) -> Option<&Profile> {
        maps::PROFILES.get(index, config!(profiles: u32))
    }

    #[inline(always)]
    fn class_groups(&self, class: u32) -> Option<&ClassGroups> {
        cell(&maps::CLASS_GROUPS, class)
    }

    #[inline(always)]
    fn overrides(&self, api: u32) -> Option<&Override> {
        cell(&maps::OVERRIDES, api)
    }

    #[inline(always)]
    fn ban_control(&self) -> Option<&BanControl> {
        Some(&self.control()?.bans)
    }

    #[inline(always)]
    fn ban_bits(&self, index: u32) -> u64 {
        word(&maps::BAN_BITS, index)
    }

    #[inline(always)]
    fn ban(&self, key: &BanKey) -> Option<&Ban> {
        // SAFETY: an entry removed meanwhile may be read once more; its words stay words.
        unsafe { maps::BANS.get(key) }
    }

    #[inline(always)]
    fn limiter(&self, index: u32) -> Option<&limiter::Cell> {
        cell(&maps::LIMITER, index)
    }

    #[inline(always)]
    fn shared(&self, index: u32) -> Option<&Shared> {
        cell(&maps::SHARED, index)
    }

    #[inline(always)]
    fn seen(&self, index: u32) -> Option<&seen::Cell> {
        cell(&maps::SEEN, index)
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        let ns = if self.features() & feature::EXACT_CLOCK != 0 {
            // SAFETY: no arguments.
            unsafe { bpf_ktime_get_ns() }
        } else {
            // A jiffy is read inline, where any clock is a call.
            // SAFETY: no arguments.
            let jiffies = unsafe { bpf_jiffies64() };
            jiffies
                .wrapping_mul(config!(tick: u32) as u64)
                .wrapping_add(config!(jiffies_offset: u64))
        };
        ns.wrapping_mul(GRAINS_PER_NS)
    }

    #[inline(always)]
    fn boot_ns(&self) -> u64 {
        // SAFETY: no arguments.
        unsafe { bpf_ktime_get_boot_ns() }
    }

    #[inline(always)]
    fn bump(&self, stat: Stat) {
        if matches!(stat, Stat::MissingCell) {
            warn!(self, "a table of generation {} lacks a cell", self.generation());
        }
        if let Some(counter) = maps::STATS.get_ptr_mut(stat as u32) {
            // SAFETY: the cell is this CPU's own.
            unsafe { *counter += 1 };
        }
    }

    #[inline(always)]
    fn known(&self, packet: &Packet) -> Known {
        self.known.unwrap_or(Known::of(packet))
    }

    #[inline(always)]
    fn source_oddities(&self, _packet_at_hand: &Packet) -> u32 {
        apart::weir_source_oddities()
    }

    #[inline(always)]
    fn odd_reason(&self, kinds: u32) -> Option<Reason> {
        Reason::from_number(apart::weir_odd_reason(kinds) as u8)
    }

    #[inline(always)]
    fn follow_chain(&self, destination: Addr, first: u32) -> u32 {
        apart::weir_follow_chain(destination.hi, destination.lo, first)
    }

    #[inline(always)]
    fn search_bans(&self, _packet_at_hand: &Packet, api: u32) -> u32 {
        apart::weir_search_bans(api)
    }

    #[inline(always)]
    fn claim_way(&self, cell: u32, fingerprint: u64, now: u64, cost: u64) -> u32 {
        apart::weir_claim_way(cell, fingerprint, now, cost)
    }

    #[inline(always)]
    fn many_limits(&self, _packet_at_hand: &Packet, slot: u32, rule: u32, now: u64) -> u32 {
        apart::weir_many_limits(slot, rule, now)
    }

    #[inline(always)]
    fn operator_refuses(&self, _packet_at_hand: &Packet) -> u32 {
        apart::weir_operator_refuses()
    }
}
