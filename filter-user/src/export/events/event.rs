//! The schema: what an event can say. A field without a value is left out.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::detect::{Severity, Source};
use crate::geo::Country;

/// Version of the schema: raised when a field changes its meaning or goes away, not when one comes.
pub const SCHEMA: u32 = 1;

macro_rules! kinds {
    ($($variant:ident $name:literal $severity:ident $help:literal;)+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = $help] $variant,)+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in `event`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How much it matters, unless the event says otherwise.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }
        }
    };
}

kinds! {
    DaemonStarted "daemon_started" Info "The daemon runs.";
    DaemonStopped "daemon_stopped" Notice "The daemon ends; the kernel goes on as `on_exit` says.";
    PolicyApplied "policy_applied" Notice "A policy is in force.";
    PolicyConfirmed "policy_confirmed" Notice "A policy that waited to be confirmed stays.";
    PolicyRolledBack "policy_rolled_back" Warning "A policy that was not confirmed is no longer in force; the one before is.";
    StoreFailed "store_failed" Warning "History or audit log could not be read or written; the filter goes on.";
    PolicyRejected "policy_rejected" Warning "A policy was not applied; the one before stays.";
    FeedChanged "feed_changed" Notice "A feed changed, and with it what is in force.";
    FeedRejected "feed_rejected" Warning "A feed changed to something that is not to be believed; its last good content stays.";
    FeedRestored "feed_restored" Notice "A feed that was rejected is good again.";
    InterfaceOpen "interface_open" Critical "An interface that is to be gated is not; why, the message says.";
    InterfaceGated "interface_gated" Notice "An interface that was not gated is gated again.";
    StateReset "state_reset" Warning "State in the kernel, or what was learned, was begun anew; what, the message says.";
    SourceLimited "source_limited" Info "A source went over a limit.";
    SourceRefused "source_refused" Info "A source was refused.";
    BanAdded "ban_added" Notice "A ban is in force.";
    BanRemoved "ban_removed" Notice "A ban was lifted before its time.";
    BanExpired "ban_expired" Info "A ban ended by itself.";
    FindingOpened "finding_opened" Warning "A detector found something.";
    FindingUpdated "finding_updated" Warning "A finding goes on, with newer numbers.";
    FindingClosed "finding_closed" Info "A finding is over.";
    FindingAcknowledged "finding_acknowledged" Notice "An operator has seen a finding.";
    FindingUnacknowledged "finding_unacknowledged" Notice "An operator took back that a finding was seen.";
    FindingMuted "finding_muted" Notice "An operator ordered that receivers are not told of what a detector finds at an API.";
    FindingUnmuted "finding_unmuted" Notice "They are told of it again.";
    MaintenanceStarted "maintenance_started" Notice "An API is being maintained: what it does is neither judged nor learned, attacks apart.";
    MaintenanceEnded "maintenance_ended" Notice "A maintenance is over, or was ended.";
    ActionTaken "action_taken" Warning "A finding was answered, or a network banned because its sources are.";
    ActionRefused "action_refused" Warning "A finding was not answered, or a network not banned, as the policy says; why, the action says.";
    ActionDryRun "action_dry_run" Notice "A finding would have been answered, were it not a dry run.";
    ActionHeld "action_held" Warning "An answer to a finding waits for an operator to approve it.";
    ActionRejected "action_rejected" Notice "An operator rejected an answer that waited.";
    ActionExpired "action_expired" Notice "An answer that waited was approved by nobody in time.";
    ActionUndone "action_undone" Notice "An operator took back what weir had done by itself.";
    ActionsStopped "actions_stopped" Critical "An operator stopped all automatic actions.";
    ActionsStarted "actions_started" Notice "Automatic actions are taken again.";
    QuotaExceeded "quota_exceeded" Notice "A source sent more requests than its quota.";
    HandOff "hand_off" Warning "A source is to be banned that is only known through a proxy: whoever runs the proxy has to.";
    BreachOrdered "breach_ordered" Critical "An operator ordered a shutdown, a lockdown or a limit, or weir did as a step of a playbook.";
    BreachLifted "breach_lifted" Notice "An operator ended what was ordered.";
    BreachExpired "breach_expired" Notice "An order ended by itself.";
    BreachRun "breach_run" Critical "A playbook was run: what weir does of it is done.";
    BreachDrilled "breach_drilled" Notice "A playbook, or the shutdown of an API, was rehearsed; nobody met an order.";
    Assessed "assessed" Notice "A posture report was kept; how many points are open, the message says.";
    ModeOrdered "mode_ordered" Notice "An operator ordered another mode of an API, or ended that.";
    SamplingReduced "sampling_reduced" Warning "Fewer flows are sampled than asked for, because the ring fills; what is seen stands for more.";
    SamplingRestored "sampling_restored" Info "As many flows are sampled as asked for again.";
    TelemetryGap "telemetry_gap" Warning "Samples were lost: numbers of that time are too low.";
    SinkFailing "sink_failing" Warning "A receiver of events takes none; they wait for it.";
    SinkRestored "sink_restored" Notice "A receiver that took no events takes them again.";
    SinkLost "sink_lost" Warning "Events for a receiver were lost; how many and why, the message says.";
    SettingsReloaded "settings_reloaded" Notice "The daemon's settings were read again and are others: which receivers changed and what waits for a restart, the message says.";
    SettingsRejected "settings_rejected" Warning "The daemon's settings could not be read again: what was in force stays.";
    SinkTest "sink_test" Info "Somebody asked for a test event: nothing happened.";
}

