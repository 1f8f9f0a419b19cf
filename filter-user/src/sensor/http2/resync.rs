//! Where frames begin in a stream that is entered in its middle, or of which a part was lost.
//!
//! A frame's head alone is little evidence: bodies are anyone's. What counts is a chain of heads,
//! each where the one before says that the next begins, that speaks of streams which are followed,
//! or a header block that reads to its very end and begins as one of this side does.

use super::frame::{self, HEAD, Head};
use super::hpack;

/// Frames of a chain that are looked at.
const CHAIN: usize = 8;
/// Bytes that are looked at for each byte of a segment: bodies can be written so that chains seem to
/// begin everywhere.
const EFFORT: usize = 16;

/// Who sends, and what is known of the connection.
pub(super) struct Expected<'a> {
    /// The bytes are the client's.
    pub(super) from_client: bool,
    /// Largest payload.
    pub(super) max: u32,
    /// Whether a stream is followed.
    pub(super) followed: &'a dyn Fn(u32) -> bool,
}

/// What a chain of frames is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    /// None.
    No,
    /// One, for all that can be seen.
    Perhaps {
        frames: usize,
        /// Those of streams that are followed.
        followed: usize,
        /// It ends with the segment.
        exact: bool,
    },
    /// One, with a head of a request or a response.
    Yes,
}

/// Where in a segment a frame begins.
pub(super) fn find(segment: &[u8], expected: &Expected<'_>) -> Option<usize> {
    let (mut at, mut effort) = (0, segment.len() * EFFORT);
    loop {
        match chain(segment.get(at..)?, expected, &mut effort) {
            Chain::Yes => return Some(at),
            // Servers and clients begin segments with frames, and end them with them.
            Chain::Perhaps { frames, followed, exact } => {
                let begins = at == 0 && (frames > 1 || followed != 0 || exact);
                if begins || followed > 1 {
                    return Some(at);
                }
            }
            Chain::No => {}
        }
        if effort == 0 {
            return None;
        }
        // Nearly all frames are shorter than 64 KiB: their first byte is zero.
        at += 1 + memchr::memchr(0, segment.get(at + 1..)?)?;
    }
}

/// Whether a segment begins with frames one of which holds the head of a request (true) or of a
/// response (false).
pub(super) fn speaker(segment: &[u8]) -> Option<bool> {
    let max = frame::LARGEST;
    [true, false].into_iter().find(|&from_client| {
        let expected = Expected { from_client, max, followed: &|_| false };
        chain(segment, &expected, &mut (segment.len() * EFFORT)) == Chain::Yes
    })
}

fn chain(mut bytes: &[u8], expected: &Expected<'_>, effort: &mut usize) -> Chain {
    let (mut frames, mut followed) = (0, 0);
    while frames < CHAIN {
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { break };
        let head = Head::read(head);
        let blocks = if head.is_block() { head.length as usize } else { 0 };
        *effort = effort.saturating_sub(HEAD + blocks);
        if *effort == 0 || !head.is_plain(expected.max) {
            return Chain::No;
        }
        let payload = rest.get(..head.length as usize);
        match head.kind {
            frame::HEADERS => match payload.map(|payload| block(head, payload, expected)) {
                Some(Some(true)) => return Chain::Yes,
                Some(Some(false)) => followed += usize::from((expected.followed)(head.stream)),
                Some(None) => return Chain::No,
                None => {}
            },
            frame::PUSH_PROMISE | frame::CONTINUATION => return Chain::No,
            _ => followed += usize::from((expected.followed)(head.stream)),
        }
        frames += 1;
        match rest.get(head.length as usize..) {
            Some(next) => bytes = next,
            None => return Chain::Perhaps { frames, followed, exact: false },
        }
    }
    // What is left is the beginning of a head, or nothing.
    match frames {
        0 => Chain::No,
        _ => Chain::Perhaps { frames, followed, exact: bytes.is_empty() },
    }
}

/// Whether a HEADERS frame holds the head of a request or response of this side (true) or perhaps
/// trailers (false); `None` when it is none.
fn block(head: Head, payload: &[u8], expected: &Expected<'_>) -> Option<bool> {
    let padding = if head.has(frame::PADDED) { usize::from(*payload.first()?) } else { 0 };
    let end = payload.len().checked_sub(padding)?;
    let content = payload.get(head.prefix() as usize..end)?;
    if head.stream.is_multiple_of(2) || !head.has(frame::END_HEADERS) {
        return Some(false);
    }
    let shape = hpack::shape(content)?;
    let (own, other) = match expected.from_client {
        true => (shape.request, shape.status),
        false => (shape.status, shape.request),
    };
    match (own, other) {
        (true, false) => Some(true),
        (false, false) if head.has(frame::END_STREAM) || (expected.followed)(head.stream) => {
            Some(false)
        }
        _ => None,
    }
}
