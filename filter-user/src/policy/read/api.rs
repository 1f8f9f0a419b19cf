//! `[[api]]`.

use std::sync::Arc;

use crate::inventory::openapi::{self, Spec};
use crate::policy::api::{About, Allow, Api, Criticality, Kind, Lifecycle, Mode, Overflow};
use crate::policy::model::{GroupIndex, Listen, Sited};
use crate::policy::response::{MODES as RESPOND_MODES, Respond};
use crate::text::Table;

use super::{Reader, Span, listen};

const KEYS: [&str; 27] = [
    "name",
    "kind",
    "owner",
    "maintainer",
    "responder",
    "criticality",
    "lifecycle",
    "version",
    "environment",
    "data",
    "openapi",
    "listen",
    "mode",
    "allow",
    "deny",
    "proxies",
    "crawlers",
    "limit",
    "limit_for",
    "limit_total",
    "source",
    "overflow",
    "login",
    "respond",
    "respond_mode",
    "escalate",
    "alert",
];
const EXAMPLE: &str = "[[api]] with name, listen and allow";

const KINDS: [(&str, Kind); 4] =
    [("auto", Kind::Auto), ("http", Kind::Http), ("tls", Kind::Tls), ("opaque", Kind::Opaque)];
const CRITICALITIES: [(&str, Criticality); 4] = [
    ("low", Criticality::Low),
    ("medium", Criticality::Medium),
    ("high", Criticality::High),
    ("critical", Criticality::Critical),
];
const LIFECYCLES: [(&str, Lifecycle); 4] = [
    ("new", Lifecycle::New),
    ("active", Lifecycle::Active),
    ("deprecated", Lifecycle::Deprecated),
    ("retired", Lifecycle::Retired),
];
const MODES: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("monitor", Mode::Monitor)];
const OVERFLOWS: [(&str, Overflow); 3] =
    [("aggregate", Overflow::Aggregate), ("pass", Overflow::Pass), ("drop", Overflow::Drop)];

