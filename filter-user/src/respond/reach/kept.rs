//! The last hour over restarts, as bytes: at most 90 kB for an API.
//!
//! A sample is of those with the lowest hashes, so it goes on only under the seed it was drawn with,
//! which is kept beside it. Times become wall time on the way: the clock of the records begins anew at
//! a boot.

use std::collections::{HashMap, VecDeque};

use super::{Reach, SAMPLE, SLOTS, Seen, Slot, TOP, hash, signed};
use crate::detect::Source;
use crate::detect::codec::{Reader, Writer};

/// Of what [`Reach::save`] writes; other versions are begun anew.
const VERSION: u32 = 2;

impl Reach {
    /// What samples are drawn by, to be kept and given to [`Self::sow`].
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Draws samples by this seed from now on, where none was drawn yet.
    pub fn sow(&mut self, seed: u64) {
        if self.apis.is_empty() {
            self.seed = seed;
        }
    }

    /// The last hour of an API, as bytes that [`Self::load`] takes up; none when nobody was served.
    /// `epoch` is what to add to its times for ns since 1970.
    pub fn save(&self, api: u32, epoch: i128) -> Option<Vec<u8>> {
        let slots = self.apis.get(&api).filter(|slots| !slots.is_empty())?;
        let mut to = Writer::default();
        to.u32(VERSION);
        to.u64(self.seed);
        for slot in slots {
            slot.write(epoch, &mut to);
        }
        Some(to.0)
    }

    /// Takes up what [`Self::save`] wrote, as far as it is of the last hour and not of the future, which
    /// a clock that was set back makes of it. False, and nothing is taken up, when it is damaged, of
    /// another version, or drawn by another seed.
    pub fn load(&mut self, api: u32, saved: &[u8], now: u64, epoch: i128) -> bool {
        let mut from = Reader(saved);
        if from.u32() != Some(VERSION) || from.u64() != Some(self.seed) {
            return false;
        }
        let mut kept = VecDeque::new();
        while !from.is_empty() {
            match Slot::read(&mut from, self.seed, epoch) {
                Some(slot) if kept.len() < SLOTS => kept.push_back(slot),
                _ => return false,
            }
        }
        let now = signed(now);
        kept.retain(|slot| slot.start <= now && slot.end() > now - signed(super::HOUR));
        let slots = self.apis.entry(api).or_default();
        kept.append(slots);
        kept.drain(..kept.len().saturating_sub(SLOTS));
        *slots = kept;
        true
    }
}

impl Slot {
    fn write(&self, epoch: i128, to: &mut Writer) {
        to.i128(i128::from(self.start) + epoch);
        to.u64(self.requests);
        to.u64(self.threshold);
        to.u16(self.sample.len() as u16);
        for (source, seen) in &self.sample {
            source.write(to);
            to.u64(seen.requests);
        }
        to.u16(self.top.len() as u16);
        for (source, (count, others)) in &self.top {
            source.write(to);
            to.u64(*count);
            to.u64(*others);
        }
    }

