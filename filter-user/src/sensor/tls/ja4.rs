//! JA4, the fingerprint of a ClientHello: FoxIO's JA4 for TLS clients, which is BSD-licensed (the
//! other members of the family are not, and are not made here).
//!
//! Made anew from its description. Where that and the reference program disagree (a first
//! protocol name that is not ASCII), it is the program's answer, because fingerprints are there to be
//! compared with others'.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::hello::{ALPN, SERVER_NAME};

/// What carries the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// TLS over TCP.
    Tcp,
    /// QUIC.
    Quic,
}

/// What a fingerprint is made of. GREASE values (RFC 8701) may still be there.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) carrier: Carrier,
    /// The highest version offered.
    pub(super) version: u16,
    /// Cipher suites in the client's order.
    pub(super) ciphers: &'a mut Vec<u16>,
    /// Types of the extensions in the client's order.
    pub(super) extensions: &'a mut Vec<u16>,
    /// The first protocol name.
    pub(super) alpn: Option<&'a [u8]>,
    /// Signature algorithms in the client's order.
    pub(super) signatures: &'a [u16],
}

/// Whether a value is there to keep servers from choking on unknown ones (RFC 8701, 2).
pub(super) fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// The fingerprint. Ciphers and extensions are sorted on the way.
pub(super) fn fingerprint(parts: &mut Parts<'_>) -> String {
    parts.ciphers.retain(|&value| !is_grease(value));
    parts.extensions.retain(|&value| !is_grease(value));
    let named = parts.extensions.contains(&SERVER_NAME);
    let (ciphers, extensions) = (parts.ciphers.len().min(99), parts.extensions.len().min(99));
    let [first, last] = protocol(parts.alpn);
    let mut out = String::with_capacity(36);
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "{}{}{}{ciphers:02}{extensions:02}{first}{last}_",
        match parts.carrier {
            Carrier::Tcp => 't',
            Carrier::Quic => 'q',
        },
        version(parts.version),
        if named { 'd' } else { 'i' },
    );
    parts.ciphers.sort_unstable();
    parts.extensions.retain(|&value| value != SERVER_NAME && value != ALPN);
    parts.extensions.sort_unstable();
    let mut list = String::with_capacity(256);
    append(&mut list, parts.ciphers.iter().copied());
    digest(&mut out, &list);
    out.push('_');
    list.clear();
    append(&mut list, parts.extensions.iter().copied());
    let mut signatures = parts.signatures.iter().copied().filter(|&value| !is_grease(value));
    if let Some(first) = signatures.next() {
        list.push('_');
        append(&mut list, std::iter::once(first).chain(signatures));
    }
    digest(&mut out, &list);
    out
}

fn version(number: u16) -> &'static str {
    match number {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// The first and the last character of the first protocol name.
fn protocol(name: Option<&[u8]>) -> [char; 2] {
    let Some([first, .., last] | [first @ last]) = name else { return ['0', '0'] };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric();
    if plain(first) && plain(last) {
        return [char::from(*first), char::from(*last)];
    }
    if first.is_ascii() && last.is_ascii() {
        let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble & 15)]);
        return [digit(first >> 4), digit(*last)];
    }
    [first, last].map(|byte| if plain(byte) { char::from(*byte) } else { '9' })
}

/// Numbers of four digits, with commas between them.
fn append(out: &mut String, numbers: impl Iterator<Item = u16>) {
    for (at, number) in numbers.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(out, "{comma}{number:04x}");
    }
}

/// The first 12 digits of the hash of a list; zeros for one that is empty.
fn digest(out: &mut String, list: &str) {
    if list.is_empty() {
        out.push_str("000000000000");
        return;
    }
    for byte in &Sha256::digest(list.as_bytes())[..6] {
        let _ = write!(out, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chrome's lists, with GREASE, as the description of JA4 gives them.
    const CIPHERS: [u16; 16] = [
        0xaaaa, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
        0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
    ];
    const EXTENSIONS: [u16; 18] = [
        0x1a1a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023,
        0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015, 0xfafa,
    ];
    const SIGNATURES: [u16; 8] = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];

    fn of(
        carrier: Carrier,
        version: u16,
        ciphers: &[u16],
        extensions: &[u16],
        alpn: Option<&[u8]>,
        signatures: &[u16],
    ) -> String {
        fingerprint(&mut Parts {
            carrier,
            version,
            ciphers: &mut ciphers.to_vec(),
            extensions: &mut extensions.to_vec(),
            alpn,
            signatures,
        })
    }

    #[test]
    fn as_described() {
        let tcp = Carrier::Tcp;
        let h2 = Some(&b"h2"[..]);
        assert_eq!(
            of(tcp, 0x0304, &CIPHERS, &EXTENSIONS, h2, &SIGNATURES),
            "t13d1516h2_8daaf6152771_e5627efa2ab1"
        );
        assert_eq!(
            of(tcp, 0x0304, &CIPHERS, &EXTENSIONS, h2, &[]),
            "t13d1516h2_8daaf6152771_6d807ffa2a79",
            "no underscore behind the extensions"
        );
        let mut greased = SIGNATURES.to_vec();
        greased.insert(3, 0x2a2a);
        assert_eq!(
            of(Carrier::Quic, 0x0304, &CIPHERS, &EXTENSIONS, h2, &greased),
            "q13d1516h2_8daaf6152771_e5627efa2ab1"
        );
        assert_eq!(of(tcp, 0x0301, &[], &[], None, &[]), "t10i000000_000000000000_000000000000");
        assert_eq!(
            of(tcp, 0x0303, &[0x0a0a], &[SERVER_NAME, ALPN], Some(b"http/1.1"), &[]),
            "t12d0002h1_000000000000_000000000000"
        );
        let many: Vec<u16> = (0x3000..0x3000 + 150).collect();
        assert!(of(tcp, 0x0300, &many, &many, None, &[]).starts_with("ts3i999900_"));
        assert!(of(tcp, 0x7f1c, &many, &many, None, &[]).starts_with("t00i"));
    }

    #[test]
    fn protocol_names() {
        for (name, expected) in [
            (&b""[..], "00"),
            (b"h", "hh"),
            (b"h2", "h2"),
            (b"http/1.1", "h1"),
            (b"\xba\xad", "99"),
            (b"\xba\xadx", "9x"),
            (b"h\xff", "h9"),
            (b"\x0a\x0b", "0b"),
            (b"-x", "28"),
            (b"0_", "3f"),
        ] {
            assert_eq!(String::from_iter(protocol(Some(name))), expected, "{name:?}");
        }
        assert_eq!(protocol(None), ['0', '0']);
    }

    #[test]
    fn grease() {
        let all: Vec<u16> = (0..=u16::MAX).filter(|&value| is_grease(value)).collect();
        assert_eq!(all.len(), 16);
        assert!(all.iter().all(|value| value & 0x0f == 0x0a));
    }
}
