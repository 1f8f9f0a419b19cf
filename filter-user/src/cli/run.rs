//! `weir run`: the daemon. What it does is elsewhere; this is what it can be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::log::{self, LogArgs};
use super::outcome::{Failure, Outcome, Verdict};
use super::settings::settings;
use super::{Run, Target, value};
use crate::config::{Config, Egress, OnExit, Origin, Overrides, XdpMode};
use crate::control::api::{Answer, ApiError};

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  \
    weir run --interface eth0                        observe: count and sample, drop nothing\n  \
    weir run --interface eth0 --policy edge.toml     enforce a policy\n  \
    weir run --config /etc/weir/weir.toml            as the systemd unit does\n\n\
    SIGHUP reads the policy and the [[sink]] tables of the settings again; SIGTERM ends the daemon, and the kernel goes on enforcing\n\
    unless `on_exit = \"open\"` is set. `weir detach` takes everything away.")]
pub(super) struct RunArgs {
    /// An interface to gate; repeat it for more
    #[arg(short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<String>,
    /// The policy; without one weir observes
    #[arg(short, long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The daemon's settings, weir.toml; the arguments here win over it
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How XDP is attached: in the driver, in the stack, or whichever works
    #[arg(long, value_name = "MODE", value_parser = value::word(XdpMode::ALL))]
    xdp_mode: Option<XdpMode>,
    /// How packets that leave are seen; without it there are no responses and no latencies
    #[arg(long, value_name = "HOW", value_parser = value::word(Egress::ALL))]
    egress: Option<Egress>,
    /// Share of flows that are sampled, 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = value::share)]
    sample: Option<f64>,
    /// Record what detectors are told, as JSON Lines that `weir replay` reads
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Where /metrics is served [default: 127.0.0.1:9720]
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Where state is kept [default: /var/lib/weir]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where kernel objects are pinned, in a bpf file system [default: /sys/fs/bpf/weir]
    #[arg(long, value_name = "DIR")]
    pins: Option<PathBuf>,
    /// What an orderly end leaves behind: the filter, or an open door [default: keep]
    #[arg(long, value_name = "WHAT", value_parser = value::word(OnExit::ALL))]
    on_exit: Option<OnExit>,
    /// Let the kernel half log rare events
    #[arg(long)]
    log_kernel: bool,
    /// Enforce a policy even when it would lock you out
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    target: Target,
}

/// What a daemon is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRequest {
    /// Its settings: the file's, with the arguments in place. At least one interface.
    pub config: Config,
    /// Where they can be read again; none: there is no file.
    pub origin: Option<Origin>,
    /// Its name, where several run on one host.
    pub instance: Option<String>,
    /// Enforce a policy that would lock out whoever starts it.
    pub force: bool,
}

impl RunArgs {
    /// The settings that these arguments lead to.
    pub(super) fn request(&self) -> Answer<RunRequest> {
        let mut config = settings(self.config.as_deref(), &self.target)?;
        let overrides = Overrides {
            interfaces: self.interfaces.clone(),
            xdp_mode: self.xdp_mode,
            egress: self.egress,
            policy: self.policy.clone(),
            state_dir: self.state_dir.clone(),
            socket: self.target.socket.clone(),
            pins: self.pins.clone(),
            metrics: self.metrics,
            on_exit: self.on_exit,
            sample: self.sample,
            record: self.record.clone(),
            log_kernel: self.log_kernel.then_some(true),
        };
        config
            .apply(overrides.clone())
            .map_err(|problem| ApiError::invalid(problem.message).hint(problem.hint))?;
        if config.interfaces.is_empty() {
            return Err(ApiError::invalid("no interface is named").hint(
                "give --interface IFACE, or `interfaces` in weir.toml; `ip link` lists them",
            ));
        }
        let paths = self.target.paths()?;
        let origin = self.config.as_ref().map(|file| Origin {
            file: std::path::absolute(file).unwrap_or_else(|_| file.clone()),
            paths,
            overrides,
        });
        let instance = self.target.instance.clone();
        Ok(RunRequest { config, origin, instance, force: self.force })
    }
}

pub(super) fn run(args: &RunArgs, daemon: Run) -> Verdict {
    let request = args.request()?;
    log::start(&args.log)?;
    match daemon(&request) {
        Ok(()) => Ok(Outcome::Done),
        // A policy that is not valid and a guard that refuses are answers, not failures.
        Err(error) => Err(error.downcast::<ApiError>().map_or_else(Failure::Local, Failure::Api)),
    }
}
