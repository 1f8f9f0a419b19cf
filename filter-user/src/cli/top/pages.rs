//! The tables: from what the daemon answered to rows. Pure.

use super::cells::{byte_rate, count_cell, quantile_cell, rate_cell, share_cell, unknown};
use super::grid::{Cell, Column, Grid, Key, Row};
use super::history::Flow;
use super::model::{Model, Page};
use crate::cli::breach::mode_name;
use crate::cli::human::{bytes, remaining, span};
use crate::cli::style::Tone;
use crate::control::api::{ApiStatus, Ban, FindingEntry, Mode, PacketCounts, SourceCount, Top};

/// What no API claims, as the daemon calls it and as people read it.
const UNCLAIMED: &str = "__unclaimed__";
const UNCLAIMED_SHOWN: &str = "unclaimed";

/// The column that sources are sorted by at first.
pub(super) const SOURCES_BY: usize = 4;
/// The column that reasons are sorted by at first.
pub(super) const REASONS_BY: usize = 3;

const APIS: &[Column] = &[
    Column::cut("API", 0),
    Column::left("MODE", 3),
    Column::right("PASS", 0, 5),
    Column::right("DROP", 0, 5),
    Column::right("WOULD", 1, 6),
    Column::right("IN", 2, 7),
    Column::right("OUT", 4, 7),
    Column::right("REQ", 1, 5),
    Column::right("ERR", 2, 5),
    Column::right("P50", 5, 5),
    Column::right("P99", 1, 5),
    Column::right("FIND", 6, 4),
    Column::left("PACKETS", 7),
];
/// Columns of the terminal for the spark of an API.
const SPARK: usize = 20;

const SOURCES: &[Column] = &[
    Column::left("SOURCE", 0),
    Column::left("CC", 1),
    Column::right("ASN", 4, 6),
    Column::cut("API", 0),
    Column::right("REQ", 0, 5),
    Column::right("ERR", 2, 5),
    Column::right("BYTES", 3, 7),
    Column::right("IDLE", 5, 6),
    Column::left("REFUSED", 1),
];

const REQUESTS: &[Column] = &[
    Column::cut("API", 0),
    Column::left("STATUS", 0),
    Column::right("REQ", 0, 5),
    Column::right("SHARE", 3, 6),
    Column::right("TOTAL", 2, 6),
    Column::right("P50", 1, 5),
    Column::right("P90", 4, 5),
    Column::right("P99", 1, 5),
];

const FINDINGS: &[Column] = &[
    Column::left("SEVERITY", 0),
    Column::left("DETECTOR", 0),
    Column::cut("API", 0),
    Column::left("SOURCE", 1),
    Column::right("OPEN", 2, 7),
    Column::cut("WHY", 3),
];

const REASONS: &[Column] = &[
    Column::cut("API", 0),
    Column::left("VERDICT", 0),
    Column::left("REASON", 0),
    Column::right("PACKETS", 0, 7),
    Column::right("BYTES", 2, 7),
    Column::right("TOTAL", 1, 6),
];

const BANS: &[Column] = &[
    Column::left("PREFIX", 0),
    Column::cut("API", 1),
    Column::left("ENDS", 0),
    Column::right("PACKETS", 0, 7),
    Column::left("BY", 2),
    Column::cut("REASON", 3),
];

/// The table of the page that is shown, in no order.
pub(super) fn grid(model: &Model) -> Grid {
    grid_of(model, model.page)
}

/// The table of a page, in no order.
pub(super) fn grid_of(model: &Model, page: Page) -> Grid {
    let Some(top) = model.history.latest() else {
        return Grid { columns: APIS, rows: Vec::new(), empty: "no answer yet".to_owned() };
    };
    match page {
        Page::Apis => apis(model, top),
        Page::Sources => sources(model, top),
        Page::Requests => requests(model, top),
        Page::Findings => findings(top),
        Page::Reasons => reasons(model, top),
        Page::Bans => bans(top),
    }
}

/// What an API is called.
pub(super) fn shown(api: &str) -> &str {
    if api == UNCLAIMED { UNCLAIMED_SHOWN } else { api }
}

/// How much an API's name stands out.
fn mode_cell(api: &ApiStatus) -> Cell {
    if let Some(order) = api.orders.first() {
        let (words, tone) = crate::cli::breach::words(&order.order);
        return Cell::text(words, tone);
    }
    let tone = if api.mode == Mode::Monitor { Tone::Warn } else { Tone::Plain };
    Cell::text(mode_name(api.mode), tone)
}

fn packets(model: &Model, flow: Option<Flow>, counts: &PacketCounts) -> [Cell; 4] {
    if model.totals {
        let received = Cell::number(counts.bytes as f64, bytes(counts.bytes), Tone::Plain);
        return [
            count_cell(counts.pass, Tone::Plain),
            count_cell(counts.drop, Tone::Bad),
            count_cell(counts.would_drop, Tone::Warn),
            received,
        ];
    }
    let of = |value: fn(&Flow) -> f64| flow.as_ref().map(value);
    [
        rate_cell(of(|flow| flow.pass), Tone::Plain, model),
        rate_cell(of(|flow| flow.drop), Tone::Bad, model),
        rate_cell(of(|flow| flow.would), Tone::Warn, model),
        byte_rate(of(|flow| flow.bytes), model),
    ]
}

