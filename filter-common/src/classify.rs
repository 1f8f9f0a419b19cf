//! From a source address to its class, in flat tables whose cost does not grow with the number of
//! prefixes.
//!
//! A *class* is one distinct combination of group memberships; the compiler numbers them. For IPv4
//! a word of `v4_top`, found by the first 22 bits, holds the classes of its four /24s, 15 bits each
//! in 16, or, with [`V4_SPILL`] set, the index of four consecutive *entries*. An entry is a class
//! or, with [`CHILD`] set, a node. A node divides by the next eight bits into runs: a bitmap marks
//! where each run begins, and the rank of an octet's run is its entry's place after `base`. For IPv6
//! the first 16 bits find an entry in `v6_root`, or the first 24 in global unicast space (2000::/3, RFC
//! 4291, 2.4), where nearly all sources are; nodes follow octet by octet.

/// Marks a word of `v4_top` whose low 32 bits are the index of four entries.
pub const V4_SPILL: u64 = 1 << 63;
/// Marks an entry whose low bits are the index of a node.
pub const CHILD: u32 = 1 << 31;
/// Classes there can be: what fits into `v4_top`.
pub const MAX_CLASSES: u32 = 1 << 15;
/// The class of sources that are in no group.
pub const NO_GROUP: u32 = 0;
/// Words of `v4_top`: one for each /22.
pub const V4_TOP_WORDS: usize = 1 << 22;
/// Entries of `v6_root`: one for each /16, then one for each /24 of 2000::/3.
pub const V6_ROOT_ENTRIES: usize = V6_ROOT_GLOBAL + (1 << 21);
/// The first entry for a /24 of 2000::/3.
pub const V6_ROOT_GLOBAL: usize = 1 << 16;
/// Words of `v6_root`, of two entries each.
pub const V6_ROOT_WORDS: usize = V6_ROOT_ENTRIES / 2;

/// Whether an IPv6 address, of which this is the first half, is in 2000::/3.
#[inline(always)]
pub const fn is_global(hi: u64) -> bool {
    hi >> 61 == 1
}

/// The entry of `v6_root` for an IPv6 address, of which this is the first half.
#[inline(always)]
pub const fn v6_root_place(hi: u64) -> u32 {
    if is_global(hi) {
        V6_ROOT_GLOBAL as u32 + ((hi >> 40) as u32 & 0x1f_ffff)
    } else {
        (hi >> 48) as u32
    }
}

/// 256 addresses' worth of runs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Bit `o % 64` of word `o / 64` is set when a run begins at octet `o`; bit 0 always is.
    pub starts: [u64; 4],
    /// Index of the first run's entry.
    pub base: u32,
    /// Runs that begin before each word.
    pub before: [u8; 4],
}

const _: () = assert!(size_of::<Node>() == 40);

/// The tables, wherever they are. A cell that is not there reads as 0 or `None`.
pub trait ClassTables {
    /// A word of `v4_top`.
    fn v4_top(&self, index: u32) -> u64;
    /// A word of `v6_root`: the entry of the even index in its low half.
    fn v6_root(&self, index: u32) -> u64;
    /// A word of the entries: the entry of the even index in its low half.
    fn entry_pair(&self, index: u32) -> u64;
    /// A node.
    fn node(&self, index: u32) -> Option<&Node>;
}

#[inline(always)]
fn half(word: u64, index: u32) -> u32 {
    (word >> ((index & 1) * 32)) as u32
}

/// The entry for `octet` under a node.
#[inline(always)]
fn descend<T: ClassTables>(tables: &T, node: u32, octet: u32) -> u32 {
    let Some(node) = tables.node(node & !CHILD) else { return NO_GROUP };
    let word = ((octet >> 6) & 3) as usize;
    let mask = u64::MAX >> (63 - (octet & 63));
    let rank = node.before[word] as u32 + (node.starts[word] & mask).count_ones();
    let entry = node.base.wrapping_add(rank).wrapping_sub(1);
    half(tables.entry_pair(entry >> 1), entry)
}

/// The class of an IPv4 address in host byte order.
#[inline(always)]
pub fn class_v4<T: ClassTables>(tables: &T, addr: u32) -> u32 {
    let word = tables.v4_top(addr >> 10);
    let quarter = (addr >> 8) & 3;
    if word & V4_SPILL == 0 {
        return ((word >> (quarter * 16)) & 0x7fff) as u32;
    }
    let index = (word as u32).wrapping_add(quarter);
    let entry = half(tables.entry_pair(index >> 1), index);
    if entry & CHILD == 0 { entry } else { descend(tables, entry, addr & 0xff) & (MAX_CLASSES - 1) }
}

/// The class of an IPv6 address given as two halves in host byte order.
#[inline(always)]
pub fn class_v6<T: ClassTables>(tables: &T, hi: u64, lo: u64) -> u32 {
    let place = v6_root_place(hi);
    let mut entry = half(tables.v6_root(place >> 1), place);
    let mut rest = hi << 24;
    if !is_global(hi) {
        if entry & CHILD == 0 {
            return entry;
        }
        entry = descend(tables, entry, (hi >> 40) as u32 & 0xff);
    }
    for _ in 0..5 {
        if entry & CHILD == 0 {
            return entry;
        }
        entry = descend(tables, entry, (rest >> 56) as u32);
        rest <<= 8;
    }
    rest = lo;
    for _ in 0..8 {
        if entry & CHILD == 0 {
            return entry;
        }
        entry = descend(tables, entry, (rest >> 56) as u32);
        rest <<= 8;
    }
    entry & (MAX_CLASSES - 1)
}
