//! Lines of syslog as RFC 5424 has them.

use std::fmt::Write;

use super::{Host, stamp};
use crate::detect::Severity;
use crate::export::events::Event;

/// Name of the structured data. 32473 is the number that RFC 5612 sets aside for documents: weir has
/// no enterprise number of its own.
const ELEMENT: &str = "weir@32473";

/// A message; `text` is what stands behind the structured data, UTF-8 without a byte order mark.
pub(super) fn message(event: &Event, facility: u8, host: &Host, text: &str) -> String {
    let priority = u32::from(facility) * 8 + severity(event.severity);
    let (time, name) = (stamp(event.time), graphic(&host.name, 255));
    let mut line = format!(
        "<{priority}>1 {time} {name} weir {} {} [{ELEMENT}",
        host.pid,
        graphic(event.kind.name(), 32)
    );
    let mut parameter = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            let _infallible = write!(line, " {name}=\"{}\"", escaped(value));
        }
    };
    parameter("severity", Some(event.severity.name()));
    if let Some(api) = &event.api {
        parameter("api", Some(&api.name));
        parameter("owner", api.owner.as_deref());
        parameter("responder", api.responder.as_deref());
        parameter("criticality", api.criticality);
    }
    if let Some(source) = event.source {
        parameter("source", Some(&source.ip.to_string()));
        parameter("prefix", source.prefix.map(|length| length.to_string()).as_deref());
    }
    if let Some(http) = &event.http {
        parameter("method", Some(&http.method));
        parameter("route", Some(&http.route));
    }
    if let Some(finding) = &event.finding {
        parameter("finding", Some(&finding.id));
        parameter("state", Some(finding.state));
        parameter("detector", Some(finding.detector));
        parameter("credential", finding.credential.as_deref());
        parameter("acknowledged", finding.acknowledged.as_ref().map(|_| "true"));
    }
    if let Some(action) = &event.action {
        parameter("action", Some(action.kind));
        parameter("outcome", Some(action.outcome));
        parameter("refusal", action.refusal);
    }
    let _infallible = write!(line, "] {text}");
    line.replace(['\n', '\r'], " ")
}

/// RFC 5424, table 2.
const fn severity(severity: Severity) -> u32 {
    match severity {
        Severity::Info => 6,
        Severity::Notice => 5,
        Severity::Warning => 4,
        Severity::Critical => 2,
    }
}

/// Printable ASCII without spaces, cut to the longest that a field of the header may be.
fn graphic(text: &str, longest: usize) -> String {
    let shown: String = text.chars().filter(char::is_ascii_graphic).take(longest).collect();
    if shown.is_empty() { "-".to_owned() } else { shown }
}

/// RFC 5424, 6.3.3: three characters are escaped. Control characters become spaces.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '"' | '\\' | ']' => text.extend(['\\', c]),
            c if c.is_control() => text.push(' '),
            c => text.push(c),
        }
    }
    text
}
