//! `[playbook.NAME]`.

use std::time::Duration;

use crate::policy::playbook::{Play, PlayStep, Playbook};
use crate::text::quantity::{DAY, Measure, duration};
use crate::text::{Item, Problem, Table, nearest};

use super::Reader;

const KEYS: [&str; 5] = ["apis", "steps", "contacts", "notify", "ttl"];
const EXAMPLE: &str = "[playbook.leak] with apis and steps";
const STEPS: &str = "[\"lockdown partners\", { manual = \"call the bank\" }]";
const PLAYS: &str = "write \"shutdown\", \"lockdown\", \"lockdown GROUP\", \"limit 10/s\" or \
                     { manual = \"call the bank\" }";
/// Playbooks of a policy, and steps of a playbook.
const MOST: usize = 64;
/// An order that is to last longer is one without an end.
const LONGEST: Duration = DAY.saturating_mul(366);

impl Reader<'_, '_, '_> {
    /// All playbooks. To be read after the APIs, which they name.
    pub(super) fn playbooks(&mut self, root: &Table<'_>) -> Vec<Playbook> {
        let Some(item) = root.get("playbook") else { return Vec::new() };
        let entries = item.entries(self.report, EXAMPLE).unwrap_or_default();
        if entries.len() > MOST {
            self.report.error(
                item.key_span(),
                format!("more than {MOST} playbooks"),
                "nobody finds the right one among so many: join some",
            );
        }
        entries.into_iter().filter_map(|(name, item)| self.playbook(name, &item)).collect()
    }

    fn playbook(&mut self, name: &str, item: &Item<'_>) -> Option<Playbook> {
        let at = self.report.at(item.key_span());
        let name = self.report.accept(item.key_span(), crate::text::name(name));
        let table = item.table(self.report, &KEYS, EXAMPLE)?;
        for (key, example) in [("apis", "apis = [\"orders\"]"), ("steps", STEPS)] {
            if table.lacks(key) {
                let message = format!("`{}` has no {key}", item.path());
                self.report.missing(item.key_span(), message, format!("write {example}"));
            }
        }
        let apis = table.get("apis").map(|item| self.played(&item)).unwrap_or_default();
        let steps = table.get("steps").map(|item| self.steps(&item)).unwrap_or_default();
        let contacts = table.get("contacts").map(|item| self.free_texts(&item));
        let mut notify = Vec::new();
        if let Some(item) = table.get("notify") {
            let names = item.strings(self.report, "notify = [\"pager\"]");
            for (name, span) in names.unwrap_or_default() {
                notify.extend(self.report.accept(&span, crate::text::name(name)));
            }
        }
        let ttl = table.get("ttl").and_then(|item| self.time(&item));
        let contacts = contacts.unwrap_or_default();
        Some(Playbook { name: name?, at, apis, steps, contacts, notify, ttl })
    }

    /// The APIs that it is about.
    pub(super) fn played(&mut self, item: &Item<'_>) -> Vec<String> {
        let example = "apis = [\"orders\"]";
        self.not_empty(item, example);
        let mut apis: Vec<String> = Vec::new();
        for (name, span) in item.strings(self.report, example).unwrap_or_default() {
            if !self.api_names.contains_key(name) {
                let mut known: Vec<&str> = self.api_names.keys().map(String::as_str).collect();
                known.sort_unstable();
                let hint = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("there are: {}", known.join(", ")),
                };
                let message = format!("unknown API `{}` in {}", name.escape_debug(), item.path());
                self.report.missing(&span, message, hint);
            } else if !apis.iter().any(|known| known == name) {
                apis.push(name.to_owned());
            }
        }
        apis
    }

    fn steps(&mut self, item: &Item<'_>) -> Vec<PlayStep> {
        self.not_empty(item, STEPS);
        let steps = item.list(self.report, STEPS).unwrap_or_default();
        if steps.len() > MOST {
            let message = format!("more than {MOST} steps");
            self.report.error(item.span(), message, "make several playbooks");
        }
        steps.iter().filter_map(|step| self.step(step)).collect()
    }

    fn step(&mut self, item: &Item<'_>) -> Option<PlayStep> {
        let at = self.report.at(item.span());
        if item.is_string() {
            let play = self.play(item)?;
            return Some(PlayStep { play, ttl: None, at });
        }
        let table = item.table(self.report, &["do", "manual", "ttl"], PLAYS)?;
        let (play, manual) = (table.get("do"), table.get("manual"));
        match (play, manual, table.get("ttl")) {
            (Some(play), None, ttl) => {
                let ttl = ttl.and_then(|item| self.time(&item));
                Some(PlayStep { play: self.play(&play)?, ttl, at })
            }
            (None, Some(manual), None) => {
                Some(PlayStep { play: Play::Manual(self.free_text(&manual)?), ttl: None, at })
            }
            _ => {
                if !table.has_unknown() {
                    let message = format!("a step of `{}` is either done or manual", item.path());
                    self.report.error(item.span(), message, PLAYS);
                }
                None
            }
        }
    }

    fn play(&mut self, item: &Item<'_>) -> Option<Play> {
        let text = item.string(self.report, "\"shutdown\"")?;
        let (verb, argument) = text.split_once(' ').unwrap_or((text, ""));
        match (verb, argument.trim()) {
            ("shutdown", "") => Some(Play::Shutdown),
            ("lockdown", "") => Some(Play::Lockdown(None)),
            ("lockdown", group) => {
                let group = self.group_named(group, item.path(), item.span())?;
                Some(Play::Lockdown(Some(group)))
            }
            ("limit", rate) if !rate.is_empty() => {
                self.rate_text(rate, Measure::Packets, item.span()).map(Play::Limit)
            }
            _ => {
                let message = format!("`{}` cannot be \"{}\"", item.path(), text.escape_debug());
                self.report.error(item.span(), message, PLAYS);
                None
            }
        }
    }

    /// How long an order lasts.
    pub(super) fn time(&mut self, item: &Item<'_>) -> Option<Duration> {
        let text = item.string(self.report, "\"4h\"")?;
        let time = duration(text).and_then(|time| {
            if time < Duration::from_secs(1) || time > LONGEST {
                let message = format!("a time of {} is out of range", text.escape_debug());
                return Err(Problem::new(message, "write 1s to 366d"));
            }
            Ok(time)
        });
        self.report.accept(item.span(), time)
    }
}
