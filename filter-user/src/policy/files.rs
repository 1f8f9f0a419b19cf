//! The files that a policy names: reading them once, and the hash over all of it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::text::{Problem, read_regular, reason};

/// The largest file that is read: some 15 million lines. Guards against naming a device or a log.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Where the files of a policy come from: a directory, a stored generation, a test.
pub trait ReadFile {
    /// The contents of the file that the policy calls `name`.
    ///
    /// # Errors
    /// It is missing, unreadable, not a regular file or too large.
    fn read(&self, name: &str) -> Result<Vec<u8>, Problem>;

    /// What the file is called in messages.
    fn shown(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// Files relative to a directory; absolute names are taken as they are.
#[derive(Clone, Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory of the policy file.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl ReadFile for Directory {
    fn read(&self, name: &str) -> Result<Vec<u8>, Problem> {
        let path = self.0.join(name);
        read_regular(&path, MAX_FILE_BYTES).map_err(|error| {
            let place = match self.0.as_os_str().is_empty() {
                true => Path::new(".").to_owned(),
                false => self.0.clone(),
            };
            let hint = match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("put the file there: paths are relative to {}", place.display())
                }
                io::ErrorKind::PermissionDenied => {
                    format!("let the user that runs weir read {}", path.display())
                }
                _ => "name a regular file of text, one address or prefix a line".to_owned(),
            };
            let name: String = name.escape_debug().collect();
            Problem::new(format!("cannot read {name}: {}", reason(&error)), hint)
        })
    }

    fn shown(&self, name: &str) -> String {
        match self.0.as_os_str().is_empty() || self.0 == Path::new(".") {
            true => name.to_owned(),
            false => self.0.join(name).display().to_string(),
        }
    }
}

/// A file that a policy names, as it was when the policy was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The name as written in the policy.
    pub name: Arc<str>,
    /// What it is called in messages.
    pub shown: Arc<str>,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// Files already read, so that one named twice is read once and cannot differ.
pub(super) struct Files<'f> {
    from: &'f dyn ReadFile,
    read: Vec<NamedFile>,
}

impl<'f> Files<'f> {
    pub(super) fn new(from: &'f dyn ReadFile) -> Self {
        Self { from, read: Vec::new() }
    }

    /// Reads a file unless it was; returns its index.
    pub(super) fn open(&mut self, name: &str) -> Result<usize, Problem> {
        if let Some(index) = self.read.iter().position(|file| &*file.name == name) {
            return Ok(index);
        }
        let bytes = self.from.read(name)?;
        let shown = self.from.shown(name).into();
        self.read.push(NamedFile { name: name.into(), shown, bytes });
        Ok(self.read.len() - 1)
    }

    /// A file that `open` gave the index of.
    pub(super) fn get(&self, index: usize) -> Option<&NamedFile> {
        self.read.get(index)
    }

    pub(super) fn into_read(self) -> Vec<NamedFile> {
        self.read
    }
}

/// SHA-256 over the policy text and each file's name and contents, each after its length, so that
/// bytes cannot move from one into another unnoticed.
pub(super) fn hash(text: &str, files: &[NamedFile]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(text.as_bytes());
    for file in files {
        part(file.name.as_bytes());
        part(&file.bytes);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_changes_with_every_part_and_every_border() {
        let file = |name: &str, bytes: &[u8]| NamedFile {
            name: name.into(),
            shown: name.into(),
            bytes: bytes.to_vec(),
        };
        let hashes = [
            hash("a", &[]),
            hash("b", &[]),
            hash("a", &[file("f", b"x")]),
            hash("a", &[file("g", b"x")]),
            hash("a", &[file("f", b"y")]),
            hash("a", &[file("f", b""), file("x", b"")]),
            hash("a", &[file("fx", b"")]),
        ];
        for (i, a) in hashes.iter().enumerate() {
            for (j, b) in hashes.iter().enumerate() {
                assert_eq!(i == j, a == b, "{i} {j}");
            }
        }
        assert_eq!(hash("a", &[file("f", b"x")]), hashes[2]);
    }

    #[test]
    fn only_regular_files_are_read() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("feed"), "192.0.2.1\n").expect("written");
        let from = Directory::new(dir.path());
        assert_eq!(from.read("feed"), Ok(b"192.0.2.1\n".to_vec()));
        for (name, message) in [
            ("absent", "cannot read absent: no such file"),
            (".", "cannot read .: not a regular file"),
            ("/dev/zero", "cannot read /dev/zero: not a regular file"),
        ] {
            assert_eq!(from.read(name).expect_err("refused").message, message, "{name}");
        }
    }
}