    fn read(from: &mut Reader<'_>, seed: u64, epoch: i128) -> Option<Self> {
        let start = i64::try_from(from.i128()?.checked_sub(epoch)?).ok()?;
        let (requests, threshold) = (from.u64()?, from.u64()?);
        let number = usize::from(from.u16()?);
        let mut sample = HashMap::default();
        for _ in 0..Some(number).filter(|number| *number <= 2 * SAMPLE)? {
            let source = Source::read(from)?;
            let seen = Seen { hash: hash(seed, &source), requests: from.u64()? };
            // A sample holds none with a higher hash.
            sample.insert(source, Some(seen).filter(|seen| seen.hash <= threshold)?);
        }
        let number = usize::from(from.u16()?);
        let mut top = HashMap::default();
        for _ in 0..Some(number).filter(|number| *number <= TOP)? {
            let source = Source::read(from)?;
            let (count, others) = (from.u64()?, from.u64()?);
            // What may have been another's is a part of the count.
            top.insert(source, Some((count, others)).filter(|_| others <= count)?);
        }
        Some(Self { start, requests, threshold, sample, top })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::respond::reach::{HOUR, Hit, SLOT};

    const EPOCH: i128 = 1_700_000_000_000_000_000;

    fn source(n: u32) -> Source {
        let v4 = std::net::Ipv4Addr::from(0x0a00_0000 + n);
        let v6 = v4.to_ipv6_mapped();
        if n.is_multiple_of(3) {
            Source { address: v6.into(), length: 128 }
        } else {
            Source::from(IpAddr::from(v4))
        }
    }

    /// Six slots of so many sources, of whom the first asks more.
    fn hour(sources: u32) -> Reach {
        let mut reach = Reach::default();
        for slot in 0..6 {
            for n in 0..sources {
                reach.note(slot * SLOT + 1, 1, source(n), 1 << 16);
            }
            for _ in 0..sources {
                reach.note(slot * SLOT + 1, 1, source(0), 1 << 16);
            }
        }
        reach
    }

    fn again(reach: &Reach) -> Reach {
        let mut again = Reach::default();
        again.sow(reach.seed());
        again
    }

    #[test]
    fn the_hour_goes_on_after_a_restart_and_a_boot() {
        for sources in [20, 5_000] {
            let reach = hour(sources);
            let now = HOUR - 1;
            let saved = reach.save(1, EPOCH).expect("somebody was served");
            assert!(saved.len() < 90_000, "{}", saved.len());
            let all = reach.hit(now, 1, |_, _| true);
            let first = reach.hit(now, 1, |other, _| *other == source(0));
            assert_eq!(all.of_requests, u64::from(12 * sources));
            // The clock goes on, and begins anew: the same time of the wall.
            for (now, epoch) in [(now, EPOCH), (5, EPOCH + i128::from(now) - 5)] {
                let mut other = again(&reach);
                assert!(other.load(1, &saved, now, epoch));
                assert_eq!(other.hit(now, 1, |_, _| true), all, "{sources} at {now}");
                assert_eq!(other.hit(now, 1, |other, _| *other == source(0)), first);
                // And it passes: half an hour later two slots are over, two hours later all.
                let half = other.hit(now + HOUR / 2, 1, |_, _| true);
                assert_eq!(half.of_requests, u64::from(8 * sources));
                assert_eq!(other.hit(now + 2 * HOUR, 1, |_, _| true), Hit::default());
                // What comes is counted on top, by the same sample.
                other.note(now, 1, source(0), 3 << 16);
                assert_eq!(other.hit(now, 1, |_, _| true).of_requests, all.of_requests + 3);
                assert!(other.apis[&1].len() <= SLOTS);
            }
        }
        assert_eq!(Reach::default().save(1, EPOCH), None);
    }

    #[test]
    fn what_is_not_that_is_not_taken_up() {
        let reach = hour(40);
        let saved = reach.save(1, EPOCH).expect("somebody was served");
        assert!(!Reach::default().load(1, &saved, HOUR, EPOCH), "another seed");
        let mut sown = hour(1);
        sown.sow(reach.seed());
        assert_ne!(sown.seed(), reach.seed(), "its samples are drawn by its own");
        let whole: Vec<usize> = (0..=saved.len())
            .filter(|length| again(&reach).load(1, &saved[..*length], HOUR, EPOCH))
            .collect();
        assert_eq!(whole.len(), 7, "cut between slots only: {whole:?}");
        for place in 0..saved.len() {
            let mut damaged = saved.clone();
            damaged[place] ^= 0x80;
            let mut other = again(&reach);
            let _either = other.load(1, &damaged, HOUR, EPOCH);
            let slots = other.apis.get(&1).into_iter().flatten();
            for slot in slots {
                assert!(slot.sample.len() <= 2 * SAMPLE && slot.top.len() <= TOP);
            }
        }
        // Of the future by a clock that was set back, and of long ago.
        for epoch in [EPOCH - 2 * i128::from(HOUR), EPOCH + 2 * i128::from(HOUR)] {
            let mut other = again(&reach);
            assert!(other.load(1, &saved, HOUR, epoch));
            assert_eq!(other.hit(HOUR, 1, |_, _| true), Hit::default());
        }
        // More slots than an hour has.
        let mut many = saved.clone();
        many.extend_from_slice(&saved[12..]);
        assert!(!again(&reach).load(1, &many, HOUR, EPOCH));
    }
}
