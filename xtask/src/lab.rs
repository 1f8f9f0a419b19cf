//! `cargo xtask lab`: detectors over traffic that is labelled.
//!
//! `--series DIR` runs the shift detector, with the daemon's defaults, over the recorded series of a
//! directory; the program is `filter-user/examples/series.rs`. Without it, generated series are used:
//! `--generate DIR` writes them.

mod generate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::process;

/// False alarms that a generated series may have in its two weeks: the first weekend is news.
const FALSE: u32 = 8;

/// Options of `lab`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Series (`timestamp,value`) with labelled windows in windows.json; generated ones if not given
    #[arg(long, value_name = "DIR")]
    series: Option<PathBuf>,
    /// Write generated series to this directory, and stop
    #[arg(long, value_name = "DIR", conflicts_with = "series")]
    generate: Option<PathBuf>,
    /// Seed of what is generated
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
}

/// Exit 1 when a window was not found, or a series has too many false alarms (two of the
/// recorded ones, eight of the generated).
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if let Some(directory) = &options.generate {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        generate::write(directory, options.seed)?;
        return Ok(ExitCode::SUCCESS);
    }
    match &options.series {
        Some(directory) => judge(directory, 2),
        None => {
            let directory = tempfile::tempdir().context("cannot make a directory")?;
            generate::write(directory.path(), options.seed)?;
            judge(directory.path(), FALSE)
        }
    }
}

fn judge(directory: &Path, most: u32) -> Result<ExitCode> {
    let directory = std::path::absolute(directory).context("no current directory")?;
    let mut command = process::cargo();
    command.args(["run", "--release", "--quiet", "--locked", "--package", "filter-user"]);
    command.args(["--example", "series", "--"]).arg(directory).arg(most.to_string());
    let status = process::status(&mut command)?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(2)).unwrap_or(2)))
}
