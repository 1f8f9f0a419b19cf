//! What follows a finding, and how far weir may go by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::Detector;
use crate::text::quantity::Rate;

use super::model::GroupIndex;

/// What follows a finding of each detector at an API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Respond {
    /// By detector; an alert for those that are not named.
    pub answers: BTreeMap<Detector, Answer>,
    /// How far weir may go at this API; `None`: as [`Responses::mode`] says.
    pub mode: Option<RespondMode>,
}

impl Respond {
    /// What follows a finding of a detector.
    pub fn to(&self, detector: Detector) -> Answer {
        self.answers.get(&detector).copied().unwrap_or_default()
    }

    /// Whether anything but an alert follows some finding.
    pub fn acts(&self) -> bool {
        self.answers.values().any(|answer| answer.response != Response::Alert)
    }

    /// Whether any answer is a ban.
    pub fn bans(&self) -> bool {
        self.answers.values().any(|answer| matches!(answer.response, Response::Ban(_)))
    }
}

/// What follows a finding, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What.
    pub response: Response,
    /// For how long, where the response does not say so itself; `None`: the usual time.
    pub ttl: Option<Duration>,
}

/// What follows a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Response {
    /// An event.
    #[default]
    Alert,
    /// An event, and the source is held to this many packets.
    Limit(Rate),
    /// An event, and the source is banned for so long.
    Ban(Duration),
    /// An event, and only this group reaches the API.
    Lockdown(GroupIndex),
}

/// How far weir may go by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RespondMode {
    /// It says what it would do.
    #[default]
    DryRun,
    /// It asks first.
    Approve,
    /// It acts.
    Act,
}

impl RespondMode {
    /// The word in a policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DryRun => "dry_run",
            Self::Approve => "approve",
            Self::Act => "act",
        }
    }
}

/// Every mode by its word.
pub(super) const MODES: [(&str, RespondMode); 3] = [
    (RespondMode::DryRun.name(), RespondMode::DryRun),
    (RespondMode::Approve.name(), RespondMode::Approve),
    (RespondMode::Act.name(), RespondMode::Act),
];

/// `[respond]`: bounds of all that weir does by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Responses {
    /// How far it may go where an API says nothing else.
    pub mode: RespondMode,
    /// Share of an API's sources of the last hour that an action may cut off, 0 to 1. One source
    /// always may be.
    pub max_share_sources: f64,
    /// Share of an API's requests of the last hour, those that were answered well, that an action may
    /// cut off, 0 to 1.
    pub max_share_requests: f64,
    /// Actions within a minute.
    pub per_minute: u32,
    /// How long an action waits to be approved.
    pub approve_within: Duration,
    /// A source with so many different credentials is shared by many and never banned automatically;
    /// 0: none is.
    pub shared_credentials: u32,
    /// The same with so many different user agents.
    pub shared_agents: u32,
}

impl Default for Responses {
    fn default() -> Self {
        Self {
            mode: RespondMode::DryRun,
            max_share_sources: 0.1,
            max_share_requests: 0.25,
            per_minute: 10,
            approve_within: Duration::from_secs(3_600),
            shared_credentials: 5,
            shared_agents: 10,
        }
    }
}
