//! The `weir` binary.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use filter_user::cli::{Hooks, RunRequest, main as cli_main};
use filter_user::control::api::Detached;

fn main() -> ExitCode {
    cli_main(Hooks { run, detach })
}

fn run(request: &RunRequest) -> Result<()> {
    bail!("this build has no kernel half for {}", request.config.interfaces.join(", "))
}

fn detach(pins: &Path) -> Result<Detached> {
    bail!("this build has no kernel half to detach what is under {}", pins.display())
}
