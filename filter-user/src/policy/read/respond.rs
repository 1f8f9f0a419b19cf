//! `source`, `login`, `respond` and `escalate`.

use std::time::Duration;

use crate::detect::Detector;
use crate::policy::api::{Api, Escalate, Login, Route, SourceLengths};
use crate::policy::response::{Answer, MODES, Respond, Response, Responses};
use crate::text::quantity::{DAY, Measure, duration, show_duration};
use crate::text::{Item, Problem, Table};

use super::Reader;

const RESPONSES: &str =
    "write \"alert\", \"limit 10/s\", \"ban 10m\" (1s to 30d) or \"lockdown GROUP\"";
const RULES: [&str; 7] = [
    "mode",
    "max_share_sources",
    "max_share_requests",
    "per_minute",
    "approve_within",
    "shared_credentials",
    "shared_agents",
];
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
        let names = Detector::ALL.map(Detector::name);
        let example = "{ brute_force = \"ban 10m\" }";
        let Some(table) = item.table(self.report, &names, example) else { return respond };
        for detector in Detector::ALL {
            let Some(item) = table.get(detector.name()) else { continue };
            let Some(answer) = self.answer(&item) else { continue };
            let refused = match (detector, answer.response) {
                (_, Response::Alert) => None,
                (Detector::Enforcement, _) => Some("what the kernel does not hold cannot answer"),
                (detector, Response::Ban(_)) if !detector.names_a_source() => {
                    Some("its findings name no source that could be banned")
                }
                _ => None,
            };
            let bans = matches!(answer.response, Response::Ban(_));
            match refused {
                None => drop(respond.answers.insert(detector, answer)),
                Some(why) => {
                    let message = format!("`{}` cannot do that: {why}", item.path());
                    let instead = match bans && !detector.is_of_inventory() {
                        true => {
                            "write \"limit 10/s\", \"lockdown GROUP\" or \"alert\", or leave it out"
                        }
                        false => "write \"alert\", or leave it out",
                    };
                    self.report.error(item.span(), message, instead);
                }
            }
        }
        respond
    }

    /// A response, as a text or as a table with a time of its own.
    fn answer(&mut self, item: &Item<'_>) -> Option<Answer> {
        if item.is_string() {
            return Some(Answer { response: self.response(item, None)?, ttl: None });
        }
        let example = "{ do = \"limit 10/s\", ttl = \"15m\" }";
        let table = item.table(self.report, &["do", "ttl"], example)?;
        let Some(what) = table.get("do") else {
            if table.lacks("do") {
                let message = format!("`{}` does not say what to do", item.path());
                self.report.missing(item.span(), message, RESPONSES);
            }
            return None;
        };
        let ttl = match table.get("ttl") {
            Some(item) => Some(self.time(&item)?),
            None => None,
        };
        let response = self.response(&what, ttl)?;
        let ttl = match response {
            Response::Ban(_) => None,
            Response::Alert if ttl.is_some() => {
                let message = format!("`{}` lasts no time: it is only an event", item.path());
                self.report.error(item.span(), message, "leave `ttl` out");
                return None;
            }
            _ => ttl,
        };
        Some(Answer { response, ttl })
    }

    fn response(&mut self, item: &Item<'_>, ttl: Option<Duration>) -> Option<Response> {
        let text = item.string(self.report, "\"alert\"")?;
        let (verb, argument) = text.split_once(' ').unwrap_or((text, ""));
        let (argument, span) = (argument.trim(), item.span());
        match verb {
            "alert" if argument.is_empty() => Some(Response::Alert),
            "limit" => {
                let rate = self.rate_text(argument, Measure::Packets, span)?;
                Some(Response::Limit(rate))
            }
            "ban" => {
                let time = match ttl {
                    Some(ttl) if argument.is_empty() => within(ttl),
                    Some(_) => Err(Problem::new(
                        "the ban has two times, its own and `ttl`",
                        "write \"ban\" with `ttl`, or \"ban 10m\" without",
                    )),
                    None => ban(argument),
                };
                self.report.accept(span, time).map(Response::Ban)
            }
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

    /// `[respond]`.
    pub(super) fn responses(&mut self, root: &Table<'_>) -> Responses {
        let mut responses = Responses::default();
        let example = "[respond] with mode = \"act\"";
        let Some(table) =
            root.get("respond").and_then(|item| item.table(self.report, &RULES, example))
        else {
            return responses;
        };
        let report = &mut *self.report;
        let mode = table.get("mode").and_then(|item| item.choice(report, &MODES));
        responses.mode = mode.unwrap_or(responses.mode);
        for (key, slot) in [
            ("max_share_sources", &mut responses.max_share_sources),
            ("max_share_requests", &mut responses.max_share_requests),
        ] {
            let given = table.get(key).and_then(|item| item.number(report, 0.0..=1.0));
            *slot = given.unwrap_or(*slot);
        }
        for (key, range, slot) in [
            ("per_minute", 1..=1_000, &mut responses.per_minute),
            ("shared_credentials", 0..=40, &mut responses.shared_credentials),
            ("shared_agents", 0..=40, &mut responses.shared_agents),
        ] {
            let given = table.get(key).and_then(|item| item.integer(report, range));
            *slot = given.and_then(|number| u32::try_from(number).ok()).unwrap_or(*slot);
        }
        let within = table.get("approve_within").and_then(|item| self.time(&item));
        responses.approve_within = within.unwrap_or(responses.approve_within);
        responses
    }

    /// Warns where answers are given that nobody has said may be carried out.
    pub(super) fn only_said(&mut self, root: &Table<'_>, apis: &[Api]) {
        let silent = |api: &&Api| api.respond.acts() && api.respond.mode.is_none();
        let names: Vec<&str> = apis.iter().filter(silent).map(|api| &*api.name).collect();
        if root.get("respond").is_none() && !names.is_empty() {
            let names = names.join(", ");
            self.report.missing_warning(
                &(0..0),
                format!("answers to findings are only said, not carried out: {names}"),
                "add [respond] with mode = \"act\", \"approve\" or \"dry_run\"",
            );
        }
    }
}

/// The time of a ban.
fn ban(text: &str) -> Result<Duration, Problem> {
    if text.is_empty() {
        return Err(Problem::new("a ban says for how long", RESPONSES));
    }
    within(duration(text)?)
}

fn within(time: Duration) -> Result<Duration, Problem> {
    if time < Duration::from_secs(1) || time > LONGEST_BAN {
        let message = format!("a ban of {} is out of range", show_duration(time));
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
