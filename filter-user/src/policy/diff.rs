//! What another policy would change: which APIs come and go, which sources gain or lose which API,
//! which settings are others. Not a difference of texts: comments, order and the way a set of
//! addresses is written do not matter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::detect::Severity;
use crate::text::quantity::{Measure, show_duration};

use super::api::{Allow, Api, LimitSpec, Overflow, Per};
use super::model::{Action, GroupIndex, Policy, Sited};
use super::packets::treatment_name;
use super::playbook::Play;
use super::ranges::Addresses;
use super::response::{Answer, Response};

/// Prefixes that are shown of each set.
const SHOWN: usize = 5;

/// What is different.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Difference {
    /// APIs that come.
    pub added: Vec<String>,
    /// APIs that go.
    pub removed: Vec<String>,
    /// Sources that gain or lose an API.
    pub access: Vec<Access>,
    /// Sources that become trusted, or no longer are.
    pub trusted: Option<Access>,
    /// Settings that are others.
    pub settings: Vec<Setting>,
}

/// Sources that gain or lose something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The API; empty for trust.
    pub api: String,
    /// Sources that could not reach it and can.
    pub gained: Sources,
    /// Sources that could reach it and cannot.
    pub lost: Sources,
}

/// Sources as prefixes, the fewest there can be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// How many.
    pub prefixes: u64,
    /// The first few.
    pub first: Vec<String>,
}

/// A setting; `None`: it is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The API; `None`: of the policy as a whole.
    pub api: Option<String>,
    /// The key, as in a policy.
    pub key: String,
    /// Its value before.
    pub before: Option<String>,
    /// Its value after.
    pub after: Option<String>,
}

impl Difference {
    /// Whether the two policies mean the same.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Sources {
    fn of(addresses: &Addresses) -> Self {
        let mut sources = Self::default();
        for cidr in addresses.prefixes() {
            sources.prefixes += 1;
            if sources.first.len() < SHOWN {
                sources.first.push(cidr.to_string());
            }
        }
        sources
    }
}

/// What changes when `after` is put in force in place of `before`.
pub fn diff(before: &Policy, after: &Policy) -> Difference {
    let mut difference = Difference::default();
    let none = Addresses::none();
    for api in &before.apis {
        let is_new = after.api(&api.name);
        if is_new.is_none() {
            difference.removed.push(api.name.clone());
        }
        let then = is_new.map_or_else(|| none.clone(), |api| admitted(after, api));
        difference.access.extend(access(&api.name, &admitted(before, api), &then));
        if let Some(new) = is_new {
            let (old, new) = (settings(before, api), settings(after, new));
            difference.settings.extend(changes(Some(&api.name), &old, &new));
        }
    }
    for api in after.apis.iter().filter(|api| before.api(&api.name).is_none()) {
        difference.added.push(api.name.clone());
        difference.access.extend(access(&api.name, &none, &admitted(after, api)));
    }
    let trusted = |policy: &Policy| Addresses::of(std::iter::once(&policy.trusted.prefixes));
    difference.trusted = access("", &trusted(before), &trusted(after));
    difference.settings.extend(changes(None, &whole(before), &whole(after)));
    difference
}

/// The sources that an API admits, trusted ones apart.
pub fn sources_of(policy: &Policy, api: &Api) -> Sources {
    Sources::of(&admitted(policy, api))
}

/// Sources that are never judged.
pub fn trusted_of(policy: &Policy) -> Sources {
    Sources::of(&Addresses::of(std::iter::once(&policy.trusted.prefixes)))
}

/// What is set of an API, or of the policy as a whole, by key as in a policy.
pub fn settings_of(policy: &Policy, api: Option<&Api>) -> BTreeMap<String, String> {
    api.map_or_else(|| whole(policy), |api| settings(policy, api))
}

/// The sources that an API admits, trusted ones apart: deny wins over allow.
fn admitted(policy: &Policy, api: &Api) -> Addresses {
    let of = |groups: &[Sited<GroupIndex>]| {
        let groups = groups.iter().filter_map(|group| policy.group(group.value));
        Addresses::of(groups.map(|group| &group.prefixes))
    };
    let allowed = match &api.allow {
        Allow::Any(_) => Addresses::all(),
        Allow::Groups(groups) => of(groups),
    };
    allowed.without(&of(&api.deny))
}

fn access(api: &str, before: &Addresses, after: &Addresses) -> Option<Access> {
    let gained = Sources::of(&after.without(before));
    let lost = Sources::of(&before.without(after));
    let changed = gained.prefixes + lost.prefixes > 0;
    changed.then(|| Access { api: api.to_owned(), gained, lost })
}

