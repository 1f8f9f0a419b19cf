//! One direction of an HTTP/2 connection, taken apart into frames (RFC 9113, 4).
//!
//! Fed with any split of the bytes, and told of the stretches that are missing. Nothing of a frame is
//! kept but its head: what stands in it is handed on as it comes.

#[cfg(test)]
mod tests;

use super::frame::{self, HEAD, Head};
use crate::sensor::flow::carried::Piece;

/// What a client sends before its first frame (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of one setting (RFC 9113, 6.5.1).
const SETTING: u32 = 6;

/// A piece that is being read.
pub(super) struct Cursor<'a> {
    piece: Piece<'a>,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Reads from `at` on.
    pub(super) fn new(piece: Piece<'a>, at: usize) -> Self {
        Self { piece, at }
    }

    fn rest(&self) -> &'a [u8] {
        self.piece.data.get(self.at..).unwrap_or(&[])
    }

    /// At most so many bytes.
    fn take(&mut self, most: u32) -> &'a [u8] {
        let rest = self.rest();
        let taken = &rest[..rest.len().min(most as usize)];
        self.at += taken.len();
        taken
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the client's preface, so many bytes of which are there.
    Preface(u8),
    /// Before a frame, or in its head.
    Head,
    /// In what comes before the content: length of the padding, priority, promised stream.
    Prefix,
    /// In the body of DATA, or in a part of a header block.
    Content,
    /// In settings.
    Settings,
    /// In what nobody reads: padding, and the payload of other frames.
    Rest,
    /// Somewhere.
    Seek,
}

/// What came of reading on.
pub(super) enum Event<'a> {
    /// The piece is used up.
    Idle,
    /// The client's preface is there.
    Preface,
    /// So many bytes of a DATA frame's body; whether they are the last.
    Data(u32, bool),
    /// Part of a header block.
    Block {
        bytes: &'a [u8],
        /// The block begins with it.
        first: bool,
        /// The block ends with it.
        last: bool,
    },
    /// A setting: its identifier and value.
    Setting(u16, u32),
    /// RST_STREAM.
    Reset,
    /// This is not HTTP/2.
    Malformed,
}

/// What a missing stretch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It lies in what nobody reads.
    Inside,
    /// As [`Event::Data`].
    Data(u32, bool),
    /// It lies in a header block.
    Block {
        /// The block begins with it.
        first: bool,
        /// The block ends with this frame.
        last: bool,
    },
    /// It hides where frames begin.
    Lost,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reader {
    state: State,
    /// Nothing of the frame's content was handed on.
    fresh: bool,
    /// The frame at hand.
    head: Head,
    /// When its first byte was seen.
    time: u64,
    /// Bytes of its content, and of what follows that, to come.
    content: u32,
    rest: u32,
    /// The stream whose block goes on in the next frame.
    open: Option<u32>,
    /// The next frame is the first: settings (RFC 9113, 3.4).
    first: bool,
    /// Largest payload that the peer takes.
    max: u32,
    /// What there is of a head, prefix or setting.
    have: u8,
    bytes: [u8; HEAD],
}

impl Reader {
    fn new(state: State, max: u32) -> Self {
        Self {
            state,
            fresh: false,
            head: Head::default(),
            time: 0,
            content: 0,
            rest: 0,
            open: None,
            first: state != State::Seek,
            max,
            have: 0,
            bytes: [0; HEAD],
        }
    }

    /// Of a client, so many bytes of whose preface have been read.
    pub(super) fn client(read: u8) -> Self {
        Self::new(State::Preface(read), frame::DEFAULT_MAX)
    }

    /// Of a server, from its first frame on.
    pub(super) fn server() -> Self {
        Self::new(State::Head, frame::DEFAULT_MAX)
    }

    /// Of either, somewhere in its stream; what its peer allows was not seen.
    pub(super) fn late() -> Self {
        Self::new(State::Seek, frame::LARGEST)
    }

    /// The frame at hand.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// When its first byte was seen.
    pub(super) fn time(&self) -> u64 {
        self.time
    }

    /// Largest payload that the peer takes.
    pub(super) fn max(&self) -> u32 {
        self.max
    }

    /// The peer says how large a payload it takes (RFC 9113, 6.5.2).
    pub(super) fn set_max(&mut self, max: u32) {
        self.max = max.clamp(frame::DEFAULT_MAX, frame::LARGEST);
    }

    /// Where frames begin is not known any longer.
    pub(super) fn seek(&mut self) {
        (self.state, self.open, self.first) = (State::Seek, None, false);
    }

    /// Whether a frame is looked for.
    pub(super) fn is_seeking(&self) -> bool {
        self.state == State::Seek
    }

    /// A frame begins here.
    pub(super) fn resume(&mut self) {
        (self.state, self.have) = (State::Head, 0);
    }

