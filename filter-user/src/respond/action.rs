//! What the policy's answers come to, and why one is not given.

use std::fmt;
use std::time::Duration;

use super::crowd::Crowd;
use super::reach::Hit;
use crate::detect::Source;
use crate::policy::GroupIndex;
use crate::text::quantity::Rate;

/// Something for the executor to do. Every one ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Refuse a source.
    Ban {
        /// Whom.
        source: Source,
        /// At which API (stable id).
        api: u32,
        /// For how long.
        ttl: Duration,
        /// Why: the finding's id and sentence.
        reason: String,
    },
    /// Hold each source of an API to a rate.
    Limit {
        /// Stable id.
        api: u32,
        /// Packets in a time.
        rate: Rate,
        /// For how long.
        ttl: Duration,
        /// Why.
        reason: String,
    },
    /// Let only a group reach an API.
    Lockdown {
        /// Stable id.
        api: u32,
        /// The group, by its index in the policy that was asked for the answer.
        group: GroupIndex,
        /// For how long.
        ttl: Duration,
        /// Why.
        reason: String,
    },
    /// Refuse a network at an API because so many of its sources are banned.
    Escalate {
        /// Which.
        network: Source,
        /// At which API (stable id).
        api: u32,
        /// How many of its sources.
        sources: u32,
        /// For how long.
        ttl: Duration,
    },
}

impl Action {
    /// The name in events.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ban { .. } => "ban",
            Self::Limit { .. } => "limit",
            Self::Lockdown { .. } => "lockdown",
            Self::Escalate { .. } => "escalate",
        }
    }

    /// For how long.
    pub const fn ttl(&self) -> Duration {
        match self {
            Self::Ban { ttl, .. }
            | Self::Limit { ttl, .. }
            | Self::Lockdown { ttl, .. }
            | Self::Escalate { ttl, .. } => *ttl,
        }
    }
}

/// Why the policy's answer is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The source is trusted.
    Trusted,
    /// The source stands for others.
    Proxy,
    /// Its packets come from a proxy, here it has none of its own.
    BehindProxy,
    /// Anyone could have forged the evidence.
    Forgeable,
    /// The finding blames no source.
    NoSource,
    /// Too many answers lately. It is tried again with the finding's next report.
    TooMany,
    /// It would hit more of an API's sources or requests than it may.
    BlastRadius(Hit),
    /// Many share the source.
    Shared(Crowd),
    /// An operator has stopped all automatic actions. It is tried again when that is over.
    Stopped,
}

impl Refusal {
    /// The name in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Proxy => "proxy",
            Self::BehindProxy => "behind_proxy",
            Self::Forgeable => "forgeable",
            Self::NoSource => "no_source",
            Self::TooMany => "too_many",
            Self::BlastRadius(_) => "blast_radius",
            Self::Shared(_) => "shared",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BlastRadius(hit) => {
                let Hit { sources, of_sources, requests, of_requests } = hit;
                return write!(
                    f,
                    "it would cut off {sources} of {of_sources} sources that were served in the \
                     last hour, with {requests} of {of_requests} requests: more than [respond] allows"
                );
            }
            Self::Shared(Crowd { credentials, agents }) => {
                return write!(
                    f,
                    "many share the source: about {credentials} different credentials and {agents} \
                     user agents were served there within the last hour"
                );
            }
            Self::Stopped => "automatic actions are stopped (`weir actions start`)",
            Self::Trusted => "the source is trusted",
            Self::Proxy => "the source is a proxy of the API and stands for others",
            Self::BehindProxy => {
                "not enforceable here: the source is only known through a proxy, which has to ban it"
            }
            Self::Forgeable => "no handshake was seen both ways: the source may be forged",
            Self::NoSource => "the finding blames no single source",
            Self::TooMany => "too many automatic actions in the last minute",
        })
    }
}
