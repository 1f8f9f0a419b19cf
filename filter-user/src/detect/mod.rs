//! From transactions to findings. Pure: time, data and settings are arguments; no aya, no tokio, no
//! clock, no randomness, so that a test or a capture gives the same findings as live traffic.
//!
//! [`Engine::observe`] takes each transaction as it comes and only updates state; [`Engine::tick`],
//! called about once a second, decides and returns what opened, changed or closed. What follows a
//! finding is `respond`'s, who is told of it is `export`'s.

pub mod absolute;
pub mod api;
pub mod baseline;
pub mod behaviour;
pub mod brute_force;
mod budget;
pub(crate) mod codec;
pub mod credential_stuffing;
mod detector;
pub mod dispersion;
mod engine;
pub mod enumeration;
mod examples;
pub mod exfiltration;
pub mod finding;
pub(crate) mod hasher;
mod kept;
mod level;
mod lifecycle;
pub mod new_origin;
pub mod observation;
pub mod port_scan;
pub mod pressure;
pub mod probing;
pub mod rate_shift;
pub mod scraping;
pub mod series;
#[cfg(test)]
mod simulation;
pub mod slow_attack;
pub mod source;
pub mod who;
pub mod window;

pub use api::{ApiProfile, Login};
pub use budget::Alerts;
pub use engine::{Config, Engine, StateCount, VERSION as LEARNED};
pub use examples::{Example, MOST as MOST_EXAMPLES};
pub use finding::{Detector, Endpoint, Finding, Severity, State};
pub use observation::{FlowSeen, Observation, Origin, RefusedBy, RefusedSeen, Traffic, TurnSeen};
pub use source::Source;

/// Nanoseconds in a second: the unit of every time here.
pub const SECOND: u64 = 1_000_000_000;

/// The minute of the week, UTC, 0 to 10,079 from Monday 0:00, of a time in ns since 1970.
pub(crate) fn minute_of_week(time: i128) -> u16 {
    // 1970 began on a Thursday.
    let minutes = time.div_euclid(60 * i128::from(SECOND)) + 3 * 24 * 60;
    u16::try_from(minutes.rem_euclid(7 * 24 * 60)).unwrap_or_default()
}
