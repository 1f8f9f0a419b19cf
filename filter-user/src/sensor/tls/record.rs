//! One direction of a TLS connection, taken apart into records (RFC 8446, 5.1).
//!
//! Fed with any split of the bytes, and told of the stretches that are missing. A gap inside a
//! record is skipped by arithmetic; one that hides a header makes it wait for a segment that begins
//! with one.

use super::Piece;

/// Content type: change_cipher_spec.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
/// Content type: alert.
pub(super) const ALERT: u8 = 21;
/// Content type: handshake.
pub(super) const HANDSHAKE: u8 = 22;
/// Content type: application_data.
pub(super) const APPLICATION_DATA: u8 = 23;
/// Content type: heartbeat (RFC 6520).
const HEARTBEAT: u8 = 24;
/// No content type: bytes of which nobody knows what records they are of.
pub(super) const UNFRAMED: u8 = 0;

/// Bytes of a record's header.
pub(super) const HEADER: usize = 5;
/// Longest payload: 2^14 bytes and what ciphers of TLS 1.2 may add (RFC 5246, 6.2.3).
const MAX_PAYLOAD: u16 = (1 << 14) + 2048;

/// Where and when a record begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin {
    pub(super) time: u64,
    /// TCP sequence number.
    pub(super) seq: u32,
}

/// A part of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// The content type, or [`UNFRAMED`].
    pub(super) kind: u8,
    /// Bytes of the whole record's payload.
    pub(super) length: u16,
    /// The payload in this part.
    pub(super) bytes: &'a [u8],
    /// The record begins with it.
    pub(super) first: bool,
    /// Where the record begins.
    pub(super) origin: Origin,
}

/// What a missing stretch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// The content type of the record it begins in; [`UNFRAMED`] outside of any.
    pub(super) kind: u8,
    /// How many of its bytes are surely of that record.
    pub(super) inside: u32,
    /// It hides a header, or all that follows might be one.
    pub(super) lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a header, so many bytes of which are there.
    Header(u8),
    /// In a record, with so many bytes of its payload to come.
    Body(u16),
    /// In a hello in the format of SSL 2 (RFC 5246, E.2), with so many bytes to come.
    OldHello(u16),
    /// Somewhere: a header at a segment's start is waited for.
    Seek,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Records {
    state: State,
    header: [u8; HEADER],
    origin: Origin,
}

impl Records {
    /// Entered at its first byte, or (not `whole`) somewhere.
    pub(super) fn new(whole: bool) -> Self {
        let state = if whole { State::Header(0) } else { State::Seek };
        Self { state, header: [0; HEADER], origin: Origin::default() }
    }

    /// Takes the stream to begin with an old hello of which so many bytes follow its length.
    pub(super) fn expect_old_hello(&mut self, length: u16) {
        self.state = State::OldHello(length + 2);
    }

