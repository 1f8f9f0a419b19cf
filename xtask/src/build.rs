//! `cargo xtask build`: everything, the eBPF object inside the `weir` binary.

use std::process::ExitCode;

use anyhow::Result;

use crate::process;
use crate::setup::{self, Purpose};

/// Options of `build`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Optimised, as it is shipped
    #[arg(long)]
    release: bool,
}

/// Runs `setup` and builds.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure(Purpose::Build)?;
    let mut command = process::cargo();
    command.args(["build", "--workspace", "--locked"]);
    if options.release {
        command.arg("--release");
    }
    process::run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}
