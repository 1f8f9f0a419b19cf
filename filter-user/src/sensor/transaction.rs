//! What the sensor makes of a flow: one HTTP request with its response.

use std::net::IpAddr;

use filter_common::addr::Addr;

pub use super::credentials::{Credential, Credentials};

/// An [`Addr`] as the standard library's type.
pub fn ip(addr: Addr) -> IpAddr {
    if addr.is_v4() { IpAddr::V4(addr.v4_bits().into()) } else { IpAddr::V6(addr.octets().into()) }
}

/// The standard library's address as an [`Addr`].
pub fn addr(ip: IpAddr) -> Addr {
    match ip {
        IpAddr::V4(v4) => Addr::v4(v4.into()),
        IpAddr::V6(v6) => Addr::v6(v6.octets()),
    }
}

/// A connection, seen from who opened it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    /// The side that sends requests.
    pub client: IpAddr,
    /// Its port.
    pub client_port: u16,
    /// The side that answers.
    pub server: IpAddr,
    /// Its port.
    pub server_port: u16,
}

/// What could be seen of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Visibility {
    /// Everything, as it was sent.
    Plaintext,
    /// Sizes and times of what is inside TLS or QUIC, and the handshake.
    TlsMetadata,
}

impl Visibility {
    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::TlsMetadata => "tls_metadata",
        }
    }
}

/// A call by gRPC (gRPC over HTTP/2, "Requests" and "Responses").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grpc {
    /// The service with its package, as `helloworld.Greeter`; empty when it is not known.
    pub service: String,
    /// The method, as `SayHello`; empty when it is not known.
    pub method: String,
    /// The status out of the trailers; `None` when they were not seen.
    pub status: Option<u32>,
}

/// One request and what became of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Transaction {
    /// When the first byte of the request was seen, ns: CLOCK_MONOTONIC live, since 1970 in a
    /// capture.
    pub time: u64,
    /// Between whom.
    pub flow: Flow,
    /// Stable id of the API, 0 when none claims the server's address and port.
    pub api: u32,
    /// Whether the request came into this host (the server is here) rather than left it; true in a
    /// capture.
    pub inbound: bool,
    /// `0.9` (a request without a version), `1.0`, `1.1` or `2`.
    pub version: &'static str,
    /// The method; at most 32 bytes. Empty when it is not known, which only HTTP/2 has: a loss hides
    /// what it refers to.
    pub method: String,
    /// The request target as sent, at most 2048 bytes. May hold secrets: not to be stored or
    /// logged with its query. Empty when it is not known, as the method.
    pub target: String,
    /// The Host header's value, the authority of an absolute target, or HTTP/2's `:authority`.
    pub host: Option<String>,
    /// The User-Agent header's value, at most 256 bytes.
    pub user_agent: Option<String>,
    /// Which secrets the request carried, never their values.
    pub credentials: Credentials,
    /// The client that a PROXY header before the connection names. Anyone can send one: only what a
    /// trusted proxy says is to be believed.
    pub announced: Option<IpAddr>,
    /// The addresses a Forwarded or X-Forwarded-For header names, nearest to the server last; at
    /// most 8. Anyone can write them: only what a trusted proxy wrote is to be believed.
    pub forwarded: Box<[IpAddr]>,
    /// The media type of the request's body, without parameters, at most 64 bytes.
    pub request_type: Option<String>,
    /// The media type of the response's body, likewise.
    pub response_type: Option<String>,
    /// What only gRPC has.
    pub grpc: Option<Box<Grpc>>,
    /// The final status; `None` when the response was not seen, cannot be told from others after a
    /// loss, or has none (HTTP/0.9).
    pub status: Option<u16>,
    /// Bytes of the request's body on the wire, without the framing of chunks; `None` when a loss
    /// hides them.
    pub request_body_bytes: Option<u64>,
    /// Bytes of the response's body on the wire, without the framing of chunks; `None` when the
    /// response was not seen or a loss hides them.
    pub response_body_bytes: Option<u64>,
    /// From the first byte of the request to the first byte of the final response, ns.
    pub latency: Option<u64>,
    /// Segments of the client and of the server acknowledged each other: the source address is not
    /// forged.
    pub handshake: bool,
    /// How many transactions this one stands for, times 2^16 (sampling by flow).
    pub weight: u32,
    /// Request and response were seen to their proper end, and nothing of their heads and framing
    /// was lost.
    pub complete: bool,
    /// What it rests on.
    pub visibility: Visibility,
}

#[cfg(test)]
impl Transaction {
    /// One for tests: `GET /a` of 198.51.100.1, answered 200 after 3 ms with 1234 bytes.
    pub(crate) fn example() -> Self {
        Self {
            time: 0,
            flow: Flow {
                client: [198, 51, 100, 1].into(),
                client_port: 40_000,
                server: [192, 0, 2, 1].into(),
                server_port: 80,
            },
            api: 1,
            inbound: true,
            version: "1.1",
            method: "GET".to_owned(),
            target: "/a".to_owned(),
            host: None,
            user_agent: None,
            credentials: Credentials::default(),
            announced: None,
            forwarded: Box::default(),
            request_type: None,
            response_type: None,
            grpc: None,
            status: Some(200),
            request_body_bytes: Some(0),
            response_body_bytes: Some(1234),
            latency: Some(3_000_000),
            handshake: true,
            weight: 1 << 16,
            complete: true,
            visibility: Visibility::Plaintext,
        }
    }
}

/// A transaction as far as the protocol knows it: [`Transaction`] without what the flow adds.
pub(super) struct Exchange {
    pub(super) time: u64,
    pub(super) version: &'static str,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) host: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) credentials: Credentials,
    pub(super) forwarded: Box<[IpAddr]>,
    pub(super) request_type: Option<String>,
    pub(super) response_type: Option<String>,
    pub(super) grpc: Option<Box<Grpc>>,
    pub(super) status: Option<u16>,
    pub(super) request_body_bytes: Option<u64>,
    pub(super) response_body_bytes: Option<u64>,
    pub(super) latency: Option<u64>,
    pub(super) complete: bool,
}
