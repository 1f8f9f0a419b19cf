//! What is looked at before a package is tried: lintian, the unit, the rules, the dashboards.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process;

/// The worst exposure that `systemd-analyze security` may see, in tenths: 0 is none, 100 all.
const EXPOSURE: u32 = 40;

/// All of them, each with a line; whether all are good.
pub(super) fn run(package: &Path, weir: &Path, place: &Path) -> Result<bool> {
    let root = crate::root();
    let unit = unit(weir, place)?;
    let rules = root.join("packaging/prometheus");
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error", "--allow-root"]).arg(package);
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).arg(&unit);
    let mut security = Command::new("systemd-analyze");
    security
        .args(["security", "--no-pager", "--offline=yes", &format!("--threshold={EXPOSURE}")])
        .arg(&unit);
    let mut syntax = Command::new("promtool");
    syntax.args(["check", "rules"]).arg(rules.join("weir.rules.yml"));
    let mut tests = Command::new("promtool");
    tests.args(["test", "rules", "weir.test.yml"]).current_dir(&rules);
    let mut settings = Command::new(weir);
    settings.arg("doctor").arg("--config").arg(root.join("packaging/weir.toml")).arg("--json");
    let mut policy = Command::new(weir);
    policy.arg("check").arg(root.join("packaging/policy.toml")).arg("--force");
    let mut good = true;
    for (what, command) in [
        ("lintian without errors", &mut lintian),
        ("the unit is understood", &mut verify),
        ("the unit is confined", &mut security),
        ("rules are understood", &mut syntax),
        ("alerts come when they should", &mut tests),
        ("the example policy is valid", &mut policy),
    ] {
        good &= check(what, command)?;
    }
    // The host may lack what weir needs; the settings are right in any case.
    let answer = settings.stdin(Stdio::null()).output().context("cannot start weir")?;
    let fits = !String::from_utf8_lossy(&answer.stdout).contains("\"settings\"");
    println!(
        "package: {} the default settings are understood",
        if fits { "ok    " } else { "FAILED" }
    );
    Ok(good && fits)
}

/// The unit with the program where it is now: the one it names need not be on this host.
fn unit(weir: &Path, place: &Path) -> Result<std::path::PathBuf> {
    let path = crate::root().join("packaging/weir.service");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let unit = place.join("weir.service");
    super::write(&unit, &text.replace("/usr/bin/weir", &weir.display().to_string()))?;
    Ok(unit)
}

/// Runs a check and shows what it says when it fails.
fn check(what: &str, command: &mut Command) -> Result<bool> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", process::line(command)))?;
    let good = output.status.success();
    println!("package: {} {what}", if good { "ok    " } else { "FAILED" });
    if !good {
        let (out, err) = (&output.stdout, &output.stderr);
        for line in [out, err].iter().flat_map(|text| {
            String::from_utf8_lossy(text).lines().map(str::to_owned).collect::<Vec<_>>()
        }) {
            println!("  | {line}");
        }
    }
    Ok(good)
}
