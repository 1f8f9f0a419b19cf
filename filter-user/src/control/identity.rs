//! Reading files with the rights of whoever asked.
//!
//! The daemon is root and members of a group may ask it to apply a file: without this, its
//! diagnostics would show them lines of files that only root may read.

use std::io;
use std::mem::MaybeUninit;

use super::api::Caller;

/// Runs `read` with the caller's rights to files, and nothing else of theirs. For root it simply
/// runs; for others it runs on a thread of its own, which has given up root's rights to files.
///
/// # Errors
/// The rights cannot be taken on: this process is not root and not the caller.
pub fn reading_as<T: Send>(caller: &Caller, read: impl FnOnce() -> T + Send) -> io::Result<T> {
    // SAFETY: geteuid has no arguments and cannot fail.
    let own = unsafe { libc::geteuid() };
    if caller.uid == 0 || caller.uid == own {
        return Ok(read());
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| take_on(caller).map(|()| read()));
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A user by id, with the groups the host's lists give them: for reading on their behalf later. One
/// that the lists do not know is in no group.
pub fn user(uid: u32) -> Caller {
    let (gid, groups) = listed(uid).unwrap_or((NOBODYS_GROUP, Vec::new()));
    Caller { uid, gid, pid: 0, login_uid: None, groups, claim: None }
}

/// A group that nobody is in, as the kernel shows ids it cannot map.
const NOBODYS_GROUP: u32 = 65_534;

/// Groups of a user at most.
const MAX_GROUPS: libc::c_int = 65_536;

/// The primary group and all groups of a user.
fn listed(uid: u32) -> Option<(u32, Vec<u32>)> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found = std::ptr::null_mut();
    let mut buffer = vec![0_u8; 64 * 1024];
    // SAFETY: all pointers are valid through the call, and the buffer is as long as said.
    let result = unsafe {
        libc::getpwuid_r(
            uid,
            entry.as_mut_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            &raw mut found,
        )
    };
    if result != 0 || found.is_null() {
        return None;
    }
    // SAFETY: on success `found` points to `entry`, which has been filled in; its name lies in the
    // buffer.
    let (name, gid) = unsafe { ((*found).pw_name, (*found).pw_gid) };
    let mut count = MAX_GROUPS;
    let mut groups = vec![0_u32; MAX_GROUPS as usize];
    // SAFETY: the name is a C string in the buffer, and there is room for as many groups as said.
    let result = unsafe { libc::getgrouplist(name, gid, groups.as_mut_ptr(), &raw mut count) };
    if result < 0 {
        return None;
    }
    groups.truncate(usize::try_from(count).unwrap_or(0));
    Some((gid, groups))
}

/// Gives this thread the caller's user, group and groups for access to files. The raw system calls
/// change one thread only, and leaving user 0 takes away the capabilities that override modes
/// (capabilities(7)).
fn take_on(caller: &Caller) -> io::Result<()> {
    let Caller { uid, gid, groups, .. } = caller;
    // SAFETY: the list is as long as said and lives through the call, which only reads it.
    let result = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // They return the id before, never an error: a second call with an id that cannot be tells.
    // SAFETY: only numbers are passed.
    let now = unsafe {
        libc::syscall(libc::SYS_setfsgid, *gid);
        libc::syscall(libc::SYS_setfsuid, *uid);
        [libc::syscall(libc::SYS_setfsgid, -1), libc::syscall(libc::SYS_setfsuid, -1)]
    };
    if now != [i64::from(*gid) as libc::c_long, i64::from(*uid) as libc::c_long] {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn users_have_the_groups_of_the_hosts_lists() {
        let root = user(0);
        assert_eq!((root.uid, root.gid, root.groups.contains(&0)), (0, 0, true));
        let stranger = user(0x7fff_fff0);
        assert_eq!((stranger.gid, stranger.groups.as_slice()), (NOBODYS_GROUP, [].as_slice()));
    }

    #[test]
    fn files_open_as_they_would_for_the_caller() {
        // SAFETY: geteuid has no arguments and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            eprintln!("skipped: only root can take on somebody else's rights");
            return;
        }
        let directory = tempfile::tempdir().expect("a directory");
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("opens it");
        let path = directory.path().join("file");
        fs::write(&path, "text").expect("writes");
        let caller = |uid, groups: &[u32]| Caller {
            uid,
            gid: 1000,
            pid: 1,
            login_uid: None,
            groups: groups.to_vec(),
            claim: None,
        };
        // mode, owner, group, caller, may
        let rows = [
            (0o600, 0, 0, caller(0, &[]), true),
            (0o600, 0, 0, caller(1000, &[]), false),
            (0o600, 1000, 0, caller(1000, &[]), true),
            (0o640, 0, 1000, caller(1001, &[]), true),
            (0o640, 0, 77, caller(1000, &[4, 77]), true),
            (0o640, 0, 77, caller(1000, &[4]), false),
            (0o640, 0, 0, caller(1000, &[]), false),
            (0o644, 0, 0, caller(1000, &[]), true),
        ];
        for (mode, owner, group, caller, may) in rows {
            chown(&path, Some(owner), Some(group)).expect("gives it away");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("sets the mode");
            let read = reading_as(&caller, || fs::read(&path)).expect("root may be anybody");
            assert_eq!(read.is_ok(), may, "{mode:o} {owner}:{group} for {caller:?}");
        }
        assert!(fs::read(&path).is_ok(), "this thread is still root");
    }
}
