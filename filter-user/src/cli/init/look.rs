//! What this host is: its listening sockets with their programs, its interfaces with their addresses
//! and neighbours, and from where whoever asks works.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::control::ssh;
use crate::kernel::device::Device;
use crate::kernel::host::{interface_index, interface_names};
use crate::kernel::netlink::neighbours::{neighbours, sites};
use crate::lockout::Connection;
use crate::policy::Protocol;

/// TCP_LISTEN and TCP_CLOSE (net/tcp_states.h); a UDP socket that is connected to nobody is in the
/// latter.
const LISTENING: &str = "0A";
const UNCONNECTED: &str = "07";
/// Ports that clients are given, where the kernel does not say.
const CLIENTS: RangeInclusive<u16> = 32_768..=60_999;

/// What is known of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Host {
    /// Its name.
    pub(super) name: String,
    /// What listens, loopback included.
    pub(super) sockets: Vec<Socket>,
    /// Its interfaces, without loopback.
    pub(super) interfaces: Vec<Interface>,
    /// The SSH connection of whoever asks.
    pub(super) ssh: Option<Ssh>,
}

/// A socket that anybody can speak to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Socket {
    /// Where it is bound; all zeros: every address.
    pub(super) address: SocketAddr,
    /// `tcp` or `udp`.
    pub(super) protocol: &'static str,
    /// Name of the program, when that may be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) program: Option<String>,
    /// Of UDP, with a port that the kernel gives to clients: most likely one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) client: bool,
}

impl Socket {
    pub(super) fn protocol(&self) -> Protocol {
        if self.protocol == "tcp" { Protocol::Tcp } else { Protocol::Udp }
    }
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Interface {
    pub(super) name: String,
    /// It is up.
    pub(super) up: bool,
    /// The driver's name; empty when it does not say.
    pub(super) driver: String,
    /// Its addresses, each with the prefix length of its network.
    pub(super) addresses: Vec<(IpAddr, u8)>,
    /// Who was seen there.
    pub(super) neighbours: BTreeSet<IpAddr>,
}

/// Both ends of an SSH connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Ssh {
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
}

impl Ssh {
    pub(super) fn connection(self) -> Connection {
        Connection { local: self.local, peer: self.peer }
    }
}

/// Looks at this host.
pub(super) fn look() -> anyhow::Result<Host> {
    let proc = Path::new("/proc");
    let name = fs::read_to_string(proc.join("sys/kernel/hostname")).unwrap_or_default();
    Ok(Host {
        name: name.trim().to_owned(),
        sockets: sockets(proc)?,
        interfaces: interfaces()?,
        ssh: ssh::connection(std::process::id())
            .map(|Connection { local, peer }| Ssh { local, peer }),
    })
}

fn interfaces() -> anyhow::Result<Vec<Interface>> {
    let (sites, seen) = (sites()?, neighbours()?);
    let mut interfaces = Vec::new();
    for name in interface_names().into_iter().filter(|name| name != "lo") {
        // One that has just gone is not there.
        let Ok(index) = interface_index(&name) else { continue };
        let device = Device::ask(&name).unwrap_or_default();
        let mine = sites.iter().filter(|site| site.interface == index);
        interfaces.push(Interface {
            addresses: mine.map(|site| (site.address, site.length)).collect(),
            neighbours: seen.iter().filter(|(at, _)| *at == index).map(|(_, who)| *who).collect(),
            up: device.up,
            driver: device.driver,
            name,
        });
    }
    Ok(interfaces)
}

/// The sockets of this network namespace that anybody can speak to, with their programs.
fn sockets(proc: &Path) -> anyhow::Result<Vec<Socket>> {
    let mut found: Vec<(Socket, u64)> = Vec::new();
    let clients = fs::read_to_string(proc.join("sys/net/ipv4/ip_local_port_range"))
        .ok()
        .and_then(|text| range(&text))
        .unwrap_or(CLIENTS);
    for (protocol, table) in [("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6")] {
        let path = proc.join("self/net").join(table);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // A kernel without IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        for (address, inode) in text.lines().skip(1).filter_map(|line| row(line, protocol)) {
            let client = protocol == "udp" && clients.contains(&address.port());
            found.push((Socket { address, protocol, program: None, client }, inode));
        }
    }
    let wanted = found.iter().map(|(_, inode)| *inode).collect();
    let programs = programs(proc, &wanted);
    let mut sockets: Vec<Socket> = found
        .into_iter()
        .map(|(socket, inode)| Socket { program: programs.get(&inode).cloned(), ..socket })
        .collect();
    // With SO_REUSEPORT there are several of one program.
    sockets.sort();
    sockets.dedup();
    Ok(sockets)
}

/// The two numbers of net.ipv4.ip_local_port_range.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_whitespace();
    Some(words.next()?.parse().ok()?..=words.next()?.parse().ok()?)
}

