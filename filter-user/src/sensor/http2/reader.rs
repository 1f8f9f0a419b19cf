//! One direction of an HTTP/2 connection, taken apart into frames (RFC 9113, 4).
//!
//! Fed with any split of the bytes, and told of the stretches that are missing. Nothing of a frame is
//! kept but its head: what stands in it is handed on as it comes.

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

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(data: &[u8]) -> Piece<'_> {
        Piece { data, seq: 0, ack: None, time: 0, peer: None }
    }

    fn told(reader: &mut Reader, bytes: &[u8], found: &mut Vec<String>) -> bool {
        let mut cursor = Cursor::new(piece(bytes), 0);
        loop {
            let event = reader.next(&mut cursor);
            let stream = reader.head().stream;
            found.push(match event {
                Event::Idle => return true,
                Event::Preface => "preface".to_owned(),
                Event::Data(bytes, last) => format!("{stream} data {bytes} {last}"),
                Event::Block { bytes, first, last } => {
                    format!("{stream} block {} {first} {last}", String::from_utf8_lossy(bytes))
                }
                Event::Setting(what, value) => format!("setting {what} {value}"),
                Event::Reset => format!("{stream} reset"),
                Event::Malformed => {
                    found.push("malformed".to_owned());
                    return false;
                }
            });
        }
    }

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags, 0, 0, 0, stream]);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn greeting() -> Vec<u8> {
        [PREFACE.to_vec(), frame(frame::SETTINGS, 0, 0, b"")].concat()
    }

    fn connection() -> Vec<u8> {
        [
            PREFACE.to_vec(),
            frame(frame::SETTINGS, 0, 0, &[0, 1, 0, 0, 0x10, 0, 0, 5, 0, 1, 0, 0]),
            frame(frame::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]),
            frame(frame::HEADERS, 0x28, 1, b"\x02\0\0\0\0\x10ab\0\0"),
            frame(frame::CONTINUATION, 0, 1, b"cd"),
            frame(frame::CONTINUATION, 4, 1, b""),
            frame(frame::DATA, 8, 1, b"\x03bodyxxx"),
            frame(frame::DATA, 1, 1, b""),
            frame(0x42, 0xff, 9, b"unknown"),
            frame(frame::HEADERS, 5, 3, b"ef"),
            frame(frame::RST_STREAM, 0, 3, &[0, 0, 0, 8]),
            frame(frame::PING, 0, 0, b"12345678"),
        ]
        .concat()
    }

    const WHOLE: [&str; 10] = [
        "preface",
        "setting 1 4096",
        "setting 5 65536",
        "1 block ab true false",
        "1 block cd false false",
        "1 block  false true",
        "1 data 4 true",
        "1 data 0 true",
        "3 block ef true true",
        "3 reset",
    ];

    /// Joins what the parts of one frame's content say.
    fn joined(found: Vec<String>) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let mut data = 0;
        let mut block = (String::new(), false);
        for event in found {
            let words: Vec<&str> = event.split(' ').collect();
            match words[..] {
                [stream, "data", bytes, last] => {
                    data += bytes.parse::<u32>().unwrap();
                    if last == "true" {
                        out.push(format!("{stream} data {} true", std::mem::take(&mut data)));
                    }
                }
                [_, "block", bytes, first, last] => {
                    block = (block.0 + bytes, block.1 || first == "true");
                    if last == "true" {
                        out.push(format!("block {} {}", block.0, block.1));
                        block = Default::default();
                    }
                }
                _ => out.push(event),
            }
        }
        out
    }

    #[test]
    fn every_split_reads_alike() {
        let bytes = connection();
        let (mut reader, mut found) = (Reader::client(0), Vec::new());
        assert!(told(&mut reader, &bytes, &mut found));
        assert_eq!(found, WHOLE);
        let whole = joined(found);
        for step in 1..bytes.len() {
            let (mut reader, mut found) = (Reader::client(0), Vec::new());
            assert!(bytes.chunks(step).all(|part| told(&mut reader, part, &mut found)));
            assert_eq!(joined(found), whole, "by {step}");
        }
    }

    #[test]
    fn missing_bytes() {
        use Missing::{Block, Data, Inside, Lost};
        let [settings, block, data] = [
            frame(frame::SETTINGS, 0, 0, &[0; 12]),
            frame(frame::HEADERS, 4, 1, b"abcdef"),
            frame(frame::DATA, 8, 1, b"\x03bodyxxx"),
        ];
        for (what, frame, seen, length, expected) in [
            ("in settings", &settings, 11, 7, Inside),
            ("all settings", &settings, 9, 12, Inside),
            ("settings and more", &settings, 9, 13, Lost),
            ("in a head", &settings, 8, 1, Lost),
            ("before a head", &settings, 0, 1, Lost),
            ("after a frame", &settings, 21, 1, Lost),
            ("in a block", &block, 10, 2, Block { first: false, last: true }),
            ("the beginning of a block", &block, 9, 2, Block { first: true, last: true }),
            ("all of a block", &block, 9, 6, Block { first: true, last: true }),
            ("a block and more", &block, 9, 7, Lost),
            ("the length of the padding", &data, 9, 1, Lost),
            ("in a body", &data, 11, 2, Data(2, false)),
            ("the end of a body", &data, 11, 3, Data(3, true)),
            ("into the padding", &data, 11, 5, Data(3, true)),
            ("to the end of the padding", &data, 11, 6, Data(3, true)),
            ("beyond the padding", &data, 11, 7, Lost),
            ("in the padding", &data, 15, 1, Inside),
        ] {
            let (mut reader, mut found) = (Reader::late(), Vec::new());
            reader.resume();
            assert!(told(&mut reader, &frame[..seen], &mut found));
            assert_eq!(reader.missing(length), expected, "{what}");
            if expected != Lost {
                // The next frame is found behind it.
                found.clear();
                assert!(told(&mut reader, &frame[seen + length as usize..], &mut found), "{what}");
                found.clear();
                assert!(told(&mut reader, &block, &mut found), "{what}");
                assert_eq!(found, ["1 block abcdef true true"], "{what}");
            }
        }
    }

    #[test]
    fn what_is_no_http2() {
        for (what, bytes) in [
            ("a preface that is none", b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n".to_vec()),
            ("no settings", [PREFACE.to_vec(), frame(1, 4, 1, b"a")].concat()),
            ("continuation of nothing", [greeting(), frame(9, 4, 1, b"a")].concat()),
            (
                "another frame inside a block",
                [greeting(), frame(1, 0, 1, b"a"), frame(0, 0, 1, b"a")].concat(),
            ),
            (
                "another stream inside a block",
                [greeting(), frame(1, 0, 1, b"a"), frame(9, 0, 3, b"a")].concat(),
            ),
            ("more padding than payload", [greeting(), frame(0, 8, 1, b"\x02a")].concat()),
        ] {
            for step in [1, 7, usize::MAX] {
                let (mut reader, mut found) = (Reader::client(0), Vec::new());
                let good =
                    bytes.chunks(step.min(bytes.len())).all(|p| told(&mut reader, p, &mut found));
                assert!(!good && found.last().is_some_and(|last| last == "malformed"), "{what}");
            }
        }
    }
}
