//! One API of a checked policy: where it is, who may reach it, how fast, and what follows.

use std::sync::Arc;
use std::time::Duration;

use crate::inventory::openapi::Spec;
use crate::text::Location;
use crate::text::quantity::{Measure, Rate};

use super::model::{GroupIndex, Listen, Sited};
use super::response::Respond;

/// An API.
#[derive(Clone, Debug)]
pub struct Api {
    /// Its name, unique in the policy.
    pub name: String,
    /// Where it begins.
    pub at: Location,
    /// What people need to know about it.
    pub about: About,
    /// What the OpenAPI document says that [`About::openapi`] names.
    pub spec: Option<Arc<Spec>>,
    /// Where it is reached; at least one.
    pub listen: Vec<Sited<Listen>>,
    /// Whether drops are dropped.
    pub mode: Mode,
    /// Who may reach it.
    pub allow: Allow,
    /// Who may not, whatever `allow` says.
    pub deny: Vec<Sited<GroupIndex>>,
    /// Whose addresses stand for others: never banned automatically, never limited per source.
    pub proxies: Vec<Sited<GroupIndex>>,
    /// Groups that are meant to fetch everything: scraping and enumeration are not told of them.
    pub crawlers: Vec<Sited<GroupIndex>>,
    /// The limit of each source.
    pub limit: Option<LimitSpec>,
    /// Limits of groups instead of `limit`, the first that matches a source counting.
    pub limit_for: Vec<LimitFor>,
    /// The limit of all sources together.
    pub limit_total: Option<LimitSpec>,
    /// How a source is told from another.
    pub source: SourceLengths,
    /// What becomes of a source that finds no room in the limit table.
    pub overflow: Overflow,
    /// Its login.
    pub login: Option<Login>,
    /// What follows a finding.
    pub respond: Respond,
    /// When to widen a ban from sources to their network.
    pub escalate: Option<Escalate>,
    /// What it may do, whatever is usual.
    pub alert: Option<AlertLimits>,
}

/// `alert`: what is told when it is so for two of three minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AlertLimits {
    /// The share of answers that may be 500 or more, 0 to 1.
    pub error_ratio: Option<f64>,
    /// How long 99 of 100 answers may take at most.
    pub latency_p99: Option<Duration>,
    /// Requests a second at least.
    pub least: Option<f64>,
    /// Requests a second at most.
    pub most: Option<f64>,
}

/// What people need to know about an API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// What is spoken.
    pub kind: Kind,
    /// Who decides about it.
    pub owner: Option<String>,
    /// Who changes it.
    pub maintainer: Option<String>,
    /// Who is called.
    pub responder: Option<String>,
    /// What an incident would cost.
    pub criticality: Criticality,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// Its version, in its owner's words.
    pub version: Option<String>,
    /// Its environment, in its owner's words.
    pub environment: Option<String>,
    /// What kinds of data it handles, in its owner's words.
    pub data: Vec<String>,
    /// Its OpenAPI file, as named in the policy.
    pub openapi: Option<Sited<String>>,
}

/// What an API speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Found out from its traffic.
    #[default]
    Auto,
    /// HTTP without encryption.
    Http,
    /// TLS.
    Tls,
    /// Gated and counted, never parsed.
    Opaque,
}

/// What an incident would cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Criticality {
    /// Little.
    Low,
    /// Something.
    #[default]
    Medium,
    /// Much.
    High,
    /// Everything.
    Critical,
}

/// Where an API is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// Not yet in full use.
    New,
    /// In use.
    #[default]
    Active,
    /// Still in use, not to be used anew.
    Deprecated,
    /// No longer to be used: traffic to it is a finding.
    Retired,
}

/// Whether drops are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Drops are dropped.
    #[default]
    Enforce,
    /// Drops are counted and let through.
    Monitor,
}

/// Who may reach an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Everyone who is not denied; where it says so.
    Any(Location),
    /// The members of these groups; at least one.
    Groups(Vec<Sited<GroupIndex>>),
}

/// Limits of a source, of a group or of an API as a whole. At least one rate is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rates {
    /// Packets.
    pub packets: Option<Rate>,
    /// Bytes.
    pub bytes: Option<Rate>,
    /// New connections.
    pub connections: Option<Rate>,
    /// Requests: a quota, counted by the sensor.
    pub requests: Option<Rate>,
    /// How long a source that was idle may go without being held to the rate.
    pub burst: Option<Duration>,
}

/// The burst where none is given.
pub const DEFAULT_BURST: Duration = Duration::from_secs(1);
/// The largest packet of an ordinary link: a limit of bytes must let one through.
pub const PACKET_BYTES: u64 = 1500;

impl Rates {
    /// The rate of a measure.
    pub fn rate(&self, measure: Measure) -> Option<Rate> {
        match measure {
            Measure::Packets => self.packets,
            Measure::Bytes => self.bytes,
            Measure::Connections => self.connections,
            Measure::Requests => self.requests,
        }
    }

    /// The burst of a measure: as given, or a second, or longer where a slow rate needs it to let
    /// anything through. Zero when the measure has no rate.
    pub fn burst(&self, measure: Measure) -> Duration {
        match (self.rate(measure), self.burst) {
            (None, _) => Duration::ZERO,
            (Some(_), Some(burst)) => burst,
            (Some(rate), None) => DEFAULT_BURST.max(rate.time_for(smallest(measure))),
        }
    }
}

/// The least that a burst must hold to let anything through.
pub(super) fn smallest(measure: Measure) -> u64 {
    match measure {
        Measure::Packets | Measure::Connections | Measure::Requests => 1,
        Measure::Bytes => PACKET_BYTES,
    }
}

/// Limits and where they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSpec {
    /// The limits.
    pub rates: Rates,
    /// Where they were written.
    pub at: Location,
}

/// Limits of the members of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitFor {
    /// The group.
    pub group: GroupIndex,
    /// Its limits.
    pub limit: LimitSpec,
    /// Who shares them.
    pub per: Per,
}

/// Who shares a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Per {
    /// Each source has its own.
    #[default]
    Source,
    /// All members of the group together.
    Group,
}

/// Prefix lengths at which sources are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceLengths {
    /// For IPv4, 8 to 32.
    pub v4: u8,
    /// For IPv6, 16 to 128.
    pub v6: u8,
}

impl Default for SourceLengths {
    fn default() -> Self {
        Self { v4: 32, v6: 64 }
    }
}

/// What becomes of a source that finds no room in the limit table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// It shares one limit with the others.
    #[default]
    Aggregate,
    /// It passes.
    Pass,
    /// It is dropped.
    Drop,
}

/// How a failed login is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The requests that log in; at least one.
    pub routes: Vec<Route>,
    /// The status codes that mean failure; at least one.
    pub failed: Vec<u16>,
    /// Where it was written.
    pub at: Location,
}

/// A request's method and path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Method, upper case (RFC 9110, section 9.1).
    pub method: String,
    /// Path from its slash, without a query.
    pub path: String,
}

/// When to widen a ban from sources to their network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Escalate {
    /// Length of the IPv4 network, 8 to 32.
    pub v4: u8,
    /// Length of the IPv6 network, 16 to 128.
    pub v6: u8,
    /// Banned sources of one network that widen the ban, at least 2.
    pub sources: u32,
}
