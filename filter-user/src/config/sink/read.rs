//! From the `[[sink]]` tables to [`Sink`], every problem reported.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Format, Http, Proof, Receiver, Sink, Tls, Url, Wants};
use crate::detect::Severity;
use crate::export::events::Kind;
use crate::text::{Item, Problem, Report, Table, nearest, quantity};

/// Receivers at most: each has a thread and a spool.
const MOST: usize = 32;
const SPOOL: RangeInclusive<u64> = 64 << 10..=4 << 30;
const FILE: RangeInclusive<u64> = 64 << 10..=64 << 30;
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
const RESEND: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);

const COMMON: [&str; 7] = ["name", "kind", "min_severity", "events", "api", "spool", "timeout"];
const HTTP: [&str; 6] = ["url", "headers", "token_file", "ca", "cert", "key"];
const FACILITIES: [(&str, u8); 16] = [
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("authpriv", 10),
    ("audit", 13),
    ("alert", 14),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
    ("kern", 0),
];
const WEB: [(&str, u16); 2] = [("https", 443), ("http", 80)];

/// Headers that weir writes itself.
const OWN: [&str; 8] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "authorization",
    "x-weir-signature",
    "x-weir-timestamp",
];

/// The receivers of the list `item`. Paths are relative to `directory`.
pub(in crate::config) fn sinks(
    report: &mut Report<'_>,
    item: &Item<'_>,
    directory: &Path,
) -> Vec<Sink> {
    let mut sinks: Vec<Sink> = Vec::new();
    let list = item.list(report, "[[sink]] with name and kind").unwrap_or_default();
    for (number, item) in list.iter().enumerate() {
        if number == MOST {
            report.error(item.span(), format!("more than {MOST} sinks"), "remove some");
            break;
        }
        let Some(sink) = sink(report, item, directory) else { continue };
        if sinks.iter().any(|other| other.name == sink.name) {
            let message = format!("there are two sinks \"{}\"", sink.name);
            report.error(item.span(), message, "give each a name of its own");
            continue;
        }
        sinks.push(sink);
    }
    sinks
}

/// The keys that a kind has beside [`COMMON`].
fn keys(kind: &str) -> Vec<&'static str> {
    let own: &[&str] = match kind {
        "file" => &["path", "max_size", "keep", "format"],
        "stdout" => &["format"],
        "webhook" => &["secret_file", "batch", "format"],
        "alertmanager" => &["resend"],
        "syslog" => &["url", "ca", "cert", "key", "facility", "format"],
        _ => &[],
    };
    let http: &[&str] =
        if ["webhook", "alertmanager", "otlp"].contains(&kind) { &HTTP } else { &[] };
    // Which events an Alertmanager gets is settled: those of findings, all three.
    let common = COMMON.iter().filter(|key| kind != "alertmanager" || **key != "events");
    common.chain(http).chain(own).copied().collect()
}

fn sink(report: &mut Report<'_>, item: &Item<'_>, directory: &Path) -> Option<Sink> {
    let example = "a table with name and kind";
    let entries = item.entries(report, example)?;
    let words: Vec<_> = Receiver::KINDS.iter().map(|kind| (*kind, *kind)).collect();
    let kind = match entries.iter().find(|(key, _)| *key == "kind") {
        Some((_, kind)) => kind.choice(report, &words)?,
        None => {
            let kinds = Receiver::KINDS.join("\", \"");
            let hint = format!("add kind = one of \"{kinds}\"");
            report.error(item.span(), "this sink has no `kind`".to_owned(), hint);
            return None;
        }
    };
    let table = item.table(report, &keys(kind), example)?;
    let name = required(report, &table, "name", "\"siem\"")
        .and_then(|(item, text)| report.accept(item.span(), crate::text::name(text)));
    let wants = wants(report, &table);
    let mut spool = 16 << 20;
    bytes(report, &table, "spool", SPOOL, &mut spool);
    let mut timeout = Duration::from_secs(10);
    span(report, &table, "timeout", TIMEOUT, &mut timeout);
    let receiver = receiver(report, &table, kind, directory);
    if let (Some(wants), Some(receiver), Some(item)) = (&wants, &receiver, table.get("events"))
        && receiver.format() == Some(Format::Ocsf)
        && let Some(other) = wants.events.iter().find(|kind| !kind.is_of_finding())
    {
        let message = format!("OCSF cannot say \"{}\": it is no finding", other.name());
        report.error(item.span(), message, "name finding_… events, or write format = \"json\"");
    }
    Some(Sink { name: name?, wants: wants?, spool, timeout, receiver: receiver? })
}

