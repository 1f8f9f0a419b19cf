//! The package in a fresh root file system, with a daemon that enforces between network namespaces of
//! its own.
//!
//! Twice: once in a chroot, where the script `trial.sh` does what the unit says by hand, as on a host
//! without systemd; once in namespaces where systemd itself is the first process (`unit.sh`,
//! `boot.sh`), starts the unit with all of its confinement, restarts and watches it. Kernel and BPF
//! programs are this host's in both.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

const COMMON: &str = include_str!("common.sh");
/// What is tried: name of the script, its text.
const TRIALS: [(&str, &str); 2] =
    [("trial.sh", include_str!("trial.sh")), ("unit.sh", include_str!("unit.sh"))];
/// What becomes systemd, beside its script.
const BOOT: (&str, &str) = ("boot.sh", include_str!("boot.sh"));
/// What the root file system has beyond the least.
const INCLUDED: &str = "--include=adduser,init-system-helpers,iproute2,systemd,systemd-sysv";

/// Whether all steps went well. `root` is a tar archive of a root file system.
pub(super) fn run(package: &Path, newer: &Path, root: Option<&Path>, place: &Path) -> Result<bool> {
    if !process::privileges()?.root {
        bail!("--try needs root: it makes a root file system and network namespaces");
    }
    let made = place.join("root.tar");
    let root = match root {
        Some(root) => root,
        None => {
            println!("package: making a root file system");
            let mut command = Command::new("mmdebstrap");
            command.args(["--variant=minbase", INCLUDED]);
            process::run_quietly(command.arg(suite()?).arg(&made), "mmdebstrap")?;
            &made
        }
    };
    super::write(&place.join(BOOT.0), BOOT.1)?;
    let mut good = true;
    for (name, text) in TRIALS {
        let script = place.join(name);
        super::write(&script, &format!("{COMMON}\n{text}"))?;
        println!("package: {name}");
        // In a mount namespace of its own: whatever happens, no mount outlives it below the root.
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash"]).arg(&script).args([package, newer, root]);
        good &= process::status(command.arg(place.join("root")))?.success();
    }
    Ok(good)
}

/// The release that this host runs, whose libraries the program was linked with.
fn suite() -> Result<String> {
    let path = "/etc/os-release";
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("this is not a release of Debian: give --root TAR")?.to_owned())
}
