//! What a detector says: from when to when, about whom, with which numbers.

use std::sync::Arc;

use super::examples::Example;
use super::source::Source;

/// Who found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// A burst of failed logins of one source.
    BruteForce,
    /// A shift of an API's request rate.
    RateShift,
    /// A shift of the share of requests that fail.
    ErrorShift,
    /// A shift of latency.
    LatencyShift,
    /// A shift of the size of responses.
    SizeShift,
    /// More slow answers than usual.
    LatencyTail,
    /// More large answers than usual.
    SizeTail,
    /// A source takes far more than others do.
    Exfiltration,
    /// A source asks for one object after another.
    Enumeration,
    /// Many sources try few logins each, and more fail than usual.
    CredentialStuffing,
    /// A source asks for what is not there.
    Probing,
    /// A source tries ports that no API has.
    PortScan,
    /// A source fetches everything, evenly spaced.
    Scraping,
    /// Connections that are held open by trickling.
    SlowAttack,
    /// A country or network that an API has hardly ever seen.
    NewOrigin,
    /// Requests come from many more, or far fewer, sources than usual.
    Dispersion,
    /// Limits refuse more than usual.
    LimitPressure,
    /// Banned sources keep coming.
    BanPressure,
    /// The kernel does not hold what the policy says. Found by the daemon, not by the engine.
    Enforcement,
    /// HTTP on a port that no API declares. Found in the inventory, as are those that follow.
    UndeclaredPort,
    /// A route or method that the API's OpenAPI document does not have.
    UndocumentedRoute,
    /// Operations of the document that nobody uses.
    UnusedRoute,
    /// Requests to an API or operation that is deprecated or retired.
    DeprecatedUse,
    /// Secrets in the query of a target.
    QueryCredentials,
    /// Secrets in clear text.
    CleartextCredentials,
    /// Basic authentication.
    BasicAuthentication,
    /// TLS below 1.2 (RFC 8996).
    OldTls,
    /// An API does what the operator said that it must not. Last, so that the places of the others stay.
    AbsoluteLimit,
}

impl Detector {
    /// Every detector.
    pub const ALL: [Self; 28] = [
        Self::BruteForce,
        Self::RateShift,
        Self::ErrorShift,
        Self::LatencyShift,
        Self::SizeShift,
        Self::LatencyTail,
        Self::SizeTail,
        Self::Exfiltration,
        Self::Enumeration,
        Self::CredentialStuffing,
        Self::Probing,
        Self::PortScan,
        Self::Scraping,
        Self::SlowAttack,
        Self::NewOrigin,
        Self::Dispersion,
        Self::LimitPressure,
        Self::BanPressure,
        Self::Enforcement,
        Self::UndeclaredPort,
        Self::UndocumentedRoute,
        Self::UnusedRoute,
        Self::DeprecatedUse,
        Self::QueryCredentials,
        Self::CleartextCredentials,
        Self::BasicAuthentication,
        Self::OldTls,
        Self::AbsoluteLimit,
    ];

    /// Whether it is about what an API does, rather than about what sources do to it.
    pub const fn is_of_behaviour(self) -> bool {
        matches!(
            self,
            Self::RateShift
                | Self::ErrorShift
                | Self::LatencyShift
                | Self::SizeShift
                | Self::LatencyTail
                | Self::SizeTail
        )
    }

    /// Whether its findings name a source, so that there is somebody to ban.
    pub const fn names_a_source(self) -> bool {
        matches!(
            self,
            Self::BruteForce
                | Self::Exfiltration
                | Self::Enumeration
                | Self::Probing
                | Self::PortScan
                | Self::Scraping
                | Self::SlowAttack
                | Self::NewOrigin
        )
    }

    /// Whether the engine finds it: neither the daemon nor the inventory does.
    pub const fn is_of_engine(self) -> bool {
        !self.is_of_inventory() && !matches!(self, Self::Enforcement)
    }

    /// Whether it is found in the inventory: such a finding goes on over a restart.
    pub const fn is_of_inventory(self) -> bool {
        matches!(
            self,
            Self::UndeclaredPort
                | Self::UndocumentedRoute
                | Self::UnusedRoute
                | Self::DeprecatedUse
                | Self::QueryCredentials
                | Self::CleartextCredentials
                | Self::BasicAuthentication
                | Self::OldTls
        )
    }