impl Reader<'_, '_, '_> {
    /// All APIs. One with an error is left out, and its claims are noted nevertheless.
    pub(super) fn apis(&mut self, root: &Table<'_>) -> Vec<Api> {
        let list = root.get("api").and_then(|item| item.list(self.report, EXAMPLE));
        let list = list.unwrap_or_default();
        let mut apis = Vec::with_capacity(list.len());
        for (number, item) in list.iter().enumerate() {
            if let Some(table) = item.table(self.report, &KEYS, EXAMPLE) {
                apis.extend(self.api(&table, number + 1));
            }
        }
        apis
    }

    fn api(&mut self, table: &Table<'_>, number: usize) -> Option<Api> {
        let at = self.report.at(table.span());
        let name = self.api_name(table, number);
        let shown = name.clone().unwrap_or_else(|| format!("number {number}"));
        let (about, spec) = self.about(table);
        let listen = self.listens(table, &shown);
        let allow = self.allow(table, &shown);
        let deny = table.get("deny").map(|item| self.group_list(&item)).unwrap_or_default();
        let proxies = table.get("proxies").map(|item| self.group_list(&item)).unwrap_or_default();
        let crawlers = table.get("crawlers").map(|item| self.group_list(&item)).unwrap_or_default();
        self.contradictions(allow.as_ref(), &deny, &proxies, table);
        let mode = table.get("mode").and_then(|item| item.choice(self.report, &MODES));
        let overflow = table.get("overflow").and_then(|item| item.choice(self.report, &OVERFLOWS));
        let limit = table.get("limit").and_then(|item| self.limit(&item));
        let limit_for =
            table.get("limit_for").map(|item| self.limits_for(&item, allow.as_ref(), &proxies));
        let limit_total = table.get("limit_total").and_then(|item| self.limit_total(&item));
        let source = table.get("source").map(|item| self.source(&item));
        let source = source.unwrap_or_default();
        let login = table.get("login").and_then(|item| self.login(&item));
        let mut respond =
            table.get("respond").map_or_else(Respond::default, |item| self.respond(&item));
        respond.mode =
            table.get("respond_mode").and_then(|item| item.choice(self.report, &RESPOND_MODES));
        let escalate = table.get("escalate").and_then(|item| self.escalate(&item, source));
        let alert = table.get("alert").and_then(|item| self.alert(&item));
        self.ban_lengths(table, source, &respond, escalate);
        if let (Kind::Opaque, Some(item)) =
            (about.kind, table.get("login").or(table.get("openapi")).or(table.get("alert")))
        {
            let message =
                format!("`{}` has no effect: kind = \"opaque\" is never parsed", item.path());
            self.report.warning(item.key_span(), message, "choose another kind, or remove the key");
        }
        Some(Api {
            name: name?,
            at,
            about,
            spec,
            listen,
            mode: mode.unwrap_or_default(),
            allow: allow?,
            deny,
            proxies,
            crawlers,
            limit,
            limit_for: limit_for.unwrap_or_default(),
            limit_total,
            source,
            overflow: overflow.unwrap_or_default(),
            login,
            respond,
            escalate,
            alert,
        })
    }

    /// Reports a key that an API must have, unless it is there and misspelt.
    fn absent(&mut self, table: &Table<'_>, key: &str, message: String, hint: &str) {
        if table.lacks(key) {
            self.report.missing(table.span(), message, hint);
        }
    }

    fn api_name(&mut self, table: &Table<'_>, number: usize) -> Option<String> {
        let Some(item) = table.get("name") else {
            let message = format!("API number {number} has no name");
            self.absent(table, "name", message, "write name = \"orders\"");
            return None;
        };
        let name = self.name(&item, "the API")?;
        let at = self.report.at(item.span());
        if let Some(first) = self.api_names.get(&name) {
            let message = format!("API `{name}` is defined twice (first in line {})", first.line);
            self.report.error(item.span(), message, "give each API its own name");
        } else {
            self.api_names.insert(name.clone(), at);
        }
        Some(name)
    }

    fn about(&mut self, table: &Table<'_>) -> (About, Option<Arc<Spec>>) {
        let mut text = |key: &str| table.get(key).and_then(|item| self.free_text(&item));
        let (owner, maintainer, responder) = (text("owner"), text("maintainer"), text("responder"));
        let (version, environment) = (text("version"), text("environment"));
        let data = table.get("data").map(|item| self.free_texts(&item)).unwrap_or_default();
        let mut spec = None;
        let openapi = table.get("openapi").and_then(|item| {
            let name = item.string(self.report, "openapi = \"specs/orders.yaml\"")?;
            let opened = self.files.open(name);
            let index = self.report.accept(item.span(), opened)?;
            let file = self.files.get(index)?;
            spec = openapi::read(&file.bytes, &file.shown, |told| self.report.push(told));
            Some(Sited { value: name.to_owned(), at: self.report.at(item.span()) })
        });
        let report = &mut *self.report;
        let kind = table.get("kind").and_then(|item| item.choice(report, &KINDS));
        let criticality =
            table.get("criticality").and_then(|item| item.choice(report, &CRITICALITIES));
        let lifecycle = table.get("lifecycle").and_then(|item| item.choice(report, &LIFECYCLES));
        let about = About {
            kind: kind.unwrap_or_default(),
            owner,
            maintainer,
            responder,
            criticality: criticality.unwrap_or_default(),
            lifecycle: lifecycle.unwrap_or_default(),
            version,
            environment,
            data,
            openapi,
        };
        (about, spec.map(Arc::new))
    }

    fn listens(&mut self, table: &Table<'_>, api: &str) -> Vec<Sited<Listen>> {
        let example = "listen = [\"tcp/8080\"]";
        let Some(item) = table.get("listen") else {
            let message = format!("API `{api}` has no listen");
            self.absent(table, "listen", message, &format!("write {example}"));
            return Vec::new();
        };
        self.not_empty(&item, example);
        let mut listens: Vec<Sited<Listen>> = Vec::new();
        for (text, span) in item.strings(self.report, example).unwrap_or_default() {
            let Some(value) = self.report.accept(&span, listen::listen(text)) else { continue };
            self.claim(value, api, &span);
            if !listens.iter().any(|earlier| earlier.value == value) {
                listens.push(Sited { value, at: self.report.at(&span) });
            }
        }
        listens
    }

    fn allow(&mut self, table: &Table<'_>, api: &str) -> Option<Allow> {
        let hint = "write allow = [\"GROUP\"], or allow = \"any\" for everyone";
        let Some(item) = table.get("allow") else {
            let message = format!("API `{api}` does not say whom it allows");
            self.absent(table, "allow", message, hint);
            return None;
        };
        if item.is_string() {
            let text = item.string(self.report, hint)?;
            if text == "any" {
                return Some(Allow::Any(self.report.at(item.span())));
            }
            let shown = text.escape_debug();
            let message = format!("`{}` must be a list of groups or \"any\"", item.path());
            let hint = format!("write allow = [\"{shown}\"], or allow = \"any\" for everyone");
            self.report.error(item.span(), message, hint);
            return None;
        }
        if item.is_empty_list() {
            let hint = "name a group (an empty one admits nobody), or write allow = \"any\"";
            self.report.error(item.span(), "`allow = []` could mean everyone or nobody", hint);
            return None;
        }
        Some(Allow::Groups(self.group_list(&item)))
    }

    /// Warns where one list takes back what another says.
    fn contradictions(
        &mut self,
        allow: Option<&Allow>,
        deny: &[Sited<GroupIndex>],
        proxies: &[Sited<GroupIndex>],
        table: &Table<'_>,
    ) {
        let has = |list: &[Sited<GroupIndex>], group| list.iter().any(|e| e.value == group);
        let name_of = |index: GroupIndex| self.groups.get(index.0).map(|group| group.name.clone());
        let span_of = |key: &str| -> Span {
            table.get(key).map_or_else(|| table.span().clone(), |item| item.span().clone())
        };
        let mut warnings = Vec::new();
        if let Some(Allow::Groups(allowed)) = allow {
            for entry in deny.iter().filter(|entry| has(allowed, entry.value)) {
                let name = name_of(entry.value).unwrap_or_default();
                let message = format!("group `{name}` is both in allow and in deny: deny wins");
                warnings.push((span_of("deny"), message, "remove it from one of the two"));
            }
            for entry in proxies.iter().filter(|entry| !has(allowed, entry.value)) {
                let name = name_of(entry.value).unwrap_or_default();
                let message = format!("proxies `{name}` are not in allow: they are refused");
                warnings.push((span_of("proxies"), message, "add the group to allow too"));
            }
        }
        for (span, message, hint) in warnings {
            self.report.warning(&span, message, hint);
        }
    }
}
