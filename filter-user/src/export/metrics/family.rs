//! From rows of numbers to the families that the Prometheus crate writes.

use std::collections::BTreeMap;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::def::{Def, Kind};

/// The labels of a metric with their values.
pub(super) fn labels(def: &Def, values: &[&str]) -> Vec<LabelPair> {
    debug_assert_eq!(def.labels.len(), values.len(), "{}", def.name);
    let pairs = def.labels.iter().zip(values);
    pairs
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        })
        .collect()
}

/// A family with these metrics.
pub(super) fn family(name: String, help: &str, kind: Kind, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name);
    family.set_help(help.to_owned());
    family.set_field_type(match kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    family.set_metric(metrics);
    family
}

/// One number of a counter or a gauge.
pub(super) fn number(kind: Kind, value: f64, labels: Vec<LabelPair>) -> Metric {
    let mut metric = Metric::default();
    metric.set_label(labels);
    if kind == Kind::Counter {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

/// A family out of rows of label values and a number. Rows with the same labels are added up, for
/// Prometheus refuses a page that has a series twice.
pub(super) fn rows<'a, const N: usize>(
    def: &Def,
    rows: impl IntoIterator<Item = ([&'a str; N], f64)>,
) -> MetricFamily {
    let mut sums: BTreeMap<[&str; N], f64> = BTreeMap::new();
    for (values, value) in rows {
        *sums.entry(values).or_default() += value;
    }
    let metrics = sums
        .into_iter()
        .map(|(values, value)| number(def.kind, value, labels(def, &values)))
        .collect();
    family(def.name.to_owned(), def.help, def.kind, metrics)
}

/// Rows whose value is always 1: a row that is there twice is there once.
pub(super) fn facts<'a, const N: usize>(
    def: &Def,
    facts: impl IntoIterator<Item = [&'a str; N]>,
) -> MetricFamily {
    let unique: std::collections::BTreeSet<_> = facts.into_iter().collect();
    rows(def, unique.into_iter().map(|values| (values, 1.0)))
}
