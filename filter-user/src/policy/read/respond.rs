//! `source`, `login`, `respond` and `escalate`.

use std::time::Duration;

use crate::policy::api::{Escalate, Login, Respond, Response, Route, SourceLengths};
use crate::text::quantity::{DAY, Measure, duration};
use crate::text::{Item, Problem};

use super::Reader;

const DETECTORS: [&str; 3] = ["brute_force", "enumeration", "rate_shift"];
const RESPONSES: &str =
    "write \"alert\", \"limit 10/s\", \"ban 10m\" (1s to 30d) or \"lockdown GROUP\"";
const LONGEST_BAN: Duration = DAY.saturating_mul(30);

impl Reader<'_, '_, '_> {
    /// `source`.
    pub(super) fn source(&mut self, item: &Item<'_>) -> SourceLengths {
        let mut lengths = SourceLengths::default();
        let Some(table) = item.table(self.report, &["v4", "v6"], "{ v4 = 32, v6 = 64 }") else {
            return lengths;
        };
        lengths.v4 = self.length(table.get("v4"), 8..=32).unwrap_or(lengths.v4);
        lengths.v6 = self.length(table.get("v6"), 16..=128).unwrap_or(lengths.v6);
        lengths
    }

    fn length(
        &mut self,
        item: Option<Item<'_>>,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<u8> {
        item?.integer(self.report, range).and_then(|length| u8::try_from(length).ok())
    }

    /// `escalate`: networks no narrower than what tells sources apart.
    pub(super) fn escalate(&mut self, item: &Item<'_>, source: SourceLengths) -> Option<Escalate> {
        let example = "{ v4 = 24, v6 = 48, sources = 20 }";
        let table = item.table(self.report, &["v4", "v6", "sources"], example)?;
        let mut lengths = [24, 48];
        for (slot, (key, range, own)) in
            lengths.iter_mut().zip([("v4", 8..=32, source.v4), ("v6", 16..=128, source.v6)])
        {
            let Some(item) = table.get(key) else {
                // A default must not be narrower than a source either.
                *slot = own.min(*slot);
                continue;
            };
            let Some(length) = self.length(table.get(key), range) else { continue };
            if length > own {
                self.report.error(
                    item.span(),
                    format!(
                        "{}: a network of /{length} is within one source (/{own})",
                        item.path()
                    ),
                    format!("write at most {own}, or lengthen source.{key}"),
                );
            }
            *slot = length;
        }
        let sources = table.get("sources").map(|item| item.integer(self.report, 2..=65_535));
        let sources = match sources {
            Some(given) => u32::try_from(given?).ok()?,
            None => 20,
        };
        self.unreachable(item, source, lengths, sources);
        Some(Escalate { v4: lengths[0], v6: lengths[1], sources })
    }

    /// `login`.
    pub(super) fn login(&mut self, item: &Item<'_>) -> Option<Login> {
        let example = "{ routes = [\"POST /login\"], failed = [401, 403] }";
        let table = item.table(self.report, &["routes", "failed"], example)?;
        let at = self.report.at(item.key_span());
        let Some(list) = table.get("routes") else {
            if table.lacks("routes") {
                let message = format!("`{}` names no routes", item.path());
                self.report.missing(item.key_span(), message, format!("write {example}"));
            }
            return None;
        };
        let mut routes = Vec::new();
        for (text, span) in list.strings(self.report, "[\"POST /login\"]")? {
            routes.extend(self.report.accept(&span, route(text)));
        }
        let mut failed = vec![401, 403];
        if let Some(item) = table.get("failed") {
            failed.clear();
            for status in item.list(self.report, "[401, 403]")? {
                let status = status.integer(self.report, 100..=599);
                failed.extend(status.and_then(|status| u16::try_from(status).ok()));
            }
            self.not_empty(&item, "[401, 403]");
        }
        self.not_empty(&list, "[\"POST /login\"]");
        Some(Login { routes, failed, at })
    }

    /// Reports a list without elements.
    pub(super) fn not_empty(&mut self, item: &Item<'_>, example: &str) {
        if item.is_empty_list() {
            let message = format!("`{}` is empty", item.path());
            self.report.error(item.span(), message, format!("write {example}"));
        }
    }

    /// `respond`.
    pub(super) fn respond(&mut self, item: &Item<'_>) -> Respond {
        let mut respond = Respond::default();
        let example = "{ brute_force = \"ban 10m\" }";
        let Some(table) = item.table(self.report, &DETECTORS, example) else { return respond };
        for (detector, slot) in DETECTORS.iter().zip([
            &mut respond.brute_force,
            &mut respond.enumeration,
            &mut respond.rate_shift,
        ]) {
            if let Some(found) = table.get(detector).and_then(|item| self.response(&item)) {
                *slot = found;
            }
        }
        respond
    }

    fn response(&mut self, item: &Item<'_>) -> Option<Response> {
        let text = item.string(self.report, "\"alert\"")?;
        let (verb, argument) = text.split_once(' ').unwrap_or((text, ""));
        let (argument, span) = (argument.trim(), item.span());
        match verb {
            "alert" if argument.is_empty() => Some(Response::Alert),
            "limit" => {
                let rate = self.rate_text(argument, Measure::Packets, span)?;
                Some(Response::Limit(rate))
            }
            "ban" => self.report.accept(span, ban(argument)).map(Response::Ban),
            "lockdown" if !argument.is_empty() => {
                self.group_named(argument, item.path(), span).map(Response::Lockdown)
            }
            _ => {
                let message = format!("`{}` cannot be \"{}\"", item.path(), text.escape_debug());
                self.report.error(span, message, RESPONSES);
                None
            }
        }
    }
}

/// The time of a ban.
fn ban(text: &str) -> Result<Duration, Problem> {
    if text.is_empty() {
        return Err(Problem::new("a ban says for how long", RESPONSES));
    }
    let time = duration(text)?;
    if time < Duration::from_secs(1) || time > LONGEST_BAN {
        let message = format!("a ban of {} is out of range", text.escape_debug());
        return Err(Problem::new(message, "write 1s to 30d: bans end by themselves"));
    }
    Ok(time)
}

/// `METHOD /path`.
fn route(text: &str) -> Result<Route, Problem> {
    let shown = text.escape_debug();
    let hint = "write a method and a path, such as \"POST /login\"";
    let bad = |why: &str| Err(Problem::new(format!("\"{shown}\" {why}"), hint));
    let Some((method, path)) = text.split_once(' ') else {
        return bad("is not a method and a path");
    };
    if method.is_empty() || method.len() > 32 || !method.bytes().all(|b| b.is_ascii_uppercase()) {
        return bad("has no method in upper case");
    }
    if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return bad("has no path that begins with `/`");
    }
    if path.contains(['?', '#']) {
        return bad("has a query or a fragment, which a route has not");
    }
    Ok(Route { method: method.to_owned(), path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let rows = [
            ("POST /login", true),
            ("GET /", true),
            ("post /login", false),
            ("POST", false),
            ("POST login", false),
            ("POST  /login", false),
            ("POST /login?x=1", false),
            ("POST /a b", false),
            (" /login", false),
            ("", false),
        ];
        for (text, good) in rows {
            assert_eq!(route(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn bans() {
        let rows = [
            ("1s", true),
            ("10m", true),
            ("30d", true),
            ("31d", false),
            ("999ms", false),
            ("", false),
            ("forever", false),
        ];
        for (text, good) in rows {
            assert_eq!(ban(text).is_ok(), good, "{text}");
        }
    }
}
