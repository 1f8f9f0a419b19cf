//! Settings that are read again while a daemon runs, and what of them is different then.

use std::path::PathBuf;

use super::{Config, Loaded, Overrides, Paths, load};
use crate::text::render;

/// Where the settings of a daemon are from, to read them again.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The file, absolute.
    pub file: PathBuf,
    /// The paths of its instance.
    pub paths: Paths,
    /// What the command line says instead.
    pub overrides: Overrides,
}

impl Origin {
    /// Reads them again.
    ///
    /// # Errors
    /// They cannot be used: every problem, as `weir run` would tell it.
    pub fn read(&self) -> Result<Config, String> {
        let Loaded { config, diagnostics } = load(&self.file, self.paths.clone());
        let mut config = config.ok_or_else(|| render(&diagnostics))?;
        config.apply(self.overrides.clone()).map_err(|problem| problem.message)?;
        Ok(config)
    }
}

impl Config {
    /// The keys that others say otherwise, receivers apart. All of these take a restart.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        // Taken apart, so that none is forgotten that comes.
        let Self {
            interfaces,
            xdp_mode,
            egress,
            policy,
            state_dir,
            socket,
            pins,
            metrics,
            on_exit,
            sensor,
            limits,
            feeds,
            record,
            store,
            inventory,
            geo,
            audit_bytes,
            events,
            sinks: _,
            log_kernel,
        } = self;
        let keys = [
            ("interfaces", *interfaces != other.interfaces),
            ("xdp_mode", *xdp_mode != other.xdp_mode),
            ("egress", *egress != other.egress),
            ("policy", *policy != other.policy),
            ("state_dir", *state_dir != other.state_dir),
            ("socket", *socket != other.socket),
            ("pins", *pins != other.pins),
            ("metrics", *metrics != other.metrics),
            ("on_exit", *on_exit != other.on_exit),
            ("[sensor]", *sensor != other.sensor),
            ("[limits]", *limits != other.limits),
            ("[feeds]", *feeds != other.feeds),
            ("[record]", *record != other.record),
            ("[store]", *store != other.store),
            ("[inventory]", *inventory != other.inventory),
            ("[geo]", *geo != other.geo),
            ("[audit]", *audit_bytes != other.audit_bytes),
            ("[events]", *events != other.events),
            ("[log]", *log_kernel != other.log_kernel),
        ];
        keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}
