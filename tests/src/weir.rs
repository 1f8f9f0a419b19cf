//! The daemon under test: the `weir` binary on one host of a laboratory, with a state directory,
//! socket and pins of its own, used as a person would use it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::curl;
use crate::lab::{Host, INTERFACE, Lab};
use crate::metrics::Metrics;
use crate::process::{Background, Output};

/// Where the daemon serves /metrics and /readyz, inside its namespace.
pub const METRICS: &str = "127.0.0.1:9720";
/// Loading a program includes its verification; slow machines take seconds.
const START: Duration = Duration::from_secs(30);
/// A client verb answers at once.
const VERB: Duration = Duration::from_secs(20);

/// A daemon, stopped (but not detached) when dropped. It can be stopped and started again.
#[derive(Debug)]
pub struct Weir<'lab> {
    host: &'lab Host,
    binary: PathBuf,
    home: PathBuf,
    pins: PathBuf,
    arguments: Vec<String>,
    process: Option<Background>,
}

impl<'lab> Weir<'lab> {
    /// Starts it on the interface of a host and waits until it is ready. `arguments` are further
    /// ones of `weir run`, for example `["--policy", "/tmp/policy.toml"]`.
    pub fn start(lab: &'lab Lab, host: &'lab Host, arguments: &[&str]) -> Result<Self> {
        let home = lab.directory().join(format!("weir-{}", host.name()));
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot create {}", home.display()))?;
        let mut weir = Self {
            host,
            binary: binary()?,
            home,
            pins: lab.bpf()?.join(host.name()),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            process: None,
        };
        weir.start_again()?;
        Ok(weir)
    }

    /// Starts it with the same arguments after [`Weir::stop`] or [`Weir::crash`].
    pub fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the daemon runs already");
        let mut command = self.host.netns.command(&self.binary);
        command.args(["run", "--interface", INTERFACE, "--metrics", METRICS]);
        command.arg("--socket").arg(self.socket());
        command.arg("--state-dir").arg(self.state());
        command.arg("--pins").arg(&self.pins);
        command.args(&self.arguments);
        let mut process = Background::start("weir", command, &self.log_file())?;
        let host = self.host;
        process.ready("the daemon is ready", START, || {
            let response = curl::one(host, &[&format!("http://{METRICS}/readyz")])?;
            ensure!(response.status == 200, "/readyz answers {}", response.status);
            Ok(())
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it by SIGTERM and hands on its exit code.
    pub fn stop(&mut self) -> Result<i32> {
        self.process.take().context("the daemon does not run")?.stop()
    }

    /// Ends it by SIGKILL.
    pub fn crash(&mut self) -> Result<()> {
        self.process.take().context("the daemon does not run")?.crash()
    }

    /// Sends it a signal, for example `libc::SIGHUP`.
    pub fn signal(&self, number: libc::c_int) -> Result<()> {
        self.process.as_ref().context("the daemon does not run")?.signal(number);
        Ok(())
    }

    /// Leaves it running when this process ends.
    pub fn leave(mut self) {
        if let Some(process) = self.process.take() {
            process.leave();
        }
    }

    /// Runs a client verb on the daemon's host; any exit code is a result.
    pub fn verb(&self, arguments: &[&str]) -> Result<Output> {
        let socket = self.socket();
        let socket = socket.to_str().context("the laboratory's directory is not text")?;
        let all = [arguments, &["--socket", socket]].concat();
        let binary = self.binary.to_str().context("the path of the binary is not text")?;
        self.host.netns.run(binary, &all, VERB)
    }

    /// Runs a client verb with `--json` that must succeed.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.verb(&[arguments, &["--json"]].concat())?.success()?;
        serde_json::from_str(&text)
            .with_context(|| format!("weir {} --json prints\n{text}", arguments.join(" ")))
    }

    /// `weir status --json`.
    pub fn status(&self) -> Result<Value> {
        self.json(&["status"])
    }

    /// A scrape of /metrics.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::parse(&self.exposition()?)
    }

    /// The text of /metrics.
    pub fn exposition(&self) -> Result<String> {
        let response = curl::one(self.host, &[&format!("http://{METRICS}/metrics")])?;
        if response.status != 200 {
            bail!("/metrics answers {}\n{}", response.status, self.log());
        }
        Ok(response.body)
    }

    /// The event log, oldest first.
    pub fn events(&self) -> Result<Vec<Value>> {
        let path = self.state().join("events.jsonl");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("an event: {line}")))
            .collect()
    }

    /// The end of what the daemon logged.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        crate::process::tail(&text)
    }

    /// Its state directory.
    pub fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.home.join("weir.sock")
    }

    /// Where it pins.
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    fn log_file(&self) -> PathBuf {
        self.home.join("log")
    }
}

/// The `weir` binary: `$WEIR_BIN`, or the one built beside the program that asks.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("WEIR_BIN") {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "WEIR_BIN names {}, which is not a file", path.display());
        return Ok(path);
    }
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    // A test is in target/PROFILE/deps, the xtask in target/PROFILE.
    program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("weir"))
        .find(|path| path.is_file())
        .with_context(|| {
            format!("no weir binary beside {}: run `cargo build -p filter-user`", program.display())
        })
}
