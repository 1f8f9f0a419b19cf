//! From the spanned text of the settings to [`Config`], every problem reported.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::text::{Item, Problem, Report, Table, quantity, read};

use super::Config;

const ROOT: [&str; 20] = [
    "interfaces",
    "xdp_mode",
    "egress",
    "policy",
    "state_dir",
    "socket",
    "pins",
    "metrics",
    "on_exit",
    "sensor",
    "limits",
    "feeds",
    "record",
    "store",
    "inventory",
    "geo",
    "audit",
    "events",
    "sink",
    "log",
];

const SNAP: RangeInclusive<i64> = 64..=16_384;
const TURN: RangeInclusive<i64> = 64..=1_048_576;
const FLOWS: RangeInclusive<i64> = 100..=10_000_000;
const SOURCES: RangeInclusive<i64> = 1_024..=1 << 26;
/// The port table numbers APIs in 14 bits, and each takes kilobytes of counters.
const MAX_APIS: RangeInclusive<i64> = 2..=4_096;
const MAX_BANS: RangeInclusive<i64> = 64..=1 << 24;
const RING: RangeInclusive<u64> = 64 << 10..=1 << 30;
const AUDIT: RangeInclusive<u64> = 64 << 10..=64 << 30;
/// Beside none at all.
const TRANSACTIONS: RangeInclusive<u64> = 1 << 20..=64 << 30;
/// A day that nobody waits for, to a year.
const SPAN: RangeInclusive<u64> = 1..=366 * 86_400;

/// Reads the report's text over the defaults.
pub(super) fn config(report: &mut Report<'_>, directory: &Path, mut config: Config) -> Config {
    read(report, &ROOT, |report, root| {
        top(report, root, directory, &mut config);
        sensor(report, root, &mut config);
        if let Some(table) = section(report, root, "limits", &["sources", "max_apis", "max_bans"]) {
            let limits = &mut config.limits;
            integer(report, &table, "sources", SOURCES, &mut limits.sources);
            integer(report, &table, "max_apis", MAX_APIS, &mut limits.max_apis);
            integer(report, &table, "max_bans", MAX_BANS, &mut limits.max_bans);
        }
        if let Some(item) = section(report, root, "feeds", &["max_shrink"])
            .and_then(|table| table.get("max_shrink"))
        {
            let feeds = &mut config.feeds;
            feeds.max_shrink = item.number(report, 0.0..=1.0).unwrap_or(feeds.max_shrink);
        }
        record(report, root, directory, &mut config);
        store(report, root, directory, &mut config);
        if let Some(item) =
            section(report, root, "audit", &["max_size"]).and_then(|table| table.get("max_size"))
            && let Some(text) = item.string(report, "\"64MiB\"")
            && let Some(bytes) = report.accept(item.span(), audit_bytes(text))
        {
            config.audit_bytes = bytes;
        }
        if let Some(item) =
            section(report, root, "events", &["path"]).and_then(|table| table.get("path"))
        {
            // Relative to the state directory, wherever the command line puts that.
            config.events = path(report, &item, "\"events.jsonl\"").or(config.events.take());
        }
        if let Some(item) = root.get("sink") {
            config.sinks = super::sink::sinks(report, &item, directory);
        }
        if let Some(item) =
            section(report, root, "log", &["kernel"]).and_then(|table| table.get("kernel"))
        {
            config.log_kernel = item.boolean(report).unwrap_or(config.log_kernel);
        }
    });
    config
}

