//! The host of the running example: the daemon's usual paths, a working directory with the files the
//! documentation speaks of, clients that ask its APIs. All of it is gone with the laboratory: /etc, /var and
//! /usr/local are overlays in a mount namespace of its own, /run and the BPF file system are its own too.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::{Host, Lab};
use weir_tests::nginx::Nginx;
use weir_tests::process::{self, Background, Output};
use weir_tests::pty::Pty;
use weir_tests::{wait, weir};

/// No command of the documentation takes longer, nor does a daemon to start.
const LIMIT: Duration = Duration::from_secs(30);
/// What goes on until it is stopped is watched for so many seconds.
const FOLLOWED: &str = "1";
/// Clients that are partners; the first is the one of the examples.
const CLIENTS: [&str; 4] = ["198.51.100.7", "198.51.100.8", "198.51.100.9", "198.51.100.10"];
/// The daemon of the example.
const USUAL: &str = "weir run --config /etc/weir/weir.toml";
/// The files of the example.
const FILES: [(&str, &str); 5] = [
    ("policy.toml", include_str!("example/policy.toml")),
    ("wrong.toml", include_str!("example/wrong.toml")),
    ("feeds/partners.txt", include_str!("example/feeds/partners.txt")),
    ("specs/orders.yaml", include_str!("example/specs/orders.yaml")),
    ("weir.toml", include_str!("example/weir.toml")),
];
/// Makes the host's own view of the file system in the current mount namespace. `$1` is a directory to
/// work in, which has `bin`.
const MOUNTS: &str = r#"set -e
mkdir "$1/over"
mount -t tmpfs tmpfs "$1/over"
for directory in etc var usr/local; do
    mkdir -p "$1/over/$directory/upper" "$1/over/$directory/work"
    mount -t overlay overlay -o "lowerdir=/$directory,upperdir=$1/over/$directory/upper,workdir=$1/over/$directory/work" "/$directory"
done
mount -t tmpfs tmpfs /run
mount -t bpf bpf /sys/fs/bpf
rm -rf /etc/weir /var/lib/weir /var/log/weir
mkdir -p /etc/weir /var/lib/weir /var/log/weir /etc/bash_completion.d /usr/local/share/man/man1
: > "$1/ready"
exec sleep infinity
"#;

/// The host, with whatever runs on it.
pub(crate) struct Site<'lab> {
    client: &'lab Host,
    server: &'lab Host,
    directory: PathBuf,
    daemon: Option<Background>,
    /// The daemon is the one that [`Self::as_usual`] starts, not one of the examples.
    is_ours: bool,
    view: Background,
    _asking: Background,
    _nginx: Nginx,
    guesser: u8,
    usual: String,
}

