//! How many sources there were, in bounded memory: exact as long as they are few, then HyperLogLog
//! (Flajolet, Fusy, Gandouet, Meunier 2007) with 1024 registers of 6 bits and a standard error of
//! 1.04 / √1024 = 3.3 %. Addresses cannot be read out of either.

use std::net::IpAddr;

/// Hashes that are kept as they are.
const FEW: usize = 32;
/// Bits of a hash that choose a register.
const BITS: u32 = 10;
/// Registers.
const REGISTERS: usize = 1 << BITS;

/// A set of sources of which only the number is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Hashes, sorted, as long as they are few.
    few: Vec<u64>,
    /// What takes their place.
    many: Option<Box<[u8; REGISTERS]>>,
}

impl Sources {
    /// Adds a source; true when that changed anything.
    pub fn add(&mut self, source: IpAddr) -> bool {
        self.add_hash(hash(source))
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: &Self) {
        for &hash in &other.few {
            self.add_hash(hash);
        }
        if let Some(theirs) = &other.many {
            for (our, their) in self.registers().iter_mut().zip(theirs.iter()) {
                *our = (*our).max(*their);
            }
        }
    }

    /// How many there are: exact up to 32, estimated beyond.
    pub fn count(&self) -> u64 {
        self.many.as_ref().map_or(self.few.len() as u64, |registers| estimate(registers))
    }

    /// The set as bytes for [`Self::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.many {
            None => self.few.iter().flat_map(|hash| hash.to_le_bytes()).collect(),
            Some(registers) => registers.to_vec(),
        }
    }

    /// A set out of its bytes; `None` when they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Ok(registers) = bytes.try_into() {
            return Some(Self { few: Vec::new(), many: Some(Box::new(registers)) });
        }
        let (hashes, []) = bytes.as_chunks::<8>() else { return None };
        if hashes.len() > FEW {
            return None;
        }
        let mut set = Self::default();
        for hash in hashes {
            set.add_hash(u64::from_le_bytes(*hash));
        }
        Some(set)
    }

    fn add_hash(&mut self, hash: u64) -> bool {
        if self.many.is_none() {
            let Err(at) = self.few.binary_search(&hash) else { return false };
            if self.few.len() < FEW {
                self.few.insert(at, hash);
                return true;
            }
        }
        put(self.registers(), hash)
    }

    /// The registers, made out of the hashes when there are none yet.
    fn registers(&mut self) -> &mut [u8; REGISTERS] {
        let few = std::mem::take(&mut self.few);
        self.many.get_or_insert_with(|| {
            let mut registers = Box::new([0; REGISTERS]);
            for hash in few {
                put(&mut registers, hash);
            }
            registers
        })
    }
}

fn put(registers: &mut [u8; REGISTERS], hash: u64) -> bool {
    let register = &mut registers[(hash >> (u64::BITS - BITS)) as usize];
    let rank = ((hash << BITS).leading_zeros().min(u64::BITS - BITS) + 1) as u8;
    let grows = rank > *register;
    *register = rank.max(*register);
    grows
}

fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let m = REGISTERS as f64;
    let sum: f64 = registers.iter().map(|&rank| 0.5_f64.powi(i32::from(rank))).sum();
    let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
    let empty = registers.iter().filter(|&&rank| rank == 0).count();
    // Linear counting is better as long as many registers are empty.
    let better = if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw };
    better.round() as u64
}

/// The same for an address at all times, so that sets of different days can be merged. IPv4-mapped
/// IPv6 does not occur: such packets are refused or counted as odd.
fn hash(source: IpAddr) -> u64 {
    match source {
        IpAddr::V4(v4) => mix(u64::from(u32::from(v4)) | 4 << 60),
        IpAddr::V6(v6) => {
            let bits = u128::from(v6);
            mix(mix((bits >> 64) as u64) ^ bits as u64)
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn counts_exactly_while_few_and_closely_when_many() {
        let mut v4 = Sources::default();
        let mut v6 = Sources::default();
        let mut seen = 0;
        for goal in [1, 10, 32, 33, 100, 1_000, 10_000, 200_000] {
            while seen < goal {
                v4.add(Ipv4Addr::from(0x0a00_0000 + seen).into());
                v6.add(Ipv6Addr::from((0x2001_0db8_u128 << 96) | u128::from(seen) << 64).into());
                v4.add(Ipv4Addr::from(0x0a00_0000 + seen / 2).into());
                seen += 1;
            }
            for set in [&v4, &v6] {
                let error = (set.count() as f64 / f64::from(goal) - 1.0).abs();
                assert!(error <= if goal <= 32 { 0.0 } else { 0.1 }, "{goal}: {}", set.count());
                assert_eq!(Sources::from_bytes(&set.to_bytes()).as_ref(), Some(set));
            }
        }
    }

    #[test]
    fn merging_is_adding() {
        let of = |range: std::ops::Range<u32>| {
            let mut set = Sources::default();
            for n in range {
                set.add(Ipv4Addr::from(n).into());
            }
            set
        };
        for (a, b) in [(0..10, 5..20), (0..10, 5..500), (0..500, 0..10), (0..500, 400..900)] {
            let mut merged = of(a.clone());
            merged.merge(&of(b.clone()));
            let mut both = of(a);
            for n in b {
                both.add(Ipv4Addr::from(n).into());
            }
            assert_eq!(merged.count(), both.count());
        }
        for bytes in [&[0; 7][..], &[0; 8 * 33], &[0; 1023]] {
            assert_eq!(Sources::from_bytes(bytes), None);
        }
        assert_eq!(Sources::from_bytes(&[]), Some(Sources::default()));
    }
}
