//! Who a source is: an address, or the network within which addresses are not told apart.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::codec::{Reader, Writer};
use super::hasher::mix;
use crate::policy::SourceLengths;

/// A source as an API tells it from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Its address; with no bits behind `length`.
    pub address: IpAddr,
    /// Length of its prefix, at most 32 for IPv4 and 128 for IPv6.
    pub length: u8,
}

impl Source {
    /// The source that an address belongs to. Whoever has one address of an IPv6 /64 has all of them
    /// (RFC 4291, section 2.5.4), so a policy that says nothing tells sources apart by that.
    pub fn of(address: IpAddr, lengths: SourceLengths) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let length = lengths.v4.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv4Addr::from(u32::from(v4) & mask).into(), length }
            }
            IpAddr::V6(v6) => {
                let length = lengths.v6.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv6Addr::from(u128::from(v6) & mask).into(), length }
            }
        }
    }

    /// A hash of its address under a seed: who does not know that cannot aim at a place.
    pub(crate) fn hash(&self, seed: u64) -> u64 {
        match self.address {
            IpAddr::V4(v4) => mix(seed, u64::from(u32::from(v4))),
            IpAddr::V6(v6) => {
                let bits = u128::from(v6);
                mix(mix(seed, (bits >> 64) as u64), bits as u64)
            }
        }
    }

    /// As bytes, of which [`Self::read`] makes it again.
    pub(crate) fn write(&self, to: &mut Writer) {
        to.address(self.address);
        to.u8(self.length);
    }

    /// What [`Self::write`] wrote; a network with bits behind its length is none.
    pub(crate) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (address, length) = (from.address()?, from.u8()?);
        let source = Self::of(address, SourceLengths { v4: length, v6: length });
        (source == Self { address, length }).then_some(source)
    }

    /// Whether it is one address rather than a network.
    pub fn is_single(&self) -> bool {
        self.length == if self.address.is_ipv4() { 32 } else { 128 }
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self::of(address, SourceLengths { v4: 32, v6: 128 })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let lengths = |v4, v6| SourceLengths { v4, v6 };
        for (lengths, address, expected) in [
            (SourceLengths::default(), "192.0.2.7", "192.0.2.7"),
            (SourceLengths::default(), "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
            (lengths(24, 128), "192.0.2.7", "192.0.2.0/24"),
            (lengths(24, 128), "2001:db8::4", "2001:db8::4"),
            (lengths(0, 0), "192.0.2.7", "0.0.0.0/0"),
            (lengths(0, 0), "2001:db8::4", "::/0"),
            (lengths(99, 200), "192.0.2.7", "192.0.2.7"),
        ] {
            let source = Source::of(address.parse().unwrap(), lengths);
            assert_eq!(source.to_string(), expected, "{address}");
        }
        assert!(Source::from("::1".parse::<IpAddr>().unwrap()).is_single());
    }

    #[test]
    fn written_and_read() {
        for (address, length, whole) in [
            ("192.0.2.7", 32, true),
            ("192.0.2.0", 24, true),
            ("192.0.2.7", 24, false),
            ("192.0.2.7", 33, false),
            ("0.0.0.0", 0, true),
            ("2001:db8:1:2::", 64, true),
            ("2001:db8:1:2::1", 64, false),
            ("2001:db8::1", 128, true),
            ("2001:db8::1", 129, false),
            ("::ffff:192.0.2.7", 128, true),
        ] {
            let source = Source { address: address.parse().unwrap(), length };
            let mut to = Writer::default();
            source.write(&mut to);
            let read = Source::read(&mut Reader(&to.0));
            assert_eq!(read, whole.then_some(source), "{source}");
            for cut in 0..to.0.len() {
                assert_eq!(Source::read(&mut Reader(&to.0[..cut])), None, "{source}, {cut} bytes");
            }
        }
        assert_eq!(Source::read(&mut Reader(&[5; 20])), None, "another protocol");
    }
}
