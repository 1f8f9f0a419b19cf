//! The audit log: who changed what, as JSON Lines that are chained by hashes.
//!
//! Each line carries the hash of the line before and its own, and the file `audit.head` beside the
//! log the last one: a line that was changed, moved or taken out shows ([`verify()`]). Lines are
//! only ever appended; a file that becomes too large is put aside, and the chain goes on in the next.
//! What is worth a line is the daemon's to say.

mod files;
mod line;
#[cfg(test)]
mod tests;
mod verify;

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

pub use line::Entry;
pub use verify::{Verified, verify};

use crate::store::Who;
use line::{BEGIN, seal};

/// Name of the file in the state directory.
pub const FILE: &str = "audit.jsonl";

/// Bytes of a file, when nothing else is said.
pub const MAX_BYTES: u64 = 64 << 20;

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// In a word: `apply`, `ban_add`, `detach` and so on.
    pub what: &'static str,
    /// By whom.
    pub who: Who,
    /// The arguments.
    pub about: serde_json::Map<String, serde_json::Value>,
    /// Hash of the policy in force before; `None`: there was none.
    pub before: Option<String>,
    /// Hash of the policy in force after.
    pub after: Option<String>,
}

/// The open log.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    max_bytes: u64,
    /// The end of the chain; `None` while it is not known.
    end: Option<End>,
    /// Lines that could not be written since the last that was.
    lost: u64,
}

#[derive(Clone, Debug)]
struct End {
    number: u64,
    hash: String,
}

impl AuditLog {
    /// The log of a state directory, whose files are to have at most so many bytes. Nothing is opened
    /// yet.
    pub fn new(directory: &Path, max_bytes: u64) -> Self {
        Self { path: directory.join(FILE), max_bytes, end: None, lost: 0 }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line. `time` is ns since 1970. A line that cannot be written is gone; the next one
    /// says how many went before it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, time: u64, change: &Change) -> io::Result<()> {
        let written = self.append(time, change);
        match &written {
            Ok(()) => self.lost = 0,
            Err(_) => {
                self.lost += 1;
                self.end = None;
            }
        }
        written
    }

    fn append(&mut self, time: u64, change: &Change) -> io::Result<()> {
        let mut file = files::open(&self.path)?;
        let end = match self.end.take() {
            Some(end) => end,
            None => self.find_end(&mut file)?,
        };
        let entry = Entry {
            number: end.number + 1,
            time: line::rfc3339(time),
            what: change.what.to_owned(),
            who: change.who.clone(),
            about: change.about.clone(),
            before: change.before.clone(),
            after: change.after.clone(),
            lost: self.lost,
            previous: end.hash,
            hash: String::new(),
        };
        let (line, hash) = seal(&entry).map_err(io::Error::other)?;
        let mut length = file.seek(SeekFrom::End(0))?;
        if length > 0 && length.saturating_add(line.len() as u64) > self.max_bytes {
            match files::set_aside(&self.path) {
                Ok(()) => {
                    file = files::open(&self.path)?;
                    length = 0;
                }
                Err(error) => tracing::warn!(%error, "the audit log goes on in the same file"),
            }
        }
        if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.sync_data()) {
            // Part of it may be there; what cannot be cut off now is when the end is looked for.
            let _cut = file.set_len(length);
            return Err(error);
        }
        let end = End { number: entry.number, hash };
        // The log is whole without it: it only tells when its last lines are taken away.
        if let Err(error) = write_head(&self.path, &end) {
            tracing::warn!(%error, "the end of the audit log is not noted");
        }
        self.end = Some(end);
        Ok(())
    }

    /// The end of the chain in a file that another process may have left. A last line that was cut
    /// short never was one.
    fn find_end(&self, file: &mut File) -> io::Result<End> {
        let (end, mut tail) = files::tail(file)?;
        if end < file.metadata()?.len() {
            file.set_len(end)?;
        }
        if tail.is_empty()
            && let Some(before) = files::older(&self.path)?.last()
        {
            (_, tail) = files::tail(&mut File::open(before)?)?;
        }
        let lines = tail.strip_suffix(b"\n").unwrap_or_default();
        let last = lines.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        if last.is_empty() {
            return Ok(End { number: 0, hash: BEGIN.to_owned() });
        }
        match line::open(last) {
            Ok(entry) => Ok(End { number: entry.number, hash: entry.hash }),
            // Going on after a line that was tampered with must not hide it, nor stop the log: the
            // chain breaks here, which `verify` tells.
            Err(_) => {
                let number = lines.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
                Ok(End { number, hash: BEGIN.to_owned() })
            }
        }
    }

    /// The latest lines, oldest first; those that are none are left out.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn last(&self, limit: usize) -> io::Result<Vec<Entry>> {
        let mut paths = match files::older(&self.path) {
            Ok(paths) => paths,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        paths.push(self.path.clone());
        let mut entries: Vec<Entry> = Vec::new();
        for path in paths.iter().rev() {
            if entries.len() >= limit {
                break;
            }
            let bytes = match std::fs::read(path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let lines = bytes.split(|&byte| byte == b'\n').rev();
            let read = lines.filter_map(|line| line::read(line).ok());
            entries.extend(read.take(limit - entries.len()));
        }
        entries.reverse();
        Ok(entries)
    }
}

fn head(path: &Path) -> PathBuf {
    path.with_extension("head")
}

fn write_head(path: &Path, end: &End) -> io::Result<()> {
    let new = path.with_extension("head.new");
    std::fs::write(&new, format!("{} {}\n", end.number, end.hash))?;
    std::fs::rename(&new, head(path))
}

/// The end that was noted last, if any.
fn read_head(path: &Path) -> Option<End> {
    let text = std::fs::read_to_string(head(path)).ok()?;
    let (number, hash) = text.trim_end().split_once(' ')?;
    Some(End { number: number.parse().ok()?, hash: hash.to_owned() })
}
