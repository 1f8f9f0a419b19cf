//! What is on which page.

use super::query::{Query, age, level, plain, quantile, rate};
use super::{Page, Panel};
use crate::export::metrics::def::{self, Def, Kind};

/// The API that is chosen.
const API: &str = "api=\"$api\"";

/// All of them.
pub(super) fn all() -> Vec<Page> {
    let mut pages = vec![overview(), api(), findings(), health()];
    let shown: Vec<&str> = pages
        .iter()
        .flat_map(|page| &page.panels)
        .flat_map(|panel| &panel.queries)
        .flat_map(|query| query.asks.iter().copied())
        .collect();
    let rest = def::ALL.iter().filter(|def| !shown.contains(&def.name)).map(by_definition);
    if let Some(last) = pages.last_mut() {
        last.panels.extend(rest);
    }
    pages
}

fn graph(title: &str, unit: &'static str, about: &str, queries: Vec<Query>) -> Panel {
    let (title, about) = (title.to_owned(), about.to_owned());
    Panel { title, about, unit, kind: "timeseries", width: 12, queries }
}

fn number(title: &str, unit: &'static str, about: &str, query: Query) -> Panel {
    Panel { kind: "stat", width: 6, ..graph(title, unit, about, vec![query]) }
}

fn table(title: &str, about: &str, query: Query) -> Panel {
    Panel { kind: "table", ..graph(title, "none", about, vec![query]) }
}

/// A panel from nothing but the definition.
fn by_definition(def: &Def) -> Panel {
    let name = def.name.trim_start_matches("weir_").trim_end_matches("_total").replace('_', " ");
    let unit = match def.name {
        name if name.ends_with("_seconds") => "s",
        name if name.contains("_bytes") => "bytes",
        name if name.ends_with("_ratio") => "percentunit",
        _ => "short",
    };
    let query = match def.kind {
        Kind::Counter => rate(def, def.labels, ""),
        Kind::Gauge => level(def, def.labels, ""),
        Kind::Histogram => quantile(0.95, def, def.labels, ""),
    };
    let title = match def.kind {
        Kind::Counter => format!("{name}, a second"),
        Kind::Gauge | Kind::Histogram => name,
    };
    graph(&title, unit, def.help, vec![query])
}

/// The share of requests with these statuses.
fn share_of_errors(by: &[&str], matchers: &str) -> Query {
    let comma = if matchers.is_empty() { "" } else { "," };
    let errors = format!("http_response_status_code=~\"5..\"{comma}{matchers}");
    rate(&def::REQUEST_DURATION, by, &errors).over(rate(&def::REQUEST_DURATION, by, matchers))
}

fn overview() -> Page {
    Page {
        uid: "weir-overview",
        title: "weir: overview",
        about: "All APIs of the hosts: traffic, refusals, errors, latency.",
        of_api: false,
        panels: vec![
            number("Requests", "reqps", "A second.", rate(&def::REQUEST_DURATION, &[], "")),
            number(
                "Refused",
                "pps",
                "Packets a second.",
                rate(&def::PACKETS, &[], "verdict=\"drop\""),
            ),
            number(
                "Findings open",
                "none",
                def::FINDINGS_OPEN.help,
                level(&def::FINDINGS_OPEN, &[], ""),
            ),
            number(
                "Interfaces gated",
                "percentunit",
                "Share of those that are to be.",
                Query {
                    text: format!("avg({}{{instance=~\"$instance\"}})", def::INTERFACE_GATED.name),
                    legend: String::new(),
                    asks: vec![def::INTERFACE_GATED.name],
                },
            ),
            graph(
                "Packets by API",
                "pps",
                def::PACKETS.help,
                vec![rate(&def::PACKETS, &["api"], "")],
            ),
            graph("Bytes in by API", "Bps", def::BYTES.help, vec![rate(&def::BYTES, &["api"], "")]),
            graph(
                "Refused, by API and reason",
                "pps",
                "docs/cli.md: `weir explain` says why a packet is refused.",
                vec![rate(&def::PACKETS, &["api", "reason"], "verdict=\"drop\"")],
            ),
            graph(
                "Would be refused if the API enforced",
                "pps",
                "What monitor mode lets pass.",
                vec![rate(&def::PACKETS, &["api", "reason"], "verdict=\"would_drop\"")],
            ),
            graph(
                "Requests by API",
                "reqps",
                def::REQUEST_DURATION.help,
                vec![rate(&def::REQUEST_DURATION, &["api"], "")],
            ),
            graph(
                "Share of errors (5xx) by API",
                "percentunit",
                "",
                vec![share_of_errors(&["api"], "")],
            ),
            graph(
                "Latency by API",
                "s",
                def::REQUEST_DURATION.help,
                vec![quantile(0.95, &def::REQUEST_DURATION, &["api"], "")],
            ),
            graph(
                "Requests by country",
                "reqps",
                def::COUNTRIES.help,
                vec![rate(&def::COUNTRIES, &["country"], "")],
            ),
            table("APIs", def::API_INFO.help, plain(&def::API_INFO, "")),
            table("Orders in force", def::API_OVERRIDE.help, plain(&def::API_OVERRIDE, "")),
        ],
    }
}

