//! What of weir, and what else on the same hooks, the kernel has: as `bpftool prog` and `bpftool map`
//! show it, for somebody who is not on the host.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use aya::maps::MapInfo;
use aya::programs::loaded_programs;
use serde::Serialize;

use super::attach::is_errno;

/// Directories below the pins that are looked into.
const DEPTH: usize = 3;
/// Pins that are looked at.
const MOST: usize = 500;

/// A program in the kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Program {
    /// Its number, until the next boot at least.
    pub id: u32,
    /// Its name, 15 bytes at most.
    pub name: String,
    /// Its type, as the kernel's header names it.
    pub kind: String,
    /// A hash of its instructions, in hex.
    pub tag: String,
    /// When it was loaded, seconds since 1970.
    pub loaded_at: Option<u64>,
    /// Who loaded it.
    pub uid: Option<u32>,
    /// The maps it uses.
    pub maps: Vec<u32>,
    /// Bytes of its machine code.
    pub jited_bytes: u32,
    /// Instructions that the verifier looked at.
    pub verified: Option<u32>,
    /// Runs, while kernel.bpf_stats_enabled is set.
    pub runs: u64,
    /// Time they took, ns.
    pub run_ns: u64,
}

/// A map that is pinned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pinned {
    /// Where.
    pub pin: PathBuf,
    /// Its number.
    pub id: u32,
    /// Its name, 15 bytes at most.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// Entries it has room for; bytes, of a ring.
    pub capacity: u32,
    /// Flags, as bpf(2) has them.
    pub flags: u32,
}

/// All programs for XDP and traffic control, whoever loaded them, by number.
///
/// # Errors
/// What the kernel says, as when rights are missing.
pub fn programs() -> Result<Vec<Program>, String> {
    let mut found = Vec::new();
    for info in loaded_programs() {
        let info = match info {
            Ok(info) => info,
            // Unloaded since its number was told.
            Err(error) if is_errno(&error, libc::ENOENT) => continue,
            Err(error) => return Err(format!("cannot list programs: {error}")),
        };
        let kind = format!("{:?}", info.program_type());
        if !["BPF_PROG_TYPE_XDP", "BPF_PROG_TYPE_SCHED_CLS"].contains(&kind.as_str()) {
            continue;
        }
        let loaded = info.loaded_at().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        found.push(Program {
            id: info.id(),
            name: info.name_as_str().unwrap_or_default().to_owned(),
            kind,
            tag: format!("{:016x}", info.tag().swap_bytes()),
            loaded_at: loaded.map(|since| since.as_secs()),
            uid: info.created_by_uid(),
            maps: info.map_ids().ok().flatten().unwrap_or_default(),
            jited_bytes: info.size_jitted(),
            verified: info.verified_instruction_count(),
            runs: info.run_count(),
            run_ns: u64::try_from(info.run_time().as_nanos()).unwrap_or(u64::MAX),
        });
    }
    Ok(found)
}

/// The maps that are pinned below a directory, by path.
///
/// # Errors
/// The directory cannot be read.
pub fn maps(pins: &Path) -> Result<Vec<Pinned>, String> {
    let mut paths = Vec::new();
    list(pins, DEPTH, &mut paths)
        .map_err(|error| format!("cannot read {}: {error}", pins.display()))?;
    paths.sort();
    let seen = |pin: PathBuf| {
        // Links and programs are pinned there too.
        let info = MapInfo::from_pin(&pin).ok()?;
        Some(Pinned {
            id: info.id(),
            name: info.name_as_str().unwrap_or_default().to_owned(),
            kind: info.map_type().map(|kind| format!("{kind:?}")).unwrap_or_default(),
            key_bytes: info.key_size(),
            value_bytes: info.value_size(),
            capacity: info.max_entries(),
            flags: info.map_flags(),
            pin,
        })
    };
    Ok(paths.into_iter().filter_map(seen).collect())
}

fn list(directory: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)?.flatten() {
        if paths.len() >= MOST {
            break;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => {
                // One that is gone meanwhile is not worth a word.
                let _gone = list(&entry.path(), depth - 1, paths);
            }
            Ok(kind) if kind.is_file() => paths.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}
