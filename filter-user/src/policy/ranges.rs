//! Sets of addresses as sorted ranges that neither touch nor overlap: quick to ask, and what the
//! difference of two policies is worked out with.

use std::net::IpAddr;

use super::cidr::Cidr;
use super::prefixes::{Member, Prefixes};

/// An address of either family, as a number.
pub(super) trait Address: Copy + Ord {
    /// Bits of an address.
    const BITS: u8;
    /// Addresses of a prefix, less one.
    fn span(length: u8) -> Self;
    fn plus(self, other: Self) -> Option<Self>;
    fn minus_one(self) -> Option<Self>;
    fn trailing_zeros(self) -> u8;
    fn cidr(self, length: u8) -> Cidr;
}

macro_rules! address {
    ($type:ty, $bits:literal, $variant:ident) => {
        impl Address for $type {
            const BITS: u8 = $bits;

            fn span(length: u8) -> Self {
                <$type>::MAX.checked_shr(length.into()).unwrap_or(0)
            }

            fn plus(self, other: Self) -> Option<Self> {
                self.checked_add(other)
            }

            fn minus_one(self) -> Option<Self> {
                self.checked_sub(1)
            }

            fn trailing_zeros(self) -> u8 {
                <$type>::trailing_zeros(self) as u8
            }

            fn cidr(self, length: u8) -> Cidr {
                Cidr::$variant(self, length)
            }
        }
    };
}

address!(u32, 32, V4);
address!(u128, 128, V6);

/// First and last address of each range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranges<A>(Vec<(A, A)>);

impl<A: Address> Ranges<A> {
    fn all() -> Self {
        let last = A::span(0);
        // The first address is the one that nothing comes before.
        Self(vec![(A::span(A::BITS), last)])
    }

    fn of<'m>(members: impl Iterator<Item = &'m Member<A>>) -> Self
    where
        A: 'm,
    {
        let mut ranges: Vec<(A, A)> =
            members.filter_map(|m| Some((m.address, m.address.plus(A::span(m.length))?))).collect();
        ranges.sort_unstable();
        let mut joined: Vec<(A, A)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                // A range that begins right after another goes on with it.
                Some(held) if first.minus_one().is_none_or(|before| before <= held.1) => {
                    held.1 = held.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    fn contains(&self, address: A) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= address);
        after.checked_sub(1).is_some_and(|at| address <= self.0[at].1)
    }

    /// What is in this set and not in the other.
    pub(super) fn without(&self, other: &Self) -> Self {
        let one = A::span(A::BITS - 1);
        let mut left = Vec::new();
        let mut holes = other.0.iter().peekable();
        for &(first, last) in &self.0 {
            let mut first = Some(first);
            while let Some(&&(from, to)) = holes.peek() {
                let Some(start) = first else { break };
                if to < start {
                    holes.next();
                    continue;
                }
                if from > last {
                    break;
                }
                if let Some(before) = from.minus_one()
                    && start <= before
                {
                    left.push((start, before));
                }
                first = to.plus(one).filter(|next| *next <= last);
            }
            if let Some(start) = first {
                left.push((start, last));
            }
        }
        Self(left)
    }

    /// The fewest prefixes that are this set, in order.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = Cidr> + '_ {
        let one = A::span(A::BITS - 1);
        self.0.iter().flat_map(move |&(first, last)| {
            let mut next = Some(first);
            std::iter::from_fn(move || {
                let start = next?;
                // As large as its first address allows, and no larger than the range.
                let shortest = A::BITS - start.trailing_zeros().min(A::BITS);
                let length = (shortest..=A::BITS)
                    .find(|&length| start.plus(A::span(length)).is_some_and(|end| end <= last))?;
                let end = start.plus(A::span(length))?;
                next = end.plus(one).filter(|next| *next <= last);
                Some(start.cidr(length))
            })
        })
    }
}

