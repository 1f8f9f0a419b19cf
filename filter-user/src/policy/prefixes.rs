//! Sets of prefixes that remember where each was written.

use std::net::IpAddr;

use super::cidr::{Cidr, mask_v4, mask_v6};

/// A prefix of one family and where it was written, as small as can be: there may be millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member<A> {
    /// The address in host byte order; bits after the length are zero.
    pub address: A,
    /// Index of the file among the policy's texts: 0 is the policy itself.
    pub file: u32,
    /// Line, from 1.
    pub line: u32,
    /// Length in bits.
    pub length: u8,
}

/// The prefixes of a group, in the order they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// IPv4 prefixes.
    pub v4: Vec<Member<u32>>,
    /// IPv6 prefixes.
    pub v6: Vec<Member<u128>>,
}

impl Prefixes {
    /// Adds a prefix that was written on `line` of the text with the index `file`.
    pub fn add(&mut self, cidr: Cidr, file: u32, line: u32) {
        match cidr {
            Cidr::V4(address, length) => self.v4.push(Member { address, file, line, length }),
            Cidr::V6(address, length) => self.v6.push(Member { address, file, line, length }),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// The longest prefix that an address is in, with the file index and line of the first place
    /// that has it.
    pub fn covering(&self, address: IpAddr) -> Option<(Cidr, u32, u32)> {
        match address {
            IpAddr::V4(address) => {
                let bits = u32::from(address);
                let inside = self.v4.iter().rev().filter(|m| bits & mask_v4(m.length) == m.address);
                let found = inside.max_by_key(|m| m.length)?;
                Some((Cidr::V4(found.address, found.length), found.file, found.line))
            }
            IpAddr::V6(address) => {
                let bits = u128::from(address);
                let inside = self.v6.iter().rev().filter(|m| bits & mask_v6(m.length) == m.address);
                let found = inside.max_by_key(|m| m.length)?;
                Some((Cidr::V6(found.address, found.length), found.file, found.line))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_and_first_written_prefix_covers() {
        let mut set = Prefixes::default();
        for (line, text) in
            ["10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16", "2001:db8::/32", "::/0"].iter().enumerate()
        {
            let cidr = Cidr::parse(text.as_bytes()).expect("a prefix");
            set.add(cidr, 7, u32::try_from(line + 1).expect("small"));
        }
        let rows = [
            ("10.1.2.3", Some(("10.1.0.0/16", 2))),
            ("10.2.0.1", Some(("10.0.0.0/8", 1))),
            ("192.0.2.1", None),
            ("2001:db8::1", Some(("2001:db8::/32", 4))),
            ("2001:db9::1", Some(("::/0", 5))),
        ];
        for (address, expected) in rows {
            let found = set.covering(address.parse().expect("an address"));
            let found = found.map(|(cidr, file, line)| (cidr.to_string(), file, line));
            let expected = expected.map(|(cidr, line)| (cidr.to_owned(), 7, line));
            assert_eq!(found, expected, "{address}");
        }
        assert_eq!((set.len(), set.is_empty()), (5, false));
    }
}
