//! What was in force, and the way back to it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Size;
use crate::policy::diff::Difference;
use crate::store::{Record, State, Who};

/// A generation of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Its number in the history, which `rollback` takes.
    pub number: u64,
    /// The kernel's number of it, as it was loaded last.
    pub generation: u32,
    /// The policy's name.
    pub name: String,
    /// SHA-256 over the policy and the files it names, in hex.
    pub hash: String,
    /// Where it was read.
    pub path: PathBuf,
    /// When it was put in force.
    pub applied_at: u64,
    /// By whom.
    #[serde(flatten)]
    pub who: Who,
    /// What became of it.
    pub state: State,
    /// The entry in force before.
    pub previous: Option<u64>,
    /// The entry that it brought back.
    pub restores: Option<u64>,
    /// What made it, when that was nobody: `feed`, one of its feeds changed.
    #[serde(default)]
    pub why: Option<String>,
    /// It is in force now.
    pub in_force: bool,
}

impl HistoryEntry {
    /// A record of the store.
    pub fn of(record: Record, in_force: bool) -> Self {
        let Record {
            number,
            kernel,
            name,
            hash,
            path,
            applied_at,
            who,
            state,
            previous,
            restores,
            why,
        } = record;
        let generation = kernel;
        Self {
            number,
            generation,
            name,
            hash,
            path,
            applied_at,
            who,
            state,
            previous,
            restores,
            why,
            in_force,
        }
    }
}

/// A way back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// Number in the history; `None`: what was in force before.
    #[serde(default)]
    pub number: Option<u64>,
    /// Do it even when it would lock the caller out.
    #[serde(default)]
    pub force: bool,
}

/// A policy to compare with what is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffRequest {
    /// The policy file, as an absolute path; the daemon reads it.
    pub path: PathBuf,
}

/// What a policy would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// The hash of what is in force; `None`: weir observes.
    pub in_force: Option<String>,
    /// The hash of the policy that was compared with it.
    pub hash: String,
    /// Both mean the same.
    pub same: bool,
    /// What does not.
    #[serde(flatten)]
    pub difference: Difference,
    /// How large it is, and what it would cost.
    #[serde(default)]
    pub size: Size,
}

/// A policy that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Its name.
    pub name: String,
    /// Its hash.
    pub hash: String,
    /// Its number.
    pub generation: u32,
    /// Its number in the history; `None` when the store did not take it.
    pub number: Option<u64>,
}
