//! From where somebody works: the SSH connection that a process descends from.
//!
//! `sudo` and `su` strip the environment, and a user sets it as they like; so the way goes up the
//! process tree to the sshd of the session, and to the connection among its sockets. Whether a
//! change would cut that connection is [`crate::lockout`]'s to say.

#[cfg(test)]
mod tests;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::api::{Caller, Claim};
use super::peer::login_uid;
use crate::lockout::Connection;
use crate::store::Who;

/// Where procfs is.
const PROC: &str = "/proc";

/// Ancestors that are looked at: a tree is never so deep.
const DEPTH: usize = 64;

/// State of a TCP socket that is connected, as `/proc/PID/net/tcp` writes it.
const ESTABLISHED: &str = "01";

/// An SSH connection and the process that serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    connection: Connection,
    sshd: u32,
}

/// Who asks, with the SSH client they work for.
pub fn who(caller: &Caller) -> Who {
    let Caller { uid, login_uid, pid, claim, .. } = *caller;
    let claimed = || confirmed(Path::new(PROC), claim).map(|claim| claim.peer.to_string());
    Who { uid, login_uid, pid, ssh: told(pid).or_else(claimed) }
}

/// The connection to guard for a caller: as [`connection`] finds it, else the one they name, if it
/// is there. A daemon without CAP_SYS_PTRACE cannot look at the files of an sshd; the caller can at
/// their own session.
pub fn connection_of(caller: &Caller) -> Option<Connection> {
    connection(caller.pid).or_else(|| confirmed(Path::new(PROC), caller.claim))
}

/// What this process, which asks a daemon, works over.
pub fn claim() -> Option<Claim> {
    connection(std::process::id()).map(|Connection { local, peer }| Claim { local, peer })
}

/// A connection that somebody names, if it is one of this network namespace.
fn confirmed(proc: &Path, claim: Option<Claim>) -> Option<Connection> {
    let Claim { local, peer } = claim?;
    let claimed = Connection { local, peer };
    established(&proc.join("self")).iter().any(|(_, there)| *there == claimed).then_some(claimed)
}

/// This process, with the SSH client that whoever started it works for.
pub fn own() -> Who {
    let pid = std::process::id();
    // SAFETY: geteuid has no arguments and cannot fail.
    let uid = unsafe { libc::geteuid() };
    Who { uid, login_uid: login_uid(pid), pid, ssh: told(pid) }
}

fn told(pid: u32) -> Option<String> {
    session(Path::new(PROC), pid).map(|session| session.connection.peer.to_string())
}

/// The SSH connection that a process works over, when it ends in this process's network namespace:
/// what ends in another one is not for the interfaces of this one to cut. `None` on a console, under
/// a service manager, or when it cannot be known.
///
/// For guarding the caller only: without an sshd among the ancestors, as in `tmux`, it is what their
/// environment says, when there is such a connection. Who lies there refuses themselves something.
pub fn connection(pid: u32) -> Option<Connection> {
    connection_in(Path::new(PROC), pid)
}

fn connection_in(proc: &Path, pid: u32) -> Option<Connection> {
    let Some(found) = session(proc, pid) else { return claimed(proc, pid) };
    let namespace = |process: &str| {
        let link = proc.join(process).join("ns/net");
        fs::metadata(link).ok().map(|link| (link.dev(), link.ino()))
    };
    // Without the right to look, it is taken for ours: better warned once too often.
    let elsewhere = match (namespace(&found.sshd.to_string()), namespace("self")) {
        (Some(theirs), Some(ours)) => theirs != ours,
        _ => false,
    };
    (!elsewhere).then_some(found.connection)
}

/// The connection that the environment of a process or of its ancestors names, if it is there.
fn claimed(proc: &Path, pid: u32) -> Option<Connection> {
    let mut pid = pid;
    for _ in 0..DEPTH {
        if let Some(told) = environment(proc, pid) {
            let here = established(&proc.join("self"));
            return here.iter().any(|(_, there)| *there == told).then_some(told);
        }
        pid = stat(proc, pid)?.1;
    }
    None
}

/// The SSH session that a process works in. `proc` is where procfs is.
fn session(proc: &Path, pid: u32) -> Option<Session> {
    let mut pid = pid;
    let mut below = None;
    for _ in 0..DEPTH {
        let (name, parent) = stat(proc, pid)?;
        // Newer versions call the process of a session sshd-session.
        if name == "sshd" || name.starts_with("sshd-") {
            let told = below.and_then(|below| environment(proc, below));
            let held = connections(proc, pid);
            // One that forwards ports holds other connections as well: sshd told its child which it
            // is, and it was there first.
            let found = told.filter(|told| held.contains(told)).or(held.first().copied()).or(told);
            if let Some(connection) = found {
                return Some(Session { connection, sshd: pid });
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

/// The TCP connections that a process holds, in the order it opened them.
fn connections(proc: &Path, pid: u32) -> Vec<Connection> {
    let process = proc.join(pid.to_string());
    let established = established(&process);
    let Ok(entries) = fs::read_dir(process.join("fd")) else { return Vec::new() };
    let mut held: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let number: u32 = entry.file_name().to_str()?.parse().ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            let socket = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            let (_, connection) = established.iter().find(|(inode, _)| inode == socket)?;
            Some((number, *connection))
        })
        .collect();
    held.sort_by_key(|(number, _)| *number);
    held.into_iter().map(|(_, connection)| connection).collect()
}

/// The connections of a process' network namespace, with the inodes of their sockets.
fn established(process: &Path) -> Vec<(String, Connection)> {
    ["net/tcp", "net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(process.join(table)).ok())
        .flat_map(|text| text.lines().skip(1).filter_map(row).collect::<Vec<_>>())
        .collect()
}

/// The inode and the ends of a connection that is established, from a line of `/proc/PID/net/tcp`
/// (proc_pid_net(5)).
fn row(line: &str) -> Option<(String, Connection)> {
    let mut words = line.split_whitespace();
    let (local, peer, state) = (words.nth(1)?, words.next()?, words.next()?);
    let inode = words.nth(5)?;
    if state != ESTABLISHED {
        return None;
    }
    Some((inode.to_owned(), Connection { local: address(local)?, peer: address(peer)? }))
}

/// An address as the kernel writes it: words of 32 bits in hex, each in the host's byte order.
pub fn address(text: &str) -> Option<SocketAddr> {
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
fn environment(proc: &Path, pid: u32) -> Option<Connection> {
    let bytes = fs::read(proc.join(format!("{pid}/environ"))).ok()?;
    let value = bytes.split(|&byte| byte == 0).find_map(|v| v.strip_prefix(b"SSH_CONNECTION="))?;
    let mut words = std::str::from_utf8(value).ok()?.split(' ');
    let mut end = || {
        let ip: IpAddr = words.next()?.parse().ok()?;
        Some(SocketAddr::new(ip, words.next()?.parse().ok()?))
    };
    let peer = end()?;
    Some(Connection { local: end()?, peer })
}
