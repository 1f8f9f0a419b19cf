//! Hosts on one switch.
//!
//! Each host is a namespace with one interface, `eth0`, IPv4 `192.0.2.N/24` and IPv6
//! `2001:db8:0:N::1/48` (a /64 of its own, as sources are told apart by); the switch is a bridge in
//! a namespace of its own. Every host has a default route out of its interface, so that it tries to
//! answer sources that are nowhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::netns::{Netns, ip};
use crate::process;
use crate::{sweep, wait};

/// The interface of every host.
pub const INTERFACE: &str = "eth0";

/// Numbers the laboratories of this process.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A host.
#[derive(Debug)]
pub struct Host {
    name: String,
    number: u8,
    /// Its namespace.
    pub netns: Netns,
    /// The address of its interface's network card.
    pub mac: [u8; 6],
}

impl Host {
    /// What the laboratory calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its IPv4 address.
    pub fn v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, self.number)
    }

    /// Its IPv6 address.
    pub fn v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, self.number.into(), 0, 0, 0, 1)
    }

    /// Both addresses.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4().into(), self.v6().into()]
    }

    /// A socket of this process on a UDP port of an address of the host. A port that was just given
    /// up may be held for a moment yet: whatever a test beside this one starts has the descriptor
    /// from its fork to its exec.
    pub fn udp(&self, address: impl Into<IpAddr>, port: u16) -> Result<UdpSocket> {
        let address = SocketAddr::new(address.into(), port);
        self.netns.enter(|| {
            wait::until(&format!("UDP {address}"), Duration::from_secs(2), || {
                UdpSocket::bind(address).with_context(|| format!("cannot have UDP {address}"))
            })
        })
    }

    /// A counter of its interface, as `ip -s link` has it: `("rx", "packets")`.
    pub fn counter(&self, direction: &str, name: &str) -> Result<u64> {
        let link = link(&self.netns, INTERFACE)?;
        link["stats64"][direction][name]
            .as_u64()
            .with_context(|| format!("no counter {direction} {name} of {}", self.name))
    }
}

/// What `ip` knows about an interface.
fn link(netns: &Netns, interface: &str) -> Result<Value> {
    let text = netns.ip(&format!("-json -statistics link show dev {interface}"))?;
    let links: Value = serde_json::from_str(&text).context("unexpected output of ip")?;
    let link = links.get(0).with_context(|| format!("{} has no {interface}", netns.name()))?;
    Ok(link.clone())
}

