//! The report as Markdown.

use std::fmt::Write as _;

use super::escape::markdown as safe;
use super::points::Topic;
use super::rows::{self, Row};
use super::{LayerKind, Point, Posture, Report, Risk};

/// Writing to a `String` cannot fail.
macro_rules! put {
    ($to:expr, $($what:tt)*) => { let _infallible = writeln!($to, $($what)*); };
}

pub(super) fn write(report: &Report) -> String {
    let mut text = String::new();
    put!(text, "# API posture of {}, {}\n", safe(&report.facts.host), report.date);
    put!(text, "{}\n", rows::ABOUT);
    table(&mut text, &rows::head(report));
    summary(&mut text, report);
    points(&mut text, report);
    changes(&mut text, report);
    matrices(&mut text, report);
    for (facts, posture) in report.facts.apis.iter().zip(&report.apis) {
        api(&mut text, report, facts, posture);
    }
    put!(text, "\n## How much was seen\n");
    table(&mut text, &rows::telemetry(&report.facts));
    put!(text, "\nWhat no report of weir says:\n");
    for line in rows::BLIND {
        put!(text, "- {line}");
    }
    text
}

fn table(text: &mut String, rows: &[Row]) {
    put!(text, "| | |\n| --- | --- |");
    for (name, value) in rows {
        put!(text, "| {name} | {} |", safe(value));
    }
}

fn summary(text: &mut String, report: &Report) {
    let tiles: Vec<String> =
        rows::tiles(report).iter().map(|(name, number, _)| format!("{name}: {number}")).collect();
    put!(text, "\n## At a glance\n\n{}.", tiles.join(" · "));
}

fn one(text: &mut String, point: &Point) {
    let at = if point.api.is_empty() { "host" } else { &point.api };
    put!(
        text,
        "| {} | {} | {} | {} |",
        point.level.name(),
        point.topic.name(),
        safe(at),
        safe(&point.text)
    );
}

fn points(text: &mut String, report: &Report) {
    for (title, nothing, topics) in [
        ("Open findings", "No finding is open.", &[Topic::Finding][..]),
        ("Overdue", "Nothing is overdue.", &[Topic::Overdue]),
        ("Missing", "Nothing is missing.", &[Topic::Layer, Topic::Telemetry]),
    ] {
        put!(text, "\n## {title}\n");
        let mut those =
            report.points.iter().filter(|point| topics.contains(&point.topic)).peekable();
        if those.peek().is_none() {
            put!(text, "{nothing}");
            continue;
        }
        put!(text, "| level | about | API | what |\n| --- | --- | --- | --- |");
        those.for_each(|point| one(text, point));
    }
}

fn changes(text: &mut String, report: &Report) {
    put!(text, "\n## What changed\n");
    let Some(changes) = &report.changes else {
        put!(text, "This is the first report.");
        return;
    };
    let lines = rows::changes(changes);
    put!(text, "Since the report of {}:\n", super::words::date(changes.since));
    if lines.is_empty() {
        put!(text, "Nothing.");
    }
    for line in lines {
        put!(text, "- {}", safe(&line));
    }
}

fn matrices(text: &mut String, report: &Report) {
    let heads: Vec<&str> = LayerKind::ALL.map(LayerKind::title).to_vec();
    put!(text, "\n## Layers\n\n✓ present · ◐ partly · ✗ missing · ? not seen · – does not apply\n");
    put!(text, "| API | {} |\n| --- |{}", heads.join(" | "), " :-: |".repeat(heads.len()));
    for posture in &report.apis {
        let signs: Vec<&str> = posture.layers.iter().map(|layer| rows::sign(layer.state)).collect();
        put!(text, "| {} | {} |", safe(&posture.name), signs.join(" | "));
    }
    put!(
        text,
        "\n## OWASP API Security Top 10 (2023)\n\n✓ covered · ◐ partly · ? not visible to weir; the reasons are with each API\n"
    );
    let names: Vec<&str> = report.apis.iter().map(|api| api.name.as_str()).collect();
    let names: Vec<String> = names.into_iter().map(safe).collect();
    put!(text, "| risk | {} |\n| --- |{}", names.join(" | "), " :-: |".repeat(names.len()));
    for (place, risk) in Risk::ALL.into_iter().enumerate() {
        let marks: Vec<&str> = report
            .apis
            .iter()
            .map(|api| api.owasp.get(place).map_or("?", |entry| rows::mark(entry.coverage)))
            .collect();
        put!(text, "| {} {} | {} |", risk.id(), risk.title(), marks.join(" | "));
    }
}

fn api(text: &mut String, report: &Report, facts: &super::ApiFacts, posture: &Posture) {
    let undeclared = if facts.seen.declared { "" } else { " (not declared)" };
    put!(text, "\n## {}{undeclared}\n", safe(&posture.name));
    table(text, &rows::api(facts));
    put!(text, "\n| layer | | found |\n| --- | --- | --- |");
    for layer in &posture.layers {
        let (sign, state) = (rows::sign(layer.state), layer.state.title());
        put!(text, "| {} | {sign} {state} | {} |", layer.layer.title(), safe(&layer.found));
    }
    put!(text, "\n| OWASP API Top 10 | | why | findings |\n| --- | --- | --- | --: |");
    for entry in &posture.owasp {
        let (mark, how) = (rows::mark(entry.coverage), entry.coverage.title());
        put!(
            text,
            "| {} {} | {mark} {how} | {} | {} |",
            entry.risk.id(),
            entry.risk.title(),
            safe(&entry.reason),
            entry.findings
        );
    }
    let open: Vec<_> = report
        .facts
        .findings
        .iter()
        .filter(|found| found.state == "open" && found.api == posture.name)
        .collect();
    if !open.is_empty() {
        put!(text, "\n| finding | severity | opened | why |\n| --- | --- | --- | --- |");
        for found in open {
            put!(
                text,
                "| {} {} | {} | {} | {} |",
                safe(&found.id),
                safe(&found.detector),
                safe(&found.severity),
                super::words::date(found.opened),
                safe(&found.why)
            );
        }
    }
}
