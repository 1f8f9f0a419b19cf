//! The inventory as people read it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::human::{bytes, count, percent, plural, span};
use super::super::style::{Style, Tone, clean};
use super::super::table::{Align, Table, cell};
use crate::control::api::{ApiDetail, ApiEntry, Drift, EndpointEntry, RecentRequest};

/// Requests that are shown of an API.
const RECENT: usize = 10;

pub(in crate::cli) fn list(apis: &[ApiEntry], style: Style) -> String {
    let now = now();
    let mut table = Table::new([
        ("NAME", Align::Left),
        ("LISTEN", Align::Cut),
        ("LIFECYCLE", Align::Left),
        ("OWNER", Align::Cut),
        ("REQUESTS", Align::Right),
        ("SOURCES", Align::Right),
        ("ROUTES", Align::Right),
        ("AUTHENTICATION", Align::Cut),
        ("LAST SEEN", Align::Left),
        ("FINDINGS", Align::Right),
    ]);
    for api in apis {
        let lifecycle = match (&api.lifecycle, api.declared) {
            (_, false) => cell("undeclared", Tone::Warn),
            (Some(word), _) if matches!(word.as_str(), "deprecated" | "retired") => {
                cell(word, Tone::Warn)
            }
            (word, _) => word.as_deref().unwrap_or("-").into(),
        };
        let findings = match api.findings {
            0 => cell("-", Tone::Quiet),
            open => cell(count(open), Tone::Warn),
        };
        table.row([
            cell(&api.name, Tone::Strong),
            api.listen.join(", ").into(),
            lifecycle,
            api.owner.as_deref().unwrap_or("-").into(),
            count(api.requests).into(),
            count(api.sources).into(),
            count(api.routes).into(),
            kinds(&api.credentials).into(),
            ago(api.last_seen, now).into(),
            findings,
        ]);
    }
    if table.is_empty() {
        return "no APIs: none is declared, and none was seen\n".to_owned();
    }
    table.render(style)
}

pub(in crate::cli) fn detail(detail: &ApiDetail, style: Style) -> String {
    let ApiDetail { api, endpoints, recent } = detail;
    let now = now();
    let mut text = head(api, now, style);
    let mut table = Table::new([
        ("METHOD", Align::Left),
        ("ROUTE", Align::Cut),
        ("REQUESTS", Align::Right),
        ("SOURCES", Align::Right),
        ("STATUSES", Align::Left),
        ("AUTHENTICATION", Align::Cut),
        ("ANSWERS WITH", Align::Cut),
        ("LAST SEEN", Align::Left),
        ("", Align::Left),
    ]);
    for endpoint in endpoints {
        let mark = match (endpoint.documented, endpoint.proven) {
            (_, false) => cell("not known to be there", Tone::Quiet),
            (Some(false), _) => cell("undocumented", Tone::Warn),
            (Some(true) | None, _) => "".into(),
        };
        table.row([
            (&endpoint.method).into(),
            cell(&endpoint.route, Tone::Strong),
            count(endpoint.requests).into(),
            count(endpoint.sources).into(),
            statuses(&endpoint.statuses).into(),
            kinds(&endpoint.credentials).into(),
            endpoint.response_types.keys().cloned().collect::<Vec<_>>().join(", ").into(),
            ago(Some(endpoint.last_seen), now).into(),
            mark,
        ]);
    }
    text.push('\n');
    if table.is_empty() {
        text.push_str("no endpoints were seen\n");
    } else {
        text.push_str(&table.render(style));
    }
    if !recent.is_empty() {
        text.push_str("\nlatest requests that were kept\n");
        text.push_str(&requests(recent, now, style));
    }
    text
}

fn head(api: &ApiEntry, now: u64, style: Style) -> String {
    let mut text = style.paint(Tone::Strong, clean(&api.name));
    if !api.declared {
        text.push_str(&format!(": {}", style.paint(Tone::Warn, "no API declares it")));
    }
    text.push('\n');
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("{name:<16}{}\n", clean(&value)));
        }
    };
    let word = |word: &Option<String>| word.clone().unwrap_or_default();
    fact("listen", api.listen.join(", "));
    fact("owner", word(&api.owner));
    fact("maintainer", word(&api.maintainer));
    fact("responder", word(&api.responder));
    fact("criticality", word(&api.criticality));
    fact("lifecycle", word(&api.lifecycle));
    fact("version", word(&api.version));
    fact("environment", word(&api.environment));
    fact("data", api.data.join(", "));
    fact("openapi", word(&api.openapi));
    let tls = api.tls.iter().map(|(version, number)| format!("{version}×{}", count(*number)));
    fact("tls", tls.collect::<Vec<_>>().join(" "));
    let applications = api.applications.iter().chain(&api.visibility);
    fact("speaks", applications.cloned().collect::<Vec<_>>().join(", "));
    fact("first seen", ago(api.first_seen, now));
    fact("last seen", ago(api.last_seen, now));
    fact("requests", format!("{} from {}", count(api.requests), plural(api.sources, "source")));
    fact("statuses", statuses(&api.statuses));
    fact("authentication", kinds(&api.credentials));
    if api.findings > 0 {
        fact("findings", format!("{} open: `weir findings --api {}`", api.findings, api.name));
    }
    text
}

