//! Events as receivers want them. Pure: the host and the process are arguments.

pub(super) mod alert;
pub(super) mod ocsf;
pub(super) mod otlp;
pub(super) mod syslog;
#[cfg(test)]
pub(super) mod tests;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::config::sink::{Format, Receiver};
use crate::export::events::Event;

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// The host's name.
    pub(super) name: String,
    /// Process id of the daemon.
    pub(super) pid: u32,
}

impl Host {
    /// This one.
    pub(super) fn own() -> Self {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = name.trim();
        let name = if name.is_empty() { "localhost" } else { name };
        Self { name: name.to_owned(), pid: std::process::id() }
    }
}

/// How payloads of a receiver are written: they are not understood as another's.
pub(super) const fn tag(receiver: &Receiver) -> &'static str {
    match receiver {
        Receiver::Alertmanager { .. } => "alert",
        Receiver::Otlp { .. } => "otlp",
        Receiver::Syslog { format: Format::Json, .. } => "syslog.json",
        Receiver::Syslog { format: Format::Ocsf, .. } => "syslog.ocsf",
        Receiver::File { format, .. }
        | Receiver::Stdout { format }
        | Receiver::Webhook { format, .. } => format.name(),
    }
}

/// What an event is for a receiver, on one line; `None` when it has no way to say it.
pub(super) fn payload(receiver: &Receiver, event: &Event, host: &Host) -> Option<String> {
    match receiver {
        Receiver::File { format, .. }
        | Receiver::Stdout { format }
        | Receiver::Webhook { format, .. } => text(*format, event),
        Receiver::Syslog { facility, format, .. } => {
            Some(syslog::message(event, *facility, host, &text(*format, event)?))
        }
        Receiver::Alertmanager { .. } => serde_json::to_string(&alert::Report::of(event)?).ok(),
        Receiver::Otlp { .. } => serde_json::to_string(&otlp::record(event)?).ok(),
    }
}

/// An event as JSON, on one line.
fn text(format: Format, event: &Event) -> Option<String> {
    match format {
        Format::Json => serde_json::to_string(event).ok(),
        Format::Ocsf => serde_json::to_string(&ocsf::finding(event)?).ok(),
    }
}

/// A time in ns since 1970 as RFC 3339 in UTC with milliseconds. 64 bits of ns reach to 2554.
pub(super) fn stamp(time: u64) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time))
        .ok()
        .and_then(|time| time.format(format).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00.000Z".to_owned())
}
