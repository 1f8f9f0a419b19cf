//! Addresses and prefixes as text, and where a prefix was written.
//!
//! Parsed from bytes by hand: feeds have a million lines. What a prefix admits is left to
//! `compile`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::text::Problem;

/// An address prefix in canonical form: the bits below the length are zero, and an IPv4-mapped
/// IPv6 address is never one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cidr {
    /// Address in host byte order, and length from 0 to 32.
    V4(u32, u8),
    /// Address in host byte order, and length from 0 to 128.
    V6(u128, u8),
}

/// Why bytes are not a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// Neither an IPv4 nor an IPv6 address, or something after it.
    Address,
    /// The part after the slash is not a number, or too large for the family (given in bits).
    Length(u8),
    /// Bits below the length are set: the prefix meant, and the one address.
    HostBits(Cidr, Cidr),
    /// An IPv4 address dressed as IPv6, which no packet carries: the IPv4 prefix meant.
    Mapped(Cidr),
}

impl Cidr {
    /// Parses `192.0.2.0/24`, `2001:db8::/32`, or an address alone for the one host.
    ///
    /// # Errors
    /// Anything else: leading zeros, zone ids, host bits and IPv4-mapped addresses too.
    pub fn parse(text: &[u8]) -> Result<Self, CidrError> {
        let slash = text.iter().position(|byte| *byte == b'/');
        let (address, length) = match slash {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        if let Some(bits) = parse_v4(address) {
            let length = length.map_or(Some(32), |text| parse_length(text, 32));
            return Self::checked_v4(bits, length.ok_or(CidrError::Length(32))?);
        }
        let address = std::str::from_utf8(address).ok().and_then(|text| text.parse().ok());
        let bits = u128::from(address.ok_or(CidrError::Address).map(|a: Ipv6Addr| a)?);
        let length = length.map_or(Some(128), |text| parse_length(text, 128));
        Self::checked_v6(bits, length.ok_or(CidrError::Length(128))?)
    }

    fn checked_v4(bits: u32, length: u8) -> Result<Self, CidrError> {
        let masked = bits & mask_v4(length);
        if masked != bits {
            return Err(CidrError::HostBits(Self::V4(masked, length), Self::V4(bits, 32)));
        }
        Ok(Self::V4(bits, length))
    }

    fn checked_v6(bits: u128, length: u8) -> Result<Self, CidrError> {
        if length >= 96
            && let Some(v4) = Ipv6Addr::from(bits).to_ipv4_mapped()
        {
            let length = length - 96;
            return Err(CidrError::Mapped(Self::V4(u32::from(v4) & mask_v4(length), length)));
        }
        let masked = bits & mask_v6(length);
        if masked != bits {
            return Err(CidrError::HostBits(Self::V6(masked, length), Self::V6(bits, 128)));
        }
        Ok(Self::V6(bits, length))
    }

    /// Length of the prefix in bits.
    pub fn length(self) -> u8 {
        match self {
            Self::V4(_, length) | Self::V6(_, length) => length,
        }
    }

    /// Whether an address is in the prefix.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4(bits, length), IpAddr::V4(address)) => {
                u32::from(address) & mask_v4(length) == bits
            }
            (Self::V6(bits, length), IpAddr::V6(address)) => {
                u128::from(address) & mask_v6(length) == bits
            }
            _ => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(bits, length) => write!(f, "{}/{length}", Ipv4Addr::from(bits)),
            Self::V6(bits, length) => write!(f, "{}/{length}", Ipv6Addr::from(bits)),
        }
    }
}

impl CidrError {
    /// The error in words, `text` being what was parsed.
    pub fn explain(self, text: &str) -> Problem {
        let text: String = text.chars().take(60).flat_map(char::escape_debug).collect();
        match self {
            Self::Address => Problem::new(
                format!("\"{text}\" is not an address or prefix"),
                "write an address or prefix such as 192.0.2.0/24 or 2001:db8::/32; \
                 names are not resolved",
            ),
            Self::Length(most) => Problem::new(
                format!("\"{text}\" has no valid prefix length"),
                format!("the length after the slash is a number from 0 to {most}"),
            ),
            Self::HostBits(masked, host) => Problem::new(
                format!("\"{text}\" has bits set after its prefix length"),
                format!("write {masked} for the network, or {host} for the one address"),
            ),
            Self::Mapped(v4) => Problem::new(
                format!("\"{text}\" is an IPv4-mapped IPv6 address, which no packet carries"),
                format!("write {v4}"),
            ),
        }
    }
}

