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
mod one;
mod spool;
mod standing;
mod state;
#[cfg(test)]
mod tests;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use crate::config::sink::{Http, Receiver, Sink};
use crate::control::api::FindingEntry;
use crate::detect::Severity;
use crate::export::events::{ApiField, Event};
use format::alert;
pub use one::Tested;
use one::{One, Ready, Thread};
pub use state::Standing;
use worker::{Message, OpenFinding};

/// How long the end waits for the threads.
const PATIENCE: Duration = Duration::from_secs(3);

/// All receivers.
#[derive(Debug, Default)]
pub struct Sinks {
    /// Where the spools are.
    directory: PathBuf,
    sinks: RwLock<Vec<Arc<One>>>,
    /// Held while they change: who is no longer named, and may still be on its way out.
    ending: Mutex<Vec<(String, Thread)>>,
    outbox: Arc<Mutex<Vec<Event>>>,
}

/// What a change of the settings did to receivers, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Those that were not named before.
    pub added: Vec<String>,
    /// Those whose settings are others.
    pub changed: Vec<String>,
    /// Those that are no longer named. Their spools stay.
    pub removed: Vec<String>,
}

impl Changed {
    /// Nothing did.
    pub fn is_nothing(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl Sinks {
    /// Starts a thread for each receiver, with its spool in `directory`.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(sinks: &[Sink], directory: &Path) -> std::io::Result<Self> {
        let started = Self { directory: directory.to_owned(), ..Self::default() };
        started.change(sinks)?;
        Ok(started)
    }

    /// Has these receivers from now on. Those that stay as they are notice nothing. One whose settings
    /// change goes on with what waits in its spool, and no event is lost on the way: those that are
    /// told meanwhile wait for its new thread. One that is gone gets what it takes within seconds.
    ///
    /// # Errors
    /// No thread could be started. Then nothing has changed.
    pub fn change(&self, wanted: &[Sink]) -> std::io::Result<Changed> {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.retain(|(_, thread)| !thread.is_finished());
        let before = self.now().clone();
        let mut changed = Changed::default();
        let mut ready = Vec::new();
        for sink in wanted {
            let of_before = before.iter().find(|one| one.sink.name == sink.name);
            ready.push(match of_before {
                Some(one) if *one.sink == *sink => Err(Arc::clone(one)),
                of_before => {
                    let directory = self.directory.join(&sink.name);
                    let before = of_before.map(AsRef::as_ref);
                    Ok(Ready::new(sink, &directory, before, &self.outbox)?)
                }
            });
        }
        let mut sinks = self.sinks.write().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = |one: &&Arc<One>| wanted.iter().any(|sink| sink.name == one.sink.name);
        for one in before.iter().filter(|one| !is_wanted(one)) {
            changed.removed.push(one.sink.name.clone());
            ending.extend(one.end().map(|thread| (one.sink.name.clone(), thread)));
        }
        *sinks = Vec::new();
        for ready in ready {
            sinks.push(match ready {
                Err(stays) => stays,
                Ok(ready) => {
                    let name = ready.one.sink.name.clone();
                    let of_before = before.iter().find(|one| one.sink.name == name);
                    let is_of_name = |(other, _): &(String, Thread)| *other == name;
                    let thread = match of_before {
                        Some(one) => one.end(),
                        None => ending
                            .iter()
                            .position(is_of_name)
                            .map(|place| ending.swap_remove(place).1),
                    };
                    let list =
                        if of_before.is_some() { &mut changed.changed } else { &mut changed.added };
                    list.push(name);
                    Arc::new(ready.begin(thread))
                }
            });
        }
        Ok(changed)
    }

    fn now(&self) -> RwLockReadGuard<'_, Vec<Arc<One>>> {
        self.sinks.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of all.
    pub fn names(&self) -> Vec<String> {
        self.now().iter().map(|one| one.sink.name.clone()).collect()
    }

    /// Tells every receiver of an event. Never waits.
    pub fn tell(&self, event: &Event) {
        let sinks = self.now();
        if sinks.is_empty() {
            return;
        }
        let event = Arc::new(event.clone());
        for one in sinks.iter() {
            one.send(Message::Event(Arc::clone(&event)));
        }
    }

    /// Tells receivers which findings are open when they begin, and which `ended` with the daemon
    /// before; `api` is what the policy says of an API.
    pub fn begin<'a>(
        &self,
        who: impl Fn(&str) -> bool,
        open: impl Iterator<Item = &'a FindingEntry>,
        ended: &'a [FindingEntry],
        api: impl Fn(&str) -> Option<ApiField>,
    ) {
        let sinks = self.now();
        if sinks.is_empty() {
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
        for one in sinks.iter().filter(|one| who(&one.sink.name)) {
            one.send(Message::Open(Arc::clone(&open)));
        }
    }

    /// How each stands.
    pub fn standings(&self) -> Vec<Standing> {
        self.now().iter().map(|one| one.standing()).collect()
    }

    /// Events about receivers, to be told.
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.outbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends one marked event to a receiver, past its filter and its spool, and waits for the
    /// answer. `None`: there is no such receiver.
    pub fn test(&self, name: &str) -> Option<Tested> {
        let one = self.now().iter().find(|one| one.sink.name == name).cloned();
        one.map(|one| one.test())
    }

    /// The end: what was told is in the spools, and receivers get what they take within seconds.
    pub fn stop(&self) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = self.now().iter().filter_map(|one| one.end()).collect::<Vec<_>>();
        let end = Instant::now() + PATIENCE;
        for thread in threads.into_iter().chain(ending.drain(..).map(|(_, thread)| thread)) {
            while !thread.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
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
