//! `weir version`.

use clap::Args;
use serde::Serialize;

use super::Output;
use super::outcome::{Outcome, Verdict};

#[derive(Args, Clone, Copy, Debug)]
pub(super) struct VersionArgs {
    #[command(flatten)]
    pub(super) output: Output,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Version {
    version: &'static str,
    /// Of what is pinned in the kernel: state is carried over between versions that agree in it.
    schema: u32,
    arch: &'static str,
}

pub(super) fn version(args: &VersionArgs) -> Verdict {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        schema: filter_common::SCHEMA,
        arch: std::env::consts::ARCH,
    };
    args.output.printer().print(&version, |_| {
        format!("weir {} (state schema {}, {})\n", version.version, version.schema, version.arch)
    })?;
    Ok(Outcome::Done)
}
