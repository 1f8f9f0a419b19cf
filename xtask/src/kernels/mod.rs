//! `cargo xtask kernels`: weir on other kernels than this one.
//!
//! Debian's kernels boot in an emulated machine with `weir` and the rows of verdicts. The oldest
//! supported one is among them, and one that is too old, which has to be refused.

mod machine;
mod packages;

use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use self::machine::Check;
use self::packages::Packages;
use crate::process;
use crate::setup::{self, Purpose};

/// The oldest kernel that weir runs on.
const OLDEST: (u32, u32) = (6, 1);

/// Options of `kernels`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Versions as Debian names them
    #[arg(value_name = "VERSION", default_values = ["5.10", "6.1", "6.12", "6.18"])]
    versions: Vec<String>,
}

/// Runs every kernel, one after the other; exit 1 when a check failed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure(Purpose::Kernels)?;
    let home = crate::root().join("target/kernels");
    let packages = Packages::open(&home)?;
    let programs = [("weir", weir()?), ("verdict", verdict()?)];
    let mut failed = 0;
    for version in &options.versions {
        let old = number(version)? < OLDEST;
        let kernel = packages.kernel(version)?;
        let image = machine::pack(&kernel, &programs, &home)?;
        let start = Instant::now();
        let log = home.join(format!("log-{version}"));
        let checks = machine::boot(&kernel, &image, old, &log)?;
        std::fs::remove_file(&image)
            .with_context(|| format!("cannot remove {}", image.display()))?;
        let wrong: Vec<&Check> = checks.iter().filter(|check| !check.ok).collect();
        failed += wrong.len();
        let word = if wrong.is_empty() { "ok" } else { "FAILED" };
        println!("kernels: {version}: {word}, {:.0} s\n", start.elapsed().as_secs_f64());
        if !wrong.is_empty() {
            println!("kernels: what the machine said is in {}", log.display());
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Major and minor number of a version.
fn number(version: &str) -> Result<(u32, u32)> {
    let read = || {
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    read().with_context(|| format!("{version} is not a version such as 6.1"))
}

/// Builds `weir`.
fn weir() -> Result<PathBuf> {
    executable(&["build", "--locked", "--package", "filter-user", "--bin", "weir"])
}

/// Builds the test of verdicts.
fn verdict() -> Result<PathBuf> {
    executable(&["test", "--locked", "--package", "filter-user", "--test", "verdict", "--no-run"])
}

/// Builds with cargo and tells where the program is.
fn executable(arguments: &[&str]) -> Result<PathBuf> {
    let mut command = process::cargo();
    command.args(arguments).arg("--message-format=json-render-diagnostics");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", process::line(&command)))?;
    ensure!(output.status.success(), "`{}` fails", process::line(&command));
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .with_context(|| format!("`{}` names no program", process::line(&command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(number("5.10").expect("a version") < OLDEST);
        assert!(number("6.12").expect("a version") > OLDEST);
        for bad in ["", "6", "six.one", "6.1.2"] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }
}
