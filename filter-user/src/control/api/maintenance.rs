//! Maintenance: when what an API does is neither judged nor learned.

use serde::{Deserialize, Serialize};

use crate::store::Who;

/// An order that an API is being maintained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceStart {
    /// The API's name.
    pub api: String,
    /// For so many seconds, at most 31 days.
    pub ttl_seconds: f64,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Which API's maintenance is to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceStop {
    /// The API's name.
    pub api: String,
}

/// A maintenance in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MaintenanceEntry {
    /// The API's name.
    pub api: String,
    /// Since when.
    pub since: u64,
    /// When it ends by itself.
    pub until: u64,
    /// Who ordered it; `None`: the policy.
    pub by: Option<Who>,
    /// Why.
    pub reason: String,
}
