//! weir's chores: `cargo xtask VERB`. Each verb is a file; this one only chooses.
//!
//! Exit codes are those of `weir` itself: 0 done, 1 the answer is no (a test failed, something is
//! missing under `--check`), 2 it could not be done.

mod bench;
mod build;
mod dashboards;
mod debian;
mod demo;
mod deny;
mod fuzz;
mod kernels;
mod lab;
mod package;
mod page;
mod process;
mod reference;
mod setup;
mod soak;
mod tally;
mod test;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "weir's chores")]
enum Chore {
    /// Install what building, the demo and the tests need; says what it does
    Setup(setup::Options),
    /// Build the whole workspace, the eBPF object included
    Build(build::Options),
    /// Show weir at work between real clients and a real server; needs root
    Demo(demo::Options),
    /// Run every check and every test; needs root
    Test,
    /// Feed the parsers what nobody thought of, for as long as you like
    Fuzz(fuzz::Options),
    /// Measure what a packet costs; needs root
    Bench(bench::Options),
    /// Let weir live under traffic while all sorts of things happen to it; needs root
    Soak(soak::Options),
    /// Hold the detectors against labelled traffic, sent for real; or the shift detector against series
    Lab(lab::Options),
    /// Try Debian's kernels 5.10, 6.1, 6.12 and 6.18, or others, in emulated machines
    Kernels(kernels::Options),
    /// Build the Debian package, and check it
    Package(package::Options),
    /// Generate the Grafana dashboards in packaging/grafana from the definitions of the metrics
    Dashboards,
    /// Generate docs/policy-reference.md from the parser of the policy language
    Reference,
    /// Check licences, advisories and sources of the dependencies, when cargo-deny is installed
    Deny,
}

fn main() -> ExitCode {
    let outcome = match Chore::parse() {
        Chore::Setup(options) => setup::run(&options),
        Chore::Build(options) => build::run(&options),
        Chore::Demo(options) => demo::run(&options),
        Chore::Test => test::run(),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Soak(options) => soak::run(&options),
        Chore::Lab(options) => lab::run(&options),
        Chore::Kernels(options) => kernels::run(&options),
        Chore::Package(options) => package::run(&options),
        Chore::Dashboards => dashboards::run(),
        Chore::Reference => reference::run(),
        Chore::Deny => deny::run(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

/// The root of the repository.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}
