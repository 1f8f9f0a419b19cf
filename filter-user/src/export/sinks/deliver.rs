//! How a batch gets to a receiver, and what its answer means.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use super::format::{Host, otlp};
use super::net::dial::Dialer;
use super::net::http::{Poster, Reply};
use super::net::syslog;
use crate::config::sink::{Receiver, Sink};
use crate::export::events::RotatingFile;

/// Bytes of events of a batch, unless it is one event.
const BATCH_BYTES: usize = 256 << 10;
/// Events of a batch.
const BATCH: usize = 100;
/// Characters of an answer that are shown.
const SHOWN: usize = 200;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was taken.
    Taken {
        /// What the receiver said.
        said: String,
        /// But for so many of its events.
        rejected: u64,
    },
    /// It is to be tried again.
    Later {
        /// Why.
        why: String,
        /// Not before, if the receiver said so.
        after: Option<Duration>,
    },
    /// It will never be taken.
    Never {
        /// Why.
        why: String,
        /// The same as a label.
        reason: String,
        /// It may be the fault of a single event.
        one: bool,
    },
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parcel {
    /// Events, each as the receiver's format has it.
    Events(Vec<String>),
    /// A body that is ready.
    Body(String),
}

/// The way to one receiver.
#[derive(Debug)]
pub(super) struct Courier {
    way: Way,
    timeout: Duration,
    host: Host,
}

#[derive(Debug)]
enum Way {
    Lines(Arc<Mutex<Lines>>),
    Webhook(Poster, usize),
    Alertmanager(Poster),
    Syslog(Dialer),
    Otlp(Poster),
}

/// Where lines go.
#[derive(Debug)]
enum Lines {
    File(RotatingFile),
    Stdout,
}

impl Lines {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.append(lines),
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines).and_then(|()| stdout.flush())
            }
        }
    }
}

impl Courier {
    pub(super) fn new(sink: &Sink, host: Host) -> Self {
        let way = match &sink.receiver {
            Receiver::File { path, max_bytes, keep, .. } => {
                let file = RotatingFile::new(path.clone(), *max_bytes, *keep);
                Way::Lines(Arc::new(Mutex::new(Lines::File(file))))
            }
            Receiver::Stdout { .. } => Way::Lines(Arc::new(Mutex::new(Lines::Stdout))),
            Receiver::Webhook { http, batch, .. } => Way::Webhook(Poster::new(http, ""), *batch),
            Receiver::Alertmanager { http, .. } => {
                Way::Alertmanager(Poster::new(http, "/api/v2/alerts"))
            }
            Receiver::Syslog { url, tls, .. } => Way::Syslog(Dialer::new(url, tls)),
            Receiver::Otlp { http } => {
                // As OpenTelemetry's exporters do: a URL with a path is taken as it is.
                let more = if http.url.path.len() > 1 { "" } else { "/v1/logs" };
                Way::Otlp(Poster::new(http, more))
            }
        };
        Self { way, timeout: sink.timeout, host }
    }

    /// Events of a batch at most, and their bytes.
    pub(super) fn most(&self) -> (usize, usize) {
        let events = if let Way::Webhook(_, batch) = self.way { batch } else { BATCH };
        (events, BATCH_BYTES)
    }

    /// Delivers a parcel, or gives up after the receiver's time.
    pub(super) async fn deliver(&self, parcel: Parcel) -> Answer {
        match tokio::time::timeout(self.timeout, self.carry(parcel)).await {
            Ok(answer) => answer,
            Err(_) => later(format!("no answer within {:?}", self.timeout)),
        }
    }

