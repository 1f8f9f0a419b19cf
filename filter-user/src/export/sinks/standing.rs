//! The alerts that are open at an Alertmanager, kept on the disk: what was told before a crash is
//! ended after it, where it is over.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::format::alert::{Report, Standing};
use super::spool::Batch;

/// Bytes of the file at most.
const LARGEST: u64 = 64 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Alerts {
    path: PathBuf,
    open: Standing,
    /// As it is when what is on its way arrives.
    next: Option<Standing>,
}

impl Alerts {
    /// What was open; nothing when the file cannot be read.
    pub(super) fn open(directory: &Path) -> Self {
        let path = directory.join("open.json");
        let kept = crate::text::read_regular(&path, LARGEST).ok();
        let open = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { path, open, next: None }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The body that tells of a batch; nothing when it changes nothing.
    pub(super) fn body(&mut self, batch: &Batch, until: u64) -> Option<String> {
        let mut next = self.open.clone();
        let body = next.follow(&reports(&batch.payloads), until);
        self.next = Some(next);
        body
    }

    /// The body that tells of all of them again.
    pub(super) fn again(&self, until: u64) -> Option<String> {
        self.open.again(until)
    }

    /// What was on its way did not arrive.
    pub(super) fn forget(&mut self) {
        self.next = None;
    }

    /// What was on its way arrived. Unwritten, it is told once more after a restart.
    pub(super) fn arrived(&mut self) -> io::Result<()> {
        let Some(next) = self.next.take().filter(|next| *next != self.open) else { return Ok(()) };
        self.open = next;
        let mut path = self.path.clone().into_os_string();
        path.push(".new");
        let mut options = OpenOptions::new();
        let written = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(&path)
            .and_then(|mut file: File| file.write_all(&serde_json::to_vec(&self.open)?));
        written.and_then(|()| std::fs::rename(&path, &self.path))
    }

    /// What is to be said after a start: the ends of alerts that are told or `waiting` to be, and
    /// whose findings are over; the beginnings of those that are `open` and were never told.
    pub(super) fn reconcile(&self, open: &[Report], waiting: &[String], now: u64) -> Vec<Report> {
        let mut told: BTreeSet<String> = self.open.ids().cloned().collect();
        for report in reports(waiting) {
            match report.closed {
                None => told.insert(report.id),
                Some(_) => told.remove(&report.id),
            };
        }
        let lives: BTreeSet<&String> = open.iter().map(|report| &report.id).collect();
        let over = told.iter().filter(|id| !lives.contains(id)).map(|id| Report::end(id, now));
        let new = open.iter().filter(|report| !told.contains(&report.id)).cloned();
        over.chain(new).collect()
    }
}

fn reports(payloads: &[String]) -> Vec<Report> {
    // A payload that is not one was damaged in a way that its checksum did not show.
    payloads.iter().filter_map(|payload| serde_json::from_str(payload).ok()).collect()
}
