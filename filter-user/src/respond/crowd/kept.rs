//! Who is shared over restarts, as bytes: at most 107 kB for an API, of the [`MOST`] of its sources that
//! most share.
//!
//! Credentials are told apart by hashes whose key is never kept, so bits of a daemon mean nothing to the
//! next: numbers are kept, and hold as what there is at the least until their half hour is over. The
//! same credentials, seen again, do not add to them. Times become wall time on the way.

use std::collections::HashMap;

use super::{ALL, Bits, Crowd, Crowds, HALF};
use crate::detect::Source;
use crate::detect::codec::{Reader, Writer};
use crate::detect::hasher::Keyed;
use crate::respond::reach::signed;

/// Of what [`Crowds::save`] writes; other versions are begun anew.
const VERSION: u32 = 1;
/// Sources of an API that are kept.
const MOST: usize = 4_096;

/// What is kept of a source: of the newer half, and of both together.
type Kept = (Source, [Crowd; 2]);

impl Crowds {
    /// Who is shared at each API, as bytes that [`Self::load`] takes up. Sources that one alone may be
    /// behind are left out. `epoch` is what to add to its times for ns since 1970.
    pub fn save(&self, epoch: i128) -> HashMap<u32, Vec<u8>> {
        let mut apis: HashMap<u32, Vec<Kept>> = HashMap::new();
        let only_before = self.before.keys().filter(|key| !self.now.contains_key(*key));
        for (api, source) in self.now.keys().chain(only_before) {
            let newer = self.now.get(&(*api, *source)).copied().unwrap_or_default().crowd();
            let both = self.of(*api, source);
            if both.most() > 1 {
                apis.entry(*api).or_default().push((*source, [newer, both]));
            }
        }
        let since = i128::from(self.since.unwrap_or_default()) + epoch;
        let bytes = |mut kept: Vec<Kept>| {
            if kept.len() > MOST {
                kept.select_nth_unstable_by_key(MOST, |(_, [_, both])| u32::MAX - both.most());
                kept.truncate(MOST);
            }
            let mut to = Writer::default();
            to.u32(VERSION);
            to.i128(since);
            for (source, crowds) in kept {
                source.write(&mut to);
                crowds.into_iter().for_each(|crowd| crowd.write(&mut to));
            }
            to.0
        };
        apis.into_iter().map(|(api, kept)| (api, bytes(kept))).collect()
    }

    /// Takes up what [`Self::save`] wrote of an API, as far as it is of the last hour and not of the
    /// future, which a clock that was set back makes of it. False, and nothing is taken up, when it is
    /// damaged or of another version.
    pub fn load(&mut self, api: u32, saved: &[u8], now: u64, epoch: i128) -> bool {
        let Some((since, kept)) = read(saved, epoch) else { return false };
        let (now, half) = (signed(now), signed(HALF));
        let age = now.saturating_sub(since);
        if age < 0 || age >= half.saturating_mul(2) {
            return true;
        }
        let is_over = age >= half;
        let since = if is_over { since.saturating_add(half) } else { since };
        self.since = self.since.max(Some(since));
        let Self { now, before, .. } = self;
        for (source, [newer, both]) in kept {
            if is_over {
                put(before, (api, source), newer);
            } else {
                put(now, (api, source), newer);
                put(before, (api, source), both);
            }
        }
        true
    }
}

fn put(half: &mut HashMap<(u32, Source), Bits, Keyed>, key: (u32, Source), crowd: Crowd) {
    if crowd.most() > 1 && (half.len() < super::MOST || half.contains_key(&key)) {
        let bits = half.entry(key).or_default();
        bits.kept = bits.kept.max(crowd);
    }
}

/// When the newer half began, and who was shared.
fn read(saved: &[u8], epoch: i128) -> Option<(i64, Vec<Kept>)> {
    let mut from = Reader(saved);
    from.u32().filter(|version| *version == VERSION)?;
    let since = i64::try_from(from.i128()?.checked_sub(epoch)?).ok()?;
    let mut kept = Vec::new();
    while !from.is_empty() {
        let source = Source::read(&mut from).filter(|_| kept.len() < MOST)?;
        kept.push((source, [Crowd::read(&mut from)?, Crowd::read(&mut from)?]));
    }
    Some((since, kept))
}

impl Crowd {
    fn most(self) -> u32 {
        self.credentials.max(self.agents)
    }

