//! Installing packages on Debian without side effects: nothing is removed, no service starts, the
//! package lists are fetched only when they lack something.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Asked by Debian's maintainer scripts before they start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// How a file of ours is told from the administrator's.
const MARK: &str = "# written by weir's cargo xtask setup";
/// Packages whose service would start with the machine, and what that is called.
const SERVICES: [(&str, &str); 6] = [
    ("nftables", "nftables"),
    ("nginx", "nginx"),
    ("prometheus", "prometheus"),
    ("prometheus-alertmanager", "prometheus-alertmanager"),
    ("rsyslog", "rsyslog"),
    ("openssh-server", "ssh"),
];

/// Is this Debian or something built on it?
pub(crate) fn is_here() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    is_debian(&release) && process::find("apt-get").is_some()
}

fn is_debian(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches(['"', '\'']).split_whitespace())
        .any(|id| id == "debian")
}

/// Installs packages, as root.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let _guard = NoServices::new()?;
    let mut fresh = false;
    if !packages.iter().all(|package| has_candidate(package)) {
        update()?;
        fresh = true;
    }
    println!("setup: installing {}", packages.join(" "));
    if let Err(error) = apt_install(packages) {
        // Lists older than the mirror name versions that are gone.
        if fresh {
            return Err(error);
        }
        println!("setup: trying again with fresh package lists");
        update()?;
        apt_install(packages)?;
    }
    for (_, service) in SERVICES.iter().filter(|(package, _)| packages.contains(package)) {
        disable(service)?;
    }
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=300"]);
    command
}

fn update() -> Result<()> {
    println!("setup: fetching the package lists");
    process::run_quietly(apt_get().args(["-q", "update"]), "apt-get update")
}

fn apt_install(packages: &[&str]) -> Result<()> {
    let mut command = apt_get();
    command.args(["-q", "install", "--yes", "--no-install-recommends", "--no-remove"]);
    process::run_quietly(command.args(packages), "apt-get install")
}

/// Do the lists name a version of it that can be installed?
fn has_candidate(package: &str) -> bool {
    let policy =
        process::answer(Command::new("apt-cache").env("LC_ALL", "C").args(["policy", package]));
    policy.is_some_and(|text| names_candidate(&text))
}

fn names_candidate(policy: &str) -> bool {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .any(|version| version.trim() != "(none)")
}

/// Keeps a service that came with a package from starting at the next boot.
fn disable(service: &str) -> Result<()> {
    println!("setup: {service}: its service stays off");
    if process::find("systemctl").is_some() {
        process::run_quietly(Command::new("systemctl").args(["disable", service]), "systemctl")
    } else {
        process::run_quietly(Command::new("update-rc.d").args([service, "disable"]), "update-rc.d")
    }
}

/// While it lives, no package starts a service. An administrator's own policy is left in place; it
/// may allow services, and then this refuses rather than start one.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn new() -> Result<Self> {
        let path = Path::new(POLICY);
        // A killed run may have left ours; it is inert then (see the script) and is replaced.
        let existing = fs::read_to_string(path).ok();
        if existing.is_some_and(|text| !text.contains(MARK)) {
            let answer = Command::new(path).args(["nginx", "start"]).status();
            let answer = answer.with_context(|| format!("cannot run {POLICY}"))?;
            if answer.code() != Some(101) {
                bail!("{POLICY} lets packages start services: move it away while setup runs");
            }
            return Ok(Self { ours: false });
        }
        let script =
            format!("#!/bin/sh\n{MARK}\n[ -d /proc/{} ] && exit 101\nexit 0\n", std::process::id());
        fs::write(path, script).with_context(|| format!("cannot write {POLICY}"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {POLICY} executable"))?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("warning: cannot remove {POLICY}: {error}; remove it by hand");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_children_are_known() {
        let rows = [
            ("Debian", "PRETTY_NAME=\"Debian\"\nID=debian\n", true),
            ("Ubuntu", "ID=ubuntu\nID_LIKE=debian\n", true),
            ("Mint", "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", true),
            ("Fedora", "ID=fedora\n", false),
            ("a name is not an id", "NAME=debian\nID=other\n", false),
            ("no file", "", false),
        ];
        for (name, text, expected) in rows {
            assert_eq!(is_debian(text), expected, "{name}");
        }
    }

    #[test]
    fn candidates_are_read() {
        let rows = [
            ("known", "wrk:\n  Installed: (none)\n  Candidate: 4.1.0-3+b2\n", true),
            (
                "named by another package only",
                "wrk:\n  Installed: (none)\n  Candidate: (none)\n",
                false,
            ),
            ("unknown", "", false),
        ];
        for (name, text, expected) in rows {
            assert_eq!(names_candidate(text), expected, "{name}");
        }
    }
}
