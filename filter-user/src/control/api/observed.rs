//! What sources did, as far as it is kept: what limits are proposed from.

use serde::{Deserialize, Serialize};

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservedQuery {
    /// Of this API alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
}

/// An API of the policy in force, and what the kept requests say of its sources. Only what `limit` would
/// hold for is counted: no trusted sources, no proxies, no members of groups with a `limit_for`, nobody
/// without a handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedApi {
    /// Its name.
    pub api: String,
    /// Kept requests that this rests on.
    pub kept: u64,
    /// Requests they stand for.
    pub estimated: u64,
    /// Kept requests that were left out, because `limit` would not hold for their sources.
    pub exempt: u64,
    /// Different sources, as the policy tells them apart.
    pub sources: u64,
    /// When the first and the last of them began, ms since 1970.
    pub first_ms: u64,
    /// See `first_ms`.
    pub last_ms: u64,
    /// Kept requests of which the size of the answer is not known.
    pub sizes_unknown: u64,
    /// It has proxies: its sources are clients that they name.
    pub proxied: bool,
    /// Requests of a source in its busiest minute.
    pub minute: Peak,
    /// Packets that a source sent in its busiest second, worked out from sizes.
    pub second: Peak,
}

/// How much sources did at their busiest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peak {
    /// 99.9 % of sources did no more (nearest rank: of fewer than 1,000 sources, the most).
    pub p999: u64,
    /// The most.
    pub most: u64,
    /// Whose that was.
    pub source: String,
}
