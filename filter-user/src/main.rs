//! The `weir` binary.

use std::process::ExitCode;

use clap::Parser;
use filter_user::cli::replay::{ReplayArgs, replay};

#[derive(Parser)]
#[command(name = "weir", version, about = "A gate and a gauge in front of every API on this host")]
enum Verb {
    /// Run a capture through parser, verdict and sensor, and print what is in it
    Replay(ReplayArgs),
}

fn main() -> ExitCode {
    let Verb::Replay(args) = Verb::parse();
    replay(&args).unwrap_or_else(|error| {
        eprintln!("weir: {error:#}");
        ExitCode::from(2)
    })
}
