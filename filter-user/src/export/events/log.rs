//! Where events go: a tail in memory, followers, and a file written by a thread of its own.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::event::{Event, Kind};
use super::file::RotatingFile;
use crate::detect::{SECOND, Severity};

/// One event: a JSON object, without the newline.
pub type Line = Arc<str>;

/// Parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file; `None`: no file.
    pub path: Option<PathBuf>,
    /// Bytes from which on it is rotated.
    pub max_bytes: u64,
    /// Rotated files that are kept.
    pub keep: u32,
    /// Events kept in memory.
    pub tail: usize,
    /// Events that may wait for the disk; further ones are left out of the file, and counted.
    pub queue: usize,
    /// How long after an error the disk is tried again.
    pub retry: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: None,
            max_bytes: 64 << 20,
            keep: 5,
            tail: 1000,
            queue: 4096,
            retry: Duration::from_secs(1),
        }
    }
}

/// Most bytes of the file that are read into the tail at the start.
const TAIL_BYTES: u64 = 1 << 20;
/// Bytes written at once.
const BATCH: usize = 64 << 10;
/// How long the end waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// The log.
#[derive(Debug)]
pub struct EventLog {
    tail: Mutex<Tail>,
    live: broadcast::Sender<Line>,
    writer: Option<(SyncSender<Line>, JoinHandle<()>)>,
    lines: Arc<Lines>,
}

#[derive(Debug)]
struct Tail {
    capacity: usize,
    /// With the second since 1970 of each.
    lines: VecDeque<(u64, Line)>,
    counts: BTreeMap<(Kind, Severity), u64>,
}

#[derive(Debug, Default)]
struct Lines {
    written: AtomicU64,
    dropped: AtomicU64,
    retried: AtomicU64,
    problem: Mutex<Option<String>>,
}

impl Lines {
    fn lose(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Relaxed);
    }
}

impl EventLog {
    /// Starts the writer; the tail begins with what the file ends with. A file that cannot be written
    /// is no error: it is tried again and again, see [`Self::problem`].
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(config: Config) -> std::io::Result<Self> {
        let mut tail =
            Tail { capacity: config.tail, lines: VecDeque::new(), counts: BTreeMap::new() };
        let lines = Arc::new(Lines::default());
        let mut writer = None;
        if let Some(path) = config.path {
            let file = RotatingFile::new(path, config.max_bytes, config.keep);
            for line in file.last_lines(config.tail, TAIL_BYTES) {
                tail.push(second_of(&line), Line::from(line));
            }
            let (sender, receiver) = sync_channel(config.queue.max(1));
            let lines = Arc::clone(&lines);
            let (queue, retry) = (config.queue.max(1), config.retry);
            let thread = std::thread::Builder::new()
                .name("weir-events".to_owned())
                .spawn(move || write(file, &receiver, &lines, queue, retry))?;
            writer = Some((sender, thread));
        }
        let live = broadcast::Sender::new(1024);
        Ok(Self { tail: Mutex::new(tail), live, writer, lines })
    }

    /// Tells an event. Never waits: what the disk cannot take in time is dropped from the file, and
    /// counted. So is an event that cannot be written as JSON.
    pub fn tell(&self, event: &Event) {
        let Ok(text) = serde_json::to_string(event) else {
            self.lines.lose(1);
            return;
        };
        let line = Line::from(text);
        {
            let mut tail = lock(&self.tail);
            *tail.counts.entry((event.kind, event.severity)).or_default() += 1;
            tail.push(event.time / SECOND, Arc::clone(&line));
            // Under the lock, so that a follower misses none and sees none twice. Nobody following
            // is no error.
            let _followers = self.live.send(Arc::clone(&line));
        }
        if let Some((sender, _)) = &self.writer
            && let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
                sender.try_send(line)
        {
            self.lines.lose(1);
        }
    }

    /// The latest `limit` events not before `since` (seconds since 1970), oldest first.
    pub fn past(&self, limit: usize, since: Option<u64>) -> Vec<Line> {
        lock(&self.tail).last(limit, since)
    }

    /// The same, and all that come after the last of them. A follower that is slower than the events
    /// loses some, and is told how many.
    pub fn follow(
        &self,
        limit: usize,
        since: Option<u64>,
    ) -> (Vec<Line>, broadcast::Receiver<Line>) {
        let tail = lock(&self.tail);
        (tail.last(limit, since), self.live.subscribe())
    }

