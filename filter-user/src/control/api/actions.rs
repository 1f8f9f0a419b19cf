//! What weir did by itself, would have done, or wants to do.

use serde::{Deserialize, Serialize};

use crate::store::Who;

/// An automatic action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionEntry {
    /// Its number.
    pub id: u64,
    /// When it was decided about first.
    pub time: u64,
    /// `held` (it waits), `done`, `dry_run`, `refused`, `failed`, `rejected`, `expired` or `undone`.
    pub state: String,
    /// `ban`, `limit`, `lockdown` or `escalate`.
    pub kind: String,
    /// The API.
    pub api: String,
    /// The source, or the network, where it is about one.
    pub source: Option<String>,
    /// The rate of a limit, the group of a lockdown, the number of banned sources of an escalation.
    pub argument: Option<String>,
    /// For how long, seconds.
    pub ttl_seconds: f64,
    /// The finding it answers.
    pub finding: Option<String>,
    /// The detector.
    pub detector: Option<String>,
    /// What was found.
    pub why: String,
    /// The guard that refused it, or why it failed.
    pub refusal: Option<String>,
    /// Until when it can be approved.
    pub expires: Option<u64>,
    /// When somebody approved, rejected or undid it.
    pub decided: Option<u64>,
    /// Who did.
    pub by: Option<Who>,
}

/// Which actions to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionQuery {
    /// Those that do not wait, too.
    #[serde(default)]
    pub all: bool,
    /// The latest so many.
    #[serde(default = "hundred")]
    pub limit: usize,
}

const fn hundred() -> usize {
    100
}

/// What is decided about an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It is done now.
    Approve,
    /// It is not done.
    Reject,
    /// What was done is taken back.
    Undo,
}

/// A decision about an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionDecision {
    /// Which.
    pub id: u64,
    /// What.
    pub decision: Decision,
}

/// An order to stop all automatic actions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionsStop {
    /// Seconds until they are taken again by themselves; `None`: when somebody says so.
    #[serde(default)]
    pub ttl_seconds: Option<f64>,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// How automatic actions stand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionsStatus {
    /// How far weir goes by itself, where an API says nothing else: `dry_run`, `approve` or `act`.
    pub mode: String,
    /// Actions that wait to be approved.
    pub held: u64,
    /// Set while an operator has stopped them.
    pub stopped: Option<Stopped>,
}

/// That automatic actions are stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stopped {
    /// Since when.
    pub since: u64,
    /// Until when; `None`: until somebody says so.
    pub until: Option<u64>,
    /// By whom.
    pub by: Who,
    /// Why.
    pub reason: String,
}
