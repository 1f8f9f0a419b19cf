//! What goes into a bundle: from the daemon while it answers, from files and the kernel anyway.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::archive::Parts;
use super::mask::Mask;
use crate::cli::{doctor, version};
use crate::config::Config;
use crate::control::api::{
    ActionQuery, Answer, ApiError, AuditQuery, EventQuery, FindingQuery, Status,
};
use crate::control::client::Client;
use crate::kernel::loaded;

/// Events, and lines of the audit log, at most.
const LINES: usize = 1_000;
/// Bytes of a file, or of the metrics, at most.
const BYTES: u64 = 32 << 20;
/// Bytes from the end of a log that are looked at.
const TAIL: u64 = 2 << 20;
/// How long a scrape may take to begin, and to go on.
const SCRAPE: Duration = Duration::from_secs(10);

/// Files of /proc and /etc that say what kind of host this is. No name of the host is in them.
const HOST: [&str; 9] = [
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/version",
    "/etc/os-release",
    "/proc/meminfo",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/net/dev",
    "/proc/sys/net/core/bpf_jit_enable",
    "/proc/sys/kernel/bpf_stats_enabled",
];
/// Files of /proc/PID of the daemon.
const PROCESS: [&str; 4] = ["status", "limits", "stat", "cgroup"];

/// Where to look.
pub(super) struct Places {
    pub(super) config: Config,
    /// The file the settings are from.
    pub(super) settings: Option<PathBuf>,
    pub(super) report: doctor::Report,
}

/// Gathers all there is. `step` is told what comes next.
pub(super) fn collect(places: &Places, mask: &Mask, mut step: impl FnMut(&str)) -> Parts {
    let mut parts = Parts::default();
    let config = &places.config;
    parts.take("version.json", json(mask, &version::about()));
    parts.take("doctor.json", json(mask, &places.report));
    step("asking the daemon");
    let client = Client::new(config.socket.clone());
    let status = client.as_ref().map_err(Clone::clone).and_then(Client::status);
    parts.take("status.json", answer(mask, status.as_ref().map_err(Clone::clone)));
    match &client {
        Ok(client) if status.is_ok() => asked(client, mask, &mut parts, &mut step),
        _ => {
            step("reading logs");
            for name in ["events.jsonl", "audit.jsonl"] {
                let lines = tail(&config.state_dir.join(name)).map(|text| lines(mask, &text));
                parts.take(name, lines);
            }
        }
    }
    step("reading metrics");
    let served = status.as_ref().ok().and_then(|status| status.daemon.metrics.as_deref());
    let served = served.and_then(|address| address.parse().ok()).unwrap_or(config.metrics);
    parts.take("metrics.txt", scrape(served).map(|text| mask.text(&text)));
    step("reading settings and policy");
    if let Some(path) = &places.settings {
        parts.take("weir.toml", read(path).and_then(|text| mask.toml(&text)));
    }
    let in_force = status.as_ref().ok().and_then(|status| status.policy.as_ref());
    let policy = in_force.map(|policy| policy.path.clone()).or_else(|| config.policy.clone());
    if let Some(path) = policy {
        parts.take("policy.toml", read(&path).and_then(|text| mask.toml(&text)));
    }
    step("looking into the kernel");
    let programs = loaded::programs().and_then(|programs| json(mask, &programs));
    parts.take("kernel/programs.json", programs);
    let maps = loaded::maps(&config.pins).and_then(|maps| json(mask, &maps));
    parts.take("kernel/maps.json", maps);
    step("looking at the host");
    for path in HOST {
        let name = path.trim_start_matches('/').replace('/', "-");
        parts.take(&format!("host/{name}"), read(Path::new(path)).map(|text| mask.text(&text)));
    }
    parts.take("host/state.json", json(mask, &sizes(&config.state_dir)));
    if let Ok(status) = &status {
        process(status, mask, &mut parts);
    }
    for missing in &mut parts.missing {
        missing.why = mask.text(&missing.why);
    }
    parts
}

