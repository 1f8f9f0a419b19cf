//! Changes limits in the text of a policy, and nothing else of it; the change as a unified diff. Pure.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Lines shown around a change.
const CONTEXT: usize = 3;

/// A piece of text that takes the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edit {
    range: Range<usize>,
    text: String,
}

/// An API and what its `limit` is to have: (API, [(key, value)]).
pub(super) type Wanted<'a> = (&'a str, Vec<(&'a str, &'a str)>);

/// A new text and how it differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edited {
    /// All of it.
    pub(super) text: String,
    /// The hunks, without the two lines that name files; empty when nothing changed.
    pub(super) hunks: String,
}

/// Sets keys of the `limit` of APIs. What has no place is named in the error.
pub(super) fn edit(text: &str, wanted: &[Wanted<'_>]) -> Result<Edited, String> {
    let root = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    let mut edits = Vec::new();
    for (api, limits) in wanted {
        let found = place(root.get_ref(), api, text, limits);
        let lines = || {
            let limits = limits.iter().map(|(key, value)| format!("{key} = \"{value}\""));
            limits.collect::<Vec<_>>().join(", ")
        };
        edits.extend(found.ok_or_else(|| {
            format!(
                "API \"{api}\" is written in a way that cannot be edited; write by hand: {}",
                lines()
            )
        })?);
    }
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    Ok(apply(text, &edits))
}

/// The edits for one API.
fn place(root: &DeTable<'_>, name: &str, text: &str, limits: &[(&str, &str)]) -> Option<Vec<Edit>> {
    let DeValue::Array(apis) = root.get("api")?.get_ref() else { return None };
    let is_it = |table: &&DeTable<'_>| {
        table
            .get("name")
            .is_some_and(|held| matches!(held.get_ref(), DeValue::String(held) if held == name))
    };
    let tables = apis.iter().filter_map(|api| match api.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    });
    let api = tables.into_iter().find(is_it)?;
    let pair = |(key, value): &(&str, &str)| format!("{key} = \"{value}\"");
    let Some(limit) = api.get("limit") else {
        let all = limits.iter().map(pair).collect::<Vec<_>>().join(", ");
        let end = api.get("allow")?.span().end;
        let stop = text.get(end..)?.find('\n').map(|at| end + at + 1);
        let feed = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let line = match stop {
            Some(_) => format!("limit = {{ {all} }}{feed}"),
            None => format!("{feed}limit = {{ {all} }}{feed}"),
        };
        let at = stop.unwrap_or(text.len());
        return Some(vec![Edit { range: at..at, text: line }]);
    };
    let DeValue::Table(held) = limit.get_ref() else { return None };
    let mut edits = Vec::new();
    let mut more = Vec::new();
    for limit in limits {
        match held.get(limit.0) {
            Some(value) => {
                edits.push(Edit { range: value.span(), text: format!("\"{}\"", limit.1) });
            }
            None => more.push(pair(limit)),
        }
    }
    if !more.is_empty() {
        // Between braces only: elsewhere a comma would be no comma.
        let range = limit.span();
        let last = held.iter().map(|(_, value)| value.span().end).max()?;
        if !text.get(range.clone())?.starts_with('{') || !range.contains(&last) {
            return None;
        }
        edits.push(Edit { range: last..last, text: format!(", {}", more.join(", ")) });
    }
    Some(edits)
}

/// Applies edits that are in order and do not overlap.
fn apply(text: &str, edits: &[Edit]) -> Edited {
    let mut starts: Vec<usize> = vec![0];
    starts.extend(text.match_indices('\n').map(|(at, _)| at + 1).filter(|at| *at < text.len()));
    let line_of = |at: usize| starts.partition_point(|start| *start <= at).saturating_sub(1);
    let end_of = |line: usize| starts.get(line + 1).copied().unwrap_or(text.len());
    // Lines from and to (excluded), and what takes their place.
    let mut changes: Vec<(usize, usize, String)> = Vec::new();
    let mut whole = String::new();
    let mut done = 0;
    let mut edits = edits.iter().peekable();
    while let Some(first) = edits.next() {
        whole.push_str(&text[done..first.range.start]);
        whole.push_str(&first.text);
        done = first.range.end;
        let is_line = first.range.is_empty()
            && first.text.ends_with('\n')
            && (first.range.start == text.len() && text.ends_with('\n')
                || starts.contains(&first.range.start) && first.range.start < text.len());
        if is_line {
            let line = match first.range.start == text.len() {
                true => starts.len(),
                false => line_of(first.range.start),
            };
            changes.push((line, line, first.text.clone()));
            continue;
        }
        let from = line_of(first.range.start);
        let mut to = line_of(first.range.end);
        let mut new = text[starts[from]..first.range.start].to_owned() + &first.text;
        while let Some(next) = edits.next_if(|next| next.range.start < end_of(to)) {
            whole.push_str(&text[done..next.range.start]);
            whole.push_str(&next.text);
            new.push_str(&text[done..next.range.start]);
            new.push_str(&next.text);
            done = next.range.end;
            to = line_of(next.range.end);
        }
        new.push_str(&text[done..end_of(to)]);
        changes.push((from, to + 1, new));
    }
    whole.push_str(&text[done..]);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    Edited { hunks: hunks(&lines, &changes), text: whole }
}

/// The hunks of a unified diff (POSIX diff -u).
fn hunks(lines: &[&str], changes: &[(usize, usize, String)]) -> String {
    let mut text = String::new();
    let mut shift = 0_isize;
    let mut rest = changes;
    while let Some((first, ..)) = rest.first() {
        let near =
            rest.windows(2).take_while(|pair| pair[1].0 <= pair[0].1 + 2 * CONTEXT).count() + 1;
        let (group, after) = rest.split_at(near);
        rest = after;
        let from = first.saturating_sub(CONTEXT);
        let to = group.last().map_or(0, |(_, to, _)| (to + CONTEXT).min(lines.len()));
        let mut body = String::new();
        let mut put = |sign: char, line: &str| {
            body.push(sign);
            body.push_str(line);
            if !line.ends_with('\n') {
                body.push_str("\n\\ No newline at end of file\n");
            }
        };
        let (mut at, mut added, mut removed) = (from, 0, 0);
        for (start, end, new) in group {
            lines[at..*start].iter().for_each(|line| put(' ', line));
            lines[*start..*end].iter().for_each(|line| put('-', line));
            new.split_inclusive('\n').for_each(|line| put('+', line));
            added += new.split_inclusive('\n').count();
            removed += end - start;
            at = *end;
        }
        lines[at..to].iter().for_each(|line| put(' ', line));
        let (old, new) = (to - from, to - from + added - removed);
        // An empty side is named by the line before it.
        let old_at = from + usize::from(old > 0);
        let new_at = (from + usize::from(new > 0)).saturating_add_signed(shift);
        text.push_str(&format!("@@ -{old_at},{old} +{new_at},{new} @@\n{body}"));
        shift += added as isize - removed as isize;
    }
    text
}
