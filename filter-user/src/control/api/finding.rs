//! Findings, from open to closed.

use serde::{Deserialize, Serialize};

use crate::detect::Example;
use crate::store::Who;

/// A finding. `observed`, `baseline` and `threshold` are in `unit`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FindingEntry {
    /// The same from opened to closed.
    pub id: String,
    /// Who found it.
    pub detector: String,
    /// `info`, `notice`, `warning` or `critical`.
    pub severity: String,
    /// `open` or `closed`.
    pub state: String,
    /// At which API, by name; or a port that nobody declared.
    pub api: String,
    /// Of which method, where it is about one endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Of which route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Whose doing, an address or a prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it opened.
    pub opened: u64,
    /// When its numbers are from.
    pub updated: u64,
    /// When it closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<u64>,
    /// What was seen.
    pub observed: f64,
    /// What is usual.
    pub baseline: f64,
    /// From where on it counts.
    pub threshold: f64,
    /// Of these three.
    pub unit: String,
    /// Over how long it was measured, seconds.
    pub window_seconds: u64,
    /// Share of the telemetry that was not lost, 0 to 1.
    pub completeness: f64,
    /// How many requests each one seen stands for.
    pub weight: f64,
    /// One sentence with the numbers.
    pub why: String,
    /// Entry of the OWASP API Security Top 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owasp: Option<String>,
    /// Anyone could have forged the evidence.
    pub evidence_forgeable: bool,
    /// What it belongs to: the id of the first of the findings that opened at the API within a few
    /// minutes, which may be its own.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Set when an operator has seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
    /// Nobody is told of it: see [`MuteEntry`]. Of one that is over, whether nobody was at its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
    /// A few of the requests that it is about, the latest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceEntry>,
}

/// A request that a finding is about; a turn of an encrypted connection has neither method nor route,
/// a connection to a port that no API has its port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EvidenceEntry {
    /// When it began, ms since 1970.
    pub time_ms: u64,
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
    /// To the first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_seconds: Option<f64>,
    /// Bytes of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// The port, of a refused packet, of a handshake, and where no API has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl EvidenceEntry {
    /// Of an example of a finding; `epoch` is what to add to its clock for ns since 1970.
    pub fn of(example: &Example, epoch: i128) -> Self {
        let wall = (i128::from(example.time) + epoch) / 1_000_000;
        Self {
            time_ms: u64::try_from(wall).unwrap_or_default(),
            source: example.source.to_string(),
            method: example.method.to_string(),
            route: example.route.to_string(),
            status: example.status,
            latency_seconds: example.latency.map(|ns| ns as f64 / 1e9),
            response_bytes: example.bytes,
            port: example.port,
        }
    }
}

/// That an operator has seen a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Acknowledged {
    /// When.
    pub time: u64,
    /// Who.
    pub by: Who,
    /// What he says of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// An acknowledgement, or its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingAck {
    /// Of which finding: its id, or a beginning that no other has.
    pub id: String,
    /// A word about it.
    #[serde(default)]
    pub note: String,
}

/// An order not to tell of what a detector finds at an API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MuteSet {
    /// The detector's name.
    pub detector: String,
    /// The API's name.
    pub api: String,
    /// For so many seconds; `None`: until it is lifted.
    #[serde(default)]
    pub ttl_seconds: Option<f64>,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Which mute is to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MuteLift {
    /// The detector's name.
    pub detector: String,
    /// The API's name.
    pub api: String,
}

/// A mute in force: what the detector finds at the API is recorded, and neither delivered to
/// receivers nor answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MuteEntry {
    /// The detector's name.
    pub detector: String,
    /// The API's name.
    pub api: String,
    /// Since when.
    pub since: u64,
    /// When it ends by itself; `None`: when it is lifted.
    pub until: Option<u64>,
    /// Who ordered it.
    pub by: Who,
    /// Why.
    pub reason: String,
    /// Findings that are open and not told of because of it.
    pub findings: u64,
}

/// Which findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FindingQuery {
    /// Those that are over too.
    pub all: bool,
    /// Of this API only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The latest so many.
    pub limit: usize,
    /// Those only that nobody has acknowledged.
    pub unacknowledged: bool,
}

impl Default for FindingQuery {
    fn default() -> Self {
        Self { all: false, api: None, limit: 1000, unacknowledged: false }
    }
}
