//! `weir version`: what this program was made of, what it understands, and on what it runs.

use clap::Args;
use serde::Serialize;

use super::Output;
use super::outcome::{Outcome, Verdict};
use crate::control::api::EVIDENCE;
use crate::{detect, export, kernel, policy, store};

/// The version in the paths of the control API.
const CONTROL: u32 = 1;

#[derive(Args, Clone, Copy, Debug)]
pub(super) struct VersionArgs {
    #[command(flatten)]
    pub(super) output: Output,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Version {
    version: &'static str,
    /// The commit it was built from, `-dirty` when files differed from it; `unknown` outside of a
    /// repository.
    git: &'static str,
    /// SHA-256 over the compiled kernel half.
    ebpf: String,
    /// Of what is pinned in the kernel: state is carried over between versions that agree in it. The
    /// same as `schemas.state`.
    schema: u32,
    schemas: Schemas,
    /// The compiler.
    rustc: &'static str,
    arch: &'static str,
    /// The kernel it runs on; empty when that does not say.
    kernel: String,
}

/// Versions of what is written, pinned or spoken.
#[derive(Debug, Serialize)]
struct Schemas {
    /// State pinned in the kernel.
    state: u32,
    /// The tables of `weir.db`.
    store: u32,
    /// What detectors keep there of what is usual; of another version it is learned anew.
    learned: u32,
    /// The language of policies.
    policy: u32,
    /// Events.
    events: u32,
    /// The control API.
    control: u32,
    /// Files of evidence.
    evidence: u32,
}

/// All there is to say.
pub(super) fn about() -> Version {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Version {
        version: env!("CARGO_PKG_VERSION"),
        git: env!("WEIR_GIT"),
        ebpf: kernel::object::hash(),
        schema: filter_common::SCHEMA,
        schemas: Schemas {
            state: filter_common::SCHEMA,
            store: store::SCHEMA,
            learned: detect::LEARNED,
            policy: policy::VERSION,
            events: export::events::SCHEMA,
            control: CONTROL,
            evidence: EVIDENCE,
        },
        rustc: env!("WEIR_RUSTC"),
        arch: std::env::consts::ARCH,
        kernel: release.trim().to_owned(),
    }
}

pub(super) fn version(args: &VersionArgs) -> Verdict {
    let version = about();
    args.output.printer().print(&version, |_| text(&version))?;
    Ok(Outcome::Done)
}

fn text(version: &Version) -> String {
    let Version { schemas, .. } = version;
    let ebpf: String = version.ebpf.chars().take(16).collect();
    format!(
        "weir {} ({}, {})\n\
         built      by {}, kernel half {ebpf}\n\
         schemas    state {}, store {}, learned {}, policy {}, events {}, control {}, evidence {}\n\
         kernel     {}\n",
        version.version,
        version.git,
        version.arch,
        version.rustc,
        schemas.state,
        schemas.store,
        schemas.learned,
        schemas.policy,
        schemas.events,
        schemas.control,
        schemas.evidence,
        version.kernel,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_is_made_of() {
        let about = about();
        assert!(about.ebpf.len() == 64 && about.rustc.starts_with("rustc 1."), "{about:?}");
        assert!(!about.git.is_empty() && !about.kernel.is_empty(), "{about:?}");
        let value = serde_json::to_value(&about).unwrap();
        assert_eq!(value["schema"], value["schemas"]["state"]);
        let text = text(&about);
        assert!(text.starts_with("weir 0.") && text.lines().count() == 4, "{text}");
    }
}
