//! The metrics of encrypted connections: handshakes, and turns, which stand in for requests.
//!
//! Weights are kept as those of requests are, see [`super::http`]. Every label but the API's name has
//! a few values, and APIs are as many as the policy has.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::proto::{Metric, MetricFamily};

use super::def::{self, Def, Kind};
use super::family::{family, labels, rows};
use super::http::{Buckets, DURATION_BUCKETS};
use crate::control::api::RequestCount;
use crate::sensor::encrypted::{Handshake, TlsVersion, Turn};

/// Protocols that are told apart (RFC 7301's registry); others are `other`.
const PROTOCOLS: [&str; 3] = ["h2", "h3", "http/1.1"];

/// What handshakes are told apart by: transport, version, protocol.
type Kinds = [&'static str; 3];

#[derive(Debug, Default)]
struct Series {
    turns: Buckets<16>,
    durations: Buckets<16>,
    /// In 65536ths.
    handshakes: BTreeMap<Kinds, u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct TlsMetrics {
    series: BTreeMap<Arc<str>, Series>,
}

impl TlsMetrics {
    fn series(&mut self, api: &Arc<str>) -> &mut Series {
        self.series.entry(Arc::clone(api)).or_default()
    }

    /// Counts a handshake that came in.
    pub(super) fn handshake(&mut self, api: &Arc<str>, told: &Handshake) {
        if !told.inbound {
            return;
        }
        let weight = told.weight.max(1 << 16);
        let transport = if told.quic.is_some() { "quic" } else { "tcp" };
        let version = told.best_version().and_then(TlsVersion::known).unwrap_or("other");
        let name = told.alpn_selected.as_ref().or(told.alpn.first());
        let alpn = name.map_or("", |name| {
            PROTOCOLS.into_iter().find(|known| known == name).unwrap_or("other")
        });
        let series = self.series(api);
        let count = series.handshakes.entry([transport, version, alpn]).or_default();
        *count = count.saturating_add(u64::from(weight));
        if let Some(duration) = told.duration {
            series.durations.observe(duration as f64 / 1e9, weight, &DURATION_BUCKETS);
        }
    }

    /// Counts a turn that came in, if its answer was seen to begin.
    pub(super) fn turn(&mut self, api: &Arc<str>, turn: &Turn) {
        if let Some(latency) = turn.latency
            && turn.inbound
        {
            let weight = turn.weight.max(1 << 16);
            self.series(api).turns.observe(latency as f64 / 1e9, weight, &DURATION_BUCKETS);
        }
    }

    /// Forgets the series of APIs for which `keep` says no.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.series.retain(|api, _| keep(api));
    }

    /// Turns by API.
    pub(super) fn turns(&self) -> impl Iterator<Item = RequestCount> {
        let seen = self.series.iter().filter(|(_, series)| series.turns.count > 0);
        seen.map(|(api, series)| {
            let (timed, buckets, seconds) = series.turns.cumulative();
            let (api, status) = (api.to_string(), "tls".to_owned());
            RequestCount { api, status, requests: timed, timed, buckets, seconds }
        })
    }

    pub(super) fn families(&self) -> [MetricFamily; 3] {
        let handshakes = self.series.iter().flat_map(|(api, series)| {
            series.handshakes.iter().map(move |([transport, version, alpn], count)| {
                ([&**api, *transport, *version, *alpn], (count >> 16) as f64)
            })
        });
        [
            self.histogram(&def::TLS_TURN_DURATION, |series| &series.turns),
            self.histogram(&def::TLS_HANDSHAKE_DURATION, |series| &series.durations),
            rows(&def::TLS_HANDSHAKES, handshakes),
        ]
    }

    fn histogram(&self, def: &Def, of: fn(&Series) -> &Buckets<16>) -> MetricFamily {
        let seen = self.series.iter().filter(|(_, series)| of(series).count > 0);
        let metrics: Vec<Metric> = seen
            .map(|(api, series)| of(series).metric(&DURATION_BUCKETS, labels(def, &[api])))
            .collect();
        family(def.name.to_owned(), def.help, Kind::Histogram, metrics)
    }
}