/// Address and inode of a socket that listens, from a line of `/proc/PID/net/tcp` and the like
/// (proc_pid_net(5)).
fn row(line: &str, protocol: &str) -> Option<(SocketAddr, u64)> {
    let mut words = line.split_whitespace();
    let (local, state) = (words.nth(1)?, words.nth(1)?);
    let inode = words.nth(5)?.parse().ok()?;
    let wanted = if protocol == "tcp" { LISTENING } else { UNCONNECTED };
    let address = ssh::address(local)?;
    (state == wanted && address.port() != 0).then_some((address, inode))
}

/// The programs that hold these sockets, as far as this process may look. Of several the one with
/// the lowest id, which has opened it; of those that came by a service manager the service.
fn programs(proc: &Path, wanted: &BTreeSet<u64>) -> BTreeMap<u64, String> {
    let mut ids: Vec<u32> = fs::read_dir(proc)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    // The first process comes last: it holds sockets for others.
    ids.sort_by_key(|&id| (id == 1, id));
    let mut programs = BTreeMap::new();
    for id in ids {
        let process = proc.join(id.to_string());
        let Ok(descriptors) = fs::read_dir(process.join("fd")) else { continue };
        let inodes = descriptors.flatten().filter_map(|descriptor| {
            let target = fs::read_link(descriptor.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        });
        for inode in inodes.filter(|inode| wanted.contains(inode)) {
            if let std::collections::btree_map::Entry::Vacant(place) = programs.entry(inode)
                && let Some(name) = program(&process)
            {
                place.insert(name);
            }
        }
    }
    programs
}

/// What a process is called: by itself, unless that says less than its file does.
fn program(process: &Path) -> Option<String> {
    let own = fs::read_to_string(process.join("comm")).ok()?;
    let own = own.trim();
    let file = fs::read_link(process.join("exe")).ok();
    let file = file.as_deref().and_then(Path::file_name).and_then(std::ffi::OsStr::to_str);
    let file = file.map(|file| file.trim_end_matches(" (deleted)"));
    Some(match file {
        // Cut at 15 bytes; and what Node calls itself.
        Some(file) if own == "MainThread" || own.len() == 15 && file.starts_with(own) => file,
        _ => own,
    })
    .filter(|name| !name.is_empty())
    .map(str::to_owned)
}

/// Whether a socket bound there is reached from this host alone.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

/// The network of an address.
pub(super) fn network(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            Ipv4Addr::from(u32::from(address) & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            std::net::Ipv6Addr::from(u128::from(address) & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc() {
        let rows = [
            (
                "tcp",
                "0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1",
                Some("0.0.0.0:8080"),
            ),
            (
                "tcp",
                "0: 010200C0:1F90 090200C0:D431 01 00000000:00000000 00:00000000 00000000 0 0 4711 1",
                None,
            ),
            (
                "udp",
                "0: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4711 2",
                Some("0.0.0.0:53"),
            ),
            (
                "udp",
                "0: 010200C0:D431 090200C0:0035 01 00000000:00000000 00:00000000 00000000 0 0 4711 2",
                None,
            ),
            (
                "tcp",
                "0: B80D0120000000000000000005000000:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4711 1",
                Some("[2001:db8::5]:22"),
            ),
            (
                "tcp",
                "0: 0000000000000000FFFF0000010200C0:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4711 1",
                Some("192.0.2.1:22"),
            ),
            ("tcp", "0: 00000000:1F90 00000000:0000 0A", None),
            ("tcp", "", None),
        ];
        for (protocol, line, expected) in rows {
            let found = row(line, protocol);
            assert_eq!(
                found.map(|(address, _)| address),
                expected.map(|text| text.parse().unwrap()),
                "{line}"
            );
            assert!(found.is_none_or(|(_, inode)| inode == 4711));
        }
        assert_eq!(range("32768\t60999\n"), Some(CLIENTS));
        assert_eq!(range("x"), None);
    }

    #[test]
    fn networks() {
        for (address, length, expected) in [
            ("192.0.2.77", 24, "192.0.2.0"),
            ("192.0.2.77", 0, "0.0.0.0"),
            ("192.0.2.77", 32, "192.0.2.77"),
            ("2001:db8::1:2", 64, "2001:db8::"),
            ("2001:db8::1:2", 0, "::"),
        ] {
            let expected: IpAddr = expected.parse().unwrap();
            assert_eq!(network(address.parse().unwrap(), length), expected, "{address}/{length}");
        }
    }

    #[test]
    fn finds_its_own_socket() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("its address");
        let found = sockets(Path::new("/proc")).expect("sockets");
        let own = found.iter().find(|socket| socket.address == address).expect("mine");
        assert!(own.program.is_some() && own.protocol == "tcp" && !own.client, "{own:?}");
    }
}
