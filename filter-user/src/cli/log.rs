//! Where the daemon's log goes and how it looks: standard error, where systemd picks it up.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Args, Clone, Debug)]
pub(super) struct LogArgs {
    /// How the log is written, on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
    /// What is logged: a level, or directives as in `info,filter_user=debug`
    /// [default: what RUST_LOG says, else info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// Sends what the program traces to standard error from here on.
pub(super) fn start(args: &LogArgs) -> Result<()> {
    let said = args.log.clone().or_else(|| std::env::var("RUST_LOG").ok());
    let directives = said.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(directives).with_context(|| {
        format!("`{directives}` is not a log filter: write info, or info,filter_user=debug")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match args.log_format {
        Format::Json => log.json().flatten_event(true).try_init(),
        Format::Text => {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let colour = std::io::stderr().is_terminal() && !plain;
            log.with_ansi(colour).with_target(false).try_init()
        }
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
