//! The audit log: who changed what, as JSON Lines that are chained by hashes.
//!
//! Each line carries the hash of the line before and its own, and the file `audit.head` beside the
//! log the last one: a line that was changed, moved or taken out shows ([`verify()`]). Lines are
//! only ever appended. What is worth a line is the daemon's to say.

mod line;
#[cfg(test)]
mod tests;
mod verify;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

pub use line::Entry;
pub use verify::{Verified, verify};

use crate::store::Who;
use line::{BEGIN, seal};

/// Name of the file in the state directory.
pub const FILE: &str = "audit.jsonl";

/// Who may read it: root, and the group of the state directory.
const MODE: u32 = 0o640;

/// Bytes at the end of the file in which its last line is looked for.
const TAIL: u64 = 1 << 20;

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
    /// The log of a state directory. Nothing is opened yet.
    pub fn new(directory: &Path) -> Self {
        Self { path: directory.join(FILE), end: None, lost: 0 }
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
        let mut file = self.open()?;
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
        let length = file.seek(SeekFrom::End(0))?;
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

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(&self.path)
    }

    /// The end of the chain in a file that another process may have left. A last line that was cut
    /// short never was one.
    fn find_end(&self, file: &mut File) -> io::Result<End> {
        let length = file.metadata()?.len();
        let from = length.saturating_sub(TAIL);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole < tail.len() {
            file.set_len(from + whole as u64)?;
        }
        let lines = tail[..whole].strip_suffix(b"\n").unwrap_or_default();
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
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut entries: Vec<_> = bytes
            .split(|&byte| byte == b'\n')
            .rev()
            .filter_map(|line| line::read(line).ok())
            .take(limit)
            .collect();
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
