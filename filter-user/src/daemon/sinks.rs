//! Receivers of events, as the control socket shows them.

use crate::control::api::{Answer, ApiError, SinkStatus, SinkTest, SinkTested};
use crate::export::sinks::Standing;

use super::core::Core;

impl Core {
    /// How each receiver stands.
    pub(super) fn list_sinks(&self) -> Vec<SinkStatus> {
        self.sinks.standings().into_iter().map(told).collect()
    }

    /// Sends a test event.
    pub(super) fn test_sink(&self, request: &SinkTest) -> Answer<SinkTested> {
        let Some(tested) = self.sinks.test(&request.sink) else {
            let names = self.sinks.names();
            let hint = match names.as_slice() {
                [] => "the settings of the daemon have no [[sink]]".to_owned(),
                names => format!("there are: {}", names.join(", ")),
            };
            return Err(
                ApiError::not_found(format!("there is no sink {}", request.sink)).hint(hint)
            );
        };
        Ok(SinkTested {
            sink: request.sink.clone(),
            taken: tested.taken,
            answer: tested.said,
            seconds: tested.took.as_secs_f64(),
        })
    }

    /// What of the receivers needs attention.
    pub(super) fn sink_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for sink in self.sinks.standings() {
            if sink.failing_since.is_some() {
                let why = sink.last_error.unwrap_or_default();
                let waits = sink.pending;
                warnings.push(format!("sink {} takes no events, {waits} wait: {why}", sink.name));
            }
            warnings.extend(sink.problem.map(|problem| format!("sink {}: {problem}", sink.name)));
        }
        warnings
    }
}

fn told(sink: Standing) -> SinkStatus {
    let state = match (sink.failing_since, sink.last_success) {
        (Some(_), _) => "failing",
        (None, Some(_)) => "delivering",
        (None, None) => "idle",
    };
    SinkStatus {
        name: sink.name,
        kind: sink.kind.to_owned(),
        place: sink.place,
        state: state.to_owned(),
        delivered: sink.delivered,
        retried: sink.retried,
        dropped: sink.dropped,
        pending: sink.pending,
        pending_bytes: sink.pending_bytes,
        alerts: sink.alerts,
        last_success: sink.last_success,
        failing_since: sink.failing_since,
        last_error: sink.last_error,
        last_error_at: sink.last_error_at,
        next_try_seconds: sink.next_try,
        problem: sink.problem,
    }
}