fn apis(model: &Model, top: &Top) -> Grid {
    let requests = model.history.requests(|count| count.api.clone());
    let seconds = model.history.window();
    let asked = |name: &str| -> [Cell; 4] {
        let Some(sum) = requests.get(name) else {
            return [unknown(model), unknown(model), unknown(model), unknown(model)];
        };
        let rate = seconds.map(|seconds| sum.recent as f64 / seconds);
        [
            if model.totals {
                count_cell(sum.total, Tone::Plain)
            } else {
                rate_cell(rate, Tone::Plain, model)
            },
            share_cell(sum.errors, sum.recent, Tone::Warn, model),
            quantile_cell(sum.quantile(0.5, &top.bounds), model),
            quantile_cell(sum.quantile(0.99, &top.bounds), model),
        ]
    };
    let line = |name: &str, first: [Cell; 2], counts: &PacketCounts, flow, sent: Cell| {
        let [pass, drop, would, received] = packets(model, flow, counts);
        let [asked, errors, p50, p99] = asked(name);
        let open = top.findings.iter().filter(|finding| finding.api == name).count() as u64;
        let spark = model.history.spark(name);
        let spark = Cell {
            text: model.look.spark(&spark, SPARK),
            tone: Tone::Good,
            key: Key::Number(spark.last().copied().unwrap_or(0.0)),
        };
        let [name_cell, mode] = first;
        let found = count_cell(open, Tone::Warn);
        Row {
            id: name.to_owned(),
            cells: vec![
                name_cell, mode, pass, drop, would, received, sent, asked, errors, p50, p99, found,
                spark,
            ],
        }
    };
    let mut rows: Vec<Row> = top
        .status
        .apis
        .iter()
        .map(|api| {
            let flow = model.history.flow(&api.name);
            let sent = if model.totals {
                Cell::number(api.egress_bytes as f64, bytes(api.egress_bytes), Tone::Plain)
            } else {
                byte_rate(flow.map(|flow| flow.sent), model)
            };
            let first = [Cell::text(&api.name, Tone::Strong), mode_cell(api)];
            line(&api.name, first, &api.packets, flow, sent)
        })
        .collect();
    let first = [Cell::text(UNCLAIMED_SHOWN, Tone::Quiet), Cell::text("", Tone::Plain)];
    let flow = model.history.unclaimed();
    rows.push(line(UNCLAIMED, first, &top.status.unclaimed, flow, unknown(model)));
    Grid { columns: APIS, rows, empty: String::new() }
}

fn refused(source: &SourceCount) -> Cell {
    let (text, tone) = match &source.refused {
        _ if source.banned => ("banned".to_owned(), Tone::Bad),
        Some(refused) => {
            let tone = if refused.verdict == "drop" { Tone::Bad } else { Tone::Warn };
            (format!("{} {} ago", refused.reason, span(refused.seconds_ago)), tone)
        }
        None => (String::new(), Tone::Plain),
    };
    // The latest first, whatever the reason.
    let age = source.refused.as_ref().map_or(f64::MAX, |refused| refused.seconds_ago as f64);
    Cell { text, tone, key: Key::Number(if source.banned { -1.0 } else { age }) }
}

/// What the row of a source is called.
pub(super) fn source_id(source: &SourceCount) -> String {
    format!("{} {}", source.source, source.api)
}

fn sources(model: &Model, top: &Top) -> Grid {
    let seconds = top.source_seconds.max(1.0);
    let row = |source: &SourceCount| {
        let asked = if model.totals {
            count_cell(source.requests, Tone::Plain)
        } else {
            rate_cell(Some(source.requests as f64 / seconds), Tone::Plain, model)
        };
        let asn = source.asn.map_or_else(String::new, |asn| asn.to_string());
        let address = match source.proxy {
            Some(proxy) => format!("{} via {proxy}", source.source),
            None => source.source.to_string(),
        };
        let tone = if source.banned { Tone::Bad } else { Tone::Strong };
        Row {
            id: source_id(source),
            cells: vec![
                Cell::text(address, tone),
                match &source.country {
                    Some(country) => Cell::text(country, Tone::Plain),
                    None => Cell::text(model.look.glyphs().none, Tone::Quiet),
                },
                Cell::number(f64::from(source.asn.unwrap_or(0)), asn, Tone::Quiet),
                Cell::text(shown(&source.api), Tone::Plain),
                asked,
                share_cell(source.errors, source.requests, Tone::Warn, model),
                Cell::number(source.bytes as f64, bytes(source.bytes), Tone::Plain),
                match source.idle_seconds {
                    Some(idle) => Cell::number(idle as f64, span(idle), Tone::Quiet),
                    None => unknown(model),
                },
                refused(source),
            ],
        }
    };
    let rows = top.sources.iter().map(row).collect();
    Grid { columns: SOURCES, rows, empty: "nobody asked in the last minute".to_owned() }
}

