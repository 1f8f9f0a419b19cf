//! What is remembered of one source, or of one user of it, at one API.

use super::distinct::Distinct;
use super::gaps::Gaps;
use super::table::Keyed;
use crate::detect::source::Source;

/// The user of a record that stands for its source as a whole.
pub(crate) const WHOLE: u64 = 0;
/// The user of a record that stands for those requests of a source that carry no credential, where
/// others do.
pub(crate) const NOBODY: u64 = 1;

/// Somebody at an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    pub(crate) api: u32,
    pub(crate) source: Source,
    /// [`WHOLE`], [`NOBODY`] or the hash of a credential.
    pub(crate) user: u64,
}

impl Who {
    /// The credential that tells this user from others of the source.
    pub(crate) fn credential(&self) -> Option<u64> {
        (self.user > NOBODY).then_some(self.user)
    }
}

/// See the module. Times are seconds on the table's own clock.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) who: Who,
    pub(crate) hash: u64,
    /// When the window began, and the last request was.
    pub(crate) since: u32,
    pub(crate) last: u32,
    /// Requests of the window, those they stand for, and those without a handshake.
    pub(crate) requests: u32,
    pub(crate) weight: f32,
    pub(crate) forged: u32,
    /// Paths that are not there, and requests for them.
    pub(crate) missing: Distinct,
    pub(crate) missing_requests: u32,
    /// Pages that are.
    pub(crate) pages: Distinct,
    pub(crate) gaps: Gaps,
    /// When the minute began, and bytes sent in it.
    pub(crate) minute: u32,
    pub(crate) minute_bytes: f32,
    /// The same of the day.
    pub(crate) day: u32,
    pub(crate) day_bytes: f32,
    /// Users of the window. Only of a whole source, as are the next two.
    pub(crate) users: Distinct,
    /// The first user of the window.
    pub(crate) sole: u64,
    /// There are several users.
    pub(crate) shared: bool,
    /// Detectors with a finding, a bit each.
    pub(crate) open: u8,
    /// It is to be looked at by the next tick.
    pub(crate) pending: bool,
}

impl Record {
    pub(crate) fn new(who: Who, hash: u64, now: u32) -> Self {
        Self {
            who,
            hash,
            since: now,
            last: now,
            requests: 0,
            weight: 0.0,
            forged: 0,
            missing: Distinct::default(),
            missing_requests: 0,
            pages: Distinct::default(),
            gaps: Gaps::default(),
            minute: now,
            minute_bytes: 0.0,
            day: now,
            day_bytes: 0.0,
            users: Distinct::default(),
            sole: WHOLE,
            shared: false,
            open: 0,
            pending: false,
        }
    }

    /// How many people it stands for, at least 1.
    pub(crate) fn people(&self) -> f64 {
        if self.shared { self.users.count().max(1.0) } else { 1.0 }
    }

    /// How many requests each one seen stands for, at least 1.
    pub(crate) fn mean_weight(&self) -> f64 {
        (f64::from(self.weight) / f64::from(self.requests.max(1))).max(1.0)
    }

    /// Whether anyone could have sent enough of it from a forged address.
    pub(crate) fn forgeable(&self) -> bool {
        self.forged * 10 > self.requests
    }

    /// Begins a new window.
    pub(crate) fn begin(&mut self, now: u32) {
        self.since = now;
        self.requests = 0;
        self.weight = 0.0;
        self.forged = 0;
        self.missing = Distinct::default();
        self.missing_requests = 0;
        self.pages = Distinct::default();
        self.gaps.begin();
        self.shared = self.users.count() > 1.5;
        self.users = Distinct::default();
        self.sole = WHOLE;
    }
}

impl Keyed for Record {
    type Key = Who;

    fn key(&self) -> Who {
        self.who
    }

    fn hash(&self) -> u64 {
        self.hash
    }

    /// Whoever asked often stays, halved for every four minutes since.
    fn worth(&self, now: u32) -> u64 {
        if self.open != 0 {
            return u64::MAX;
        }
        let idle = (now.saturating_sub(self.last) / 256).min(40);
        (u64::from(self.requests) << 20 | 1 << 20) >> idle
    }
}

