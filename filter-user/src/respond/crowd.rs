//! Sources that many share, as behind NAT: how many different credentials and user agents came from
//! each.
//!
//! Only requests that were answered well count: who guesses passwords would otherwise look like a
//! crowd. Each source has two bitmaps of 64 bits, in which a number of different values is estimated by
//! its empty bits (linear counting; Whang, 1990): exact to about 10 % up to 40, and never below 1 for one
//! value. They are kept for half an hour to an hour, over restarts too ([`kept`]).

mod kept;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::detect::hasher::Keyed;
use crate::detect::{SECOND, Source};

use super::reach::signed;

/// Sources that are followed; of further ones nothing is known.
const MOST: usize = 65_536;
/// How long until the older half is forgotten, ns.
const HALF: u64 = 1_800 * SECOND;

/// How many share a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Crowd {
    /// Different credentials.
    pub credentials: u32,
    /// Different user agents.
    pub agents: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bits {
    credentials: u64,
    agents: u64,
    /// As many there were at the least: a daemon before this one counted them, by hashes of its own.
    kept: Crowd,
}

impl Bits {
    fn crowd(self) -> Crowd {
        Crowd { credentials: different(self.credentials), agents: different(self.agents) }
            .max(self.kept)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Crowds {
    now: HashMap<(u32, Source), Bits, Keyed>,
    before: HashMap<(u32, Source), Bits, Keyed>,
    /// When the newer half began, ns; of one that was kept over a boot it may be before the clock did.
    since: Option<i64>,
    hasher: RandomState,
    full: u64,
}

impl Crowd {
    fn max(self, other: Self) -> Self {
        Self {
            credentials: self.credentials.max(other.credentials),
            agents: self.agents.max(other.agents),
        }
    }
}

/// More than 64 · ln 64: what no empty bit is taken for.
const ALL: u32 = 266;

/// How many different values have left these bits empty.
fn different(bits: u64) -> u32 {
    let empty = f64::from(bits.count_zeros());
    if empty < 1.0 {
        return ALL;
    }
    (64.0 * (64.0 / empty).ln()).round() as u32
}

impl Crowds {
    /// Takes a request of a source at an API into account that was answered well.
    pub fn note(
        &mut self,
        now: u64,
        api: u32,
        source: Source,
        credential: Option<u64>,
        agent: Option<&str>,
    ) {
        let now = signed(now);
        let since = *self.since.get_or_insert(now);
        if now >= since.saturating_add(signed(HALF)) {
            self.before = std::mem::take(&mut self.now);
            self.since = Some(now);
        }
        let key = (api, source);
        if self.now.len() >= MOST && !self.now.contains_key(&key) {
            self.full += 1;
            return;
        }
        let bits = self.now.entry(key).or_default();
        if let Some(credential) = credential {
            bits.credentials |= 1 << (self.hasher.hash_one(credential) % 64);
        }
        if let Some(agent) = agent {
            bits.agents |= 1 << (self.hasher.hash_one(agent) % 64);
        }
    }

    /// How many share a source at an API, as far as was seen.
    pub fn of(&self, api: u32, source: &Source) -> Crowd {
        let key = (api, *source);
        let held = |map: &HashMap<_, Bits, Keyed>| map.get(&key).copied().unwrap_or_default();
        let (now, before) = (held(&self.now), held(&self.before));
        let both = Bits {
            credentials: now.credentials | before.credentials,
            agents: now.agents | before.agents,
            kept: now.kept.max(before.kept),
        };
        both.crowd()
    }

    /// Requests of sources for which there was no room.
    pub fn overflowed(&self) -> u64 {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> Source {
        Source::from(std::net::IpAddr::from(std::net::Ipv4Addr::from(n)))
    }

    #[test]
    fn different_ones_are_told_apart() {
        for (values, least, most) in [(0, 0, 0), (1, 1, 1), (2, 1, 2), (10, 4, 13), (40, 20, 75)] {
            let mut crowds = Crowds::default();
            for round in 0..3 {
                for value in 0..values {
                    let agent = format!("agent {value}");
                    crowds.note(round, 1, source(7), Some(value), Some(&agent));
                    crowds.note(round, 2, source(8), None, None);
                }
            }
            let crowd = crowds.of(1, &source(7));
            for number in [crowd.credentials, crowd.agents] {
                assert!((least..=most).contains(&number), "{values}: {crowd:?}");
            }
            assert_eq!(crowds.of(2, &source(8)), Crowd::default());
            assert_eq!(crowds.of(2, &source(7)), Crowd::default(), "another API");
        }
    }

    #[test]
    fn they_are_forgotten_within_an_hour_and_bounded() {
        let mut crowds = Crowds::default();
        crowds.note(HALF, 1, source(7), Some(1), None);
        crowds.note(2 * HALF, 1, source(8), None, None);
        assert_eq!(crowds.of(1, &source(7)).credentials, 1);
        crowds.note(3 * HALF, 1, source(8), None, None);
        assert_eq!(crowds.of(1, &source(7)).credentials, 0);
        for n in 0..MOST as u32 + 10 {
            crowds.note(3 * HALF, 1, source(n), None, None);
        }
        assert!(crowds.now.len() <= MOST && crowds.overflowed() >= 10);
    }
}
