//! Lists of prefixes, roughly as lists of networks are: the same ones in every run.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use filter_user::policy::ReadFile;
use filter_user::text::Problem;

/// IPv4 lengths, drawn from evenly.
const V4_LENGTHS: [u8; 10] = [24, 24, 24, 24, 24, 32, 32, 23, 22, 20];
/// IPv6 lengths, drawn from evenly.
const V6_LENGTHS: [u8; 10] = [48, 48, 48, 48, 48, 48, 32, 40, 56, 64];
/// What the registries have given out of IPv6 lies in few /16s.
const V6_TOPS: [u16; 8] = [0x2001, 0x2400, 0x2600, 0x2602, 0x2a00, 0x2a02, 0x2a10, 0x2c00];

/// A source of each family that is in no list.
pub(crate) const STRANGERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0x77)),
];

/// A list, no prefix twice.
pub(crate) struct Prefixes {
    /// Address and length.
    pub(crate) v4: Vec<(Ipv4Addr, u8)>,
    /// Address and length.
    pub(crate) v6: Vec<(Ipv6Addr, u8)>,
}

impl Prefixes {
    /// So many of each family.
    pub(crate) fn new(v4: usize, v6: usize) -> Self {
        let mut state = 1u64;
        let mut next = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed ^ (mixed >> 29)
        };
        let mut seen = HashSet::new();
        let mut list = Self { v4: Vec::with_capacity(v4), v6: Vec::with_capacity(v6) };
        while list.v4.len() < v4 {
            let length = V4_LENGTHS[(next() % 10) as usize];
            let bits = (next() as u32) & (u32::MAX << (32 - length));
            let first = bits >> 24;
            // Unicast, and apart from the strangers and the laboratory.
            let fits = (1..224).contains(&first) && first != 127 && first != 192;
            if fits && seen.insert((u128::from(bits), length)) {
                list.v4.push((bits.into(), length));
            }
        }
        seen.clear();
        while list.v6.len() < v6 {
            let length = V6_LENGTHS[(next() % 10) as usize];
            let top = u128::from(V6_TOPS[(next() % 8) as usize]);
            let bits = (top << 112 | u128::from(next()) << 48) & (u128::MAX << (128 - length));
            if bits >> 96 != 0x2001_0db8 && seen.insert((bits, length)) {
                list.v6.push((bits.into(), length));
            }
        }
        list
    }

    /// As a feed: one a line.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (network, length) in &self.v4 {
            let _infallible = writeln!(text, "{network}/{length}");
        }
        for (network, length) in &self.v6 {
            let _infallible = writeln!(text, "{network}/{length}");
        }
        text
    }

    /// A source of each family that is in it: in a /24 and in a /48, when there are such.
    pub(crate) fn members(&self) -> Option<[IpAddr; 2]> {
        let v4 = self.v4.iter().find(|(_, length)| *length == 24)?.0;
        let v6 = self.v6.iter().find(|(_, length)| *length == 48)?.0;
        let (v4, v6) = (v4.to_bits() | 7, v6.to_bits() | 7);
        Some([Ipv4Addr::from(v4).into(), Ipv6Addr::from(v6).into()])
    }
}

/// A list as the one file of a policy.
pub(crate) struct Feed(pub(crate) String);

impl ReadFile for Feed {
    fn read(&self, _name: &str) -> Result<Vec<u8>, Problem> {
        Ok(self.0.clone().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_as_long_as_asked_and_the_same_each_time() {
        let list = Prefixes::new(1_000, 500);
        assert_eq!((list.v4.len(), list.v6.len()), (1_000, 500));
        assert_eq!(list.text(), Prefixes::new(1_000, 500).text());
        assert!(list.members().is_some());
    }
}
