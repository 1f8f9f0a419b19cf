//! Whether the audit log is as it was written.

use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::line::{self, BEGIN};
use super::read_head;

/// What checking the chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Every line is as it was written, and none is missing.
    pub intact: bool,
    /// Lines that were read.
    pub lines: u64,
    /// The first line that is not right, counted from 1.
    pub line: Option<u64>,
    /// What is wrong with it; empty when the log is intact.
    pub problem: String,
}

impl Verified {
    fn broken(lines: u64, line: u64, problem: impl Into<String>) -> Self {
        Self { intact: false, lines, line: Some(line), problem: problem.into() }
    }
}

/// Checks the log at `path` from its first line to its last, and against the end that was noted
/// beside it, when there is such a note.
///
/// # Errors
/// The file cannot be read.
pub fn verify(path: &Path) -> io::Result<Verified> {
    // Read first: lines may come while this looks.
    let noted = read_head(path);
    let mut reader = BufReader::new(std::fs::File::open(path)?);
    let (mut lines, mut previous) = (0u64, BEGIN.to_owned());
    let mut noted_hash = None;
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        lines += 1;
        let Some(text) = line.strip_suffix(b"\n") else {
            return Ok(Verified::broken(lines, lines, "it is cut short"));
        };
        let entry = match line::open(text) {
            Ok(entry) => entry,
            Err(problem) => return Ok(Verified::broken(lines, lines, problem)),
        };
        if entry.number != lines || entry.previous != previous {
            let problem = format!(
                "number {} stands here, or another line before it: lines are missing, were moved \
                 or put in",
                entry.number
            );
            return Ok(Verified::broken(lines, lines, problem));
        }
        if noted.as_ref().is_some_and(|noted| noted.number == lines) {
            noted_hash = Some(entry.hash.clone());
        }
        previous = entry.hash;
        line.clear();
    }
    match noted {
        Some(noted) if noted.number > lines => {
            let problem = format!("lines {} to {} are missing at the end", lines + 1, noted.number);
            Ok(Verified::broken(lines, lines + 1, problem))
        }
        Some(noted) if noted_hash.as_ref() != Some(&noted.hash) => {
            let problem = "the whole chain up to here is another than was written";
            Ok(Verified::broken(lines, noted.number, problem))
        }
        _ => Ok(Verified { intact: true, lines, line: None, problem: String::new() }),
    }
}
