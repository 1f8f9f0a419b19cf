//! The lines around chunks (RFC 9112, 7.1).

use super::{Cursor, MAX_HEAD, Parser, Progress, State};

impl Parser {
    /// Reads a chunk's size line (RFC 9112, 7.1); false when it is none.
    pub(super) fn size(&mut self, cursor: &mut Cursor<'_>) -> bool {
        let State::Size { mut value, mut digits, mut extension } = self.state else { return false };
        for &byte in cursor.rest() {
            cursor.at += 1;
            let digit = match byte {
                b'\n' if digits == 0 => return false,
                b'\n' => {
                    self.state = match value {
                        0 => State::Trailer { blank: true, seen: 0 },
                        _ => State::Chunk(value),
                    };
                    return true;
                }
                _ if extension => continue,
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                b';' | b' ' | b'\t' | b'\r' if digits != 0 => {
                    extension = true;
                    continue;
                }
                _ => return false,
            };
            // Sixteen digits fill 64 bits; leading zeros are no reason for more.
            if digits == 16 {
                return false;
            }
            digits += 1;
            value = value << 4 | u64::from(digit);
        }
        self.state = State::Size { value, digits, extension };
        true
    }

    /// Moves over trailer fields to the empty line (RFC 9112, 7.1.2).
    pub(super) fn trailer<'a>(
        &mut self,
        cursor: &mut Cursor<'_>,
        blank: bool,
        seen: u32,
    ) -> Option<Progress<'a>> {
        let rest = cursor.rest();
        let end = memchr::memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        let blank = blank && line.iter().all(|&byte| byte == b'\r');
        let used = line.len() + usize::from(end.is_some());
        cursor.at += used;
        let seen = seen.saturating_add(used as u32);
        if end.is_some() && blank {
            self.state = State::Start;
            return Some(Progress::End);
        }
        self.state = State::Trailer { blank: blank || end.is_some(), seen };
        (seen as usize > MAX_HEAD).then_some(Progress::TooLong)
    }
}
