//! Which response answers which request.
//!
//! Responses come in the order of the requests (RFC 9112, 9.3.2), so that a queue would do if
//! nothing were ever lost. TCP's acknowledgements say more. A request was sent when its client had
//! received the server's bytes up to the segment's acknowledgement: its response begins there or
//! later, and just there if the client waits for each response before it asks again. A response was
//! sent when the server had received the client's bytes up to its acknowledgement: it answers no
//! request behind that. After a loss these bounds find the pairs again; where they leave a choice,
//! the requests in question are void. A status is never put to a request by guess.

use super::head::RequestHead;
use super::parser::Origin;
use super::{Connection, Context};
use crate::sensor::flow::ahead;
use crate::sensor::http2::Asked;
use crate::sensor::transaction::Exchange;

/// What was missed of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The end of a response, whose beginning was seen.
    Inside,
    /// Perhaps whole responses.
    Boundary,
}

/// Requests in the order they were sent.
#[derive(Debug)]
pub(super) enum Entry {
    /// One that was seen.
    Request(Box<Request>),
    /// Any number of them, none included, that were not.
    Unknown {
        /// Where the first may begin; `None` for before anything was seen.
        seq: Option<u32>,
        /// How far the server's bytes had been handed on then.
        peer: Option<u32>,
    },
}

/// A request and what is known of its response.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) head: RequestHead,
    pub(super) origin: Origin,
    /// Bytes of its body; `None` when a loss hides them.
    pub(super) body: Option<u64>,
    /// Nothing of it is to come.
    pub(super) done: bool,
    /// The connection ended inside it.
    pub(super) cut: bool,
    /// A loss, or broken framing, hides part of it.
    pub(super) hurt: bool,
    /// Requests before it may be unanswered that nothing is known of.
    pub(super) unsure: bool,
    pub(super) answer: Option<Answer>,
}

impl Request {
    pub(super) fn new(head: RequestHead, origin: Origin, unsure: bool) -> Self {
        let (done, cut, hurt) = (false, false, false);
        Self { head, origin, body: None, done, cut, hurt, unsure, answer: None }
    }

    /// Whether a response that begins at `origin` can be for this request.
    fn may_get(&self, origin: &Origin) -> bool {
        self.answer.is_none()
            && origin.ack.is_none_or(|ack| ahead(ack, self.origin.seq) > 0)
            && self.origin.ack.is_none_or(|ack| ahead(origin.seq, ack) >= 0)
    }

    fn footprint(&self) -> usize {
        size_of::<Self>() + self.head.footprint()
    }
}

/// A response that is being read.
#[derive(Clone, Debug)]
pub(super) struct Current {
    /// Its status; `None` for a body without a head (HTTP/0.9).
    pub(super) status: Option<u16>,
    /// When its first byte was seen.
    pub(super) time: u64,
    /// The media type of its body.
    pub(super) content_type: Option<String>,
    /// It answers no request that was seen.
    pub(super) orphan: bool,
}

/// A response that was read.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: Option<u16>,
    pub(super) time: u64,
    pub(super) content_type: Option<String>,
    /// Bytes of its body; `None` when a loss hides them.
    pub(super) body: Option<u64>,
    /// It ended as it should.
    pub(super) whole: bool,
    /// A loss, or broken framing, hides part of it.
    pub(super) hurt: bool,
}

impl Connection {
    pub(super) fn queue_request(&mut self, request: Request) {
        self.queued_bytes += request.footprint();
        self.queue.push_back(Entry::Request(Box::new(request)));
    }

    /// Notes that requests may have been missed.
    pub(super) fn queue_unknown(&mut self, seq: u32, peer: Option<u32>) {
        self.answered = false;
        if let Some(Entry::Unknown { peer: latest, .. }) = self.queue.back_mut() {
            *latest = peer.or(*latest);
        } else {
            self.queue.push_back(Entry::Unknown { seq: Some(seq), peer });
        }
    }

    /// A request is about to be queued: what it tells about the order of things, and whether it is
    /// uncertain that the client had all responses when it sent it. The server's bytes have been
    /// handed on to `peer`.
    pub(super) fn review_order(&mut self, origin: &Origin, peer: Option<u32>) -> bool {
        let before = match self.queue.back() {
            Some(Entry::Request(before)) => {
                // Where nothing was missed, it waits for a response that did not come before this.
                self.pipelined |= self.doubt.is_none()
                    && matches!(self.queue.front(), Some(Entry::Request(_)))
                    && !self.current.as_ref().is_some_and(|current| current.orphan);
                before.origin.ack
            }
            Some(Entry::Unknown { peer, .. }) => *peer,
            None => None,
        };
        // Nothing came from the server between the two.
        self.pipelined |=
            before.zip(origin.ack).is_some_and(|(before, ack)| ahead(ack, before) <= 0);
        let at_boundary = self.server.at_boundary() && peer.is_some() && peer == origin.ack;
        if at_boundary && !self.pipelined {
            // All that the server sent is understood and nothing of it is outstanding.
            if self.answered && self.queue.len() == 1 {
                self.queue.retain(|entry| matches!(entry, Entry::Request(_)));
            }
            if self.queue.is_empty() {
                self.doubt = None;
            }
        }
        let clean = at_boundary && self.queue.is_empty();
        self.waits |= clean && std::mem::replace(&mut self.clean, clean);
        self.clean = clean;
        // Requests and responses were missed: how many of each, and whether all were answered,
        // only a client's habit tells.
        let missed = |entry: &Entry| matches!(entry, Entry::Unknown { peer: Some(_), .. });
        self.doubt.is_some() && !self.waits && self.queue.iter().any(missed)
    }

