//! From the model to the screen. Pure: any size is right, nothing is drawn where there is no room.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::cells::rate;
use super::dialog::{BanForm, Dialog, ExplainForm, Field, Text};
use super::grid::{View, fit, put, width};
use super::look::Look;
use super::model::{Model, Page};
use super::pages;
use crate::cli::human::{bytes, count, percent, span};
use crate::cli::style::Tone;
use crate::control::api::{Mode, Status, Top};

/// Lines from which on the first page has room for sources and findings below.
const TALL: u16 = 17;
/// Columns of the spark at the top, at most.
const SPARK: usize = 60;

/// A part of a line.
type Part = (String, Style);

/// Draws all of it.
pub(super) fn draw(model: &Model, now: Duration, buffer: &mut Buffer) {
    let screen = *buffer.area();
    if screen.is_empty() {
        return;
    }
    let mut rest = screen;
    let mut line = |height: u16| {
        let taken = height.min(rest.height);
        let place = Rect { height: taken, ..rest };
        rest = Rect { y: rest.y + taken, height: rest.height - taken, ..rest };
        place
    };
    let look = model.look;
    let Some(top) = model.history.latest() else {
        put(buffer, screen, screen, "waiting for the daemon", look.style(Tone::Quiet), look);
        return;
    };
    head(model, top, now, buffer, line(1));
    let (second, third) = totals(model, top, screen.width.into());
    parts(buffer, line(1), &second, look);
    parts(buffer, line(1), &third, look);
    if let Some(warning) = attention(model, top, now) {
        parts(buffer, line(1), &[warning], look);
    }
    tabs(model, top, buffer, line(1));
    let foot = rest.height.min(1);
    let body = Rect { height: rest.height - foot, ..rest };
    let below = Rect { y: body.y + body.height, height: foot, ..rest };
    let grid = model.grid();
    if model.page == Page::Apis && body.height >= TALL {
        let wanted = grid.rows.len().min(usize::from(body.height)) as u16 + 2;
        let upper = wanted.clamp(6, body.height - 9);
        grid.draw(buffer, Rect { height: upper, ..body }, look, model.view(), true);
        lower(model, buffer, Rect { y: body.y + upper, height: body.height - upper, ..body });
    } else {
        grid.draw(buffer, body, look, model.view(), true);
    }
    footer(model, now, buffer, below);
    if let Some(dialog) = &model.dialog {
        over(dialog, buffer, screen, look);
    }
}

/// Parts of a line one after the other, as far as there is room.
fn parts(buffer: &mut Buffer, area: Rect, parts: &[Part], look: Look) {
    let mut x = area.x;
    for (text, style) in parts {
        x = put(buffer, Rect { x, ..area }, area, text, *style, look);
    }
}

/// How it stands, in one word.
fn state(status: &Status) -> (&'static str, Tone) {
    let gated = status.interfaces.iter().filter(|face| face.problem.is_none()).count();
    let monitored = status.apis.iter().filter(|api| api.mode == Mode::Monitor).count();
    match &status.policy {
        _ if gated == 0 => ("ATTACHED NOWHERE", Tone::Bad),
        _ if gated < status.interfaces.len() => ("PARTLY OPEN", Tone::Bad),
        _ if !status.daemon.ready => ("STARTING", Tone::Warn),
        None => ("OBSERVING", Tone::Warn),
        Some(_) if monitored > 0 && monitored == status.apis.len() => ("MONITORING", Tone::Warn),
        Some(_) => ("ENFORCING", Tone::Good),
    }
}

