//! The PROXY protocol, versions 1 and 2: the line or header that a proxy puts before a connection to
//! say who its client is (HAProxy's proxy-protocol.txt, 2.1 and 2.2).
//!
//! Anyone can send one. What is read here is a claim; whether the peer may make it is for those to
//! decide who know the policy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Begins version 1.
const V1: &[u8] = b"PROXY ";
/// Begins version 2.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, its end included.
const MAX_LINE: usize = 107;
/// What is kept of a header of version 2: its fixed part and two IPv6 addresses. What follows (ports,
/// extensions) is passed over.
const FIXED: usize = 16;
const KEPT: usize = FIXED + 32;

/// What came of reading on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It goes on in the next segment.
    More,
    /// It ended after so many bytes of this one. The client is `None` when the proxy speaks for
    /// itself, or says that it does not know.
    Done { used: usize, client: Option<IpAddr> },
    /// This is none.
    Foreign,
}

/// Whether the first bytes of a connection can begin one.
pub(super) fn can_begin(bytes: &[u8]) -> bool {
    [V1, V2].iter().any(|signature| {
        let length = signature.len().min(bytes.len());
        length != 0 && bytes[..length] == signature[..length]
    })
}

/// A header that is being read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// What there is of it, the first [`MAX_LINE`] bytes at most.
    held: Vec<u8>,
    /// Bytes read of it.
    read: usize,
}

impl Reader {
    /// What was held back, if it turns out to be something else.
    pub(super) fn into_held(self) -> Vec<u8> {
        self.held
    }

    /// Memory it holds.
    pub(super) fn footprint(&self) -> usize {
        self.held.capacity()
    }

    /// Reads on.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Progress {
        let before = self.read;
        let room = MAX_LINE.saturating_sub(self.held.len());
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.read += bytes.len();
        let (length, client) = if self.held.starts_with(V1) {
            match self.held.iter().position(|&byte| byte == b'\n') {
                Some(end) => match line(&self.held[..end]) {
                    Some(client) => (end + 1, client),
                    None => return Progress::Foreign,
                },
                None if self.held.len() >= MAX_LINE => return Progress::Foreign,
                None => return Progress::More,
            }
        } else if self.held.starts_with(V2) {
            let Some(&[first, second, ref length @ ..]) = self.held.get(12..FIXED) else {
                return Progress::More;
            };
            let length = FIXED + length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            if first >> 4 != 2 || first & 15 > 1 {
                return Progress::Foreign;
            }
            if self.read < length {
                return Progress::More;
            }
            let address = &self.held[FIXED..length.min(KEPT).min(self.held.len())];
            // A LOCAL command, another family and too short an address say nothing of a client.
            let client = if first & 15 == 1 { binary(second >> 4, address) } else { None };
            (length, client)
        } else if can_begin(&self.held) {
            return Progress::More;
        } else {
            return Progress::Foreign;
        };
        // The part before was not enough, so that the end lies in this one.
        Progress::Done { used: length.saturating_sub(before), client }
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 40000 443`, without its end; `None` when it is none.
fn line(line: &[u8]) -> Option<Option<IpAddr>> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r")?).ok()?;
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let [source, _destination, _source_port, _destination_port] =
        [words.next()?, words.next()?, words.next()?, words.next()?];
    match family {
        "TCP4" => Some(Some(source.parse::<Ipv4Addr>().ok()?.into())),
        "TCP6" => Some(Some(source.parse::<Ipv6Addr>().ok()?.into())),
        _ => None,
    }
}

/// The source address of a header of version 2.
fn binary(family: u8, address: &[u8]) -> Option<IpAddr> {
    match family {
        1 => Some(<[u8; 4]>::try_from(address.get(..4)?).ok()?.into()),
        2 => Some(<[u8; 16]>::try_from(address.get(..16)?).ok()?.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, address: &[u8], more: usize) -> Vec<u8> {
        let mut header = V2.to_vec();
        header.extend([0x20 | command, family]);
        header.extend(((address.len() + more) as u16).to_be_bytes());
        header.extend_from_slice(address);
        header.resize(header.len() + more, 7);
        header
    }

    /// Reads a header, with `GET` behind it, in parts of `most`.
    fn read(header: &[u8], most: usize) -> Option<(usize, Option<IpAddr>)> {
        let whole = [header, b"GET"].concat();
        let (mut reader, mut at) = (Reader::default(), 0);
        for part in whole.chunks(most) {
            match reader.feed(part) {
                Progress::More => at += part.len(),
                Progress::Done { used, client } => return Some((at + used, client)),
                Progress::Foreign => return None,
            }
        }
        None
    }

    #[test]
    fn headers_in_parts_of_every_size() {
        let v4 = [192, 0, 2, 9, 198, 51, 100, 1, 0x9c, 0x40, 1, 0xbb];
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&"2001:db8::9".parse::<Ipv6Addr>().unwrap().octets());
        let rows: [(&str, Vec<u8>, Option<&str>); 9] = [
            ("v1", b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 443\r\n".to_vec(), Some("192.0.2.9")),
            ("v1 IPv6", b"PROXY TCP6 2001:db8::9 ::1 40000 443\r\n".to_vec(), Some("2001:db8::9")),
            ("v1 unknown", b"PROXY UNKNOWN\r\n".to_vec(), None),
            ("v1 unknown, more", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            ("v2", v2(1, 0x11, &v4, 0), Some("192.0.2.9")),
            ("v2 IPv6", v2(1, 0x21, &v6, 0), Some("2001:db8::9")),
            ("v2 with extensions", v2(1, 0x11, &v4, 300), Some("192.0.2.9")),
            ("v2 local", v2(0, 0x11, &v4, 0), None),
            ("v2 unix", v2(1, 0x31, &[0; 216], 0), None),
        ];
        for (what, header, expected) in rows {
            for most in 1..=header.len() + 3 {
                let found = read(&header, most);
                let expected = expected.map(|text| text.parse().unwrap());
                assert_eq!(found, Some((header.len(), expected)), "{what}, parts of {most}");
            }
            assert!(can_begin(&header) && can_begin(&header[..1]));
        }
    }

    #[test]
    fn what_is_none() {
        for header in [
            &b"PUT / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 nobody 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.9\r\n",
            b"PROXY SCTP 192.0.2.9 192.0.2.8 1 2\r\n",
            b"PROXY TCP4 192.0.2.9 192.0.2.8 1 2\n",
            b"PROXY TCP4 2001:db8::9 ::1 1 2\r\n",
            &[b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
            b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0",
            b"\r\n\r\n\0\r\nQUIT\n\x22\x11\0\0",
            b"\r\n\r\nGET / HTTP/1.1",
        ] {
            for most in [1, 5, 500] {
                assert_eq!(read(header, most), None, "{:?}", String::from_utf8_lossy(header));
            }
        }
        assert!(!can_begin(b"") && !can_begin(b"GET") && !can_begin(b"POST"));
    }
}
