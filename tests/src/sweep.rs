//! Removing what laboratories of killed runs have left behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::netns::{self, Netns};
use crate::process;

/// What everything begins with that a laboratory of process `pid` makes.
pub(crate) fn prefix(pid: u32) -> String {
    format!("wt{pid}-")
}

/// The process a name belongs to, when a laboratory made it.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix("wt")?.split_once('-')?.0.parse().ok()
}

/// Removes what belongs to processes that are gone.
pub fn sweep() -> Result<()> {
    let orphan =
        |name: &str| owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    remove(&orphan)
}

/// Removes everything whose name begins with this, its processes too.
pub fn remove_all(prefix: &str) -> Result<()> {
    remove(&|name| name.starts_with(prefix))
}

/// Everything there is whose name begins with this: namespaces and directories.
pub fn leftovers(prefix: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for directory in [Path::new(netns::DIRECTORY), &std::env::temp_dir()] {
        found.extend(names(directory)?.into_iter().filter(|name| name.starts_with(prefix)));
    }
    Ok(found)
}

fn remove(wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let chosen = |directory: &Path| -> Result<Vec<String>> {
        Ok(names(directory)?.into_iter().filter(|name| wanted(name)).collect())
    };
    for name in chosen(Path::new(netns::DIRECTORY))? {
        drop(Netns::adopt(&name));
    }
    let directory = std::env::temp_dir();
    for name in chosen(&directory)? {
        remove_directory(&directory.join(name))?;
    }
    Ok(())
}

fn names(directory: &Path) -> Result<Vec<String>> {
    match std::fs::read_dir(directory) {
        Ok(entries) => {
            Ok(entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect())
        }
        // iproute2 makes its directory with the first namespace.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", directory.display())),
    }
}

/// Removes a laboratory's directory; a BPF file system in it goes first, and with it what was
/// pinned there.
pub(crate) fn remove_directory(directory: &Path) -> Result<()> {
    let bpf = bpf_directory(directory);
    if is_mounted(&bpf)? {
        let mut unmount = Command::new("umount");
        let unmounted = process::run_anyway(unmount.arg(&bpf), Duration::from_secs(20))?.success();
        // Another process may sweep at the same time.
        if unmounted.is_err() && is_mounted(&bpf)? {
            unmounted?;
        }
    }
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// Where a laboratory's BPF file system is.
pub(crate) fn bpf_directory(directory: &Path) -> PathBuf {
    directory.join("bpf")
}

/// Is a file system mounted on exactly this path?
pub(crate) fn is_mounted(path: &Path) -> Result<bool> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    Ok(mounts.lines().any(|line| line.split(' ').nth(1).map(Path::new) == Some(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_owner() {
        let rows = [
            ("wt1234-1-srv", Some(1234)),
            ("wt1234-", Some(1234)),
            ("wt-srv", None),
            ("wtx-srv", None),
            ("weir-demo-srv", None),
            ("wt12", None),
        ];
        for (name, expected) in rows {
            assert_eq!(owner(name), expected, "{name}");
        }
        assert_eq!(owner(&format!("{}x", prefix(77))), Some(77));
    }

    #[test]
    fn mounts_are_recognised() {
        assert!(is_mounted(Path::new("/proc")).expect("readable"));
        assert!(!is_mounted(Path::new("/no/such/mount")).expect("readable"));
    }
}
