//! `cargo xtask soak`: weir under mixed traffic for a long time while all sorts of things happen to
//! it; with `--write`, what was measured goes into docs/performance.md.
//!
//! The program is `bench/src/bin/weir-soak.rs`, which this builds optimised beside weir, and runs.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::page::Page;
use crate::process;
use crate::setup::{self, Purpose};

/// Where the numbers go, and between which lines.
const PAGE: Page = Page { path: "docs/performance.md", by: "cargo xtask soak --write" };
const NAME: &str = "soak";

/// Options of `soak`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long, in minutes
    #[arg(long, default_value_t = 10.0, value_name = "NUMBER", value_parser = minutes)]
    minutes: f64,
    /// What the order of mishaps follows from
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Put the report into docs/performance.md
    #[arg(long)]
    write: bool,
}

/// Half a minute to a week.
fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let range = 0.5..=10_080.0;
    if range.contains(&minutes) { Ok(minutes) } else { Err("0.5 to 10080 minutes".to_owned()) }
}

/// Exit 1 when something did not hold.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !process::privileges()?.root {
        bail!("a soak gates interfaces of network namespaces: run `cargo xtask soak` as root");
    }
    setup::ensure(Purpose::Test)?;
    let mut build = process::cargo();
    build.args(["build", "--release", "--locked", "--package", "filter-user"]);
    build.args(["--package", "weir-bench", "--bins"]);
    process::run(&mut build)?;
    let mut command = Command::new(crate::root().join("target/release/weir-soak"));
    command.arg("--minutes").arg(options.minutes.to_string());
    command.arg("--seed").arg(options.seed.to_string());
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", process::line(&command)))?;
    let report = String::from_utf8_lossy(&output.stdout);
    print!("{report}");
    match output.status.code() {
        Some(code @ (0 | 1)) => {
            if options.write {
                PAGE.write(NAME, &report)?;
            }
            Ok(ExitCode::from(u8::from(code == 1)))
        }
        _ => bail!("the soak could not be done"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_place_for_the_report() {
        let page = std::fs::read_to_string(crate::root().join(PAGE.path)).expect("the page");
        assert!(PAGE.replace(&page, NAME, "x").is_some());
    }

    #[test]
    fn minutes_have_a_range() {
        for (text, good) in [
            ("0.5", true),
            ("60", true),
            ("0.4", false),
            ("NaN", false),
            ("-1", false),
            ("x", false),
        ] {
            assert_eq!(minutes(text).is_ok(), good, "{text}");
        }
    }
}