impl Kind {
    /// Whether events of this kind are about a finding.
    pub const fn is_of_finding(self) -> bool {
        matches!(
            self,
            Self::FindingOpened
                | Self::FindingUpdated
                | Self::FindingClosed
                | Self::FindingAcknowledged
                | Self::FindingUnacknowledged
        )
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// An event. Times are ns since 1970 here, RFC 3339 in UTC with milliseconds in the text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When it happened.
    #[serde(serialize_with = "rfc3339")]
    pub time: u64,
    /// What happened.
    #[serde(rename = "event")]
    pub kind: Kind,
    /// How much it matters.
    #[serde(serialize_with = "severity")]
    pub severity: Severity,
    /// One sentence for a person.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// At which API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiField>,
    /// Whose doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceField>,
    /// By which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpField>,
    /// What was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<FindingField>,
    /// Under which policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyField>,
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionField>,
    /// Which packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficField>,
    /// What was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossField>,
    /// By which playbook, and who is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playbook: Option<PlaybookField>,
}

impl Event {
    /// An event of the kind's severity that says nothing more yet. `time` is ns since 1970.
    pub fn new(kind: Kind, time: u64, message: impl Into<String>) -> Self {
        Self {
            schema: SCHEMA,
            time,
            kind,
            severity: kind.severity(),
            message: message.into(),
            api: None,
            source: None,
            http: None,
            finding: None,
            policy: None,
            action: None,
            traffic: None,
            loss: None,
            playbook: None,
        }
    }
}

/// An API and who is told. What the policy does not say is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ApiField {
    /// Its name, or `__unclaimed__`.
    pub name: Arc<str>,
    /// Who decides about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Arc<str>>,
    /// Who is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responder: Option<Arc<str>>,
    /// `low`, `medium`, `high` or `critical`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criticality: Option<&'static str>,
}

/// A source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SourceField {
    /// Its address, or that of its network.
    pub ip: std::net::IpAddr,
    /// Length of the network's prefix; left out for one address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<u8>,
    /// The country it is in, `ZZ` when the database does not know; left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// The number of the autonomous system it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
}

impl SourceField {
    /// A source of which no more is known than its address.
    pub fn new(ip: std::net::IpAddr, prefix: Option<u8>) -> Self {
        Self { ip, prefix, country: None, asn: None }
    }
}

impl From<Source> for SourceField {
    fn from(source: Source) -> Self {
        Self::new(source.address, (!source.is_single()).then_some(source.length))
    }
}

