//! One line of a recording. Times are ns since 1970.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::veil::Veil;
use crate::detect::{FlowSeen, Observation, Origin, RefusedBy, RefusedSeen, Traffic, TurnSeen};
use crate::sensor::{Application, Closed};

/// What refused a packet of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A limit.
    Limit,
    /// A ban.
    Ban,
}

impl Cause {
    /// As detectors want it; `unclaimed`: it is of no API.
    pub fn seen(by: Option<Self>, unclaimed: bool) -> RefusedBy {
        match by {
            _ if unclaimed => RefusedBy::Unclaimed,
            Some(Self::Limit) => RefusedBy::Limit,
            Some(Self::Ban) => RefusedBy::Ban,
            None => RefusedBy::Other,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line<'a> {
    /// A request.
    #[serde(borrow)]
    Http(Request<'a>),
    /// A connection that is over.
    #[serde(borrow)]
    Flow(Connection<'a>),
    /// A connection that is not, and trickles.
    #[serde(borrow)]
    Slow(Connection<'a>),
    /// Something inside TLS.
    #[serde(borrow)]
    Turn(Turned<'a>),
    /// A packet that was refused.
    Refused {
        /// When.
        time: u64,
        /// Name of the API; none: unclaimed.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        api: Option<Cow<'a, str>>,
        /// Whose address it bore.
        source: IpAddr,
        /// For which port.
        port: u16,
        /// No API claims that.
        #[serde(default)]
        unclaimed: bool,
        /// A limit, or a ban, refused it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Cause>,
    },
    /// The kernel's counters of an API.
    Traffic {
        /// When.
        time: u64,
        /// Name of the API; none: unclaimed.
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        api: Option<Cow<'a, str>>,
        /// Packets that passed.
        passed: u64,
        /// Packets that a limit refused.
        limited: u64,
        /// Packets of banned sources.
        banned: u64,
        /// Packets refused otherwise.
        refused: u64,
    },
    /// How complete the telemetry is from now on.
    Telemetry(Telemetry),
}

/// How complete the telemetry is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// When.
    pub time: u64,
    /// Share that was not lost, 0 to 1.
    pub completeness: f64,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request<'a> {
    /// When it began.
    pub time: u64,
    /// Name of the API; none: unclaimed.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Cow<'a, str>>,
    /// Who sent it, behind proxies that the policy names.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// To the first byte of the final response, ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<u64>,
    /// Of its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    /// Of the response's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// A handshake was seen in both directions.
    pub handshake: bool,
    /// How many it stands for, times 2^16.
    pub weight: u32,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection<'a> {
    /// When its last packet was seen.
    pub time: u64,
    /// When it began.
    pub start: u64,
    /// Name of the API; none: unclaimed.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Cow<'a, str>>,
    /// Who opened it.
    pub source: IpAddr,
    /// IP protocol.
    pub protocol: u8,
    /// Port of the server.
    pub port: u16,
    /// Frame bytes of the client and the server.
    pub bytes: [u64; 2],
    /// Requests seen in it.
    pub transactions: u64,
    /// It ended in the middle of a request's head.
    #[serde(default)]
    pub head_unfinished: bool,
    /// Name of how it ended.
    #[serde(borrow)]
    pub closed: Cow<'a, str>,
    /// Name of what it carried.
    #[serde(borrow)]
    pub application: Cow<'a, str>,
    /// A handshake was seen in both directions.
    pub handshake: bool,
    /// How many it stands for, times 2^16.
    pub weight: u32,
}

/// Something inside TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turned<'a> {
    /// When it began.
    pub time: u64,
    /// Name of the API; none: unclaimed.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Cow<'a, str>>,
    /// Who sent it.
    pub source: IpAddr,
    /// From the client's first byte to the server's first, ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<u64>,
    /// Bytes of the server's records.
    pub response_bytes: u64,
    /// It was seen whole.
    pub complete: bool,
    /// A handshake was seen in both directions.
    pub handshake: bool,
    /// How many it stands for, times 2^16.
    pub weight: u32,
}

/// A time on the detectors' clock as ns since 1970.
fn wall(time: u64, epoch: i128) -> u64 {
    u64::try_from(i128::from(time) + epoch).unwrap_or_default()
}

impl<'a> Line<'a> {
    /// A request at an API of this name. `epoch` is what to add to its time for ns since 1970.
    pub fn request(seen: &Observation<'a>, api: Option<&'a str>, epoch: i128, veil: &Veil) -> Self {
        let country = seen
            .origin
            .country
            .and_then(|code| Some(Cow::Owned(String::from_utf8(code.to_vec()).ok()?)));
        Self::Http(Request {
            time: wall(seen.time, epoch),
            api: api.map(Cow::Borrowed),
            source: seen.source,
            credential: seen.credential,
            country,
            asn: seen.origin.asn,
            method: Cow::Borrowed(seen.method),
            target: Cow::Owned(veil.target(seen.target)),
            route: Cow::Borrowed(seen.route),
            status: seen.status,
            latency: seen.latency,
            request_bytes: seen.request_bytes,
            response_bytes: seen.response_bytes,
            handshake: seen.handshake,
            weight: seen.weight,
        })
    }

    /// A connection that is over, or trickles.
    pub fn connection(seen: &FlowSeen, api: Option<&'a str>, epoch: i128) -> Self {
        let connection = Connection {
            time: wall(seen.end, epoch),
            start: wall(seen.start, epoch),
            api: api.map(Cow::Borrowed),
            source: seen.source,
            protocol: seen.protocol,
            port: seen.port,
            bytes: seen.bytes,
            transactions: seen.transactions,
            head_unfinished: seen.head_unfinished,
            closed: Cow::Borrowed(seen.closed.name()),
            application: Cow::Borrowed(seen.application.name()),
            handshake: seen.handshake,
            weight: seen.weight,
        };
        match seen.closed {
            Closed::Open => Self::Slow(connection),
            _ => Self::Flow(connection),
        }
    }

    /// Something inside TLS.
    pub fn turn(seen: &TurnSeen, api: Option<&'a str>, epoch: i128) -> Self {
        Self::Turn(Turned {
            time: wall(seen.time, epoch),
            api: api.map(Cow::Borrowed),
            source: seen.source,
            latency: seen.latency,
            response_bytes: seen.response_bytes,
            complete: seen.complete,
            handshake: seen.handshake,
            weight: seen.weight,
        })
    }

    /// A packet that was refused.
    pub fn refusal(seen: &RefusedSeen, api: Option<&'a str>, epoch: i128) -> Self {
        Self::Refused {
            time: wall(seen.time, epoch),
            api: api.map(Cow::Borrowed),
            source: seen.source,
            port: seen.port,
            unclaimed: seen.by == RefusedBy::Unclaimed,
            by: match seen.by {
                RefusedBy::Limit => Some(Cause::Limit),
                RefusedBy::Ban => Some(Cause::Ban),
                RefusedBy::Unclaimed | RefusedBy::Other => None,
            },
        }
    }

    /// The kernel's counters of an API.
    pub fn traffic(seen: &Traffic, api: Option<&'a str>, time: u64, epoch: i128) -> Self {
        let Traffic { passed, limited, banned, refused, .. } = *seen;
        let (time, api) = (wall(time, epoch), api.map(Cow::Borrowed));
        Self::Traffic { time, api, passed, limited, banned, refused }
    }

    /// When it was.
    pub fn time(&self) -> u64 {
        match self {
            Self::Http(request) => request.time,
            Self::Flow(flow) | Self::Slow(flow) => flow.time,
            Self::Turn(turn) => turn.time,
            Self::Refused { time, .. } | Self::Traffic { time, .. } => *time,
            Self::Telemetry(telemetry) => telemetry.time,
        }
    }

    /// Name of the API; `None`: unclaimed.
    pub fn api(&self) -> Option<&str> {
        match self {
            Self::Http(request) => request.api.as_deref(),
            Self::Flow(flow) | Self::Slow(flow) => flow.api.as_deref(),
            Self::Turn(turn) => turn.api.as_deref(),
            Self::Refused { api, .. } | Self::Traffic { api, .. } => api.as_deref(),
            Self::Telemetry(_) => None,
        }
    }
}

impl Request<'_> {
    /// As detectors want it, at the API of this id.
    pub fn observation(&self, api: u32) -> Observation<'_> {
        let country = self.country.as_deref().and_then(|text| text.as_bytes().try_into().ok());
        Observation {
            time: self.time,
            api,
            source: self.source,
            credential: self.credential,
            origin: Origin { country, asn: self.asn },
            method: &self.method,
            target: &self.target,
            route: &self.route,
            status: self.status,
            latency: self.latency,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            handshake: self.handshake,
            weight: self.weight,
        }
    }
}

impl Connection<'_> {
    /// As detectors want it, at the API of this id.
    pub fn seen(&self, api: u32) -> FlowSeen {
        FlowSeen {
            start: self.start,
            end: self.time,
            api,
            source: self.source,
            protocol: self.protocol,
            port: self.port,
            bytes: self.bytes,
            transactions: self.transactions,
            head_unfinished: self.head_unfinished,
            closed: Closed::of(&self.closed).unwrap_or(Closed::End),
            application: Application::of(&self.application).unwrap_or(Application::Unknown),
            handshake: self.handshake,
            weight: self.weight,
        }
    }
}

impl Turned<'_> {
    /// As detectors want it, at the API of this id.
    pub fn seen(&self, api: u32) -> TurnSeen {
        let Self { time, source, latency, response_bytes, complete, handshake, weight, .. } = *self;
        TurnSeen { time, api, source, latency, response_bytes, complete, handshake, weight }
    }
}
