//! From settings to what the kernel half wants.

use std::path::Path;

use crate::config::{self, Config, Egress};
use crate::kernel::attach::{Driver, EgressHook};
use crate::kernel::state::Settings;

/// What the kernel half is told.
pub(super) fn of_kernel(config: &Config) -> Settings {
    Settings {
        pins: config.pins.clone(),
        max_apis: config.limits.max_apis,
        max_bans: config.limits.max_bans,
        sources: config.limits.sources,
        ring_bytes: config.sensor.ring,
        snap: config.sensor.snap,
        turn: config.sensor.turn,
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