/// A request, without its target: a route has no query and no values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpField {
    /// Its method.
    pub method: String,
    /// Its route.
    pub route: Arc<str>,
    /// The response's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// A finding; `observed`, `baseline` and `threshold` are in `unit`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FindingField {
    /// The same from opened to closed.
    pub id: Arc<str>,
    /// `open`, `update` or `closed`.
    pub state: &'static str,
    /// Name of the [`crate::detect::Detector`].
    pub detector: &'static str,
    /// What was seen.
    pub observed: f64,
    /// What is usual.
    pub baseline: f64,
    /// From where on it counts.
    pub threshold: f64,
    /// Of these three.
    pub unit: Cow<'static, str>,
    /// Which user of the source: a keyed hash of what it logs in with, in hex, until the key rotates;
    /// left out when it is not about one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Over how long it was measured, seconds.
    pub window: u64,
    /// Share of the telemetry that was not lost, 0 to 1.
    pub completeness: f64,
    /// How many requests each one seen stands for.
    pub weight: f64,
    /// One sentence with the numbers.
    pub why: String,
    /// Entry of the OWASP API Security Top 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owasp: Option<Cow<'static, str>>,
    /// Anyone could have forged the evidence.
    pub evidence_forgeable: bool,
    /// When it opened.
    #[serde(serialize_with = "rfc3339")]
    pub opened: u64,
    /// When it closed.
    #[serde(serialize_with = "rfc3339_or_none", skip_serializing_if = "Option::is_none")]
    pub closed: Option<u64>,
    /// The id of the first of the findings that it belongs to, which may be its own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// An operator has seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<AcknowledgedField>,
    /// Receivers are not told of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
    /// A few of the requests that it is about, the latest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceField>,
}

/// A request that a finding is about: what `weir evidence --source` tells of it too, and no more.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EvidenceField {
    /// When it began.
    #[serde(serialize_with = "rfc3339")]
    pub time: u64,
    /// Whose it was: behind a proxy that the policy names, its client's.
    pub source: String,
    /// Its method.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Its route.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub route: String,
    /// The final status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// To the first byte of the answer, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_seconds: Option<f64>,
    /// Bytes of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// The port, of a refused packet, of a handshake, and where no API has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// That an operator has seen a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AcknowledgedField {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub time: u64,
    /// His user id: the one that logged in, where there is one.
    pub uid: u32,
    /// What he says of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PolicyField {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// SHA-256 over it and its files, in hex.
    pub hash: String,
    /// Its number.
    pub generation: u32,
}

/// Something done or refused, by a detector or an operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ActionField {
    /// Its number, by which it is approved, rejected and undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// `ban`, `limit`, `lockdown` and so on.
    pub kind: &'static str,
    /// `done`, `dry_run`, `held`, `refused`, `failed`, `rejected`, `expired` or `undone`.
    pub outcome: &'static str,
    /// For how long, seconds; left out when it does not end by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<f64>,
    /// The guard that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<&'static str>,
    /// Out of the bans of how many sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<u32>,
    /// Who ordered it: `detector`, `operator`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'static str>,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Packets with a verdict, as far as the kernel told of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrafficField {
    /// `drop` or `would_drop`.
    pub verdict: &'static str,
    /// Name of the reason; that of the first packet.
    pub reason: &'static str,
    /// Packets told of, a sample.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sources this stands for: 1, or more in the aggregate of a window.
    pub sources: u64,
    /// Length of the window, seconds.
    pub window: u64,
}

/// A playbook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlaybookField {
    /// Its name.
    pub name: String,
    /// Who is called, and how.
    pub contacts: Vec<String>,
    /// Names of event sinks it is meant for.
    pub notify: Vec<String>,
    /// What is left for people.
    pub manual: Vec<String>,
}

impl PlaybookField {
    /// Whether it is meant for an event sink.
    pub fn names(&self, sink: &str) -> bool {
        self.notify.iter().any(|name| name == sink)
    }
}

/// Telemetry that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LossField {
    /// Records.
    pub records: u64,
    /// Share that was not lost, 0 to 1.
    pub completeness: f64,
}

fn severity<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(severity.name())
}

/// RFC 3339 in UTC with milliseconds; 64 bits of ns reach to the year 2554.
fn rfc3339<S: Serializer>(time: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(*time))
        .map_err(serde::ser::Error::custom)
        .and_then(|time| time.format(format).map_err(serde::ser::Error::custom))?;
    serializer.serialize_str(&text)
}

fn rfc3339_or_none<S: Serializer>(time: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}
