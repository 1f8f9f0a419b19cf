//! From arguments and `weir.toml` to settings, and from there to what the kernel half wants.

use std::path::Path;

use anyhow::{Result, anyhow, bail};

use crate::cli::{EgressMode, RunArgs, XdpMode};
use crate::config::{self, Config, Egress, Overrides, Paths};
use crate::kernel::attach::{Driver, EgressHook};
use crate::kernel::state::Settings;
use crate::policy::{self, Loaded, Policy};
use crate::text::{Problem, render};

use super::trouble;

fn told(problem: &Problem) -> anyhow::Error {
    anyhow!("{}: {}", problem.message, problem.hint)
}

/// The settings: those of the file, with what the arguments replace.
pub(super) fn of(args: &RunArgs) -> Result<Config> {
    let paths = Paths::of(args.target.instance.as_deref()).map_err(|p| told(&p))?;
    let mut config = match &args.config {
        None => Config::with_paths(paths),
        Some(path) => {
            let loaded = config::load(path, paths);
            let text = render(&loaded.diagnostics);
            match loaded.config {
                Some(config) => {
                    if !text.is_empty() {
                        tracing::warn!("{}\n{text}", path.display());
                    }
                    config
                }
                None => bail!("{} cannot be used:\n{text}", path.display()),
            }
        }
    };
    config
        .apply(Overrides {
            interfaces: args.interfaces.clone(),
            xdp_mode: args.xdp_mode.map(|mode| match mode {
                XdpMode::Auto => config::XdpMode::Auto,
                XdpMode::Native => config::XdpMode::Native,
                XdpMode::Generic => config::XdpMode::Generic,
            }),
            egress: args.egress.map(|egress| match egress {
                EgressMode::Auto => Egress::Auto,
                EgressMode::Tcx => Egress::Tcx,
                EgressMode::Clsact => Egress::Clsact,
                EgressMode::Off => Egress::Off,
            }),
            policy: args.policy.clone(),
            state_dir: args.state_dir.clone(),
            socket: args.target.socket.clone(),
            pins: args.pins.clone(),
            metrics: args.metrics,
            on_exit: None,
            sample: args.sample,
            log_kernel: None,
        })
        .map_err(|p| told(&p))?;
    if config.interfaces.is_empty() {
        bail!(
            "no interface to gate: give one with --interface, or `interfaces` in weir.toml (this \
             host has {})",
            crate::kernel::host::interface_names().join(", ")
        );
    }
    Ok(config)
}

/// Reads the policy that the settings name; none to observe.
pub(super) fn policy(config: &Config) -> Result<Option<Policy>> {
    let Some(path) = &config.policy else { return Ok(None) };
    let Loaded { policy, diagnostics, .. } = policy::load(path);
    if policy.is_none() {
        return Err(trouble::policy(diagnostics).into());
    }
    if !diagnostics.is_empty() {
        tracing::warn!("{}\n{}", path.display(), render(&diagnostics));
    }
    Ok(policy)
}

/// What the kernel half is told.
pub(super) fn of_kernel(config: &Config) -> Settings {
    Settings {
        pins: config.pins.clone(),
        max_apis: config.limits.max_apis,
        max_bans: config.limits.max_bans,
        sources: config.limits.sources,
        ring_bytes: config.sensor.ring,
        snap: config.sensor.snap,
        sample: config.sensor.sample,
        log: config.log_kernel,
    }
}

pub(super) fn driver(mode: config::XdpMode) -> Driver {
    match mode {
        config::XdpMode::Auto => Driver::Auto,
        config::XdpMode::Native => Driver::Native,
        config::XdpMode::Generic => Driver::Generic,
    }
}

pub(super) fn egress(mode: Egress) -> EgressHook {
    match mode {
        Egress::Auto => EgressHook::Auto,
        Egress::Tcx => EgressHook::Tcx,
        Egress::Clsact => EgressHook::Clsact,
        Egress::Off => EgressHook::Off,
    }
}

/// The path with which a policy is remembered: it must mean the same to a later caller.
pub(super) fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
