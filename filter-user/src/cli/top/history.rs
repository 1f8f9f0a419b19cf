//! From counts to rates: what the latest answers of the daemon say together. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::control::api::{PacketCounts, RequestCount, Top};

/// Columns of a spark at most, one for each answer.
const SPARK: usize = 120;
/// Latencies are of so long a span, ns: single answers of a quiet API say little.
const WINDOW: u64 = 60_000_000_000;
/// Answers of that span that are kept.
const MARKS: usize = 64;

/// What comes in and goes out, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Flow {
    pub(super) pass: f64,
    pub(super) drop: f64,
    pub(super) would: f64,
    /// Bytes that came in.
    pub(super) bytes: f64,
    /// Bytes that went out.
    pub(super) sent: f64,
}

impl Flow {
    pub(super) fn packets(&self) -> f64 {
        self.pass + self.drop + self.would
    }

    fn add(&mut self, other: &Self) {
        self.pass += other.pass;
        self.drop += other.drop;
        self.would += other.would;
        self.bytes += other.bytes;
        self.sent += other.sent;
    }
}

/// How long a share of the requests took at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quantile {
    /// Nothing was timed.
    Unknown,
    /// Seconds.
    At(f64),
    /// More seconds than are told apart.
    Beyond(f64),
}

/// Requests with what they have in common, over the window.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Requests {
    /// Since the daemon started.
    pub(super) total: u64,
    /// In the window.
    pub(super) recent: u64,
    /// Of these, with a status of 400 or more.
    pub(super) errors: u64,
    /// Of these, how many were timed.
    timed: u64,
    /// Cumulative.
    buckets: Vec<u64>,
}

impl Requests {
    fn add(&mut self, now: &RequestCount, before: Option<&RequestCount>) {
        self.total += now.requests;
        let less = |of: fn(&RequestCount) -> u64| of(now).saturating_sub(before.map_or(0, of));
        let recent = less(|count| count.requests);
        self.recent += recent;
        if now.status.parse::<u16>().is_ok_and(|status| status >= 400) {
            self.errors += recent;
        }
        self.timed += less(|count| count.timed);
        self.buckets.resize(self.buckets.len().max(now.buckets.len()), 0);
        for (at, (sum, count)) in self.buckets.iter_mut().zip(&now.buckets).enumerate() {
            let held = before.and_then(|before| before.buckets.get(at)).copied().unwrap_or(0);
            *sum += count.saturating_sub(held);
        }
    }

    /// How long the given share of them took at most: within a bucket as if they were spread evenly,
    /// which is what Prometheus assumes.
    pub(super) fn quantile(&self, share: f64, bounds: &[f64]) -> Quantile {
        if self.timed == 0 || bounds.is_empty() {
            return Quantile::Unknown;
        }
        let rank = share * self.timed as f64;
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in bounds.iter().zip(&self.buckets) {
            let count = *count as f64;
            if count >= rank && count > below {
                return Quantile::At(low + (bound - low) * ((rank - below) / (count - below)));
            }
            (low, below) = (*bound, count);
        }
        Quantile::Beyond(low)
    }
}

struct Mark {
    clock: u64,
    requests: Vec<RequestCount>,
}

/// See the module.
#[derive(Default)]
pub(super) struct History {
    latest: Option<Top>,
    before: Option<Top>,
    marks: VecDeque<Mark>,
    /// By the API's name; all together under the empty one.
    sparks: HashMap<String, VecDeque<f64>>,
}

impl History {
    /// Takes the next answer.
    pub(super) fn push(&mut self, top: Top) {
        let (now, was) = (&top.status.daemon, self.latest.as_ref().map(|top| &top.status.daemon));
        let other = was
            .is_some_and(|was| was.pid != now.pid || now.uptime_seconds + 1 < was.uptime_seconds);
        if other {
            // Requests are counted anew; what the kernel counts goes on.
            self.marks.clear();
        }
        let clock = top.clock_ns;
        self.marks.push_back(Mark { clock, requests: top.requests.clone() });
        while self.marks.len() > 2
            && (clock.saturating_sub(self.marks[1].clock) >= WINDOW || self.marks.len() > MARKS)
        {
            self.marks.pop_front();
        }
        self.before = self.latest.replace(top);
        if self.seconds().is_none() {
            return;
        }
        let mut all = Flow::default();
        let names: Vec<String> = self.apis().map(str::to_owned).collect();
        for name in names {
            let flow = self.flow(&name).unwrap_or_default();
            all.add(&flow);
            self.spark_on(&name, flow.packets());
        }
        let unclaimed = self.unclaimed().unwrap_or_default();
        all.add(&unclaimed);
        self.spark_on("", all.packets());
    }

