//! Quotas: how many requests a source may send in a window, counted out of what the sensor sees.
//!
//! Windows are fixed: they begin at whole minutes, hours and days of UTC, so that a source may send
//! twice its quota around the turn of one. A sampled request counts for as many as it stands for: with a
//! share s of flows sampled, a count of n requests over k flows of equal size has a standard error of n·√((1−s)/(s·k)).

use std::collections::{HashMap, HashSet};

use crate::detect::Source;

/// Sources that are counted at once, all APIs together.
const MOST: usize = 262_144;

/// So many requests in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests.
    pub amount: u64,
    /// Length of the window, seconds.
    pub window: u64,
}

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Consumer {
    /// Stable id of the API.
    pub api: u32,
    /// The source.
    pub source: Source,
    /// Keyed hash of the credential, where addresses do not tell users apart.
    pub user: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    /// When its window began, seconds since 1970, and how long it is.
    start: u64,
    window: u64,
    /// Requests, in 65536ths.
    used: u64,
    /// It was told that it is too many.
    told: bool,
}

/// A quota that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Requests so far.
    pub used: u64,
    /// When the window began, seconds since 1970.
    pub start: u64,
    /// When it ends.
    pub until: u64,
}

/// What a consumer had used when it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Who.
    pub consumer: Consumer,
    /// When the window began, seconds since 1970.
    pub start: u64,
    /// Its length, seconds.
    pub window: u64,
    /// Requests, in 65536ths.
    pub used: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Quotas {
    counts: HashMap<Consumer, Count>,
    changed: HashSet<Consumer>,
    full: u64,
}

impl Quotas {
    /// Counts a request that stands for `weight` 65536ths, at a time in seconds since 1970. Says when
    /// it is too many, until [`Self::told`].
    pub fn note(
        &mut self,
        now: u64,
        consumer: Consumer,
        quota: Quota,
        weight: u32,
    ) -> Option<Exceeded> {
        let window = quota.window.max(1);
        let start = now - now % window;
        let fresh = Count { start, window, used: 0, told: false };
        if !self.counts.contains_key(&consumer) && self.counts.len() >= MOST {
            self.counts.retain(|_, count| count.start.saturating_add(count.window) > now);
            if self.counts.len() >= MOST {
                self.full += 1;
                return None;
            }
        }
        let count = self.counts.entry(consumer).or_insert(fresh);
        // A clock that is set back a little opens no new window, one that was far ahead does.
        if start > count.start || count.start > now.saturating_add(window) || count.window != window
        {
            *count = fresh;
        }
        count.used = count.used.saturating_add(u64::from(weight.max(1 << 16)));
        self.changed.insert(consumer);
        let used = count.used >> 16;
        let until = count.start.saturating_add(window);
        (used > quota.amount && !count.told).then_some(Exceeded { used, start: count.start, until })
    }

    /// That it is too many was told, and is not to be told again in this window.
    pub fn told(&mut self, consumer: &Consumer) {
        if let Some(count) = self.counts.get_mut(consumer) {
            count.told = true;
        }
    }

    /// Goes on with what was written down.
    pub fn restore(&mut self, used: Used) {
        let Used { consumer, start, window, used } = used;
        if self.counts.len() < MOST {
            self.counts.insert(consumer, Count { start, window, used, told: false });
        }
    }

    /// What changed since this was asked last. Who is known by a credential only is left out: its hash
    /// is another after a restart.
    pub fn take_changes(&mut self) -> Vec<Used> {
        let changed = std::mem::take(&mut self.changed);
        let of = |consumer: Consumer| {
            let count = self.counts.get(&consumer)?;
            let Count { start, window, used, .. } = *count;
            Some(Used { consumer, start, window, used })
        };
        changed.into_iter().filter(|consumer| consumer.user.is_none()).filter_map(of).collect()
    }

    /// Forgets APIs that are gone, and windows that are over.
    pub fn retain(&mut self, now: u64, keep: impl Fn(u32) -> bool) {
        self.counts.retain(|consumer, count| {
            keep(consumer.api) && count.start.saturating_add(count.window) > now
        });
    }

    /// Sources that are counted, and requests of sources for which there was no room.
    pub fn occupancy(&self) -> (usize, u64) {
        (self.counts.len(), self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u32 = 1 << 16;
    const DAY: u64 = 86_400;

    fn consumer(n: u32, user: Option<u64>) -> Consumer {
        let source = Source::from(std::net::IpAddr::from(std::net::Ipv4Addr::from(n)));
        Consumer { api: 1, source, user }
    }

    #[test]
    fn windows_weights_and_clocks() {
        let quota = Quota { amount: 3, window: DAY };
        // Time, weight, whether it is too many, and whether that is told then.
        let noon = 20_000 * DAY + DAY / 2;
        let steps = [
            (noon, ONE, None, false),
            (noon + 1, ONE, None, false),
            (noon + 2, ONE, None, false),
            (noon + 3, ONE, Some(4), false),
            (noon + 4, ONE, Some(5), true),
            (noon + 5, ONE, None, false),
            // The clock is set back over midnight: no new window.
            (noon - DAY, ONE, None, false),
            (noon + DAY / 2, ONE, None, false),
            (noon + DAY / 2 + 1, 3 * ONE, Some(4), false),
            (noon + DAY / 2 + 2, ONE / 7, Some(5), false),
        ];
        let mut quotas = Quotas::default();
        for (place, (now, weight, expected, tell)) in steps.into_iter().enumerate() {
            let found = quotas.note(now, consumer(7, None), quota, weight);
            assert_eq!(found.map(|exceeded| exceeded.used), expected, "step {place}");
            if let Some(exceeded) = found {
                assert!(exceeded.start <= now && exceeded.until > now, "{exceeded:?}");
            }
            if tell {
                quotas.told(&consumer(7, None));
            }
        }
        // A clock that was a year ahead.
        let mut quotas = Quotas::default();
        quotas.note(noon + 365 * DAY, consumer(7, None), quota, 9 * ONE);
        assert_eq!(quotas.note(noon, consumer(7, None), quota, ONE), None);
    }

    #[test]
    fn users_are_told_apart_and_counts_come_back() {
        let quota = Quota { amount: 1, window: 3_600 };
        let mut quotas = Quotas::default();
        for user in [None, Some(1), Some(2)] {
            assert_eq!(quotas.note(5, consumer(7, user), quota, ONE), None);
        }
        assert!(quotas.note(6, consumer(7, Some(2)), quota, ONE).is_some());
        let kept = quotas.take_changes();
        assert_eq!(kept.len(), 1, "hashes of credentials are not kept: {kept:?}");
        assert!(quotas.take_changes().is_empty());
        let mut again = Quotas::default();
        again.restore(kept[0]);
        let found = again.note(7, consumer(7, None), quota, ONE);
        assert_eq!(found, Some(Exceeded { used: 2, start: 0, until: 3_600 }));
        again.retain(7, |api| api == 1);
        assert_eq!(again.occupancy(), (1, 0));
        again.retain(3_600, |_| true);
        assert_eq!(again.occupancy(), (0, 0));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let quota = Quota { amount: 0, window: 60 };
        let mut quotas = Quotas::default();
        for n in 0..MOST as u32 {
            quotas.note(0, consumer(n, None), quota, ONE);
        }
        assert_eq!(quotas.note(59, consumer(u32::MAX, None), quota, ONE), None);
        assert_eq!(quotas.occupancy(), (MOST, 1));
        assert!(quotas.note(60, consumer(u32::MAX, None), quota, ONE).is_some(), "room was made");
        assert_eq!(quotas.occupancy(), (1, 1));
    }
}
