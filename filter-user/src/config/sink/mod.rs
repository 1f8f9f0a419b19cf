//! Receivers of events: the `[[sink]]` tables. What is sent to them and how is `export::sinks`'s;
//! whether they can be reached, and whether a file is there, is found out by those that use it.

#[cfg(test)]
mod documented;
mod read;
#[cfg(test)]
mod tests;
mod url;

use std::path::PathBuf;
use std::time::Duration;

use crate::detect::Severity;
use crate::export::events::Kind;

pub(super) use read::sinks;
pub use url::Url;

/// A receiver of events.
#[derive(Clone, Debug, PartialEq)]
pub struct Sink {
    /// What it is called in metrics, messages and the name of its spool.
    pub name: String,
    /// Which events it gets.
    pub wants: Wants,
    /// Bytes of events that may wait for it on the disk.
    pub spool: u64,
    /// How long it may take to take a batch.
    pub timeout: Duration,
    /// What it is.
    pub receiver: Receiver,
}

/// Which events a receiver gets: those that fit all three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Only events that matter this much. A finding's end goes where its beginning went.
    pub min_severity: Severity,
    /// Only these; none named: all.
    pub events: Vec<Kind>,
    /// Only those of these APIs; none named: all, those of no API included.
    pub apis: Vec<String>,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As docs/events.md says.
    Json,
    /// As the Open Cybersecurity Schema Framework says.
    Ocsf,
}

impl Format {
    /// Every format with its name.
    pub const ALL: &'static [(&'static str, Self)] = &[("json", Self::Json), ("ocsf", Self::Ocsf)];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ocsf => "ocsf",
        }
    }
}

/// What a receiver is.
#[derive(Clone, Debug, PartialEq)]
pub enum Receiver {
    /// Lines of a file that is rotated.
    File {
        /// The file.
        path: PathBuf,
        /// Bytes from which on it is rotated.
        max_bytes: u64,
        /// Rotated files that are kept.
        keep: u32,
        /// How events are written.
        format: Format,
    },
    /// Lines on the daemon's standard output.
    Stdout {
        /// How events are written.
        format: Format,
    },
    /// POST requests with a JSON array of events.
    Webhook {
        /// Where.
        http: Http,
        /// Events of a request at most.
        batch: usize,
        /// How events are written.
        format: Format,
    },
    /// Prometheus' Alertmanager, API v2.
    Alertmanager {
        /// Where; its path is what comes before `/api/v2/alerts`.
        http: Http,
        /// How often alerts of open findings are sent again. An alert that is not ends by itself
        /// after four times as long.
        resend: Duration,
    },
    /// RFC 5424 over TCP (RFC 6587, octet counting) or TLS (RFC 5425).
    Syslog {
        /// Host, port, and whether TLS; no path.
        url: Url,
        /// Whom TLS believes.
        tls: Tls,
        /// Its number, 0 to 23 (RFC 5424, table 1).
        facility: u8,
        /// How the message is written.
        format: Format,
    },
    /// OTLP logs over HTTP, in JSON.
    Otlp {
        /// Where.
        http: Http,
    },
}

impl Receiver {
    /// Every kind, as `kind` names them.
    pub const KINDS: [&'static str; 6] =
        ["file", "stdout", "webhook", "alertmanager", "syslog", "otlp"];

    /// The name of its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Stdout { .. } => "stdout",
            Self::Webhook { .. } => "webhook",
            Self::Alertmanager { .. } => "alertmanager",
            Self::Syslog { .. } => "syslog",
            Self::Otlp { .. } => "otlp",
        }
    }

    /// How events are written, where that can be chosen.
    pub const fn format(&self) -> Option<Format> {
        match self {
            Self::File { format, .. }
            | Self::Stdout { format }
            | Self::Webhook { format, .. }
            | Self::Syslog { format, .. } => Some(*format),
            Self::Alertmanager { .. } | Self::Otlp { .. } => None,
        }
    }

    /// Where it is, for people; without what is secret.
    pub fn place(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Stdout { .. } => "standard output".to_owned(),
            Self::Webhook { http, .. } | Self::Alertmanager { http, .. } | Self::Otlp { http } => {
                http.url.to_string()
            }
            Self::Syslog { url, .. } => url.to_string(),
        }
    }
}

/// A server of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where requests go.
    pub url: Url,
    /// Further headers, not secret ones: these are shown to whoever may read the settings.
    pub headers: Vec<(String, String)>,
    /// How a request proves where it comes from.
    pub proof: Option<Proof>,
    /// Whom TLS believes.
    pub tls: Tls,
}

/// Certificates, in files (PEM).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Those that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// weir's own, and its key, where the receiver wants to know who sends.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How a request proves where it comes from. The secret is the first line of a file that not
/// everybody may read, and is read for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// `Authorization: Bearer TOKEN`.
    Bearer(PathBuf),
    /// `X-Weir-Signature: sha256=HEX`, an HMAC-SHA256 over `X-Weir-Timestamp`, a full stop and the
    /// body.
    Hmac(PathBuf),
}