    /// Events told, by name and severity.
    pub fn counts(&self) -> Vec<(&'static str, &'static str, u64)> {
        let tail = lock(&self.tail);
        let counts = tail.counts.iter();
        counts.map(|((kind, severity), count)| (kind.name(), severity.name(), *count)).collect()
    }

    /// Lines of the file: `written`; `dropped` for want of room in memory; `retried` after an error.
    pub fn lines(&self) -> [(&'static str, u64); 3] {
        let Lines { written, dropped, retried, .. } = &*self.lines;
        [
            ("written", written.load(Relaxed)),
            ("dropped", dropped.load(Relaxed)),
            ("retried", retried.load(Relaxed)),
        ]
    }

    /// What is wrong with the file now, and what to do.
    pub fn problem(&self) -> Option<String> {
        lock(&self.lines.problem).clone()
    }
}

impl Drop for EventLog {
    /// Writes what waits, for at most two seconds.
    fn drop(&mut self) {
        let Some((sender, thread)) = self.writer.take() else { return };
        drop(sender);
        let end = Instant::now() + PATIENCE;
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Tail {
    fn push(&mut self, second: u64, line: Line) {
        if self.lines.len() >= self.capacity {
            self.lines.pop_front();
        }
        if self.capacity > 0 {
            self.lines.push_back((second, line));
        }
    }

    fn last(&self, limit: usize, since: Option<u64>) -> Vec<Line> {
        let wanted =
            self.lines.iter().filter(|(second, _)| since.is_none_or(|from| *second >= from));
        let mut lines: Vec<Line> = wanted.rev().take(limit).map(|(_, line)| line.clone()).collect();
        lines.reverse();
        lines
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time of a line that was written before, in seconds since 1970; 0 when it has none.
fn second_of(line: &str) -> u64 {
    #[derive(serde::Deserialize)]
    struct Timed {
        time: String,
    }
    let timed = serde_json::from_str::<Timed>(line).ok();
    let format = &time::format_description::well_known::Rfc3339;
    timed
        .and_then(|timed| time::OffsetDateTime::parse(&timed.time, format).ok())
        .and_then(|time| u64::try_from(time.unix_timestamp()).ok())
        .unwrap_or_default()
}

/// Writes lines as they come, in batches; after an error, the same ones again.
fn write(
    mut file: RotatingFile,
    receiver: &Receiver<Line>,
    lines: &Lines,
    queue: usize,
    retry: Duration,
) {
    let mut waiting: VecDeque<Line> = VecDeque::new();
    let mut open = true;
    let mut failed_at: Option<Instant> = None;
    while open || !waiting.is_empty() {
        let received = match failed_at {
            None if waiting.is_empty() => {
                receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
            }
            None => receiver.try_recv().map_err(|_| RecvTimeoutError::Timeout),
            Some(at) => {
                receiver.recv_timeout((at + retry).saturating_duration_since(Instant::now()))
            }
        };
        match received {
            Ok(line) if waiting.len() < queue => waiting.push_back(line),
            Ok(_) => lines.lose(1),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => open = false,
        }
        if open && failed_at.is_some_and(|at| at.elapsed() < retry) {
            continue;
        }
        while waiting.len() < queue
            && let Ok(line) = receiver.try_recv()
        {
            waiting.push_back(line);
        }
        failed_at = match write_batch(&mut file, &mut waiting, lines) {
            Ok(()) => None,
            // At the end there is one last try.
            Err(()) if !open => {
                return lines.lose(waiting.len());
            }
            Err(()) => Some(Instant::now()),
        };
    }
}

fn write_batch(
    file: &mut RotatingFile,
    waiting: &mut VecDeque<Line>,
    lines: &Lines,
) -> Result<(), ()> {
    while !waiting.is_empty() {
        let mut batch = Vec::new();
        let mut count = 0;
        for line in waiting.iter() {
            if count > 0 && batch.len() + line.len() >= BATCH {
                break;
            }
            batch.extend_from_slice(line.as_bytes());
            batch.push(b'\n');
            count += 1;
        }
        match file.append(&batch) {
            Ok(()) => {
                waiting.drain(..count);
                lines.written.fetch_add(count as u64, Relaxed);
                *lock(&lines.problem) = None;
            }
            Err(error) => {
                lines.retried.fetch_add(count as u64, Relaxed);
                *lock(&lines.problem) = Some(format!(
                    "cannot write events to {}: {error}; events go on in memory, make room or set \
                     another path",
                    file.path().display()
                ));
                return Err(());
            }
        }
    }
    Ok(())
}