fn requests(recent: &[RecentRequest], now: u64, style: Style) -> String {
    let mut table = Table::new([
        ("WHEN", Align::Left),
        ("SOURCE", Align::Left),
        ("METHOD", Align::Left),
        ("ROUTE", Align::Cut),
        ("STATUS", Align::Right),
        ("LATENCY", Align::Right),
        ("BYTES", Align::Right),
        ("AUTHENTICATION", Align::Left),
        ("STANDS FOR", Align::Right),
    ]);
    for request in recent.iter().take(RECENT) {
        let dash = || "-".to_owned();
        table.row([
            ago(Some(request.time_ms / 1_000), now).into(),
            request.source.to_string().into(),
            (&request.method).into(),
            (&request.route).into(),
            request.status.map_or_else(dash, |status| status.to_string()).into(),
            request
                .latency_seconds
                .map_or_else(dash, |seconds| format!("{:.1} ms", seconds * 1e3))
                .into(),
            request.response_body_bytes.map_or_else(dash, bytes).into(),
            request.credentials.join(", ").into(),
            count(request.weight.round() as u64).into(),
        ]);
    }
    table.render(style)
}

pub(in crate::cli) fn drift(drift: &Drift, style: Style) -> String {
    let now = now();
    let (api, file) = (clean(&drift.api), clean(&drift.openapi));
    if !drift.differs() {
        let good = style.paint(Tone::Good, "no drift");
        let operations = plural(drift.operations, "operation");
        return format!(
            "{api}: {good}: every one of {operations} of {file} is used, and no other\n"
        );
    }
    let mut text = format!("{api}: {}: ", style.paint(Tone::Warn, "drift"));
    text.push_str(&format!(
        "{} not in {file}, {} of {} documented never used{}\n",
        plural(drift.undocumented.len() as u64, "endpoint"),
        drift.unused.len(),
        plural(drift.operations, "operation"),
        match drift.since {
            Some(since) => format!(" in the {} it was observed", span(now.saturating_sub(since))),
            None => ": nothing was seen of the API yet".to_owned(),
        }
    ));
    if drift.completeness < 1.0 {
        let share = percent(drift.completeness);
        text.push_str(&format!("(only {share} of the telemetry of the last minute arrived)\n"));
    }
    let mut table = Table::new([
        ("", Align::Left),
        ("METHOD", Align::Left),
        ("ROUTE", Align::Cut),
        ("REQUESTS", Align::Right),
        ("SOURCES", Align::Right),
        ("STATUSES", Align::Left),
        ("LAST SEEN", Align::Left),
        ("LINE", Align::Right),
    ]);
    for found in &drift.undocumented {
        let endpoint = &found.endpoint;
        table.row([
            cell(format!("undocumented {}", found.what), Tone::Warn),
            (&endpoint.method).into(),
            cell(&endpoint.route, Tone::Strong),
            count(endpoint.requests).into(),
            count(endpoint.sources).into(),
            statuses(&endpoint.statuses).into(),
            ago(Some(endpoint.last_seen), now).into(),
            "".into(),
        ]);
    }
    for unused in &drift.unused {
        table.row([
            cell("never used", Tone::Quiet),
            (&unused.method).into(),
            cell(&unused.route, Tone::Strong),
            "0".into(),
            "0".into(),
            "".into(),
            "never".into(),
            unused.line.to_string().into(),
        ]);
    }
    text.push_str(&table.render(style));
    text
}

pub(in crate::cli) fn rare(endpoints: &[EndpointEntry], style: Style) -> String {
    let now = now();
    let mut table = Table::new([
        ("API", Align::Left),
        ("METHOD", Align::Left),
        ("ROUTE", Align::Cut),
        ("REQUESTS", Align::Right),
        ("SOURCES", Align::Right),
        ("FIRST SEEN", Align::Left),
        ("LAST SEEN", Align::Left),
    ]);
    for endpoint in endpoints {
        table.row([
            (&endpoint.api).into(),
            (&endpoint.method).into(),
            cell(&endpoint.route, Tone::Strong),
            count(endpoint.requests).into(),
            count(endpoint.sources).into(),
            ago(Some(endpoint.first_seen), now).into(),
            ago(Some(endpoint.last_seen), now).into(),
        ]);
    }
    if table.is_empty() {
        return "no endpoints were seen\n".to_owned();
    }
    table.render(style)
}

/// Statuses, the most frequent first.
fn statuses(counts: &BTreeMap<String, u64>) -> String {
    let mut all: Vec<(&String, &u64)> = counts.iter().collect();
    all.sort_by_key(|(status, count)| (std::cmp::Reverse(**count), *status));
    let name = |status: &str| if status == "0" { "no answer".to_owned() } else { clean(status) };
    let shown: Vec<String> = all
        .iter()
        .take(4)
        .map(|(status, number)| format!("{}×{}", name(status), count(**number)))
        .collect();
    let more = if all.len() > 4 { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}

fn kinds(credentials: &BTreeMap<String, u64>) -> String {
    credentials.keys().map(|kind| kind.replace('_', " ")).collect::<Vec<_>>().join(", ")
}

/// How long ago a time of seconds since 1970 is.
pub(in crate::cli) fn ago(time: Option<u64>, now: u64) -> String {
    match time.filter(|&time| time != 0) {
        None => "never".to_owned(),
        Some(time) => format!("{} ago", span(now.saturating_sub(time))),
    }
}

pub(in crate::cli) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
