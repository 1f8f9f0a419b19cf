//! Process trees made of files.

use super::*;

fn process(proc: &Path, pid: u32, name: &str, parent: u32) {
    let directory = proc.join(pid.to_string());
    for part in ["fd", "net", "ns"] {
        fs::create_dir_all(directory.join(part)).expect("creates");
    }
    let stat = format!("{pid} ({name}) S {parent} 1 1 0 -1");
    fs::write(directory.join("stat"), stat).expect("writes");
}

fn namespace(proc: &Path, process: &str, name: &str) {
    let directory = proc.join(process).join("ns");
    fs::create_dir_all(&directory).expect("creates");
    let origin = proc.join(name);
    fs::write(&origin, "").expect("writes");
    std::os::unix::fs::symlink(origin, directory.join("net")).expect("links");
}

/// A socket as file descriptor `fd`: its local and its remote address.
fn socket(proc: &Path, pid: u32, table: &str, fd: u32, ends: (&str, &str), state: &str) {
    let directory = proc.join(pid.to_string());
    let inode = 770 + fd;
    let link = directory.join(format!("fd/{fd}"));
    std::os::unix::fs::symlink(format!("socket:[{inode}]"), link).expect("links");
    let path = directory.join(table);
    let mut text = fs::read_to_string(&path)
        .unwrap_or_else(|_| "  sl  local_address rem_address\n".to_owned());
    text.push_str(&format!(
        "   0: {} {} {state} 00000000:00000000 02:000A 00000000     0        0 {inode} 4 0\n",
        ends.0, ends.1
    ));
    fs::write(path, text).expect("writes");
}

fn ends(local: &str, peer: &str) -> Connection {
    let parse = |text: &str| text.parse().expect("an address");
    Connection { local: parse(local), peer: parse(peer) }
}

/// init, sshd, a shell with an odd name, sudo, weir.
fn tree(proc: &Path, sshd: &str) {
    process(proc, 1, "init", 0);
    process(proc, 10, sshd, 1);
    process(proc, 11, "bash (odd) name", 10);
    process(proc, 12, "sudo", 11);
    process(proc, 13, "weir", 12);
}

const V4: (&str, &str) = ("0100007F:0016", "0200007F:C350");

#[test]
fn the_connection_of_the_session_is_found() {
    let v6 = ("B80D0120000000000000000002000000:08AE", "B80D0120000000000000000001000000:C350");
    let mapped = ("0000000000000000FFFF0000020200C0:0016", "0000000000000000FFFF0000010200C0:C350");
    let loopback = Some(("127.0.0.1:22", "127.0.0.2:50000"));
    // name of the ancestor, table, addresses, state, found
    let rows = [
        ("sshd", "net/tcp", V4, "01", loopback),
        ("sshd-session", "net/tcp6", v6, "01", Some(("[2001:db8::2]:2222", "[2001:db8::1]:50000"))),
        ("sshd", "net/tcp6", mapped, "01", Some(("192.0.2.2:22", "192.0.2.1:50000"))),
        ("sshd", "net/tcp", V4, "0A", None),
        ("sshd", "net/tcp", V4, "06", None),
        ("login", "net/tcp", V4, "01", None),
        ("sshd", "net/tcp", ("nonsense", "0200007F:C350"), "01", None),
        ("sshd", "net/tcp", ("0100007F:0016", "0200007:C350"), "01", None),
    ];
    for (name, table, addresses, state, found) in rows {
        let proc = tempfile::tempdir().expect("a directory");
        let proc = proc.path();
        tree(proc, name);
        socket(proc, 10, table, 4, addresses, state);
        let expected = found.map(|(local, peer)| ends(local, peer));
        let told = session(proc, 13).map(|session| session.connection);
        assert_eq!(told, expected, "{name} {table} {addresses:?} {state}");
    }
}

#[test]
fn a_forwarded_connection_is_not_taken_for_it() {
    let other = ("0100007F:1538", "0300007F:C351");
    let environ = b"SSH_CONNECTION=127.0.0.3 50001 127.0.0.1 5432\0".as_slice();
    // file descriptor of the session, of what it forwards, environment, found
    let session_first = ends("127.0.0.1:22", "127.0.0.2:50000");
    let forwarded = ends("127.0.0.1:5432", "127.0.0.3:50001");
    let rows = [
        (4, 9, None, session_first),
        (9, 4, None, forwarded),
        (4, 9, Some(environ), forwarded),
        (4, 9, Some(b"SSH_CONNECTION=192.0.2.9 1 192.0.2.1 22\0".as_slice()), session_first),
    ];
    for (of_session, of_other, environ, expected) in rows {
        let proc = tempfile::tempdir().expect("a directory");
        let proc = proc.path();
        tree(proc, "sshd");
        socket(proc, 10, "net/tcp", of_session, V4, "01");
        socket(proc, 10, "net/tcp", of_other, other, "01");
        if let Some(environ) = environ {
            fs::write(proc.join("11/environ"), environ).expect("writes");
        }
        let told = session(proc, 13).map(|session| session.connection);
        assert_eq!(told, Some(expected), "{of_session} {of_other}");
    }
}

