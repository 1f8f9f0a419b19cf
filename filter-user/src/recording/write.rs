//! Writing a recording: lines are gathered where they are made, and written by a thread of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::line::Line;
use super::veil::Veil;
use crate::export::events::RotatingFile;

/// Where to, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file; older ones are beside it, `.1` being the newest of them.
    pub path: PathBuf,
    /// Bytes of all files together.
    pub bytes: u64,
}

/// Files that the bytes are spread over, the one being written included.
const FILES: u32 = 8;
/// Bytes that are written at once.
const BATCH: usize = 64 << 10;
/// Batches that may wait for the disk, 4 MiB; further ones are dropped, and counted.
const QUEUE: usize = 64;
/// How long the end waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) written: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder {
    veil: Veil,
    batch: Vec<u8>,
    lines: u64,
    pub(super) counts: Arc<Counts>,
    queue: Option<SyncSender<(Vec<u8>, u64)>>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn start(settings: &Settings) -> std::io::Result<Self> {
        let file = RotatingFile::new(
            settings.path.clone(),
            (settings.bytes / u64::from(FILES)).max(BATCH as u64),
            FILES - 1,
        );
        let counts = Arc::new(Counts::default());
        let (queue, batches) = sync_channel(QUEUE);
        let of_thread = Arc::clone(&counts);
        let thread = std::thread::Builder::new()
            .name("weir-record".to_owned())
            .spawn(move || write(file, &batches, &of_thread))?;
        let batch = Vec::with_capacity(BATCH + 4096);
        let (queue, thread) = (Some(queue), Some(thread));
        Ok(Self { veil: Veil::default(), batch, lines: 0, counts, queue, thread })
    }

    /// What hides values in targets.
    pub fn veil(&self) -> &Veil {
        &self.veil
    }

    /// Writes a line. Never waits.
    pub fn write(&mut self, line: &Line<'_>) {
        let before = self.batch.len();
        if serde_json::to_writer(&mut self.batch, line).is_err() {
            self.batch.truncate(before);
            self.counts.dropped.fetch_add(1, Relaxed);
            return;
        }
        self.batch.push(b'\n');
        self.lines += 1;
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// Hands on what was gathered.
    pub fn flush(&mut self) {
        if self.lines == 0 {
            return;
        }
        let next = Vec::with_capacity(BATCH + 4096);
        let batch = (std::mem::replace(&mut self.batch, next), std::mem::take(&mut self.lines));
        let Some(queue) = &self.queue else { return };
        if let Err(TrySendError::Full((_, lines)) | TrySendError::Disconnected((_, lines))) =
            queue.try_send(batch)
        {
            self.counts.dropped.fetch_add(lines, Relaxed);
        }
    }

    /// Lines that were written, and dropped because the disk was too slow or refused them.
    pub fn counts(&self) -> [(&'static str, u64); 2] {
        let Counts { written, dropped } = &*self.counts;
        [("written", written.load(Relaxed)), ("dropped", dropped.load(Relaxed))]
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush();
        self.queue = None;
        let Some(thread) = self.thread.take() else { return };
        let end = Instant::now() + PATIENCE;
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn write(mut file: RotatingFile, batches: &Receiver<(Vec<u8>, u64)>, counts: &Counts) {
    let mut told = false;
    while let Ok((batch, lines)) = batches.recv() {
        match file.append(&batch) {
            Ok(()) => {
                counts.written.fetch_add(lines, Relaxed);
                told = false;
            }
            Err(error) => {
                counts.dropped.fetch_add(lines, Relaxed);
                if !std::mem::replace(&mut told, true) {
                    let path = file.path().display();
                    tracing::error!(%error, "cannot record to {path}; what is meanwhile is lost");
                }
            }
        }
    }
}
