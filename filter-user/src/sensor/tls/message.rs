//! Handshake messages out of the stream that handshake records, or CRYPTO frames, carry
//! (RFC 8446, 4 and 5.1): put together over records, and several out of one.

use std::borrow::Cow;

/// Message: ClientHello.
pub(crate) const CLIENT_HELLO: u8 = 1;
/// Message: ServerHello.
pub(crate) const SERVER_HELLO: u8 = 2;
/// Message: Certificate.
pub(super) const CERTIFICATE: u8 = 11;

/// Longest hello that is read; a longer one is cut.
pub(super) const MAX_HELLO: u32 = 1 << 16;
/// How much of a Certificate message is kept: the validity of the first lies near its beginning.
const MAX_CERTIFICATE: u32 = 1 << 14;

/// A message that is there.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: u8,
    pub(super) body: Cow<'a, [u8]>,
    /// Nothing of it is missing.
    pub(super) whole: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Messages {
    header: [u8; 4],
    /// How much of the header is there.
    have: u8,
    /// Bytes of the message at hand that are still to come.
    left: u32,
    /// How many of them are wanted.
    wanted: u32,
    kept: Vec<u8>,
    /// Nobody knows where a message begins.
    lost: bool,
}

impl Messages {
    /// Memory behind it.
    pub(super) fn footprint(&self) -> usize {
        self.kept.capacity()
    }

    /// Reads on, and moves `rest` behind what was read. `None` when all of it was.
    pub(super) fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Option<Message<'a>> {
        while !rest.is_empty() && !self.lost {
            if self.have < 4 {
                self.header[usize::from(self.have)] = take(rest, 1)[0];
                self.have += 1;
                if self.have < 4 {
                    continue;
                }
                let [kind, length @ ..] = self.header;
                self.left = u32::from_be_bytes([0, length[0], length[1], length[2]]);
                self.wanted = self.left.min(match kind {
                    CLIENT_HELLO | SERVER_HELLO => MAX_HELLO,
                    CERTIFICATE => MAX_CERTIFICATE,
                    _ => 0,
                });
            } else if self.wanted != 0 {
                let part = take(rest, self.wanted as usize);
                self.left -= part.len() as u32;
                self.wanted -= part.len() as u32;
                if self.wanted != 0 {
                    self.kept.extend_from_slice(part);
                    continue;
                }
                let body = if self.kept.is_empty() {
                    Cow::Borrowed(part)
                } else {
                    self.kept.extend_from_slice(part);
                    Cow::Owned(std::mem::take(&mut self.kept))
                };
                let message = Message { kind: self.header[0], body, whole: self.left == 0 };
                self.end();
                return Some(message);
            } else {
                self.left -= take(rest, self.left as usize).len() as u32;
            }
            self.end();
        }
        None
    }

    /// The message at hand has ended, if it has.
    fn end(&mut self) {
        if self.left == 0 {
            self.have = 0;
        }
    }

    /// `length` bytes are missing here. What is there of a message that is wanted comes out.
    pub(super) fn missing(&mut self, length: u32) -> Option<Message<'static>> {
        if length == 0 || self.lost {
            return None;
        }
        let cut = (self.have == 4 && self.wanted != 0).then(|| Message {
            kind: self.header[0],
            body: Cow::Owned(std::mem::take(&mut self.kept)),
            whole: false,
        });
        if self.have == 4 && length <= self.left {
            self.left -= length;
            self.wanted = 0;
            self.end();
        } else {
            self.lose();
        }
        cut
    }

    /// Reads nothing any more, and keeps nothing.
    pub(super) fn lose(&mut self) {
        *self = Self { lost: true, ..Self::default() };
    }
}

/// Cuts off at most `length` bytes.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, after) = rest.split_at(length.min(rest.len()));
    *rest = after;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32).to_be_bytes();
        [&[kind, length[1], length[2], length[3]], body].concat()
    }

    fn read(messages: &mut Messages, bytes: &[u8]) -> Vec<(u8, Vec<u8>, bool)> {
        let mut rest = bytes;
        let mut out = Vec::new();
        while let Some(message) = messages.next(&mut rest) {
            out.push((message.kind, message.body.into_owned(), message.whole));
        }
        out
    }

    #[test]
    fn however_it_is_cut() {
        let stream = [
            message(CLIENT_HELLO, b"abcdef"),
            message(99, &[7; 40]),
            message(0, b""),
            message(SERVER_HELLO, b"xyz"),
            message(CERTIFICATE, &[5; 20_000]),
            message(SERVER_HELLO, b"end"),
        ]
        .concat();
        let expected = [
            (CLIENT_HELLO, b"abcdef".to_vec(), true),
            (SERVER_HELLO, b"xyz".to_vec(), true),
            (CERTIFICATE, vec![5; MAX_CERTIFICATE as usize], false),
            (SERVER_HELLO, b"end".to_vec(), true),
        ];
        for size in (1..40).chain([16_384, usize::MAX]) {
            let mut messages = Messages::default();
            let mut seen = Vec::new();
            for part in stream.chunks(size.min(stream.len())) {
                seen.extend(read(&mut messages, part));
            }
            assert_eq!(seen, expected, "{size}");
            assert_eq!(messages.footprint(), 0);
        }
    }

    #[test]
    fn what_is_missing() {
        let mut messages = Messages::default();
        assert!(read(&mut messages, &message(99, &[7; 40])[..20]).is_empty());
        assert!(messages.missing(24).is_none());
        let hello = message(CLIENT_HELLO, b"abcdef");
        assert!(read(&mut messages, &hello[..6]).is_empty());
        let cut = messages.missing(2).unwrap();
        assert_eq!((cut.kind, &*cut.body, cut.whole), (CLIENT_HELLO, &b"ab"[..], false));
        // The rest of it says nothing, what follows does.
        assert!(read(&mut messages, &hello[8..]).is_empty());
        assert_eq!(read(&mut messages, &hello).len(), 1);
        assert!(messages.missing(1).is_none(), "in a header: all is lost");
        assert!(read(&mut messages, &hello).is_empty());
    }
}
