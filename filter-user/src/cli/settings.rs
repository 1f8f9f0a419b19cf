//! The daemon's settings as a verb sees them: weir.toml where one is named, else the defaults of
//! the instance.

use std::path::Path;

use super::Target;
use crate::config::{Config, load};
use crate::control::api::{Answer, ApiError};
use crate::text::render;

/// Reads the settings. Warnings about the file go to standard error.
pub(super) fn settings(file: Option<&Path>, target: &Target) -> Answer<Config> {
    let paths = target.paths()?;
    let Some(file) = file else {
        let mut config = Config::with_paths(paths);
        config.socket = target.socket()?;
        return Ok(config);
    };
    let loaded = load(file, paths);
    let Some(mut config) = loaded.config else {
        let message = format!("the settings in {} cannot be used", file.display());
        let diagnostics = loaded.diagnostics.into_iter().map(Into::into).collect();
        return Err(ApiError::invalid(message).diagnostics(diagnostics));
    };
    eprint!("{}", render(&loaded.diagnostics));
    if let Some(socket) = &target.socket {
        config.socket.clone_from(socket);
    }
    Ok(config)
}