    fn spark_on(&mut self, name: &str, value: f64) {
        let spark = self.sparks.entry(name.to_owned()).or_default();
        spark.push_back(value);
        if spark.len() > SPARK {
            spark.pop_front();
        }
    }

    /// The latest answer.
    pub(super) fn latest(&self) -> Option<&Top> {
        self.latest.as_ref()
    }

    fn apis(&self) -> impl Iterator<Item = &str> {
        let apis = self.latest.iter().flat_map(|top| &top.status.apis);
        apis.map(|api| api.name.as_str())
    }

    /// Between the last two answers; `None`: there was only one.
    fn seconds(&self) -> Option<f64> {
        let (now, was) = (self.latest.as_ref()?, self.before.as_ref()?);
        let span = now.clock_ns.checked_sub(was.clock_ns).filter(|span| *span > 0)?;
        Some(span as f64 / 1e9)
    }

    /// What an API gets and sends.
    pub(super) fn flow(&self, name: &str) -> Option<Flow> {
        let seconds = self.seconds()?;
        let of = |top: &'_ Option<Top>| {
            let apis = &top.as_ref()?.status.apis;
            let api = apis.iter().find(|api| api.name == name)?;
            Some((api.packets, api.egress_bytes))
        };
        let (now, sent) = of(&self.latest)?;
        // An API that is new began with nothing.
        let (was, had) = of(&self.before).unwrap_or_default();
        Some(Flow { sent: sent.saturating_sub(had) as f64 / seconds, ..flow(&now, &was, seconds) })
    }

    /// What no API claims.
    pub(super) fn unclaimed(&self) -> Option<Flow> {
        let seconds = self.seconds()?;
        let (now, was) = (self.latest.as_ref()?, self.before.as_ref()?);
        Some(flow(&now.status.unclaimed, &was.status.unclaimed, seconds))
    }

    /// All together.
    pub(super) fn whole(&self) -> Option<Flow> {
        self.seconds()?;
        let mut all = self.unclaimed().unwrap_or_default();
        self.apis().filter_map(|api| self.flow(api)).for_each(|flow| all.add(&flow));
        Some(all)
    }

    /// Packets of an API with a reason, a second.
    pub(super) fn reason(&self, api: &str, verdict: &str, reason: &str) -> Option<f64> {
        let seconds = self.seconds()?;
        let of = |top: &Option<Top>| {
            let same = |row: &&crate::control::api::ReasonCount| {
                row.api == api && row.verdict == verdict && row.reason == reason
            };
            top.as_ref()?.status.reasons.iter().find(same).map(|row| row.packets)
        };
        let now = of(&self.latest)?;
        Some(now.saturating_sub(of(&self.before).unwrap_or(0)) as f64 / seconds)
    }

    /// Packets a second, of each answer, the latest last.
    pub(super) fn spark(&self, api: &str) -> Vec<f64> {
        self.sparks.get(api).map(|spark| spark.iter().copied().collect()).unwrap_or_default()
    }

    /// The span that [`Requests::recent`] is of, seconds.
    pub(super) fn window(&self) -> Option<f64> {
        let (first, last) = (self.marks.front()?, self.marks.back()?);
        let span = last.clock.checked_sub(first.clock).filter(|span| *span > 0)?;
        Some(span as f64 / 1e9)
    }

    /// Requests by what `key` says of them: API, status or both.
    pub(super) fn requests<K: Ord>(
        &self,
        key: impl Fn(&RequestCount) -> K,
    ) -> BTreeMap<K, Requests> {
        let mut sums: BTreeMap<K, Requests> = BTreeMap::new();
        let (Some(first), Some(last)) = (self.marks.front(), self.marks.back()) else {
            return sums;
        };
        let before: HashMap<(&str, &str), &RequestCount> = first
            .requests
            .iter()
            .map(|count| ((count.api.as_str(), count.status.as_str()), count))
            .collect();
        for count in &last.requests {
            let before = before.get(&(count.api.as_str(), count.status.as_str())).copied();
            sums.entry(key(count)).or_default().add(count, before);
        }
        sums
    }
}

