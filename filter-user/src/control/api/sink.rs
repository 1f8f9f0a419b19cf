//! Receivers of events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How it goes with a receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// Its kind: `file`, `stdout`, `webhook`, `alertmanager`, `syslog` or `otlp`.
    pub kind: String,
    /// Where it is, without what is secret.
    pub place: String,
    /// `delivering`; `failing`: it took nothing when it was asked last; `idle`: nothing was there to
    /// be sent since the daemon began.
    pub state: String,
    /// Events it took.
    pub delivered: u64,
    /// Events that it did not take and that were kept, each time.
    pub retried: u64,
    /// Events that were given up, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Events that wait.
    pub pending: u64,
    /// Their bytes.
    pub pending_bytes: u64,
    /// Alerts that are open at it.
    pub alerts: u64,
    /// When it last took something.
    pub last_success: Option<u64>,
    /// Since when it takes nothing.
    pub failing_since: Option<u64>,
    /// What it said last that was no success, or why it could not be asked.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<u64>,
    /// Seconds until it is asked again.
    pub next_try_seconds: Option<u64>,
    /// What is wrong with its spool.
    pub problem: Option<String>,
}

/// A test of a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkTest {
    /// Its name.
    pub sink: String,
}

/// What a receiver answered to a test event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkTested {
    /// Its name.
    pub sink: String,
    /// It took the event.
    pub taken: bool,
    /// What it said, or why it could not be asked.
    pub answer: String,
    /// How long that took.
    pub seconds: f64,
}