/// What is in force where, and whether what is shown is of now.
fn head(model: &Model, top: &Top, now: Duration, buffer: &mut Buffer, area: Rect) {
    let look = model.look;
    let status = &top.status;
    let (word, tone) = state(status);
    let mut left = vec![
        ("weir ".to_owned(), look.accent()),
        (word.to_owned(), look.style(tone).add_modifier(Modifier::BOLD)),
    ];
    let plain = look.style(Tone::Plain);
    if let Some(policy) = &status.policy {
        left.push((format!(" {} generation {}", policy.name, policy.generation), plain));
        if policy.pending {
            left.push((" (its file differs)".to_owned(), look.style(Tone::Warn)));
        }
    }
    let faces: Vec<&str> = status.interfaces.iter().map(|face| face.name.as_str()).collect();
    left.push((format!(" on {}", faces.join(", ")), plain));
    let time = status.daemon.time % 86_400;
    let clock = format!("{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60);
    let (right, style) = match model.stale(now) {
        Some(age) => (format!(" STALE {} ", span(age.as_secs())), look.alarm()),
        None if model.paused => (" HELD ".to_owned(), look.alarm()),
        None => (clock, look.style(Tone::Quiet)),
    };
    let taken = (width(&right) as u16 + 1).min(area.width);
    parts(buffer, Rect { width: area.width - taken, ..area }, &left, look);
    let place = Rect { x: area.right().saturating_sub(taken - 1), ..area };
    put(buffer, place, area, &right, style, look);
}

/// What comes in, what is seen of it, and what there is to look at.
fn totals(model: &Model, top: &Top, room: usize) -> (Vec<Part>, Vec<Part>) {
    let look = model.look;
    let (quiet, plain) = (look.style(Tone::Quiet), look.style(Tone::Plain));
    let toned = |value: f64, tone| look.style(if value > 0.0 { tone } else { Tone::Quiet });
    let mut traffic = vec![("packets/s  ".to_owned(), quiet)];
    match model.history.whole() {
        Some(flow) => {
            traffic.extend([
                (format!("pass {:<6}", rate(flow.pass)), plain),
                (format!("drop {:<6}", rate(flow.drop)), toned(flow.drop, Tone::Bad)),
                (format!("would {:<6}", rate(flow.would)), toned(flow.would, Tone::Warn)),
                (format!("in {:<10}", bytes(flow.bytes.round() as u64) + "/s"), quiet),
            ]);
            let taken: usize = traffic.iter().map(|(text, _)| width(text)).sum();
            let spark = room.saturating_sub(taken).min(SPARK);
            traffic.push((look.spark(&model.history.spark(""), spark), look.style(Tone::Good)));
        }
        None => traffic.push(("counting".to_owned(), quiet)),
    }
    let status = &top.status;
    let samples = &status.samples;
    let dot = format!(" {} ", look.glyphs().dot);
    let mut seen = vec![("sensor     ".to_owned(), quiet)];
    if samples.share > 0.0 {
        let tone = if samples.completeness < 0.99 { Tone::Bad } else { Tone::Good };
        seen.push((format!("{} complete", percent(samples.completeness)), look.style(tone)));
        let share = percent(samples.share_now);
        let less = samples.share_now < samples.share;
        let tone = if less { Tone::Warn } else { Tone::Plain };
        seen.push((format!(", {share} of flows"), look.style(tone)));
    } else {
        seen.push(("sensor off".to_owned(), look.style(Tone::Warn)));
    }
    let found = status.findings.open;
    let by = status.findings.by_severity.iter();
    let worst = by.filter(|one| one.value > 0).max_by_key(|one| pages::severity(&one.name).0);
    let worst_tone = worst.map_or(Tone::Quiet, |one| pages::severity(&one.name).1);
    let worst = worst.map_or_else(String::new, |one| format!(" ({} {})", one.value, one.name));
    seen.extend([
        (dot.clone(), quiet),
        (format!("findings {}{worst}", count(found)), look.style(worst_tone)),
        (dot, quiet),
        (format!("bans {}", count(status.bans)), toned(status.bans as f64, Tone::Plain)),
    ]);
    (traffic, seen)
}

/// The one thing that must be known first.
fn attention(model: &Model, top: &Top, now: Duration) -> Option<Part> {
    let look = model.look;
    if let Some(age) = model.stale(now) {
        let why = model.trouble.as_deref().unwrap_or("the daemon does not answer");
        let age = span(age.as_secs());
        return Some((format!("! {age} old: {why}"), look.style(Tone::Bad)));
    }
    let status = &top.status;
    let waiting = status.policy.as_ref().and_then(|policy| policy.confirm_seconds);
    let mut found: Vec<String> = Vec::new();
    if let Some(seconds) = waiting {
        found.push(format!("unconfirmed, rolls back in {seconds} s: `weir confirm` lets it stay"));
    }
    let problems = status
        .interfaces
        .iter()
        .filter_map(|face| Some(format!("{} is not gated: {}", face.name, face.problem.as_ref()?)));
    found.extend(problems);
    found.extend(status.warnings.iter().cloned());
    let more = match found.len() {
        0 => return None,
        1 => String::new(),
        count => format!(" (and {} more: `weir status`)", count - 1),
    };
    Some((format!("! {}{more}", found[0]), look.style(Tone::Warn)))
}

fn tabs(model: &Model, top: &Top, buffer: &mut Buffer, area: Rect) {
    let look = model.look;
    let mut tabs: Vec<Part> = Vec::new();
    for (at, page) in Page::ALL.into_iter().enumerate() {
        let number = match page {
            Page::Findings => top.findings.len(),
            Page::Bans => top.status.bans as usize,
            _ => 0,
        };
        let number = if number > 0 { format!(" ({number})") } else { String::new() };
        let style = if page == model.page {
            look.accent().add_modifier(Modifier::REVERSED)
        } else {
            look.style(Tone::Plain)
        };
        tabs.push((format!(" {} {}{number} ", at + 1, page.title()), style));
    }
    parts(buffer, area, &tabs, look);
    let taken: usize = tabs.iter().map(|(text, _)| width(text)).sum();
    let counted = matches!(model.page, Page::Apis | Page::Sources | Page::Reasons);
    let said = match model.page {
        Page::Requests => format!("last {:.0} s", model.history.window().unwrap_or(0.0)),
        _ if model.totals && counted => "counts".to_owned(),
        Page::Sources => format!("last {:.0} s", top.source_seconds),
        _ => return,
    };
    let free = usize::from(area.width).saturating_sub(taken + 1);
    if width(&said) <= free {
        let place = Rect { x: area.right() - width(&said) as u16, ..area };
        put(buffer, place, area, &said, look.style(Tone::Quiet), look);
    }
}

/// Sources and findings below the APIs.
fn lower(model: &Model, buffer: &mut Buffer, area: Rect) {
    let look = model.look;
    let half = area.width / 2;
    let left = Rect { width: half.saturating_sub(1), ..area };
    let right = Rect { x: area.x + half, width: area.width - half, ..area };
    for (place, page) in [(left, Page::Sources), (right, Page::Findings)] {
        let title = format!("{} ", page.title());
        let line = look.glyphs().across.repeat(place.width.into());
        put(buffer, place, place, &line, look.style(Tone::Quiet), look);
        put(buffer, place, place, &title, look.accent(), look);
        let view = &model.views[page as usize];
        let mut grid = pages::grid_of(model, page);
        grid.arrange(view, &model.filter);
        let below = Rect { y: place.y + 1, height: place.height.saturating_sub(1), ..place };
        let first = View { chosen: None, ..view.clone() };
        grid.draw(buffer, below, look, &first, false);
    }
}

fn footer(model: &Model, now: Duration, buffer: &mut Buffer, area: Rect) {
    let look = model.look;
    if let Some(Dialog::Filter(text)) = &model.dialog {
        let line = [
            ("/".to_owned(), look.accent()),
            (text.clone(), look.style(Tone::Strong)),
            (" ".to_owned(), Style::new().add_modifier(Modifier::REVERSED)),
            ("  Enter keeps, Esc shows all".to_owned(), look.style(Tone::Quiet)),
        ];
        parts(buffer, area, &line, look);
        return;
    }
    if let Some((word, tone)) = model.word(now) {
        put(buffer, area, area, word, look.style(tone), look);
        return;
    }
    let mut keys = Vec::new();
    if model.paused {
        keys.push(("p", "go on"));
    }
    keys.extend([("?", "help"), ("q", "end"), ("s", "sort"), ("/", "filter")]);
    keys.push(("t", if model.totals { "rates" } else { "counts" }));
    keys.extend([("e", "explain"), ("b", "ban")]);
    if model.page == Page::Bans {
        keys.push(("u", "unban"));
    }
    keys.push(("Enter", "more"));
    let mut line: Vec<Part> = Vec::new();
    if !model.filter.is_empty() {
        let filter = format!("only \"{}\", Esc shows all  ", model.filter);
        line.push((filter, look.style(Tone::Warn)));
    }
    line.extend(keys.into_iter().flat_map(|(key, what)| {
        [(key.to_owned(), look.accent()), (format!(" {what}  "), look.style(Tone::Quiet))]
    }));
    // On 80 columns there is no room for blanks behind the last.
    if let Some((last, _)) = line.last_mut() {
        last.truncate(last.trim_end().len());
    }
    parts(buffer, area, &line, look);
}

/// A box in the middle, with a title; returns what is inside.
fn boxed(buffer: &mut Buffer, screen: Rect, size: (u16, u16), title: &str, look: Look) -> Rect {
    let (wide, high) = (size.0.min(screen.width), size.1.min(screen.height));
    let area = Rect {
        x: screen.x + (screen.width - wide) / 2,
        y: screen.y + (screen.height - high) / 2,
        width: wide,
        height: high,
    };
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            buffer[(x, y)].reset();
        }
    }
    if wide < 4 || high < 3 {
        return area;
    }
    let glyphs = look.glyphs();
    let line = glyphs.across.repeat(usize::from(wide) - 2);
    let style = look.style(Tone::Quiet);
    for (y, at) in [(area.y, 0), (area.bottom() - 1, 2)] {
        let text = format!("{}{line}{}", glyphs.corners[at], glyphs.corners[at + 1]);
        put(buffer, Rect { y, ..area }, area, &text, style, look);
    }
    for y in area.y + 1..area.bottom() - 1 {
        put(buffer, Rect { y, ..area }, area, glyphs.down, style, look);
        put(buffer, Rect { x: area.right() - 1, y, ..area }, area, glyphs.down, style, look);
    }
    let title = fit(&format!(" {title} "), usize::from(wide) - 4, look);
    put(buffer, Rect { x: area.x + 2, ..area }, area, &title, look.accent(), look);
    Rect { x: area.x + 2, y: area.y + 1, width: wide - 4, height: high - 2 }
}

