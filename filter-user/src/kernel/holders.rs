//! Which processes hold a BPF program, by what /proc says of their descriptors.

use std::fs::{self, DirEntry};

/// Processes named at most.
const SHOWN: usize = 4;

/// Processes that hold the program or a link to it, as `name (pid)`. Of other users' processes only
/// root learns.
pub fn holders(program: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
        .filter(|process| holds(process, program))
        .take(SHOWN)
        .map(|process| {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            format!("{} ({})", name.trim(), process.file_name().to_string_lossy())
        })
        .collect()
}

fn holds(process: &DirEntry, program: u32) -> bool {
    let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        let is_bpf = fs::read_link(descriptor.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("anon_inode:bpf"));
        let about = process.path().join("fdinfo").join(descriptor.file_name());
        is_bpf && fs::read_to_string(about).is_ok_and(|about| names(&about, program))
    })
}

/// Whether the fdinfo of a program or a link names this program.
fn names(about: &str, program: u32) -> bool {
    let mut values = about.lines().filter_map(|line| line.strip_prefix("prog_id:"));
    values.any(|value| value.trim().parse() == Ok(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdinfo() {
        let about = "pos:\t0\nprog_type:\t6\nprog_id:\t12\nlink_type:\txdp\n";
        for (program, named) in [(12, true), (1, false), (2, false)] {
            assert_eq!(names(about, program), named, "{program}");
        }
        assert_eq!(holders(u32::MAX), Vec::<String>::new());
    }
}
