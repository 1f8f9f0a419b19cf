//! The daemon's log: tracing on standard error, where a service manager collects it.

use std::io::IsTerminal as _;

use anyhow::{Result, anyhow};
use tracing_subscriber::EnvFilter;

use crate::cli::{LogFormat, RunArgs};

/// Starts logging as the arguments say.
pub(super) fn init(args: &RunArgs) -> Result<()> {
    let filter = match &args.log {
        Some(directives) => EnvFilter::try_new(directives)
            .map_err(|error| anyhow!("--log {directives:?}: {error}"))?,
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
    };
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    let started = match args.log_format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| anyhow!("cannot start the log: {error}"))
}