    /// Reads on.
    pub(super) fn next<'a>(&mut self, cursor: &mut Cursor<'a>) -> Event<'a> {
        loop {
            match self.state {
                State::Preface(read) => {
                    let expected = &PREFACE[usize::from(read).min(PREFACE.len())..];
                    let found = cursor.take(expected.len() as u32);
                    if found != &expected[..found.len()] {
                        return Event::Malformed;
                    }
                    if found.len() < expected.len() {
                        self.state = State::Preface(read + found.len() as u8);
                        return Event::Idle;
                    }
                    self.resume();
                    return Event::Preface;
                }
                State::Head => {
                    if self.have == 0 {
                        self.time = cursor.piece.time;
                    }
                    if !self.gather(cursor, HEAD as u32) {
                        return Event::Idle;
                    }
                    if !self.begin() {
                        return Event::Malformed;
                    }
                    if self.head.kind == frame::RST_STREAM {
                        return Event::Reset;
                    }
                }
                State::Prefix => {
                    if !self.gather(cursor, self.head.prefix()) {
                        return Event::Idle;
                    }
                    if self.head.has(frame::PADDED) {
                        let padding = u32::from(self.bytes[0]);
                        if padding > self.content {
                            return Event::Malformed;
                        }
                        (self.content, self.rest) = (self.content - padding, padding);
                    }
                    self.state = State::Content;
                }
                State::Content => {
                    let bytes = cursor.take(self.content);
                    if bytes.is_empty() && self.content != 0 {
                        return Event::Idle;
                    }
                    self.content -= bytes.len() as u32;
                    let last = self.content == 0;
                    if last {
                        self.state = State::Rest;
                    }
                    if self.head.kind == frame::DATA {
                        return Event::Data(bytes.len() as u32, last);
                    }
                    let first = std::mem::take(&mut self.fresh);
                    return Event::Block { bytes, first, last: last && self.open.is_none() };
                }
                State::Settings if self.content == 0 => self.state = State::Rest,
                State::Settings => {
                    if !self.gather(cursor, SETTING) {
                        return Event::Idle;
                    }
                    self.content -= SETTING;
                    let [a, b, value @ ..] = self.bytes;
                    let value = [value[0], value[1], value[2], value[3]];
                    return Event::Setting(u16::from_be_bytes([a, b]), u32::from_be_bytes(value));
                }
                State::Rest => {
                    self.rest -= cursor.take(self.rest).len() as u32;
                    if self.rest != 0 {
                        return Event::Idle;
                    }
                    self.resume();
                }
                State::Seek => return Event::Idle,
            }
        }
    }

    /// A head is there; false when it is none.
    fn begin(&mut self) -> bool {
        let head = Head::read(&self.bytes);
        let goes_on = head.kind == frame::CONTINUATION;
        let greets = head.kind == frame::SETTINGS && !head.has(frame::ACK);
        if std::mem::take(&mut self.first) && !greets {
            return false;
        }
        let expected = match self.open {
            Some(stream) => goes_on && stream == head.stream,
            None => !goes_on,
        };
        if !expected || !head.is_valid(self.max) {
            return false;
        }
        self.head = head;
        self.have = 0;
        self.fresh = head.is_block() && !goes_on;
        let content = match head.kind {
            frame::DATA => true,
            frame::SETTINGS => {
                self.state = State::Settings;
                (self.content, self.rest) = (head.length, 0);
                return true;
            }
            _ => head.is_block(),
        };
        if !content {
            (self.state, self.content, self.rest) = (State::Rest, 0, head.length);
            return true;
        }
        if head.is_block() {
            self.open = (!head.has(frame::END_HEADERS)).then_some(head.stream);
        }
        let prefix = head.prefix();
        (self.content, self.rest) = (head.length - prefix, 0);
        self.state = if prefix == 0 { State::Content } else { State::Prefix };
        true
    }

    /// Gathers `need` bytes, at most [`HEAD`]; true when they are there.
    fn gather(&mut self, cursor: &mut Cursor<'_>, need: u32) -> bool {
        let have = u32::from(self.have);
        let taken = cursor.take(need.saturating_sub(have));
        self.bytes[have as usize..][..taken.len()].copy_from_slice(taken);
        self.have += taken.len() as u8;
        let there = u32::from(self.have) >= need;
        if there {
            self.have = 0;
        }
        there
    }

    /// `length` bytes are missing here.
    pub(super) fn missing(&mut self, length: u32) -> Missing {
        let known = matches!(self.state, State::Content | State::Settings | State::Rest);
        let settings = self.state == State::Settings;
        let left = self.content + self.rest - if settings { u32::from(self.have) } else { 0 };
        if !known || length > left {
            return Missing::Lost;
        }
        if self.state != State::Content {
            (self.state, self.content, self.rest) = (State::Rest, 0, left - length);
            return Missing::Inside;
        }
        let bytes = length.min(self.content);
        self.content -= bytes;
        self.rest -= length - bytes;
        let last = self.content == 0;
        if self.head.kind == frame::DATA {
            if last {
                self.state = State::Rest;
            }
            return Missing::Data(bytes, last);
        }
        // What follows in this frame cannot be read either.
        (self.state, self.content, self.rest) = (State::Rest, 0, self.content + self.rest);
        let first = std::mem::take(&mut self.fresh);
        Missing::Block { first, last: self.open.is_none() }
    }
}
