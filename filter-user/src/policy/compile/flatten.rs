//! Nested prefixes with groups become disjoint runs with sets of groups.
//!
//! A source is in a group when any of the group's prefixes covers it, so what is nested adds to
//! what is around it.

use std::collections::HashMap;
use std::hash::Hash;

use crate::policy::cidr::{mask_v4, mask_v6};

/// Groups of the policy by index, and one bit more for trust.
pub(super) type Set = [u64; 5];
/// The bit of trusted prefixes, after those of the groups.
pub(super) const TRUSTED: u16 = 256;
/// The number of the set without members.
pub(super) const NOBODY: u32 = 0;

/// Whether a set has a member.
pub(super) fn has(set: &Set, member: u16) -> bool {
    set[usize::from(member / 64)] >> (member % 64) & 1 != 0
}

/// Every set met so far, numbered.
pub(super) struct Sets {
    pub(super) list: Vec<Set>,
    numbers: HashMap<Set, u32>,
    added: HashMap<(u32, u16), u32>,
    /// The last answer: a feed asks the same a million times.
    last: (u32, u16, u32),
}

impl Sets {
    pub(super) fn new() -> Self {
        let nobody = Set::default();
        let numbers = HashMap::from([(nobody, NOBODY)]);
        // Adding to the set of everybody: a question that is not asked.
        let last = (u32::MAX, u16::MAX, NOBODY);
        Self { list: vec![nobody], numbers, added: HashMap::new(), last }
    }

    /// The number of a set with a member more.
    fn with(&mut self, number: u32, member: u16) -> u32 {
        if (self.last.0, self.last.1) == (number, member) {
            return self.last.2;
        }
        let Self { list, numbers, added, last } = self;
        let found = *added.entry((number, member)).or_insert_with(|| {
            let mut set = list[number as usize];
            set[usize::from(member / 64)] |= 1 << (member % 64);
            *numbers.entry(set).or_insert_with(|| {
                list.push(set);
                // Fewer than prefixes, of which there are at most some ten million.
                (list.len() - 1) as u32
            })
        });
        *last = (number, member, found);
        found
    }
}

/// An address as a number of 32 or 128 bits.
pub(super) trait Bits: Copy + Ord + Hash + Default {
    /// The last address of the prefix that begins here.
    fn last(self, length: u8) -> Self;
    /// The address after this one.
    fn after(self) -> Option<Self>;
}

impl Bits for u32 {
    fn last(self, length: u8) -> Self {
        self | !mask_v4(length)
    }
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Bits for u128 {
    fn last(self, length: u8) -> Self {
        self | !mask_v6(length)
    }
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// A prefix and the group that has it.
pub(super) type Owned<A> = (A, u8, u16);
/// Where a run begins and its number; it ends where the next begins.
pub(super) type Run<A> = (A, u32);

/// Sorts the prefixes and makes runs of them that cover all addresses in order, no two neighbours
/// alike.
pub(super) fn flatten<A: Bits>(prefixes: &mut [Owned<A>], sets: &mut Sets) -> Vec<Run<A>> {
    prefixes.sort_unstable();
    let mut runs: Vec<Run<A>> = Vec::with_capacity(prefixes.len() * 2 + 1);
    runs.push((A::default(), NOBODY));
    // The prefixes around the current address, with their last addresses and sets.
    let mut around: Vec<(A, u32)> = Vec::new();
    for (address, length, group) in prefixes.iter() {
        leave(&mut around, &mut runs, Some(*address));
        let outer = around.last().map_or(NOBODY, |(_, set)| *set);
        let set = sets.with(outer, *group);
        around.push((address.last(*length), set));
        begin(&mut runs, *address, set);
    }
    leave(&mut around, &mut runs, None);
    runs
}

/// Ends the prefixes that end before an address, or all.
fn leave<A: Bits>(around: &mut Vec<(A, u32)>, runs: &mut Vec<Run<A>>, before: Option<A>) {
    while let Some((last, _)) = around.last().copied() {
        if before.is_some_and(|address| last >= address) {
            break;
        }
        around.pop();
        if let Some(next) = last.after() {
            let outer = around.last().map_or(NOBODY, |(_, set)| *set);
            begin(runs, next, outer);
        }
    }
}

/// Begins a run, replacing one that began at the same address and joining a like neighbour.
fn begin<A: Bits>(runs: &mut Vec<Run<A>>, start: A, set: u32) {
    if runs.last().is_some_and(|(begun, _)| *begun == start) {
        runs.pop();
    }
    if runs.last().is_none_or(|(_, before)| *before != set) {
        runs.push((start, set));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_adjacent_and_equal_prefixes() {
        let ip = |text: &str| u32::from(text.parse::<std::net::Ipv4Addr>().expect("an address"));
        type Prefix = (&'static str, u8, u16);
        type Runs = &'static [(&'static str, &'static [u16])];
        let rows: &[(&[Prefix], Runs)] = &[
            (&[], &[("0.0.0.0", &[])]),
            (&[("0.0.0.0", 0, 3)], &[("0.0.0.0", &[3])]),
            (&[("10.0.0.0", 8, 1)], &[("0.0.0.0", &[]), ("10.0.0.0", &[1]), ("11.0.0.0", &[])]),
            (
                &[("10.1.0.0", 16, 2), ("10.0.0.0", 8, 1)],
                &[
                    ("0.0.0.0", &[]),
                    ("10.0.0.0", &[1]),
                    ("10.1.0.0", &[1, 2]),
                    ("10.2.0.0", &[1]),
                    ("11.0.0.0", &[]),
                ],
            ),
            // Neighbours of one group join; a group within itself adds nothing.
            (
                &[("10.0.0.0", 9, 1), ("10.128.0.0", 9, 1), ("10.3.0.0", 16, 1)],
                &[("0.0.0.0", &[]), ("10.0.0.0", &[1]), ("11.0.0.0", &[])],
            ),
            // The same prefix in two groups.
            (
                &[("10.0.0.0", 8, 2), ("10.0.0.0", 8, 1)],
                &[("0.0.0.0", &[]), ("10.0.0.0", &[1, 2]), ("11.0.0.0", &[])],
            ),
            // The last address, and prefixes that end with it.
            (
                &[("255.0.0.0", 8, 1), ("255.255.255.255", 32, 256)],
                &[("0.0.0.0", &[]), ("255.0.0.0", &[1]), ("255.255.255.255", &[1, 256])],
            ),
            // A nested prefix at the very start and one at the very end.
            (
                &[("10.0.0.0", 8, 1), ("10.0.0.0", 24, 2), ("10.255.255.0", 24, 2)],
                &[
                    ("0.0.0.0", &[]),
                    ("10.0.0.0", &[1, 2]),
                    ("10.0.1.0", &[1]),
                    ("10.255.255.0", &[1, 2]),
                    ("11.0.0.0", &[]),
                ],
            ),
        ];
        for (prefixes, expected) in rows {
            let mut sets = Sets::new();
            let mut owned: Vec<_> = prefixes.iter().map(|(a, len, g)| (ip(a), *len, *g)).collect();
            let runs = flatten(&mut owned, &mut sets);
            let members = |number: u32| -> Vec<u16> {
                (0..=TRUSTED).filter(|m| has(&sets.list[number as usize], *m)).collect()
            };
            let found: Vec<_> = runs.iter().map(|(a, set)| (*a, members(*set))).collect();
            let expected: Vec<_> = expected.iter().map(|(a, set)| (ip(a), set.to_vec())).collect();
            assert_eq!(found, expected, "{prefixes:?}");
        }
    }
}
