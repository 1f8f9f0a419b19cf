//! The head of a frame (RFC 9113, 4.1 and 6).

/// Bytes of a frame's head.
pub(super) const HEAD: usize = 9;
/// Largest payload before the receiver allows more (RFC 9113, 6.5.2).
pub(super) const DEFAULT_MAX: u32 = 1 << 14;
/// Largest payload that a head can tell.
pub(super) const LARGEST: u32 = (1 << 24) - 1;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Of DATA and HEADERS: nothing of this direction of the stream follows.
pub(super) const END_STREAM: u8 = 0x1;
/// Of SETTINGS and PING.
pub(super) const ACK: u8 = 0x1;
/// Of HEADERS, PUSH_PROMISE and CONTINUATION: the block ends with this frame.
pub(super) const END_HEADERS: u8 = 0x4;
/// Of DATA, HEADERS and PUSH_PROMISE: a byte tells how much padding ends the frame.
pub(super) const PADDED: u8 = 0x8;
/// Of HEADERS: five bytes of priority come first.
pub(super) const PRIORITIZED: u8 = 0x20;

/// What stands before a frame's payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the payload.
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// The stream; 0 for the connection.
    pub(super) stream: u32,
}

impl Head {
    #[inline]
    pub(super) fn read(bytes: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            // The highest bit is reserved, and to be ignored.
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether its payload begins or continues a header block.
    pub(super) fn is_block(&self) -> bool {
        matches!(self.kind, HEADERS | PUSH_PROMISE | CONTINUATION)
    }

    /// Bytes of the payload before its content: length of the padding, priority, promised stream.
    pub(super) fn prefix(&self) -> u32 {
        let padded = u32::from(self.has(PADDED));
        match self.kind {
            DATA => padded,
            HEADERS => padded + if self.has(PRIORITIZED) { 5 } else { 0 },
            PUSH_PROMISE => padded + 4,
            _ => 0,
        }
    }

    /// Whether it is one that a peer would take; frames of unknown types are (RFC 9113, 4.1).
    pub(super) fn is_valid(&self, max: u32) -> bool {
        let length = match self.kind {
            PRIORITY => self.length == 5,
            RST_STREAM | WINDOW_UPDATE => self.length == 4,
            SETTINGS if self.has(ACK) => self.length == 0,
            SETTINGS => self.length.is_multiple_of(6),
            PING => self.length == 8,
            GOAWAY => self.length >= 8,
            _ => self.length >= self.prefix(),
        };
        let stream = match self.kind {
            SETTINGS | PING | GOAWAY => self.stream == 0,
            DATA | HEADERS | PRIORITY | RST_STREAM | PUSH_PROMISE | CONTINUATION => {
                self.stream != 0
            }
            _ => true,
        };
        length && stream && self.length <= max
    }

    /// Whether it is of a known type and has no flags but those of its type: what is expected of a
    /// head that is looked for among other bytes.
    pub(super) fn is_plain(&self, max: u32) -> bool {
        let flags = match self.kind {
            DATA => END_STREAM | PADDED,
            HEADERS => END_STREAM | END_HEADERS | PADDED | PRIORITIZED,
            PUSH_PROMISE => END_HEADERS | PADDED,
            CONTINUATION => END_HEADERS,
            SETTINGS | PING => ACK,
            PRIORITY | RST_STREAM | GOAWAY | WINDOW_UPDATE => 0,
            _ => return false,
        };
        self.flags & !flags == 0 && self.is_valid(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        for (what, bytes, valid, plain) in [
            ("settings", [0, 0, 12, 4, 0, 0, 0, 0, 0], true, true),
            ("settings of a stream", [0, 0, 12, 4, 0, 0, 0, 0, 1], false, false),
            ("settings of seven bytes", [0, 0, 7, 4, 0, 0, 0, 0, 0], false, false),
            ("acknowledged settings", [0, 0, 0, 4, 1, 0, 0, 0, 0], true, true),
            ("acknowledged settings with some", [0, 0, 6, 4, 1, 0, 0, 0, 0], false, false),
            ("data", [0, 0x40, 0, 0, 1, 0, 0, 0, 1], true, true),
            ("data, reserved bit", [0, 0, 5, 0, 1, 0x80, 0, 0, 1], true, true),
            ("too much data", [0, 0x40, 1, 0, 1, 0, 0, 0, 1], false, false),
            ("data of no stream", [0, 0, 5, 0, 0, 0, 0, 0, 0], false, false),
            ("padding without its length", [0, 0, 0, 0, 8, 0, 0, 0, 1], false, false),
            ("headers too short for priority", [0, 0, 4, 1, 0x20, 0, 0, 0, 1], false, false),
            ("headers", [0, 0, 6, 1, 0x2d, 0, 0, 0, 1], true, true),
            ("headers, unknown flag", [0, 0, 6, 1, 0x40, 0, 0, 0, 1], true, false),
            ("reset", [0, 0, 4, 3, 0, 0, 0, 0, 1], true, true),
            ("unknown type", [0, 0, 4, 0x10, 0xff, 0, 0, 0, 0], true, false),
        ] {
            let head = Head::read(&bytes);
            assert_eq!(head.is_valid(DEFAULT_MAX), valid, "{what}");
            assert_eq!(head.is_plain(DEFAULT_MAX), plain, "{what}");
        }
        let head = Head::read(&[1, 2, 3, 0, 9, 0xff, 0xff, 0xff, 0xff]);
        let expected = Head { length: 0x01_02_03, kind: 0, flags: 9, stream: 0x7fff_ffff };
        assert_eq!(head, expected);
    }
}