/// The bits of an IPv4 prefix of this length.
pub(super) fn mask_v4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0)
}

/// The bits of an IPv6 prefix of this length.
pub(super) fn mask_v6(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0)
}

/// Four numbers without leading zeros (some programs read those as octal).
fn parse_v4(text: &[u8]) -> Option<u32> {
    if text.len() > 15 {
        return None;
    }
    let (mut bits, mut octet, mut digits, mut dots) = (0u32, 0u32, 0, 0);
    for byte in text {
        match byte {
            b'0'..=b'9' if digits == 0 || (octet != 0 && digits < 3) => {
                octet = octet * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && octet <= 255 && dots < 3 => {
                bits = bits << 8 | octet;
                (octet, digits) = (0, 0);
                dots += 1;
            }
            _ => return None,
        }
    }
    (dots == 3 && digits > 0 && octet <= 255).then_some(bits << 8 | octet)
}

fn parse_length(text: &[u8], most: u8) -> Option<u8> {
    let leading_zero = text.len() > 1 && text[0] == b'0';
    if text.is_empty() || text.len() > 3 || leading_zero || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = text.iter().fold(0u32, |value, byte| value * 10 + u32::from(byte - b'0'));
    u8::try_from(value).ok().filter(|length| *length <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_prefixes_or_errors() {
        let rows: &[(&str, Result<&str, &str>)] = &[
            ("192.0.2.0/24", Ok("192.0.2.0/24")),
            ("192.0.2.7", Ok("192.0.2.7/32")),
            ("0.0.0.0/0", Ok("0.0.0.0/0")),
            ("255.255.255.255/32", Ok("255.255.255.255/32")),
            ("2001:db8::/32", Ok("2001:db8::/32")),
            ("2001:DB8::1", Ok("2001:db8::1/128")),
            ("::/0", Ok("::/0")),
            ("::ffff:0:0/95", Err("write ::fffe:0:0/95 for the network, or ::255.255.0.0/128")),
            ("192.0.2.1/24", Err("write 192.0.2.0/24 for the network, or 192.0.2.1/32")),
            ("2001:db8::1/64", Err("write 2001:db8::/64 for the network")),
            ("::ffff:192.0.2.1", Err("write 192.0.2.1/32")),
            ("::ffff:192.0.2.1/120", Err("write 192.0.2.0/24")),
            ("::ffff:0:0/96", Err("write 0.0.0.0/0")),
            ("192.0.2.0/33", Err("from 0 to 32")),
            ("2001:db8::/129", Err("from 0 to 128")),
            ("192.0.2.0/", Err("from 0 to 32")),
            ("192.0.2.0/024", Err("from 0 to 32")),
            ("192.0.2.0/24/8", Err("from 0 to 32")),
            ("192.0.2.0/+8", Err("from 0 to 32")),
            ("192.0.2", Err("write an address")),
            ("192.0.2.1.", Err("write an address")),
            ("192.0.2.256", Err("write an address")),
            ("192.0.02.1", Err("write an address")),
            (".1.2.3", Err("write an address")),
            ("1..2.3", Err("write an address")),
            ("1.2.3.4.5", Err("write an address")),
            ("fe80::1%eth0", Err("write an address")),
            ("example.org", Err("write an address")),
            ("", Err("write an address")),
            (" 192.0.2.1", Err("write an address")),
        ];
        for (text, expected) in rows {
            let found = Cidr::parse(text.as_bytes());
            match (found, expected) {
                (Ok(cidr), Ok(shown)) => assert_eq!(cidr.to_string(), *shown, "{text}"),
                (Err(error), Err(hint)) => {
                    let problem = error.explain(text);
                    let words = format!("{problem:?}");
                    let start: String = hint.chars().take(28).collect();
                    assert!(words.contains(&start), "{text}: {words}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_not_an_address() {
        assert_eq!(Cidr::parse(&[0xff, b':', b':']), Err(CidrError::Address));
    }

    #[test]
    fn containment() {
        let rows = [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
        ];
        for (cidr, address, inside) in rows {
            let cidr = Cidr::parse(cidr.as_bytes()).expect("a prefix");
            assert_eq!(cidr.contains(address.parse().expect("an address")), inside, "{cidr}");
        }
    }
}