fn receiver(
    report: &mut Report<'_>,
    table: &Table<'_>,
    kind: &str,
    directory: &Path,
) -> Option<Receiver> {
    let format = match table.get("format") {
        Some(item) => item.choice(report, Format::ALL),
        None => Some(Format::Json),
    };
    match kind {
        "file" => {
            let (mut max_bytes, mut keep) = (64 << 20, 5);
            bytes(report, table, "max_size", FILE, &mut max_bytes);
            if let Some(item) = table.get("keep") {
                let number = item.integer(report, 0..=1_000);
                keep = number.and_then(|number| u32::try_from(number).ok()).unwrap_or(keep);
            }
            let (item, _) = required(report, table, "path", "\"/var/log/weir/events.jsonl\"")?;
            let path = crate::config::read::absolute(report, &item, "\"/var/log/weir/x.jsonl\"")?;
            Some(Receiver::File { path, max_bytes, keep, format: format? })
        }
        "stdout" => Some(Receiver::Stdout { format: format? }),
        "syslog" => {
            let (item, text) = required(report, table, "url", "\"tls://siem.example:6514\"")?;
            let url =
                report.accept(item.span(), Url::parse(text, &[("tls", 6514), ("tcp", 514)]))?;
            if !url.path.is_empty() {
                let message = format!("`{}` has a path, syslog has none", item.path());
                report.error(item.span(), message, format!("write \"{}://…\"", url.scheme));
            }
            let facility = match table.get("facility") {
                Some(item) => item.choice(report, &FACILITIES)?,
                None => 3,
            };
            let tls = tls(report, table, directory);
            Some(Receiver::Syslog { url, tls, facility, format: format? })
        }
        _ => {
            let http = http(report, table, directory);
            match kind {
                "webhook" => {
                    let batch = match table.get("batch") {
                        Some(item) => item.integer(report, 1..=1_000)?,
                        None => 100,
                    };
                    let batch = usize::try_from(batch).unwrap_or(1);
                    Some(Receiver::Webhook { http: http?, batch, format: format? })
                }
                "alertmanager" => {
                    let mut resend = Duration::from_secs(60);
                    span(report, table, "resend", RESEND, &mut resend);
                    Some(Receiver::Alertmanager { http: http?, resend })
                }
                _ => Some(Receiver::Otlp { http: http? }),
            }
        }
    }
}

fn http(report: &mut Report<'_>, table: &Table<'_>, directory: &Path) -> Option<Http> {
    let token = file(report, table, directory, "token_file");
    let proof = match (token, file(report, table, directory, "secret_file")) {
        (Some(_), Some(_)) => {
            let message = format!("{} has a `token_file` and a `secret_file`", table.path());
            report.error(table.span(), message, "keep one of the two");
            None
        }
        (token, key) => token.map(Proof::Bearer).or(key.map(Proof::Hmac)),
    };
    let tls = tls(report, table, directory);
    let headers = table.get("headers").map(|item| headers(report, &item)).unwrap_or_default();
    let (item, text) = required(report, table, "url", "\"https://alerts.example/weir\"")?;
    let url = report.accept(item.span(), Url::parse(text, &WEB))?;
    if matches!(proof, Some(Proof::Bearer(_))) && !url.is_tls() && !is_here(&url.host) {
        let message =
            format!("the token of {} goes through the network in clear text", table.path());
        report.warning(item.span(), message, "write https://");
    }
    Some(Http { url, headers, proof, tls })
}

