//! The protocols that are followed: which one the first bytes of a connection begin, and one way to
//! drive them all.

use super::Application;
use crate::sensor::{Context, http1, http2, tls};

/// Bytes of a stream that follow each other, out of one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    /// The bytes.
    pub(crate) data: &'a [u8],
    /// TCP sequence number of the first.
    pub(crate) seq: u32,
    /// What the segment acknowledges.
    pub(crate) ack: Option<u32>,
    /// When it was captured.
    pub(crate) time: u64,
    /// How far the other direction has been handed on.
    pub(crate) peer: Option<u32>,
}

/// How a connection is entered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// The client's direction is seen from its beginning.
    pub(crate) client_whole: bool,
    /// The server's direction is seen from its beginning.
    pub(crate) server_whole: bool,
    /// When the client's first bytes were missed: how far the server's had been handed on then.
    pub(crate) missed: Option<u32>,
}

/// What a connection turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What it was taken for, so far.
    Goes,
    /// Something else from its first byte on.
    Foreign,
    /// No longer what it began as: HTTP's 101, or a tunnel.
    Upgraded,
    /// HTTP/2 from this place of the piece on; only [`http1`] says so, and [`Protocol`] obeys.
    Http2(usize),
}

/// Whose a segment is, as far as its bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// The client's.
    Client,
    /// The server's.
    Server,
    /// Its protocol is known, but both sides speak it alike.
    Either,
    /// Nobody knows what it is.
    Unknown,
}

/// What the first bytes of a connection begin.
#[derive(Debug)]
pub(crate) enum Recognised {
    /// This protocol.
    Is(Protocol),
    /// Later bytes may tell.
    Unclear,
    /// Nothing that is followed.
    Foreign,
}

/// See the module.
#[derive(Debug)]
pub(crate) enum Protocol {
    Http1(Box<http1::Connection>),
    Http2(Box<http2::Connection>),
    Tls(Box<tls::Connection>),
}

impl Protocol {
    /// Whose a segment somewhere in a connection is.
    pub(super) fn speaker(bytes: &[u8]) -> Speaker {
        match tls::opening(bytes) {
            tls::Opening::Client => return Speaker::Client,
            tls::Opening::Server => return Speaker::Server,
            tls::Opening::Late => return Speaker::Either,
            tls::Opening::Unknown => {}
        }
        match http1::opening(bytes) {
            http1::Opening::Request => Speaker::Client,
            http1::Opening::Response => Speaker::Server,
            http1::Opening::Unknown => match http2::speaker(bytes) {
                Some(true) => Speaker::Client,
                Some(false) => Speaker::Server,
                None => Speaker::Unknown,
            },
        }
    }

    /// What the first bytes seen of a connection begin. `known` says that they are the first bytes
    /// of their direction and that the roles are certain.
    pub(super) fn recognise(
        bytes: &[u8],
        from_client: bool,
        known: bool,
        start: Start,
    ) -> Recognised {
        let tls = match known {
            true => tls::can_begin(bytes),
            false => tls::opening(bytes) != tls::Opening::Unknown,
        };
        if tls {
            return Recognised::Is(Self::Tls(Box::new(tls::Connection::new(start, bytes))));
        }
        let http2 = if known {
            http2::begins(bytes, from_client)
        } else {
            http1::opening(bytes) == http1::Opening::Unknown
        };
        if http2 {
            let connection = http2::Connection::entered(start, bytes, from_client);
            return Recognised::Is(Self::Http2(Box::new(connection)));
        }
        if !known || http1::can_begin(bytes, from_client) {
            return Recognised::Is(Self::Http1(Box::new(http1::Connection::new(start))));
        }
        Recognised::Foreign
    }

    /// What it is called in a flow's summary.
    pub(super) fn application(&self) -> Application {
        match self {
            Self::Http1(_) => Application::Http,
            Self::Http2(_) => Application::Http2,
            Self::Tls(_) => Application::Tls,
        }
    }

