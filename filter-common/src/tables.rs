//! Layouts of the tables that userspace fills and the packet path reads.
//!
//! Two sorts. *Policy tables* belong to one generation: the compiler makes them, a fresh program
//! is loaded with them, and they are never changed. *State* is pinned and shared by all
//! generations; it is keyed by *stable ids*, which are never used again within a boot.

use core::mem::offset_of;

use crate::addr::Addr;
use crate::gcra::Rate;
use crate::limiter::Kind;
use crate::reason::REASONS;
use crate::slot::Slot;

/// The stable id of traffic that no API claims.
pub const UNCLAIMED: u32 = 0;

/// Bits of [`Config::features`]: what the policy uses, so that the verifier prunes the rest.
pub mod feature {
    /// A policy is in force. Without it nothing but what an operator orders is dropped.
    pub const ENFORCE: u32 = 1 << 0;
    /// There are APIs.
    pub const APIS: u32 = 1 << 1;
    /// Some listens name an address.
    pub const LISTENS: u32 = 1 << 2;
    /// Some IPv4 prefixes matter.
    pub const V4_CLASSES: u32 = 1 << 3;
    /// Some IPv6 prefixes matter.
    pub const V6_CLASSES: u32 = 1 << 4;
    /// There are trusted sources.
    pub const TRUSTED: u32 = 1 << 5;
    /// Trust is narrowed to the ports marked in the port table.
    pub const TRUSTED_PORTS: u32 = 1 << 6;
    /// Trust is narrowed to [`super::Config::trusted_interfaces`].
    pub const TRUSTED_INTERFACES: u32 = 1 << 7;
    /// Unclaimed traffic is refused.
    pub const UNCLAIMED_DROP: u32 = 1 << 8;
    /// Some API has limits.
    pub const LIMITS: u32 = 1 << 9;
    /// Some limit counts bytes.
    pub const LIMIT_BYTES: u32 = 1 << 10;
    /// Some limit counts connections.
    pub const LIMIT_CONNECTIONS: u32 = 1 << 11;
    /// Some API or group of sources has one budget.
    pub const LIMIT_SHARED: u32 = 1 << 12;
    /// Some burst is shorter than two ticks: use the exact clock.
    pub const EXACT_CLOCK: u32 = 1 << 13;
    /// Segments are sampled.
    pub const SENSOR: u32 = 1 << 14;
}

/// Constants of a generation, in the program's `.rodata`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// See [`feature`].
    pub features: u32,
    /// Number of this generation.
    pub generation: u32,
    /// Secret seed of all hashes, drawn once per boot.
    pub seed: u64,
    /// [`crate::hash::source_keys`] of the seed.
    pub source_keys: [u64; 3],
    /// What to add to jiffies × tick to get CLOCK_MONOTONIC, in ns, wrapping.
    pub jiffies_offset: u64,
    /// Length of a jiffy in ns.
    pub tick: u32,
    /// Cells of the limiter less one; they are a power of two.
    pub limiter_mask: u32,
    /// Classes below this number, but not class 0, are trusted.
    pub trusted_classes: u32,
    /// Payload bytes a sample may carry.
    pub snap: u32,
    /// Classes of sources there are: the rule of an API and a class is at slot × classes + class.
    pub classes: u32,
    /// Kinds of packets that are dropped: bits of [`crate::oddity::Oddity`].
    pub drops: u32,
    /// Kinds of packets that are would-drops.
    pub watches: u32,
    /// Cells of the table of APIs.
    pub apis: u32,
    /// Cells of the table of rules.
    pub rules: u32,
    /// Cells of the table of profiles.
    pub profiles: u32,
    /// Payload bytes of a turn that samples may carry, see [`crate::turn`].
    pub turn: u32,
    /// Zero.
    pub reserved: u32,
    /// Interfaces that trust is narrowed to; unused ones are 0.
    pub trusted_interfaces: [u32; 8],
}

/// Cells of the port table: one for each port, TCP's first, then UDP's.
pub const PORT_CELLS: usize = 2 * 65536;
/// In a port's 16 bits: the slot of the API plus one, or the first listen of a chain.
pub const PORT_VALUE: u16 = 0x3fff;
/// In a port's 16 bits: trusted sources are trusted on this port.
pub const PORT_TRUSTED: u16 = 0x4000;
/// In a port's 16 bits: the value is the index of a chain of listens.
pub const PORT_CHAIN: u16 = 0x8000;
/// Listens in a chain at most.
pub const MAX_CHAIN: u32 = 65;

/// The cell of a port in the port table.
#[inline(always)]
pub const fn port_place(udp: bool, port: u16) -> usize {
    ((udp as usize) << 16) | port as usize
}

