//! The metrics of flows: what they carried, how TCP connections opened and what went wrong in them.
//!
//! Weights are kept as those of requests are, see [`super::http`]. Every label but the API's name has
//! a few values, and APIs are as many as the policy has.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::proto::{Metric, MetricFamily};

use super::def::{self, Kind};
use super::family::{family, labels, rows};
use super::http::{Buckets, DURATION_BUCKETS};
use crate::sensor::FlowSummary;

#[derive(Debug, Default)]
struct Series {
    handshakes: Buckets<16>,
    /// By what was carried and how it opened, in 65536ths.
    flows: BTreeMap<[&'static str; 2], u64>,
    /// By event and side, in 65536ths.
    events: BTreeMap<[&'static str; 2], u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FlowMetrics {
    series: BTreeMap<Arc<str>, Series>,
}

impl FlowMetrics {
    /// Counts a flow that came in and is over.
    pub(super) fn flow(&mut self, api: &Arc<str>, flow: &FlowSummary) {
        if !flow.inbound {
            return;
        }
        let weight = u64::from(flow.weight.max(1 << 16));
        let series = match self.series.get_mut(api) {
            Some(series) => series,
            None => self.series.entry(Arc::clone(api)).or_default(),
        };
        let opening = flow.tcp.map_or("", |tcp| tcp.opening.name());
        let count = series.flows.entry([flow.application.name(), opening]).or_default();
        *count = count.saturating_add(weight);
        let Some(tcp) = flow.tcp else { return };
        if let Some(handshake) = tcp.handshake {
            let weight = flow.weight.max(1 << 16);
            series.handshakes.observe(handshake as f64 / 1e9, weight, &DURATION_BUCKETS);
        }
        let heads = [u64::from(tcp.unfinished_head), 0];
        for (event, counts) in [
            ("retransmission", tcp.retransmissions),
            ("reset", tcp.resets),
            ("zero_window", tcp.zero_windows),
            ("unfinished_head", heads),
        ] {
            for (side, times) in ["client", "server"].into_iter().zip(counts) {
                if times > 0 {
                    let count = series.events.entry([event, side]).or_default();
                    *count = count.saturating_add(times.saturating_mul(weight));
                }
            }
        }
    }

    /// Forgets the series of APIs for which `keep` says no.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.series.retain(|api, _| keep(api));
    }

    pub(super) fn families(&self) -> [MetricFamily; 3] {
        let counts = |of: fn(&Series) -> &BTreeMap<[&'static str; 2], u64>| {
            self.series.iter().flat_map(move |(api, series)| {
                let row = move |([a, b], count): (&[&'static str; 2], &u64)| {
                    ([&**api, *a, *b], (count >> 16) as f64)
                };
                of(series).iter().map(row)
            })
        };
        let def = &def::TCP_HANDSHAKE_DURATION;
        let seen = self.series.iter().filter(|(_, series)| series.handshakes.count > 0);
        let histograms: Vec<Metric> = seen
            .map(|(api, series)| series.handshakes.metric(&DURATION_BUCKETS, labels(def, &[api])))
            .collect();
        [
            rows(&def::FLOWS, counts(|series| &series.flows)),
            family(def.name.to_owned(), def.help, Kind::Histogram, histograms),
            rows(&def::TCP_EVENTS, counts(|series| &series.events)),
        ]
    }
}
