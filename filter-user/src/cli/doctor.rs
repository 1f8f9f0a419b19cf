//! `weir doctor`: whether this host can run weir, and what to do where not. It changes nothing.

mod clock;
mod daemon;
mod host;
mod interface;
mod receivers;
mod state;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::outcome::{Outcome, Verdict};
use super::settings::settings;
use super::style::{Style, Tone, clean};
use super::{Output, Target};
use crate::config::{Config, Overrides};
use crate::control::api::{Answer, ApiError, Diagnostic, Severity};

/// The settings that the packaged unit starts with.
const PACKAGED: &str = "/etc/weir/weir.toml";

#[derive(Args, Clone, Debug)]
#[command(after_help = "Exit code 1 when a check fails. Nothing is changed.\n\n\
    Examples:\n  weir doctor\n  weir doctor --interface eth0 --policy policy.toml\n  \
    weir doctor --json | jq '.checks[] | select(.state == \"fail\")'")]
pub(super) struct DoctorArgs {
    /// An interface to look at; repeat it for more [default: all that are up, without loopback]
    #[arg(short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<String>,
    /// A policy to check
    #[arg(short, long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The daemon's settings, which can name all of the others
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where /metrics is to be served [default: 127.0.0.1:9720]
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Where kernel objects are to be pinned [default: /sys/fs/bpf/weir]
    #[arg(long, value_name = "DIR")]
    pins: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    target: Target,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// All is well.
    Ok,
    /// weir runs, but not as well as it could, or not as one may think.
    Warn,
    /// weir does not run here.
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What was looked at.
    pub(super) name: String,
    /// How it came out.
    pub(super) state: State,
    /// What was found.
    pub(super) finding: String,
    /// What to do; empty when there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) hint: String,
}

impl Check {
    fn new(name: &str, state: State, finding: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state, finding: finding.into(), hint: hint.into() }
    }

    fn ok(name: &str, finding: impl Into<String>) -> Self {
        Self::new(name, State::Ok, finding, "")
    }

    fn warn(name: &str, finding: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(name, State::Warn, finding, hint)
    }

    fn fail(name: &str, finding: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(name, State::Fail, finding, hint)
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// No check failed.
    pub(super) healthy: bool,
    /// All checks, in order.
    pub(super) checks: Vec<Check>,
}

pub(super) fn doctor(args: &DoctorArgs) -> Verdict {
    let overrides = Overrides {
        interfaces: args.interfaces.clone(),
        policy: args.policy.clone(),
        pins: args.pins.clone(),
        metrics: args.metrics,
        ..Overrides::default()
    };
    let report = look(args.config.as_deref(), &args.target, overrides)?;
    args.output.printer().print(&report, |style| text(&report, style))?;
    Ok(if report.healthy { Outcome::Done } else { Outcome::No })
}

/// All checks, of these settings.
pub(super) fn look(file: Option<&Path>, target: &Target, overrides: Overrides) -> Answer<Report> {
    let mut checks = Vec::new();
    let config = match settings(file, target) {
        Ok(config) => config,
        Err(error) => {
            checks.extend(unusable(&error));
            let mut config = Config::with_paths(target.paths()?);
            config.socket = target.socket()?;
            config
        }
    };
    let mut wanted = config.clone();
    if let Err(problem) = wanted.apply(overrides) {
        checks.push(Check::fail("arguments", problem.message, problem.hint));
        wanted = config;
    }
    checks.extend(host::checks(&wanted.pins));
    checks.extend(clock::checks());
    checks.push(state::check(&wanted.state_dir));
    checks.extend(interface::checks(&wanted.interfaces));
    let start = start(file, target.instance.as_deref(), &wanted.interfaces);
    checks.extend(daemon::checks(&wanted.socket, wanted.metrics, &start));
    checks.extend(daemon::geo(&wanted.geo));
    checks.extend(receivers::checks(&wanted.sinks));
    checks.extend(wanted.policy.as_deref().map(daemon::policy));
    let healthy = !checks.iter().any(|check| check.state == State::Fail);
    Ok(Report { healthy, checks })
}

