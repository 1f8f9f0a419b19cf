//! What the daemon knows at one moment, as far as a report is made of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Report;
use crate::control::api::{
    ApiEntry, FeedStatus, FindingEntry, InterfaceStatus, OrderInForce, PlaybookEntry, PolicyStatus,
    SampleStatus, Sources,
};

/// The answer to `GET /v1/assess`. Times are seconds since 1970, spans seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// When they were gathered.
    pub time: u64,
    /// The host's name.
    pub host: String,
    /// Which daemon of the host; `None`: the only one.
    pub instance: Option<String>,
    /// Version of weir.
    pub weir: String,
    /// Seconds since the daemon started.
    pub uptime_seconds: u64,
    /// What is in force; `None`: no policy, weir observes.
    pub policy: Option<PolicyStatus>,
    /// Settings of the policy that are no API's, by key as in a policy.
    pub settings: BTreeMap<String, String>,
    /// Sources that are never judged.
    pub trusted: Sources,
    /// Interfaces that are to be gated.
    pub interfaces: Vec<InterfaceStatus>,
    /// The policy's APIs in its order, then ports that nobody declared.
    pub apis: Vec<ApiFacts>,
    /// Open findings.
    pub findings: Vec<FindingEntry>,
    /// Feeds of the policy.
    pub feeds: Vec<FeedStatus>,
    /// Playbooks of the policy.
    pub playbooks: Vec<PlaybookEntry>,
    /// When the shutdown of an API was last drilled by itself, and whether that passed, by API.
    pub drills: BTreeMap<String, DrillFact>,
    /// How much of the traffic was seen.
    pub samples: SampleStatus,
    /// Since when transactions are kept; `None`: none is.
    pub transactions_since: Option<u64>,
    /// Receivers of events that are set up.
    pub receivers: u64,
    /// An operator has stopped all automatic actions.
    pub actions_stopped: bool,
    /// `[assess]` of the policy.
    pub terms: Terms,
    /// The report that was kept last; out of [`Report::facts`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Box<Report>>,
}

/// A drill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillFact {
    /// When it began.
    pub time: u64,
    /// Everything weir could try held.
    pub passed: bool,
}

/// When what is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// A report is due after so long; `None`: there is no schedule.
    pub every_seconds: Option<u64>,
    /// A drill is.
    pub drill_seconds: u64,
    /// A finding that is open for so long is.
    pub finding_seconds: u64,
}

impl Default for Terms {
    fn default() -> Self {
        let terms = crate::policy::Assess::default();
        Self {
            every_seconds: None,
            drill_seconds: terms.drill_within.as_secs(),
            finding_seconds: terms.finding_within.as_secs(),
        }
    }
}

/// An API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiFacts {
    /// What the inventory says of it.
    pub seen: ApiEntry,
    /// `auto`, `http`, `tls` or `opaque`.
    pub kind: String,
    /// `enforce` or `monitor`, orders included.
    pub mode: String,
    /// Everyone may reach it who is not denied.
    pub any: bool,
    /// Groups that may reach it.
    pub allow: Vec<String>,
    /// Groups that may not.
    pub deny: Vec<String>,
    /// The sources that remain, trusted ones apart.
    pub sources: Sources,
    /// Its limits.
    pub limits: Vec<LimitFact>,
    /// Requests that log in.
    pub login: Vec<String>,
    /// What follows a finding, by detector, where it is more than an alert.
    pub answers: BTreeMap<String, String>,
    /// How far weir may go by itself: `dry_run`, `approve` or `act`.
    pub respond_mode: String,
    /// Orders in force.
    pub orders: Vec<OrderInForce>,
    /// All of its settings, by key as in a policy.
    pub settings: BTreeMap<String, String>,
}

/// A limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitFact {
    /// Who is held to it: `source`, `all`, or a group's name after `group `.
    pub of: String,
    /// `packets`, `bytes`, `connections` or `requests`.
    pub measure: String,
    /// The rate, as in a policy.
    pub rate: String,
}

/// What could be seen of an API's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Requests themselves: all of them, as far as is known.
    Requests,
    /// Some requests, while others are encrypted.
    Both,
    /// Encrypted connections only: sizes and times.
    Encrypted,
    /// The policy says not to look.
    Opaque,
    /// Connections that carry neither HTTP nor TLS.
    Foreign,
    /// Nothing has been seen.
    Nothing,
}

impl ApiFacts {
    /// What could be seen of it.
    pub(super) fn sight(&self) -> Sight {
        if self.kind == "opaque" {
            return Sight::Opaque;
        }
        let plain = self.plain_requests() > 0;
        let encrypted =
            self.handshakes() > 0 || self.seen.visibility.iter().any(|kind| kind == "tls_metadata");
        match (plain, encrypted) {
            (true, true) => Sight::Both,
            (true, false) => Sight::Requests,
            (false, true) => Sight::Encrypted,
            (false, false) if self.seen.connections > 0 => Sight::Foreign,
            (false, false) => Sight::Nothing,
        }
    }

    /// Requests that could be read.
    pub(super) fn plain_requests(&self) -> u64 {
        if self.seen.visibility.iter().any(|kind| kind == "plaintext") {
            self.seen.requests
        } else {
            0
        }
    }

    /// TLS handshakes.
    pub(super) fn handshakes(&self) -> u64 {
        self.seen.tls.values().sum()
    }

    /// Share of its requests that carried some credential; `None`: no request was read.
    pub(super) fn authenticated(&self) -> Option<f64> {
        let requests = self.plain_requests();
        let none = self.seen.credentials.get("none").copied().unwrap_or(0).min(requests);
        (requests > 0).then(|| (requests - none) as f64 / requests as f64)
    }

    /// Its criticality; `medium` for a port that nobody declared.
    pub(super) fn criticality(&self) -> &str {
        self.seen.criticality.as_deref().unwrap_or("medium")
    }

    /// Drops are only counted.
    pub(super) fn monitors(&self) -> bool {
        self.mode == "monitor"
    }

    /// Limits of packets, bytes or connections.
    pub(super) fn rates(&self) -> impl Iterator<Item = &LimitFact> {
        self.limits.iter().filter(|limit| limit.measure != "requests")
    }

    /// Limits of requests.
    pub(super) fn quotas(&self) -> impl Iterator<Item = &LimitFact> {
        self.limits.iter().filter(|limit| limit.measure == "requests")
    }
}

impl Facts {
    /// The playbooks that name an API.
    pub(super) fn playbooks_of(&self, api: &str) -> impl Iterator<Item = &PlaybookEntry> {
        self.playbooks.iter().filter(move |book| book.apis.iter().any(|name| name == api))
    }

    /// Whether something of that time is older than a span.
    pub(super) fn older(&self, time: u64, span: u64) -> bool {
        self.time.saturating_sub(time) > span
    }
}
