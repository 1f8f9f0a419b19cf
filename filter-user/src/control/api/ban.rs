//! Bans.

use serde::{Deserialize, Serialize};

/// A ban in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ban {
    /// The address, or the network as `address/length`.
    pub prefix: String,
    /// The only API it covers; `None`: the whole host.
    pub api: Option<String>,
    /// When it began.
    pub since: u64,
    /// Seconds until it ends by itself; `None`: never.
    pub remaining_seconds: Option<u64>,
    /// Why, as the operator or the detector put it; empty when the daemon does not know.
    #[serde(default)]
    pub reason: String,
    /// Placed by a detector, not by an operator: a would-drop at an API in monitor mode.
    #[serde(default)]
    pub automatic: bool,
    /// Out of the bans of how many of its sources it was made (`escalate`); `None`: it was not.
    #[serde(default)]
    pub sources: Option<u32>,
    /// Packets it dropped, or would have in monitor mode.
    #[serde(default)]
    pub hits: u64,
}

/// A ban to place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BanAdd {
    /// An address, or a network as `address/length` without host bits.
    pub prefix: String,
    /// Seconds until it ends by itself, more than 0; `None`: never.
    #[serde(default)]
    pub ttl_seconds: Option<f64>,
    /// Narrow it to one API.
    #[serde(default)]
    pub api: Option<String>,
    /// Why, for those who read it later.
    #[serde(default)]
    pub reason: String,
    /// Do it even when it would lock the caller out.
    #[serde(default)]
    pub force: bool,
}

/// A ban to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BanRemove {
    /// The prefix exactly as it was banned.
    pub prefix: String,
    /// The API it is narrowed to, exactly as it was banned.
    #[serde(default)]
    pub api: Option<String>,
}
