//! The `weir` binary.

use std::process::ExitCode;

use anyhow::{Result, bail};
use filter_user::cli::{DetachArgs, Hooks, RunArgs, main as cli_main};
use filter_user::control::api::Detached;

fn main() -> ExitCode {
    cli_main(Hooks { run, detach })
}

fn run(_: &RunArgs) -> Result<()> {
    bail!("this build has no kernel half")
}

fn detach(_: &DetachArgs) -> Result<Detached> {
    bail!("this build has no kernel half")
}
