//! What a view that is drawn again and again asks for: raw counts, of which two make rates.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Ban, FindingEntry, Status};

/// Sources that are told at most.
pub const TOP_SOURCES: usize = 200;
/// Findings, and bans, that are told at most.
pub const TOP_ENTRIES: usize = 200;

/// The answer to `GET /v1/top`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Top {
    /// CLOCK_MONOTONIC of the host when the counters were read, ns: what a difference of two
    /// answers is divided by, also when the daemon was started again between them.
    pub clock_ns: u64,
    /// As of `GET /v1/status`, except that the policy's files are not compared: `policy.pending` is
    /// false.
    pub status: Status,
    /// Upper bounds of the buckets of [`RequestCount::buckets`], seconds.
    pub bounds: Vec<f64>,
    /// Requests by API and status, by name.
    pub requests: Vec<RequestCount>,
    /// Who sent most of the requests lately, who got most of the errors, and who was refused last.
    pub sources: Vec<SourceCount>,
    /// The span that [`SourceCount`] counts over, seconds: a minute at most.
    pub source_seconds: f64,
    /// Pairs of a source and an API seen in that span, those left out included.
    pub sources_seen: u64,
    /// Requests of sources for which there was no room, since the daemon started.
    pub sources_untold: u64,
    /// Open findings, as `GET /v1/findings` sorts them.
    pub findings: Vec<FindingEntry>,
    /// Bans in force, those that end first first.
    pub bans: Vec<Ban>,
}

/// Requests of one API with one status, since the daemon started. Sampled requests stand for those
/// that are not in the sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestCount {
    /// The API's name, or `__unclaimed__`.
    pub api: String,
    /// The status; empty: no answer was seen; `tls`: turns of encrypted connections, of which
    /// nothing else is known; `__other__`: what is no status.
    pub status: String,
    /// Requests, or turns.
    pub requests: u64,
    /// Those of which the latency is known.
    pub timed: u64,
    /// Of these, how many took at most so long: cumulative, one for each bound.
    pub buckets: Vec<u64>,
    /// Sum of their latencies, seconds.
    pub seconds: f64,
}

/// A source at an API, over the span of [`Top::source_seconds`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceCount {
    /// Who. Behind a trusted proxy, whom the proxy names.
    pub source: IpAddr,
    /// The API's name, or `__unclaimed__`.
    pub api: String,
    /// ISO 3166-1 alpha-2; `None`: no database, or it does not say.
    #[serde(default)]
    pub country: Option<String>,
    /// Autonomous system.
    #[serde(default)]
    pub asn: Option<u32>,
    /// Requests.
    #[serde(default)]
    pub requests: u64,
    /// Of these, answered with a status of 400 or more.
    #[serde(default)]
    pub errors: u64,
    /// Bytes of the answers' bodies.
    #[serde(default)]
    pub bytes: u64,
    /// Seconds since its last request; `None`: none in the span.
    #[serde(default)]
    pub idle_seconds: Option<u64>,
    /// Where it asked last.
    #[serde(default)]
    pub server: Option<SocketAddr>,
    /// The proxy that its requests came through.
    #[serde(default)]
    pub proxy: Option<IpAddr>,
    /// That it was refused or limited, as of the latest event about it.
    #[serde(default)]
    pub refused: Option<SourceRefused>,
    /// It is in a ban that covers this API.
    #[serde(default)]
    pub banned: bool,
}

/// Packets of a source were dropped, or would have been. How many only the API's counters say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRefused {
    /// The name of the reason.
    pub reason: String,
    /// `drop` or `would_drop`.
    pub verdict: String,
    /// Seconds since it was told.
    pub seconds_ago: u64,
}
