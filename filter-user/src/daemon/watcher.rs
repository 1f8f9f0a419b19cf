//! The watcher: a small process of the same binary that outlives the daemon, to keep the promise
//! that an unconfirmed policy is rolled back.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::kernel::attach::Target;

/// The hidden verb.
pub(crate) const VERB: &str = "watch-unconfirmed";

/// Starts a watcher, in a session of its own: what ends the daemon does not end it.
pub(super) fn start(
    pins: &Path,
    number: u32,
    deadline: u64,
    targets: &[Target],
    enforces: bool,
) -> Result<()> {
    // An upgrade may have replaced the file; the link names the program that runs.
    let mut command = Command::new("/proc/self/exe");
    command.arg(VERB).arg("--pins").arg(pins);
    command.args(["--number", &number.to_string(), "--deadline", &deadline.to_string()]);
    command.args(["--daemon", &std::process::id().to_string()]);
    if enforces {
        command.arg("--enforces");
    }
    for target in targets {
        command.arg("--interface").arg(format!("{}={}", target.name, target.egress.name()));
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // SAFETY: setsid is async-signal-safe and touches nothing of this process.
    unsafe {
        command.pre_exec(|| match libc::setsid() {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let mut child = command.spawn().context("cannot start the process that would roll back")?;
    // Somebody has to take its exit code.
    std::thread::Builder::new()
        .name("weir-watcher".to_owned())
        .spawn(move || match child.wait() {
            Ok(status) if !status.success() => tracing::error!(%status, "the watcher failed"),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the watcher is lost"),
        })
        .map(drop)
        .context("cannot wait for the process that would roll back")
}
