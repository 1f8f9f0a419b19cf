//! `cargo xtask deny`: licences, advisories, sources and duplicates of both dependency trees, as
//! `deny.toml` says. Not part of `test`: cargo-deny takes minutes to compile, and its database of
//! advisories needs the network.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::process;

const MANIFESTS: [&str; 2] = ["Cargo.toml", "filter-ebpf/Cargo.toml"];

/// Runs cargo-deny over the workspace and the kernel half.
pub(crate) fn run() -> Result<ExitCode> {
    if process::answer(Command::new("cargo-deny").arg("--version")).is_none() {
        bail!("cargo-deny is not installed: run `cargo install --locked cargo-deny`");
    }
    let root = crate::root();
    let mut clean = true;
    for manifest in MANIFESTS {
        let mut command = process::cargo();
        command.args(["deny", "--manifest-path"]).arg(root.join(manifest));
        command.args(["check", "--config"]).arg(root.join("deny.toml"));
        clean &= process::status(&mut command)?.success();
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