type Settings = BTreeMap<String, String>;

fn changes(api: Option<&str>, before: &Settings, after: &Settings) -> Vec<Setting> {
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| Setting {
            api: api.map(str::to_owned),
            key: key.clone(),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
        })
        .collect()
}

/// Settings that are set, those of lists in an order of their own.
struct Writer<'p> {
    policy: &'p Policy,
    settings: Settings,
}

impl Writer<'_> {
    fn put(&mut self, key: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.settings.insert(key.to_owned(), value);
        }
    }

    fn list(&mut self, key: &str, values: impl Iterator<Item = String>) {
        let mut values: Vec<String> = values.collect();
        values.sort();
        self.put(key, values.join(", "));
    }

    fn group(&self, index: GroupIndex) -> String {
        self.policy.group(index).map_or_else(String::new, |group| group.name.clone())
    }

    fn groups(&mut self, key: &str, groups: &[Sited<GroupIndex>]) {
        let names: Vec<String> = groups.iter().map(|group| self.group(group.value)).collect();
        self.list(key, names.into_iter());
    }

    fn answer(&self, answer: &Answer) -> String {
        let what = match answer.response {
            Response::Alert => "alert".to_owned(),
            Response::Limit(rate) => format!("limit {}", rate.display(Measure::Packets)),
            Response::Ban(time) => format!("ban {}", show_duration(time)),
            Response::Lockdown(group) => format!("lockdown {}", self.group(group)),
        };
        answer.ttl.map_or(what.clone(), |ttl| format!("{what} for {}", show_duration(ttl)))
    }
}

fn whole(policy: &Policy) -> Settings {
    let mut to = Writer { policy, settings: Settings::new() };
    to.put("policy.name", policy.name.as_str());
    to.put("unclaimed", if policy.unclaimed == Action::Drop { "drop" } else { "pass" });
    for (kind, treatment) in policy.packets.iter() {
        to.put(&format!("packets.{}", kind.key()), treatment_name(treatment));
    }
    for severity in Severity::ALL {
        let per_day = policy.alerts.of(severity).to_string();
        to.put(&format!("alerts.per_day.{}", severity.name()), per_day);
    }
    let rules = &policy.responses;
    to.put("respond.mode", rules.mode.name());
    to.put("respond.max_share_sources", rules.max_share_sources.to_string());
    to.put("respond.max_share_requests", rules.max_share_requests.to_string());
    to.put("respond.per_minute", rules.per_minute.to_string());
    to.put("respond.approve_within", show_duration(rules.approve_within));
    to.put("respond.shared_credentials", rules.shared_credentials.to_string());
    to.put("respond.shared_agents", rules.shared_agents.to_string());
    let terms = &policy.assess;
    to.put("assess.every", terms.every.map_or_else(String::new, show_duration));
    to.put("assess.drill_within", show_duration(terms.drill_within));
    to.put("assess.finding_within", show_duration(terms.finding_within));
    for book in &policy.playbooks {
        let steps = book.steps.iter().map(|step| {
            let what = match &step.play {
                Play::Shutdown => "shutdown".to_owned(),
                Play::Lockdown(None) => "lockdown".to_owned(),
                Play::Lockdown(Some(group)) => format!("lockdown {}", to.group(*group)),
                Play::Limit(rate) => format!("limit {}", rate.display(Measure::Packets)),
                Play::Manual(text) => format!("manual: {text}"),
            };
            step.ttl.map_or(what.clone(), |ttl| format!("{what} for {}", show_duration(ttl)))
        });
        let steps = steps.collect::<Vec<_>>().join(", then ");
        let key = |what: &str| format!("playbook.{}.{what}", book.name);
        to.put(&key("steps"), steps);
        to.list(&key("apis"), book.apis.iter().cloned());
        to.list(&key("contacts"), book.contacts.iter().cloned());
        to.list(&key("notify"), book.notify.iter().cloned());
        to.put(&key("ttl"), book.ttl.map_or_else(String::new, show_duration));
    }
    to.list(
        "maintenance",
        policy.maintenance.iter().map(|window| {
            let apis = match window.apis.is_empty() {
                true => "every API".to_owned(),
                false => window.apis.join(" "),
            };
            let reason = match window.reason.as_str() {
                "" => String::new(),
                reason => format!(" ({reason})"),
            };
            format!("{apis}: {}{reason}", window.when)
        }),
    );
    to.list("trusted.ports", policy.trusted.ports.iter().map(|port| port.value.to_string()));
    to.list("trusted.interfaces", policy.trusted.interfaces.iter().map(|name| name.value.clone()));
    to.settings
}

