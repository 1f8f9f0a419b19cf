//! What detectors are told: requests, connections that ended, and the kernel's exact counts.

use std::net::IpAddr;

use crate::sensor::encrypted::Turn;
use crate::sensor::transaction::Transaction;
use crate::sensor::{Application, Closed, FlowSummary};

/// [`Observation::weight`] of a transaction that stands for itself alone.
pub const ONE: u32 = 1 << 16;

/// Where a source is, as far as a database knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Its country (ISO 3166-1 alpha-2).
    pub country: Option<[u8; 2]>,
    /// Number of its autonomous system.
    pub asn: Option<u32>,
}

/// One request to an API of this host and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation<'a> {
    /// When the request began, ns, on the clock that [`super::Engine::tick`] is given.
    pub time: u64,
    /// Stable id of the API, 0 when none claims the server's address and port.
    pub api: u32,
    /// Who sent it: behind a proxy that the policy names, its client.
    pub source: IpAddr,
    /// Keyed hash of the secrets it carried, by which users of one address are told apart until the
    /// key rotates; `None` when it carried none.
    pub credential: Option<u64>,
    /// Where the source is.
    pub origin: Origin,
    /// The method as sent.
    pub method: &'a str,
    /// The target as sent.
    pub target: &'a str,
    /// The route as the inventory knows it, as `/orders/{id}`; empty when there is none.
    pub route: &'a str,
    /// The final status; `None` when the response was not seen.
    pub status: Option<u16>,
    /// From the first byte of the request to the first byte of the final response, ns.
    pub latency: Option<u64>,
    /// Bytes of the request's body.
    pub request_bytes: Option<u64>,
    /// Bytes of the response's body.
    pub response_bytes: Option<u64>,
    /// A handshake was seen in both directions: the source is not forged.
    pub handshake: bool,
    /// How many transactions it stands for, times 2^16; less than [`ONE`] counts as [`ONE`].
    pub weight: u32,
}

impl<'a> Observation<'a> {
    /// What detectors need of a transaction of this client; `None` when it left this host rather than
    /// came in.
    pub fn of(transaction: &'a Transaction, client: IpAddr, route: &'a str) -> Option<Self> {
        transaction.inbound.then_some(Self {
            time: transaction.time,
            api: transaction.api,
            source: client,
            credential: transaction.credentials.identity(),
            origin: Origin::default(),
            method: &transaction.method,
            target: &transaction.target,
            route,
            status: transaction.status,
            latency: transaction.latency,
            request_bytes: transaction.request_body_bytes,
            response_bytes: transaction.response_body_bytes,
            handshake: transaction.handshake,
            weight: transaction.weight,
        })
    }

    /// How many transactions it stands for, at least 1.
    pub fn stands_for(&self) -> f64 {
        stands_for(self.weight)
    }
}

/// How many something of this weight stands for, at least 1.
pub(crate) fn stands_for(weight: u32) -> f64 {
    f64::from(weight.max(ONE)) / f64::from(ONE)
}

#[cfg(test)]
impl Observation<'static> {
    /// One for tests: `GET /a` of 192.0.2.1 at API 1, answered 200 after 3 ms with 1234 bytes.
    pub(crate) fn example() -> Self {
        Self {
            time: 0,
            api: 1,
            source: [192, 0, 2, 1].into(),
            credential: None,
            origin: Origin::default(),
            method: "GET",
            target: "/a",
            route: "/a",
            status: Some(200),
            latency: Some(3_000_000),
            request_bytes: Some(0),
            response_bytes: Some(1234),
            handshake: true,
            weight: ONE,
        }
    }
}

/// A connection to this host that is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowSeen {
    /// When it began, ns, on the clock of [`Observation::time`].
    pub start: u64,
    /// When its last packet was seen, ns.
    pub end: u64,
    /// Stable id of the API, 0 for none.
    pub api: u32,
    /// Who opened it: behind a proxy that the policy names, its client.
    pub source: IpAddr,
    /// IP protocol.
    pub protocol: u8,
    /// Port on this host.
    pub port: u16,
    /// Frame bytes on the wire, of the client and of this host.
    pub bytes: [u64; 2],
    /// Requests seen in it.
    pub transactions: u64,
    /// A request's head began in it and never ended.
    pub head_unfinished: bool,
    /// It was closed in order, by a reset, or not at all.
    pub closed: Closed,
    /// What it carried.
    pub application: Application,
    /// A handshake was seen in both directions.
    pub handshake: bool,
    /// How many connections it stands for, times 2^16.
    pub weight: u32,
}

impl FlowSeen {
    /// What detectors need of a flow of this client; `None` when it left this host.
    pub fn of(flow: &FlowSummary, client: IpAddr) -> Option<Self> {
        flow.inbound.then(|| Self {
            start: flow.start,
            end: flow.end,
            api: flow.api,
            source: client,
            protocol: flow.protocol,
            port: flow.flow.server_port,
            bytes: flow.bytes,
            transactions: flow.transactions,
            head_unfinished: flow.tcp.is_some_and(|tcp| tcp.unfinished_head),
            closed: flow.closed,
            application: flow.application,
            handshake: flow.handshake,
            weight: flow.weight,
        })
    }
}

/// A packet that the kernel refused, or would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedSeen {
    /// When, ns, on the clock of [`Observation::time`].
    pub time: u64,
    /// Stable id of the API, 0 for none.
    pub api: u32,
    /// Who sent it, or whose address it bore.
    pub source: IpAddr,
    /// The port it was for.
    pub port: u16,
    /// Why.
    pub by: RefusedBy,
}

/// Why a packet was refused, as far as detectors tell that apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RefusedBy {
    /// No API claims the port.
    Unclaimed,
    /// A limit, of the source or of the API.
    Limit,
    /// Its source is banned.
    Ban,
    /// Something else.
    #[default]
    Other,
}

/// A turn of an encrypted connection to this host: the client's data and what the server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnSeen {
    /// When it began, ns, on the clock of [`Observation::time`].
    pub time: u64,
    /// Stable id of the API, 0 for none.
    pub api: u32,
    /// Who sent it: behind a proxy that the policy names, its client.
    pub source: IpAddr,
    /// From the client's first byte to the server's first, ns; `None` when not both were seen whole.
    pub latency: Option<u64>,
    /// Bytes of the server's records of application data.
    pub response_bytes: u64,
    /// It was seen whole.
    pub complete: bool,
    /// A handshake was seen in both directions.
    pub handshake: bool,
    /// How many turns it stands for, times 2^16.
    pub weight: u32,
}

impl TurnSeen {
    /// What detectors need of a turn of this client; `None` when it left this host.
    pub fn of(turn: &Turn, client: IpAddr) -> Option<Self> {
        turn.inbound.then_some(Self {
            time: turn.time,
            api: turn.api,
            source: client,
            latency: turn.latency.filter(|_| turn.complete),
            response_bytes: turn.response_bytes,
            complete: turn.complete,
            handshake: turn.handshake,
            weight: turn.weight,
        })
    }

    /// How many turns it stands for, at least 1.
    pub fn stands_for(&self) -> f64 {
        f64::from(self.weight.max(ONE)) / f64::from(ONE)
    }
}

/// The kernel's counters of one API since it began to count: exact, whatever is sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Stable id of the API, 0 for what none claims.
    pub api: u32,
    /// Packets that passed.
    pub passed: u64,
    /// Packets refused by a limit.
    pub limited: u64,
    /// Packets refused by a ban.
    pub banned: u64,
    /// Packets refused for another reason.
    pub refused: u64,
}
