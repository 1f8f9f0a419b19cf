//! Groups and trusted prefixes become numbered classes and the tables that find them.

use filter_common::classify::MAX_CLASSES;
use filter_common::tables::{ClassGroups, feature};

use crate::policy::Policy;
use crate::policy::prefixes::Prefixes;
use crate::text::Problem;

use super::flatten::{NOBODY, Owned, Run, Set, Sets, TRUSTED, flatten, has};
use super::trie::ClassTables;

/// Every class of a policy.
pub(super) struct Classes {
    /// The members of each class, by its number.
    pub(super) sets: Vec<Set>,
    /// The groups of each class by stable id.
    pub(super) groups: Vec<ClassGroups>,
    /// Classes 1 to this less one are trusted.
    pub(super) trusted: u32,
    pub(super) tables: ClassTables,
    pub(super) features: u32,
    pub(super) prefixes: (usize, usize),
}

/// Numbers the combinations of groups that occur, the trusted ones first, and fills the tables.
pub(super) fn resolve(policy: &Policy, group_ids: &[u32]) -> Result<Classes, Problem> {
    let groups = policy.groups.iter().enumerate();
    let groups = groups.map(|(index, group)| (index as u16, &group.prefixes));
    let owners: Vec<_> = groups.chain([(TRUSTED, &policy.trusted.prefixes)]).collect();
    let mut sets = Sets::new();
    let mut v4 = owned(&owners, |prefixes| &prefixes.v4);
    let mut v6 = owned(&owners, |prefixes| &prefixes.v6);
    let prefixes = (v4.len(), v6.len());
    let mut runs_v4 = flatten(&mut v4, &mut sets);
    drop(v4);
    let mut runs_v6 = flatten(&mut v6, &mut sets);
    drop(v6);

    let numbering = Numbering::new(&sets, &runs_v4, &runs_v6)?;
    numbering.apply(&mut runs_v4);
    numbering.apply(&mut runs_v6);
    let mut tables = ClassTables::default();
    let mut features = 0;
    if prefixes.0 != 0 {
        features |= feature::V4_CLASSES;
        tables.fill_v4(&runs_v4)?;
    }
    if prefixes.1 != 0 {
        features |= feature::V6_CLASSES;
        tables.fill_v6(&runs_v6)?;
    }
    let groups = numbering.sets.iter().map(|set| class_groups(set, group_ids)).collect();
    let Numbering { sets, trusted, .. } = numbering;
    Ok(Classes { sets, groups, trusted, tables, features, prefixes })
}

/// All prefixes of one family with the number of who has them.
fn owned<A: Copy>(
    owners: &[(u16, &Prefixes)],
    family: impl Fn(&Prefixes) -> &Vec<crate::policy::Member<A>>,
) -> Vec<Owned<A>> {
    let mut all = Vec::with_capacity(owners.iter().map(|(_, set)| family(set).len()).sum());
    for (owner, prefixes) in owners {
        all.extend(family(prefixes).iter().map(|m| (m.address, m.length, *owner)));
    }
    all
}

/// Which class a set of groups is.
struct Numbering {
    /// Class by the number of the set; sets that no run has are `NOBODY`.
    class_of: Vec<u32>,
    sets: Vec<Set>,
    trusted: u32,
}

impl Numbering {
    fn new(sets: &Sets, v4: &[Run<u32>], v6: &[Run<u128>]) -> Result<Self, Problem> {
        let mut met = vec![false; sets.list.len()];
        let numbers = v4.iter().map(|(_, set)| *set).chain(v6.iter().map(|(_, set)| *set));
        for set in numbers {
            met[set as usize] = true;
        }
        let mut this = Self {
            class_of: vec![NOBODY; sets.list.len()],
            sets: vec![Set::default()],
            trusted: 1,
        };
        for trusted in [true, false] {
            for (number, set) in sets.list.iter().enumerate() {
                if met[number] && number != NOBODY as usize && has(set, TRUSTED) == trusted {
                    this.class_of[number] = this.sets.len() as u32;
                    this.sets.push(*set);
                }
            }
            if trusted {
                this.trusted = this.sets.len() as u32;
            }
        }
        if this.sets.len() > MAX_CLASSES as usize {
            return Err(Problem::new(
                format!("groups overlap in {} ways; there can be {MAX_CLASSES}", this.sets.len()),
                "let fewer groups overlap: join those that are used alike",
            ));
        }
        Ok(this)
    }

    fn apply<A>(&self, runs: &mut [Run<A>]) {
        for (_, number) in runs {
            *number = self.class_of[*number as usize];
        }
    }
}

fn class_groups(set: &Set, group_ids: &[u32]) -> ClassGroups {
    let mut groups = ClassGroups::default();
    for (index, id) in group_ids.iter().enumerate() {
        if has(set, index as u16) {
            groups.bits[(id / 64) as usize % groups.bits.len()] |= 1 << (id % 64);
        }
    }
    groups
}
