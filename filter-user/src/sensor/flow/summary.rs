//! What is told of a flow when it is over.

use std::net::IpAddr;

use super::{Carries, Flow, Tcp};
use crate::sensor::transaction::Flow as Ends;
use filter_common::packet::protocol;

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// Both sides said that they are done.
    Fin,
    /// One side reset it.
    Rst,
    /// Nothing was seen of it for too long, or its ports were taken for another.
    Timeout,
    /// It had to make room in the table.
    Evicted,
    /// Fewer flows are sampled, and it is not among them.
    Unsampled,
    /// The capture, or the sensor, ended before it.
    End,
    /// It is not over.
    Open,
}

impl Closed {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Fin,
        Self::Rst,
        Self::Timeout,
        Self::Evicted,
        Self::Unsampled,
        Self::End,
        Self::Open,
    ];

    /// The one of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|closed| closed.name() == name)
    }

    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::Timeout => "timeout",
            Self::Evicted => "evicted",
            Self::Unsampled => "unsampled",
            Self::End => "end",
            Self::Open => "open",
        }
    }
}

/// What a flow carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Application {
    /// No payload, or none that told anything.
    Unknown,
    /// HTTP/1.
    Http,
    /// HTTP/2, from its beginning or after an upgrade.
    Http2,
    /// TLS, from the beginning or later on.
    Tls,
    /// QUIC.
    Quic,
    /// HTTP/1, then WebSocket (RFC 6455).
    WebSocket,
    /// HTTP/1, then something else: 101, or a tunnel by CONNECT.
    Upgraded,
    /// Something the sensor does not follow.
    Opaque,
}

impl Application {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Http,
        Self::Http2,
        Self::Tls,
        Self::Quic,
        Self::WebSocket,
        Self::Upgraded,
        Self::Opaque,
    ];

    /// The one of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|application| application.name() == name)
    }

    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Http => "http",
            Self::Http2 => "http2",
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::WebSocket => "websocket",
            Self::Upgraded => "upgraded",
            Self::Opaque => "opaque",
        }
    }
}

/// A flow that is over.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FlowSummary {
    /// When its first record was made, ns, as [`crate::sensor::transaction::Transaction::time`].
    pub start: u64,
    /// When its last record was made, ns.
    pub end: u64,
    /// Between whom.
    pub flow: Ends,
    /// IP protocol: 6 for TCP, 17 for UDP.
    pub protocol: u8,
    /// Stable id of the API, 0 for none.
    pub api: u32,
    /// Whether it came into this host rather than left it; true in a capture.
    pub inbound: bool,
    /// Packets on the wire, from the client and from the server.
    pub packets: [u64; 2],
    /// Frame bytes on the wire, from the client and from the server.
    pub bytes: [u64; 2],
    /// Client and server acknowledged each other: the source address is not forged.
    pub handshake: bool,
    /// How it ended.
    pub closed: Closed,
    /// What it carried.
    pub application: Application,
    /// Transactions handed out.
    pub transactions: u64,
    /// How many flows this one stands for, times 2^16.
    pub weight: u32,
    /// The client that a PROXY header names, whoever sent it.
    pub announced: Option<IpAddr>,
    /// What only TCP has.
    pub tcp: Option<Tcp>,
}

#[cfg(test)]
impl FlowSummary {
    /// One for tests: HTTP that opened in 250 ms, of a client that had to repeat a segment.
    pub(crate) fn example() -> Self {
        use super::Opening;
        let example = crate::sensor::transaction::Transaction::example();
        Self {
            start: 0,
            end: 1_000_000_000,
            flow: example.flow,
            protocol: protocol::TCP,
            api: 1,
            inbound: true,
            packets: [5, 6],
            bytes: [500, 6000],
            handshake: true,
            closed: Closed::Fin,
            application: Application::Http,
            transactions: 1,
            weight: 1 << 16,
            announced: None,
            tcp: Some(Tcp {
                opening: Opening::Established,
                handshake: Some(250_000_000),
                retransmissions: [1, 0],
                resets: [0, 0],
                zero_windows: [0, 3],
                unfinished_head: true,
            }),
        }
    }
}

impl Flow {
    /// What is told of it.
    pub(super) fn summary(&self, closed: Closed, unfinished_head: bool) -> FlowSummary {
        let facts = self.facts();
        let (client, server) = (&self.directions[self.client], &self.directions[1 - self.client]);
        FlowSummary {
            start: self.first,
            end: self.last,
            flow: facts.flow,
            protocol: self.key.protocol(),
            api: facts.api,
            inbound: facts.inbound,
            packets: [client.packets, server.packets],
            bytes: [client.bytes, server.bytes],
            handshake: facts.handshake,
            closed,
            application: match &self.carries {
                // No datagram of it began anything that is known.
                Carries::Unknown(1..) if self.key.protocol() == protocol::UDP => {
                    Application::Opaque
                }
                Carries::Unknown(_) | Carries::Announced(_) => Application::Unknown,
                Carries::Known(protocol) => protocol.application(),
                Carries::Quic(_) => Application::Quic,
                Carries::Upgraded(to) => *to,
                Carries::Opaque => Application::Opaque,
            },
            transactions: self.transactions,
            weight: facts.weight,
            announced: facts.announced,
            tcp: (self.key.protocol() == protocol::TCP)
                .then(|| self.tcp.facts(self.client, facts.handshake, unfinished_head)),
        }
    }
}