fn settings(policy: &Policy, api: &Api) -> Settings {
    let mut to = Writer { policy, settings: Settings::new() };
    to.list("listen", api.listen.iter().map(|listen| listen.value.to_string()));
    // These have a name of their own each, and nothing but one.
    to.put("mode", format!("{:?}", api.mode).to_lowercase());
    to.put("kind", format!("{:?}", api.about.kind).to_lowercase());
    to.put("criticality", format!("{:?}", api.about.criticality).to_lowercase());
    to.put("lifecycle", format!("{:?}", api.about.lifecycle).to_lowercase());
    match &api.allow {
        Allow::Any(_) => to.put("allow", "any"),
        Allow::Groups(groups) => to.groups("allow", groups),
    }
    to.groups("deny", &api.deny);
    to.groups("proxies", &api.proxies);
    to.groups("crawlers", &api.crawlers);
    if let Some(limit) = &api.limit {
        to.put("limit", show_limit(limit));
    }
    if let Some(limit) = &api.limit_total {
        to.put("limit_total", show_limit(limit));
    }
    for (place, limit) in api.limit_for.iter().enumerate() {
        let per = if limit.per == Per::Group { "group" } else { "source" };
        let value = format!("{} per {per}, choice {}", show_limit(&limit.limit), place + 1);
        to.put(&format!("limit_for.{}", to.group(limit.group)), value);
    }
    to.put("source", format!("v4 /{}, v6 /{}", api.source.v4, api.source.v6));
    to.put(
        "overflow",
        match api.overflow {
            Overflow::Aggregate => "aggregate",
            Overflow::Pass => "pass",
            Overflow::Drop => "drop",
        },
    );
    if let Some(login) = &api.login {
        to.list("login.routes", login.routes.iter().map(|r| format!("{} {}", r.method, r.path)));
        to.list("login.failed", login.failed.iter().map(u16::to_string));
    }
    for (detector, answer) in &api.respond.answers {
        to.put(&format!("respond.{}", detector.name()), to.answer(answer));
    }
    to.put("respond_mode", api.respond.mode.map_or("", super::RespondMode::name));
    if let Some(alert) = api.alert {
        let put = |share: f64| format!("{}%", (share * 1e6).round() / 1e4);
        to.put("alert.error_ratio", alert.error_ratio.map_or_else(String::new, put));
        to.put("alert.latency_p99", alert.latency_p99.map_or_else(String::new, show_duration));
        for (key, rate) in [("min", alert.least), ("max", alert.most)] {
            let shown = rate.map_or_else(String::new, |rate| rate.to_string());
            to.put(&format!("alert.requests_per_second.{key}"), shown);
        }
    }
    if let Some(escalate) = api.escalate {
        let super::Escalate { v4, v6, sources } = escalate;
        to.put("escalate", format!("v4 /{v4}, v6 /{v6}, from {sources} sources"));
    }
    let about = &api.about;
    for (key, value) in [
        ("owner", &about.owner),
        ("maintainer", &about.maintainer),
        ("responder", &about.responder),
        ("version", &about.version),
        ("environment", &about.environment),
    ] {
        to.put(key, value.as_deref().unwrap_or_default());
    }
    to.list("data", about.data.iter().cloned());
    to.put("openapi", about.openapi.as_ref().map_or("", |file| &file.value));
    to.settings
}

