//! `weir run`: the daemon. What it does is elsewhere; this is what it can be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::outcome::{Failure, Outcome, Verdict};
use super::{Hooks, Target, value};
use crate::control::api::ApiError;

/// Arguments of `weir run`. What is not given comes from `--config`, or has a default.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(after_help = "Examples:\n  \
    weir run --interface eth0                        observe: count and sample, drop nothing\n  \
    weir run --interface eth0 --policy edge.toml     enforce a policy\n  \
    weir run --config /etc/weir/weir.toml            as the systemd unit does\n\n\
    SIGHUP reads the policy again; SIGTERM ends the daemon, and the kernel goes on enforcing\n\
    unless `on_exit = \"open\"` is set. `weir detach` takes everything away.")]
pub struct RunArgs {
    /// An interface to gate; repeat it for more
    #[arg(short, long = "interface", value_name = "IFACE")]
    pub interfaces: Vec<String>,
    /// The policy; without one weir observes
    #[arg(short, long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The daemon's settings
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How XDP runs: in the driver, in the stack, or whichever works
    #[arg(long, value_name = "MODE")]
    pub xdp_mode: Option<XdpMode>,
    /// How packets that leave are seen
    #[arg(long, value_name = "HOW")]
    pub egress: Option<EgressMode>,
    /// Share of flows that are sampled, 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = value::share)]
    pub sample: Option<f64>,
    /// Where /metrics is served [default: 127.0.0.1:9720]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Where state is kept [default: /var/lib/weir]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Where kernel objects are pinned, in a bpf file system [default: /sys/fs/bpf/weir]
    #[arg(long, value_name = "DIR")]
    pub pins: Option<PathBuf>,
    /// How the log is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// What is logged: a level, or directives as in `info,weir=debug` [env: RUST_LOG]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Which daemon this is.
    #[command(flatten)]
    pub target: Target,
}

/// How XDP runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum XdpMode {
    /// In the driver where it can, else in the stack
    Auto,
    /// In the driver, or not at all
    Native,
    /// In the stack: slower, works everywhere
    Generic,
}

/// How packets that leave are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EgressMode {
    /// TCX where the kernel has it, else clsact
    Auto,
    /// TCX: kernel 6.6 and later
    Tcx,
    /// A clsact queueing discipline
    Clsact,
    /// Not at all: no responses, no latency
    Off,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

pub(super) fn run(args: &RunArgs, hooks: Hooks) -> Verdict {
    match (hooks.run)(args) {
        Ok(()) => Ok(Outcome::Done),
        // A policy that is not valid and a guard that refuses are answers, not failures.
        Err(error) => Err(error.downcast::<ApiError>().map_or_else(Failure::Local, Failure::Api)),
    }
}
