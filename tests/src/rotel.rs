//! rotel, a collector of OpenTelemetry: it prints the log records it takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::Host;
use crate::process::Background;

/// Where it listens for OTLP over HTTP, inside the namespace.
pub const LISTEN: &str = "127.0.0.1:4318";
const START: Duration = Duration::from_secs(15);

/// A running rotel; stopped when dropped.
#[derive(Debug)]
pub struct Rotel {
    _process: Background,
    log: PathBuf,
}

impl Rotel {
    /// Starts it on a host and waits until it listens.
    pub fn start(host: &Host, directory: &Path) -> Result<Self> {
        let log = directory.join("rotel.log");
        let mut command = host.netns.command(binary()?);
        command.args(["start", "--exporter", "blackhole", "--debug-log", "logs"]);
        command.args(["--debug-log-verbosity", "detailed", "--otlp-http-endpoint", LISTEN]);
        command.args(["--otlp-grpc-endpoint", "127.0.0.1:4317"]);
        command.arg("--pid-file").arg(directory.join("rotel.pid"));
        let mut process = Background::start("rotel", command, &log)?;
        process.ready("rotel listens", START, || {
            let listening = host.netns.run("ss", &["-Htln"], START)?.success()?;
            ensure!(listening.contains(LISTEN), "{listening}");
            Ok(())
        })?;
        Ok(Self { _process: process, log })
    }

    /// All it printed.
    pub fn printed(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).context("cannot read what rotel printed")
    }
}

/// The program: `$ROTEL_BIN`, or where `cargo xtask setup` put it.
fn binary() -> Result<PathBuf> {
    let found = match std::env::var_os("ROTEL_BIN") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/rotel/rotel-agent"),
    };
    ensure!(found.is_file(), "no rotel at {}: run `cargo xtask setup --for test`", found.display());
    Ok(found)
}