#[test]
fn what_sshd_told_its_child_is_the_second_choice() {
    let proc = tempfile::tempdir().expect("a directory");
    let proc = proc.path();
    tree(proc, "sshd");
    let environ = b"A=1\0SSH_CONNECTION=192.0.2.9 4711 192.0.2.1 22\0".as_slice();
    fs::write(proc.join("11/environ"), environ).expect("writes");
    // The environment of the caller itself is its own invention.
    fs::write(proc.join("13/environ"), b"SSH_CONNECTION=203.0.113.1 1 192.0.2.1 22\0")
        .expect("writes");
    let found = session(proc, 13).map(|session| session.connection);
    assert_eq!(found, Some(ends("192.0.2.1:22", "192.0.2.9:4711")));
    assert_eq!(session(proc, 4711), None, "no such process");
    process(proc, 20, "weir", 20);
    assert_eq!(session(proc, 20), None, "a loop ends");
}

#[test]
fn a_connection_of_another_network_namespace_is_not_ours() {
    // namespace of sshd, of this process, whether it is found
    let rows = [
        (Some("host"), Some("host"), true),
        (Some("host"), Some("blue"), false),
        (None, Some("blue"), true),
    ];
    for (theirs, ours, found) in rows {
        let proc = tempfile::tempdir().expect("a directory");
        let proc = proc.path();
        tree(proc, "sshd");
        socket(proc, 10, "net/tcp", 4, V4, "01");
        for (process, name) in [("10", theirs), ("self", ours)] {
            if let Some(name) = name {
                namespace(proc, process, name);
            }
        }
        assert_eq!(connection_in(proc, 13).is_some(), found, "{theirs:?} {ours:?}");
    }
}

#[test]
fn without_an_sshd_the_environment_counts_when_it_is_true() {
    let told = ("127.0.0.1:22", "127.0.0.2:50000");
    // what the environment of an ancestor says, found
    let rows = [
        (Some("127.0.0.2 50000 127.0.0.1 22"), Some(told)),
        (Some("127.0.0.2 50001 127.0.0.1 22"), None),
        (Some("nonsense"), None),
        (None, None),
    ];
    for (environ, found) in rows {
        let proc = tempfile::tempdir().expect("a directory");
        let proc = proc.path();
        tree(proc, "tmux: server");
        process(proc, 14, "elsewhere", 1);
        socket(proc, 14, "net/tcp", 4, V4, "01");
        fs::rename(proc.join("14"), proc.join("self")).expect("renames");
        if let Some(environ) = environ {
            let text = format!("A=1\0SSH_CONNECTION={environ}\0");
            fs::write(proc.join("11/environ"), text).expect("writes");
        }
        let expected = found.map(|(local, peer)| ends(local, peer));
        assert_eq!(connection_in(proc, 13), expected, "{environ:?}");
        assert_eq!(session(proc, 13), None, "nothing to be put on record");
    }
}

#[test]
fn what_a_caller_claims_counts_when_it_is_there() {
    let proc = tempfile::tempdir().expect("a directory");
    let proc = proc.path();
    process(proc, 13, "weir", 1);
    socket(proc, 13, "net/tcp", 4, V4, "01");
    socket(proc, 13, "net/tcp", 5, ("0100007F:0017", "0200007F:C351"), "06");
    std::os::unix::fs::symlink(proc.join("13"), proc.join("self")).expect("links");
    let rows = [
        ("it is there", Some(("127.0.0.1:22", "127.0.0.2:50000")), true),
        ("its ends the other way round", Some(("127.0.0.2:50000", "127.0.0.1:22")), false),
        ("it is over", Some(("127.0.0.1:23", "127.0.0.2:50001")), false),
        ("there is none", Some(("127.0.0.1:22", "127.0.0.9:50000")), false),
        ("nothing is claimed", None, false),
    ];
    for (what, claimed, found) in rows {
        let claimed = claimed.map(|(local, peer)| ends(local, peer));
        let claim = claimed.map(|Connection { local, peer }| Claim { local, peer });
        assert_eq!(confirmed(proc, claim), claimed.filter(|_| found), "{what}");
    }
}
