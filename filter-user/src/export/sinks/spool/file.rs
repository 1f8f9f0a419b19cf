//! The journal's file: what is appended is there whole or not at all, as far as the disk goes along.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::LARGEST;
use super::line::Line;

/// Who may read it: root, and the group of the state directory.
const MODE: u32 = 0o640;
/// After an error the disk is left alone for so long.
const RETRY: Duration = Duration::from_millis(500);
/// Damaged files that are kept to be looked at.
const ASIDE: usize = 3;
/// Bytes of a line at most: an event, and what is before it.
const LINE: u64 = LARGEST as u64 + 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Option<File>,
    length: u64,
    failed: Option<Instant>,
}

impl Journal {
    /// Opens nothing yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, length: 0, failed: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether the last error is long enough ago.
    pub(super) fn may_try(&self) -> bool {
        self.failed.is_none_or(|at| at.elapsed() >= RETRY)
    }

    /// Hands on each line with its place and length (newline included). What is behind the last
    /// newline is cut off: nobody was told that it is there. Returns how many lines are damaged;
    /// the others are handed on all the same.
    pub(super) fn read(&mut self, mut line: impl FnMut(Line<'_>, u64, u64)) -> io::Result<u64> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::with_capacity(64 << 10, file);
        let (mut offset, mut damaged) = (0, 0);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = reader.by_ref().take(LINE).read_until(b'\n', &mut bytes)? as u64;
            if read == 0 {
                break;
            }
            let Some(text) = bytes.strip_suffix(b"\n") else {
                if read == LINE {
                    // Longer than any line can be.
                    damaged += 1;
                    offset += read + reader.skip_until(b'\n')? as u64;
                    continue;
                }
                break;
            };
            match Line::read(text) {
                Some(read_line) => line(read_line, offset, read),
                None => damaged += 1,
            }
            offset += read;
        }
        self.length = offset;
        if damaged == 0 && std::fs::metadata(&self.path)?.len() > offset {
            OpenOptions::new().write(true).open(&self.path)?.set_len(offset)?;
        }
        Ok(damaged)
    }

    /// Appends a line and says where it begins. After an error nothing of it is there.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<u64> {
        let length = self.length;
        let result = self.open().and_then(|file| {
            file.write_all(line).inspect_err(|_| {
                // What cannot be cut off ends at the next opening, as a torn line.
                let _cut = file.set_len(length);
            })
        });
        match result {
            Ok(()) => {
                self.failed = None;
                self.length += line.len() as u64;
                Ok(length)
            }
            Err(error) => {
                self.file = None;
                self.failed = Some(Instant::now());
                Err(error)
            }
        }
    }

    /// The text that begins at this byte.
    pub(super) fn payload(&self, offset: u64, length: usize) -> io::Result<String> {
        let opened;
        let file = match &self.file {
            Some(file) => file,
            None => {
                opened = File::open(&self.path)?;
                &opened
            }
        };
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset)?;
        String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// Cuts it to nothing.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        if self.length > 0 {
            self.open()?.set_len(0)?;
            self.length = 0;
        }
        Ok(())
    }

    /// Waits until the disk has it.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// Writes another file and puts it in the place of this one, which stays when that fails.
    pub(super) fn replace(
        &mut self,
        write: impl FnOnce(&Self, &mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut path = self.path.clone().into_os_string();
        path.push(".new");
        let mut new = Self::new(path.into());
        let _left_over = std::fs::remove_file(&new.path);
        let written = new
            .open()
            .map(drop)
            .and_then(|()| write(self, &mut new))
            .and_then(|()| new.sync())
            .and_then(|()| std::fs::rename(&new.path, &self.path));
        if let Err(error) = written {
            let _half = std::fs::remove_file(&new.path);
            self.failed = Some(Instant::now());
            return Err(error);
        }
        new.path.clone_from(&self.path);
        *self = new;
        Ok(())
    }

    /// Moves a damaged file out of the way, and says where it is.
    pub(super) fn set_aside(&mut self) -> io::Result<PathBuf> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("damaged-{:010}.{:03}", now.as_secs(), now.subsec_millis());
        let aside = self.path.with_file_name(name);
        std::fs::rename(&self.path, &aside)?;
        self.file = None;
        self.length = 0;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let is_old = |path: &PathBuf| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|n| n.starts_with("damaged-"))
        };
        let mut all: Vec<PathBuf> = std::fs::read_dir(directory)?
            .flatten()
            .map(|entry| entry.path())
            .filter(is_old)
            .collect();
        all.sort();
        for old in all.iter().rev().skip(ASIDE) {
            std::fs::remove_file(old)?;
        }
        Ok(aside)
    }

    fn open(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            if let Some(directory) = self.path.parent() {
                DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
            }
            let mut options = OpenOptions::new();
            let file = options.read(true).append(true).create(true).mode(MODE).open(&self.path)?;
            // Left over from a write that could not be cut off.
            if file.metadata()?.len() > self.length {
                file.set_len(self.length)?;
            }
            self.file = Some(file);
        }
        self.file.as_mut().ok_or_else(|| io::Error::from(ErrorKind::NotFound))
    }
}
