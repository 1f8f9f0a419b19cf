//! `cargo xtask test`: every check and every test, one after the other, and one closing line.
//!
//! Nothing is skipped: a machine on which the kernel half cannot run is told so at the start. One
//! profile is built, so that the unit tests, the kernel tests and the `weir` binary that the
//! end-to-end tests start share their dependencies.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::setup::{self, Purpose};
use crate::tally::Tally;
use crate::toolchain::Toolchain;

/// No runner may take longer, in seconds: a test that hangs is a failed one.
const LIMIT: u32 = 900;

/// Inputs that each fuzz target is given: the seeds and some thousand mutations of them, the same in
/// every run. What is new is looked for by `cargo xtask fuzz`.
const FUZZ_RUNS: &str = "20000";

/// Runs everything; exit 1 when something failed.
pub(crate) fn run() -> Result<ExitCode> {
    let privileges = process::privileges()?;
    if !privileges.root {
        bail!(
            "the tests load programs into the kernel and make network namespaces: run \
             `cargo xtask test` as root"
        );
    }
    if !privileges.lacking.is_empty() {
        bail!(
            "root lacks {} here: the tests need a machine or a container that grants them",
            privileges.lacking.join(", ")
        );
    }
    setup::ensure(Purpose::Test)?;

    let mut total = Tally::default();
    let start = Instant::now();
    for phase in phases()? {
        total += phase.run()?;
    }
    println!("\nall phases: {}", seconds(start.elapsed()));
    println!("{total}");
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// One step of the run.
struct Phase {
    name: &'static str,
    command: Command,
    kind: Kind,
}

/// How a phase is counted.
enum Kind {
    /// One check: its exit code.
    Check,
    /// A libtest runner: what it reports. That it runs no test at all is a failure.
    Tests,
}

/// The packages whose tests send traffic in namespaces.
const TRAFFIC: [&str; 2] = ["weir-tests", "weir-lab"];

/// End-to-end tests that would measure each other.
const MEASURING: [&str; 8] = [
    "apply::",
    "breach::a_shutdown",
    "limits::",
    "measure::",
    "quotas::",
    "soak::",
    "starved::",
    "top::the_screen",
];

fn phases() -> Result<Vec<Phase>> {
    let root = crate::root();
    let [ebpf, bench] =
        ["filter-ebpf", "bench/ebpf"].map(|directory| root.join(directory).join("Cargo.toml"));
    let toolchain = Toolchain::find()
        .map_err(|missing| anyhow::anyhow!("{}: {}", missing.join("; "), crate::toolchain::HINT))?;
    let check = |name, command| Phase { name, command, kind: Kind::Check };
    let tests = |name, command| Phase { name, command, kind: Kind::Tests };
    let cargo = |args: &[&str]| {
        let mut command = process::cargo();
        command.args(args);
        command
    };

    let format = |manifest| {
        let mut command = cargo(&["fmt", "--check", "--manifest-path"]);
        command.arg(manifest);
        command
    };
    let lint = |manifest| {
        toolchain.lint_command(manifest, &root.join("target/ebpf-lint"), std::env::consts::ARCH)
    };
    let without_traffic = |verb: &str, rest: &[&str]| {
        let mut command = cargo(&[verb, "--workspace", "--locked"]);
        command.args(TRAFFIC.iter().flat_map(|package| ["--exclude", package])).args(rest);
        command
    };
    let mut fuzz = Command::new(std::env::current_exe().context("cannot find this program")?);
    fuzz.args(["fuzz", "--runs", FUZZ_RUNS]);
    // Each test has namespaces of its own, and most of them wait most of the time. Those that measure
    // rates have the processors to themselves.
    let with_traffic = || {
        let mut command = cargo(&["test", "--locked"]);
        command.args(TRAFFIC.iter().flat_map(|package| ["--package", package]));
        command
    };
    let mut end_to_end = with_traffic();
    end_to_end.args(["--no-fail-fast", "--", "--test-threads=3"]);
    end_to_end.args(MEASURING.iter().flat_map(|tests| ["--skip", tests]));
    // The same packages: with others, features and so dependencies differ.
    let mut measuring = with_traffic();
    measuring.args(["--test", "e2e", "--", "--test-threads=1"]).args(MEASURING);
    Ok(vec![
        check("format, workspace", cargo(&["fmt", "--check", "--all"])),
        check("format, eBPF", format(&ebpf)),
        check("format, bench's eBPF", format(&bench)),
        check("format, fuzz targets", format(&root.join("fuzz/Cargo.toml"))),
        check("lints, eBPF", lint(&ebpf)),
        check("lints, bench's eBPF", lint(&bench)),
        check(
            "lints, workspace",
            cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
        ),
        tests("unit tests", without_traffic("test", &["--no-fail-fast"])),
        // The same packages as above: with others, features and so dependencies differ.
        check("weir", without_traffic("build", &[])),
        tests("end-to-end tests", end_to_end),
        tests("end-to-end tests that measure", measuring),
        check("fuzz targets", fuzz),
    ])
}

impl Phase {
    fn run(self) -> Result<Tally> {
        println!("\n== {} ==", self.name);
        let start = Instant::now();
        let command = limited(&self.command);
        let tally = match self.kind {
            Kind::Check => Tally::one(check(command)?),
            Kind::Tests => tests(command)?,
        };
        let word = if tally.failed == 0 { "ok" } else { "FAILED" };
        println!("== {}: {word}, {tally}, {} ==", self.name, seconds(start.elapsed()));
        Ok(tally)
    }
}

fn check(mut command: Command) -> Result<bool> {
    Ok(process::status(&mut command)?.success())
}

/// Runs a test command, shows its output as it comes and adds up what its runners report.
fn tests(mut command: Command) -> Result<Tally> {
    let shown = process::line(&command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let output = child.stdout.take().with_context(|| format!("no output of `{shown}`"))?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("reading the output of `{shown}`"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(counted) = Tally::from_libtest(&line) {
            tally += counted;
        }
    }
    let status = child.wait().with_context(|| format!("waiting for `{shown}`"))?;
    if tally.failed == 0 && (!status.success() || tally.passed == 0) {
        println!("`{shown}` ended with {status} after {} tests", tally.passed);
        tally.failed += 1;
    }
    Ok(tally)
}

/// The same command, ended when it takes too long.
fn limited(command: &Command) -> Command {
    let mut limited = Command::new("timeout");
    limited.args(["--kill-after=15", &LIMIT.to_string()]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        limited.current_dir(directory);
    }
    limited
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod unit {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn runners_are_counted() {
        let rows = [
            (
                "two runners",
                "echo 'test result: ok. 2 passed; 0 failed'; echo 'test result: ok. 3 passed; 0 failed'",
                (5, 0),
            ),
            ("a failure", "echo 'test result: FAILED. 2 passed; 1 failed'; exit 101", (2, 1)),
            ("does not compile", "exit 101", (0, 1)),
            (
                "aborts after a good runner",
                "echo 'test result: ok. 2 passed; 0 failed'; exit 101",
                (2, 1),
            ),
            ("runs nothing", "echo 'test result: ok. 0 passed; 0 failed'", (0, 1)),
            (
                "output that is not text",
                "printf '\\377\\n'; echo 'test result: ok. 1 passed; 0 failed'",
                (1, 0),
            ),
        ];
        for (name, script, (passed, failed)) in rows {
            assert_eq!(tests(shell(script)).expect(name), Tally { passed, failed }, "{name}");
        }
    }

    #[test]
    fn a_limited_command_keeps_its_environment_and_directory() {
        let mut command = shell("[ \"$MARK\" = kept ] && [ \"$PWD\" = / ]");
        command.env("MARK", "kept").current_dir("/");
        assert!(check(limited(&command)).expect("timeout runs"));
    }
}