    /// What it became.
    pub(super) fn upgraded_to(&self) -> Application {
        match self {
            Self::Http1(connection) if connection.is_websocket() => Application::WebSocket,
            _ => Application::Upgraded,
        }
    }

    /// Whether the client is in the middle of a request's head.
    pub(super) fn in_head(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.in_head(),
            Self::Http2(connection) => connection.in_head(),
            Self::Tls(connection) => connection.in_hello(),
        }
    }

    /// Whether the client takes its time over a request that it began: `after` ns for a head or a
    /// ClientHello, less than `rate` bytes a second of a body. Bodies of HTTP/2 are not told apart.
    pub(super) fn trickles(&self, now: u64, since: u64, after: u64, rate: u64) -> bool {
        match self {
            Self::Http1(connection) => connection.trickles(now, after, rate),
            Self::Http2(_) | Self::Tls(_) => self.in_head() && now.saturating_sub(since) >= after,
        }
    }

    /// Memory behind it.
    pub(super) fn footprint(&self) -> usize {
        match self {
            Self::Http1(connection) => size_of::<http1::Connection>() + connection.footprint(),
            Self::Http2(connection) => size_of::<http2::Connection>() + connection.footprint(),
            Self::Tls(connection) => size_of::<tls::Connection>() + connection.footprint(),
        }
    }

    /// Bytes of the client, or of the server.
    pub(super) fn data(
        &mut self,
        from_client: bool,
        piece: Piece<'_>,
        context: &mut Context<'_>,
    ) -> Outcome {
        let at = match self {
            Self::Http1(connection) => match connection.data(from_client, piece, context) {
                Outcome::Http2(at) => {
                    let next = connection.become_http2(from_client, context);
                    *self = Self::Http2(Box::new(next));
                    at
                }
                outcome => return outcome,
            },
            Self::Http2(connection) => return connection.data(from_client, piece, context),
            Self::Tls(connection) => return connection.data(from_client, piece, context),
        };
        let data = piece.data.get(at..).unwrap_or_default();
        let seq = piece.seq.wrapping_add(at as u32);
        self.data(from_client, Piece { data, seq, ..piece }, context)
    }

    /// `length` bytes of the client, or of the server, are missing; the other direction has been
    /// handed on to `peer`.
    pub(super) fn missing(
        &mut self,
        from_client: bool,
        length: u32,
        peer: Option<u32>,
        context: &mut Context<'_>,
    ) {
        match self {
            Self::Http1(connection) => connection.missing(from_client, length, peer, context),
            Self::Http2(connection) => connection.missing(from_client, length, context),
            Self::Tls(connection) => connection.missing(from_client, length, context),
        }
    }

    /// The client, or the server, sends nothing more.
    pub(super) fn ended(&mut self, from_client: bool, context: &mut Context<'_>) {
        match self {
            Self::Http1(connection) => connection.ended(from_client, context),
            // What is open then is told when the flow is over.
            Self::Http2(_) | Self::Tls(_) => {}
        }
    }

    /// The flow is over: everything there is goes out.
    pub(super) fn finish(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Http1(connection) => connection.finish(context),
            Self::Http2(connection) => connection.finish(context),
            Self::Tls(connection) => connection.finish(context),
        }
    }

    /// TLS that begins in the middle of another protocol (STARTTLS, a tunnel by CONNECT): a segment
    /// that begins with a ClientHello.
    pub(super) fn inside(bytes: &[u8]) -> Option<Self> {
        // What the server has said so far was not TLS: its first record is looked for.
        let start = Start { client_whole: true, server_whole: false, missed: None };
        tls::begins_hello(bytes).then(|| Self::Tls(Box::new(tls::Connection::new(start, bytes))))
    }

    /// Lets go of all memory: what is unfinished is void.
    pub(super) fn abandon(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Http1(connection) => connection.abandon(context),
            Self::Http2(connection) => connection.abandon(context),
            Self::Tls(connection) => connection.abandon(context),
        }
    }
}
