//! HTTP/2 in clear text (RFC 9113): two directions of a connection become requests with their
//! responses.
//!
//! Bytes come in the order of cause and effect (see [`super::flow`]), with every missing stretch
//! told. A request and its response have a stream, and numbers of streams are never used twice: what
//! belongs together is never in doubt, only whether something of it was missed. After a loss the next
//! frame is looked for ([`resync`]), and fields that refer to what was missed are unknown
//! ([`hpack`]). Bodies and the values of fields that hold secrets are not kept.

mod frame;
mod head;
mod hpack;
mod messages;
mod reader;
mod resync;
mod streams;

#[cfg(test)]
pub(super) use self::hpack::huffman;

use self::head::Block;
use self::hpack::Decoder;
use self::reader::{Cursor, Event, Missing, PREFACE, Reader};
use self::resync::Expected;
use self::streams::{Stream, Streams};
use super::Context;
use super::fields::RequestFields;
use super::flow::carried::{Outcome, Piece, Start};

/// Most streams of a connection that are followed at once.
const MAX_STREAMS: usize = 512;
/// How long a stream of which a loss may hide the end is waited for, after it was last seen, ns.
const LINGER: u64 = 10_000_000_000;
/// The setting that bounds a frame's payload (RFC 9113, 6.5.2).
const MAX_FRAME_SIZE: u16 = 5;
/// What of the preface HTTP/1 takes for a head, and leaves to be read here.
pub(crate) const PREFACE_HEAD: &[u8] = PREFACE.split_at(18).0;

/// Whether the first bytes of a stream, from its client or its server, can only be HTTP/2. Too few
/// to tell are not.
pub(crate) fn begins(bytes: &[u8], from_client: bool) -> bool {
    if from_client {
        return bytes.len() >= 3 && bytes.iter().zip(PREFACE).all(|(byte, there)| byte == there);
    }
    // A server may send its settings before it has heard anything (RFC 9113, 3.4).
    bytes.first_chunk().is_some_and(|bytes| {
        let head = frame::Head::read(bytes);
        let settings = head.kind == frame::SETTINGS && !head.has(frame::ACK);
        settings && head.is_plain(frame::DEFAULT_MAX)
    })
}

/// Whether a segment somewhere in a connection is its client's, as far as its bytes tell.
pub(crate) fn speaker(segment: &[u8]) -> Option<bool> {
    if segment.starts_with(PREFACE) { Some(true) } else { resync::speaker(segment) }
}

/// A request of HTTP/1 that is answered on stream 1 (RFC 7540, 3.2).
#[derive(Debug)]
pub(crate) struct Asked {
    /// When its first byte was seen.
    pub(crate) time: u64,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: RequestFields,
    /// Bytes of its body; `None` when a loss hides them.
    pub(crate) body: Option<u64>,
    /// A loss hides something of it.
    pub(crate) hurt: bool,
}

/// One direction.
#[derive(Debug)]
struct Direction {
    reader: Reader,
    decoder: Decoder,
    /// The header block at hand.
    block: Option<Block>,
    /// A frame was found among other bytes: the next header block is to prove it.
    tentative: bool,
    /// Frames may have been missed.
    holed: bool,
}

impl Direction {
    fn new(reader: Reader) -> Self {
        let holed = reader.is_seeking();
        let mut decoder = Decoder::new();
        if holed {
            decoder.lose();
        }
        Self { reader, decoder, block: None, tentative: false, holed }
    }

    fn footprint(&self) -> usize {
        let block = self.block.as_ref().map_or(0, Block::footprint);
        self.decoder.footprint() + block
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Direction,
    server: Direction,
    streams: Streams,
    /// The highest stream that the client was seen to open.
    highest: u32,
    /// This is HTTP/2 for certain.
    started: bool,
    /// The time of the last piece.
    now: u64,
    /// When a stream that a loss touched is to be looked at.
    stale: Option<u64>,
}

impl Connection {
    fn new(client: Reader, server: Reader) -> Self {
        Self {
            client: Direction::new(client),
            server: Direction::new(server),
            streams: Streams::default(),
            highest: 0,
            started: false,
            now: 0,
            stale: None,
        }
    }

    /// A connection that is entered like this, with these bytes of one side.
    pub(crate) fn entered(start: Start, bytes: &[u8], from_client: bool) -> Self {
        // No frame of either side comes before the preface but the server's settings, with which
        // its first bytes must begin.
        let preface = from_client && bytes.starts_with(PREFACE);
        let client = if start.client_whole || preface { Reader::client(0) } else { Reader::late() };
        let server = if start.server_whole || preface { Reader::server() } else { Reader::late() };
        Self::new(client, server)
    }

    /// A connection of which HTTP/1 has read the head that the client's preface looks like
    /// ([`PREFACE_HEAD`]).
    pub(crate) fn announced(server_whole: bool) -> Self {
        let server = if server_whole { Reader::server() } else { Reader::late() };
        Self::new(Reader::client(PREFACE_HEAD.len() as u8), server)
    }

