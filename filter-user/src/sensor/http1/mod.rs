//! HTTP/1 (RFC 9112): two directions of a connection become requests with their responses.
//!
//! Bytes come in the order of cause and effect (see [`super::flow`]), with every missing stretch
//! told. What is known of a message is kept until its transaction is whole; bodies and the values
//! of fields that hold secrets never are. Which response answers which request is decided in
//! [`pairing`].

mod head;
mod line;
mod messages;
mod pairing;
mod parser;

use std::collections::VecDeque;

use self::head::{RequestHead, ResponseHead};
use self::pairing::{Current, Doubt, Entry};
use self::parser::{Cursor, Framing, Missing, Parser, Progress};
use super::flow::carried::{Outcome, Piece, Start};
use super::{Context, http2};

/// Most requests of a connection that wait for their responses.
const MAX_PENDING: usize = 128;

/// Which side of a new connection bytes come from, judged by the bytes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// They begin with a request line: the client.
    Request,
    /// They begin with a status line: the server.
    Response,
    /// Neither.
    Unknown,
}

/// Judges a segment somewhere in a connection by its first bytes.
pub(crate) fn opening(segment: &[u8]) -> Opening {
    if line::begins_response(segment) {
        Opening::Response
    } else if line::begins_request(segment) {
        Opening::Request
    } else {
        Opening::Unknown
    }
}

/// Whether the first bytes of a stream, from its client or its server, can be HTTP/1.
pub(crate) fn can_begin(bytes: &[u8], from_client: bool) -> bool {
    let probe = if from_client { line::probe_request } else { line::probe_response };
    probe(bytes) != line::Probe::No
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Parser,
    server: Parser,
    /// Requests whose transaction is not whole, oldest first.
    queue: VecDeque<Entry>,
    /// Memory in the queue.
    queued_bytes: usize,
    /// The response at hand, to the first request of the queue unless it is an orphan.
    current: Option<Current>,
    /// Responses were missed: the next one may not be for the first request.
    doubt: Option<Doubt>,
    /// The client sends requests before it has the responses to those before.
    pipelined: bool,
    /// The client is known to wait for a response before it asks again.
    waits: bool,
    /// The last request was sent when nothing was outstanding.
    clean: bool,
    /// A whole head was read.
    started: bool,
    /// A response came since requests were missed.
    answered: bool,
    /// WebSocket is what it became.
    websocket: bool,
}

impl Connection {
    /// A connection that is entered like this.
    pub(crate) fn new(start: Start) -> Self {
        let Start { client_whole, server_whole, missed } = start;
        let mut queue = VecDeque::new();
        if !client_whole {
            queue.push_back(Entry::Unknown { seq: None, peer: missed });
        }
        Self {
            client: Parser::new(true, client_whole),
            server: Parser::new(false, server_whole),
            queue,
            queued_bytes: 0,
            current: None,
            doubt: (!server_whole).then_some(Doubt::Boundary),
            pipelined: false,
            waits: false,
            clean: false,
            started: false,
            answered: false,
            websocket: false,
        }
    }

    /// Whether WebSocket is what it became.
    pub(crate) fn is_websocket(&self) -> bool {
        self.websocket
    }

    /// Whether the client is in the middle of a request's head.
    pub(crate) fn in_head(&self) -> bool {
        self.client.in_head()
    }

    /// Whether the client's request trickles, see [`parser::Parser::trickles`].
    pub(crate) fn trickles(&self, now: u64, after: u64, rate: u64) -> bool {
        self.client.trickles(now, after, rate)
    }

    /// Memory that is not the connection's own size.
    pub(crate) fn footprint(&self) -> usize {
        self.client.footprint() + self.server.footprint() + self.queued_bytes
    }

    /// Bytes of the client, or of the server.
    pub(crate) fn data(
        &mut self,
        from_client: bool,
        piece: Piece<'_>,
        context: &mut Context<'_>,
    ) -> Outcome {
        if from_client {
            self.client_data(piece, context)
        } else {
            self.server_data(piece, context)
        }
    }

    fn client_data(&mut self, piece: Piece<'_>, context: &mut Context<'_>) -> Outcome {
        let cursor = &mut Cursor::new(piece);
        loop {
            match self.client.next(cursor) {
                Progress::Idle => {
                    let foreign = !self.started
                        && self.client.in_head()
                        && !can_begin(self.client.partial(), true)
                        && !http2::PREFACE_HEAD.starts_with(self.client.partial());
                    return if foreign { Outcome::Foreign } else { Outcome::Goes };
                }
                Progress::Head(head) if *head == *http2::PREFACE_HEAD => {
                    return Outcome::Http2(cursor.place());
                }
                Progress::Head(head) => match RequestHead::parse(&head, context.secrets) {
                    Some(head) => self.request(head, &piece, context),
                    None if !self.started => return Outcome::Foreign,
                    None => return self.bad_request(piece.peer, context),
                },
                Progress::End => self.request_ended(context),
                Progress::Malformed => return self.bad_request(piece.peer, context),
                Progress::TooLong => {
                    context.stats.head_limit += 1;
                    self.client_lost(piece.peer, context);
                    return Outcome::Goes;
                }
            }
        }
    }

