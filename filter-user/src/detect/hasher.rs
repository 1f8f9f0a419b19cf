//! A fast hash for what is looked up with every request.
//!
//! Two 64-bit words are multiplied to 128 bits and folded, which mixes as well as several rounds of
//! shifts (the idea of wyhash and its kin). Whoever does not know the seed cannot aim at a place; maps
//! of ids that the policy gives need none.

use std::hash::{BuildHasher, Hasher, RandomState};

const K: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes two words.
#[inline]
pub(crate) const fn mix(a: u64, b: u64) -> u64 {
    let product = (a ^ K) as u128 * (b ^ 0xa076_1d64_78bd_642f) as u128;
    (product >> 64) as u64 ^ product as u64
}

/// Hashes bytes under a seed.
#[inline]
pub(crate) fn bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(seed, bytes.len() as u64);
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        hash = mix(hash ^ u64::from_le_bytes(*chunk), seed);
    }
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    mix(hash ^ u64::from_le_bytes(word), seed)
}

/// Makes [`Mixer`]s, for maps of ids that the policy gives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mixing;

/// Makes [`Mixer`]s under a seed that nobody knows, for maps of what strangers choose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed(u64);

impl Default for Keyed {
    fn default() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

impl BuildHasher for Keyed {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

/// The state of one hash.
#[derive(Debug)]
pub(crate) struct Mixer(u64);

impl BuildHasher for Mixing {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        // Not one of the two words of `mix`: their product would be nothing.
        Mixer(0)
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, data: &[u8]) {
        self.0 = bytes(self.0, data);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix(self.0, word);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::IpAddr;

    #[test]
    fn tells_apart_and_spreads() {
        let mut seen = HashSet::new();
        let mut low = [0_u32; 64];
        let mut of_ids = [0_u32; 64];
        for number in 0..100_000_u64 {
            let hash = bytes(7, format!("/orders/{number}").as_bytes());
            seen.insert(hash);
            low[(hash & 63) as usize] += 1;
            seen.insert(mix(number, 5));
            of_ids[(Mixing.hash_one(number) & 63) as usize] += 1;
        }
        assert_eq!(seen.len(), 200_000);
        for low in [low, of_ids] {
            assert!(low.iter().all(|count| (1300..1850).contains(count)), "{low:?}");
        }
        let (one, other) = (Keyed::default(), Keyed::default());
        let hashes: HashSet<u64> = (0..100_000_u32)
            .map(|number| one.hash_one((7_u32, IpAddr::from(number.to_be_bytes()))))
            .collect();
        assert_eq!(hashes.len(), 100_000);
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 63).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert_eq!((low.len(), high.len()), (64, 128));
        assert_ne!(one.hash_one(7_u32), other.hash_one(7_u32), "under another seed");
        assert_ne!(bytes(1, b"a"), bytes(1, b"a\0"));
        assert_ne!(bytes(1, b"a"), bytes(2, b"a"));
        assert_ne!(bytes(1, b"12345678"), bytes(1, b"12345678\0"));
    }
}