    /// A connection that HTTP/1 was upgraded to; `asked` is `None` when the request was not seen.
    pub(crate) fn upgraded(asked: Option<Asked>, context: &mut Context<'_>) -> Self {
        let mut connection = Self::new(Reader::client(0), Reader::server());
        connection.start(context);
        if let Some(asked) = asked {
            connection.streams.insert(1, Stream::upgraded(asked));
        }
        connection.highest = 1;
        connection
    }

    /// Whether the client is in the middle of a header block.
    pub(crate) fn in_head(&self) -> bool {
        self.client.block.is_some()
    }

    /// Memory that is not the connection's own size.
    pub(crate) fn footprint(&self) -> usize {
        self.client.footprint() + self.server.footprint() + self.streams.footprint()
    }

    fn side(&mut self, from_client: bool) -> &mut Direction {
        if from_client { &mut self.client } else { &mut self.server }
    }

    /// This is HTTP/2.
    fn start(&mut self, context: &mut Context<'_>) {
        if !std::mem::replace(&mut self.started, true) {
            context.stats.http2_flows += 1;
        }
    }

    /// Bytes of the client, or of the server.
    pub(crate) fn data(
        &mut self,
        from_client: bool,
        piece: Piece<'_>,
        context: &mut Context<'_>,
    ) -> Outcome {
        self.now = piece.time;
        let Some(at) = self.entry(from_client, piece.data, context) else { return Outcome::Goes };
        let cursor = &mut Cursor::new(piece, at);
        loop {
            let started = self.started;
            let side = self.side(from_client);
            let event = side.reader.next(cursor);
            let head = side.reader.head();
            match event {
                Event::Malformed if !started => return Outcome::Foreign,
                Event::Idle => return Outcome::Goes,
                Event::Preface => self.start(context),
                Event::Data(bytes, last) => {
                    let ends = last && head.has(frame::END_STREAM);
                    self.body(from_client, head.stream, bytes, ends, context);
                }
                Event::Block { bytes, first, last } => {
                    if first {
                        side.block = Some(Block::new(head, side.reader.time()));
                    }
                    self.start(context);
                    self.block_part(from_client, bytes, last, context);
                }
                Event::Setting(MAX_FRAME_SIZE, size) => {
                    self.side(!from_client).reader.set_max(size);
                }
                Event::Setting(..) => {}
                Event::Reset => self.reset(head.stream, context),
                Event::Malformed => {
                    context.stats.malformed += 1;
                    self.lost(from_client, context);
                    return Outcome::Goes;
                }
            }
        }
    }

    /// Where a piece is to be read from; `None` when where frames begin is not known and stays so.
    fn entry(
        &mut self,
        from_client: bool,
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> Option<usize> {
        let reader = &self.side(from_client).reader;
        if !reader.is_seeking() {
            return Some(0);
        }
        let max = reader.max();
        let streams = &self.streams;
        let expected = Expected { from_client, max, followed: &|stream| streams.has(stream) };
        let at = resync::find(bytes, &expected)?;
        self.start(context);
        context.stats.http2_resyncs += 1;
        let side = self.side(from_client);
        side.reader.resume();
        side.tentative = true;
        Some(at)
    }

    /// `length` bytes of the client, or of the server, are missing.
    pub(crate) fn missing(&mut self, from_client: bool, length: u32, context: &mut Context<'_>) {
        let side = self.side(from_client);
        let missing = side.reader.missing(length);
        let head = side.reader.head();
        match missing {
            Missing::Inside => {}
            Missing::Data(bytes, last) => {
                let ends = last && head.has(frame::END_STREAM);
                self.body(from_client, head.stream, bytes, ends, context);
            }
            Missing::Block { first, last } => {
                if first {
                    side.block = Some(Block::new(head, side.reader.time()));
                }
                if let Some(block) = &mut side.block {
                    block.break_off();
                }
                side.decoder.lose();
                if last {
                    self.block_end(from_client, context);
                }
            }
            Missing::Lost => self.lost(from_client, context),
        }
    }

    /// The flow is over: everything there is goes out.
    pub(crate) fn finish(&mut self, context: &mut Context<'_>) {
        for from_client in [true, false] {
            self.cut_block(from_client, context);
            self.side(from_client).reader.seek();
        }
        while let Some(id) = self.streams.oldest(|_| true) {
            self.emit(id, context);
        }
    }

    /// Lets go of all memory: what is unfinished is void.
    pub(crate) fn abandon(&mut self, context: &mut Context<'_>) {
        for from_client in [true, false] {
            self.cut_block(from_client, context);
            self.side(from_client).decoder.lose();
        }
        while let Some(id) = self.streams.oldest(|_| true) {
            if let Some(stream) = self.streams.get_mut(id) {
                stream.asked.hurt = true;
            }
            self.emit(id, context);
        }
        self.streams = Streams::default();
    }
}
