//! The tables: from what the daemon answered to rows. Pure.

use super::dialog::Text;
use super::grid::{Cell, Column, Grid, Key, Row};
use super::history::{Flow, Quantile};
use super::model::{Model, Page};
use crate::cli::breach::mode_name;
use crate::cli::human::{bytes, count, percent, remaining, span};
use crate::cli::style::Tone;
use crate::control::api::{
    ApiStatus, Ban, FindingEntry, Mode, PacketCounts, SourceCount, Status, Top,
};

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

/// What a row is about: what can be explained and banned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subject {
    /// An address or a network.
    pub(super) source: Option<String>,
    /// The API's name.
    pub(super) api: Option<String>,
    /// Where packets go, as a policy writes it.
    pub(super) to: Option<String>,
}

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

fn shown(api: &str) -> &str {
    if api == UNCLAIMED { UNCLAIMED_SHOWN } else { api }
}

/// A number a second: with decimals when it is small.
pub(super) fn rate(value: f64) -> String {
    match value {
        _ if value <= 0.0 => "0".to_owned(),
        _ if value < 0.05 => "<0.1".to_owned(),
        _ if value < 9.95 => format!("{value:.1}"),
        _ => count(value.round() as u64),
    }
}

fn rate_cell(value: Option<f64>, tone: Tone, model: &Model) -> Cell {
    match value {
        Some(value) if value <= 0.0 => Cell::number(value, "0", Tone::Quiet),
        Some(value) => Cell::number(value, rate(value), tone),
        None => unknown(model),
    }
}

fn count_cell(value: u64, tone: Tone) -> Cell {
    Cell::number(value as f64, count(value), if value == 0 { Tone::Quiet } else { tone })
}

fn unknown(model: &Model) -> Cell {
    Cell::number(-1.0, model.look.glyphs().none, Tone::Quiet)
}

/// Bytes a second.
fn byte_rate(value: Option<f64>, model: &Model) -> Cell {
    match value {
        Some(value) => {
            let tone = if value < 0.5 { Tone::Quiet } else { Tone::Plain };
            Cell::number(value, bytes(value.round() as u64), tone)
        }
        None => unknown(model),
    }
}

fn quantile_cell(quantile: Quantile, model: &Model) -> Cell {
    match quantile {
        Quantile::Unknown => unknown(model),
        Quantile::At(seconds) => Cell::number(seconds, seconds_text(seconds), Tone::Plain),
        Quantile::Beyond(seconds) => {
            Cell::number(seconds * 2.0, format!(">{}", seconds_text(seconds)), Tone::Bad)
        }
    }
}

/// Seconds with two or three digits.
fn seconds_text(seconds: f64) -> String {
    let milli = seconds * 1e3;
    match milli {
        _ if milli < 0.995 => format!("{:.0}us", (milli * 1e3).max(1.0)),
        _ if milli < 9.95 => format!("{milli:.1}ms"),
        _ if milli < 999.5 => format!("{milli:.0}ms"),
        _ if seconds < 9.95 => format!("{seconds:.1}s"),
        _ => format!("{seconds:.0}s"),
    }
}

