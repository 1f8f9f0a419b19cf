//! The streams of a connection that are followed: each a request with what is known of its response.

use super::Asked;
use super::head::Fields;
use crate::sensor::transaction::{Exchange, Grpc};

/// One direction of a stream.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Bytes of the body.
    pub(super) body: u64,
    /// The length that the message says its body has.
    pub(super) declared: Option<u64>,
    /// It was seen to its end.
    pub(super) done: bool,
    /// A loss hides something of its head or trailers.
    pub(super) hurt: bool,
    /// A loss hides something of its body, perhaps its end.
    pub(super) holed: bool,
}

impl Half {
    /// Bytes of the body, as far as they are known. Where some were not seen, what the message says
    /// of itself counts once its end was: another length would be an error (RFC 9113, 8.1.1).
    fn bytes(&self, bodiless: bool) -> Option<u64> {
        match (self.holed, self.done) {
            (false, _) => Some(self.body),
            (true, true) if !bodiless => self.declared,
            (true, _) => None,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Stream {
    /// When the first byte of the request's head was seen.
    time: u64,
    method: String,
    target: String,
    host: Option<String>,
    fields: Fields,
    pub(super) asked: Half,
    pub(super) answered: Half,
    /// The final status, and when the first byte of its head was seen.
    pub(super) answer: Option<(u16, u64)>,
    /// The response has begun: its head was seen, or something that follows one.
    pub(super) begun: bool,
    /// A loss may hide the beginning of the response.
    pub(super) doubt: bool,
    pub(super) content_type: Option<String>,
    pub(super) grpc_status: Option<u32>,
    /// One side gave it up.
    pub(super) reset: bool,
    /// When a loss last touched it.
    pub(super) touched: Option<u64>,
    /// What [`Self::footprint`] was when it was taken in.
    footprint: usize,
}

impl Stream {
    /// A request whose head was read at `time`; what of it is not known is empty.
    pub(super) fn new(time: u64, mut fields: Fields, broken: bool) -> Self {
        let method = fields.method.take().unwrap_or_default();
        let path = fields.path.take();
        let host = fields.authority.take().or_else(|| fields.request.host.take());
        // A tunnel's target is its authority: RFC 9113, 8.5.
        let target = match path {
            None if method == "CONNECT" => host.clone(),
            path => path,
        };
        let hurt = broken || fields.unknown || method.is_empty() || target.is_none();
        let declared = fields.content_length.take();
        let mut stream = Self {
            time,
            method,
            target: target.unwrap_or_default(),
            host,
            fields,
            asked: Half { hurt, declared, ..Half::default() },
            answered: Half::default(),
            answer: None,
            begun: false,
            doubt: false,
            content_type: None,
            grpc_status: None,
            reset: false,
            touched: None,
            footprint: 0,
        };
        let host = stream.host.as_ref().map_or(0, String::len);
        let texts = stream.method.len() + stream.target.len() + host;
        stream.footprint = size_of::<Self>() + texts + stream.fields.request.footprint();
        stream
    }

    /// A request that HTTP/1 has read, to be answered here.
    pub(super) fn upgraded(asked: Asked) -> Self {
        let Asked { time, method, target, fields, body, hurt } = asked;
        let mut known = Fields::default();
        (known.method, known.path, known.request) = (Some(method), Some(target), fields);
        let mut stream = Self::new(time, known, hurt);
        stream.asked.body = body.unwrap_or_default();
        stream.asked.holed = body.is_none();
        stream.asked.done = true;
        stream
    }

    /// Whether nothing of it is to come, or nothing more can be learned.
    pub(super) fn is_over(&self) -> bool {
        self.reset || self.answered.done && (self.asked.done || self.asked.holed)
    }

    /// Whether a loss hides something of it.
    pub(super) fn is_hurt(&self) -> bool {
        let hurt = |half: &Half| half.hurt || half.holed;
        hurt(&self.asked) || hurt(&self.answered) || self.doubt && !self.begun
    }

    /// What is known of it.
    pub(super) fn into_exchange(self) -> Exchange {
        let hurt = self.is_hurt();
        let whole = self.asked.done && self.answered.done && !self.reset;
        let grpc = self.grpc();
        let status = self.answer.map(|(status, _)| status);
        let bodiless = self.method == "HEAD" || matches!(status, Some(204 | 304));
        // Of a response that may have begun unseen nothing is known.
        let answered = self.begun.then(|| self.answered.bytes(bodiless)).flatten();
        Exchange {
            time: self.time,
            version: "2",
            method: self.method,
            target: self.target,
            host: self.host,
            user_agent: self.fields.request.user_agent,
            credentials: self.fields.request.credentials,
            forwarded: self.fields.request.forwarded.into(),
            request_type: self.fields.request.content_type,
            response_type: self.content_type,
            grpc,
            status,
            request_body_bytes: self.asked.bytes(false),
            response_body_bytes: answered,
            latency: self.answer.map(|(_, time)| time.saturating_sub(self.time)),
            complete: whole && !hurt && status.is_some(),
        }
    }

    /// What only gRPC has: `/package.Service/Method` is called, and the status comes behind the
    /// response.
    fn grpc(&self) -> Option<Box<Grpc>> {
        let types = [&self.fields.request.content_type, &self.content_type];
        if !types.into_iter().flatten().any(|name| is_grpc(name)) {
            return None;
        }
        let path = self.target.strip_prefix('/').unwrap_or_default();
        let (service, method) = path.rsplit_once('/').unwrap_or_default();
        let (service, method) = (service.to_owned(), method.to_owned());
        Some(Box::new(Grpc { service, method, status: self.grpc_status }))
    }
}

/// `application/grpc`, and with the encoding of its messages, as `application/grpc+proto`.
fn is_grpc(content_type: &str) -> bool {
    let rest = content_type.strip_prefix("application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
}

/// The streams, in no order.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Beside the streams, so that one is found quickly.
    ids: Vec<u32>,
    streams: Vec<Stream>,
    footprint: usize,
}

impl Streams {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Memory behind them.
    pub(super) fn footprint(&self) -> usize {
        let room = self.streams.capacity().saturating_sub(self.streams.len());
        self.footprint + room * size_of::<Stream>() + self.ids.capacity() * size_of::<u32>()
    }

    fn find(&self, id: u32) -> Option<usize> {
        self.ids.iter().position(|&there| there == id)
    }

    /// Whether a stream is followed.
    pub(super) fn has(&self, id: u32) -> bool {
        self.find(id).is_some()
    }

    /// A stream that is followed.
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.find(id)?;
        self.streams.get_mut(at)
    }

    /// All of them.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.streams.iter_mut()
    }

    /// Follows a stream.
    pub(super) fn insert(&mut self, id: u32, stream: Stream) {
        self.footprint += stream.footprint;
        self.ids.push(id);
        self.streams.push(stream);
    }

    /// Follows a stream no longer.
    pub(super) fn remove(&mut self, id: u32) -> Option<Stream> {
        let at = self.find(id)?;
        self.ids.swap_remove(at);
        let stream = self.streams.swap_remove(at);
        self.footprint -= stream.footprint;
        if self.ids.is_empty() && self.streams.capacity() > 64 {
            *self = Self::default();
        }
        Some(stream)
    }

    /// The oldest of those for which `which` holds.
    pub(super) fn oldest(&self, which: impl Fn(&Stream) -> bool) -> Option<u32> {
        let each = self.ids.iter().zip(&self.streams);
        each.filter(|(_, stream)| which(stream)).map(|(&id, _)| id).min()
    }
}
