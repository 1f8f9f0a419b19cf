//! An SSH server on a host of a laboratory, and clients that run commands over it: how operators
//! reach the hosts they administer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::Host;
use crate::process::{self, Background, Output};

/// sshd insists on its whole path, to start itself again for each connection.
const SSHD: &str = "/usr/sbin/sshd";
/// Where sshd locks up what it does before it knows who is there; the service's script makes it.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";
const START: Duration = Duration::from_secs(15);
const COMMAND: Duration = Duration::from_secs(40);

/// A running sshd, with keys made for it alone; stopped when dropped.
#[derive(Debug)]
pub struct Sshd {
    _process: Background,
    address: String,
    home: PathBuf,
}

impl Sshd {
    /// Starts it on port 22 of a host and waits until it greets. `directory` receives its files in a
    /// directory `ssh`.
    pub fn start(host: &Host, directory: &Path) -> Result<Self> {
        let home = directory.join("ssh");
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot create {}", home.display()))?;
        std::fs::create_dir_all(PRIVILEGE_SEPARATION)
            .with_context(|| format!("cannot create {PRIVILEGE_SEPARATION}"))?;
        for name in ["host", "user"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(home.join(name));
            process::run(&mut keygen, START)?.success()?;
        }
        let configuration = home.join("sshd_config");
        let text = format!(
            "Port 22\nHostKey {home}/host\nAuthorizedKeysFile {home}/user.pub\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n",
            home = home.display()
        );
        std::fs::write(&configuration, text)
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        let mut command = host.netns.command(SSHD);
        command.args(["-D", "-e", "-f"]).arg(&configuration);
        let mut process = Background::start("sshd", command, &home.join("log"))?;
        process.ready("sshd listens", START, || {
            let greeted = host.netns.enter(|| {
                std::net::TcpStream::connect("127.0.0.1:22").context("nobody listens on port 22")
            });
            greeted.map(drop)
        })?;
        Ok(Self { _process: process, address: host.v4().to_string(), home })
    }

    /// Runs a shell's command line as root over SSH from another host; any exit code is a result, 255
    /// is ssh's own for a connection that does not come about or breaks.
    pub fn run(&self, from: &Host, line: &str) -> Result<Output> {
        ensure!(!line.is_empty(), "an ssh without a command would wait for one");
        let mut command = from.netns.command("ssh");
        command.arg("-F").arg("none").arg("-i").arg(self.home.join("user"));
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=3",
            "ServerAliveInterval=2",
            "ServerAliveCountMax=2",
        ] {
            command.args(["-o", option]);
        }
        command.arg(format!("root@{}", self.address)).arg(line);
        process::run(&mut command, COMMAND)
    }
}
