//! `cargo xtask dashboards`: the dashboards of `packaging/grafana`, from the definitions of the
//! metrics. What they show is in `filter-user/src/export/dashboards`; a test there fails while the
//! files are others.

use std::process::ExitCode;

use anyhow::Result;

use crate::process;

/// Writes them.
pub(crate) fn run() -> Result<ExitCode> {
    let mut command = process::cargo();
    command.args(["run", "--quiet", "--package", "filter-user", "--example", "dashboards", "--"]);
    process::run(command.arg(crate::root().join("packaging/grafana")))?;
    Ok(ExitCode::SUCCESS)
}
