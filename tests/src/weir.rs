//! The daemon under test: the `weir` binary on one host of a laboratory, with a state directory,
//! socket and pins of its own, used as a person would use it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::curl;
use crate::lab::{Host, INTERFACE, Lab};
use crate::metrics::Metrics;
use crate::process::{self, Background, Output};

/// Where the daemon serves /metrics and /readyz, inside its namespace.
pub const METRICS: &str = "127.0.0.1:9720";
/// Loading a program includes its verification; slow machines take seconds.
const START: Duration = Duration::from_secs(30);
/// An orderly end waits for connections.
const END: Duration = Duration::from_secs(10);
/// A client verb answers at once.
const VERB: Duration = Duration::from_secs(20);

/// How a daemon is started; [`Plan::default`] is on [`INTERFACE`], observing.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Tells it from other daemons of its host: names its directory and its pins.
    pub name: &'a str,
    /// The interfaces it gates.
    pub interfaces: &'a [&'a str],
    /// Where it serves /metrics, inside its namespace.
    pub metrics: &'a str,
    /// Further arguments of `weir run`, for example `["--policy", "/tmp/policy.toml"]`.
    pub arguments: &'a [&'a str],
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self { name: "weir", interfaces: &[INTERFACE], metrics: METRICS, arguments: &[] }
    }
}

/// A daemon, stopped (but not detached) when dropped. It can be stopped and started again.
#[derive(Debug)]
pub struct Weir<'lab> {
    host: &'lab Host,
    binary: PathBuf,
    home: PathBuf,
    pins: PathBuf,
    metrics: String,
    /// Those of `weir run`.
    arguments: Vec<String>,
    process: Option<Background>,
}

impl<'lab> Weir<'lab> {
    /// Starts it on the interface of a host and waits until it is ready. `arguments` are further
    /// ones of `weir run`, for example `["--policy", "/tmp/policy.toml"]`.
    pub fn start(lab: &'lab Lab, host: &'lab Host, arguments: &[&str]) -> Result<Self> {
        Self::launch(lab, host, &Plan { arguments, ..Plan::default() })
    }

    /// Starts it as planned and waits until it is ready.
    pub fn launch(lab: &'lab Lab, host: &'lab Host, plan: &Plan<'_>) -> Result<Self> {
        let mut weir = Self::prepare(lab, host, plan)?;
        weir.start_again()?;
        Ok(weir)
    }

    /// Everything but the start: for one that is expected to refuse ([`Weir::refusal`]).
    pub fn prepare(lab: &'lab Lab, host: &'lab Host, plan: &Plan<'_>) -> Result<Self> {
        let home = lab.directory().join(format!("{}-{}", plan.name, host.name()));
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot create {}", home.display()))?;
        let pins = lab.bpf()?.join(format!("{}-{}", plan.name, host.name()));
        let text = |path: PathBuf| {
            path.into_os_string().into_string().ok().context("the laboratory's path is not text")
        };
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(plan.interfaces.iter().map(|name| format!("--interface={name}")));
        arguments.push(format!("--metrics={}", plan.metrics));
        arguments.push(format!("--socket={}", text(home.join("weir.sock"))?));
        arguments.push(format!("--state-dir={}", text(home.join("state"))?));
        arguments.push(format!("--pins={}", text(pins.clone())?));
        // What is given wins over what was before it only when it is not said twice.
        for argument in plan.arguments {
            let name = argument.split('=').next().unwrap_or(argument);
            if name.starts_with("--") {
                arguments.retain(|known| known.split('=').next() != Some(name));
            }
            arguments.push((*argument).to_owned());
        }
        Ok(Self {
            host,
            binary: binary()?,
            home,
            pins,
            metrics: plan.metrics.to_owned(),
            arguments,
            process: None,
        })
    }

    /// Starts it with the same arguments after [`Weir::stop`] or [`Weir::crash`].
    pub fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the daemon runs already");
        let mut command = self.host.netns.command(&self.binary);
        command.args(&self.arguments);
        let mut process = Background::start("weir", command, &self.log_file())?;
        process.ready("the daemon is ready", START, || {
            let (status, _) = self.readiness()?;
            ensure!(status == 200, "/readyz answers {status}");
            Ok(())
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Starts one that is expected to end by itself, and hands on how it ended.
    pub fn refusal(&self) -> Result<Output> {
        let mut command = self.host.netns.command(&self.binary);
        process::run(command.args(&self.arguments), START)
    }

    /// The command line it is started with, for a shell on its host.
    pub fn start_line(&self) -> String {
        let words = self.arguments.iter().map(String::as_str);
        format!("{} {}", self.binary.display(), words.collect::<Vec<_>>().join(" "))
    }

    /// A client verb's command line, for a shell on its host.
    pub fn verb_line(&self, words: &str) -> String {
        format!("{} {words} --socket {}", self.binary.display(), self.socket().display())
    }

    /// Ends it by SIGTERM and hands on its exit code.
    pub fn stop(&mut self) -> Result<i32> {
        self.process.take().context("the daemon does not run")?.stop()
    }

    /// Ends it by SIGKILL.
    pub fn crash(&mut self) -> Result<()> {
        self.process.take().context("the daemon does not run")?.crash()
    }

    /// Starts a client verb and ends the daemon by SIGKILL a moment later, done or not; what the
    /// verb says does not matter.
    pub fn crash_during(&mut self, arguments: &[&str], moment: Duration) -> Result<()> {
        let mut command = self.host.netns.command(&self.binary);
        command.args(arguments).arg("--socket").arg(self.socket());
        std::thread::scope(|scope| {
            let verb = scope.spawn(move || process::run(&mut command, VERB));
            std::thread::sleep(moment);
            let crashed = self.crash();
            verb.join().map_err(|_| anyhow::anyhow!("the thread of a verb panicked"))??;
            crashed
        })
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

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Background::pid)
    }

    /// Waits until it ends by itself, as after a detach.
    pub fn ended(&mut self) -> Result<i32> {
        self.process.take().context("the daemon does not run")?.ended(END)
    }

    /// Runs a client verb on the daemon's host; any exit code is a result.
    pub fn verb(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.host.netns.command(&self.binary);
        process::run(command.args(arguments).arg("--socket").arg(self.socket()), VERB)
    }

    /// A client verb on the daemon's host, not started yet: for a terminal.
    pub fn verb_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.netns.command(&self.binary);
        command.args(arguments).arg("--socket").arg(self.socket());
        command
    }

    /// `weir detach`, with the daemon or without it.
    pub fn detach(&self) -> Result<Output> {
        let mut command = self.host.netns.command(&self.binary);
        command.args(["detach", "--socket"]).arg(self.socket()).arg("--pins").arg(&self.pins);
        process::run(&mut command, VERB)
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
        let response = curl::one(self.host, &[&format!("http://{}/metrics", self.metrics)])?;
        if response.status != 200 {
            bail!("/metrics answers {}\n{}", response.status, self.log());
        }
        Ok(response.body)
    }

    /// The status and the text of /readyz.
    pub fn readiness(&self) -> Result<(u16, String)> {
        let response = curl::one(self.host, &[&format!("http://{}/readyz", self.metrics)])?;
        Ok((response.status, response.body))
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
        process::tail(&text)
    }

    /// All that the daemon logged, over its restarts.
    pub fn whole_log(&self) -> Result<String> {
        let path = self.log_file();
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
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
