//! Whom an action would hit: the sources that each API served in the last hour and how much they asked
//! for, out of a bounded sample. Who was only refused is nobody whom an action could hurt.
//!
//! Each API has six slots of ten minutes. A slot samples sources by their hash: it keeps those whose
//! hash is below a threshold that falls by itself, so that 256 to 512 sources stay however many there
//! are, each with its own exact count (adaptive sampling; Flajolet, "On adaptive sampling", 1990). Up
//! to 512 sources everything is exact. Beyond, a number of sources is estimated with a standard error of
//! about 1/√256 = 6 %, and a share of them within 3 points. Requests come mostly from few sources, which a
//! sample of sources may miss; so the 32 that ask for most are counted besides (space saving; Metwally,
//! 2005), too low by at most a 32nd of the slot's requests.
//!
//! It outlives the daemon ([`kept`]): a guard that has forgotten whom an API serves lets everything
//! pass, or nothing.

mod kept;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

use crate::detect::hasher::{Keyed, Mixing, mix};
use crate::detect::{SECOND, Source};

/// Slots of an hour.
const SLOTS: usize = 6;
/// Length of a slot, ns.
const SLOT: u64 = 600 * SECOND;
/// All of them, ns.
const HOUR: u64 = SLOT * SLOTS as u64;
/// Sources that a sample is cut down to.
const SAMPLE: usize = 256;
/// Sources that are counted whatever their hash.
const TOP: usize = 32;
/// APIs that are followed.
const MOST_APIS: usize = 4_096;

/// Whom an action would hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hit {
    /// Sources it would cut off that were served in the last hour.
    pub sources: u64,
    /// Of how many.
    pub of_sources: u64,
    /// Requests in the last hour of those it would cut off, as far as they were answered well.
    pub requests: u64,
    /// Of how many.
    pub of_requests: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Reach {
    apis: HashMap<u32, VecDeque<Slot>, Mixing>,
    /// Keys the hashes by which samples are drawn: who knows it can keep out of them.
    seed: u64,
}

impl Default for Reach {
    fn default() -> Self {
        Self { apis: HashMap::default(), seed: RandomState::new().hash_one(0_u8) }
    }
}

#[derive(Debug)]
struct Slot {
    /// ns; of one that was kept over a boot it may be before the clock began.
    start: i64,
    /// Requests that were answered well, in 65536ths.
    requests: u64,
    /// Sources with a hash of at most this are in the sample.
    threshold: u64,
    sample: HashMap<Source, Seen, Keyed>,
    /// Requests counted, and those of them that may have been another's.
    top: HashMap<Source, (u64, u64), Keyed>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    hash: u64,
    requests: u64,
}

/// Nanoseconds of a clock do not reach the highest bit in 292 years.
pub(super) fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

/// By which a source is in a sample or not.
fn hash(seed: u64, source: &Source) -> u64 {
    mix(source.hash(seed), seed ^ u64::from(source.length))
}

impl Slot {
    fn new(start: i64) -> Self {
        let (sample, top) = (HashMap::default(), HashMap::default());
        Self { start, requests: 0, threshold: u64::MAX, sample, top }
    }

    fn end(&self) -> i64 {
        self.start.saturating_add(signed(SLOT))
    }

    fn note(&mut self, source: Source, hash: u64, requests: u64) {
        self.requests = self.requests.saturating_add(requests);
        if hash <= self.threshold {
            let seen = self.sample.entry(source).or_insert(Seen { hash, requests: 0 });
            seen.requests = seen.requests.saturating_add(requests);
            if self.sample.len() > 2 * SAMPLE {
                self.thin();
            }
        }
        if let Some((count, _)) = self.top.get_mut(&source) {
            *count = count.saturating_add(requests);
        } else if self.top.len() < TOP {
            self.top.insert(source, (requests, 0));
        } else if let Some((&least, &(count, _))) = self.top.iter().min_by_key(|(_, count)| count.0)
        {
            self.top.remove(&least);
            self.top.insert(source, (count.saturating_add(requests), count));
        }
    }

    /// Cuts the sample down to those with the lowest hashes.
    fn thin(&mut self) {
        let mut hashes: Vec<u64> = self.sample.values().map(|seen| seen.hash).collect();
        hashes.sort_unstable();
        self.threshold = hashes.get(SAMPLE - 1).copied().unwrap_or(u64::MAX);
        let threshold = self.threshold;
        self.sample.retain(|_, seen| seen.hash <= threshold);
    }
}

impl Reach {
    /// Takes a request into account that was answered well, in 65536ths of how many it stands for. `now`
    /// in ns on one clock; what comes late counts for the newest slot.
    pub fn note(&mut self, now: u64, api: u32, source: Source, weight: u32) {
        if !self.apis.contains_key(&api) && self.apis.len() >= MOST_APIS {
            return;
        }
        let slots = self.apis.entry(api).or_default();
        if slots.back().is_none_or(|slot| signed(now) >= slot.end()) {
            slots.push_back(Slot::new(signed(now - now % SLOT)));
            if slots.len() > SLOTS {
                slots.pop_front();
            }
        }
        let hash = hash(self.seed, &source);
        let requests = u64::from(weight.max(1 << 16));
        if let Some(slot) = slots.back_mut() {
            slot.note(source, hash, requests);
        }
    }

