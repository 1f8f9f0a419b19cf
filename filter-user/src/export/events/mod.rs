//! Events as JSON Lines, one schema, versioned. docs/events.md lists every name and field.
//!
//! An event is told once: into a bounded tail in memory (`weir events`), to whoever follows
//! (`--follow`), and to a file that is rotated. Nothing here ever waits for the disk. No event has a
//! request's query, a body or a credential.

mod event;
mod file;
mod log;
mod make;
mod sources;
#[cfg(test)]
mod tests;

pub(crate) use file::RotatingFile;

pub use event::{
    AcknowledgedField, ActionField, ApiField, Event, EvidenceField, FindingField, HttpField, Kind,
    LossField, PlaybookField, PolicyField, SCHEMA, SourceField, TrafficField,
};
pub use log::{Config, EventLog, Line};
pub use sources::{Refused, SourceEvents, Summary, is_limit, refused_by};
