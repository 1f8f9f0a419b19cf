//! The archive: one gzipped tar, a manifest with the hash of each file in it.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// What is in an archive, and what is not.
#[derive(Debug, Default, Serialize)]
pub(super) struct Manifest {
    /// Version of weir that made it.
    pub(super) weir: &'static str,
    /// When, seconds since 1970.
    pub(super) time: u64,
    /// Addresses are pseudonyms.
    pub(super) masked: bool,
    /// The files.
    pub(super) files: Vec<Entry>,
    /// What could not be had.
    pub(super) missing: Vec<Missing>,
}

/// A file.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) bytes: usize,
    pub(super) sha256: String,
}

/// Something that is not there.
#[derive(Debug, Serialize)]
pub(super) struct Missing {
    pub(super) what: String,
    pub(super) why: String,
}

/// What goes into an archive.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// By name.
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) missing: Vec<Missing>,
}

impl Parts {
    /// Takes a part, or why there is none.
    pub(super) fn take(&mut self, name: &str, part: Result<String, String>) {
        match part {
            Ok(text) => self.files.push((name.to_owned(), text.into_bytes())),
            Err(why) => self.missing.push(Missing { what: name.to_owned(), why }),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the archive where nothing is yet, for nobody else to read. All of it is below the directory of
/// this name.
pub(super) fn write(
    path: &Path,
    directory: &str,
    parts: Parts,
    mut manifest: Manifest,
) -> io::Result<Manifest> {
    let entry = |(name, bytes): &(String, Vec<u8>)| Entry {
        name: name.clone(),
        bytes: bytes.len(),
        sha256: hex(&Sha256::digest(bytes)),
    };
    manifest.files = parts.files.iter().map(entry).collect();
    manifest.missing = parts.missing;
    let told = serde_json::to_vec_pretty(&manifest).map_err(io::Error::other)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let manifest_file = [("manifest.json".to_owned(), told)];
    for (name, bytes) in manifest_file.iter().chain(&parts.files) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(manifest.time);
        archive.append_data(&mut header, format!("{directory}/{name}"), bytes.as_slice())?;
    }
    let mut file = archive.into_inner()?.finish()?;
    file.flush()?;
    file.sync_all()?;
    Ok(manifest)
}
