//! What the kernel knows of a BPF program, by its id, and which processes hold it. Raw system calls
//! (bpf(2)): this only looks, loading and attaching are `kernel/`'s.

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Commands of bpf(2).
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;

/// `struct bpf_prog_info` as far as the name; the kernel fills in as much as there is room for.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Info {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_length: u32,
    translated_length: u32,
    jited: u64,
    translated: u64,
    load_time: u64,
    uid: u32,
    map_count: u32,
    maps: u64,
    name: [u8; 16],
}

/// The part of `union bpf_attr` that both commands use.
#[repr(C)]
#[derive(Clone, Copy)]
struct Attributes {
    /// The id, or the descriptor.
    what: u32,
    info_length: u32,
    info: u64,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Its name, at most 15 bytes.
    pub(super) name: String,
    /// Who loaded it.
    pub(super) uid: u32,
}

impl Program {
    /// Whether it is one of weir's.
    pub(super) fn is_weirs(&self) -> bool {
        self.name.starts_with("weir_")
    }
}

/// The program of this id. Needs CAP_SYS_ADMIN, or CAP_BPF on newer kernels.
pub(super) fn program(id: u32) -> std::io::Result<Program> {
    let by_id = Attributes { what: id, info_length: 0, info: 0 };
    let fd = call(BPF_PROG_GET_FD_BY_ID, &by_id)?;
    let fd = i32::try_from(fd).map_err(std::io::Error::other)?;
    // SAFETY: the descriptor is new and nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut info = Info::default();
    let about = Attributes {
        what: fd.as_raw_fd() as u32,
        info_length: size_of::<Info>() as u32,
        info: (&raw mut info) as u64,
    };
    call(BPF_OBJ_GET_INFO_BY_FD, &about)?;
    let end = info.name.iter().position(|&byte| byte == 0).unwrap_or(info.name.len());
    let name = String::from_utf8_lossy(&info.name[..end]).into_owned();
    Ok(Program { name, uid: info.uid })
}

fn call(command: libc::c_long, attributes: &Attributes) -> std::io::Result<libc::c_long> {
    // SAFETY: the attributes are as long as said and valid through the call; where they carry an
    // address, it is of a struct that is as long as they say and outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<Attributes>(),
        )
    };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}

/// Processes that hold the program or a link to it, as `name (pid)`; at most a few.
pub(super) fn holders(id: u32) -> Vec<String> {
    const SHOWN: usize = 4;
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let holds = |process: &fs::DirEntry| {
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        descriptors.into_iter().any(|descriptor| {
            let is_bpf = fs::read_link(descriptor.path())
                .is_ok_and(|target| target.to_string_lossy().starts_with("anon_inode:bpf"));
            is_bpf && {
                let about = process.path().join("fdinfo").join(descriptor.file_name());
                fs::read_to_string(about).is_ok_and(|about| names(&about, id))
            }
        })
    };
    processes
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
        .filter(holds)
        .take(SHOWN)
        .map(|process| {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            format!("{} ({})", name.trim(), process.file_name().to_string_lossy())
        })
        .collect()
}

/// Whether the fdinfo of a program or link names this program.
fn names(about: &str, id: u32) -> bool {
    let values = about.lines().filter_map(|line| line.strip_prefix("prog_id:"));
    values.into_iter().any(|value| value.trim().parse() == Ok(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdinfo() {
        let about = "pos:\t0\nprog_type:\t6\nprog_id:\t12\nlink_type:\txdp\n";
        for (id, named) in [(12, true), (1, false), (2, false)] {
            assert_eq!(names(about, id), named, "{id}");
        }
    }

    #[test]
    fn a_program_that_is_not_there() {
        let error = program(u32::MAX).expect_err("no such program");
        let known = [libc::ENOENT, libc::EPERM].map(Some);
        assert!(known.contains(&error.raw_os_error()), "{error}");
    }

    #[test]
    fn whose() {
        for (name, ours) in [("weir_ingress", true), ("xdp_filter", false), ("weird", false)] {
            let program = Program { name: name.into(), uid: 0 };
            assert_eq!(program.is_weirs(), ours, "{name}");
        }
    }
}