/// What is wrong with the settings, each mistake by itself.
fn unusable(error: &ApiError) -> Vec<Check> {
    let name = "settings";
    if error.diagnostics.is_empty() {
        return vec![Check::fail(name, &error.message, &error.hint)];
    }
    let told = error.diagnostics.iter().map(
        |Diagnostic { file, line, message, hint, severity, .. }| {
            let place = if *line > 0 { format!("{file}:{line}") } else { file.clone() };
            let state = match severity {
                Severity::Error => State::Fail,
                Severity::Warning => State::Warn,
            };
            Check::new(name, state, format!("{place}: {message}"), hint)
        },
    );
    told.collect()
}

/// The command that starts the daemon that was asked about.
fn start(file: Option<&Path>, instance: Option<&str>, interfaces: &[String]) -> String {
    if file == Some(Path::new(PACKAGED)) && instance.is_none() {
        return "systemctl start weir".to_owned();
    }
    let mut words = vec!["weir run".to_owned()];
    words.extend(instance.map(|name| format!("--instance {name}")));
    words.extend(file.map(|file| format!("--config {}", file.display())));
    if interfaces.is_empty() {
        words.push("--interface IFACE".to_owned());
    } else if file.is_none() {
        words.extend(interfaces.iter().map(|name| format!("--interface {name}")));
    }
    words.join(" ")
}

pub(super) fn text(report: &Report, style: Style) -> String {
    let width = report.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for check in &report.checks {
        let (word, tone) = match check.state {
            State::Ok => ("ok  ", Tone::Good),
            State::Warn => ("warn", Tone::Warn),
            State::Fail => ("FAIL", Tone::Bad),
        };
        let (word, name) = (style.paint(tone, word), clean(&check.name));
        text.push_str(&format!("{word}  {name:width$}  {}\n", clean(&check.finding)));
        if !check.hint.is_empty() {
            text.push_str(&format!("      {:width$}  → {}\n", "", clean(&check.hint)));
        }
    }
    let number = |state| report.checks.iter().filter(|check| check.state == state).count();
    let (failed, warned) = (number(State::Fail), number(State::Warn));
    text.push_str(&match (failed, warned) {
        (0, 0) => "\nthis host can run weir\n".to_owned(),
        (0, _) => format!("\nthis host can run weir; warnings: {warned}\n"),
        _ => format!("\nthis host cannot run weir yet; failed: {failed}, warnings: {warned}\n"),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_the_settings_are_told_one_by_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("weir.toml");
        std::fs::write(&file, "polcy = \"x\"\n[sensor]\nsample = 2\n").expect("writes");
        let target = Target { socket: None, instance: None };
        let look = |file: &Path| {
            let report = look(Some(file), &target, Overrides::default()).expect("looks");
            let such = report.checks.into_iter().filter(|check| check.name == "settings");
            such.map(|check| (check.state, check.finding, check.hint)).collect::<Vec<_>>()
        };
        let told = look(&file);
        assert_eq!(told.len(), 2, "{told:?}");
        for ((state, finding, hint), part) in told.iter().zip(["weir.toml:1: ", "weir.toml:3: "]) {
            assert_eq!(*state, State::Fail);
            assert!(finding.contains(part) && !hint.is_empty(), "{finding} {hint}");
            assert!(!finding.contains('\n') && !hint.contains('|'), "{finding} {hint}");
        }
        assert_eq!(look(&directory.path().join("none")).len(), 1);
    }

    #[test]
    fn how_to_start() {
        let faces = ["eth0".to_owned(), "eth1".to_owned()];
        // File, instance, interfaces; the command.
        type Row<'a> = (Option<&'a str>, Option<&'a str>, &'a [String], &'a str);
        let rows: [Row<'_>; 6] = [
            (None, None, &[], "weir run --interface IFACE"),
            (None, Some("edge"), &faces[..1], "weir run --instance edge --interface eth0"),
            (None, None, &faces, "weir run --interface eth0 --interface eth1"),
            (Some("a.toml"), None, &faces, "weir run --config a.toml"),
            (Some("a.toml"), None, &[], "weir run --config a.toml --interface IFACE"),
            (Some(PACKAGED), None, &faces, "systemctl start weir"),
        ];
        for (file, instance, interfaces, expected) in rows {
            assert_eq!(start(file.map(Path::new), instance, interfaces), expected);
        }
    }
}
