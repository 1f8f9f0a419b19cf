//! Charts as inline SVG. Every part of a bar says in words what it is; colour only repeats that.

use std::fmt::Write as _;

use super::super::escape::html as safe;
use super::super::{Report, State, rows, words};

/// Lengths in the units of the drawing, which scales with the page.
const WIDTH: f64 = 720.0;
const LABEL: f64 = 150.0;
const BAR: f64 = 20.0;
const STEP: f64 = 30.0;
const LEGEND: f64 = 26.0;
/// Below this a part has no room for its number.
const ROOM: f64 = 22.0;
/// Characters of a name before its bar.
const NAME: usize = 20;

/// A part of a bar.
struct Part {
    class: &'static str,
    size: f64,
    shown: String,
    told: String,
}

fn cut(name: &str) -> String {
    if name.chars().count() <= NAME {
        return safe(name);
    }
    let short: String = name.chars().take(NAME - 1).collect();
    safe(&short) + "…"
}

/// Bars of one length each, one below the other.
fn bars(title: &str, legend: &[(&str, String)], rows: &[(String, Vec<Part>)]) -> String {
    let height = LEGEND + STEP * rows.len() as f64 + 6.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n<title>{}</title>\n",
        safe(title),
        safe(title)
    );
    let mut x = LABEL;
    for (class, name) in legend {
        let _infallible = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"4\" width=\"12\" height=\"12\" rx=\"2\"/>\
             <text x=\"{:.1}\" y=\"14\">{}</text>",
            x + 17.0,
            safe(name)
        );
        x += 32.0 + 7.2 * name.chars().count() as f64;
    }
    for (place, (name, parts)) in rows.iter().enumerate() {
        let y = LEGEND + STEP * place as f64;
        let _infallible = writeln!(
            svg,
            "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LABEL - 10.0,
            y + 15.0,
            cut(name)
        );
        let whole: f64 = parts.iter().map(|part| part.size).sum();
        let mut x = LABEL;
        for part in parts.iter().filter(|part| part.size > 0.0 && whole > 0.0) {
            let width = (WIDTH - LABEL) * part.size / whole;
            let _infallible = writeln!(
                svg,
                "<rect class=\"{}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\">\
                 <title>{}</title></rect>",
                part.class,
                (width - 2.0).max(0.5),
                safe(&part.told)
            );
            if width >= ROOM.max(8.0 * part.shown.chars().count() as f64) {
                let _infallible = writeln!(
                    svg,
                    "<text class=\"on {}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    part.class,
                    x + width / 2.0 - 1.0,
                    y + 14.5,
                    safe(&part.shown)
                );
            }
            x += width;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

const fn class(state: State) -> &'static str {
    match state {
        State::Present => "good",
        State::Partly => "partly",
        State::Missing => "bad",
        State::Unseen => "unseen",
        State::NotApplicable => "none",
    }
}

/// How many layers of each API are in which state.
pub(super) fn layers(report: &Report) -> String {
    let legend = State::ALL.map(|state| (class(state), state.title().to_owned()));
    let rows: Vec<_> = report
        .apis
        .iter()
        .map(|api| {
            let parts = State::ALL.map(|state| {
                let number = api.count(state);
                let told =
                    format!("{}: {} {}", api.name, words::count(number as u64), state.title());
                Part { class: class(state), size: number as f64, shown: number.to_string(), told }
            });
            (api.name.clone(), parts.into())
        })
        .collect();
    bars(
        "How many layers of each API are present, partly there, missing or not seen",
        &legend,
        &rows,
    )
}

/// Kinds of credentials that have a colour of their own, each the same in every bar.
const KINDS: usize = 6;
const COLOURS: [&str; KINDS] = ["c0", "c1", "c2", "c3", "c4", "c5"];

/// The share of each kind of credential; empty when no request was read.
pub(super) fn credentials(report: &Report) -> String {
    let seen: Vec<_> = report
        .facts
        .apis
        .iter()
        .map(|api| (api.seen.name.clone(), rows::kinds(api)))
        .filter(|(_, kinds)| !kinds.is_empty())
        .collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, ..) in seen.iter().flat_map(|(_, kinds)| kinds) {
        if name != "none" && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    let colour = |kind: &str| match names.iter().position(|name| *name == kind) {
        Some(place) => COLOURS[place.min(KINDS - 1)],
        None => "bad",
    };
    let mut legend: Vec<(&str, String)> =
        names.iter().map(|name| (colour(name), (*name).to_owned())).collect();
    legend.push(("bad", "none".to_owned()));
    let bar = |api: &str, kinds: &[(String, u64, f64)]| -> Vec<Part> {
        let part = |(kind, number, share): &(String, u64, f64)| Part {
            class: colour(kind),
            size: *number as f64,
            shown: words::percent(share.min(1.0)),
            told: format!("{api}: {kind}: {} requests", words::count(*number)),
        };
        kinds.iter().map(part).collect()
    };
    let bars_of: Vec<_> = seen.iter().map(|(api, kinds)| (api.clone(), bar(api, kinds))).collect();
    if bars_of.is_empty() {
        return String::new();
    }
    bars("Requests of each API by the kind of credential they carried", &legend, &bars_of)
}
