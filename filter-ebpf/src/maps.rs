//! Every map, with who writes it, who reads it, and what happens when it is full.
//!
//! The sizes here are the smallest; the loader sets those of a policy or of the configuration. With
//! [`MMAP`] userspace fills or reads a table through memory, not by one call a cell.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use filter_common::addr::Addr;
use filter_common::classify::Node;
use filter_common::record::{HEADER_BYTES, MAX_SNAP};
use filter_common::slot::Slot;
use filter_common::tables::{
    Api, BAN_WORDS, Ban, BanKey, COUNTS_PER_API, ClassGroups, Config, Control, Count, Listen,
    MAX_OWN, META_CELLS, NOTICE_CELLS, Name, Override, Profile, Rule, SEEN_CELLS, SHARED_PER_API,
    Shared,
};
use filter_common::turn::TURN_CELLS;
use filter_common::{limiter, seen, stat};

use crate::direct::Direct;

/// BPF_F_NO_PREALLOC.
const LAZY: u32 = 1;
/// BPF_F_MMAPABLE.
const MMAP: u32 = 1 << 10;

/// Constants of this generation: written by the loader before the program is.
#[unsafe(no_mangle)]
pub static CONFIG: Global<Config> = Global::new(Config {
    features: 0,
    generation: 0,
    seed: 0,
    source_keys: [0; 3],
    jiffies_offset: 0,
    tick: 0,
    limiter_mask: 0,
    trusted_classes: 0,
    snap: 0,
    classes: 0,
    drops: 0,
    watches: 0,
    apis: 0,
    rules: 0,
    profiles: 0,
    turn: 0,
    reserved: 0,
    trusted_interfaces: [0; 8],
});

// Policy tables. Written by the loader before the program is attached, then only read by it.

/// IPv4 classes by the first 22 bits.
#[map]
pub static V4_TOP: Array<u64> = Array::with_max_entries(1, MMAP);
/// IPv6 entries by the first 16 bits.
#[map]
pub static V6_ROOT: Array<u64> = Array::with_max_entries(1, MMAP);
/// Entries, two a word.
#[map]
pub static ENTRIES: Array<u64> = Array::with_max_entries(1, MMAP);
/// Nodes.
#[map]
pub static NODES: Array<Node> = Array::with_max_entries(1, MMAP);
/// APIs by protocol and port.
#[unsafe(link_section = ".bss.ports")]
pub static PORTS: Direct<u16> = Direct::new(0);
/// Chains of listens that name an address.
#[map]
pub static LISTENS: Array<Listen> = Array::with_max_entries(1, MMAP);
/// APIs by slot.
#[unsafe(link_section = ".bss.apis")]
pub static APIS: Direct<Api> = Direct::new(Api::NONE);
/// Rules by API and class.
#[unsafe(link_section = ".bss.rules")]
pub static RULES: Direct<Rule> = Direct::new(Rule::NONE);
/// Limit profiles; 0 is no limit.
#[unsafe(link_section = ".bss.profiles")]
pub static PROFILES: Direct<Profile> = Direct::new(Profile::NONE);
/// Groups by class.
#[map]
pub static CLASS_GROUPS: Array<ClassGroups> = Array::with_max_entries(1, MMAP);

// State. Pinned by the loader and shared by all generations.

/// Orders about an API, by stable id. Userspace writes, the verdict reads.
#[map]
pub static OVERRIDES: Array<Override> = Array::with_max_entries(1, MMAP);
/// What every packet asks. Userspace writes, the programs read; of the notice budget they keep account.
#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, MMAP);
/// A bit for each address that may be banned. Userspace writes, the verdict reads.
#[map]
pub static BAN_BITS: Array<u64> = Array::with_max_entries(BAN_WORDS, MMAP);
/// Bans. Userspace writes, the verdict reads and counts hits; when full, a new ban is an error to
/// whoever asked for it.
#[map]
pub static BANS: HashMap<BanKey, Ban> = HashMap::with_max_entries(1, LAZY);
/// This host's own addresses. Userspace writes, the verdict reads; when full, userspace tells, and
/// the rest is not known.
#[map]
pub static OWN: HashMap<Addr, u32> = HashMap::with_max_entries(MAX_OWN, LAZY);
/// Limit states. The verdict reads and writes; when a cell is full, the API's overflow rule decides.
#[map]
pub static LIMITER: Array<limiter::Cell> = Array::with_max_entries(1, 0);
/// Budgets that many sources share. The verdict reads and writes, userspace assigns them.
#[map]
pub static SHARED: Array<Shared> = Array::with_max_entries(SHARED_PER_API, MMAP);
/// UDP flows this host has sent on. Egress writes, the verdict reads; the oldest makes room.
#[map]
pub static SEEN: Array<seen::Cell> = Array::with_max_entries(SEEN_CELLS, MMAP);
/// Packets and bytes by API and reason. The gate writes, userspace reads.
#[map]
pub static COUNTS: PerCpuArray<Count> = PerCpuArray::with_max_entries(COUNTS_PER_API, 0);
/// Packets and bytes sent by API. Egress writes, userspace reads.
#[map]
pub static EGRESS: PerCpuArray<Count> = PerCpuArray::with_max_entries(1, 0);
/// Counters of the programs about themselves. Userspace reads.
#[map]
pub static STATS: PerCpuArray<u64> = PerCpuArray::with_max_entries(stat::STATS, 0);
/// Records for userspace. When full, a record is dropped and counted.
#[map]
pub static RING: RingBuf = RingBuf::with_byte_size(4096, 0);
/// Number of the next record of each CPU.
#[map]
pub static SEQUENCE: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
/// Whose turn it is in a sampled flow. The sensor writes and reads; the newest of a cell wins.
#[map]
pub static TURNS: Array<Slot> = Array::with_max_entries(TURN_CELLS, 0);
/// When a source and reason last gave a notice. The newest of a cell wins.
#[map]
pub static NOTICES: Array<Slot> = Array::with_max_entries(NOTICE_CELLS, MMAP);
/// Interfaces that are gated. Userspace writes, egress reads.
#[map]
pub static INTERFACES: HashMap<u32, u32> = HashMap::with_max_entries(256, 0);
/// Names behind the stable ids of APIs. Userspace only: kept here to live as long as the counters.
#[map]
pub static API_NAMES: Array<Name> = Array::with_max_entries(1, 0);
/// Names behind the stable ids of groups. Userspace only.
#[map]
pub static GROUP_NAMES: Array<Name> = Array::with_max_entries(1, 0);
/// The hash seed, the last generation, and what was learned of the clock. Userspace writes and
/// reads; `weir_clock` writes two of them.
#[map]
pub static META: Array<u64> = Array::with_max_entries(META_CELLS, 0);

// Scratch: belongs to whoever runs on the CPU.

/// Room to put a record together.
#[repr(C, align(8))]
pub struct Scratch {
    /// The record.
    pub bytes: [u8; HEADER_BYTES + MAX_SNAP as usize],
}

/// Room to put a record together, for each CPU.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// The packet at hand, for each CPU.
#[map]
pub static WORK: PerCpuArray<crate::Work> = PerCpuArray::with_max_entries(1, 0);
