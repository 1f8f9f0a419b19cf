//! The `weir` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    filter_user::cli::main(filter_user::daemon::run)
}