/// The cell of what has no port, which is that of TCP's port 0: no policy can name it, so it is empty.
pub const NO_PORT: u32 = 0;

/// One step of a chain: an address on which an API listens, or its end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub addr: Addr,
    /// The slot of the API plus one; 0: none.
    pub api: u32,
    /// Not 0: the end of the chain, which stands for every other address.
    pub last: u32,
}

/// An API may be watched only: its drops are would-drops.
pub const API_MONITOR: u32 = 1 << 0;
/// The sensor leaves the API alone (`kind = "opaque"`).
pub const API_OPAQUE: u32 = 1 << 1;
/// A source without room in the limiter passes without a limit.
pub const API_OVERFLOW_PASS: u32 = 1 << 2;
/// A source without room in the limiter is dropped.
pub const API_OVERFLOW_DROP: u32 = 1 << 3;

/// An API, by its slot in this generation.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Api {
    /// Stable id, at least 1.
    pub id: u32,
    /// `API_…` bits.
    pub flags: u32,
    /// Profile of the limit on the API as a whole; 0: none.
    pub total: u32,
    /// Zero.
    pub unused: u32,
    /// Mask on the last half of an IPv4 source: how a source is told from another.
    pub v4_mask: u64,
    /// Mask on the first half of an IPv6 source.
    pub v6_mask_hi: u64,
    /// Mask on the last half of an IPv6 source.
    pub v6_mask_lo: u64,
    /// Zero.
    pub reserved: [u64; 3],
}

const _: () = assert!(size_of::<Api>() == 64);

impl Api {
    /// All zeros.
    pub const NONE: Self = Self {
        id: 0,
        flags: 0,
        total: 0,
        unused: 0,
        v4_mask: 0,
        v6_mask_hi: 0,
        v6_mask_lo: 0,
        reserved: [0; 3],
    };
}

/// [`Rule::action`]: no group of the source is allowed.
pub const RULE_NOT_ALLOWED: u8 = 0;
/// [`Rule::action`]: a group of the source is denied.
pub const RULE_DENIED: u8 = 1;
/// [`Rule::action`]: pass, within the profile.
pub const RULE_PASS: u8 = 2;

/// [`Rule::flags`]: this rule's drops, its limit's too, are would-drops.
pub const RULE_MONITOR: u8 = 1 << 0;
/// [`Rule::flags`]: the sources speak for others, and are never held to a limit of their own.
pub const RULE_PROXY: u8 = 1 << 1;

/// What an API does with a class of sources.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// `RULE_…`.
    pub action: u8,
    /// Bits, see [`RULE_MONITOR`].
    pub flags: u8,
    /// Index of the limit profile; 0: no limit.
    pub profile: u16,
    /// Which of the API's shared budgets the profile draws on; 0: each source has its own.
    pub shared: u16,
    /// Which entry of the policy decided, for people; meaningless to the packet path.
    pub origin: u16,
}

const _: () = assert!(size_of::<Rule>() == 8);

impl Rule {
    /// All zeros.
    pub const NONE: Self = Self { action: 0, flags: 0, profile: 0, shared: 0, origin: 0 };
}

/// A limit: up to one rate of each kind.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Packets.
    pub packets: Rate,
    /// Bytes on the wire.
    pub bytes: Rate,
    /// New connections.
    pub connections: Rate,
}

impl Profile {
    /// No limits: all zeros.
    pub const NONE: Self = Self { packets: Rate::NONE, bytes: Rate::NONE, connections: Rate::NONE };

    /// The rate of one kind.
    #[inline(always)]
    pub const fn rate(&self, kind: Kind) -> &Rate {
        match kind {
            Kind::Packets => &self.packets,
            Kind::Bytes => &self.bytes,
            Kind::Connections => &self.connections,
        }
    }
}

/// Groups there can be in a boot, by stable id.
pub const MAX_GROUPS: u32 = 256;

/// The groups a class of sources is in: bit `id % 64` of word `id / 64` for each stable id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassGroups {
    /// The bits.
    pub bits: [u64; (MAX_GROUPS / 64) as usize],
}

impl ClassGroups {
    /// Whether the group is among them.
    #[inline(always)]
    pub const fn contains(&self, group: u32) -> bool {
        let word = (group as usize / 64) & (self.bits.len() - 1);
        group < MAX_GROUPS && self.bits[word] >> (group & 63) & 1 != 0
    }
}

/// Shared budgets of each API: 0 is the API's total, 1 its overflow, the rest are groups'.
pub const SHARED_PER_API: u32 = 16;
/// The shared budget of the API as a whole.
pub const SHARED_TOTAL: u32 = 0;
/// The shared budget of sources for which the limiter has no room.
pub const SHARED_OVERFLOW: u32 = 1;
/// The first shared budget of a group.
pub const SHARED_GROUPS: u32 = 2;

