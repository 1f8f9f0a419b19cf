//! An encoder of header blocks (RFC 7541) that chooses at random between all ways to say a field.

use super::wire::Random;
use crate::sensor::http2::huffman;

/// Names with their values of the static table, as far as the tests use them: index, name, value.
const STATIC: [(u32, &str, &str); 14] = [
    (1, ":authority", ""),
    (2, ":method", "GET"),
    (3, ":method", "POST"),
    (4, ":path", "/"),
    (6, ":scheme", "http"),
    (8, ":status", "200"),
    (9, ":status", "204"),
    (13, ":status", "404"),
    (19, "accept", ""),
    (23, "authorization", ""),
    (28, "content-length", ""),
    (31, "content-type", ""),
    (54, "server", ""),
    (58, "user-agent", ""),
];

/// Fields, as names with their values.
pub(super) type Fields<'a> = &'a [(&'a str, &'a str)];

fn integer(out: &mut Vec<u8>, first: u8, bits: u8, value: u32) {
    let prefix = (1 << bits) - 1;
    if value < prefix {
        return out.push(first | value as u8);
    }
    out.push(first | prefix as u8);
    let mut rest = value - prefix;
    while rest >= 128 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn string(out: &mut Vec<u8>, text: &str, coded: bool) {
    if coded {
        let coded = huffman(text.as_bytes());
        integer(out, 0x80, 7, coded.len() as u32);
        out.extend(coded);
    } else {
        integer(out, 0, 7, text.len() as u32);
        out.extend_from_slice(text.as_bytes());
    }
}

/// A block that leaves the table alone.
pub(super) fn plain(fields: Fields<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        string(&mut out, name, false);
        string(&mut out, value, false);
    }
    out
}

/// See the module.
pub(super) struct Encoder {
    /// The newest first.
    table: Vec<(String, String)>,
    max: usize,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { table: Vec::new(), max: 4096 }
    }

    fn evict(&mut self) {
        let size = |table: &[(String, String)]| -> usize {
            table.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
        };
        while size(&self.table) > self.max {
            self.table.pop();
        }
    }

    fn find(&self, which: impl Fn(&str, &str) -> bool) -> Option<u32> {
        let fixed = STATIC.iter().find(|(_, name, value)| which(name, value)).map(|row| row.0);
        let dynamic = self.table.iter().position(|(name, value)| which(name, value));
        fixed.or(dynamic.map(|place| place as u32 + 62))
    }

    pub(super) fn block(&mut self, random: &mut Random, fields: Fields<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        if random.one_in(20) {
            self.max = [0, 60, 200, 4096][random.below(4)];
            self.evict();
            integer(&mut out, 0x20, 5, self.max as u32);
        }
        for &(name, value) in fields {
            let coded = random.one_in(2);
            if let Some(index) = self.find(|a, b| (a, b) == (name, value))
                && !random.one_in(4)
            {
                integer(&mut out, 0x80, 7, index);
                continue;
            }
            let (first, bits) = [(0x40, 6), (0x40, 6), (0x00, 4), (0x10, 4)][random.below(4)];
            match self.find(|there, _| there == name) {
                Some(index) if !random.one_in(4) => integer(&mut out, first, bits, index),
                _ => {
                    out.push(first);
                    string(&mut out, name, coded);
                }
            }
            string(&mut out, value, random.one_in(2));
            if first == 0x40 {
                self.table.insert(0, (name.to_owned(), value.to_owned()));
                self.evict();
            }
        }
        out
    }
}
