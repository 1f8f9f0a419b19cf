//! The services of a site, by dnsmasq: DHCP, DNS, router advertisements and DHCPv6, and clients
//! that take a lease.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::{Host, INTERFACE};
use crate::process::Background;
use crate::wait;

/// What a server or a client may take to get ready.
const START: Duration = Duration::from_secs(20);

/// The prefix that router advertisements announce and DHCPv6 gives addresses of.
pub const PREFIX: &str = "2001:db8:5::";

/// dnsmasq on a host, which is router and resolver of its network; stopped when dropped.
#[derive(Debug)]
pub struct Services {
    process: Background,
}

impl Services {
    /// Starts it. IPv4 addresses come from 192.0.2.100 on, IPv6 ones from [`PREFIX`]; `names` are
    /// what it resolves: name and address.
    pub fn start(host: &Host, directory: &Path, names: &[(&str, &str)]) -> Result<Self> {
        host.netns.ip(&format!("address add {PREFIX}1/64 dev {INTERFACE} nodad"))?;
        let mut command = host.netns.command("dnsmasq");
        command
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args(["--user=root", "--group=root", "--pid-file", "--log-facility=-", "--log-dhcp"])
            .arg(format!("--dhcp-leasefile={}", directory.join("dnsmasq.leases").display()))
            .args(["--dhcp-authoritative", "--no-ping", "--enable-ra"])
            .arg("--dhcp-range=192.0.2.100,192.0.2.110,255.255.255.0,2m")
            .arg(format!("--dhcp-option=option:router,{}", host.v4()))
            .arg(format!("--dhcp-range={PREFIX}100,{PREFIX}1ff,slaac,64,2m"));
        command.args(names.iter().map(|(name, address)| format!("--address=/{name}/{address}")));
        let log = directory.join("dnsmasq.log");
        let mut process = Background::start("dnsmasq", command, &log)?;
        process.ready("dnsmasq serves", START, || {
            let text = std::fs::read_to_string(&log)?;
            ensure!(text.contains("started"), "it has not started");
            Ok(())
        })?;
        Ok(Self { process })
    }

    /// The end of what it said.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// What a DHCP client does with what it hears: addresses and routes as a distribution's script sets
/// them, and a line for each message.
const SCRIPT: &str = r#"#!/bin/sh
set -e
home=$(dirname "$0")
case "$1" in
deconfig)
    ip -4 address flush dev "$interface"
    ;;
bound | renew)
    ip -4 address replace "$ip/$mask" dev "$interface"
    ip -4 route replace default via "$router"
    echo "nameserver $dns" > "$home/resolv.conf"
    ;;
esac
echo "$1 $ip" >> "$home/leases"
"#;

/// The same of a DHCPv6 client, whose script is told by variables.
const SCRIPT_V6: &str = r#"#!/bin/sh
[ -z "$new_ip6_address" ] || ip -6 address replace "$new_ip6_address/128" dev "$interface"
echo "$reason $new_ip6_address" >> "$(dirname "$0")/leases6"
"#;

/// udhcpc on a host; stopped when dropped.
#[derive(Debug)]
pub struct Lease {
    process: Background,
    home: PathBuf,
}

impl Lease {
    /// Takes away the host's IPv4 addresses, starts the client and waits until it has a lease.
    pub fn take(host: &Host, directory: &Path) -> Result<Self> {
        let home = directory.join("dhcp");
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot create {}", home.display()))?;
        let script = script(&home, "script", SCRIPT)?;
        let mut command = host.netns.command("busybox");
        command.args(["udhcpc", "-f", "-t", "10", "-T", "1", "-i", INTERFACE, "-s"]).arg(script);
        let process = Background::start("udhcpc", command, &home.join("log"))?;
        let mut lease = Self { process, home };
        let leases = lease.home.join("leases");
        lease.process.ready("a lease", START, || {
            let text = std::fs::read_to_string(&leases)?;
            ensure!(text.contains("bound "), "none yet: {text}");
            Ok(())
        })?;
        Ok(lease)
    }

    /// What the client was told so far, one message a line: what and the address.
    pub fn messages(&self) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(self.home.join("leases"))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Renews it, as at half of its time: by unicast to the server.
    pub fn renew(&self) -> Result<()> {
        let before = self.messages()?.len();
        self.process.signal(libc::SIGUSR1);
        wait::until("the renewal", START, || {
            let messages = self.messages()?;
            let new = messages.get(before..).unwrap_or_default();
            ensure!(new.iter().any(|message| message.starts_with("renew ")), "{messages:?}");
            Ok(())
        })
        .with_context(|| format!("udhcpc says\n{}", self.process.log()))
    }

    /// A `resolv.conf` that names the lease's resolver.
    pub fn resolver(&self) -> PathBuf {
        self.home.join("resolv.conf")
    }
}

/// Takes a DHCPv6 lease with dhclient and hands on the address.
pub fn lease_v6(host: &Host, directory: &Path) -> Result<String> {
    let home = directory.join("dhcp6");
    std::fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let script = script(&home, "script", SCRIPT_V6)?;
    let mut command = host.netns.command("dhclient");
    command.args(["-6", "-d", "-cf", "/dev/null", "-sf"]).arg(script);
    command.arg("-lf").arg(home.join("known")).arg("-pf").arg(home.join("pid")).arg(INTERFACE);
    let mut process = Background::start("dhclient", command, &home.join("log"))?;
    process.ready("a DHCPv6 lease", START, || {
        let text = std::fs::read_to_string(home.join("leases6"))?;
        let address = text.lines().find_map(|line| line.strip_prefix("BOUND6 "));
        address.map(str::to_owned).with_context(|| format!("none yet: {text}"))
    })
}

fn script(home: &Path, name: &str, text: &str) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = home.join(name);
    std::fs::write(&path, text)
        .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
