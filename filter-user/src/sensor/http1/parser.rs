//! One direction of an HTTP/1 connection, taken apart into heads and bodies (RFC 9112, 2 and 7).
//!
//! Fed with any split of the bytes, and told of the stretches that are missing. It knows nothing of
//! what heads mean: whoever drives it says after each head how the body is delimited.

mod chunk;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::{Piece, line};

/// Longest head, and longest trailer section, that is looked at.
const MAX_HEAD: usize = 64 * 1024;

/// A piece that is being read.
pub(super) struct Cursor<'a> {
    pub(super) piece: Piece<'a>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(piece: Piece<'a>) -> Self {
        Self { piece, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        &self.piece.data[self.at..]
    }

    /// How far it has been read.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    fn origin(&self) -> Origin {
        let Piece { seq, ack, time, .. } = self.piece;
        Origin { time, seq: seq.wrapping_add(self.at as u32), ack }
    }
}

/// Where and when a message begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin {
    pub(super) time: u64,
    pub(super) seq: u32,
    pub(super) ack: Option<u32>,
}

/// How a message's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Fixed(u64),
    /// With the last chunk.
    Chunked,
    /// With the stream.
    UntilClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a message.
    Start,
    /// In a head, what there is of it in the buffer.
    Head,
    /// In a body, with so many bytes to come.
    Fixed(u64),
    /// In a body that the stream's end ends.
    UntilClose,
    /// In the line before a chunk.
    Size { value: u64, digits: u8, extension: bool },
    /// In a chunk, with so many bytes to come.
    Chunk(u64),
    /// Before the line end after a chunk.
    ChunkEnd,
    /// In the trailer section; whether the line is blank so far, and bytes seen.
    Trailer { blank: bool, seen: u32 },
    /// Somewhere: a start line at a segment's start is waited for.
    Seek,
}

/// What came of reading on.
pub(super) enum Progress<'a> {
    /// The piece is used up.
    Idle,
    /// A head is there; [`Parser::begin`] is to be called before reading on.
    Head(Cow<'a, [u8]>),
    /// A body has ended.
    End,
    /// This is not HTTP.
    Malformed,
    /// A head or trailer section is too long.
    TooLong,
}

/// What a missing stretch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It lies in a body whose framing it does not touch.
    Inside,
    /// It goes to the end of a body, or beyond: so many bytes follow it unseen.
    Ended(u32),
    /// It hides a head or framing.
    Lost,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Parser {
    state: State,
    /// Whether it reads requests.
    requests: bool,
    /// The head's first line has been looked at.
    line_seen: bool,
    /// How far the buffer has been searched.
    searched: u32,
    origin: Origin,
    body: u64,
    buffer: Vec<u8>,
}

impl Parser {
    /// A parser of requests or responses, at the beginning of a stream or somewhere in it.
    pub(super) fn new(requests: bool, at_start: bool) -> Self {
        Self {
            state: if at_start { State::Start } else { State::Seek },
            requests,
            line_seen: false,
            searched: 0,
            origin: Origin::default(),
            body: 0,
            buffer: Vec::new(),
        }
    }

    /// Where the message at hand begins.
    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    /// Body bytes of the message at hand so far.
    pub(super) fn body(&self) -> u64 {
        self.body
    }

    /// What there is of an unfinished head.
    pub(super) fn partial(&self) -> &[u8] {
        &self.buffer
    }

    /// Memory in the buffer.
    pub(super) fn footprint(&self) -> usize {
        self.buffer.capacity()
    }

    /// Whether it stands between two messages.
    pub(super) fn at_boundary(&self) -> bool {
        self.state == State::Start
    }

    /// Whether it stands in a head.
    pub(super) fn in_head(&self) -> bool {
        self.state == State::Head
    }

    /// Whether the message at hand trickles: its head is not whole, or less than `rate` bytes a second
    /// of its body came, `after` ns from its first byte. `now` is on the records' clock.
    pub(super) fn trickles(&self, now: u64, after: u64, rate: u64) -> bool {
        let age = now.saturating_sub(self.origin.time);
        match self.state {
            State::Start | State::UntilClose | State::Seek => false,
            State::Head => age >= after,
            State::Fixed(_)
            | State::Size { .. }
            | State::Chunk(_)
            | State::ChunkEnd
            | State::Trailer { .. } => {
                age >= after
                    && u128::from(self.body) * 1_000_000_000 < u128::from(age) * u128::from(rate)
            }
        }
    }

