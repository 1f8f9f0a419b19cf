//! The metrics of requests, named as OpenTelemetry's semantic conventions for HTTP servers do.
//!
//! A sampled transaction stands for `weight / 65536` of them. Counts are kept in 65536ths and
//! rounded down when they are read, so that nothing is rounded twice and no count ever falls.
//!
//! Series are bounded. Method and status are normalised; a label set that finds no room is counted
//! under the route `__other__`, for which there is half as much room again; when that is full too,
//! everything goes to one last set that says `__other__` throughout.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::hash_map::EntryRef;
use hashbrown::{Equivalent, HashMap};
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily};

use super::def::{self, Def, Kind};
use super::family::{family, labels};
use crate::control::api::RequestCount;
use crate::inventory::route::OTHER;
use crate::sensor::transaction::Transaction;

/// Upper bounds for durations, seconds: OpenTelemetry's, and two for answers out of a cache.
pub const DURATION_BUCKETS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Upper bounds for sizes, bytes.
pub const SIZE_BUCKETS: [f64; 8] = [0.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

/// Methods that are told apart (RFC 9110, section 9; RFC 5789); others are `_OTHER`.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Labels {
    api: Arc<str>,
    route: Arc<str>,
    method: &'static str,
    /// 0: no response was seen; [`OTHER_STATUS`]: one that is none.
    status: u16,
}

/// [`Labels`] that are only looked for, without counting up the references of two names for each
/// request; it hashes as they do.
#[derive(Hash)]
struct Wanted<'a> {
    api: &'a Arc<str>,
    route: &'a Arc<str>,
    method: &'static str,
    status: u16,
}

impl Equivalent<Labels> for Wanted<'_> {
    fn equivalent(&self, labels: &Labels) -> bool {
        (self.status, self.method) == (labels.status, labels.method)
            && *self.route == labels.route
            && *self.api == labels.api
    }
}

impl From<&Wanted<'_>> for Labels {
    fn from(wanted: &Wanted<'_>) -> Self {
        let Wanted { api, route, method, status } = *wanted;
        Self { api: Arc::clone(api), route: Arc::clone(route), method, status }
    }
}

const OTHER_STATUS: u16 = u16::MAX;

fn status_name(status: u16) -> String {
    match status {
        0 => String::new(),
        OTHER_STATUS => OTHER.to_owned(),
        status => status.to_string(),
    }
}

#[derive(Clone, Debug)]
pub(super) struct Buckets<const N: usize> {
    /// In 65536ths, not cumulative; values above the last bound are only in `count`.
    counts: [u64; N],
    pub(super) count: u64,
    sum: f64,
}

impl<const N: usize> Default for Buckets<N> {
    fn default() -> Self {
        Self { counts: [0; N], count: 0, sum: 0.0 }
    }
}

impl<const N: usize> Buckets<N> {
    pub(super) fn observe(&mut self, value: f64, weight: u32, bounds: &[f64; N]) {
        let weight64 = u64::from(weight);
        if let Some(at) = bounds.iter().position(|bound| value <= *bound) {
            self.counts[at] = self.counts[at].saturating_add(weight64);
        }
        self.count = self.count.saturating_add(weight64);
        self.sum += value * f64::from(weight) / 65536.0;
    }

    /// How many there are, how many were at most each of the bounds, and their sum.
    pub(super) fn cumulative(&self) -> (u64, Vec<u64>, f64) {
        let mut below = 0_u64;
        let counts = self.counts.iter().map(|count| {
            below = below.saturating_add(*count);
            below >> 16
        });
        (self.count >> 16, counts.collect(), self.sum)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.counts.iter_mut().zip(other.counts) {
            *ours = ours.saturating_add(theirs);
        }
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
    }

    pub(super) fn metric(
        &self,
        bounds: &[f64; N],
        labels: Vec<prometheus::proto::LabelPair>,
    ) -> Metric {
        let (count, below, sum) = self.cumulative();
        let buckets = below.into_iter().zip(bounds).map(|(below, bound)| {
            let mut bucket = Bucket::default();
            bucket.set_cumulative_count(below);
            bucket.set_upper_bound(*bound);
            bucket
        });
        let buckets = buckets.collect();
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(count);
        histogram.set_sample_sum(sum);
        let mut metric = Metric::default();
        metric.set_label(labels);
        metric.set_histogram(histogram);
        metric
    }
}

#[derive(Clone, Debug, Default)]
struct Series {
    /// All of them, in 65536ths.
    requests: u64,
    duration: Buckets<16>,
    request: Buckets<8>,
    response: Buckets<8>,
}

/// The histograms of requests.
#[derive(Debug)]
pub(super) struct HttpMetrics {
    series: HashMap<Labels, Series>,
    capacity: usize,
    overflow: u64,
}

impl HttpMetrics {
    pub(super) fn new(capacity: usize) -> Self {
        Self { series: HashMap::new(), capacity, overflow: 0 }
    }

