//! The peer: xdp-filter of xdp-tools, loaded by its own command on an interface of a network
//! namespace that is this thread's own.

use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use filter_user::kernel::host::interface_index;
use filter_user::kernel::netlink::xdp_programs;
use filter_user::kernel::trial::Program;

const INTERFACE: &str = "weirb0";

/// xdp-filter on an interface, refusing two addresses; unloaded when dropped.
pub(crate) struct Peer {
    pub(crate) program: Program,
}

impl Peer {
    /// Loads it; `None` when it is not installed.
    pub(crate) fn load(refused: &[IpAddr]) -> Result<Option<Self>> {
        let mut help = Command::new("xdp-filter");
        if help.arg("help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            return Ok(None);
        }
        if Path::new("/sys/fs/bpf/xdp-filter").exists() {
            bail!("xdp-filter is in use on this host: unload it before measuring against it");
        }
        // SAFETY: changes what this thread sees, and takes no pointers.
        ensure!(unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0, "no network namespace");
        run("ip", &["link", "add", INTERFACE, "type", "veth", "peer", "name", "weirb1"])?;
        run("xdp-filter", &["load", "--features", "ipv4,ipv6", "--policy", "allow", INTERFACE])?;
        let found = Self::find(refused);
        if found.is_err() {
            unload();
        }
        found.map(Some)
    }

    fn find(refused: &[IpAddr]) -> Result<Self> {
        for address in refused {
            run("xdp-filter", &["ip", &address.to_string(), "--mode", "src"])?;
        }
        let attached = xdp_programs(interface_index(INTERFACE)?)?;
        let attached = attached.first().context("xdp-filter has put no program there")?;
        Ok(Self { program: Program::by_id(attached.program)? })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        unload();
    }
}

fn unload() {
    if let Err(error) = run("xdp-filter", &["unload", INTERFACE]) {
        eprintln!("{error:#}: look at /sys/fs/bpf/xdp-filter");
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    ensure!(
        output.status.success(),
        "`{program} {}` ended with {}: {}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
