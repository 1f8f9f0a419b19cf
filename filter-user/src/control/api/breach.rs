//! Playbooks: what is to be done in a breach, doing it, and rehearsing it.

use serde::{Deserialize, Serialize};

/// A playbook of the policy in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlaybookEntry {
    /// Its name.
    pub name: String,
    /// The APIs it is about.
    pub apis: Vec<String>,
    /// Its steps.
    pub steps: Vec<PlaybookStep>,
    /// Who is called.
    pub contacts: Vec<String>,
    /// Event sinks that it is meant for.
    pub notify: Vec<String>,
    /// How long its orders last; `None`: until lifted.
    pub ttl_seconds: Option<f64>,
    /// When it was last drilled; `None`: never.
    pub drilled: Option<u64>,
    /// Whether that drill passed.
    pub drill_passed: Option<bool>,
}

/// A step of a playbook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlaybookStep {
    /// `shutdown`, `lockdown`, `limit` or `manual`.
    pub kind: String,
    /// In words: `lockdown partners`, `call the bank`.
    pub text: String,
    /// How long it lasts, when not as the playbook says.
    pub ttl_seconds: Option<f64>,
}

/// A playbook to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreachRun {
    /// Its name.
    pub playbook: String,
    /// Seconds until all of its orders end; `None`: as it says itself.
    #[serde(default)]
    pub ttl_seconds: Option<f64>,
    /// Why, for those who read it later.
    #[serde(default)]
    pub reason: String,
    /// Do it even when it would lock the caller out.
    #[serde(default)]
    pub force: bool,
}

/// What running a playbook did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BreachRan {
    /// The playbook.
    pub playbook: String,
    /// What weir did, in this order.
    pub done: Vec<StepDone>,
    /// What is left for people.
    pub manual: Vec<String>,
    /// Who is called.
    pub contacts: Vec<String>,
    /// Event sinks that it is meant for.
    pub notify: Vec<String>,
    /// From the request to the last order in the kernel, seconds.
    pub seconds: f64,
}

/// A step at an API that was done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepDone {
    /// The API.
    pub api: String,
    /// The step in words.
    pub step: String,
    /// Seconds until it ends by itself; `None`: when it is lifted.
    pub ttl_seconds: Option<f64>,
}

/// What is to be rehearsed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillRequest {
    /// A playbook, or an API: its shutdown.
    pub name: String,
}

/// What became of a step of a drill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrillState {
    /// It works.
    #[default]
    Ok,
    /// It would not.
    Failed,
    /// A person has done it.
    Done,
    /// It was not tried.
    Skipped,
}

/// A step of a drill.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrillStep {
    /// What was looked at.
    pub what: String,
    /// The API it is about; empty when it is about none.
    #[serde(default)]
    pub api: String,
    /// How it went.
    pub state: DrillState,
    /// How long it took, seconds; `None`: it was not tried.
    pub seconds: Option<f64>,
    /// What was found, in a sentence.
    pub found: String,
}

/// A drill.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// To finish it by.
    pub id: u64,
    /// The playbook or API.
    pub name: String,
    /// Whether it is a playbook.
    pub is_playbook: bool,
    /// When it began.
    pub started: u64,
    /// Who asked for it: user id, or login user id where there is one.
    pub by: String,
    /// Hash of the policy in force.
    pub policy: String,
    /// Everything weir could try held, and nobody failed to do their part.
    pub passed: bool,
    /// The steps, manual ones last.
    pub steps: Vec<DrillStep>,
    /// What was left out, in sentences.
    pub not_done: Vec<String>,
    /// Who would have been called.
    pub contacts: Vec<String>,
    /// Event sinks that were told.
    pub notify: Vec<String>,
    /// From the start to the end of what weir does, seconds.
    pub seconds: f64,
}

/// The end of a drill: what only the other side knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillEnd {
    /// Which.
    pub id: u64,
    /// How long each manual step took, in their order, seconds; `None`: it was skipped.
    #[serde(default)]
    pub manual: Vec<Option<f64>>,
    /// How long the daemon took to answer at all, seconds.
    #[serde(default)]
    pub answered_seconds: Option<f64>,
    /// Write the report into the state directory.
    #[serde(default)]
    pub keep: bool,
}

/// A drill that is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drilled {
    /// All of it.
    pub drill: Drill,
    /// The report as Markdown.
    pub markdown: String,
    /// The files that were written.
    pub files: Vec<String>,
}
