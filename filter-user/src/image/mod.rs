//! A compiled policy: the tables of one generation, as plain memory.
//!
//! `policy::compile` makes an [`Image`], `kernel` copies it into maps, and [`view`] lets the same
//! verdict code run over it in userspace, for `explain`, `replay` and tests.

pub mod ids;
pub mod view;

use filter_common::classify::Node;
use filter_common::tables::{Api, ClassGroups, Listen, Profile, Rule};

pub use ids::Ids;

/// One budget that a group of sources shares at an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedOwner {
    /// Stable id of the API.
    pub api: u32,
    /// Which of its shared budgets, from `SHARED_GROUPS` on.
    pub slot: u32,
    /// Stable id of the group.
    pub group: u32,
}

/// The tables of one generation. See [`filter_common::tables`] for what is in them; a table that
/// the features say is not read may be empty.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Bits of `filter_common::tables::feature` that follow from the policy: all but `SENSOR`
    /// and `EXACT_CLOCK`, which the loader adds.
    pub features: u32,
    /// Kinds of packets that are dropped: bits of `filter_common::oddity::Oddity`.
    pub drops: u32,
    /// Kinds of packets that are would-drops.
    pub watches: u32,
    /// Classes 1 to this less one are trusted.
    pub trusted_classes: u32,
    /// Names of the interfaces that trust is narrowed to, at most 8.
    pub trusted_interfaces: Vec<String>,
    /// The shortest burst of any limit in ns; `u64::MAX` without limits. The loader takes the exact
    /// clock when it is below two ticks.
    pub shortest_burst: u64,
    /// Empty, or `V4_TOP_WORDS` words.
    pub v4_top: Vec<u64>,
    /// Empty, or `V6_ROOT_WORDS` words.
    pub v6_root: Vec<u64>,
    /// Entries, two a word, the even index in the low half.
    pub entries: Vec<u64>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Empty, or `PORT_CELLS` cells.
    pub ports: Vec<u16>,
    /// Chains of listens.
    pub listens: Vec<Listen>,
    /// APIs by slot, in the order of the policy.
    pub apis: Vec<Api>,
    /// Rules: those of slot 0 for every class, then those of slot 1, and so on.
    pub rules: Vec<Rule>,
    /// Limit profiles; number 0 is no limit.
    pub profiles: Vec<Profile>,
    /// Groups of each class.
    pub class_groups: Vec<ClassGroups>,
    /// Who owns the shared budgets.
    pub shared: Vec<SharedOwner>,
    /// Prefixes that went into the tables, of trusted sources and groups together: IPv4, IPv6.
    pub prefixes: (usize, usize),
}

impl Image {
    /// Classes there are: so many rules each API has.
    pub fn classes(&self) -> u32 {
        u32::try_from(self.class_groups.len()).unwrap_or(u32::MAX)
    }

    /// The place of an API's rule for a class.
    pub fn rule_place(&self, slot: usize, class: u32) -> usize {
        slot * self.class_groups.len() + class as usize
    }

    /// Bytes the tables take in the kernel.
    pub fn table_bytes(&self) -> usize {
        8 * (self.v4_top.len() + self.v6_root.len() + self.entries.len())
            + size_of_val(&*self.ports)
            + size_of_val(&*self.nodes)
            + size_of_val(&*self.listens)
            + size_of_val(&*self.apis)
            + size_of_val(&*self.rules)
            + size_of_val(&*self.profiles)
            + size_of_val(&*self.class_groups)
    }
}