    /// Finds the request that the response beginning at `origin` answers and brings it to the front
    /// of the queue; false when there is none, or no telling.
    pub(super) fn pair(&mut self, origin: &Origin, context: &mut Context<'_>) -> bool {
        match self.queue.front() {
            None => return false,
            Some(Entry::Request(first)) if self.doubt.is_none() => return first.may_get(origin),
            Some(_) => {}
        }
        let (mut candidates, mut last, mut unknown) = (0, None, false);
        for (at, entry) in self.queue.iter().enumerate() {
            match entry {
                Entry::Request(request) if request.may_get(origin) => {
                    candidates += 1;
                    last = Some((at, request.origin.ack == Some(origin.seq) && !request.unsure));
                }
                Entry::Request(_) => {}
                Entry::Unknown { seq, .. } => {
                    unknown |= seq.zip(origin.ack).is_none_or(|(seq, ack)| ahead(ack, seq) > 0);
                }
            }
        }
        let Some((last, exact)) = last else { return false };
        let only = candidates == 1 && !unknown && self.doubt == Some(Doubt::Inside);
        self.doubt = None;
        if only || (exact && !self.pipelined) {
            self.void_first(last, context);
            return true;
        }
        self.void_first(last + 1, context);
        if !matches!(self.queue.front(), Some(Entry::Unknown { .. })) {
            self.queue.push_front(Entry::Unknown { seq: None, peer: None });
        }
        false
    }

    /// Hands out the first `count` entries as void.
    pub(super) fn void_first(&mut self, count: usize, context: &mut Context<'_>) {
        for mut entry in self.queue.drain(..count).collect::<Vec<_>>() {
            if let Entry::Request(request) = &mut entry {
                request.hurt = true;
            }
            self.emit(entry, context);
        }
    }

    /// Hands out what is whole, in order.
    pub(super) fn settle(&mut self, context: &mut Context<'_>) {
        while let Some(Entry::Request(request)) = self.queue.front()
            && request.done
            && request.answer.is_some()
        {
            if let Some(entry) = self.queue.pop_front() {
                self.emit(entry, context);
            }
        }
    }

    /// Takes the first request out, to be answered by HTTP/2.
    pub(super) fn take_first(&mut self) -> Option<Asked> {
        let Some(Entry::Request(request)) = self.queue.pop_front() else { return None };
        self.queued_bytes = self.queued_bytes.saturating_sub(request.footprint());
        let Request { head, origin, body, done, hurt, .. } = *request;
        let RequestHead { method, target, fields, .. } = head;
        Some(Asked { time: origin.time, method, target, fields, body, hurt: hurt || !done })
    }

    /// Hands out a transaction as it is.
    pub(super) fn emit(&mut self, entry: Entry, context: &mut Context<'_>) {
        let Entry::Request(request) = entry else { return };
        self.queued_bytes = self.queued_bytes.saturating_sub(request.footprint());
        let Request { head, origin, body, done, cut, hurt, answer, .. } = *request;
        let hurt = hurt || answer.as_ref().is_some_and(|answer| answer.hurt);
        let whole = done && !cut && answer.as_ref().is_some_and(|answer| answer.whole);
        if hurt {
            context.stats.voided += 1;
        } else if answer.is_none() {
            context.stats.unanswered += 1;
        }
        let latency = answer.as_ref().map(|answer| answer.time.saturating_sub(origin.time));
        let (status, response_body_bytes, response_type) = answer
            .map_or((None, None, None), |answer| (answer.status, answer.body, answer.content_type));
        context.exchange(Exchange {
            time: origin.time,
            version: head.version,
            method: head.method,
            target: head.target,
            host: head.fields.host,
            user_agent: head.fields.user_agent,
            credentials: head.fields.credentials,
            forwarded: head.fields.forwarded.into(),
            request_type: head.fields.content_type,
            response_type,
            grpc: None,
            status,
            request_body_bytes: body,
            response_body_bytes,
            latency,
            complete: whole && !hurt,
        });
    }
}
