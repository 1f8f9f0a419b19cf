//! The `weir` binary.

use std::process::ExitCode;

use anyhow::{Result, bail};
use filter_user::cli::{self, RunRequest};

fn main() -> ExitCode {
    cli::main(run)
}

fn run(request: &RunRequest) -> Result<()> {
    bail!("this build has no daemon to run on {}", request.config.interfaces.join(", "))
}