fn status_tone(status: &str) -> Tone {
    match status.parse::<u16>() {
        Ok(500..) => Tone::Bad,
        Ok(400..=499) => Tone::Warn,
        Ok(200..=299) => Tone::Good,
        _ => Tone::Plain,
    }
}

fn requests(model: &Model, top: &Top) -> Grid {
    let sums = model.history.requests(|count| (count.api.clone(), count.status.clone()));
    let seconds = model.history.window();
    let of_api = model.history.requests(|count| count.api.clone());
    let row = |((api, status), sum): (&(String, String), &super::history::Requests)| {
        let status_text = match status.as_str() {
            "" => "no answer",
            "tls" => "TLS turn",
            "__other__" => "other",
            status => status,
        };
        let all = of_api.get(api).map_or(0, |sum| sum.recent);
        Row {
            id: format!("{api} {status}"),
            cells: vec![
                Cell::text(shown(api), Tone::Strong),
                Cell::text(status_text, status_tone(status)),
                rate_cell(seconds.map(|s| sum.recent as f64 / s), Tone::Plain, model),
                share_cell(sum.recent, all, Tone::Plain, model),
                count_cell(sum.total, Tone::Plain),
                quantile_cell(sum.quantile(0.5, &top.bounds), model),
                quantile_cell(sum.quantile(0.9, &top.bounds), model),
                quantile_cell(sum.quantile(0.99, &top.bounds), model),
            ],
        }
    };
    let rows = sums.iter().map(row).collect();
    Grid { columns: REQUESTS, rows, empty: "no request was seen".to_owned() }
}

/// From what matters least to what matters most.
pub(super) fn severity(name: &str) -> (u8, Tone) {
    match name {
        "critical" => (3, Tone::Bad),
        "warning" => (2, Tone::Warn),
        "notice" => (1, Tone::Plain),
        _ => (0, Tone::Quiet),
    }
}

fn findings(top: &Top) -> Grid {
    let now = top.status.daemon.time;
    let row = |finding: &FindingEntry| {
        let (rank, tone) = severity(&finding.severity);
        let told = match &finding.acknowledged {
            Some(_) => format!("{} seen", finding.severity),
            None if finding.muted => format!("{} muted", finding.severity),
            None => finding.severity.clone(),
        };
        let age = now.saturating_sub(finding.opened);
        Row {
            id: finding.id.clone(),
            cells: vec![
                Cell { text: told, tone, key: Key::Number(rank.into()) },
                Cell::text(&finding.detector, Tone::Strong),
                Cell::text(shown(&finding.api), Tone::Plain),
                Cell::text(finding.source.clone().unwrap_or_default(), Tone::Plain),
                Cell::number(age as f64, span(age), Tone::Quiet),
                Cell::text(&finding.why, Tone::Plain),
            ],
        }
    };
    let rows = top.findings.iter().map(row).collect();
    Grid { columns: FINDINGS, rows, empty: "no open findings".to_owned() }
}

fn reasons(model: &Model, top: &Top) -> Grid {
    let row = |reason: &crate::control::api::ReasonCount| {
        let tone = match reason.verdict.as_str() {
            "pass" => Tone::Good,
            "drop" => Tone::Bad,
            _ => Tone::Warn,
        };
        let now = model.history.reason(&reason.api, &reason.verdict, &reason.reason);
        let packets = match now {
            _ if model.totals => count_cell(reason.packets, Tone::Plain),
            now => rate_cell(now, Tone::Plain, model),
        };
        Row {
            id: format!("{} {} {}", reason.api, reason.verdict, reason.reason),
            cells: vec![
                Cell::text(shown(&reason.api), Tone::Strong),
                Cell::text(reason.verdict.replace('_', " "), tone),
                Cell::text(&reason.reason, Tone::Plain),
                packets,
                Cell::number(reason.bytes as f64, bytes(reason.bytes), Tone::Plain),
                count_cell(reason.packets, Tone::Plain),
            ],
        }
    };
    let counted = top.status.reasons.iter().filter(|reason| reason.packets > 0);
    Grid { columns: REASONS, rows: counted.map(row).collect(), empty: "no packet yet".to_owned() }
}

/// What the row of a ban is called.
pub(super) fn ban_id(ban: &Ban) -> String {
    format!("{} {}", ban.prefix, ban.api.as_deref().unwrap_or_default())
}

fn bans(top: &Top) -> Grid {
    let row = |ban: &Ban| Row {
        id: ban_id(ban),
        cells: vec![
            Cell::text(&ban.prefix, Tone::Strong),
            Cell::text(ban.api.as_deref().unwrap_or("whole host"), Tone::Plain),
            Cell {
                text: remaining(ban.remaining_seconds, "never"),
                tone: Tone::Plain,
                key: Key::Number(ban.remaining_seconds.map_or(f64::MAX, |left| left as f64)),
            },
            count_cell(ban.hits, Tone::Plain),
            Cell::text(if ban.automatic { "detector" } else { "operator" }, Tone::Quiet),
            Cell::text(&ban.reason, Tone::Plain),
        ],
    };
    Grid { columns: BANS, rows: top.bans.iter().map(row).collect(), empty: "no bans".to_owned() }
}