fn show_limit(limit: &LimitSpec) -> String {
    let measures = [Measure::Packets, Measure::Bytes, Measure::Connections, Measure::Requests];
    let mut parts: Vec<String> = measures
        .into_iter()
        .filter_map(|measure| {
            let rate = limit.rates.rate(measure)?;
            Some(format!("{} {}", measure.key(), rate.display(measure)))
        })
        .collect();
    if let Some(burst) = limit.rates.burst {
        parts.push(format!("burst {}", show_duration(burst)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse;

    fn policy(text: &str) -> Policy {
        let text = format!("[policy]\nname = \"p\"\nversion = 1\n{text}");
        let loaded = parse(&text, std::path::Path::new(""), "p.toml");
        loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
    }

    const BASE: &str = "
        [trusted]
        cidrs = [\"192.0.2.250/32\"]
        ports = [\"tcp/22\"]
        [groups.a]
        cidrs = [\"10.0.0.0/9\", \"10.128.0.0/9\", \"2001:db8::/32\"]
        [groups.b]
        cidrs = [\"10.1.0.0/16\"]
        [[api]]
        name = \"orders\"
        listen = [\"tcp/80\", \"tcp/81\"]
        allow = [\"a\"]
        deny = [\"b\"]
        limit = { packets = \"100/s\" }
        limit_for.a = { packets = \"200/s\" }
        [[api]]
        name = \"open\"
        listen = [\"tcp/90\"]
        allow = \"any\"
    ";

    #[test]
    fn what_means_the_same_is_no_difference() {
        let before = policy(BASE);
        for (from, to) in [
            ("[\"10.0.0.0/9\", \"10.128.0.0/9\", ", "[\"10.0.0.0/8\", \"10.7.0.0/16\", "),
            ("\"tcp/80\", \"tcp/81\"", "\"tcp/81\", \"tcp/80\""),
            (
                "[[api]]\n        name = \"orders\"",
                "# words\n        [[api]]\n        name = \"orders\"",
            ),
        ] {
            let text = BASE.replacen(from, to, 1);
            assert_ne!(text, BASE, "{from}");
            let found = diff(&before, &policy(&text));
            assert!(found.is_empty(), "{to}: {found:?}");
        }
    }

    #[test]
    fn access_and_settings() {
        let sources = |text: &str| {
            let first: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            Sources { prefixes: first.len() as u64, first }
        };
        // from, to, gained, lost, settings
        type Row =
            (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);
        let rows: [Row; 8] = [
            ("10.1.0.0/16", "10.1.0.0/17", "10.1.128.0/17", "", &[]),
            ("2001:db8::/32\"", "2001:db8::/33\"", "", "2001:db8:8000::/33", &[]),
            ("deny = [\"b\"]", "", "10.1.0.0/16", "", &["deny: b → -"]),
            ("100/s", "50/s", "", "", &["limit: packets 100/s → packets 50/s"]),
            (
                "limit_for.a = { packets = \"200/s\" }",
                "mode = \"monitor\"",
                "",
                "",
                &["limit_for.a: packets 200/s per source, choice 1 → -", "mode: enforce → monitor"],
            ),
            ("\"tcp/80\", \"tcp/81\"", "\"tcp/80\"", "", "", &["listen: tcp/80, tcp/81 → tcp/80"]),
            ("ports = [\"tcp/22\"]", "", "", "", &["trusted.ports: tcp/22 → -"]),
            (
                "[groups.a]",
                "[packets]\ntcp_flags = \"pass\"\nbad_ip = \"drop\"\n[groups.a]",
                "",
                "",
                &["packets.tcp_flags: drop → pass"],
            ),
        ];
        for (from, to, gained, lost, expected) in rows {
            let text = BASE.replacen(from, to, 1);
            assert_ne!(text, BASE, "{from}");
            let found = diff(&policy(BASE), &policy(&text));
            let access = found.access.first().cloned().unwrap_or_default();
            assert_eq!((access.gained, access.lost), (sources(gained), sources(lost)), "{from}");
            let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            let settings: Vec<String> = found
                .settings
                .iter()
                .map(|s| format!("{}: {} → {}", s.key, show(&s.before), show(&s.after)))
                .collect();
            assert_eq!(settings, expected, "{from}");
            assert!(!found.is_empty(), "{from}");
        }
    }

    #[test]
    fn apis_come_and_go_with_their_sources() {
        let without = BASE.split("[[api]]\n        name = \"open\"").next().expect("a part");
        let found = diff(&policy(without), &policy(BASE));
        assert_eq!((found.added, found.removed), (vec!["open".to_owned()], vec![]));
        assert_eq!(found.access[0].gained.first, ["0.0.0.0/0", "::/0"]);
        let found = diff(&policy(BASE), &policy(without));
        assert_eq!((found.added, found.removed), (vec![], vec!["open".to_owned()]));
        assert_eq!(found.access[0].lost.prefixes, 2);
        let found = diff(&policy(BASE), &policy(&BASE.replacen("2.250/32", "2.251/32", 1)));
        let trusted = found.trusted.expect("other sources");
        assert_eq!(trusted.gained.first, ["192.0.2.251/32"]);
        assert_eq!(trusted.lost.first, ["192.0.2.250/32"]);
        let many: Vec<String> = (0..20).map(|n| format!("\"10.200.{n}.1/32\"")).collect();
        let many = BASE.replacen("\"10.1.0.0/16\"", &many.join(", "), 1);
        let lost = diff(&policy(BASE), &policy(&many)).access[0].lost.clone();
        assert_eq!((lost.prefixes, lost.first.len()), (20, SHOWN));
    }

    #[test]
    fn nothing_in_force_is_the_empty_policy() {
        let found = diff(&Policy::observe(), &policy(BASE));
        assert_eq!(found.added, ["orders", "open"]);
        assert!(found.settings.iter().any(|setting| setting.key == "policy.name"));
    }
}
