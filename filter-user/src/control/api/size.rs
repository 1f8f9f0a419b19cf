//! How large a policy is, and what it costs.

use serde::{Deserialize, Serialize};

/// A policy in numbers, beside the one in force before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Size {
    /// APIs.
    pub apis: Change,
    /// IPv4 prefixes, of trusted sources and groups together.
    pub prefixes_v4: Change,
    /// IPv6 prefixes.
    pub prefixes_v6: Change,
    /// Rules: one for each API and each way in which groups overlap.
    pub rules: Change,
    /// What it takes in the kernel; `None` when the kernel does not tell.
    pub memory: Option<Footprint>,
    /// What a packet will cost; `None` when it could not be tried.
    pub cost: Option<PacketCost>,
}

/// A number before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// In force before, or now.
    pub before: u64,
    /// With the policy at hand.
    pub after: u64,
}

/// Kernel memory in bytes, as the kernel accounts for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Footprint {
    /// The policy's tables and scratch space.
    pub tables: u64,
    /// Its programs.
    pub programs: u64,
    /// State that stays through changes (counters, bans, budgets), without the next two.
    pub state: u64,
    /// The limiter.
    pub limiter: u64,
    /// The ring.
    pub ring: u64,
    /// All of it.
    pub total: u64,
    /// While the policies before and after are both loaded.
    pub peak: u64,
}

/// What a packet costs on this host, in ns, measured on the loaded programs over state of their own
/// before they are attached: sampling off, everything in the caches, no limit spent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PacketCost {
    /// A program that looks at nothing.
    pub empty_ns: u64,
    /// Packets that the first API admits and refuses.
    pub packets: Vec<CostOf>,
}

/// What one packet costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostOf {
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// The reason of its verdict.
    pub reason: String,
    /// ns, with what an empty program costs.
    pub ns: u64,
}
