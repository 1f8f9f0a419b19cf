//! The package in a fresh root file system, with a daemon that enforces in a network namespace of its
//! own. The steps are in `trial.sh`.
//!
//! What cannot be tried there: that systemd starts and restarts the unit, for no systemd runs in a
//! chroot; the script does what the unit says, with the unit's rights, by hand.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

const SCRIPT: &str = include_str!("trial.sh");

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
            command.args(["--variant=minbase", "--include=adduser,init-system-helpers,iproute2"]);
            process::run_quietly(command.arg(suite()?).arg(&made), "mmdebstrap")?;
            &made
        }
    };
    let script = place.join("trial.sh");
    super::write(&script, SCRIPT)?;
    // In a mount namespace of its own: whatever happens, no mount outlives it below the root.
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "bash"])
        .arg(&script)
        .args([package, newer, root])
        .arg(place.join("root"));
    Ok(process::status(&mut command)?.success())
}

/// The release that this host runs, whose libraries the program was linked with.
fn suite() -> Result<String> {
    let path = "/etc/os-release";
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("this is not a release of Debian: give --root TAR")?.to_owned())
}
