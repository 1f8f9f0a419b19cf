//! The report as one HTML page: no scripts, nothing from outside, light and dark, on screen and paper.

mod chart;

use std::fmt::Write as _;

use super::escape::html as safe;
use super::points::Topic;
use super::rows::{self, Row};
use super::{ApiFacts, LayerKind, Posture, Report, Risk, words};

const STYLE: &str = include_str!("html/style.css");

/// Writing to a `String` cannot fail.
macro_rules! put {
    ($to:expr, $($what:tt)*) => { let _infallible = writeln!($to, $($what)*); };
}

pub(super) fn write(report: &Report) -> String {
    let mut text = String::new();
    let host = safe(&report.facts.host);
    put!(text, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
    put!(text, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    // A page that asks for nothing, even if something of it were to.
    put!(
        text,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    );
    put!(text, "<meta name=\"color-scheme\" content=\"light dark\">");
    put!(text, "<title>API posture of {host}, {}</title>\n<style>\n{STYLE}</style>", report.date);
    put!(text, "</head>\n<body>\n<header>\n<h1>API posture of {host}</h1>");
    put!(text, "<p class=\"date\">{}</p>\n<p>{}</p>", words::date(report.facts.time), rows::ABOUT);
    put!(text, "</header>\n<main>");
    tiles(&mut text, report);
    put!(text, "<section><h2>What this is about</h2>");
    list(&mut text, &rows::head(report));
    put!(text, "</section>");
    charts(&mut text, report);
    points(&mut text, report);
    changes(&mut text, report);
    matrices(&mut text, report);
    for (place, (facts, posture)) in report.facts.apis.iter().zip(&report.apis).enumerate() {
        api(&mut text, report, place, facts, posture);
    }
    put!(text, "<section><h2>How much was seen</h2>");
    list(&mut text, &rows::telemetry(&report.facts));
    put!(text, "<p>What no report of weir says:</p><ul>");
    for line in rows::BLIND {
        put!(text, "<li>{line}</li>");
    }
    put!(text, "</ul></section>\n</main>\n</body>\n</html>");
    text
}

fn tiles(text: &mut String, report: &Report) {
    put!(text, "<ul class=\"tiles\">");
    for (name, number, kind) in rows::tiles(report) {
        let kind = if number == 0 { "plain" } else { kind };
        put!(text, "<li class=\"{kind}\"><b>{}</b> {}</li>", words::count(number), safe(&name));
    }
    put!(text, "</ul>");
}

fn list(text: &mut String, rows: &[Row]) {
    put!(text, "<dl>");
    for (name, value) in rows {
        put!(text, "<dt>{name}</dt><dd>{}</dd>", safe(value));
    }
    put!(text, "</dl>");
}

fn charts(text: &mut String, report: &Report) {
    put!(text, "<section><h2>Layers, API by API</h2>\n{}</section>", chart::layers(report));
    let shares = chart::credentials(report);
    if !shares.is_empty() {
        put!(text, "<section><h2>Requests by what they log in with</h2>\n{shares}</section>");
    }
}

fn points(text: &mut String, report: &Report) {
    for (title, nothing, topics) in [
        ("Open findings", "No finding is open.", &[Topic::Finding][..]),
        ("Overdue", "Nothing is overdue.", &[Topic::Overdue]),
        ("Missing", "Nothing is missing.", &[Topic::Layer, Topic::Telemetry]),
    ] {
        put!(text, "<section><h2>{title}</h2>");
        let mut those =
            report.points.iter().filter(|point| topics.contains(&point.topic)).peekable();
        if those.peek().is_none() {
            put!(text, "<p>{nothing}</p></section>");
            continue;
        }
        put!(text, "<table><thead><tr><th>level</th><th>API</th><th>what</th></tr></thead><tbody>");
        for point in those {
            let at = if point.api.is_empty() { "host" } else { &point.api };
            let level = point.level.name();
            put!(
                text,
                "<tr><td><span class=\"level {level}\">{level}</span></td><td class=\"at\">{}</td><td>{}</td></tr>",
                safe(at),
                safe(&point.text)
            );
        }
        put!(text, "</tbody></table></section>");
    }
}

fn changes(text: &mut String, report: &Report) {
    put!(text, "<section><h2>What changed</h2>");
    match &report.changes {
        None => {
            put!(text, "<p>This is the first report.</p>");
        }
        Some(changes) => {
            let lines = rows::changes(changes);
            let since = words::date(changes.since);
            if lines.is_empty() {
                put!(text, "<p>Nothing since the report of {since}.</p>");
            } else {
                put!(text, "<p>Since the report of {since}:</p><ul>");
                for line in lines {
                    put!(text, "<li>{}</li>", safe(&line));
                }
                put!(text, "</ul>");
            }
        }
    }
    put!(text, "</section>");
}

/// The class of a state or coverage, of the words of its title.
fn class(title: &str) -> &'static str {
    match title {
        "present" | "covered" => "good",
        "partly" => "partly",
        "missing" => "bad",
        _ => "unseen",
    }
}

fn cell(text: &mut String, sign: &str, title: &str) {
    put!(text, "<td class=\"cell {}\" title=\"{title}\">{sign}</td>", class(title));
}

fn matrices(text: &mut String, report: &Report) {
    put!(text, "<section class=\"wide\"><h2>OWASP API Security Top 10 (2023)</h2>");
    put!(
        text,
        "<p>✓ covered · ◐ partly · ? not visible to weir; the reasons are with each API</p>"
    );
    put!(text, "<div class=\"scroll\"><table class=\"matrix\"><thead><tr><th>API</th>");
    for risk in Risk::ALL {
        put!(text, "<th title=\"{}\">{}</th>", risk.title(), risk.id().trim_end_matches(":2023"));
    }
    put!(text, "</tr></thead><tbody>");
    for posture in &report.apis {
        put!(text, "<tr><th>{}</th>", safe(&posture.name));
        for entry in &posture.owasp {
            cell(text, rows::mark(entry.coverage), entry.coverage.title());
        }
        put!(text, "</tr>");
    }
    put!(text, "</tbody></table></div>\n<ol class=\"risks\">");
    for risk in Risk::ALL {
        put!(text, "<li>{}</li>", risk.title());
    }
    put!(text, "</ol></section>");
    put!(text, "<section class=\"wide\"><h2>Layers</h2>");
    put!(text, "<p>✓ present · ◐ partly · ✗ missing · ? not seen · – does not apply</p>");
    put!(text, "<div class=\"scroll\"><table class=\"matrix\"><thead><tr><th>API</th>");
    for layer in LayerKind::ALL {
        put!(text, "<th>{}</th>", layer.title());
    }
    put!(text, "</tr></thead><tbody>");
    for posture in &report.apis {
        put!(text, "<tr><th>{}</th>", safe(&posture.name));
        for layer in &posture.layers {
            cell(text, rows::sign(layer.state), layer.state.title());
        }
        put!(text, "</tr>");
    }
    put!(text, "</tbody></table></div></section>");
}

fn api(text: &mut String, report: &Report, place: usize, facts: &ApiFacts, posture: &Posture) {
    let undeclared = if facts.seen.declared { "" } else { " <small>not declared</small>" };
    put!(
        text,
        "<section class=\"api\" id=\"api-{place}\"><h2>{}{undeclared}</h2>",
        safe(&posture.name)
    );
    list(text, &rows::api(facts));
    put!(text, "<table><thead><tr><th>layer</th><th></th><th>found</th></tr></thead><tbody>");
    for layer in &posture.layers {
        put!(text, "<tr><td>{}</td>", layer.layer.title());
        state(text, rows::sign(layer.state), layer.state.title());
        put!(text, "<td>{}</td></tr>", safe(&layer.found));
    }
    put!(text, "</tbody></table>");
    put!(
        text,
        "<table><thead><tr><th>OWASP API Top 10</th><th></th><th>why</th><th>findings</th></tr></thead><tbody>"
    );
    for entry in &posture.owasp {
        put!(text, "<tr><td>{}<br><small>{}</small></td>", entry.risk.title(), entry.risk.id());
        state(text, rows::mark(entry.coverage), entry.coverage.title());
        put!(
            text,
            "<td>{}</td><td class=\"number\">{}</td></tr>",
            safe(&entry.reason),
            entry.findings
        );
    }
    put!(text, "</tbody></table>");
    let mut open = report
        .facts
        .findings
        .iter()
        .filter(|found| found.state == "open" && found.api == posture.name)
        .peekable();
    if open.peek().is_some() {
        put!(
            text,
            "<table><thead><tr><th>finding</th><th>severity</th><th>opened</th><th>why</th></tr></thead><tbody>"
        );
        for found in open {
            put!(
                text,
                "<tr><td>{} <small>{}</small></td><td>{}</td><td>{}</td><td>{}</td></tr>",
                safe(&found.detector),
                safe(&found.id),
                safe(&found.severity),
                words::date(found.opened),
                safe(&found.why)
            );
        }
        put!(text, "</tbody></table>");
    }
    put!(text, "</section>");
}

fn state(text: &mut String, sign: &str, title: &str) {
    put!(text, "<td class=\"state {}\">{sign} {title}</td>", class(title));
}