    /// Forgets APIs that are gone.
    pub fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        self.apis.retain(|&api, _| keep(api));
    }

    /// The APIs of which something is known.
    pub fn apis(&self) -> impl Iterator<Item = u32> {
        self.apis.keys().copied()
    }

    /// Whom of an API's last hour it hits to cut off those for which `hits` says so, who are given
    /// with the most requests a second that they sent over ten minutes.
    pub fn hit(&self, now: u64, api: u32, hits: impl Fn(&Source, f64) -> bool) -> Hit {
        let since = signed(now) - signed(HOUR);
        let slots = self.apis.get(&api).into_iter().flatten();
        let slots: Vec<&Slot> = slots.filter(|slot| slot.end() > since).collect();
        let threshold = slots.iter().map(|slot| slot.threshold).min().unwrap_or(u64::MAX);
        // Of those in every sample that would be in each: requests in all, and of their busiest slot.
        let mut sample: HashMap<Source, (u64, u64)> = HashMap::new();
        let mut top: HashMap<Source, (u64, u64)> = HashMap::new();
        let mut all = 0_u64;
        let add = |to: &mut HashMap<Source, (u64, u64)>, source: Source, requests: u64| {
            let (sum, most) = to.entry(source).or_default();
            *sum = sum.saturating_add(requests);
            *most = (*most).max(requests);
        };
        for slot in &slots {
            all = all.saturating_add(slot.requests);
            for (source, seen) in slot.sample.iter().filter(|(_, seen)| seen.hash <= threshold) {
                add(&mut sample, *source, seen.requests);
            }
            for (source, (count, others)) in &slot.top {
                add(&mut top, *source, count - others);
            }
        }
        let rate = |most: u64| (most as f64 / 65_536.0) / (SLOT / SECOND) as f64;
        // How many sources each of the sample stands for.
        let scale = if threshold == u64::MAX { 1.0 } else { u64::MAX as f64 / threshold as f64 };
        let (mut sources, mut requests) = (0_u64, 0.0);
        for (source, (sum, most)) in &sample {
            if hits(source, rate(*most)) {
                sources += 1;
                if !top.contains_key(source) {
                    requests += *sum as f64 * scale;
                }
            }
        }
        let mut heavy = 0_u64;
        for (source, (sum, most)) in &top {
            // A count of the sample is exact.
            let counted = (*sum, *most);
            let (sum, most) = sample.get(source).unwrap_or(&counted);
            if hits(source, rate(*most)) {
                requests += *sum as f64;
                heavy += u64::from(!sample.contains_key(source));
            }
        }
        let known = sample.len() as f64 * scale;
        Hit {
            sources: ((sources as f64 * scale).round() as u64).max(sources.max(heavy)),
            of_sources: known.round() as u64,
            requests: (requests.min(all as f64) / 65_536.0).round() as u64,
            of_requests: all >> 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn source(n: u32) -> Source {
        Source::from(std::net::IpAddr::from(Ipv4Addr::from(0x0a00_0000 + n)))
    }

    #[test]
    fn few_sources_are_counted_exactly_for_an_hour() {
        let mut reach = Reach::default();
        for n in 0..20 {
            for _ in 0..=n {
                reach.note(5 * SECOND, 1, source(n), 1 << 16);
            }
        }
        reach.note(5 * SECOND, 2, source(99), 3 << 16);
        let hit = reach.hit(6 * SECOND, 1, |source, _| source.to_string() == "10.0.0.9");
        assert_eq!(hit, Hit { sources: 1, of_sources: 20, requests: 10, of_requests: 210 });
        let hit = reach.hit(6 * SECOND, 1, |_, rate| rate > 15.5 / 600.0);
        assert_eq!((hit.sources, hit.requests), (5, 16 + 17 + 18 + 19 + 20));
        assert_eq!(reach.hit(6 * SECOND, 2, |_, _| true).requests, 3, "weights count");
        let later = 3_600 * SECOND;
        assert_eq!(reach.hit(later, 1, |_, _| true).of_sources, 20);
        assert_eq!(reach.hit(later + SLOT, 1, |_, _| true), Hit::default(), "an hour is over");
        reach.retain(|api| api == 2);
        assert_eq!(reach.apis().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn many_sources_are_estimated_within_the_bound() {
        // Twenty seeds, as the hash is another each time: the mean error shows the bound.
        let (mut worst, mut sum) = (0.0_f64, 0.0);
        for _ in 0..20 {
            let mut reach = Reach::default();
            for n in 0..20_000 {
                reach.note(u64::from(n % 6) * SLOT / 60, 1, source(n), 1 << 16);
            }
            // One source asks as often as all the others.
            for _ in 0..20_000 {
                reach.note(SLOT / 2, 1, source(50_000), 1 << 16);
            }
            let all = reach.hit(SLOT, 1, |_, _| true);
            let error = (all.of_sources as f64 / 20_001.0 - 1.0).abs();
            (worst, sum) = (worst.max(error), sum + error);
            assert_eq!(all.of_requests, 40_000);
            let half = reach.hit(SLOT, 1, |source, _| match source.address {
                std::net::IpAddr::V4(v4) => u32::from(v4).is_multiple_of(2),
                std::net::IpAddr::V6(_) => false,
            });
            let share = half.sources as f64 / half.of_sources as f64;
            assert!((0.36..0.64).contains(&share), "half: {share}");
            let busy = reach.hit(SLOT, 1, |other, _| *other == source(50_000));
            assert!((19_000..=22_000).contains(&busy.requests), "the busy one: {busy:?}");
            let rest = reach.hit(SLOT, 1, |other, _| *other != source(50_000));
            assert!((12_000..=28_000).contains(&rest.requests), "the others: {rest:?}");
            let slot = &reach.apis[&1][0];
            assert!(slot.sample.len() <= 2 * SAMPLE && slot.top.len() <= TOP);
        }
        assert!(sum / 20.0 < 0.1 && worst < 0.3, "mean {} worst {worst}", sum / 20.0);
    }
}
