//! What a daemon takes of the host, as the kernel says: memory, descriptors, threads, objects of BPF,
//! bytes on the disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// One look at a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Since the beginning.
    pub at: Duration,
    /// The process that was looked at: another after a restart.
    pub pid: u32,
    /// Anonymous resident memory in KiB (`RssAnon`): what it has allocated, without the maps of the
    /// kernel that it looks into.
    pub anonymous: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// Maps, programs and links of BPF that it holds by a descriptor.
    pub held: u64,
    /// Maps, programs and links of BPF that were ever seen to be its own and are still there,
    /// whoever holds them.
    pub alive: u64,
    /// Bytes in its state directory.
    pub state: u64,
}

/// A kind of object with numbers of its own in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A table.
    Map,
    /// A program.
    Program,
    /// What holds a program at its hook.
    Link,
}

impl Kind {
    /// The command of bpf(2) that goes from one number to the next (include/uapi/linux/bpf.h).
    fn next(self) -> libc::c_long {
        match self {
            Self::Program => 11,
            Self::Map => 12,
            Self::Link => 31,
        }
    }
}

/// Objects of BPF by kind and number, which the kernel gives to no other as long as one is there.
pub type Objects = BTreeSet<(Kind, u32)>;

/// All objects of BPF of this machine, whoever they belong to. It takes root.
pub fn all() -> Result<Objects> {
    #[repr(C)]
    struct Attribute {
        start: u32,
        next: u32,
        flags: u32,
    }
    let mut found = Objects::new();
    for kind in [Kind::Map, Kind::Program, Kind::Link] {
        let mut attribute = Attribute { start: 0, next: 0, flags: 0 };
        loop {
            // SAFETY: the attribute lives for the call, is as long as is said, and is what these
            // commands take and fill in.
            let done = unsafe {
                libc::syscall(
                    libc::SYS_bpf,
                    kind.next(),
                    &raw mut attribute,
                    size_of::<Attribute>(),
                )
            };
            if done != 0 {
                let error = std::io::Error::last_os_error();
                if error.raw_os_error() == Some(libc::ENOENT) {
                    break;
                }
                return Err(error).context("cannot go through the objects of BPF");
            }
            found.insert((kind, attribute.next));
            attribute.start = attribute.next;
        }
    }
    Ok(found)
}

/// Those that a process has a descriptor of.
pub fn held(pid: u32) -> Result<Objects> {
    let directory = format!("/proc/{pid}/fdinfo");
    let entries =
        std::fs::read_dir(&directory).with_context(|| format!("cannot read {directory}"))?;
    let mut found = Objects::new();
    for entry in entries.flatten() {
        // One that was closed meanwhile is not there any more.
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        found.extend(object(&text));
    }
    Ok(found)
}

/// The object that a descriptor stands for. A link names its program, too.
fn object(text: &str) -> Option<(Kind, u32)> {
    [("link_id:", Kind::Link), ("map_id:", Kind::Map), ("prog_id:", Kind::Program)]
        .into_iter()
        .find_map(|(name, kind)| Some((kind, field(text, name)?.try_into().ok()?)))
}

/// A number of a page of /proc; a unit after it is left out.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Looks at a daemon. `known` are the objects seen so far, and is added to.
pub fn look(at: Duration, pid: u32, state: &Path, known: &mut Objects) -> Result<Usage> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("cannot look at process {pid}"))?;
    let number =
        |name: &str| field(&text, name).with_context(|| format!("/proc/{pid}/status lacks {name}"));
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .with_context(|| format!("cannot look at the descriptors of {pid}"))?;
    let held = held(pid)?;
    known.extend(&held);
    let alive = all()?;
    Ok(Usage {
        at,
        pid,
        anonymous: number("RssAnon:")?,
        descriptors: entries.count() as u64,
        threads: number("Threads:")?,
        held: held.len() as u64,
        alive: known.intersection(&alive).count() as u64,
        state: size(state),
    })
}

/// Bytes of the files below a directory; what vanishes meanwhile counts nothing.
fn size(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The median; 0 of nothing.
pub fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_told_apart() {
        let rows = [
            ("a map", "pos:\t0\nmap_type:\t2\nmap_id:\t7\n", Some((Kind::Map, 7))),
            ("a program", "prog_type:\t6\nprog_id:\t3\n", Some((Kind::Program, 3))),
            ("a link", "link_type:\txdp\nlink_id:\t9\nprog_id:\t3\n", Some((Kind::Link, 9))),
            ("a file", "pos:\t0\nflags:\t02\n", None),
            ("no number", "map_id:\tx\n", None),
        ];
        for (name, text, expected) in rows {
            assert_eq!(object(text), expected, "{name}");
        }
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("in")).expect("a directory in it");
        std::fs::write(directory.path().join("in/file"), [0; 300]).expect("a file");
        assert_eq!(size(directory.path()), 300);
        assert_eq!(size(&directory.path().join("nowhere")), 0);
        assert_eq!(field("RssAnon:\t     812 kB\n", "RssAnon:"), Some(812));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let rows: [(&[u64], u64); 3] = [(&[], 0), (&[4], 4), (&[9, 1, 5], 5)];
        for (numbers, expected) in rows {
            assert_eq!(median(numbers.iter().copied()), expected);
        }
    }
}
