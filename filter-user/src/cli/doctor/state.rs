//! The state directory: whether history, bans and events can be kept.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::Check;
use crate::cli::human::bytes;

/// Room that is asked for: baselines and inventory take some ten megabytes, events and evidence what
/// their settings allow.
const ROOM: u64 = 256 << 20;

/// Whether the daemon of this user could write there. It makes nothing.
pub(super) fn check(directory: &Path) -> Check {
    let name = "state";
    let shown = directory.display();
    // The daemon makes it where it is missing.
    let Some(nearest) = directory.ancestors().find(|path| path.exists()) else {
        return Check::fail(name, format!("{shown} is nowhere"), "give an absolute `state_dir`");
    };
    if !nearest.is_dir() {
        let finding = format!("{} is no directory", nearest.display());
        return Check::fail(name, finding, "`state_dir` has to be one, for weir alone");
    }
    if let Err(error) = writable(nearest) {
        let hint = "without it weir enforces, but keeps no history, bans or baselines over a restart: \
                    mount it for writing, or set `state_dir`";
        return Check::warn(name, format!("cannot write to {}: {error}", nearest.display()), hint);
    }
    match room(nearest) {
        Ok(room) if room < ROOM => {
            let hint =
                format!("have {} there; what finds no room is lost, and counted", bytes(ROOM));
            Check::warn(name, format!("{shown} has {} left", bytes(room)), hint)
        }
        Ok(room) => Check::ok(name, format!("{shown} can be written, {} left", bytes(room))),
        Err(error) => Check::warn(name, format!("{shown}: {error}"), "mount its file system anew"),
    }
}

/// access(2) with the effective user's rights: a file system that is mounted for reading refuses too.
fn writable(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let wanted = libc::W_OK | libc::X_OK;
    // SAFETY: a valid C string.
    let result =
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), wanted, libc::AT_EACCESS) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Bytes that are left there for this user.
fn room(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: an all-zero statvfs is valid, and the call only writes into it.
    let mut info: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call.
    let result = unsafe { libc::statvfs(path.as_ptr(), &raw mut info) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(info.f_bavail.saturating_mul(info.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn places() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        std::fs::write(&file, "").expect("writes");
        let rows = [
            // /proc takes no files: root has the right, but there is no room.
            (Path::new("/proc/weir").to_owned(), State::Warn, "/proc"),
            (file.join("below"), State::Fail, "is no directory"),
        ];
        for (path, state, part) in rows {
            let check = check(&path);
            assert_eq!(check.state, state, "{check:?}");
            assert!(check.finding.contains(part) && !check.hint.is_empty(), "{check:?}");
        }
        let made = directory.path().join("made/by/the/daemon");
        assert_ne!(check(&made).state, State::Fail);
        assert!(!made.exists());
    }
}
