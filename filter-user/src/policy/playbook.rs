//! Playbooks: what is done about which APIs when there is a breach, by weir and by people.

use std::time::Duration;

use crate::text::Location;
use crate::text::quantity::Rate;

use super::model::GroupIndex;

/// What is to be done in a case that somebody thought of before it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playbook {
    /// Its name, unique in the policy.
    pub name: String,
    /// Where it begins.
    pub at: Location,
    /// The APIs it is about, by name; at least one, each of the policy.
    pub apis: Vec<String>,
    /// What is done, in this order; at least one step.
    pub steps: Vec<PlayStep>,
    /// Who is called, and how.
    pub contacts: Vec<String>,
    /// Names of event sinks that its events are meant for.
    pub notify: Vec<String>,
    /// How long its orders last, where a step or the command says nothing else; `None`: until lifted.
    pub ttl: Option<Duration>,
}

/// A step of a playbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayStep {
    /// What is done.
    pub play: Play,
    /// How long it lasts; `None`: as the playbook says.
    pub ttl: Option<Duration>,
    /// Where it was written.
    pub at: Location,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Play {
    /// Nothing but trusted sources reaches the APIs.
    Shutdown,
    /// Only this group does, or trusted sources only.
    Lockdown(Option<GroupIndex>),
    /// Each source is held to this rate of packets.
    Limit(Rate),
    /// A person does this.
    Manual(String),
}

impl Playbook {
    /// The steps that a person does.
    pub fn manual(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match &step.play {
            Play::Manual(text) => Some(&**text),
            _ => None,
        })
    }

    /// The steps that weir does.
    pub fn automatic(&self) -> impl Iterator<Item = &PlayStep> {
        self.steps.iter().filter(|step| !matches!(step.play, Play::Manual(_)))
    }
}