fn over(dialog: &Dialog, buffer: &mut Buffer, screen: Rect, look: Look) {
    match dialog {
        Dialog::Filter(_) => {}
        Dialog::Text(text) => read(text, buffer, screen, look),
        Dialog::Explain(form) => explain(form, buffer, screen, look),
        Dialog::Ban(form) => ban(form, buffer, screen, look),
        Dialog::Unban(ban, problem) => {
            let inside = boxed(buffer, screen, (60, 7), "End a ban", look);
            let place = ban.api.as_ref().map_or_else(String::new, |api| format!(" at {api}"));
            let lines = [
                (format!("{}{place}: end this ban?", ban.prefix), Tone::Strong),
                (String::new(), Tone::Plain),
                ("y yes   n no".to_owned(), Tone::Plain),
                (problem.clone(), Tone::Bad),
            ];
            column(buffer, inside, &lines, look);
        }
    }
}

/// Lines one below the other, those that are too long over several.
fn column(buffer: &mut Buffer, area: Rect, lines: &[(String, Tone)], look: Look) {
    let mut y = area.y;
    for (text, tone) in lines {
        for part in wrapped(text, area.width.into()) {
            put(buffer, Rect { y, ..area }, area, &part, look.style(*tone), look);
            y += 1;
        }
    }
}