    /// Whether the body at hand ends with the stream.
    pub(super) fn until_close(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Takes a message to begin at the cursor.
    pub(super) fn begin_at(&mut self, cursor: &Cursor<'_>, framing: Framing) {
        self.origin = cursor.origin();
        self.begin(framing);
    }

    /// After a head: how the body ends. True when there is none: the message has ended.
    pub(super) fn begin(&mut self, framing: Framing) -> bool {
        self.body = 0;
        self.state = match framing {
            Framing::Fixed(0) => State::Start,
            Framing::Fixed(length) => State::Fixed(length),
            Framing::Chunked => SIZE,
            Framing::UntilClose => State::UntilClose,
        };
        framing == Framing::Fixed(0)
    }

    /// Forgets the message at hand and waits for a start line at a segment's start.
    pub(super) fn seek(&mut self) {
        self.state = State::Seek;
        self.buffer = Vec::new();
    }

    /// Forgets the message at hand: the next one begins here.
    pub(super) fn restart(&mut self) {
        self.state = State::Start;
        self.buffer = Vec::new();
    }

    /// Whether a piece begins with a whole start line.
    pub(super) fn begins_message(&self, piece: &Piece<'_>) -> bool {
        if self.requests {
            line::begins_request(piece.data)
        } else {
            line::begins_response(piece.data)
        }
    }

    /// Reads on.
    pub(super) fn next<'a>(&mut self, cursor: &mut Cursor<'a>) -> Progress<'a> {
        loop {
            let rest = cursor.rest();
            if rest.is_empty() {
                return Progress::Idle;
            }
            match self.state {
                State::Start => {
                    // Empty lines before a start line are passed over: RFC 9112, 2.2.
                    let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
                    cursor.at += blank.count();
                    if !cursor.rest().is_empty() {
                        self.origin = cursor.origin();
                        self.state = State::Head;
                        self.line_seen = false;
                        self.searched = 0;
                    }
                }
                State::Head => return self.head(cursor),
                State::Fixed(left) => {
                    let left = left - self.take(cursor, left);
                    if left == 0 {
                        self.state = State::Start;
                        return Progress::End;
                    }
                    self.state = State::Fixed(left);
                }
                State::UntilClose => {
                    self.take(cursor, u64::MAX);
                }
                State::Chunk(left) => {
                    let left = left - self.take(cursor, left);
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                }
                State::ChunkEnd => {
                    cursor.at += 1;
                    match rest[0] {
                        b'\r' => {}
                        b'\n' => self.state = SIZE,
                        _ => return Progress::Malformed,
                    }
                }
                State::Size { .. } => {
                    if !self.size(cursor) {
                        return Progress::Malformed;
                    }
                }
                State::Trailer { blank, seen } => {
                    if let Some(end) = self.trailer(cursor, blank, seen) {
                        return end;
                    }
                }
                State::Seek => {
                    if cursor.at == 0 && self.begins_message(&cursor.piece) {
                        self.state = State::Start;
                    } else {
                        cursor.at = cursor.piece.data.len();
                    }
                }
            }
        }
    }

    /// Moves over body bytes, at most `limit`; how many.
    fn take(&mut self, cursor: &mut Cursor<'_>, limit: u64) -> u64 {
        let taken = limit.min(cursor.rest().len() as u64);
        cursor.at += taken as usize;
        self.body = self.body.saturating_add(taken);
        taken
    }

    fn head<'a>(&mut self, cursor: &mut Cursor<'a>) -> Progress<'a> {
        let rest = cursor.rest();
        if self.buffer.is_empty() {
            if let Some(end) = self.head_end(rest) {
                cursor.at += end;
                return Progress::Head(Cow::Borrowed(&rest[..end]));
            }
            self.buffer = rest.to_vec();
            cursor.at += rest.len();
        } else {
            let before = self.buffer.len();
            self.buffer.extend_from_slice(rest);
            let buffer = std::mem::take(&mut self.buffer);
            let end = self.head_end(&buffer);
            self.buffer = buffer;
            if let Some(end) = end {
                // Only what is new was searched but for the last line end.
                cursor.at += end.saturating_sub(before);
                self.buffer.truncate(end);
                return Progress::Head(Cow::Owned(std::mem::take(&mut self.buffer)));
            }
            cursor.at += rest.len();
        }
        if self.buffer.len() > MAX_HEAD { Progress::TooLong } else { Progress::Idle }
    }

    /// The length of the head that `bytes` begin with, once it is whole.
    fn head_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut from = self.searched as usize;
        while let Some(end) = memchr::memchr(b'\n', &bytes[from..]).map(|at| from + at) {
            if self.requests && !self.line_seen {
                self.line_seen = true;
                if !line::is_versioned(line::trim_end(&bytes[..end])) {
                    return Some(end + 1);
                }
            }
            match (bytes.get(end + 1), bytes.get(end + 2)) {
                (Some(b'\n'), _) => return Some(end + 2),
                (Some(b'\r'), Some(b'\n')) => return Some(end + 3),
                (None, _) | (Some(b'\r'), None) => {
                    self.searched = end as u32;
                    return None;
                }
                _ => from = end + 1,
            }
        }
        self.searched = bytes.len() as u32;
        None
    }

    /// `length` bytes are missing here.
    pub(super) fn missing(&mut self, length: u32) -> Missing {
        let many = u64::from(length);
        match self.state {
            State::Fixed(left) if many < left => {
                self.body += many;
                self.state = State::Fixed(left - many);
                Missing::Inside
            }
            State::Fixed(left) => {
                self.body += left;
                self.state = State::Start;
                Missing::Ended((many - left) as u32)
            }
            State::Chunk(left) if many <= left => {
                self.body += many;
                self.state = if many == left { State::ChunkEnd } else { State::Chunk(left - many) };
                Missing::Inside
            }
            State::UntilClose => {
                self.body += many;
                Missing::Inside
            }
            _ => Missing::Lost,
        }
    }
}

/// Before a chunk's size.
const SIZE: State = State::Size { value: 0, digits: 0, extension: false };