/// Addresses of both families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl Addresses {
    /// Every address.
    pub(super) fn all() -> Self {
        Self { v4: Ranges::all(), v6: Ranges::all() }
    }

    /// None.
    pub(super) fn none() -> Self {
        Self { v4: Ranges(Vec::new()), v6: Ranges(Vec::new()) }
    }

    /// Those in any of these sets.
    pub fn of<'p>(sets: impl Iterator<Item = &'p Prefixes> + Clone) -> Self {
        Self {
            v4: Ranges::of(sets.clone().flat_map(|set| &set.v4)),
            v6: Ranges::of(sets.flat_map(|set| &set.v6)),
        }
    }

    /// Whether an address is among them.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.into()),
            IpAddr::V6(address) => self.v6.contains(address.into()),
        }
    }

    /// Those in this set and not in the other.
    pub(super) fn without(&self, other: &Self) -> Self {
        Self { v4: self.v4.without(&other.v4), v6: self.v6.without(&other.v6) }
    }

    /// The fewest prefixes that are this set: IPv4 first, each in order.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.v4.prefixes().chain(self.v6.prefixes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Addresses {
        let mut prefixes = Prefixes::default();
        for (line, word) in text.split_whitespace().enumerate() {
            prefixes.add(Cidr::parse(word.as_bytes()).expect("a prefix"), 0, line as u32);
        }
        Addresses::of(std::iter::once(&prefixes))
    }

    fn show(set: &Addresses) -> String {
        set.prefixes().map(|cidr| cidr.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn differences_as_the_fewest_prefixes() {
        // a, b, a without b
        let rows = [
            ("", "10.0.0.0/8", ""),
            ("10.0.0.0/8", "", "10.0.0.0/8"),
            ("10.0.0.0/9 10.128.0.0/9", "", "10.0.0.0/8"),
            ("10.0.0.0/8 10.1.0.0/16 10.0.0.1/32", "", "10.0.0.0/8"),
            ("10.0.0.0/30", "10.0.0.1/32", "10.0.0.0/32 10.0.0.2/31"),
            ("10.0.0.0/30", "10.0.0.0/32 10.0.0.3/32", "10.0.0.1/32 10.0.0.2/32"),
            ("10.0.0.1/32 10.0.0.3/32", "10.0.0.0/8", ""),
            ("10.0.0.1/32 10.0.0.9/32", "10.0.0.5/32 10.0.0.9/32", "10.0.0.1/32"),
            ("0.0.0.0/0", "128.0.0.0/1", "0.0.0.0/1"),
            ("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"),
            ("255.255.255.255/32", "", "255.255.255.255/32"),
            ("0.0.0.0/31", "0.0.0.0/32", "0.0.0.1/32"),
            ("2001:db8::/32", "2001:db8:8000::/33", "2001:db8::/33"),
            ("::/0", "", "::/0"),
            ("192.0.2.1/32 2001:db8::/64", "192.0.2.1/32", "2001:db8::/64"),
        ];
        for (a, b, expected) in rows {
            assert_eq!(show(&set(a).without(&set(b))), show(&set(expected)), "{a} without {b}");
        }
        assert_eq!(show(&Addresses::all()), "0.0.0.0/0 ::/0");
        assert_eq!(Addresses::all().without(&Addresses::all()), Addresses::none());
        assert_eq!(Addresses::all(), set("0.0.0.0/0 ::/0"));
    }

    #[test]
    fn random_sets_agree_with_asking_each_address() {
        let mut random = crate::text::Random::new(11);
        for _ in 0..300 {
            let mut draw = || {
                let mut prefixes = Prefixes::default();
                for line in 0..random.below(6) {
                    let length = 26 + random.below(7) as u8;
                    let address = (random.below(64) as u32) & !u32::span(length);
                    prefixes.add(Cidr::V4(address, length), 0, line as u32);
                }
                prefixes
            };
            let (a, b) = (draw(), draw());
            let [x, y] = [&a, &b].map(|set| Addresses::of(std::iter::once(set)));
            let found: Vec<Cidr> = x.without(&y).prefixes().collect();
            for address in 0..64u32 {
                let ip = std::net::IpAddr::V4(address.into());
                let expected = a.covering(ip).is_some() && b.covering(ip).is_none();
                let is_in = found.iter().filter(|cidr| cidr.contains(ip)).count();
                assert_eq!(is_in, usize::from(expected), "{ip} in {found:?}");
            }
        }
    }
}
