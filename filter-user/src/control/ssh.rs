//! From where somebody works: the SSH connection that a process descends from.
//!
//! `sudo` and `su` strip the environment, and a user sets it as they like; so the way goes up the
//! process tree to the sshd of the session, and from its socket to the address of the peer.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::api::Caller;
use super::peer::login_uid;
use crate::store::Who;

/// Where procfs is.
const PROC: &str = "/proc";

/// Ancestors that are looked at: a tree is never so deep.
const DEPTH: usize = 64;

/// State of a TCP socket that is connected, as `/proc/PID/net/tcp` writes it.
const ESTABLISHED: &str = "01";

/// Who asks, with the SSH client they work for.
pub fn who(caller: &Caller) -> Who {
    let Caller { uid, login_uid, pid, .. } = *caller;
    Who { uid, login_uid, pid, ssh: told(pid) }
}

/// This process, with the SSH client that whoever started it works for.
pub fn own() -> Who {
    let pid = std::process::id();
    // SAFETY: geteuid has no arguments and cannot fail.
    let uid = unsafe { libc::geteuid() };
    Who { uid, login_uid: login_uid(pid), pid, ssh: told(pid) }
}

fn told(pid: u32) -> Option<String> {
    peer(Path::new(PROC), pid).map(|peer| peer.to_string())
}

/// Address and port of the SSH client that a process works for; `None` when it works for none, or
/// that cannot be known. `proc` is where procfs is.
pub fn peer(proc: &Path, pid: u32) -> Option<SocketAddr> {
    let mut pid = pid;
    let mut below = None;
    for _ in 0..DEPTH {
        let (name, parent) = stat(proc, pid)?;
        // Newer versions call the process of a session sshd-session.
        if name == "sshd" || name.starts_with("sshd-") {
            let found = connection(proc, pid);
            let told = || below.and_then(|below| environment(proc, below));
            if let Some(peer) = found.or_else(told) {
                return Some(peer);
            }
        }
        below = Some(pid);
        pid = parent;
    }
    None
}

/// Name and parent of a process; none for the first one.
fn stat(proc: &Path, pid: u32) -> Option<(String, u32)> {
    if pid == 0 {
        return None;
    }
    let text = fs::read_to_string(proc.join(format!("{pid}/stat"))).ok()?;
    // The name may contain anything, brackets too.
    let (begin, end) = (text.find('(')?, text.rfind(')')?);
    let parent = text.get(end + 1..)?.split_whitespace().nth(1)?.parse().ok()?;
    Some((text.get(begin + 1..end)?.to_owned(), parent))
}

/// The peer of the connection that a process holds.
fn connection(proc: &Path, pid: u32) -> Option<SocketAddr> {
    let process = proc.join(pid.to_string());
    let sockets: Vec<String> = fs::read_dir(process.join("fd"))
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    ["net/tcp", "net/tcp6"].into_iter().find_map(|table| {
        let text = fs::read_to_string(process.join(table)).ok()?;
        text.lines().skip(1).find_map(|line| {
            let mut words = line.split_whitespace();
            let (remote, state) = (words.nth(2)?, words.next()?);
            let inode = words.nth(5)?;
            let ours = state == ESTABLISHED && sockets.iter().any(|socket| socket == inode);
            ours.then(|| address(remote)).flatten()
        })
    })
}

/// An address as the kernel writes it: words of 32 bits in hex, each in the host's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(8 * at)?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// What sshd told the process it started: `CLIENT PORT SERVER PORT`.
fn environment(proc: &Path, pid: u32) -> Option<SocketAddr> {
    let bytes = fs::read(proc.join(format!("{pid}/environ"))).ok()?;
    let value = bytes.split(|&byte| byte == 0).find_map(|v| v.strip_prefix(b"SSH_CONNECTION="))?;
    let mut words = std::str::from_utf8(value).ok()?.split(' ');
    let ip: IpAddr = words.next()?.parse().ok()?;
    Some(SocketAddr::new(ip, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, pid: u32, name: &str, parent: u32) {
        let directory = proc.join(pid.to_string());
        fs::create_dir_all(directory.join("fd")).expect("creates");
        fs::create_dir_all(directory.join("net")).expect("creates");
        let stat = format!("{pid} ({name}) S {parent} 1 1 0 -1");
        fs::write(directory.join("stat"), stat).expect("writes");
    }

    fn socket(proc: &Path, pid: u32, table: &str, remote: &str, state: &str, inode: u32) {
        let directory = proc.join(pid.to_string());
        let link = directory.join(format!("fd/{inode}"));
        std::os::unix::fs::symlink(format!("socket:[{inode}]"), link).expect("links");
        let line = format!(
            "  sl  local_address rem_address\n   0: 0100007F:0016 {remote} {state} 00000000:00000000 \
             02:000A 00000000     0        0 {inode} 4 0\n"
        );
        fs::write(directory.join(table), line).expect("writes");
    }

    #[test]
    fn the_peer_of_the_session_is_found() {
        let v4 = "0100007F:C350";
        let v6 = "B80D0120000000000000000001000000:C350";
        let mapped = "0000000000000000FFFF0000010200C0:C350";
        // name of the ancestor, table, remote address, state, found
        let rows = [
            ("sshd", "net/tcp", v4, "01", Some("127.0.0.1:50000")),
            ("sshd-session", "net/tcp6", v6, "01", Some("[2001:db8::1]:50000")),
            ("sshd", "net/tcp6", mapped, "01", Some("192.0.2.1:50000")),
            ("sshd", "net/tcp", v4, "0A", None),
            ("login", "net/tcp", v4, "01", None),
            ("sshd", "net/tcp", "nonsense", "01", None),
        ];
        for (name, table, remote, state, found) in rows {
            let proc = tempfile::tempdir().expect("a directory");
            let proc = proc.path();
            process(proc, 1, "init", 0);
            process(proc, 10, name, 1);
            process(proc, 11, "bash (odd) name", 10);
            process(proc, 12, "sudo", 11);
            process(proc, 13, "weir", 12);
            socket(proc, 10, table, remote, state, 777);
            let expected = found.map(|text| text.parse().expect("an address"));
            assert_eq!(peer(proc, 13), expected, "{name} {table} {remote} {state}");
        }
    }

    #[test]
    fn what_sshd_told_its_child_is_the_second_choice() {
        let proc = tempfile::tempdir().expect("a directory");
        let proc = proc.path();
        process(proc, 10, "sshd", 1);
        process(proc, 11, "bash", 10);
        process(proc, 12, "weir", 11);
        let environ = b"A=1\0SSH_CONNECTION=192.0.2.9 4711 192.0.2.1 22\0".as_slice();
        fs::write(proc.join("11/environ"), environ).expect("writes");
        // The environment of the caller itself is its own invention.
        fs::write(proc.join("12/environ"), b"SSH_CONNECTION=203.0.113.1 1 192.0.2.1 22\0")
            .expect("writes");
        assert_eq!(peer(proc, 12), Some("192.0.2.9:4711".parse().expect("an address")));
        assert_eq!(peer(proc, 4711), None, "no such process");
        process(proc, 20, "weir", 20);
        assert_eq!(peer(proc, 20), None, "a loop ends");
    }
}
