//! How it goes with a receiver: for metrics and `weir status`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::spool::Class;

/// What can be told of a receiver. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Where it is.
    pub place: String,
    /// Events it took.
    pub delivered: u64,
    /// Events that it did not take and that were kept to be tried again, each time.
    pub retried: u64,
    /// Events that were given up, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Events that wait.
    pub pending: u64,
    /// Their bytes.
    pub pending_bytes: u64,
    /// Alerts it is told of again and again.
    pub alerts: u64,
    /// When it last took something.
    pub last_success: Option<u64>,
    /// Since when it takes nothing.
    pub failing_since: Option<u64>,
    /// What it said last, or why it could not be asked.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<u64>,
    /// In how many seconds it is tried again.
    pub next_try: Option<u64>,
    /// What is wrong with its spool.
    pub problem: Option<String>,
}

/// The same, shared between the thread of the receiver and those who ask.
#[derive(Debug, Default)]
pub(super) struct Shared {
    standing: Mutex<Standing>,
    next: Mutex<Option<Instant>>,
    /// Findings and actions, and others, for which the queue had no room; told by the worker.
    overflow: [AtomicU64; 2],
}

impl Shared {
    pub(super) fn new(name: &str, kind: &'static str, place: String) -> Self {
        let standing = Standing { name: name.to_owned(), kind, place, ..Standing::default() };
        Self { standing: Mutex::new(standing), ..Self::default() }
    }

    /// The receiver is another from now on, of which nothing is known yet; what was counted stays.
    pub(super) fn moved(&self, kind: &'static str, place: String) {
        let mut standing = self.lock();
        if (standing.kind, &standing.place) != (kind, &place) {
            (standing.kind, standing.place) = (kind, place);
            (standing.failing_since, standing.last_success) = (None, None);
            (standing.last_error, standing.last_error_at) = (None, None);
        }
    }

    /// To be changed; never held for long.
    pub(super) fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the receiver is tried again.
    pub(super) fn set_next(&self, next: Option<Instant>) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Counts events that were given up.
    pub(super) fn lose(&self, reason: &str, count: u64) {
        if count > 0 {
            *self.lock().dropped.entry(reason.to_owned()).or_default() += count;
        }
    }

    /// Notes an event for which the queue had no room.
    pub(super) fn overflow(&self, class: Class) {
        self.overflow[usize::from(class == Class::Other)].fetch_add(1, Relaxed);
    }

    /// What was noted since this was asked last.
    pub(super) fn take_overflow(&self) -> [u64; 2] {
        [0, 1].map(|at: usize| self.overflow[at].swap(0, Relaxed))
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut standing = self.lock().clone();
        let until = |at: Instant| at.saturating_duration_since(Instant::now());
        standing.next_try = next.map(|at| (until(at) + Duration::from_millis(999)).as_secs());
        standing
    }
}