fn top(report: &mut Report<'_>, root: &Table<'_>, directory: &Path, config: &mut Config) {
    if let Some(item) = root.get("interfaces") {
        interfaces(report, &item, config);
    }
    if let Some(item) = root.get("xdp_mode") {
        config.xdp_mode = item.choice(report, super::XdpMode::ALL).unwrap_or(config.xdp_mode);
    }
    if let Some(item) = root.get("egress") {
        config.egress = item.choice(report, super::Egress::ALL).unwrap_or(config.egress);
    }
    if let Some(item) = root.get("on_exit") {
        config.on_exit = item.choice(report, super::OnExit::ALL).unwrap_or(config.on_exit);
    }
    if let Some(item) = root.get("policy") {
        config.policy = path(report, &item, "\"policy.toml\"").map(|path| directory.join(path));
    }
    for (key, example, slot) in [
        ("state_dir", "\"/var/lib/weir\"", &mut config.state_dir),
        ("socket", "\"/run/weir/weir.sock\"", &mut config.socket),
        ("pins", "\"/sys/fs/bpf/weir\"", &mut config.pins),
    ] {
        if let Some(path) = root.get(key).and_then(|item| absolute(report, &item, example)) {
            *slot = path;
        }
    }
    if let Some(item) = root.get("metrics") {
        let example = "\"127.0.0.1:9720\"";
        let address = item.string(report, example).and_then(|text| {
            let parsed = text.parse::<SocketAddr>().map_err(|_| {
                let message = format!("\"{}\" is not an address and port", text.escape_debug());
                Problem::new(message, format!("write {example} or \"[::1]:9720\""))
            });
            report.accept(item.span(), parsed)
        });
        config.metrics = address.unwrap_or(config.metrics);
    }
}

fn interfaces(report: &mut Report<'_>, item: &Item<'_>, config: &mut Config) {
    for (text, span) in item.strings(report, "[\"eth0\"]").unwrap_or_default() {
        let Some(name) = report.accept(&span, crate::text::interface(text)) else { continue };
        if config.interfaces.contains(&name) {
            report.warning(&span, format!("{name} is listed twice"), "remove one of the two");
        } else {
            config.interfaces.push(name);
        }
    }
}

fn sensor(report: &mut Report<'_>, root: &Table<'_>, config: &mut Config) {
    let known = ["sample", "snap", "turn", "ring", "flows"];
    let Some(table) = section(report, root, "sensor", &known) else { return };
    let sensor = &mut config.sensor;
    if let Some(item) = table.get("sample") {
        sensor.sample = item.number(report, 0.0..=1.0).unwrap_or(sensor.sample);
    }
    integer(report, &table, "snap", SNAP, &mut sensor.snap);
    integer(report, &table, "turn", TURN, &mut sensor.turn);
    integer(report, &table, "flows", FLOWS, &mut sensor.flows);
    if let Some(item) = table.get("ring")
        && let Some(text) = item.string(report, "\"16MiB\"")
        && let Some(ring) = report.accept(item.span(), ring(text))
    {
        sensor.ring = ring;
    }
}

fn record(report: &mut Report<'_>, root: &Table<'_>, directory: &Path, config: &mut Config) {
    let Some(table) = section(report, root, "record", &["path", "max_size"]) else { return };
    let mut bytes = super::RECORD_BYTES;
    if let Some(item) = table.get("max_size")
        && let Some(text) = item.string(report, "\"1GiB\"")
        && let Some(given) = report.accept(item.span(), record_bytes(text))
    {
        bytes = given;
    }
    let example = "\"/var/lib/weir/record.jsonl\"";
    if let Some(path) = table.get("path").and_then(|item| path(report, &item, example)) {
        config.record = Some(crate::recording::Settings { path: directory.join(path), bytes });
    }
}

/// Bytes for a recording.
fn record_bytes(text: &str) -> Result<u64, Problem> {
    let bytes = quantity::size(text)?;
    if TRANSACTIONS.contains(&bytes) {
        return Ok(bytes);
    }
    let [least, most] =
        [TRANSACTIONS.start(), TRANSACTIONS.end()].map(|bytes| quantity::show_size(*bytes));
    let message = format!("a recording of {} is out of range", quantity::show_size(bytes));
    Err(Problem::new(message, format!("write \"{least}\" to \"{most}\"")))
}

fn store(report: &mut Report<'_>, root: &Table<'_>, directory: &Path, config: &mut Config) {
    if let Some(table) = section(report, root, "store", &["transactions", "retention"]) {
        if let Some(item) = table.get("transactions")
            && let Some(text) = item.string(report, "\"64MiB\"")
            && let Some(bytes) = report.accept(item.span(), transactions(text))
        {
            config.store.transactions = bytes;
        }
        span(report, &table, "retention", &mut config.store.retention);
    }
    if let Some(table) = section(report, root, "inventory", &["unused_after"]) {
        span(report, &table, "unused_after", &mut config.inventory.unused_after);
    }
    if let Some(table) = section(report, root, "geo", &["country", "asn"]) {
        for (key, slot) in [("country", &mut config.geo.country), ("asn", &mut config.geo.asn)] {
            if let Some(item) = table.get(key) {
                let given = path(report, &item, "\"/var/lib/geo/country.mmdb\"");
                *slot = given.map(|path| directory.join(path));
            }
        }
    }
}

