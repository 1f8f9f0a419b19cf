//! From settings to what the kernel half wants.

use std::path::Path;

use anyhow::{Result, bail};

use crate::config::{self, Config, Egress};
use crate::kernel::attach::{Driver, EgressHook};
use crate::kernel::state::Settings;
use crate::policy::{self, Loaded, Policy};
use crate::text::render;

use super::trouble;

/// Reads the policy that the settings name; none to observe.
pub(super) fn policy(config: &Config) -> Result<Option<Policy>> {
    let Some(path) = &config.policy else { return Ok(None) };
    let Loaded { policy, diagnostics, .. } = policy::load(path);
    if policy.is_none() {
        // A file that cannot be read is not an invalid policy.
        if let [only] = diagnostics.as_slice()
            && !path.is_file()
        {
            bail!("{only}");
        }
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