    /// The name in the policy, in metrics and in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BruteForce => "brute_force",
            Self::RateShift => "rate_shift",
            Self::ErrorShift => "error_shift",
            Self::LatencyShift => "latency_shift",
            Self::SizeShift => "size_shift",
            Self::LatencyTail => "latency_tail",
            Self::SizeTail => "size_tail",
            Self::Exfiltration => "exfiltration",
            Self::Enumeration => "enumeration",
            Self::CredentialStuffing => "credential_stuffing",
            Self::Probing => "probing",
            Self::PortScan => "port_scan",
            Self::Scraping => "scraping",
            Self::SlowAttack => "slow_attack",
            Self::NewOrigin => "new_origin",
            Self::Dispersion => "dispersion",
            Self::LimitPressure => "limit_pressure",
            Self::BanPressure => "ban_pressure",
            Self::Enforcement => "enforcement",
            Self::UndeclaredPort => "undeclared_port",
            Self::UndocumentedRoute => "undocumented_route",
            Self::UnusedRoute => "unused_route",
            Self::DeprecatedUse => "deprecated_use",
            Self::QueryCredentials => "query_credentials",
            Self::CleartextCredentials => "cleartext_credentials",
            Self::BasicAuthentication => "basic_authentication",
            Self::OldTls => "old_tls",
            Self::AbsoluteLimit => "absolute_limit",
        }
    }
}

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// To be read when one looks for it.
    Info,
    /// Worth a look.
    Notice,
    /// Someone should look today.
    Warning,
    /// Someone should look now.
    Critical,
}

impl Severity {
    /// Every severity, the least first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Notice, Self::Warning, Self::Critical];

    /// The name in metrics and in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Where a finding is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It begins.
    Open,
    /// It goes on, with newer numbers.
    Update,
    /// It is over.
    Closed,
}

impl State {
    /// The name in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Update => "update",
            Self::Closed => "closed",
        }
    }
}

/// A method and a route of an API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The method.
    pub method: Arc<str>,
    /// The route.
    pub route: Arc<str>,
}

/// Something a detector found. Times are ns on the clock that the engine is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Stays the same from open to closed, and is not used again.
    pub id: Arc<str>,
    /// What this report of it says.
    pub state: State,
    /// Who found it.
    pub detector: Detector,
    /// How much it matters.
    pub severity: Severity,
    /// Stable id of the API.
    pub api: u32,
    /// Name of the API, or `__unclaimed__`.
    pub api_name: Arc<str>,
    /// Whose doing it is, where one source is to blame.
    pub source: Option<Source>,
    /// Which user of the source, where it is about one: a keyed hash of the secrets it sent, that is
    /// another when the key rotates.
    pub credential: Option<u64>,
    /// At which endpoint, where it is about one.
    pub endpoint: Option<Endpoint>,
    /// The numbers behind it.
    pub measure: Measure,
    /// A few of the requests that it is about, the latest last, at most [`super::MOST_EXAMPLES`].
    pub examples: Arc<[Example]>,
    /// Share of the telemetry that was not lost when it was last judged, 0 to 1.
    pub completeness: f64,
    /// When it opened.
    pub opened: u64,
    /// When its numbers are from.
    pub updated: u64,
    /// When it closed.
    pub closed: Option<u64>,
}

/// What was measured, and against what. `observed`, `baseline` and `threshold` share a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Unit of the next three.
    pub unit: &'static str,
    /// What was seen.
    pub observed: f64,
    /// What is usual.
    pub baseline: f64,
    /// From where on it counts against the usual.
    pub threshold: f64,
    /// Over how long `observed` was measured, seconds.
    pub window_seconds: u64,
    /// How many transactions each one seen stands for, on average, at least 1.
    pub weight: f64,
    /// One sentence with the numbers.
    pub why: String,
    /// Entry of the OWASP API Security Top 10, where one fits.
    pub owasp: Option<&'static str>,
    /// It rests on packets that anyone could have forged: no handshake was seen both ways. It may
    /// alert, never ban.
    pub evidence_forgeable: bool,
}
