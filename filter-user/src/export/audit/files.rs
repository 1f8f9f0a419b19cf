//! The files of the log: `audit.jsonl`, and beside it those that became too large, each named after
//! the number of its first line: `audit-00000001.jsonl`.
//!
//! None is ever removed from here: what an audit log forgets by itself, it does not prove.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::line;

/// Who may read them: root, and the group of the state directory.
const MODE: u32 = 0o640;

/// Bytes at the end of a file in which its last line is looked for.
const TAIL: u64 = 1 << 20;

/// Opens the current file, making it when there is none.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)
}

/// The files beside the current one, oldest first.
pub(super) fn older(path: &Path) -> io::Result<Vec<PathBuf>> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let candidate = entry?.path();
        if let Some(first) = first_of_name(path, &candidate) {
            found.push((first, candidate));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The number in the name of an older file of the log at `path`.
fn first_of_name(path: &Path, candidate: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?;
    if candidate.extension() != path.extension() {
        return None;
    }
    let number = candidate.file_stem()?.to_str()?.strip_prefix(stem)?.strip_prefix('-')?;
    number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Puts the current file aside under the name of its first line.
///
/// # Errors
/// It has no line to be named after, there is such a file, or it cannot be renamed.
pub(super) fn set_aside(path: &Path) -> io::Result<()> {
    let mut text = Vec::new();
    BufReader::new(File::open(path)?).take(TAIL).read_until(b'\n', &mut text)?;
    let first = line::read(&text).map_err(io::Error::other)?.number;
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("audit");
    let aside = path.with_file_name(format!("{stem}-{first:08}.jsonl"));
    if aside.exists() {
        return Err(io::Error::other(format!("{} is there already", aside.display())));
    }
    std::fs::rename(path, aside)
}

/// The end of a file: the place after its last whole line, and what is before that.
pub(super) fn tail(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    tail.truncate(whole);
    Ok((from + whole as u64, tail))
}