    async fn carry(&self, parcel: Parcel) -> Answer {
        let events = match parcel {
            Parcel::Events(events) => events,
            Parcel::Body(body) => vec![body],
        };
        match &self.way {
            Way::Lines(to) => write(Arc::clone(to), lines(&events)).await,
            Way::Webhook(poster, _) => judge(poster.post(format!("[{}]", events.join(","))).await),
            // A body that is ready is the only one.
            Way::Alertmanager(poster) => judge(poster.post(events.concat()).await),
            Way::Otlp(poster) => {
                let reply = poster.post(otlp::request(&events, &self.host)).await;
                let partly = reply.as_ref().ok().and_then(|reply| otlp::rejected(&reply.body));
                match (judge(reply), partly) {
                    (Answer::Taken { said, .. }, Some((rejected, why))) => {
                        let said = format!("{said}, {rejected} rejected: {}", cut(&why));
                        Answer::Taken { said, rejected }
                    }
                    (answer, _) => answer,
                }
            }
            Way::Syslog(dialer) => match syslog::send(dialer, &events).await {
                Ok(tls) => taken(&match tls {
                    Some(version) => format!("read and closed ({version})"),
                    None => "read and closed".to_owned(),
                }),
                Err(why) => later(why),
            },
        }
    }
}

fn taken(said: &str) -> Answer {
    Answer::Taken { said: said.to_owned(), rejected: 0 }
}

fn later(why: String) -> Answer {
    Answer::Later { why, after: None }
}

fn lines(events: &[String]) -> Vec<u8> {
    events.iter().fold(Vec::new(), |mut bytes, event| {
        bytes.extend_from_slice(event.as_bytes());
        bytes.push(b'\n');
        bytes
    })
}

async fn write(to: Arc<Mutex<Lines>>, lines: Vec<u8>) -> Answer {
    // On a thread where a disk or a reader may hang; while one hangs there is no second.
    let written = tokio::task::spawn_blocking(move || match to.try_lock() {
        Ok(mut to) => to.append(&lines),
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().append(&lines),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::WouldBlock, "the last writing still goes on"))
        }
    });
    match written.await {
        Ok(Ok(())) => taken("written"),
        Ok(Err(error)) => later(format!("cannot write: {error}")),
        Err(error) => later(format!("cannot write: {error}")),
    }
}

/// What a server's answer means: 2xx took it; 408, 429, 5xx and anything odd may take it later; any
/// other 4xx never will.
fn judge(reply: Result<Reply, String>) -> Answer {
    let Reply { status, after, body } = match reply {
        Ok(reply) => reply,
        Err(why) => return later(why),
    };
    let said = cut(&String::from_utf8_lossy(&body));
    let colon = if said.is_empty() { "" } else { ": " };
    let shown = format!("HTTP {status}{colon}{said}");
    match status {
        200..=299 => Answer::Taken { said: format!("HTTP {status}"), rejected: 0 },
        400..=499 if status != 408 && status != 429 => Answer::Never {
            why: shown,
            reason: format!("http_{status}"),
            // What is about the body, not about who asks or where.
            one: matches!(status, 400 | 413 | 415 | 422),
        },
        300..=399 => later(format!("{shown}; redirects are not followed: correct the url")),
        _ => Answer::Later { why: shown, after },
    }
}

/// The beginning of a text on one line.
fn cut(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(clean).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_mean() {
        // status, what becomes of the batch, the label, whether it may be one event's fault
        let rows = [
            (200, "taken", "", false),
            (202, "taken", "", false),
            (204, "taken", "", false),
            (301, "later", "", false),
            (400, "never", "http_400", true),
            (401, "never", "http_401", false),
            (403, "never", "http_403", false),
            (404, "never", "http_404", false),
            (408, "later", "", false),
            (413, "never", "http_413", true),
            (422, "never", "http_422", true),
            (429, "later", "", false),
            (500, "later", "", false),
            (503, "later", "", false),
            (101, "later", "", false),
        ];
        for (status, what, label, single) in rows {
            let after = Some(Duration::from_secs(3));
            let reply = Reply { status, after, body: b"no\nway".to_vec() };
            let (got, reason, one) = match judge(Ok(reply)) {
                Answer::Taken { .. } => ("taken", String::new(), false),
                Answer::Later { why, after } => {
                    assert!(why.starts_with(&format!("HTTP {status}: no way")), "{why}");
                    assert_eq!(after.is_some(), !(300..400).contains(&status));
                    ("later", String::new(), false)
                }
                Answer::Never { reason, one, .. } => ("never", reason, one),
            };
            assert_eq!((got, &*reason, one), (what, label, single), "{status}");
        }
        assert!(matches!(judge(Err("gone".to_owned())), Answer::Later { .. }));
    }
}