/// What is remembered of one source, or user, at one route with objects.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) who: Who,
    /// Key of the route.
    pub(crate) route: u64,
    pub(crate) hash: u64,
    /// When the window began, and the last request was.
    pub(crate) since: u32,
    pub(crate) last: u32,
    pub(crate) requests: u32,
    pub(crate) weight: f32,
    pub(crate) forged: u32,
    /// Of the requests, those answered 2xx or 3xx, and 401, 403, 404 or 410.
    pub(crate) granted: u32,
    pub(crate) refused: u32,
    pub(crate) objects: Distinct,
    /// When the day began, and its objects.
    pub(crate) day: u32,
    pub(crate) day_objects: Distinct,
    /// The number of the last object.
    pub(crate) number: Option<u64>,
    /// The step that is most common so far, with its lead over others (Boyer and Moore's vote).
    pub(crate) stride: i64,
    pub(crate) lead: u16,
    /// Steps that were the most common one, and all of them.
    pub(crate) hits: u32,
    pub(crate) steps: u32,
    /// It stands for several users.
    pub(crate) shared: bool,
    /// It has a finding.
    pub(crate) open: bool,
    /// It is to be looked at by the next tick.
    pub(crate) pending: bool,
}

impl Pair {
    pub(crate) fn new(who: Who, route: u64, hash: u64, now: u32) -> Self {
        Self {
            who,
            route,
            hash,
            since: now,
            last: now,
            requests: 0,
            weight: 0.0,
            forged: 0,
            granted: 0,
            refused: 0,
            objects: Distinct::default(),
            day: now,
            day_objects: Distinct::default(),
            number: None,
            stride: 0,
            lead: 0,
            hits: 0,
            steps: 0,
            shared: false,
            open: false,
            pending: false,
        }
    }

    /// The number of the next object asked for.
    pub(crate) fn step(&mut self, number: Option<u64>) {
        if let (Some(before), Some(number)) = (self.number, number)
            && before != number
        {
            let step = number.wrapping_sub(before).cast_signed();
            self.steps += 1;
            if step == self.stride {
                self.hits += 1;
                self.lead = self.lead.saturating_add(1);
            } else if self.lead == 0 {
                self.stride = step;
                self.lead = 1;
            } else {
                self.lead -= 1;
            }
        }
        self.number = number.or(self.number);
    }

    /// Begins a new window; half of the steps stay known.
    pub(crate) fn begin(&mut self, now: u32) {
        self.since = now;
        self.requests = 0;
        self.weight = 0.0;
        self.forged = 0;
        self.granted = 0;
        self.refused = 0;
        self.objects = Distinct::default();
        self.shared = false;
        // So that slow steps add up.
        self.hits /= 2;
        self.steps /= 2;
    }

    pub(crate) fn mean_weight(&self) -> f64 {
        (f64::from(self.weight) / f64::from(self.requests.max(1))).max(1.0)
    }

    pub(crate) fn forgeable(&self) -> bool {
        self.forged * 10 > self.requests
    }
}

impl Keyed for Pair {
    type Key = (Who, u64);

    fn key(&self) -> (Who, u64) {
        (self.who, self.route)
    }

    fn hash(&self) -> u64 {
        self.hash
    }

    fn worth(&self, now: u32) -> u64 {
        if self.open {
            return u64::MAX;
        }
        let idle = (now.saturating_sub(self.last) / 256).min(40);
        (u64::from(self.requests) << 20 | 1 << 20) >> idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_fit() {
        // 1,000,000 sources and 500,000 pairs, with what leads to them: four bytes, half full at
        // worst a quarter.
        let bytes = 1_000_000 * (size_of::<Record>() + 16) + 500_000 * (size_of::<Pair>() + 16);
        assert!(bytes < 450 << 20, "{} and {}", size_of::<Record>(), size_of::<Pair>());
    }

    #[test]
    fn strides() {
        let who =
            Who { api: 1, source: Source::from(std::net::IpAddr::from([1, 2, 3, 4])), user: 0 };
        for (what, numbers, stride, hits) in [
            ("up", (0..50).collect::<Vec<u64>>(), 1, 48),
            ("down", (0..50).rev().collect(), -1, 48),
            ("by sevens", (0..50).map(|number| number * 7).collect(), 7, 48),
            ("each twice", (0..50).flat_map(|number| [number, number]).collect(), 1, 48),
            (
                "one in five elsewhere",
                (0..50).map(|n| if n % 5 == 0 { 900 + n } else { n }).collect(),
                1,
                28,
            ),
        ] {
            let mut pair = Pair::new(who, 1, 1, 0);
            numbers.iter().for_each(|number| pair.step(Some(*number)));
            assert_eq!(pair.stride, stride, "{what}");
            assert!(pair.hits.abs_diff(hits) <= 2, "{what}: {} of {}", pair.hits, pair.steps);
        }
    }
}