fn api() -> Page {
    let duration = &def::REQUEST_DURATION;
    let quantiles = |def| [0.5, 0.95, 0.99].map(|share| quantile(share, def, &[], API)).into();
    Page {
        uid: "weir-api",
        title: "weir: API",
        about: "One API: who gets in, what is asked, how it answers.",
        of_api: true,
        panels: vec![
            graph(
                "Packets by verdict and reason",
                "pps",
                def::PACKETS.help,
                vec![rate(&def::PACKETS, &["verdict", "reason"], API)],
            ),
            graph(
                "Bytes",
                "Bps",
                "In and out.",
                vec![
                    rate(&def::BYTES, &[], API).named("in"),
                    rate(&def::EGRESS_BYTES, &[], API).named("out"),
                ],
            ),
            graph(
                "Requests by status",
                "reqps",
                duration.help,
                vec![rate(duration, &["http_response_status_code"], API)],
            ),
            graph(
                "Requests by route",
                "reqps",
                duration.help,
                vec![rate(duration, &["http_request_method", "http_route"], API)],
            ),
            graph("Latency", "s", duration.help, quantiles(duration)),
            graph(
                "Latency by route, 95th percentile",
                "s",
                duration.help,
                vec![quantile(0.95, duration, &["http_route"], API)],
            ),
            graph(
                "Share of errors (5xx)",
                "percentunit",
                "",
                vec![share_of_errors(&[], API).named("5xx")],
            ),
            graph(
                "Sizes, 95th percentile",
                "bytes",
                "Bodies of requests and responses.",
                vec![
                    quantile(0.95, &def::REQUEST_BODY, &[], API).named("request"),
                    quantile(0.95, &def::RESPONSE_BODY, &[], API).named("response"),
                ],
            ),
            graph(
                "Turns inside TLS",
                "s",
                def::TLS_TURN_DURATION.help,
                quantiles(&def::TLS_TURN_DURATION),
            ),
            graph(
                "TLS handshakes",
                "ops",
                def::TLS_HANDSHAKES.help,
                vec![rate(&def::TLS_HANDSHAKES, &["transport", "version", "alpn"], API)],
            ),
            graph(
                "Flows",
                "ops",
                def::FLOWS.help,
                vec![rate(&def::FLOWS, &["application", "opening"], API)],
            ),
            graph(
                "Trouble of TCP",
                "ops",
                def::TCP_EVENTS.help,
                vec![rate(&def::TCP_EVENTS, &["event", "side"], API)],
            ),
        ],
    }
}

fn findings() -> Page {
    Page {
        uid: "weir-findings",
        title: "weir: findings",
        about: "What was found, and what followed.",
        of_api: false,
        panels: vec![
            graph(
                "Open findings",
                "none",
                def::FINDINGS_OPEN.help,
                vec![level(&def::FINDINGS_OPEN, &["api", "severity"], "")],
            ),
            graph(
                "Findings that opened, a second",
                "short",
                def::FINDINGS.help,
                vec![rate(&def::FINDINGS, &["detector", "severity", "api"], "")],
            ),
            graph(
                "APIs being maintained",
                "none",
                def::MAINTENANCE.help,
                vec![level(&def::MAINTENANCE, &["api"], "")],
            ),
            graph(
                "Answers",
                "short",
                def::ACTIONS.help,
                vec![rate(&def::ACTIONS, &["action", "outcome"], "")],
            ),
            number(
                "Answers that wait",
                "none",
                def::ACTIONS_HELD.help,
                level(&def::ACTIONS_HELD, &[], ""),
            ),
            number(
                "Automatic actions stopped",
                "none",
                def::ACTIONS_STOPPED.help,
                level(&def::ACTIONS_STOPPED, &[], ""),
            ),
            graph(
                "Bans in force",
                "none",
                def::BANS.help,
                vec![level(&def::BANS, &["origin"], "")],
            ),
            graph(
                "Events, a second",
                "short",
                def::EVENTS.help,
                vec![rate(&def::EVENTS, &["event", "severity"], "")],
            ),
        ],
    }
}

fn health() -> Page {
    let fill = level(&def::MAP_ENTRIES, &["map"], "").over(level(&def::MAP_CAPACITY, &["map"], ""));
    Page {
        uid: "weir-health",
        title: "weir: its own health",
        about: "Whether weir enforces what it should, and sees what it should.",
        of_api: false,
        panels: vec![
            table("Policy in force", def::POLICY_INFO.help, plain(&def::POLICY_INFO, "")),
            graph(
                "Interfaces that are gated",
                "none",
                def::INTERFACE_GATED.help,
                vec![level(&def::INTERFACE_GATED, &["instance", "interface"], "")],
            ),
            graph(
                "Cells of the policy",
                "none",
                def::POLICY_ENTRIES.help,
                vec![level(&def::POLICY_ENTRIES, &["kind", "state"], "")],
            ),
            graph(
                "Completeness of the telemetry",
                "percentunit",
                def::COMPLETENESS.help,
                vec![plain(&def::COMPLETENESS, "").named("{{instance}}")],
            ),
            graph("Samples", "ops", def::SAMPLES.help, vec![rate(&def::SAMPLES, &["outcome"], "")]),
            graph(
                "How full the kernel's tables are",
                "percentunit",
                def::MAP_CAPACITY.help,
                vec![fill],
            ),
            graph(
                "No room in a table",
                "ops",
                def::MAP_INSERT_FAILURES.help,
                vec![rate(&def::MAP_INSERT_FAILURES, &["map"], "")],
            ),
            graph(
                "Events that wait for receivers",
                "none",
                def::SINK_PENDING.help,
                vec![level(&def::SINK_PENDING, &["sink"], "")],
            ),
            graph(
                "Age of feeds",
                "s",
                def::FEED_SUCCESS.help,
                vec![age(&def::FEED_SUCCESS, &["feed"])],
            ),
            graph(
                "Since a receiver took something",
                "s",
                def::SINK_SUCCESS.help,
                vec![age(&def::SINK_SUCCESS, &["sink"])],
            ),
        ],
    }
}
