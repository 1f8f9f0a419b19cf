//! `cargo xtask lab`: detectors against what is known to have happened.
//!
//! Without `--series` and `--planted`, against labelled traffic: the program is the crate `lab/`, which
//! this builds optimised beside weir, and runs; with `--write`, what it prints goes into
//! docs/detection.md.
//!
//! `--series DIR` runs the shift detector, with the daemon's defaults, over the recorded series of a
//! directory; the program is `filter-user/examples/series.rs`. `--planted` uses generated series, which
//! `--generate DIR` writes.

mod generate;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::page::Page;
use crate::process;
use crate::setup::{self, Purpose};

/// False alarms that a generated series may have in its two weeks: the first weekend is news.
const FALSE: u32 = 8;
/// Where the numbers go, and between which lines.
const PAGE: Page = Page { path: "docs/detection.md", by: "cargo xtask lab --write" };
const NAME: &str = "traffic";

/// Options of `lab`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Series (`timestamp,value`) with labelled windows in windows.json, instead of traffic
    #[arg(long, value_name = "DIR")]
    series: Option<PathBuf>,
    /// Generated series instead of traffic
    #[arg(long, conflicts_with = "series")]
    planted: bool,
    /// Write generated series to this directory, and stop
    #[arg(long, value_name = "DIR", conflicts_with_all = ["series", "planted"])]
    generate: Option<PathBuf>,
    /// Seeds of what is generated: a run for each
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "NUMBER")]
    seed: Vec<u64>,
    #[command(flatten)]
    traffic: Traffic,
}

/// Options of labelled traffic.
#[derive(clap::Args)]
#[group(conflicts_with_all = ["series", "planted", "generate"])]
struct Traffic {
    /// Benign days before the attacks
    #[arg(long, default_value_t = 28, value_name = "NUMBER")]
    days: u32,
    /// How busy the shop is; 1 is one request a second on average
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    load: f64,
    /// The first recording again with sampled flows and with losses
    #[arg(long)]
    curves: bool,
    /// Send nothing: take what is planned for what weir would record
    #[arg(long)]
    imagine: bool,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Put the tables into docs/detection.md
    #[arg(long, conflicts_with_all = ["json", "imagine"])]
    write: bool,
}

/// Exit 1 when a goal is missed: something was not found, or too much was.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let seed = options.seed.first().copied().unwrap_or(1);
    if let Some(directory) = &options.generate {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        generate::write(directory, seed)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(directory) = &options.series {
        return judge(directory, 2);
    }
    if options.planted {
        let directory = tempfile::tempdir().context("cannot make a directory")?;
        generate::write(directory.path(), seed)?;
        return judge(directory.path(), FALSE);
    }
    traffic(&options.seed, &options.traffic)
}

fn judge(directory: &Path, most: u32) -> Result<ExitCode> {
    let directory = std::path::absolute(directory).context("no current directory")?;
    let mut command = process::cargo();
    command.args(["run", "--release", "--quiet", "--locked", "--package", "filter-user"]);
    command.args(["--example", "series", "--"]).arg(directory).arg(most.to_string());
    let status = process::status(&mut command)?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(2)).unwrap_or(2)))
}

fn traffic(seeds: &[u64], options: &Traffic) -> Result<ExitCode> {
    if !options.imagine {
        if !process::privileges()?.root {
            bail!("traffic is sent between network namespaces: run `cargo xtask lab` as root");
        }
        setup::ensure(Purpose::Demo)?;
    }
    let mut build = process::cargo();
    build.args(["build", "--release", "--locked", "--package", "filter-user"]);
    build.args(["--package", "weir-lab"]);
    process::run(&mut build)?;
    let mut command = Command::new(crate::root().join("target/release/weir-lab"));
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    command.arg("--seed").arg(seeds.join(",")).arg("--days").arg(options.days.to_string());
    command.arg("--load").arg(options.load.to_string());
    for (flag, wanted) in
        [("--curves", options.curves), ("--imagine", options.imagine), ("--json", options.json)]
    {
        if wanted {
            command.arg(flag);
        }
    }
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", process::line(&command)))?;
    let tables = String::from_utf8_lossy(&output.stdout);
    print!("{tables}");
    match output.status.code() {
        Some(code @ (0 | 1)) => {
            if options.write {
                PAGE.write(NAME, &tables)?;
            }
            Ok(ExitCode::from(u8::from(code == 1)))
        }
        _ => bail!("the laboratory could not do it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_place_for_the_tables() {
        let page = std::fs::read_to_string(crate::root().join(PAGE.path)).expect("the page");
        assert!(PAGE.replace(&page, NAME, "x").is_some());
    }
}