    /// Counts a transaction that came in; one that left the host is not this host's to count.
    pub(super) fn observe(&mut self, api: &Arc<str>, route: &Arc<str>, transaction: &Transaction) {
        if !transaction.inbound {
            return;
        }
        let wanted = Wanted {
            api,
            route,
            method: METHODS
                .into_iter()
                .find(|method| *method == transaction.method)
                .unwrap_or("_OTHER"),
            status: match transaction.status {
                None => 0,
                Some(status @ 100..=599) => status,
                Some(_) => OTHER_STATUS,
            },
        };
        let weight = transaction.weight.max(1 << 16);
        let series = self.series(&wanted);
        series.requests = series.requests.saturating_add(weight.into());
        if let Some(latency) = transaction.latency {
            // Exact to the nanosecond for a hundred days.
            let seconds = latency as f64 / 1e9;
            series.duration.observe(seconds, weight, &DURATION_BUCKETS);
        }
        if let Some(bytes) = transaction.request_body_bytes {
            series.request.observe(bytes as f64, weight, &SIZE_BUCKETS);
        }
        if let Some(bytes) = transaction.response_body_bytes {
            series.response.observe(bytes as f64, weight, &SIZE_BUCKETS);
        }
    }

    fn series(&mut self, wanted: &Wanted<'_>) -> &mut Series {
        if self.series.len() < self.capacity {
            return match self.series.entry_ref(wanted) {
                EntryRef::Occupied(entry) => entry.into_mut(),
                EntryRef::Vacant(entry) => {
                    entry.insert_with_key(Labels::from(wanted), Series::default())
                }
            };
        }
        let labels = if self.series.contains_key(wanted) {
            Labels::from(wanted)
        } else {
            self.overflow += 1;
            let other = Labels { route: Arc::from(OTHER), ..Labels::from(wanted) };
            let room = self.series.len() < self.capacity + self.capacity / 2;
            if room || self.series.contains_key(&other) {
                other
            } else {
                let api = Arc::clone(&other.route);
                Labels { api, method: "_OTHER", status: OTHER_STATUS, ..other }
            }
        };
        self.series.entry(labels).or_default()
    }

    /// Label sets now, and requests that found no room for theirs.
    pub(super) fn occupancy(&self) -> (usize, u64) {
        (self.series.len(), self.overflow)
    }

    /// Counts what was counted on routes of an API on those that they are called now.
    pub(super) fn rename(&mut self, api: &str, name: impl Fn(&str) -> Option<Arc<str>>) {
        let moved: Vec<(Labels, Arc<str>)> = self
            .series
            .keys()
            .filter(|labels| *labels.api == *api && *labels.route != *OTHER)
            .filter_map(|labels| Some((labels.clone(), name(&labels.route)?)))
            .filter(|(labels, now)| labels.route != *now)
            .collect();
        for (labels, route) in moved {
            let Some(series) = self.series.remove(&labels) else { continue };
            let into = self.series.entry(Labels { route, ..labels }).or_default();
            into.requests = into.requests.saturating_add(series.requests);
            into.duration.merge(&series.duration);
            into.request.merge(&series.request);
            into.response.merge(&series.response);
        }
    }

    /// Forgets the series of APIs for which `keep` says no.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.series.retain(|labels, _| keep(&labels.api) || &*labels.api == OTHER);
    }

    /// Requests by API and status.
    pub(super) fn by_status(&self) -> Vec<RequestCount> {
        let mut sums: BTreeMap<(Arc<str>, u16), (u64, Buckets<16>)> = BTreeMap::new();
        for (labels, series) in &self.series {
            let key = (Arc::clone(&labels.api), labels.status);
            let (requests, duration) = sums.entry(key).or_default();
            *requests = requests.saturating_add(series.requests);
            duration.merge(&series.duration);
        }
        let counts = sums.into_iter().map(|((api, status), (requests, duration))| {
            let (timed, buckets, seconds) = duration.cumulative();
            let (api, status) = (api.to_string(), status_name(status));
            RequestCount { api, status, requests: requests >> 16, timed, buckets, seconds }
        });
        counts.collect()
    }

    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let mut all: [Vec<Metric>; 3] = Default::default();
        for (labels, series) in &self.series {
            let status = status_name(labels.status);
            let pairs = |def: &Def| {
                self::labels(def, &[labels.method, &labels.route, &status, &labels.api])
            };
            let Series { duration, request, response, .. } = series;
            if duration.count > 0 {
                let pairs = pairs(&def::REQUEST_DURATION);
                all[0].push(duration.metric(&DURATION_BUCKETS, pairs));
            }
            if request.count > 0 {
                all[1].push(request.metric(&SIZE_BUCKETS, pairs(&def::REQUEST_BODY)));
            }
            if response.count > 0 {
                all[2].push(response.metric(&SIZE_BUCKETS, pairs(&def::RESPONSE_BODY)));
            }
        }
        let defs = [def::REQUEST_DURATION, def::REQUEST_BODY, def::RESPONSE_BODY];
        defs.into_iter()
            .zip(all)
            .map(|(def, metrics)| family(def.name.to_owned(), def.help, Kind::Histogram, metrics))
            .collect()
    }
}