/// Whether a host is this one.
fn is_here(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A path, relative to the settings' directory.
fn file(
    report: &mut Report<'_>,
    table: &Table<'_>,
    directory: &Path,
    key: &str,
) -> Option<PathBuf> {
    let item = table.get(key)?;
    let given = crate::config::read::path(report, &item, &format!("\"/etc/weir/{key}\""))?;
    Some(directory.join(given))
}

fn tls(report: &mut Report<'_>, table: &Table<'_>, directory: &Path) -> Tls {
    let ca = file(report, table, directory, "ca");
    let own = ["cert", "key"].map(|key| file(report, table, directory, key));
    let identity = match own {
        [Some(cert), Some(key)] => Some((cert, key)),
        [None, None] => None,
        _ => {
            let message = format!("{} has one of `cert` and `key`", table.path());
            report.error(table.span(), message, "give both, or none");
            None
        }
    };
    Tls { ca, identity }
}

fn headers(report: &mut Report<'_>, item: &Item<'_>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, item) in item.entries(report, "{ X-Tenant = \"a\" }").unwrap_or_default() {
        let Some(value) = item.string(report, "\"a\"") else { continue };
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let is_value = value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        if name.is_empty() || !name.bytes().all(is_token) || !is_value || value.len() > 4_096 {
            let message = format!("`{}` is not a header", item.path());
            report.error(item.key_span(), message, "write a name and a value as RFC 9110 has them");
        } else if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            let message = format!("weir writes the header `{name}` itself");
            let hint = "leave it out; a token comes from `token_file`";
            report.error(item.key_span(), message, hint);
        } else {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    headers
}

fn wants(report: &mut Report<'_>, table: &Table<'_>) -> Option<Wants> {
    let severities = Severity::ALL.map(|severity| (severity.name(), severity));
    let min_severity = match table.get("min_severity") {
        Some(item) => item.choice(report, &severities)?,
        None => Severity::Info,
    };
    let mut events = Vec::new();
    if let Some(item) = table.get("events") {
        let given = item.strings(report, "[\"finding_opened\"]")?;
        if given.is_empty() {
            let hint = "name some, or leave it out for all";
            report.error(item.span(), "a sink without events gets nothing".to_owned(), hint);
        }
        for (text, span) in given {
            let kinds = || Kind::ALL.iter().copied();
            if let Some(kind) = kinds().find(|kind| kind.name() == text) {
                events.push(kind);
                continue;
            }
            let hint = match nearest(text, kinds().map(Kind::name)) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "docs/events.md has the names".to_owned(),
            };
            report.error(&span, format!("there is no event \"{}\"", text.escape_debug()), hint);
        }
    }
    let mut apis = Vec::new();
    if let Some(item) = table.get("api") {
        let given = item.strings(report, "[\"orders\"]")?;
        if given.is_empty() {
            let hint = "name some, or leave it out for all";
            report.error(item.span(), "a sink without APIs gets nothing".to_owned(), hint);
        }
        apis = given.into_iter().map(|(text, _)| text.to_owned()).collect();
    }
    Some(Wants { min_severity, events, apis })
}

/// A string that must be there.
fn required<'a>(
    report: &mut Report<'_>,
    table: &Table<'a>,
    key: &str,
    example: &str,
) -> Option<(Item<'a>, &'a str)> {
    let Some(item) = table.get(key) else {
        if table.lacks(key) {
            let message = format!("{} has no `{key}`", table.path());
            report.error(table.span(), message, format!("add {key} = {example}"));
        }
        return None;
    };
    let text = item.string(report, example)?;
    Some((item, text))
}

/// A size in a range.
fn bytes(
    report: &mut Report<'_>,
    table: &Table<'_>,
    key: &str,
    range: RangeInclusive<u64>,
    slot: &mut u64,
) {
    let Some(item) = table.get(key) else { return };
    let Some(text) = item.string(report, "\"16MiB\"") else { return };
    let checked = quantity::size(text).and_then(|bytes| {
        let [least, most] = [range.start(), range.end()].map(|bytes| quantity::show_size(*bytes));
        let message = format!("{} is out of range", quantity::show_size(bytes));
        let hint = format!("write \"{least}\" to \"{most}\"");
        range.contains(&bytes).then_some(bytes).ok_or_else(|| Problem::new(message, hint))
    });
    *slot = report.accept(item.span(), checked).unwrap_or(*slot);
}

/// A span in a range.
fn span(
    report: &mut Report<'_>,
    table: &Table<'_>,
    key: &str,
    range: RangeInclusive<Duration>,
    slot: &mut Duration,
) {
    let Some(item) = table.get(key) else { return };
    let Some(text) = item.string(report, "\"10s\"") else { return };
    let checked = quantity::duration(text).and_then(|span| {
        let [least, most] = [range.start(), range.end()].map(|s| quantity::show_duration(*s));
        let message = format!("{} is out of range", quantity::show_duration(span));
        let hint = format!("write \"{least}\" to \"{most}\"");
        range.contains(&span).then_some(span).ok_or_else(|| Problem::new(message, hint))
    });
    *slot = report.accept(item.span(), checked).unwrap_or(*slot);
}
