//! What detectors are told, as JSON Lines: written by the daemon (`weir run --record FILE`), read by
//! `weir replay FILE`, so that a policy or a budget can be tried on what was last week.
//!
//! A recording has no secrets: no query but the objects it names, no header, no body. Values in
//! targets are veiled ([`veil`]) so that the same value is known again, and one number is still as
//! far from the next, within one recording; credentials are keyed hashes already. It has addresses,
//! and is to be kept like an access log.

mod line;
#[cfg(test)]
mod tests;
pub mod veil;
mod write;

pub use line::{Cause, Connection, Line, Request, Telemetry, Turned};
pub use write::{Recorder, Settings};