fn flow(now: &PacketCounts, was: &PacketCounts, seconds: f64) -> Flow {
    let rate = |of: fn(&PacketCounts) -> u64| of(now).saturating_sub(of(was)) as f64 / seconds;
    Flow {
        pass: rate(|count| count.pass),
        drop: rate(|count| count.drop),
        would: rate(|count| count.would_drop),
        bytes: rate(|count| count.bytes),
        sent: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::tests::{api, top};

    const BOUNDS: [f64; 3] = [0.1, 0.2, 1.0];

    fn count(status: &str, requests: u64, buckets: [u64; 3]) -> RequestCount {
        RequestCount {
            api: "orders".into(),
            status: status.into(),
            requests,
            timed: requests,
            buckets: buckets.to_vec(),
            seconds: 0.0,
        }
    }

    #[test]
    fn rates_are_differences_over_the_kernels_clock() {
        let mut history = History::default();
        assert_eq!((history.flow("orders"), history.window()), (None, None));
        history.push(Top { clock_ns: 1_000_000_000, ..top(vec![api("orders", [100, 0, 0])]) });
        assert_eq!((history.flow("orders"), history.whole()), (None, None), "one says nothing");
        let apis = vec![api("orders", [150, 10, 5]), api("new", [20, 0, 0])];
        history.push(Top { clock_ns: 3_000_000_000, ..top(apis) });
        let flow = history.flow("orders").unwrap();
        assert_eq!((flow.pass, flow.drop, flow.would), (25.0, 5.0, 2.5));
        assert_eq!(history.flow("new").unwrap().pass, 10.0, "it began with nothing");
        assert_eq!(history.flow("gone"), None);
        assert_eq!(history.whole().unwrap().packets(), 42.5);
        assert_eq!((history.spark("orders"), history.spark("")), (vec![32.5], vec![42.5]));
        // Counters that begin anew are no negative rate, and a clock that stands still is no infinite one.
        history.push(Top { clock_ns: 4_000_000_000, ..top(vec![api("orders", [3, 0, 0])]) });
        assert_eq!(history.flow("orders").unwrap().pass, 0.0);
        history.push(Top { clock_ns: 4_000_000_000, ..top(vec![api("orders", [9, 0, 0])]) });
        assert_eq!(history.flow("orders"), None);
    }

    #[test]
    fn quantiles() {
        let mut sum = Requests::default();
        assert_eq!(sum.quantile(0.5, &BOUNDS), Quantile::Unknown);
        sum.add(&count("200", 100, [50, 90, 98]), None);
        for (share, expected) in [
            (0.25, Quantile::At(0.05)),
            (0.5, Quantile::At(0.1)),
            (0.7, Quantile::At(0.15)),
            (0.94, Quantile::At(0.6)),
            (0.99, Quantile::Beyond(1.0)),
        ] {
            let found = sum.quantile(share, &BOUNDS);
            match (found, expected) {
                (Quantile::At(a), Quantile::At(b)) => assert!((a - b).abs() < 1e-9, "{share}: {a}"),
                _ => assert_eq!(found, expected, "{share}"),
            }
        }
    }

    #[test]
    fn requests_of_the_last_minute() {
        let mut history = History::default();
        let push = |history: &mut History, second: u64, ok: u64, bad: u64| {
            let requests = vec![count("200", ok, [ok, ok, ok]), count("500", bad, [0, 0, bad])];
            let clock_ns = second * 1_000_000_000;
            history.push(Top { clock_ns, requests, ..top(vec![api("orders", [0; 3])]) });
        };
        for second in 0..200 {
            push(&mut history, second, 100 + 10 * second, second);
        }
        assert_eq!(history.window(), Some(60.0));
        let by_api = history.requests(|count| count.api.clone());
        let orders = &by_api["orders"];
        assert_eq!((orders.total, orders.recent, orders.errors), (2289, 660, 60));
        let by_status = history.requests(|count| count.status.clone());
        assert_eq!((by_status["500"].recent, by_status["200"].recent), (60, 600));
        assert_eq!(by_status["200"].quantile(0.5, &BOUNDS), Quantile::At(0.05));
        let Quantile::At(bad) = by_status["500"].quantile(0.5, &BOUNDS) else {
            panic!("no number")
        };
        assert!((bad - 0.6).abs() < 1e-9, "{bad}");
        // Another daemon counts from nothing.
        let mut other = top(vec![api("orders", [0; 3])]);
        other.status.daemon.pid = 4711;
        other.clock_ns = 201_000_000_000;
        other.requests = vec![count("200", 5, [5, 5, 5])];
        history.push(other);
        let by_api = history.requests(|count| count.api.clone());
        assert_eq!((by_api["orders"].total, history.window()), (5, None));
    }
}
