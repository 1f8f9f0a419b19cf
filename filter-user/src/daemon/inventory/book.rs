//! Writing to the store, with a connection of its own: the pipeline waits for none of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::daemon::core::lock;
use crate::store::{self, Batch, Exchange, QuotaRow, Store};

/// The store, as long as it works. A damaged file is not set aside here but by the next start, as
/// the daemon's other connection may be content with it.
pub(in crate::daemon) struct Book {
    directory: PathBuf,
    store: Option<Store>,
    told: Arc<Told>,
    unwritten: Option<Batch>,
    /// What went wrong the last time.
    last: Option<String>,
}

/// What is to be said of the store, without waiting for a disk that does not answer.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Told {
    problem: Mutex<Option<String>>,
    failures: AtomicU64,
}

impl Told {
    /// What is wrong, as a sentence for the status.
    pub(in crate::daemon) fn problem(&self) -> Option<String> {
        let problem = lock(&self.problem).clone()?;
        Some(format!("{problem}: the inventory is kept in memory until it can be written"))
    }

    /// How often it failed.
    pub(in crate::daemon) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

impl Book {
    /// Opened when it is first needed.
    pub(in crate::daemon) fn new(directory: PathBuf, told: Arc<Told>) -> Self {
        Self { directory, store: None, told, unwritten: None, last: None }
    }

    /// What could not be written the last time: it comes before anything newer.
    pub(super) fn take_unwritten(&mut self) -> Option<Batch> {
        self.unwritten.take()
    }

    /// Writes a batch. Returns what went wrong, when that is news.
    pub(super) fn write(&mut self, batch: Batch) -> Option<String> {
        match self.with(|store| store.keep_inventory(&batch)) {
            Ok(()) => {
                *lock(&self.told.problem) = None;
                None
            }
            Err(problem) => {
                self.unwritten = Some(batch);
                let before = lock(&self.told.problem).replace(problem.clone());
                (before.as_ref() != Some(&problem)).then_some(problem)
            }
        }
    }

    /// Writes what was used of quotas. What cannot be written is with the next change of it.
    pub(super) fn keep_quotas(&mut self, rows: &[QuotaRow], now: u64) {
        if !rows.is_empty() {
            let _noted = self.with(|store| store.keep_quotas(rows, now));
        }
    }

    /// Writes what was learned. Returns it with what went wrong, when it cannot.
    pub(super) fn write_learned(
        &mut self,
        parts: HashMap<String, Vec<u8>>,
        at: u64,
    ) -> Result<(), (HashMap<String, Vec<u8>>, String)> {
        if parts.is_empty() {
            return Ok(());
        }
        let written = self.with(|store| store.keep_learned(&parts, at));
        written.map_err(|problem| (parts, problem))
    }

    /// The latest transactions of an API; none when the store fails, which the next writing tells.
    pub(super) fn exchanges(&mut self, api: &str, limit: usize) -> Vec<Exchange> {
        self.with(|store| store.exchanges(api, limit)).unwrap_or_default()
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut Store) -> store::Result<T>) -> Result<T, String> {
        let store = match &mut self.store {
            Some(store) => store,
            empty => match Store::open(&self.directory) {
                Ok(store) => empty.insert(store),
                Err(error) => return Err(self.failed(&error.to_string())),
            },
        };
        match work(store) {
            Ok(value) => {
                self.last = None;
                Ok(value)
            }
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    fn failed(&mut self, error: &str) -> String {
        // Tried again every few seconds: the log has it once.
        if self.last.as_deref() != Some(error) {
            tracing::warn!("{error}");
            self.last = Some(error.to_owned());
        }
        self.told.failures.fetch_add(1, Ordering::Relaxed);
        // Another file may be there by the next time.
        self.store = None;
        error.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_written_later() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("later");
        let told = Arc::new(Told::default());
        let mut book = Book::new(missing.clone(), Arc::clone(&told));
        let batch = || Batch { exchanges: Vec::new(), ..Batch::default() };
        assert!(book.write(batch()).is_some_and(|problem| problem.contains("weir.db")));
        assert!(book.write(batch()).is_none(), "the same is no news");
        assert_eq!(told.failures(), 2);
        assert!(told.problem().is_some() && book.take_unwritten().is_some());
        std::fs::create_dir(missing).expect("made");
        assert!(book.write(batch()).is_none());
        assert_eq!((told.problem(), book.take_unwritten().is_none()), (None, true));
    }
}
