//! Receivers of events: each has a thread, a spool on the disk and a way there. docs/sinks.md says
//! what is promised.
//!
//! Telling never waits: what a receiver's thread does not take in time is counted. What is worth
//! telling, and how events look, is decided elsewhere.

mod backoff;
mod deliver;
mod filter;
mod format;
mod net;
mod spool;
mod standing;
mod state;
#[cfg(test)]
mod tests;
mod worker;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Sender, channel};

use crate::config::sink::{Http, Receiver, Sink};
use crate::control::api::FindingEntry;
use crate::detect::Severity;
use crate::export::events::{ApiField, Event, Kind};
use deliver::{Answer, Courier, Parcel};
use format::Host;
use format::alert;
use state::Shared;
pub use state::Standing;
use worker::{Message, OpenFinding, Worker};

/// Events that may wait in memory for the thread of a receiver.
const QUEUE: usize = 4_096;
/// How long the end waits for the threads.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the test alert lives.
const TEST: u64 = 60_000_000_000;

/// All receivers.
#[derive(Debug, Default)]
pub struct Sinks {
    sinks: Vec<One>,
    outbox: Arc<Mutex<Vec<Event>>>,
}

#[derive(Debug)]
struct One {
    sink: Arc<Sink>,
    courier: Arc<Courier>,
    shared: Arc<Shared>,
    sender: Mutex<Option<Sender<Message>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a receiver answered to a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// It took the event.
    pub taken: bool,
    /// What it said, or why it could not be asked.
    pub said: String,
    /// How long that took.
    pub took: Duration,
}

