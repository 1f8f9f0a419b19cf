//! Who is let in, by what the kernel says of a process that has really given up its rights.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::Served;
use filter_user::control::peer::Admission;

/// The rights a thread takes on before it connects.
struct Identity {
    uid: u32,
    gid: u32,
    groups: &'static [u32],
}

/// Gives up this thread's rights. The raw system calls change one thread; libc's wrappers would
/// change all of the process.
fn become_(identity: &Identity) {
    let Identity { uid, gid, groups } = identity;
    // SAFETY: the list is valid for as many groups as said; the other arguments are numbers.
    let results = unsafe {
        [
            libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()),
            libc::syscall(libc::SYS_setresgid, *gid, *gid, *gid),
            libc::syscall(libc::SYS_setresuid, *uid, *uid, *uid),
        ]
    };
    assert_eq!(results, [0; 3], "{}", std::io::Error::last_os_error());
}

fn ask_as(served: &Served, identity: Identity) -> String {
    let socket = served.socket.clone();
    let asked = std::thread::spawn(move || {
        become_(&identity);
        let mut stream = UnixStream::connect(&socket).expect("the mode lets everybody connect");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let request = "GET /v1/bans HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("writes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("reads");
        answer
    });
    asked.join().expect("no panic")
}

#[test]
fn strangers_are_refused_even_when_the_mode_lets_them_connect() {
    const GROUP: u32 = 54_321;
    const NOBODY: u32 = 65_534;
    // SAFETY: geteuid has no arguments and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let served = Served::start_for(Admission { own: 0, group: Some(GROUP) });
    // The second line of defence is tested, so the first is opened.
    let open = |path: &std::path::Path, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("opens");
    };
    open(served.directory(), 0o755);
    open(&served.directory().join("run"), 0o755);
    open(&served.socket, 0o666);
    let rows = [
        ("nobody", Identity { uid: NOBODY, gid: NOBODY, groups: &[] }, 403),
        ("a stranger with groups", Identity { uid: 1000, gid: 1000, groups: &[4, 27] }, 403),
        ("a stranger in root's group", Identity { uid: 1000, gid: 0, groups: &[0] }, 403),
        ("primary group", Identity { uid: NOBODY, gid: GROUP, groups: &[] }, 200),
        ("supplementary group", Identity { uid: 1000, gid: 1000, groups: &[4, GROUP] }, 200),
        ("root", Identity { uid: 0, gid: 0, groups: &[] }, 200),
    ];
    for (what, identity, status) in rows {
        let uid = identity.uid;
        let answer = ask_as(&served, identity);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
        if status == 403 {
            assert!(answer.contains(&format!("user id {uid} may not")), "{what}: {answer}");
        }
    }
}
