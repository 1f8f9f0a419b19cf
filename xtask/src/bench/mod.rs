//! `cargo xtask bench`: weir's numbers against goals and rivals, measured here and printed; with
//! `--write`, put into docs/performance.md in place of what was there.
//!
//! This prepares: it installs the peers, builds weir and the measuring program (`bench/`) optimised
//! and the programs that are loaded beside weir (`bench/ebpf`), and runs one number after the other.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use crate::page::Page;
use crate::process;
use crate::setup::{self, Purpose};
use crate::toolchain::{self, Toolchain};

/// Where the numbers go.
const PAGE: Page = Page { path: "docs/performance.md", by: "cargo xtask bench --write" };

/// What the numbers are about, in the order of docs/performance.md.
const NUMBERS: [&str; 10] = [
    "the verdict on one packet, in the caches",
    "the same from ten prefixes to a million",
    "a refused packet, live",
    "a flood of forged sources",
    "how exactly limits hold",
    "a million prefixes applied",
    "a thousand changes under traffic",
    "requests served during a flood",
    "every request seen",
    "what a transaction costs the sensor",
];

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure only these numbers, 1 to 10
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = clap::value_parser!(u8).range(1..=10))]
    only: Vec<u8>,
    /// Put the numbers into docs/performance.md
    #[arg(long)]
    write: bool,
}

/// Prepares and measures; exit 1 when a goal is missed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !process::privileges()?.root {
        bail!("measuring loads programs into the kernel: run `cargo xtask bench` as root");
    }
    setup::ensure(Purpose::Bench)?;
    let object = build()?;
    let program = crate::root().join("target/release/weir-bench");
    let mut missed = Vec::new();
    for (number, what) in (1..).zip(NUMBERS) {
        if !options.only.is_empty() && !options.only.contains(&number) {
            continue;
        }
        println!("\n## {number}. {what}\n");
        let start = Instant::now();
        let mut command = Command::new(&program);
        command.arg(number.to_string()).arg("--object").arg(&object);
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start `{}`", process::line(&command)))?;
        let numbers = String::from_utf8_lossy(&output.stdout);
        print!("{numbers}");
        match output.status.code() {
            Some(0) => {}
            Some(1) => missed.push(number.to_string()),
            _ => bail!("number {number} cannot be measured"),
        }
        eprintln!("bench: number {number} took {} s", start.elapsed().as_secs());
        if options.write {
            PAGE.write(&number.to_string(), &numbers)?;
        }
    }
    if !missed.is_empty() {
        println!("\nnumbers with a goal that is missed: {}", missed.join(", "));
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds all that is measured and all that measures; returns the object of `bench/ebpf`.
fn build() -> Result<PathBuf> {
    let mut command = process::cargo();
    command.args(["build", "--release", "--locked", "--package", "filter-user"]);
    command.args(["--package", "weir-bench"]);
    process::run(&mut command)?;
    let tools = Toolchain::find()
        .map_err(|missing| anyhow!("{}: {}", missing.join("; "), toolchain::HINT))?;
    let target = crate::root().join("target/bench-ebpf");
    let manifest = crate::root().join("bench/ebpf/Cargo.toml");
    process::run(&mut tools.build_command(&manifest, &target, std::env::consts::ARCH))?;
    Ok(target.join(toolchain::TARGET).join("release/weir-bench-bpf"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_place_for_every_number() {
        let page = std::fs::read_to_string(crate::root().join(PAGE.path)).expect("the page");
        for number in 1..=10 {
            assert!(PAGE.replace(&page, &number.to_string(), "x").is_some(), "number {number}");
        }
    }
}
