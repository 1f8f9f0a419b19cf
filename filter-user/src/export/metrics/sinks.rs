//! How it goes with receivers of events.

use prometheus::proto::MetricFamily;

use super::def;
use super::family::rows;
use crate::export::sinks::Standing;

/// The families of all receivers.
pub(super) fn families(sinks: &[Standing]) -> [MetricFamily; 4] {
    let outcomes = sinks.iter().flat_map(|sink| {
        let name = sink.name.as_str();
        let dropped = sink.dropped.values().sum::<u64>();
        [("delivered", sink.delivered), ("retried", sink.retried), ("dropped", dropped)]
            .map(|(outcome, count)| ([name, outcome], count as f64))
    });
    let dropped = sinks.iter().flat_map(|sink| {
        let reasons = sink.dropped.iter();
        reasons.map(|(reason, count)| ([sink.name.as_str(), reason.as_str()], *count as f64))
    });
    let success = |sink: &Standing| sink.last_success.map(|at| at as f64);
    [
        rows(&def::SINK_EVENTS, outcomes),
        rows(&def::SINK_DROPPED, dropped),
        rows(
            &def::SINK_PENDING,
            sinks.iter().map(|sink| ([sink.name.as_str()], sink.pending as f64)),
        ),
        rows(
            &def::SINK_SUCCESS,
            sinks.iter().filter_map(|sink| Some(([sink.name.as_str()], success(sink)?))),
        ),
    ]
}
