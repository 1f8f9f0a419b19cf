//! What weir tells others: metrics for Prometheus, events as JSON Lines and to receivers. What is worth telling is
//! decided elsewhere; whom it is served to is `control`'s.

pub mod audit;
pub mod dashboards;
pub mod events;
pub mod metrics;
pub mod sinks;

use crate::policy::{Criticality, Lifecycle};

/// The name of a criticality in the policy, in metrics and in events.
pub const fn criticality(criticality: Criticality) -> &'static str {
    match criticality {
        Criticality::Low => "low",
        Criticality::Medium => "medium",
        Criticality::High => "high",
        Criticality::Critical => "critical",
    }
}

/// The name of a place in an API's life in the policy and in metrics.
pub const fn lifecycle(lifecycle: Lifecycle) -> &'static str {
    match lifecycle {
        Lifecycle::New => "new",
        Lifecycle::Active => "active",
        Lifecycle::Deprecated => "deprecated",
        Lifecycle::Retired => "retired",
    }
}
