//! Who is at the other end of a Unix socket, and whether they may speak.
//!
//! Everything but the login uid comes from the kernel as it was when the peer connected, so that a
//! process id that is used again cannot lend its rights.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use tokio::net::UnixStream;

use super::api::{ApiError, Caller, Code};

/// The group whose members may speak to the daemon.
pub const GROUP: &str = "weir";

/// Who may speak: root, whoever runs the daemon, and members of a group.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// The user the daemon runs as.
    pub own: u32,
    /// The group, if there is one on this host.
    pub group: Option<u32>,
}

impl Admission {
    /// Root, this process's user, and [`GROUP`].
    pub fn of_host() -> Self {
        // SAFETY: geteuid has no arguments and cannot fail.
        let own = unsafe { libc::geteuid() };
        Self { own, group: group_id(GROUP) }
    }

    /// Whether the peer may speak, or why not.
    pub fn admit(&self, caller: &Caller) -> Result<(), ApiError> {
        let Caller { uid, gid, groups, .. } = caller;
        let member = |group| *gid == group || groups.contains(&group);
        if *uid == 0 || *uid == self.own || self.group.is_some_and(member) {
            return Ok(());
        }
        let hint = if self.group.is_some() {
            format!(
                "run it as root, or join the group: `usermod -aG {GROUP} USER`, then log in again"
            )
        } else {
            format!("run it as root, or `groupadd --system {GROUP}`, add the user, restart weir")
        };
        let message = format!("user id {uid} may not speak to weir: root and group {GROUP} may");
        Err(ApiError::new(Code::Forbidden, message).hint(hint))
    }
}

/// The process at the other end.
pub fn caller(stream: &UnixStream) -> io::Result<Caller> {
    let credentials = stream.peer_cred()?;
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
    Ok(Caller {
        uid: credentials.uid(),
        gid: credentials.gid(),
        pid,
        login_uid: login_uid(pid),
        groups: groups(stream)?,
        claim: None,
    })
}

/// The supplementary groups the peer had when it connected.
fn groups(stream: &UnixStream) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 64];
    loop {
        let room = size_of_val(groups.as_slice());
        let mut bytes = libc::socklen_t::try_from(room).map_err(io::Error::other)?;
        // SAFETY: the buffer is `bytes` long and lives through the call, which writes at most that
        // and puts the length written, or the length needed, into `bytes`.
        let result = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &mut bytes,
            )
        };
        let needed = bytes as usize / size_of::<u32>();
        if result == 0 {
            groups.truncate(needed);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || needed <= groups.len() {
            return Err(error);
        }
        groups.resize(needed, 0);
    }
}

/// The login uid of a process; `None` when nobody logged in or it cannot be known.
pub fn login_uid(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/loginuid")).ok()?;
    text.trim().parse().ok().filter(|&uid| uid != u32::MAX)
}

/// The id of a group; `None` when there is none of this name.
pub fn group_id(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    let mut group = MaybeUninit::<libc::group>::uninit();
    let mut found = std::ptr::null_mut();
    // Large enough for a group of thousands of members; beyond that the lookup fails closed.
    let mut buffer = vec![0_u8; 256 * 1024];
    // SAFETY: all pointers are valid through the call, and the buffer is as long as said.
    let result = unsafe {
        libc::getgrnam_r(
            name.as_ptr(),
            group.as_mut_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            &mut found,
        )
    };
    if result != 0 || found.is_null() {
        return None;
    }
    // SAFETY: on success `found` points to `group`, which has been filled in.
    Some(unsafe { (*found).gr_gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_speak() {
        let with = Admission { own: 0, group: Some(77) };
        let without = Admission { own: 0, group: None };
        let user = Admission { own: 1000, group: None };
        // description, admission, uid, gid, groups, may
        type Row = (&'static str, Admission, u32, u32, &'static [u32], bool);
        let rows: [Row; 8] = [
            ("root", with, 0, 0, &[], true),
            ("root without a group on the host", without, 0, 0, &[], true),
            ("a stranger", with, 1000, 1000, &[], false),
            ("primary group", with, 1000, 77, &[], true),
            ("supplementary group", with, 1000, 1000, &[5, 77], true),
            ("other groups", with, 1000, 1000, &[5, 78], false),
            ("root's group is not enough", without, 1000, 0, &[0], false),
            ("the daemon's own user", user, 1000, 1000, &[], true),
        ];
        for (what, admission, uid, gid, groups, may) in rows {
            let groups = groups.to_vec();
            let answer =
                admission.admit(&Caller { uid, gid, pid: 1, login_uid: None, groups, claim: None });
            assert_eq!(answer.is_ok(), may, "{what}");
            if let Err(error) = answer {
                assert_eq!(error.code, Code::Forbidden, "{what}");
                assert!(error.message.contains("1000") && !error.hint.is_empty(), "{what}");
            }
        }
    }

    #[test]
    fn groups_are_found_by_name() {
        assert_eq!(group_id("root"), Some(0));
        assert_eq!(group_id("no such group here"), None);
        assert_eq!(group_id("nul\0inside"), None);
    }

    #[tokio::test]
    async fn a_pair_is_this_process() {
        let (left, _right) = UnixStream::pair().expect("a pair");
        let caller = caller(&left).expect("credentials");
        assert_eq!(caller.pid, std::process::id());
        // SAFETY: geteuid has no arguments and cannot fail.
        assert_eq!(caller.uid, unsafe { libc::geteuid() });
    }
}