/// What only a daemon knows.
fn asked(client: &Client, mask: &Mask, parts: &mut Parts, step: &mut impl FnMut(&str)) {
    parts.take("top.json", answer(mask, client.top()));
    parts.take("apis.json", answer(mask, client.apis()));
    let findings = FindingQuery { all: true, ..FindingQuery::default() };
    parts.take("findings.json", answer(mask, client.findings(&findings)));
    parts.take("bans.json", answer(mask, client.bans()));
    parts.take("orders.json", answer(mask, client.orders()));
    parts.take("mutes.json", answer(mask, client.mutes()));
    let actions = ActionQuery { all: true, ..ActionQuery::default() };
    parts.take("actions.json", answer(mask, client.actions(&actions)));
    parts.take("history.json", answer(mask, client.history()));
    let audit = client.audit(&AuditQuery { limit: LINES });
    parts.take("audit.json", answer(mask, audit));
    step("reading events");
    let query = EventQuery { limit: LINES, ..EventQuery::default() };
    let mut events = String::new();
    let read = client.events(&query, &mut |line| {
        events.push_str(&lines(mask, line));
        Ok(())
    });
    parts.take("events.jsonl", read.map(|()| events).map_err(told));
}

fn told(error: ApiError) -> String {
    error.message
}

fn answer<T: Serialize>(mask: &Mask, answer: Answer<T>) -> Result<String, String> {
    json(mask, &answer.map_err(told)?)
}

fn json(mask: &Mask, value: &impl Serialize) -> Result<String, String> {
    let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
    let mut text = serde_json::to_string_pretty(&mask.json(&value)).map_err(|e| e.to_string())?;
    text.push('\n');
    Ok(text)
}

/// JSON Lines; what is none is text.
fn lines(mask: &Mask, text: &str) -> String {
    let one = |line: &str| match serde_json::from_str::<Value>(line) {
        Ok(value) => format!("{}\n", mask.json(&value)),
        Err(_) => format!("{}\n", mask.text(line)),
    };
    text.lines().map(one).collect()
}

fn read(path: &Path) -> Result<String, String> {
    let file =
        File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    let mut bytes = Vec::new();
    let read = file.take(BYTES).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a log.
fn tail(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines: Vec<&str> = text.lines().collect();
    if length > TAIL && !lines.is_empty() {
        // It begins in the middle of a line.
        lines.remove(0);
    }
    let from = lines.len().saturating_sub(LINES);
    Ok(lines[from..].join("\n"))
}

/// The page of metrics, by HTTP/1.0: its body ends with the connection.
fn scrape(address: SocketAddr) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot read http://{address}/metrics: {error}");
    let mut stream = TcpStream::connect_timeout(&address, SCRAPE).map_err(failed)?;
    stream.set_read_timeout(Some(SCRAPE)).map_err(failed)?;
    stream.set_write_timeout(Some(SCRAPE)).map_err(failed)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: weir\r\n\r\n").map_err(failed)?;
    let mut bytes = Vec::new();
    stream.take(BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("what answers there is no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!("http://{address}/metrics answers {status}"));
    }
    Ok(body.to_owned())
}

/// How large the files of the state directory are.
fn sizes(directory: &Path) -> std::collections::BTreeMap<String, u64> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        Some((entry.file_name().to_string_lossy().into_owned(), entry.metadata().ok()?.len()))
    });
    sizes.collect()
}

/// How the daemon's process does.
fn process(status: &Status, mask: &Mask, parts: &mut Parts) {
    let directory = PathBuf::from(format!("/proc/{}", status.daemon.pid));
    for name in PROCESS {
        let text = read(&directory.join(name)).map(|text| mask.text(&text));
        parts.take(&format!("daemon/{name}"), text);
    }
    let open =
        std::fs::read_dir(directory.join("fd")).map(|entries| format!("{}\n", entries.count()));
    let open = open.map_err(|error| format!("cannot count its descriptors: {error}"));
    parts.take("daemon/descriptors", open);
}
