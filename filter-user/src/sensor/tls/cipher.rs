//! What is known of cipher suites: their names, and how much longer a record is than its content.

mod names;

use self::names::NAMES;

/// The registered name of a cipher suite.
pub(crate) fn name(number: u16) -> Option<&'static str> {
    let at = NAMES.binary_search_by_key(&number, |(known, _)| *known).ok()?;
    Some(NAMES[at].1)
}

/// Bytes of the hash of a cipher suite of TLS 1.3 (RFC 8446, B.4).
pub(super) fn hash_bytes(number: u16) -> u16 {
    match number {
        0x1302 => 48,
        0x1306 => 64,
        _ => 32,
    }
}

/// How many bytes longer a record's payload is than the application data in it, where that is always
/// the same: AEAD ciphers of TLS 1.2 (RFC 5288, 6655, 7905) and TLS 1.3 without padding (RFC 8446,
/// 5.2).
pub(super) fn overhead(number: u16) -> Option<u16> {
    let name = name(number)?;
    match number >> 8 {
        // A tag and the content type.
        0x13 => Some(if number == 0x1305 { 9 } else { 17 }),
        _ if name.contains("_CHACHA20_POLY1305") => Some(16),
        // A nonce of eight bytes besides.
        _ if name.ends_with("_CCM_8") => Some(16),
        _ if name.contains("_GCM_") || name.ends_with("_CCM") => Some(24),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        for (number, expected) in [
            (0x0000, Some("TLS_NULL_WITH_NULL_NULL")),
            (0x002f, Some("TLS_RSA_WITH_AES_128_CBC_SHA")),
            (0x1302, Some("TLS_AES_256_GCM_SHA384")),
            (0xccac, Some("TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256")),
            (0xd005, Some("TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256")),
            (0x0a0a, None),
            (0xffff, None),
        ] {
            assert_eq!(name(number), expected, "{number:04x}");
        }
    }

    #[test]
    fn overheads() {
        for (number, expected) in [
            (0x1301, Some(17)),
            (0x1305, Some(9)),
            (0xc02f, Some(24)),
            (0xcca8, Some(16)),
            (0xc0ac, Some(24)),
            (0xc0ae, Some(16)),
            (0x002f, None),
            (0xfafa, None),
        ] {
            assert_eq!(overhead(number), expected, "{number:04x}");
        }
    }
}