/// State: one budget that many sources draw on, at `api id * SHARED_PER_API + n`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Shared {
    /// Stable id of the group plus one, which userspace writes and reads; 0: nobody's.
    pub owner: Slot,
    /// Arrival times, by [`Kind`].
    pub arrivals: [Slot; 3],
}

const _: () = assert!(size_of::<Shared>() == 32);

impl Shared {
    /// The arrival time of one kind.
    #[inline(always)]
    pub const fn arrival(&self, kind: Kind) -> &Slot {
        match kind {
            Kind::Packets => &self.arrivals[0],
            Kind::Bytes => &self.arrivals[1],
            Kind::Connections => &self.arrivals[2],
        }
    }
}

/// A time in the tables: CLOCK_BOOTTIME in ns; this one never comes.
pub const FOREVER: u64 = u64::MAX;

/// The override was made by a detector: it is a would-drop in monitor mode.
pub const OVERRIDE_AUTOMATIC: u64 = 1 << 0;

/// State: what is ordered about an API at the moment, by stable id. Each part is in force while its
/// `…_until` lies ahead. Userspace writes the arguments first and the time last.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Override {
    /// Nothing passes.
    pub shutdown_until: Slot,
    /// Only `lockdown_group` passes.
    pub lockdown_until: Slot,
    /// Stable id of a group.
    pub lockdown_group: Slot,
    /// [`OVERRIDE_AUTOMATIC`] for the lockdown.
    pub lockdown_flags: Slot,
    /// `mode` replaces the policy's.
    pub mode_until: Slot,
    /// 1: monitor, 0: enforce.
    pub mode: Slot,
    /// `limit` applies to each source on top of the policy's.
    pub limit_until: Slot,
    /// The tighter limit: packets only.
    pub limit_mul: Slot,
    /// See [`Rate::tau`].
    pub limit_tau: Slot,
    /// See [`Rate::ceiling`].
    pub limit_ceiling: Slot,
    /// See [`Rate::shift`].
    pub limit_shift: Slot,
    /// [`OVERRIDE_AUTOMATIC`] for the limit.
    pub limit_flags: Slot,
    /// Zero.
    pub reserved: [Slot; 4],
}

const _: () = assert!(size_of::<Override>() == 128);

/// Key of a ban.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BanKey {
    /// The address, masked.
    pub addr: Addr,
    /// Length of the prefix in 128 bits; 128 is one address, of either family.
    pub len: u32,
    /// Stable id of the only API it covers; [`UNCLAIMED`]: the whole host.
    pub api: u32,
}

/// The ban was made by a detector: it is a would-drop at an API in monitor mode.
pub const BAN_AUTOMATIC: u64 = 1 << 0;
/// The upper half of a ban's flags: out of the bans of how many sources it was made; 0: it was not.
pub const BAN_SOURCES_SHIFT: u32 = 32;

/// State: a ban.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Ban {
    /// When it ends: CLOCK_BOOTTIME in ns, or [`FOREVER`].
    pub until: Slot,
    /// Packets it dropped, or would have.
    pub hits: Slot,
    /// When it began: CLOCK_BOOTTIME in ns.
    pub since: Slot,
    /// [`BAN_AUTOMATIC`], and a number from [`BAN_SOURCES_SHIFT`] on that the packet path ignores.
    pub flags: Slot,
}

const _: () = assert!(size_of::<Ban>() == 32);

/// Words of the bitmap that says which addresses may be banned.
pub const BAN_WORDS: u32 = 1 << 16;
/// Lengths other than single addresses and IPv6 /64s that may be banned at once, each family.
pub const WIDE_BANS: usize = 8;

/// State: what kinds of bans there are, so that a host without bans does not look for them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BanControl {
    /// Bans of single addresses and of IPv6 /64s.
    pub exact: u64,
    /// Other lengths in use for IPv4, as of 128 bits; 0 ends the list.
    pub v4: [u8; WIDE_BANS],
    /// Other lengths in use for IPv6; 0 ends the list.
    pub v6: [u8; WIDE_BANS],
    /// Not 0 while there may be an order about any API: without one, nobody looks for it.
    pub orders: u64,
}

const _: () = assert!(size_of::<BanControl>() == 32);
/// Words of [`BanControl`] that are about bans; the next is [`BanControl::orders`].
pub const BAN_CONTROL_ORDERS: usize = 3;

