//! Whether the audit log is as it was written.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::line::{self, BEGIN};
use super::{End, files, read_head};

/// What checking the chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Every line is as it was written, and none is missing.
    pub intact: bool,
    /// Lines that were read.
    pub lines: u64,
    /// The first line that is not right, counted from 1 over all files.
    pub line: Option<u64>,
    /// The file it is in, or should be; empty when the log is intact.
    #[serde(default)]
    pub file: String,
    /// What is wrong with it; empty when the log is intact.
    pub problem: String,
}

/// Checks the log at `path`, with the files that were put aside before it, from its first line to its
/// last, and against the end that was noted beside it, when there is such a note.
///
/// # Errors
/// A file cannot be read.
pub fn verify(path: &Path) -> io::Result<Verified> {
    // Read first: lines may come while this looks.
    let noted = read_head(path);
    let mut chain = Chain { noted, lines: 0, previous: BEGIN.to_owned(), noted_hash: None };
    let older = files::older(path)?;
    for file in older.iter().map(PathBuf::as_path).chain([path]) {
        let reader = match File::open(file) {
            Ok(reader) => reader,
            // It was put aside, and no line has come since.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !older.is_empty() => continue,
            Err(error) => return Err(error),
        };
        if let Some((line, problem)) = chain.follow(BufReader::new(reader))? {
            return Ok(chain.broken(file, line, problem));
        }
    }
    let lines = chain.lines;
    Ok(match &chain.noted {
        Some(noted) if noted.number > lines => {
            let problem = format!("lines {} to {} are missing at the end", lines + 1, noted.number);
            chain.broken(path, lines + 1, problem)
        }
        Some(noted) if chain.noted_hash.as_ref() != Some(&noted.hash) => {
            let problem = "the whole chain up to here is another than was written".to_owned();
            chain.broken(path, noted.number, problem)
        }
        _ => Verified {
            intact: true,
            lines,
            line: None,
            file: String::new(),
            problem: String::new(),
        },
    })
}

/// The chain as far as it was followed.
struct Chain {
    noted: Option<End>,
    lines: u64,
    previous: String,
    /// Hash of the line with the number that was noted.
    noted_hash: Option<String>,
}

impl Chain {
    /// Goes on through a file; the first line that is not right, with what is wrong.
    fn follow(&mut self, mut reader: impl BufRead) -> io::Result<Option<(u64, String)>> {
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            self.lines += 1;
            let lines = self.lines;
            let Some(text) = line.strip_suffix(b"\n") else {
                return Ok(Some((lines, "it is cut short".to_owned())));
            };
            let entry = match line::open(text) {
                Ok(entry) => entry,
                Err(problem) => return Ok(Some((lines, problem.to_owned()))),
            };
            if entry.number != lines || entry.previous != self.previous {
                let problem = format!(
                    "number {} stands here, or another line before it: lines are missing, were moved \
                     or put in, or an older file of the log is not here",
                    entry.number
                );
                return Ok(Some((lines, problem)));
            }
            if self.noted.as_ref().is_some_and(|noted| noted.number == lines) {
                self.noted_hash = Some(entry.hash.clone());
            }
            self.previous = entry.hash;
            line.clear();
        }
        Ok(None)
    }

    fn broken(&self, file: &Path, line: u64, problem: String) -> Verified {
        let file = file.display().to_string();
        Verified { intact: false, lines: self.lines, line: Some(line), file, problem }
    }
}
