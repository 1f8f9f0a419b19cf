//! Lines of a recording, as far as the laboratory reads and writes them (docs/cli.md, replay).

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "nearly every line is a request")]
pub enum Line<'a> {
    /// A request.
    #[serde(borrow)]
    Http(Http<'a>),
    /// How complete the telemetry is from now on.
    Telemetry {
        /// When, ns since 1970.
        time: u64,
        /// Share that was not lost, 0 to 1.
        completeness: f64,
    },
    /// Connections, counters and whatever else there is.
    #[serde(other)]
    Other,
}

/// A request.
#[derive(Debug, Deserialize, Serialize)]
pub struct Http<'a> {
    /// When it began, ns since 1970.
    pub time: u64,
    /// Name of the API.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub api: Option<Cow<'a, str>>,
    /// Who sent it.
    pub source: IpAddr,
    /// Keyed hash of its credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<u64>,
    /// Country of the source.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Cow<'a, str>>,
    /// Autonomous system of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// The method.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The target, veiled.
    #[serde(borrow)]
    pub target: Cow<'a, str>,
    /// The route.
    #[serde(borrow)]
    pub route: Cow<'a, str>,
    /// The final status.
    #[serde(default)]
    pub status: Option<u16>,
    /// To the first byte of the answer, ns.
    #[serde(default)]
    pub latency: Option<u64>,
    /// Of its body.
    #[serde(default)]
    pub request_bytes: Option<u64>,
    /// Of the answer's.
    #[serde(default)]
    pub response_bytes: Option<u64>,
    /// A handshake was seen both ways.
    pub handshake: bool,
    /// How many it stands for, times 2^16.
    pub weight: u32,
}
