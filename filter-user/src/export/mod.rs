//! What weir tells others: metrics for Prometheus, events as JSON Lines. What is worth telling is
//! decided elsewhere; whom it is served to is `control`'s.

pub mod events;
pub mod metrics;