fn share_cell(part: u64, of: u64, tone: Tone, model: &Model) -> Cell {
    if of == 0 {
        return unknown(model);
    }
    let share = part as f64 / of as f64;
    let tone = if part == 0 { Tone::Quiet } else { tone };
    Cell::number(share, percent(share).replace(' ', ""), tone)
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

fn source_id(source: &SourceCount) -> String {
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

fn ban_id(ban: &Ban) -> String {
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

/// The row that is chosen on the page.
fn chosen(model: &Model) -> Option<String> {
    let grid = model.grid();
    let at = grid.chosen(model.view())?;
    Some(grid.rows[at].id.clone())
}

/// The ban that is chosen.
pub(super) fn chosen_ban(model: &Model) -> Option<&Ban> {
    let id = chosen(model).filter(|_| model.page == Page::Bans)?;
    model.history.latest()?.bans.iter().find(|ban| ban_id(ban) == id)
}

fn chosen_finding(model: &Model) -> Option<&FindingEntry> {
    let id = chosen(model).filter(|_| model.page == Page::Findings)?;
    model.history.latest()?.findings.iter().find(|finding| finding.id == id)
}

/// Where an API is reached, as far as that is known: where it listens, at an address that the policy
/// says or that somebody asked.
fn reached(top: &Top, api: &str) -> Option<String> {
    let of_api = top.sources.iter().filter(|source| source.api == api);
    let asked = of_api.chain(&top.sources).find_map(|source| source.server);
    let listen = top.status.apis.iter().find(|known| known.name == api)?.listen.first()?;
    if listen.contains(':') {
        return Some(listen.clone());
    }
    match asked?.ip() {
        std::net::IpAddr::V4(address) => Some(format!("{address}:{listen}")),
        std::net::IpAddr::V6(address) => Some(format!("[{address}]:{listen}")),
    }
}

/// What the chosen row is about.
pub(super) fn subject(model: &Model) -> Subject {
    let (Some(top), Some(id)) = (model.history.latest(), chosen(model)) else {
        return Subject::default();
    };
    let of_api =
        |api: &str| Subject { source: None, api: Some(api.to_owned()), to: reached(top, api) };
    match model.page {
        Page::Apis => of_api(&id),
        Page::Requests | Page::Reasons => of_api(id.split(' ').next().unwrap_or_default()),
        Page::Sources => {
            let source = top.sources.iter().find(|source| source_id(source) == id);
            source.map_or_else(Subject::default, |source| Subject {
                source: Some(source.source.to_string()),
                to: source.server.map(|at| at.to_string()).or_else(|| reached(top, &source.api)),
                api: Some(source.api.clone()),
            })
        }
        Page::Findings => chosen_finding(model).map_or_else(Subject::default, |finding| Subject {
            source: finding.source.clone(),
            ..of_api(&finding.api)
        }),
        Page::Bans => chosen_ban(model).map_or_else(Subject::default, |ban| Subject {
            source: Some(ban.prefix.clone()),
            ..ban.api.as_deref().map_or_else(Subject::default, of_api)
        }),
    }
}

/// All that is known of the chosen row.
pub(super) fn detail(model: &Model) -> Option<Text> {
    if let Some(finding) = chosen_finding(model) {
        return Some(Text::of("Finding", &finding_text(finding)));
    }
    let grid = model.grid();
    let row = &grid.rows[grid.chosen(model.view())?];
    let mut text = String::new();
    for (column, cell) in grid.columns.iter().zip(&row.cells) {
        let value = if cell.text.is_empty() { model.look.glyphs().none } else { &cell.text };
        text.push_str(&format!("{:9} {value}\n", column.title));
    }
    if model.page == Page::Apis
        && let Some(api) = api(&model.history.latest()?.status, &row.id)
    {
        text.push_str(&format!("\n{:9} {}\n", "LISTEN", api.listen.join(" ")));
        for (name, value) in [("OWNER", &api.owner), ("CRITICAL", &api.criticality)] {
            if !value.is_empty() {
                text.push_str(&format!("{name:9} {value}\n"));
            }
        }
    }
    Some(Text::of(model.page.title(), &text))
}

fn api<'a>(status: &'a Status, name: &str) -> Option<&'a ApiStatus> {
    status.apis.iter().find(|api| api.name == name)
}

/// A number without more digits than matter.
fn short(value: f64) -> String {
    if value.abs() >= 1_000.0 || value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    format!("{value:.3}").trim_end_matches('0').to_owned()
}

fn finding_text(finding: &FindingEntry) -> String {
    let FindingEntry { id, detector, severity, api, why, unit, .. } = finding;
    let mut text = format!("{detector}, {severity}, at {}\n\n{why}\n\n", shown(api));
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:10} {value}\n"));
    if let (Some(method), Some(route)) = (&finding.method, &finding.route) {
        line("endpoint", format!("{method} {route}"));
    }
    if let Some(source) = &finding.source {
        line("source", source.clone());
    }
    line("observed", format!("{} {unit}", short(finding.observed)));
    line("baseline", format!("{} {unit}", short(finding.baseline)));
    line("threshold", format!("{} {unit}", short(finding.threshold)));
    line("window", span(finding.window_seconds));
    line("complete", percent(finding.completeness));
    if let Some(owasp) = &finding.owasp {
        line("OWASP", owasp.clone());
    }
    if finding.evidence_forgeable {
        line("evidence", "anyone could have forged it".to_owned());
    }
    line("id", id.clone());
    text.push_str(
        "\nweir findings show ID says more; weir findings ack ID notes that you have seen it.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (value, text) in [
            (0.0, "0"),
            (0.01, "<0.1"),
            (0.26, "0.3"),
            (9.94, "9.9"),
            (9.96, "10"),
            (1_234.4, "1234"),
            (123_456.0, "123k"),
        ] {
            assert_eq!(rate(value), text, "{value}");
        }
        for (value, text) in [
            (0.000_000_4, "1us"),
            (0.000_5, "500us"),
            (0.000_999, "1.0ms"),
            (0.012_3, "12ms"),
            (0.999_6, "1.0s"),
            (12.3, "12s"),
        ] {
            assert_eq!(seconds_text(value), text, "{value}");
        }
        for (value, text) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (0.560_873_6, "0.561"),
            (1_234.567, "1235"),
            (-2.25, "-2.25"),
        ] {
            assert_eq!(short(value), text, "{value}");
        }
    }
}