fn mac(netns: &Netns, interface: &str) -> Result<[u8; 6]> {
    let link = link(netns, interface)?;
    let text = link["address"].as_str().context("an interface without an address")?;
    parse_mac(text).with_context(|| format!("{text} is not a hardware address"))
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut parts = text.split(':').map(|part| u8::from_str_radix(part, 16));
    let mut mac = [0; 6];
    for byte in &mut mac {
        *byte = parts.next()?.ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// Hosts, their switch and a directory for files. Dropping it removes them all; what runs in it
/// should be dropped before.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    hosts: Vec<Host>,
    switch: Netns,
    directory: PathBuf,
    keep: bool,
}

impl Lab {
    /// Builds one with these hosts: name and number (1–254) in the networks. The name must fit
    /// into an interface's name: 15 characters.
    pub fn new(hosts: &[(&str, u8)]) -> Result<Self> {
        sweep::sweep()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::named(&format!("{}{number}-", sweep::prefix(std::process::id())), hosts)
    }

    /// The same under a prefix of the caller's choice, which no other laboratory may have.
    pub fn named(prefix: &str, hosts: &[(&str, u8)]) -> Result<Self> {
        let directory = std::env::temp_dir().join(prefix);
        std::fs::create_dir(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let made = Self::build(prefix, hosts, &directory);
        if made.is_err() {
            // The namespaces have gone with their values.
            sweep::remove_directory(&directory)?;
        }
        made.with_context(|| format!("cannot build the laboratory {prefix}"))
    }

    fn build(prefix: &str, hosts: &[(&str, u8)], directory: &Path) -> Result<Self> {
        let switch = Netns::create(&format!("{prefix}switch"))?;
        // Without snooping, neighbour discovery works at once.
        switch.ip("link add br0 type bridge forward_delay 0 mcast_snooping 0")?;
        switch.ip("link set br0 up")?;
        let hosts = hosts
            .iter()
            .map(|(name, number)| plug(prefix, &switch, name, *number))
            .collect::<Result<_>>()?;
        Ok(Self {
            prefix: prefix.to_owned(),
            hosts,
            switch,
            directory: directory.to_owned(),
            keep: false,
        })
    }

    /// A host by its name.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.hosts
            .iter()
            .find(|host| host.name == name)
            .ok_or_else(|| anyhow!("the laboratory has no host {name}"))
    }

    /// The namespace of the switch, where the other end of each host's interface has its name.
    pub fn switch(&self) -> &Netns {
        &self.switch
    }

    /// What all names of this laboratory begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A directory for files, gone with the laboratory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A BPF file system of the laboratory's own, mounted on first use: nothing that is pinned
    /// here is seen by another laboratory or outlives this one.
    pub fn bpf(&self) -> Result<PathBuf> {
        let path = sweep::bpf_directory(&self.directory);
        if !sweep::is_mounted(&path)? {
            std::fs::create_dir_all(&path)
                .with_context(|| format!("cannot create {}", path.display()))?;
            let mut mount = Command::new("mount");
            mount.args(["-t", "bpf", "bpf"]).arg(&path);
            process::run(&mut mount, Duration::from_secs(20))?
                .success()
                .context("the kernel lacks a BPF file system, or root the right to mount it")?;
        }
        Ok(path)
    }

    /// Sets the MTU of every host's interface and of the switch.
    pub fn set_mtu(&self, mtu: u32) -> Result<()> {
        for host in &self.hosts {
            host.netns.ip(&format!("link set {INTERFACE} mtu {mtu}"))?;
            self.switch.ip(&format!("link set {} mtu {mtu}", host.name))?;
        }
        self.switch.ip(&format!("link set br0 mtu {mtu}")).map(drop)
    }

    /// Makes the switch cut what it forwards to a host into packets of the wire: hosts hand over
    /// several at once (segmentation offload), of which nothing on the way could tell the number.
    pub fn cut_segments(&self, host: &Host) -> Result<()> {
        let arguments =
            ["-K", &host.name, "tso", "off", "gso", "off", "tx-udp-segmentation", "off"];
        self.switch.run("ethtool", &arguments, Duration::from_secs(20))?.success().map(drop)
    }

    /// Leaves everything in place when dropped; [`sweep::remove_all`] with the prefix removes it.
    pub fn keep(&mut self) {
        self.keep = true;
        self.switch.keep();
        for host in &mut self.hosts {
            host.netns.keep();
        }
    }
}

/// Makes a host and connects it to the switch.
fn plug(prefix: &str, switch: &Netns, name: &str, number: u8) -> Result<Host> {
    ensure!(name.len() <= 15, "{name} does not fit into an interface's name");
    ensure!((1..=254).contains(&number), "host {name}: {number} is not a host's number");
    let netns = Netns::create(&format!("{prefix}{name}"))?;
    ip(&format!(
        "link add {INTERFACE} netns {} type veth peer name {name} netns {}",
        netns.name(),
        switch.name()
    ))?;
    switch.ip(&format!("link set {name} master br0 up"))?;
    netns.ip(&format!("link set {INTERFACE} up"))?;
    let mac = mac(&netns, INTERFACE)?;
    let host = Host { name: name.to_owned(), number, netns, mac };
    host.netns.ip(&format!("address add {}/24 dev {INTERFACE}", host.v4()))?;
    // Without duplicate address detection the address can be used at once.
    host.netns.ip(&format!("address add {}/48 dev {INTERFACE} nodad", host.v6()))?;
    host.netns.ip(&format!("route add default dev {INTERFACE}"))?;
    host.netns.ip(&format!("-6 route add default dev {INTERFACE}"))?;
    Ok(host)
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // The hosts' interfaces go with their namespaces, which are dropped after this.
        if let Err(error) = sweep::remove_directory(&self.directory) {
            eprintln!("warning: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_read() {
        let rows = [
            ("02:00:ab:cd:ef:01", Some([2, 0, 0xab, 0xcd, 0xef, 1])),
            ("02:00:ab:cd:ef", None),
            ("02:00:ab:cd:ef:01:02", None),
            ("02:00:ab:cd:ef:zz", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_mac(text), expected, "{text}");
        }
    }
}