    /// Reads on in a piece, from `at` on. `Ok(None)` when it is used up.
    ///
    /// # Errors
    /// When what stands where a header ought to is none; the rest of the piece is passed over, and
    /// a segment that begins with a header is waited for.
    pub(super) fn next<'a>(
        &mut self,
        piece: &Piece<'a>,
        at: &mut usize,
    ) -> Result<Option<Part<'a>>, NoRecord> {
        loop {
            let rest = piece.data.get(*at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            match self.state {
                State::Header(have) => {
                    if have == 0 {
                        let seq = piece.seq.wrapping_add(*at as u32);
                        self.origin = Origin { time: piece.time, seq };
                    }
                    let have = usize::from(have);
                    let more = rest.len().min(HEADER - have);
                    self.header[have..have + more].copy_from_slice(&rest[..more]);
                    *at += more;
                    if have + more < HEADER {
                        if !can_begin(&self.header[..have + more]) {
                            return Err(self.no_record(piece, at));
                        }
                        self.state = State::Header((have + more) as u8);
                        return Ok(None);
                    }
                    let Some(length) = payload(&self.header) else {
                        return Err(self.no_record(piece, at));
                    };
                    let bytes = &rest[more..];
                    let taken = bytes.len().min(usize::from(length));
                    *at += taken;
                    self.advance(length, taken);
                    return Ok(Some(self.part(length, &bytes[..taken], true)));
                }
                State::Body(left) => {
                    let taken = rest.len().min(usize::from(left));
                    *at += taken;
                    self.advance(left, taken);
                    let length = u16::from_be_bytes([self.header[3], self.header[4]]);
                    return Ok(Some(self.part(length, &rest[..taken], false)));
                }
                State::OldHello(left) => {
                    let taken = rest.len().min(usize::from(left));
                    *at += taken;
                    self.state = match left - taken as u16 {
                        0 => State::Header(0),
                        left => State::OldHello(left),
                    };
                }
                State::Seek if *at == 0 && begins_record(piece.data) => {
                    self.state = State::Header(0);
                }
                State::Seek => {
                    let origin =
                        Origin { time: piece.time, seq: piece.seq.wrapping_add(*at as u32) };
                    *at = piece.data.len();
                    return Ok(Some(Part {
                        kind: UNFRAMED,
                        length: 0,
                        bytes: rest,
                        first: false,
                        origin,
                    }));
                }
            }
        }
    }

    fn part<'a>(&self, length: u16, bytes: &'a [u8], first: bool) -> Part<'a> {
        Part { kind: self.header[0], length, bytes, first, origin: self.origin }
    }

    /// Moves over `taken` of the `left` bytes of a record.
    fn advance(&mut self, left: u16, taken: usize) {
        self.state = match left - taken as u16 {
            0 => State::Header(0),
            left => State::Body(left),
        };
    }

    fn no_record(&mut self, piece: &Piece<'_>, at: &mut usize) -> NoRecord {
        self.state = State::Seek;
        *at = piece.data.len();
        NoRecord
    }

    /// `length` bytes are missing here.
    pub(super) fn missing(&mut self, length: u32) -> Missing {
        match self.state {
            State::Body(left) if length <= u32::from(left) => {
                self.advance(left, length as usize);
                Missing { kind: self.header[0], inside: length, lost: false }
            }
            State::Body(left) => {
                self.state = State::Seek;
                Missing { kind: self.header[0], inside: u32::from(left), lost: true }
            }
            State::OldHello(left) if length <= u32::from(left) => {
                self.state = match left - length as u16 {
                    0 => State::Header(0),
                    left => State::OldHello(left),
                };
                Missing { kind: HANDSHAKE, inside: 0, lost: false }
            }
            State::Header(_) | State::OldHello(_) | State::Seek => {
                self.state = State::Seek;
                Missing { kind: UNFRAMED, inside: 0, lost: true }
            }
        }
    }
}

/// There is no record where one ought to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRecord;

/// The length of the payload behind a header; `None` when it is no header.
fn payload(header: &[u8; HEADER]) -> Option<u16> {
    let [kind, major, minor, high, low] = *header;
    let length = u16::from_be_bytes([high, low]);
    let known = matches!(kind, CHANGE_CIPHER_SPEC..=HEARTBEAT) && major == 3 && minor <= 4;
    (known && length <= MAX_PAYLOAD).then_some(length)
}

/// Whether bytes can be the first of a record.
pub(super) fn can_begin(bytes: &[u8]) -> bool {
    let mut header = [HANDSHAKE, 3, 0, 0, 0];
    let seen = bytes.len().min(HEADER);
    header[..seen].copy_from_slice(&bytes[..seen]);
    // Half a length says nothing yet, but for one that is too long in any case.
    payload(&header).is_some()
}

/// Whether a segment somewhere in a connection begins with a record: a header, and another one
/// behind that record's payload as far as the segment goes.
pub(super) fn begins_record(segment: &[u8]) -> bool {
    let Some(header) = segment.first_chunk() else { return false };
    let Some(length) = payload(header).filter(|&length| length != 0) else { return false };
    let behind = segment.get(HEADER + usize::from(length)..).unwrap_or_default();
    can_begin(behind)
}