impl<'lab> Site<'lab> {
    /// Sets it up: services and clients, no daemon yet.
    pub(crate) fn new(lab: &'lab Lab) -> Result<Self> {
        let (server, client) = (lab.host("server")?, lab.host("client")?);
        for address in CLIENTS {
            client.netns.ip(&format!("address add {address}/32 dev eth0"))?;
        }
        let apis = [("orders", 8080), ("accounts", 8081), ("undeclared", 9000)];
        let nginx = Nginx::start(server, lab.directory(), &apis)?;
        let directory = lab.directory().join("host");
        for name in ["bin", "feeds", "specs", "target/release"] {
            std::fs::create_dir_all(directory.join(name))?;
        }
        let binary = weir::binary()?;
        for name in ["bin/weir", "target/release/weir"] {
            std::os::unix::fs::symlink(&binary, directory.join(name))?;
        }
        // Whoever runs the tests is root already.
        let sudo = directory.join("bin/sudo");
        std::fs::write(&sudo, "#!/bin/sh\nexec \"$@\"\n")?;
        std::fs::set_permissions(&sudo, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;

        let mut command = server.netns.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", MOUNTS, "view"]);
        let mut view = Background::start(
            "the host",
            {
                command.arg(&directory);
                command
            },
            &directory.join("host.log"),
        )?;
        view.ready("its file systems", LIMIT, || {
            ensure!(directory.join("ready").exists(), "not mounted yet");
            Ok(())
        })?;
        let mut command = client.netns.command("sh");
        let asked = "http://192.0.2.1:8080/items/[1-3]";
        command.args([
            "-c",
            &format!(
                "while :; do curl -s --max-time 1 --interface {} '{asked}'; sleep 0.2; done",
                CLIENTS[0]
            ),
        ]);
        let asking = Background::start("a client", command, &directory.join("client.log"))?;
        Ok(Self {
            client,
            server,
            directory,
            daemon: None,
            is_ours: false,
            view,
            _asking: asking,
            _nginx: nginx,
            guesser: 20,
            usual: String::new(),
        })
    }

    /// A shell on the host, in the working directory.
    fn shell(&self, script: &str, wrapped: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.view.pid())).args(["--net", "--mount"]);
        command.arg(format!("--wd={}", self.directory.display())).arg("--").args(wrapped);
        command.args(["bash", "-o", "pipefail", "-c", script]);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.directory.join("bin").display()));
        command.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("WEIR_BIN");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, script: &str) -> Result<Output> {
        process::run(&mut self.shell(script, &[]), LIMIT)
    }

    /// What a command prints, on both streams as on a terminal; any exit code.
    pub(crate) fn printed(&self, script: &str) -> Result<String> {
        Ok(self.run(&format!("{{ {script}; }} 2>&1"))?.stdout)
    }

    /// Runs one that goes on until it is interrupted: exit code 124 when it did.
    pub(crate) fn follow(&self, script: &str) -> Result<Output> {
        process::run(&mut self.shell(script, &["timeout", "--signal=INT", FOLLOWED]), LIMIT)
    }

    /// Runs one that needs a terminal, until it shows how weir stands; `keys` end it.
    pub(crate) fn view(&self, script: &str, keys: &str) -> Result<i32> {
        let mut pty = Pty::start(self.shell(script, &[]), 100, 30)?;
        pty.wait(&[" on eth"], LIMIT)?;
        pty.keys(keys)?;
        pty.ended(LIMIT)
    }

    /// Starts a daemon and waits until everything is attached.
    pub(crate) fn start(&mut self, script: &str) -> Result<()> {
        ensure!(self.daemon.is_none(), "a daemon runs");
        let command = self.shell(&format!("exec {script}"), &[]);
        let mut daemon = Background::start("weir", command, &self.directory.join("weir.log"))?;
        let url = "http://127.0.0.1:9720/readyz";
        daemon.ready("the daemon is ready", LIMIT, || {
            let response = curl::one(self.server, &[url])?;
            ensure!(response.status == 200, "/readyz answers {}", response.status);
            Ok(())
        })?;
        (self.daemon, self.is_ours) = (Some(daemon), script == USUAL);
        Ok(())
    }

    /// Ends the daemon, if one runs.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let code = self.daemon.take().map_or(Ok(0), Background::stop)?;
        ensure!(code == 0, "the daemon ended with {code}");
        Ok(())
    }

    /// Writes a file of the working directory.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// From an empty host to the one most pages speak of: its policy in force, requests and findings
    /// behind it, a capture and a recording of them beside.
    pub(crate) fn furnish(&mut self) -> Result<()> {
        self.stop()?;
        for (name, text) in FILES {
            self.write(name, text)?;
        }
        self.run("weir detach; cp weir.toml /etc/weir/; rm -f edge.toml")?.success()?;
        self.start("weir run --config /etc/weir/weir.toml --record record.jsonl")?;
        self.run("weir apply policy.toml && weir assess --keep >/dev/null")?.success()?;
        self.usual = self.status()?["policy"]["hash"].as_str().context("no policy")?.to_owned();
        let capture = self.shell("exec tcpdump -i eth0 -U -w web.pcap", &[]);
        let capture = Background::start("tcpdump", capture, &self.directory.join("tcpdump.log"))?;
        wait::until("tcpdump listens", LIMIT, || {
            ensure!(capture.log().contains("listening on"), "{}", capture.log());
            Ok(())
        })?;
        self.traffic()?;
        for _ in 0..8 {
            self.guess()?;
        }
        wait::until("findings and what waits for a word", LIMIT, || {
            let held = self.json("weir actions --json")?;
            ensure!(held.as_array().is_some_and(|held| held.len() == 8), "{held}");
            Ok(())
        })?;
        capture.stop().map(drop)
    }

    /// Requests of all clients to all APIs.
    pub(crate) fn traffic(&self) -> Result<()> {
        for client in CLIENTS {
            for (port, path) in
                [(8080, "items/[1-40]"), (8080, "error"), (8081, "items/[1-3]"), (9000, "")]
            {
                let url = format!("http://192.0.2.1:{port}/{path}");
                curl::many(self.client, &["--interface", client, &url])?;
            }
        }
        Ok(())
    }

    /// A source that has not been seen yet guesses passwords.
    fn guess(&mut self) -> Result<()> {
        self.guesser += 1;
        let address = format!("198.51.100.{}", self.guesser);
        self.client.netns.ip(&format!("address add {address}/32 dev eth0"))?;
        let arguments = ["--interface", &address, "--data", "a=b", "--header", "Connection: close"];
        let url = "http://192.0.2.1:8080/login?user=[1-20]";
        curl::many(self.client, &[&arguments[..], &[url]].concat()).map(drop)
    }

    /// What a command prints, read as JSON.
    pub(crate) fn json(&self, script: &str) -> Result<Value> {
        let text = self.run(script)?.success()?;
        serde_json::from_str(&text).with_context(|| format!("`{script}` prints\n{text}"))
    }

    fn status(&self) -> Result<Value> {
        self.json("weir status --json")
    }

    /// Brings back what the block before has changed: daemon, policy, orders, what is stopped.
    pub(crate) fn as_usual(&mut self) -> Result<()> {
        if self.usual.is_empty() {
            return Ok(());
        }
        let mut status = if self.is_ours { self.status().ok() } else { None };
        if status.is_none() {
            self.stop()?;
            self.start(USUAL)?;
            status = Some(self.status()?);
        }
        for (name, text) in FILES {
            self.write(name, text)?;
        }
        if !status.is_some_and(|status| self.is_usual(&status)) {
            // The mode is put back last: beside another policy it would be an order.
            let repair = "weir confirm; weir actions start; weir breach lift orders; weir breach lift accounts; \
                          weir apply policy.toml && weir monitor off orders";
            self.run(repair)?.success().context("bringing back what is usual")?;
            let status = self.status()?;
            ensure!(self.is_usual(&status), "the host is not as usual: {status}");
        }
        Ok(())
    }

    fn is_usual(&self, status: &Value) -> bool {
        let ordered =
            |api: &Value| api["orders"].as_array().is_none_or(|orders| !orders.is_empty());
        status["policy"]["hash"] == self.usual.as_str()
            && status["policy"]["confirm_seconds"].is_null()
            && status["actions"]["stopped"].is_null()
            && status["apis"].as_array().is_some_and(|apis| !apis.iter().any(ordered))
    }
}
