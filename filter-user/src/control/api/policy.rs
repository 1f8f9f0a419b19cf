//! Changing what is in force.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Diagnostic, Difference, Size};
use crate::kernel::attach::Removed;

/// A policy to put in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// The policy file, as an absolute path; the daemon reads it.
    pub path: PathBuf,
    /// Seconds within which it must be confirmed, or it is rolled back; `None`: it stays.
    #[serde(default)]
    pub confirm_seconds: Option<f64>,
    /// Do it even when it would lock the caller out.
    #[serde(default)]
    pub force: bool,
}

/// A policy that is in force now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// Its name.
    pub name: String,
    /// SHA-256 over the policy and the files it names, in hex.
    pub hash: String,
    /// The hash of the one before; `None`: there was none.
    pub previous_hash: Option<String>,
    /// Its number.
    pub generation: u32,
    /// Its number in the history; `None` when the store did not take it.
    #[serde(default)]
    pub number: Option<u64>,
    /// Seconds until it is rolled back unless it is confirmed; `None`: it stays.
    #[serde(default)]
    pub confirm_seconds: Option<u64>,
    /// How many APIs it declares.
    pub apis: usize,
    /// The interfaces it is in force on.
    pub interfaces: Vec<String>,
    /// Interfaces that are not there: it will be in force there when they come.
    #[serde(default)]
    pub not_gated: Vec<String>,
    /// How long it took from request to answer.
    pub seconds: f64,
    /// What it changed; `None` when it was put back as it had been.
    #[serde(default)]
    pub difference: Option<Difference>,
    /// How large it is, and what it costs; `None` when it was put back as it had been.
    #[serde(default)]
    pub size: Option<Size>,
    /// What is accepted, but likely not what was meant.
    #[serde(default)]
    pub warnings: Vec<Diagnostic>,
}

/// What was taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detached {
    /// Interfaces that are free now.
    pub interfaces: Vec<String>,
    /// Pinned objects that were removed, and with them bans, limits and counters.
    pub removed: Vec<PathBuf>,
}

impl From<Removed> for Detached {
    fn from(removed: Removed) -> Self {
        Self { interfaces: removed.interfaces, removed: removed.pins }
    }
}