/// The word and the bit of an address in the ban bitmap. IPv6 /64s have the masked address's.
#[inline(always)]
pub const fn ban_place(seed: u64, addr: Addr) -> (u32, u32) {
    let hash = crate::hash::addr(seed, addr, 0);
    ((hash >> 6) as u32 & (BAN_WORDS - 1), hash as u32 & 63)
}

/// Words of the bitmap that says which addresses may be this host's own.
pub const OWN_WORDS: u32 = 64;
/// Addresses of its own that a host can have.
pub const MAX_OWN: u32 = 4096;

/// The word and the bit of an address in the bitmap of the host's own. By its last bits and not by a
/// hash: the look-up is in the way of every packet, and who shares a bit only waits a little.
#[inline(always)]
pub const fn own_place(addr: Addr) -> (u32, u32) {
    ((addr.lo >> 6) as u32 & (OWN_WORDS - 1), addr.lo as u32 & 63)
}

/// State: what one reason did to one API on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

/// Cells of the counter table for each API: decided, then would-have-been, by reason.
pub const COUNTS_PER_API: u32 = 2 * REASONS;

/// The cell of the counter table.
#[inline(always)]
pub const fn count_place(api: u32, reason: u32, would: bool) -> u32 {
    api * COUNTS_PER_API + (would as u32) * REASONS + reason
}

/// Bytes of a name in the name tables, the last one 0.
pub const NAME_BYTES: usize = 64;

/// State: the name behind a stable id, UTF-8, padded with zeros. All zeros: the id is free.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The bytes.
    pub bytes: [u8; NAME_BYTES],
}

/// Cells of the table of UDP flows sent on; a power of two.
pub const SEEN_CELLS: u32 = 1 << 14;
/// Cells of the table that spaces out notices; a power of two.
pub const NOTICE_CELLS: u32 = 1 << 14;
/// One notice about a source and reason passes in 2^34 grains, 1.07 s.
pub const NOTICE_WINDOW_SHIFT: u32 = 34;
/// Notices from all sources together: 2000 a second.
pub const NOTICE_BUDGET: Rate = match Rate::new(2000, 1_000_000_000, 1_000_000_000, 1) {
    Some(rate) => rate,
    None => panic!("a rate that can be"),
};

/// State, one cell: what every packet asks, found by one look-up. Userspace writes, the programs read;
/// the notice budget they write too, so it has a cache line of its own.
#[repr(C)]
#[derive(Debug)]
pub struct Control {
    /// What kinds of bans there are.
    pub bans: BanControl,
    /// A flow is in the sample when the upper 32 bits of its hash are below this: 0 to 2^32.
    pub sample_below: Slot,
    /// Zero.
    pub reserved: [u64; 3],
    /// A bit for each address that may be this host's own, see [`own_place`].
    pub own_bits: [u64; OWN_WORDS as usize],
    /// Arrival time of the notice budget.
    pub notices: Slot,
    /// Zero.
    pub unused: [u64; 7],
}

/// Words of [`Control`].
pub const CONTROL_WORDS: usize = size_of::<Control>() / 8;
/// The first word of [`Control::bans`].
pub const CONTROL_BANS: usize = offset_of!(Control, bans) / 8;
/// The word of [`BanControl::orders`].
pub const CONTROL_ORDERS: usize = CONTROL_BANS + BAN_CONTROL_ORDERS;
/// The word of [`Control::sample_below`].
pub const CONTROL_SAMPLE: usize = offset_of!(Control, sample_below) / 8;
/// The first word of [`Control::own_bits`].
pub const CONTROL_OWN: usize = offset_of!(Control, own_bits) / 8;
/// The word of [`Control::notices`].
pub const CONTROL_NOTICES: usize = offset_of!(Control, notices) / 8;

const _: () = assert!(size_of::<Control>() == 640 && CONTROL_NOTICES.is_multiple_of(8));

/// Cells of the table of small facts.
pub const META_CELLS: u32 = 8;
/// Cell: the seed of all hashes; 0 until it is drawn.
pub const META_SEED: u32 = 0;
/// Cell: the last generation that was loaded.
pub const META_GENERATION: u32 = 1;
/// Cell: jiffies when the clock program ran.
pub const META_JIFFIES: u32 = 2;
/// Cell: CLOCK_MONOTONIC in ns at the same moment.
pub const META_MONOTONIC: u32 = 3;
/// Cell: length of a jiffy in ns, once it is known.
pub const META_TICK: u32 = 4;
/// Cell: what to add to jiffies × tick to get CLOCK_MONOTONIC, once it is known.
pub const META_OFFSET: u32 = 5;
/// Cell: 1 when the generation in force drops anything.
pub const META_ENFORCES: u32 = 6;