    fn write(self, to: &mut Writer) {
        // At most `ALL`.
        to.u16(self.credentials as u16);
        to.u16(self.agents as u16);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut number = || from.u16().map(u32::from).filter(|number| *number <= ALL);
        Some(Self { credentials: number()?, agents: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: i128 = 1_700_000_000_000_000_000;

    fn source(n: u32) -> Source {
        if n.is_multiple_of(3) {
            let v6 = std::net::Ipv6Addr::from(u128::from(n) << 64 | 0x2001 << 112);
            Source { address: v6.into(), length: 64 }
        } else {
            Source::from(std::net::IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n)))
        }
    }

    fn note(crowds: &mut Crowds, now: u64, of: u32, credentials: std::ops::Range<u64>) {
        for credential in credentials {
            let agent = format!("agent {}", credential / 2);
            crowds.note(now, 1, source(of), Some(credential), Some(&agent));
        }
    }

    /// Of an API, as it was kept.
    fn kept(crowds: &Crowds) -> Vec<u8> {
        crowds.save(EPOCH).remove(&1).expect("somebody is shared")
    }

    #[test]
    fn who_is_shared_is_known_after_a_restart_and_a_boot() {
        let mut crowds = Crowds::default();
        let begun = 7 * HALF;
        note(&mut crowds, begun, 7, 0..20);
        note(&mut crowds, begun, 8, 0..1);
        note(&mut crowds, begun + HALF, 9, 0..30);
        note(&mut crowds, begun + HALF, 7, 0..6);
        let now = begun + HALF + HALF / 2;
        let saved = kept(&crowds);
        let of = |crowds: &Crowds, n: u32| crowds.of(1, &source(n));
        // The clock goes on, and begins anew: the same time of the wall.
        for (now, epoch) in [(now, EPOCH), (5, EPOCH + i128::from(now) - 5)] {
            let mut again = Crowds::default();
            assert!(again.load(1, &saved, now, epoch));
            for n in [7, 9] {
                assert_eq!(of(&again, n), of(&crowds, n), "{n}");
            }
            assert_eq!(of(&again, 8), Crowd::default(), "one alone is not kept");
            assert_eq!(again.of(2, &source(7)), Crowd::default(), "another API");
            // The same ones, by another hash, are no further ones; many more are.
            let before = of(&crowds, 7);
            note(&mut again, now + 1, 7, 0..20);
            let after = of(&again, 7);
            assert!(after.credentials <= before.credentials + 12, "{before:?} {after:?}");
            note(&mut again, now + 2, 7, 0..60);
            assert!(of(&again, 7).credentials > before.credentials + 5);
            // Kept once more.
            let mut third = Crowds::default();
            let twice = again.save(epoch).remove(&1).expect("somebody is shared");
            assert!(third.load(1, &twice, now, epoch));
            assert_eq!(of(&third, 7), of(&again, 7));
            // Half an hour and an hour later by a daemon that starts then.
            let mut later = Crowds::default();
            assert!(later.load(1, &saved, now + HALF, epoch));
            let newer = of(&later, 7).credentials;
            assert!((3..=8).contains(&newer), "{newer}");
            assert_eq!(of(&later, 9), of(&crowds, 9));
            let mut over = Crowds::default();
            assert!(over.load(1, &saved, now + 2 * HALF, epoch));
            assert_eq!(of(&over, 9), Crowd::default());
        }
        // And it passes in one that goes on: each half at its time.
        let mut again = Crowds::default();
        assert!(again.load(1, &saved, now, EPOCH));
        note(&mut again, now + HALF / 2, 100, 0..1);
        assert!(of(&again, 7).credentials < 9 && of(&again, 9) == of(&crowds, 9));
        note(&mut again, now + HALF / 2 + HALF, 100, 0..1);
        assert_eq!((of(&again, 7), of(&again, 9)), (Crowd::default(), Crowd::default()));
    }

    #[test]
    fn what_is_not_that_is_not_taken_up() {
        let mut crowds = Crowds::default();
        for n in 0..30 {
            note(&mut crowds, HALF, n, 0..9);
        }
        let saved = kept(&crowds);
        for length in 0..saved.len() {
            let mut other = Crowds::default();
            if other.load(1, &saved[..length], HALF, EPOCH) {
                assert!(other.now.len() < 30, "cut between sources");
            }
        }
        for place in 0..saved.len() {
            let mut damaged = saved.clone();
            damaged[place] ^= 0x80;
            let mut other = Crowds::default();
            let _either = other.load(1, &damaged, HALF, EPOCH);
            assert!(other.now.values().all(|bits| bits.kept.most() <= ALL));
        }
        // Of the future by a clock that was set back.
        let mut other = Crowds::default();
        assert!(other.load(1, &saved, HALF, EPOCH - i128::from(HALF)));
        assert!(other.now.is_empty() && other.before.is_empty());
    }

    #[test]
    fn bounded_to_those_that_most_share() {
        let mut crowds = Crowds::default();
        for n in 0..8_000 {
            note(&mut crowds, HALF, n, 0..(if n % 4 == 1 { 30 } else { 6 }));
        }
        let saved = kept(&crowds);
        assert!(saved.len() <= 107_000, "{}", saved.len());
        let mut again = Crowds::default();
        assert!(again.load(1, &saved, HALF, EPOCH));
        assert_eq!(again.now.len(), MOST);
        for n in (1..8_000).step_by(4) {
            assert!(again.of(1, &source(n)).credentials > 9, "{n}");
        }
        let mut many = saved.clone();
        many.extend_from_slice(&saved[20..]);
        assert!(!Crowds::default().load(1, &many, HALF, EPOCH), "too many");
        // Room for no more than ever.
        for n in 0..super::super::MOST as u32 + 10 {
            again.note(HALF, 2, source(n), None, None);
        }
        assert!(again.now.len() <= super::super::MOST);
        assert!(again.load(1, &saved, HALF, EPOCH));
        assert!(again.now.len() <= super::super::MOST);
    }
}
