//! A file of lines that is rotated by size: `events.jsonl`, then `events.jsonl.1` (the newest) and so
//! on. A line is there whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Who may read it: root, and the group of the state directory.
const MODE: u32 = 0o640;

#[derive(Debug)]
pub(crate) struct RotatingFile {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
    open: Option<(File, u64)>,
}

impl RotatingFile {
    /// Opens nothing yet.
    pub(crate) fn new(path: PathBuf, max_bytes: u64, keep: u32) -> Self {
        Self { path, max_bytes, keep, open: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends whole lines. After an error nothing of them is in the file, so that they can be
    /// written again.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let (mut file, mut length) = match self.open.take() {
            Some((file, length)) if self.is_current(&file) => (file, length),
            _ => self.open_file()?,
        };
        if length > 0 && length.saturating_add(lines.len() as u64) > self.max_bytes {
            drop(file);
            self.rotate()?;
            (file, length) = self.open_file()?;
        }
        if let Err(error) = file.write_all(lines) {
            // Part of it may be there. When it cannot be cut off, the next opening ends the line.
            let _cut = file.set_len(length);
            return Err(error);
        }
        self.open = Some((file, length + lines.len() as u64));
        Ok(())
    }

    /// Whether the path still names this file: someone may have moved or removed it.
    fn is_current(&self, file: &File) -> bool {
        match (file.metadata(), std::fs::metadata(&self.path)) {
            (Ok(ours), Ok(named)) => ours.ino() == named.ino() && ours.dev() == named.dev(),
            _ => false,
        }
    }

    fn open_file(&self) -> io::Result<(File, u64)> {
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(&self.path)?;
        let mut length = file.metadata()?.len();
        if length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                length += 1;
            }
        }
        Ok((file, length))
    }

    fn rotate(&self) -> io::Result<()> {
        if self.keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            let from = self.numbered(number);
            if from.exists() {
                std::fs::rename(from, self.numbered(number + 1))?;
            }
        }
        std::fs::rename(&self.path, self.numbered(1))
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// The last lines, oldest first, out of the last `bytes`; none when there is no file.
    pub(super) fn last_lines(&self, lines: usize, bytes: u64) -> Vec<String> {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
            let mut tail = Vec::new();
            file.take(bytes).read_to_end(&mut tail)?;
            // Unless it is the whole file, the first line may be cut.
            if length > bytes {
                let first =
                    tail.iter().position(|byte| *byte == b'\n').map_or(tail.len(), |at| at + 1);
                tail.drain(..first);
            }
            Ok(tail)
        };
        let tail = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&tail);
        let whole: Vec<&str> = text.lines().filter(|line| line.ends_with('}')).collect();
        whole[whole.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotates_and_keeps_so_many() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let mut file = RotatingFile::new(path.clone(), 20, 2);
        for number in 0..9 {
            file.append(format!("line {number}\n").as_bytes()).unwrap();
        }
        let read = |suffix: &str| {
            std::fs::read_to_string(format!("{}{suffix}", path.display())).unwrap_or_default()
        };
        assert_eq!(read(""), "line 8\n");
        assert_eq!(read(".1"), "line 6\nline 7\n");
        assert_eq!(read(".2"), "line 4\nline 5\n");
        assert_eq!(read(".3"), "");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        // A line larger than a file has a file of its own; with nothing to keep, the old one goes.
        let mut file = RotatingFile::new(path.clone(), 5, 0);
        file.append(b"a long line\n").unwrap();
        file.append(b"b\n").unwrap();
        assert_eq!(read(""), "b\n");
    }

    #[test]
    fn ends_a_torn_line_and_follows_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/events.jsonl");
        let mut file = RotatingFile::new(path.clone(), 1000, 1);
        file.append(b"{1}\n").unwrap();
        std::fs::write(&path, b"{1}\n{2").unwrap();
        let mut file2 = RotatingFile::new(path.clone(), 1000, 1);
        file2.append(b"{3}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{1}\n{2\n{3}\n");
        assert_eq!(file2.last_lines(10, 1000), ["{1}", "{3}"]);
        assert_eq!(file2.last_lines(1, 1000), ["{3}"]);
        assert_eq!(file2.last_lines(10, 9), ["{3}"]);
        std::fs::rename(&path, directory.path().join("moved")).unwrap();
        file2.append(b"{4}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{4}\n");
        assert!(RotatingFile::new(directory.path().join("none"), 1, 1).last_lines(1, 1).is_empty());
    }
}
