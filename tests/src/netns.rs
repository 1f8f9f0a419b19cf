//! Network namespaces.
//!
//! Programs enter by `nsenter`, not by `ip netns exec`: that one mounts /sys anew and hides the
//! BPF file system.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::process;

/// Where iproute2 keeps named namespaces.
pub(crate) const DIRECTORY: &str = "/run/netns";
/// `ip` is quick; longer means that something is broken.
const LIMIT: Duration = Duration::from_secs(20);

/// A named network namespace, removed with every process in it when dropped.
#[derive(Debug)]
pub struct Netns {
    name: String,
    keep: bool,
}

impl Netns {
    /// Creates it, with loopback up.
    pub fn create(name: &str) -> Result<Self> {
        ip(&format!("netns add {name}"))?;
        let namespace = Self { name: name.to_owned(), keep: false };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Takes over one that exists, to remove it.
    pub(crate) fn adopt(name: &str) -> Self {
        Self { name: name.to_owned(), keep: false }
    }

    /// Its name, as `ip netns` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }

    /// A command that will run inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// Runs a program inside to its end; any exit code is a result.
    pub fn run(
        &self,
        program: &str,
        arguments: &[&str],
        limit: Duration,
    ) -> Result<process::Output> {
        process::run(self.command(program).args(arguments), limit)
    }

    /// Runs `ip` with these words inside, for example `link show`.
    pub fn ip(&self, words: &str) -> Result<String> {
        ip(&format!("-n {} {words}", self.name))
    }

    /// Runs a function in a thread of this process that has entered the namespace; sockets it
    /// opens stay in the namespace for good.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = self.path();
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                // SAFETY: the descriptor is open; setns changes this thread only, and the thread
                // ends with the scope.
                if unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
                    let error = std::io::Error::last_os_error();
                    bail!("cannot enter {}: {error}", path.display());
                }
                inside()
            });
            thread.join().map_err(|_| anyhow!("the thread in {} panicked", self.name))?
        })
    }

    /// The processes inside, by the namespace they are in.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let path = self.path();
        let inode =
            path.metadata().with_context(|| format!("cannot look at {}", path.display()))?.ino();
        let entries = std::fs::read_dir("/proc").context("cannot read /proc")?;
        Ok(entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            // One that ends meanwhile has no link any more.
            .filter(|pid| {
                Path::new(&format!("/proc/{pid}/ns/net"))
                    .metadata()
                    .is_ok_and(|metadata| metadata.ino() == inode)
            })
            .collect())
    }

    /// Keeps the namespace when the value is dropped.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }

    /// Removes it; when another process does so at the same time, that is as good.
    fn remove(&self) -> Result<()> {
        match self.try_remove() {
            Err(error) if self.path().exists() => Err(error),
            _ => Ok(()),
        }
    }

    fn try_remove(&self) -> Result<()> {
        for pid in self.processes()? {
            process::kill(pid);
        }
        let mut command = Command::new("ip");
        command.args(["netns", "delete", &self.name]);
        process::run_anyway(&mut command, LIMIT)?.success().map(drop)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = self.remove()
        {
            eprintln!("warning: cannot remove the namespace {}: {error:#}", self.name);
        }
    }
}

/// Runs `ip` with these words.
pub(crate) fn ip(words: &str) -> Result<String> {
    process::run(Command::new("ip").args(words.split_whitespace()), LIMIT)?.success()
}