/// Bytes for transactions.
fn transactions(text: &str) -> Result<u64, Problem> {
    let bytes = quantity::size(text)?;
    if bytes == 0 || TRANSACTIONS.contains(&bytes) {
        return Ok(bytes);
    }
    let [least, most] =
        [TRANSACTIONS.start(), TRANSACTIONS.end()].map(|bytes| quantity::show_size(*bytes));
    let message = format!("{} for transactions are out of range", quantity::show_size(bytes));
    Err(Problem::new(message, format!("write \"{least}\" to \"{most}\", or \"0B\" to keep none")))
}

/// A span of seconds to a year.
fn span(report: &mut Report<'_>, table: &Table<'_>, key: &str, slot: &mut Duration) {
    let Some(item) = table.get(key) else { return };
    let Some(text) = item.string(report, "\"7d\"") else { return };
    let checked = quantity::duration(text).and_then(|span| {
        let message = format!("{} is out of range", quantity::show_duration(span));
        let fits = SPAN.contains(&span.as_secs());
        fits.then_some(span).ok_or_else(|| Problem::new(message, "write \"1s\" to \"366d\""))
    });
    *slot = report.accept(item.span(), checked).unwrap_or(*slot);
}

/// The size of a file of the audit log.
fn audit_bytes(text: &str) -> Result<u64, Problem> {
    let bytes = quantity::size(text)?;
    if AUDIT.contains(&bytes) {
        return Ok(bytes);
    }
    let [least, most] = [AUDIT.start(), AUDIT.end()].map(|bytes| quantity::show_size(*bytes));
    let message = format!("files of {} are out of range", quantity::show_size(bytes));
    Err(Problem::new(message, format!("write \"{least}\" to \"{most}\"")))
}

/// The size of the ring: the kernel takes powers of two only.
fn ring(text: &str) -> Result<u32, Problem> {
    let bytes = quantity::size(text)?;
    let (least, most) = (RING.start(), RING.end());
    let shown = |bytes: u64| quantity::show_size(bytes);
    if !RING.contains(&bytes) {
        return Err(Problem::new(
            format!("a ring of {} is out of range", shown(bytes)),
            format!("write \"{}\" to \"{}\"", shown(*least), shown(*most)),
        ));
    }
    if !bytes.is_power_of_two() {
        let above = bytes.next_power_of_two();
        return Err(Problem::new(
            format!("a ring of {} is not a power of two", shown(bytes)),
            format!("write \"{}\" or \"{}\"", shown(above / 2), shown(above)),
        ));
    }
    u32::try_from(bytes).map_err(|_| Problem::new("too large a ring", "write a smaller size"))
}

fn section<'a>(
    report: &mut Report<'_>,
    root: &Table<'a>,
    key: &str,
    known: &[&str],
) -> Option<Table<'a>> {
    root.get(key)?.table(report, known, &format!("[{key}] with {}", known.join(", ")))
}

fn integer(
    report: &mut Report<'_>,
    table: &Table<'_>,
    key: &str,
    range: RangeInclusive<i64>,
    slot: &mut u32,
) {
    let value = table.get(key).and_then(|item| item.integer(report, range));
    if let Some(value) = value.and_then(|value| u32::try_from(value).ok()) {
        *slot = value;
    }
}

pub(super) fn path(report: &mut Report<'_>, item: &Item<'_>, example: &str) -> Option<PathBuf> {
    let text = item.string(report, example)?;
    if text.is_empty() || text.contains('\0') {
        let message = format!("`{}` is not a path", item.path());
        report.error(item.span(), message, format!("write {example}"));
        return None;
    }
    Some(PathBuf::from(text))
}

/// A path that must not depend on where the daemon was started.
pub(super) fn absolute(report: &mut Report<'_>, item: &Item<'_>, example: &str) -> Option<PathBuf> {
    let path = path(report, item, example)?;
    if !path.is_absolute() {
        let message = format!("`{}` does not begin with `/`", item.path());
        report.error(item.span(), message, format!("write the whole path, such as {example}"));
        return None;
    }
    Some(path)
}
