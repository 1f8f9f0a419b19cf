//! `cargo xtask fuzz`: builds the fuzz targets with coverage instrumentation, and runs each for a
//! while. What cargo-fuzz does, without a nightly compiler: the flags are stable ones.
//!
//! What a run learns stays in fuzz/corpus, what it finds in fuzz/artifacts; both are not committed.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::setup::{self, Purpose};

/// The targets, and where seeds of each lie beside fuzz/seeds/TARGET.
const TARGETS: [(&str, &[&str]); 10] = [
    ("packet", &[]),
    ("policy", &["filter-user/tests/data"]),
    ("request", &[]),
    ("record", &[]),
    ("capture", &[]),
    ("http", &[]),
    ("tls", &["filter-user/src/sensor/tests/data"]),
    ("quic", &["filter-user/src/sensor/tests/data"]),
    ("http2", &[]),
    ("hpack", &[]),
];

/// Coverage instrumentation as libFuzzer reads it
/// (<https://clang.llvm.org/docs/SanitizerCoverage.html>).
const FLAGS: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Seconds that one input may take before it is a finding.
const TIMEOUT: u32 = 10;
/// MiB that a target may use before that is a finding.
const MEMORY: u32 = 2048;

/// Options of `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The target; without it every one in turn
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TARGETS.map(|(name, _)| name)))]
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u32,
    /// So many inputs instead, the same ones each time: for tests, which are to say the same tomorrow
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    runs: Option<u32>,
}

/// Builds and runs the targets; exit 1 when one found something.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure(Purpose::Fuzz)?;
    let root = crate::root();
    process::run(&mut build_command(&root))?;
    let mut found = Vec::new();
    for (name, seeds) in TARGETS {
        if options.target.as_deref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let mut command = match options.runs {
            Some(runs) => {
                println!("\n== {name}: {runs} inputs ==");
                same_command(&root, name, seeds, runs)?
            }
            None => {
                println!("\n== {name}: {} s ==", options.seconds);
                run_command(&root, name, seeds, options.seconds)?
            }
        };
        if !process::status(&mut command)?.success() {
            found.push(name);
        }
    }
    if found.is_empty() {
        println!("\nnothing found");
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nfound something: {}; the inputs are in fuzz/artifacts", found.join(", "));
    Ok(ExitCode::from(1))
}

/// The compiler's name of this machine. Given to cargo, so that what runs at build time is built
/// without instrumentation.
fn machine() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

fn build_command(root: &Path) -> Command {
    let mut command = process::cargo();
    command
        .args(["build", "--locked", "--bins", "--target", &machine(), "--manifest-path"])
        .arg(root.join("fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(root.join("target/fuzz"))
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    command
}

/// What runs for a while, and learns from one run to the next.
fn run_command(root: &Path, name: &str, seeds: &[&str], seconds: u32) -> Result<Command> {
    let corpus = root.join("fuzz/corpus").join(name);
    let mut command = command(root, name, seeds, &corpus)?;
    command.arg(format!("-max_total_time={seconds}"));
    Ok(command)
}

/// What tries the seeds and the same mutations of them in every run.
fn same_command(root: &Path, name: &str, seeds: &[&str], runs: u32) -> Result<Command> {
    let corpus = root.join("target/fuzz/same").join(name);
    match std::fs::remove_dir_all(&corpus) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot empty {}", corpus.display()));
        }
        _ => {}
    }
    let mut command = command(root, name, seeds, &corpus)?;
    command.arg(format!("-runs={runs}")).arg("-seed=1");
    Ok(command)
}

/// libFuzzer writes into the first directory, the corpus, and reads all of them.
fn command(root: &Path, name: &str, seeds: &[&str], corpus: &Path) -> Result<Command> {
    let artifacts = root.join("fuzz/artifacts").join(name);
    for path in [corpus, &artifacts] {
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot create {}", path.display()))?;
    }
    let program = root.join("target/fuzz").join(machine()).join("debug").join(name);
    if !program.exists() {
        bail!("{} was not built", program.display());
    }
    let mut command = Command::new(program);
    command
        .arg(format!("-timeout={TIMEOUT}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg("-print_final_stats=1")
        .arg("-verbosity=0")
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(corpus)
        .arg(root.join("fuzz/seeds").join(name))
        .args(seeds.iter().map(|directory| root.join(directory)));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_there_with_seeds() {
        let root = crate::root();
        let manifest = std::fs::read_to_string(root.join("fuzz/Cargo.toml")).expect("a manifest");
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
        for (name, more) in TARGETS {
            assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
            assert!(root.join("fuzz/targets").join(name).with_extension("rs").exists(), "{name}");
            for directory in
                more.iter().map(|more| root.join(more)).chain([root.join("fuzz/seeds").join(name)])
            {
                let seeds = std::fs::read_dir(&directory).expect("a directory of seeds").count();
                assert!(seeds != 0, "{}", directory.display());
            }
        }
    }
}
