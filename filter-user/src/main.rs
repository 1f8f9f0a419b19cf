//! The `weir` binary.

use std::process::ExitCode;

use filter_user::cli::{self, Hooks};
use filter_user::daemon;

fn main() -> ExitCode {
    cli::main(Hooks { run: daemon::run, detach: daemon::detach })
}