    fn bad_request(&mut self, peer: Option<u32>, context: &mut Context<'_>) -> Outcome {
        context.stats.malformed += 1;
        self.client_lost(peer, context);
        Outcome::Goes
    }

    fn server_data(&mut self, piece: Piece<'_>, context: &mut Context<'_>) -> Outcome {
        self.review_orphan(&piece);
        let cursor = &mut Cursor::new(piece);
        loop {
            if self.server.at_boundary() && self.answers_bare(cursor) {
                let (status, content_type, orphan) = (None, None, false);
                let current = Current { status, time: piece.time, content_type, orphan };
                self.server.begin_at(cursor, Framing::UntilClose);
                self.current = Some(current);
            }
            match self.server.next(cursor) {
                Progress::Idle => {
                    if !self.server.in_head() || can_begin(self.server.partial(), false) {
                        return Outcome::Goes;
                    }
                    return self.bad_response(context);
                }
                Progress::Head(head) => match ResponseHead::parse(&head) {
                    Some(head) => match self.response(head, cursor.place(), context) {
                        Outcome::Goes => {}
                        outcome => return outcome,
                    },
                    None => return self.bad_response(context),
                },
                Progress::End => self.response_ended(true, context),
                Progress::Malformed => return self.bad_response(context),
                Progress::TooLong => {
                    context.stats.head_limit += 1;
                    self.server_lost(context);
                    return Outcome::Goes;
                }
            }
        }
    }

    fn bad_response(&mut self, context: &mut Context<'_>) -> Outcome {
        if !self.started {
            return Outcome::Foreign;
        }
        context.stats.malformed += 1;
        self.server_lost(context);
        Outcome::Goes
    }

    /// `length` bytes of the client, or of the server, are missing; the other direction has been
    /// handed on to `peer`.
    pub(crate) fn missing(
        &mut self,
        from_client: bool,
        length: u32,
        peer: Option<u32>,
        context: &mut Context<'_>,
    ) {
        let parser = if from_client { &mut self.client } else { &mut self.server };
        let missing = parser.missing(length);
        if let Missing::Ended(_) = missing {
            if from_client {
                self.request_ended(context);
            } else {
                self.response_ended(true, context);
            }
        }
        match missing {
            Missing::Inside | Missing::Ended(0) => {}
            _ if from_client => self.client_lost(peer, context),
            _ => self.server_lost(context),
        }
    }

    /// The client, or the server, sends nothing more.
    pub(crate) fn ended(&mut self, from_client: bool, context: &mut Context<'_>) {
        if from_client {
            self.cut_request(context);
        } else if self.current.is_some() {
            self.response_ended(self.server.until_close(), context);
            self.server.seek();
        }
    }

    /// The connection goes on as HTTP/2, told by the client's preface or by the server's 101.
    pub(crate) fn become_http2(
        &mut self,
        from_client: bool,
        context: &mut Context<'_>,
    ) -> http2::Connection {
        if from_client {
            let server_whole = !self.started && self.doubt.is_none();
            self.finish(context);
            return http2::Connection::announced(server_whole);
        }
        // The request that asked for it waits at the front.
        let asked = self.take_first();
        self.finish(context);
        http2::Connection::upgraded(asked, context)
    }

    /// The flow is over: everything there is goes out.
    pub(crate) fn finish(&mut self, context: &mut Context<'_>) {
        self.cut_request(context);
        if self.current.is_some() {
            self.response_ended(false, context);
        }
        while let Some(entry) = self.queue.pop_front() {
            self.emit(entry, context);
        }
        self.client.seek();
        self.server.seek();
    }

    /// Lets go of all memory: what is unfinished is void.
    pub(crate) fn abandon(&mut self, context: &mut Context<'_>) {
        self.client_lost(None, context);
        self.server_lost(context);
        self.void_first(self.queue.len(), context);
        self.queue.push_back(Entry::Unknown { seq: None, peer: None });
    }

    /// A response nobody was seen to ask for may have had no body (HEAD). When a request was made
    /// at just this point and a status line begins here, it had none.
    fn review_orphan(&mut self, piece: &Piece<'_>) {
        let Some(Current { orphan: true, .. }) = self.current else { return };
        let asked = self.queue.iter().any(|entry| match entry {
            Entry::Request(request) => request.origin.ack == Some(piece.seq),
            Entry::Unknown { .. } => false,
        });
        if asked && self.server.begins_message(piece) {
            self.current = None;
            self.server.restart();
        }
    }

    /// Whether what follows answers a request without a version: a body without a head.
    fn answers_bare(&self, cursor: &Cursor<'_>) -> bool {
        let Some(Entry::Request(request)) = self.queue.front() else { return false };
        request.head.version == line::V0_9
            && request.answer.is_none()
            && !cursor.rest().is_empty()
            && !can_begin(cursor.rest(), false)
    }
}
