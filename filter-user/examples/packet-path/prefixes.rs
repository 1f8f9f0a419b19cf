//! A million prefixes of each family: the same ones in every run.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use filter_user::policy::ReadFile;
use filter_user::text::Problem;

use crate::frames::PORT;

/// Prefixes of each family.
pub(crate) const PREFIXES: usize = 1_000_000;

/// The policy: one API, its one group a feed, one limit that no packet reaches.
pub(crate) fn policy() -> String {
    format!(
        r#"
[groups.listed]
files = ["listed"]
[[api]]
name = "measured"
listen = ["udp/{PORT}"]
allow = ["listed"]
limit = {{ packets = "1000000000/s" }}
"#
    )
}

/// The feed, and a source of each family that is in it.
pub(crate) struct Listed {
    text: String,
    /// In an IPv4 /24.
    pub(crate) v4: IpAddr,
    /// In an IPv6 /48.
    pub(crate) v6: IpAddr,
}

impl ReadFile for Listed {
    fn read(&self, _name: &str) -> Result<Vec<u8>, Problem> {
        Ok(self.text.clone().into_bytes())
    }
}

/// A source of each family that is in no prefix.
pub(crate) const STRANGERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 0x77)),
];

/// Makes the feed: lengths roughly as lists of networks have them.
pub(crate) fn listed() -> Listed {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 29)
    };
    let mut text = String::new();
    let mut seen = HashSet::new();
    let (mut v4, mut v6) = (None, None);
    while seen.len() < PREFIXES {
        let length = [24, 24, 24, 24, 24, 32, 32, 23, 22, 20][(next() % 10) as usize];
        let bits = (next() as u32) & (u32::MAX << (32 - length));
        let first = bits >> 24;
        // Unicast, and apart from the strangers.
        if !(1..224).contains(&first) || first == 192 || !seen.insert((u128::from(bits), length)) {
            continue;
        }
        let network = Ipv4Addr::from(bits);
        if length == 24 {
            v4.get_or_insert(IpAddr::V4(Ipv4Addr::from(bits | 7)));
        }
        let _infallible = writeln!(text, "{network}/{length}");
    }
    seen.clear();
    while seen.len() < PREFIXES {
        let length = [48, 48, 48, 48, 48, 48, 32, 40, 56, 64][(next() % 10) as usize];
        // What the registries have given out lies in few /16s.
        let top = [0x2001, 0x2400, 0x2600, 0x2602, 0x2a00, 0x2a02, 0x2a10, 0x2c00]
            [(next() % 8) as usize] as u128;
        let bits = (top << 112 | u128::from(next()) << 48) & (u128::MAX << (128 - length));
        if bits >> 96 == 0x2001_0db8 || !seen.insert((bits, length)) {
            continue;
        }
        let network = Ipv6Addr::from(bits);
        if length == 48 {
            v6.get_or_insert(IpAddr::V6(Ipv6Addr::from(bits | 7)));
        }
        let _infallible = writeln!(text, "{network}/{length}");
    }
    let (Some(v4), Some(v6)) = (v4, v6) else { unreachable!("half of a million are that long") };
    Listed { text, v4, v6 }
}
