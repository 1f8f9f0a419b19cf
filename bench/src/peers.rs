//! The peers, driven by their own commands on hosts of the laboratory.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use filter_user::kernel::host::interface_index;
use filter_user::kernel::netlink::xdp_programs;
use filter_user::kernel::trial::Program;
use weir_tests::lab::{Host, INTERFACE, Lab};
use weir_tests::wait;

use crate::prefixes::Prefixes;

/// nftables takes seconds for half a million prefixes.
const LIMIT: Duration = Duration::from_secs(120);

fn run(host: &Host, program: &str, words: &str) -> Result<String> {
    let words: Vec<&str> = words.split_whitespace().collect();
    host.netns.run(program, &words, LIMIT)?.success()
}

/// xdp-filter of xdp-tools on the interface of a host, refusing some sources; unloaded when dropped.
pub(crate) struct XdpFilter<'lab> {
    host: &'lab Host,
}

impl<'lab> XdpFilter<'lab> {
    /// Loads it with the families it needs.
    pub(crate) fn load(host: &'lab Host, refused: &[IpAddr]) -> Result<Self> {
        // It is one for the whole host; another measurement ends soon, another use does not.
        wait::until("xdp-filter to be free", Duration::from_secs(90), || {
            let used = Path::new("/sys/fs/bpf/xdp-filter").exists();
            ensure!(!used, "it is in use on this host: unload it before measuring against it");
            Ok(())
        })?;
        let v6 = if refused.iter().any(IpAddr::is_ipv6) { ",ipv6" } else { "" };
        let words = format!("load --features ipv4{v6} --policy allow {INTERFACE}");
        run(host, "xdp-filter", &words)?;
        let filter = Self { host };
        for address in refused {
            run(host, "xdp-filter", &format!("ip {address} --mode src"))?;
        }
        Ok(filter)
    }

    /// Its program.
    pub(crate) fn program(&self) -> Result<Program> {
        let attached = self.host.netns.enter(|| Ok(xdp_programs(interface_index(INTERFACE)?)?))?;
        let attached = attached.first().context("xdp-filter has put no program there")?;
        Ok(Program::by_id(attached.program)?)
    }
}

impl Drop for XdpFilter<'_> {
    fn drop(&mut self) {
        if let Err(error) = run(self.host, "xdp-filter", &format!("unload {INTERFACE}")) {
            eprintln!("{error:#}: look at /sys/fs/bpf/xdp-filter");
        }
    }
}

/// Lets a host take live frames without a program of its own on the interface.
fn open(host: &Host) -> Result<()> {
    run(host, "ethtool", &format!("-K {INTERFACE} gro on")).map(drop)
}

/// nftables on the ingress of a host's interface, with these definitions and rules.
pub(crate) fn nftables(lab: &Lab, host: &Host, sets: &str, rules: &str) -> Result<()> {
    open(host)?;
    let text = format!(
        "table netdev bench {{\n{sets}\nchain ingress {{\n\
         type filter hook ingress device {INTERFACE} priority 0; policy accept;\n{rules}\n}}\n}}\n"
    );
    let path = lab.directory().join(format!("{}.nft", host.name()));
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    run(host, "nft", &format!("-f {}", path.display())).map(drop)
}

/// The definition of an nftables set that holds a list.
pub(crate) fn nft_set(list: &Prefixes) -> String {
    let mut text =
        "set listed { type ipv4_addr; flags interval; auto-merge; elements = {\n".to_owned();
    for (network, length) in &list.v4 {
        let _infallible = writeln!(text, "{network}/{length},");
    }
    text.push_str("} }");
    text
}

/// ipset with a list, before routing: what is in it is dropped, and what is not.
pub(crate) fn ipset(lab: &Lab, host: &Host, list: &Prefixes) -> Result<()> {
    open(host)?;
    let count = list.v4.len();
    let mut text = format!("create listed hash:net family inet hashsize {count} maxelem {count}\n");
    for (network, length) in &list.v4 {
        let _infallible = writeln!(text, "add listed {network}/{length}");
    }
    let path = lab.directory().join("listed.ipset");
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    run(host, "ipset", &format!("restore -exist -file {}", path.display()))?;
    iptables(host, "-m set --match-set listed src -j DROP")?;
    iptables(host, "-j DROP")
}

/// hashlimit, before routing.
pub(crate) fn hashlimit(host: &Host) -> Result<()> {
    open(host)?;
    iptables(
        host,
        "-m hashlimit --hashlimit-above 100/second --hashlimit-mode srcip \
         --hashlimit-htable-size 262144 --hashlimit-htable-max 262144 --hashlimit-name bench -j DROP",
    )
}

fn iptables(host: &Host, rule: &str) -> Result<()> {
    let done = run(host, "iptables", &format!("-t raw -A PREROUTING -i {INTERFACE} {rule}"))?;
    ensure!(done.trim().is_empty(), "iptables says {done}");
    Ok(())
}
