//! Lines of a spool file: a checksum, what it says, a newline. A payload has no newline.
//!
//! `CRC + ID k TAG PAYLOAD` an event (`k`: it is not to be lost, `o`: others go first);
//! `CRC - ID` all up to ID are done; `CRC x ID` this one is.

use super::Class;

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// An event.
    Event { id: u64, class: Class, tag: &'a str, payload: &'a str },
    /// All up to this one are done.
    Done(u64),
    /// This one is.
    Gone(u64),
}

impl<'a> Line<'a> {
    /// The line with its newline.
    pub(super) fn write(self) -> Vec<u8> {
        let text = match self {
            Self::Event { id, class, tag, payload } => {
                format!("+ {id} {} {tag} {payload}", class.letter())
            }
            Self::Done(id) => format!("- {id}"),
            Self::Gone(id) => format!("x {id}"),
        };
        format!("{:08x} {text}\n", crc32(text.as_bytes())).into_bytes()
    }

    /// Reads a line without its newline; `None` when it is not one.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (crc, text) = text.split_once(' ')?;
        if crc.len() != 8 || u32::from_str_radix(crc, 16).ok()? != crc32(text.as_bytes()) {
            return None;
        }
        let (what, rest) = text.split_once(' ')?;
        match what {
            "+" => {
                let mut parts = rest.splitn(4, ' ');
                let id = parts.next()?.parse().ok()?;
                let class = Class::of_letter(parts.next()?)?;
                Some(Self::Event { id, class, tag: parts.next()?, payload: parts.next()? })
            }
            "-" => rest.parse().ok().map(Self::Done),
            "x" => rest.parse().ok().map(Self::Gone),
            _ => None,
        }
    }
}

/// CRC-32 as in IEEE 802.3: reflected, polynomial 0x04c11db7.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(!0, |crc, byte| TABLE[usize::from((crc as u8) ^ byte)] ^ (crc >> 8))
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = at as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926, "the check value of the algorithm");
        let payload = "{\"a b\":\"ü\"}";
        for line in [
            Line::Event { id: 7, class: Class::Kept, tag: "webhook.json", payload },
            Line::Event { id: u64::MAX, class: Class::Other, tag: "t", payload: "" },
            Line::Done(3),
            Line::Gone(0),
        ] {
            let written = line.write();
            let (newline, text) = written.split_last().expect("a line");
            assert_eq!((*newline, Line::read(text)), (b'\n', Some(line)));
            for at in 0..text.len() {
                let mut changed = text.to_vec();
                changed[at] ^= 1;
                // Of the checksum's own digits, one letter's case is no change of its value.
                assert_ne!(Line::read(&changed), Some(line), "byte {at}");
                assert_eq!(Line::read(&text[..at]), None, "cut at {at}");
            }
        }
        for bad in ["", "x", "00000000 + 1 k t", "zzzzzzzz - 1", "\u{fffd}"] {
            assert_eq!(Line::read(bad.as_bytes()), None, "{bad}");
        }
    }
}