/// The text in lines of a width, broken at spaces.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        if !line.is_empty() && width(&line) + width(word.trim_end()) > room {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}

fn read(text: &Text, buffer: &mut Buffer, screen: Rect, look: Look) {
    let most = usize::from(screen.width).saturating_sub(4).max(1);
    let lines: Vec<String> = text.lines.iter().flat_map(|line| wrapped(line, most)).collect();
    let widest = lines.iter().map(|line| width(line)).max().unwrap_or(0).max(30);
    let size = (widest.min(most) as u16 + 4, lines.len() as u16 + 2);
    let inside = boxed(buffer, screen, size, &text.title, look);
    let room = usize::from(inside.height);
    let first = text.first.min(lines.len().saturating_sub(room));
    for (line, text) in lines.iter().skip(first).take(room).enumerate() {
        let place = Rect { y: inside.y + line as u16, ..inside };
        put(buffer, place, inside, text, Style::new(), look);
    }
    if first + room < lines.len() && inside.height > 1 {
        let more = format!(" {} more ", lines.len() - first - room);
        let place = Rect { y: inside.bottom(), ..inside };
        put(buffer, place, screen, &more, look.accent(), look);
    }
}

fn field(field: &Field, active: bool, look: Look) -> [Part; 3] {
    let style = if active { look.style(Tone::Strong) } else { look.style(Tone::Plain) };
    let mark = if active { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
    [
        (format!("{:8}", field.name), look.style(Tone::Quiet)),
        (field.text.clone(), style),
        (" ".to_owned(), mark),
    ]
}

fn explain(form: &ExplainForm, buffer: &mut Buffer, screen: Rect, look: Look) {
    let inside = boxed(buffer, screen, (66, 9), "Explain a packet", look);
    for (at, one) in form.fields.iter().enumerate() {
        let place = Rect { y: inside.y + at as u16, height: 1, ..inside };
        if inside.contains(place.into()) {
            parts(buffer, place, &field(one, at == form.at, look), look);
        }
    }
    let rest = below(inside, 3);
    let lines = [
        ("Enter asks, Tab changes the field, Esc leaves".to_owned(), Tone::Quiet),
        (form.problem.clone(), Tone::Warn),
    ];
    column(buffer, rest, &lines, look);
}

fn ban(form: &BanForm, buffer: &mut Buffer, screen: Rect, look: Look) {
    let inside = boxed(buffer, screen, (66, 11), "Ban a source", look);
    let place = Field { name: "Where", text: form.place() };
    for (at, one) in form.fields.iter().chain([&place]).enumerate() {
        let line = Rect { y: inside.y + at as u16, height: 1, ..inside };
        if inside.contains(line.into()) {
            parts(buffer, line, &field(one, at == form.at, look), look);
        }
    }
    let lines = match &form.confirm {
        Some(question) => {
            [(question.clone(), Tone::Bad), ("y yes   n no".to_owned(), Tone::Strong)]
        }
        None => {
            let narrow = if form.api.is_some() { ", Space changes where" } else { "" };
            [
                (format!("Enter goes on, Tab changes the field{narrow}, Esc leaves"), Tone::Quiet),
                (form.problem.clone(), Tone::Warn),
            ]
        }
    };
    column(buffer, below(inside, 4), &lines, look);
}

fn below(area: Rect, lines: u16) -> Rect {
    let taken = lines.min(area.height);
    Rect { y: area.y + taken, height: area.height - taken, ..area }
}
