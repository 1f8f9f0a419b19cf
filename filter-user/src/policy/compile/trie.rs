//! Runs of classes become the tables that [`filter_common::classify`] walks.

use filter_common::classify::{
    CHILD, Node, V4_SPILL, V4_TOP_WORDS, V6_ROOT_WORDS, is_global, v6_root_place,
};

use crate::text::Problem;

use super::flatten::Run;

/// Numbers of 32 bits, two a word, the even index in the low half.
#[derive(Debug, Default)]
pub(super) struct Entries {
    words: Vec<u64>,
    len: u32,
}

impl Entries {
    /// Appends one number.
    fn push(&mut self, entry: u32) {
        if self.len.is_multiple_of(2) {
            self.words.push(u64::from(entry));
        } else if let Some(word) = self.words.last_mut() {
            *word |= u64::from(entry) << 32;
        }
        self.len = self.len.saturating_add(1);
    }

    pub(super) fn into_words(self) -> Vec<u64> {
        self.words
    }
}

/// The class tables of both families.
#[derive(Debug, Default)]
pub(super) struct ClassTables {
    pub(super) v4_top: Vec<u64>,
    pub(super) v6_root: Vec<u64>,
    pub(super) entries: Entries,
    pub(super) nodes: Vec<Node>,
}

impl ClassTables {
    /// Fills the IPv4 tables from runs that cover all addresses.
    pub(super) fn fill_v4(&mut self, runs: &[Run<u32>]) -> Result<(), Problem> {
        self.v4_top = vec![0; V4_TOP_WORDS];
        let mut walk = Walk::new(runs);
        let mut word = 0usize;
        while word < V4_TOP_WORDS {
            // Words within one run are filled at once.
            let (class, next) = walk.at((word as u64) << 10);
            let whole = (next >> 10) as usize;
            if whole > word {
                self.v4_top[word..whole].fill(u64::from(class) * 0x0001_0001_0001_0001);
                word = whole;
                continue;
            }
            let mut quarters = [0; 4];
            for (quarter, entry) in quarters.iter_mut().enumerate() {
                *entry = self.block(&mut walk, ((word * 4 + quarter) as u128) << 8, 8)?;
            }
            self.v4_top[word] = if quarters.iter().any(|entry| entry & CHILD != 0) {
                let first = self.entries.len;
                quarters.iter().for_each(|entry| self.entries.push(*entry));
                V4_SPILL | u64::from(first)
            } else {
                quarters.iter().rev().fold(0, |word, class| word << 16 | u64::from(*class))
            };
            word += 1;
        }
        self.check()
    }

    /// Fills the IPv6 tables from runs that cover all addresses.
    pub(super) fn fill_v6(&mut self, runs: &[Run<u128>]) -> Result<(), Problem> {
        self.v6_root = vec![0; V6_ROOT_WORDS];
        let mut walk = Walk::new(runs);
        for first in 0..1u64 << 16 {
            let start = u128::from(first) << 112;
            if !is_global(first << 48) {
                let entry = self.block(&mut walk, start, 112)?;
                self.set_root(first << 48, entry);
                continue;
            }
            let (class, next) = walk.at_wide(start);
            let whole = next.is_none_or(|next| next - start >= 1 << 112);
            for second in 0..1u64 << 8 {
                let hi = first << 48 | second << 40;
                let entry =
                    if whole { class } else { self.block(&mut walk, u128::from(hi) << 64, 104)? };
                self.set_root(hi, entry);
            }
        }
        self.check()
    }

    fn set_root(&mut self, hi: u64, entry: u32) {
        let place = v6_root_place(hi) as usize;
        self.v6_root[place / 2] |= u64::from(entry) << (place % 2 * 32);
    }

    /// The entry for the block of `2^bits` addresses that begins at `start`: its class, or a node
    /// that divides it by the next eight bits.
    fn block<A: Number>(
        &mut self,
        walk: &mut Walk<'_, A>,
        start: u128,
        bits: u32,
    ) -> Result<u32, Problem> {
        let (class, next) = walk.at_wide(start);
        if next.is_none_or(|next| next - start >= 1 << bits) {
            return Ok(class);
        }
        let child_bits = bits - 8;
        let mut starts = [0u64; 4];
        let mut entries = [0u32; 256];
        let (mut runs, mut octet) = (0usize, 0u128);
        while octet < 256 {
            let child = start + (octet << child_bits);
            let entry = self.block(walk, child, child_bits)?;
            // A class that goes on is the same run; a node is always one of its own.
            if runs == 0 || entry & CHILD != 0 || entries[runs - 1] != entry {
                starts[(octet / 64) as usize] |= 1 << (octet % 64);
                entries[runs] = entry;
                runs += 1;
            }
            octet += 1;
            if entry & CHILD == 0 {
                // Skip the octets that the run covers whole.
                let (_, next) = walk.at_wide(child);
                let covered = next.map_or(256, |next| (next - start) >> child_bits);
                octet = octet.max(covered);
            }
        }
        let base = self.entries.len;
        entries[..runs].iter().for_each(|entry| self.entries.push(*entry));
        let mut before = [0u8; 4];
        for word in 1..4 {
            before[word] = before[word - 1] + starts[word - 1].count_ones() as u8;
        }
        let index = u32::try_from(self.nodes.len()).map_err(|_| too_many())?;
        self.nodes.push(Node { starts, base, before });
        Ok(CHILD | index)
    }

    /// Whether the numbers of entries and nodes fit where they stand.
    fn check(&self) -> Result<(), Problem> {
        let fits = self.entries.len < CHILD - 4 && self.nodes.len() < CHILD as usize;
        fits.then_some(()).ok_or_else(too_many)
    }
}

fn too_many() -> Problem {
    Problem::new(
        "the groups have too many prefixes for the class tables",
        "join adjacent prefixes into shorter ones, or leave feeds out",
    )
}

/// An address of either family.
trait Number: Copy {
    fn wide(self) -> u128;
}

impl Number for u32 {
    fn wide(self) -> u128 {
        u128::from(self)
    }
}

impl Number for u128 {
    fn wide(self) -> u128 {
        self
    }
}

/// Goes through runs in ascending order.
struct Walk<'r, A> {
    runs: &'r [Run<A>],
    current: usize,
}

impl<'r, A: Number> Walk<'r, A> {
    fn new(runs: &'r [Run<A>]) -> Self {
        Self { runs, current: 0 }
    }

    /// The class at an address that is not before the last one asked for, and where the next run
    /// begins.
    fn at_wide(&mut self, address: u128) -> (u32, Option<u128>) {
        while self.runs.get(self.current + 1).is_some_and(|(start, _)| start.wide() <= address) {
            self.current += 1;
        }
        let class = self.runs.get(self.current).map_or(0, |(_, class)| *class);
        (class, self.runs.get(self.current + 1).map(|(start, _)| start.wide()))
    }
}

impl Walk<'_, u32> {
    /// As `at_wide`; after the last run, the end of the addresses.
    fn at(&mut self, address: u64) -> (u32, u64) {
        let (class, next) = self.at_wide(u128::from(address));
        (class, next.map_or(1 << 32, |next| next as u64))
    }
}