impl Sinks {
    /// Starts a thread for each receiver, with its spool in `directory`.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(sinks: &[Sink], directory: &Path) -> std::io::Result<Self> {
        let outbox = Arc::default();
        let mut started = Vec::new();
        for sink in sinks {
            let sink = Arc::new(sink.clone());
            let courier = Arc::new(Courier::new(&sink, Host::own()));
            let place = sink.receiver.place();
            let shared = Arc::new(Shared::new(&sink.name, sink.receiver.kind(), place));
            let (sender, messages) = channel(QUEUE);
            let thread = {
                let (sink, directory) = (Arc::clone(&sink), directory.join(&sink.name));
                let (courier, shared) = (Arc::clone(&courier), Arc::clone(&shared));
                let outbox = Arc::clone(&outbox);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                std::thread::Builder::new().name("weir-sink".to_owned()).spawn(move || {
                    let worker = Worker::new(&sink, &directory, courier, messages, shared, outbox);
                    runtime.block_on(worker.run());
                    // A disk or a name server that hangs is not waited for.
                    runtime.shutdown_background();
                })?
            };
            let (sender, thread) = (Mutex::new(Some(sender)), Mutex::new(Some(thread)));
            started.push(One { sink, courier, shared, sender, thread });
        }
        Ok(Self { sinks: started, outbox })
    }

    /// Tells every receiver of an event. Never waits.
    pub fn tell(&self, event: &Event) {
        if self.sinks.is_empty() {
            return;
        }
        let event = Arc::new(event.clone());
        for one in &self.sinks {
            one.send(Message::Event(Arc::clone(&event)));
        }
    }

    /// Tells them which findings are open when the daemon begins, and which `ended` with the one
    /// before; `api` is what the policy says of an API.
    pub fn begin<'a>(
        &self,
        open: impl Iterator<Item = &'a FindingEntry>,
        ended: &'a [FindingEntry],
        api: impl Fn(&str) -> Option<ApiField>,
    ) {
        if self.sinks.is_empty() {
            return;
        }
        let severity = |entry: &FindingEntry| {
            Severity::ALL.into_iter().find(|known| known.name() == entry.severity)
        };
        let open = open.map(|entry| (entry, true)).chain(ended.iter().map(|entry| (entry, false)));
        let open = open.map(|(entry, lives)| {
            let field = api(&entry.api).unwrap_or_else(|| ApiField::named(&entry.api));
            OpenFinding {
                report: alert::Report::of_entry(entry, Some(&field)),
                severity: severity(entry).unwrap_or(Severity::Warning),
                api: entry.api.clone(),
                lives,
            }
        });
        let open = Arc::new(open.collect::<Vec<_>>());
        for one in &self.sinks {
            one.send(Message::Open(Arc::clone(&open)));
        }
    }

    /// How each stands.
    pub fn standings(&self) -> Vec<Standing> {
        self.sinks.iter().map(|one| one.shared.standing()).collect()
    }

    /// Events about receivers, to be told.
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.outbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends one marked event to a receiver, past its filter and its spool, and waits for the
    /// answer. `None`: there is no such receiver.
    pub fn test(&self, name: &str) -> Option<Tested> {
        let one = self.sinks.iter().find(|one| one.sink.name == name)?;
        let started = Instant::now();
        let time = worker::now_ns();
        let host = Host::own();
        let message = format!("test of sink {name} on {}: nothing happened", host.name);
        let event = Event::new(Kind::SinkTest, time, message);
        let parcel = match &one.sink.receiver {
            Receiver::Alertmanager { .. } => {
                Some(Parcel::Body(alert::test(&event.message, time, time.saturating_add(TEST))))
            }
            receiver => {
                format::payload(receiver, &event, &host).map(|text| Parcel::Events(vec![text]))
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (taken, said) = match (parcel, runtime) {
            (Some(parcel), Ok(runtime)) => {
                let answer = runtime.block_on(one.courier.deliver(parcel));
                runtime.shutdown_background();
                match answer {
                    Answer::Taken { said, rejected } => (rejected == 0, said),
                    Answer::Later { why, .. } | Answer::Never { why, .. } => (false, why),
                }
            }
            (None, _) => (false, "a test event cannot be written in its format".to_owned()),
            (_, Err(error)) => (false, format!("cannot start a runtime: {error}")),
        };
        Some(Tested { taken, said, took: started.elapsed() })
    }

    /// The end: what was told is in the spools, and receivers get what they take within seconds.
    pub fn stop(&self) {
        for one in &self.sinks {
            one.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        let end = Instant::now() + PATIENCE;
        for one in &self.sinks {
            let Some(thread) = one.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            else {
                continue;
            };
            while !thread.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

impl One {
    fn send(&self, message: Message) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*sender else { return };
        if let Err(
            TrySendError::Full(Message::Event(event)) | TrySendError::Closed(Message::Event(event)),
        ) = sender.try_send(message)
        {
            self.shared.overflow(worker::class(&event));
        }
    }
}

/// Whether a receiver can be reached, and its secret read: what `weir doctor` says of it.
///
/// # Errors
/// Why not, in words without secrets.
pub fn probe(sink: &Sink, patience: Duration) -> Result<String, String> {
    match &sink.receiver {
        Receiver::Stdout { .. } => Ok("standard output".to_owned()),
        Receiver::File { path, .. } => {
            let directory = path.parent().unwrap_or(Path::new("/"));
            match directory.is_dir() || path.exists() {
                true => Ok(format!("{} is a file to be", path.display())),
                false => Err(format!("{} is no directory yet", directory.display())),
            }
        }
        Receiver::Syslog { url, tls, .. } => {
            net::dial::probe(url, tls, patience).map(|tls| format!("{url} answers, {tls}"))
        }
        Receiver::Webhook { http, .. }
        | Receiver::Alertmanager { http, .. }
        | Receiver::Otlp { http } => {
            let Http { url, proof, tls, .. } = http;
            if let Some(
                crate::config::sink::Proof::Bearer(path) | crate::config::sink::Proof::Hmac(path),
            ) = proof
            {
                net::secret::read(path)?;
            }
            net::dial::probe(url, tls, patience).map(|tls| format!("{url} answers, {tls}"))
        }
    }
}
