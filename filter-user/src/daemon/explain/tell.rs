//! From what the stages of the verdict find to sentences, with the lines of the policy.

use std::cell::RefCell;
use std::collections::BTreeSet;

use filter_common::oddity::{Oddity, Treatment};
use filter_common::packet::{Fragment, Packet};
use filter_common::reason::Reason;
use filter_common::stat::Stat;
use filter_common::tables::{
    API_MONITOR, BAN_AUTOMATIC, BAN_SOURCES_SHIFT, Ban, BanKey, FOREVER, MAX_GROUPS, RULE_DENIED,
    RULE_MONITOR, RULE_PASS, RULE_PROXY, Rule, UNCLAIMED,
};
use filter_common::verdict::{Asked, Decision, Step as Stage, Tables as _, Whose};

use crate::control::api::{LimitState, Origin, Step};
use crate::kernel::live::Live;
use crate::policy::compile::explain_rule;
use crate::policy::{Allow, Api, LimitSpec, treatment_name};
use crate::respond::escalation_reason;
use crate::sensor::transaction::ip;
use crate::text::Location;

use super::super::gate::Gate;
use super::super::orders::remaining;
use super::limit;

/// The stages in the order of the packet path.
const STAGES: [&str; 12] = [
    "parse",
    "source",
    "api",
    "trusted",
    "ban",
    "packets",
    "fragment",
    "unclaimed",
    "orders",
    "rule",
    "limit",
    "verdict",
];

/// Turns stages into sentences.
pub(super) struct Teller<'a> {
    gate: &'a Gate,
    packet: &'a Packet,
    heard: RefCell<Heard>,
}

/// What a packet has met so far.
#[derive(Default)]
struct Heard {
    class: Option<u32>,
    api: Option<(u32, u32)>,
    rule: Option<Rule>,
    trusted: bool,
    steps: Vec<Step>,
}

impl Heard {
    fn tell(&mut self, stage: &str, finding: String, at: Option<&Location>) {
        self.put(stage, finding, at, None);
    }

    fn put(
        &mut self,
        stage: &str,
        finding: String,
        at: Option<&Location>,
        limit: Option<LimitState>,
    ) {
        let origin = at.map(|at| Origin { file: at.file.to_string(), line: at.line });
        self.steps.push(Step { stage: stage.to_owned(), finding, origin, limit });
    }

    fn told(&self, stage: &str) -> bool {
        self.steps.iter().any(|step| step.stage == stage)
    }
}

impl<'a> Teller<'a> {
    pub(super) fn new(gate: &'a Gate, packet: &'a Packet) -> Self {
        Self { gate, packet, heard: RefCell::default() }
    }

    /// A finding of a stage.
    pub(super) fn hear(&self, stage: &Stage<'_>, now: u64) {
        let mut heard = self.heard.borrow_mut();
        match *stage {
            Stage::Class(class) => heard.class = Some(class),
            Stage::Odd(reason, watched) => {
                let Some(kind) = Oddity::of(reason) else { return };
                let treatment = if watched { Treatment::Monitor } else { Treatment::Drop };
                let at = self.gate.now.policy.packets.at(kind);
                let whose = if at.is_none() { ", the default" } else { "" };
                let finding = format!("{} = \"{}\"{whose}", kind.key(), treatment_name(treatment));
                heard.tell("packets", finding, at);
            }
            Stage::Trusted => {
                heard.trusted = true;
                let by = self.gate.now.policy.trusted_by(ip(self.packet.source));
                let cidr = by.as_ref().map_or_else(String::new, |(cidr, _)| format!(" by {cidr}"));
                let at = by.as_ref().map(|(_, at)| at);
                heard.tell("trusted", format!("trusted{cidr}: never judged"), at);
            }
            Stage::Api(api) => heard.api = api.map(|api| (api.id, api.flags)),
            Stage::Ban(key, ban) => {
                let finding = self.ban(key, ban);
                heard.tell("ban", finding, None);
            }
            Stage::Override(reason) => {
                let id = heard.api.map_or(UNCLAIMED, |(id, _)| id);
                let finding = format!("{}{}", reason.describe().trim(), self.ends(id, reason));
                heard.tell("orders", finding, None);
            }
            Stage::Rule(rule) => {
                heard.rule = Some(*rule);
                self.rule(&mut heard, rule);
            }
            Stage::Limit(ref asked) => self.limit(&mut heard, asked, now),
        }
    }

    /// The API of the packet in the policy in force.
    fn api(&self, heard: &Heard) -> Option<&'a Api> {
        let (id, _) = heard.api?;
        self.gate.now.policy.api(self.gate.state.ids_ref().api_name(id)?)
    }

    fn ban(&self, key: &BanKey, ban: &Ban) -> String {
        let v4 = key.addr.is_v4() && key.len >= 96;
        let (network, length) = (ip(key.addr), (key.len - if v4 { 96 } else { 0 }) as u8);
        let api = Some(key.api).filter(|&api| api != UNCLAIMED);
        let at = api.map_or_else(String::new, |api| format!(" at {}", self.gate.api_name(api)));
        let by = if ban.flags.load() & BAN_AUTOMATIC != 0 { " by a detector" } else { "" };
        let end = match ban.until.load() {
            FOREVER => ", until it is lifted".to_owned(),
            until => format!(", for {} s more", remaining(Some(until)).unwrap_or(0)),
        };
        let reason = self.gate.reasons.get(&(network, length, api)).cloned();
        let why = match ban.flags.load() >> BAN_SOURCES_SHIFT {
            0 => reason.filter(|why| !why.is_empty()),
            sources => Some(escalation_reason(sources as u32)),
        };
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        format!("{network}/{length} is banned{at}{by}{end}{why}")
    }

    /// When an order that decided ends.
    fn ends(&self, api: u32, reason: Reason) -> String {
        use crate::kernel::orders::Order;
        let orders = self.gate.state.orders.of(api);
        let order = orders.iter().find(|held| match held.order {
            Order::Shutdown => reason == Reason::Shutdown,
            Order::Lockdown { .. } => reason == Reason::Lockdown,
            _ => false,
        });
        match order.and_then(|order| remaining(order.until)) {
            Some(seconds) => format!(" For {seconds} s more."),
            None => String::new(),
        }
    }

    fn rule(&self, heard: &mut Heard, rule: &Rule) {
        let Some(api) = self.api(heard) else {
            return heard.tell("rule", "of an API that the policy does not have".to_owned(), None);
        };
        let (entry, _) = explain_rule(api, rule);
        let group = entry
            .and_then(|entry| self.gate.now.policy.group(entry.value))
            .map_or_else(String::new, |group| format!(" group {}", group.name));
        let mut finding = match rule.action {
            RULE_DENIED => format!("deny{group}"),
            RULE_PASS if entry.is_none() => "allow any".to_owned(),
            RULE_PASS => format!("allow{group}"),
            _ => "in none of the groups that are allowed".to_owned(),
        };
        if rule.flags & RULE_MONITOR != 0 {
            finding += ", in monitor mode";
        }
        if rule.flags & RULE_PROXY != 0 {
            finding += ", a proxy: no limit of its own";
        }
        let at = match (entry, &api.allow) {
            (Some(entry), _) => &entry.at,
            (None, Allow::Any(at)) => at,
            (None, Allow::Groups(groups)) => groups.first().map_or(&api.at, |group| &group.at),
        };
        heard.tell("rule", finding, Some(at));
    }

    fn limit(&self, heard: &mut Heard, asked: &Asked<'_>, now: u64) {
        let written: Option<&LimitSpec> = self.api(heard).and_then(|api| match asked.whose {
            Whose::Order => None,
            Whose::Api => api.limit_total.as_ref(),
            _ => heard.rule.as_ref().and_then(|rule| explain_rule(api, rule).1),
        });
        let state = limit::state(asked, now);
        let sentence = limit::sentence(&state);
        heard.put("limit", sentence, written.map(|limit| &limit.at), Some(state));
    }

    /// The stages in order, those included that handed the packet on; and what the tables of the
    /// program and the policy do not agree on.
    pub(super) fn finish(
        &self,
        decision: &Decision,
        live: &Live<'_>,
        parsed: String,
    ) -> (Vec<Step>, Vec<String>) {
        let mut heard = self.heard.take();
        let mut notes = Vec::new();
        heard.tell("parse", parsed, None);
        if let Some(class) = heard.class {
            self.source(&mut heard, class, live, &mut notes);
            self.claim(&mut heard);
            self.passed(&mut heard, decision, live, class);
        }
        let verdict = format!("{}: {}", decision.verdict_name(), decision.reason.describe().trim());
        heard.tell("verdict", verdict, None);
        let place = |step: &Step| STAGES.iter().position(|stage| *stage == step.stage);
        heard.steps.sort_by_key(place);
        (heard.steps, notes)
    }

    /// The groups that the class of the source stands for, with the lines that put it there.
    fn source(&self, heard: &mut Heard, class: u32, live: &Live<'_>, notes: &mut Vec<String>) {
        let (policy, ids) = (&self.gate.now.policy, self.gate.state.ids_ref());
        let address = ip(self.packet.source);
        let groups = live.class_groups(class);
        let is_in = |id: &u32| groups.is_some_and(|groups| groups.contains(*id));
        let enforced: BTreeSet<String> = (0..MAX_GROUPS)
            .filter(is_in)
            .map(|id| ids.group_name(id).map_or_else(|| format!("number {id}"), str::to_owned))
            .collect();
        let mut written = BTreeSet::new();
        for (index, cidr, at) in policy.groups_of(address) {
            let name = policy.group(index).map_or("?", |group| group.name.as_str());
            written.insert(name.to_owned());
            if enforced.contains(name) {
                heard.tell("source", format!("in group {name} by {cidr}"), Some(&at));
            }
        }
        for name in enforced.difference(&written) {
            heard.tell("source", format!("in group {name}"), None);
        }
        if enforced.is_empty() {
            heard.tell("source", format!("{address} is in no group"), None);
        }
        if enforced != written {
            let list = |names: &BTreeSet<String>| match names.len() {
                0 => "no group".to_owned(),
                _ => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            };
            notes.push(format!(
                "the loaded tables have {address} in {}, the policy in {}: apply the policy again",
                list(&enforced),
                list(&written)
            ));
        }
    }

    /// Which API claims the destination, and in which mode it is.
    fn claim(&self, heard: &mut Heard) {
        let Some((id, flags)) = heard.api else {
            let finding = "no API listens on the destination".to_owned();
            return heard.tell("api", finding, None);
        };
        let ordered = self.gate.state.orders.of(id).into_iter().find_map(|held| match held.order {
            crate::kernel::orders::Order::Monitor(on) => Some(on),
            _ => None,
        });
        let mode = match (ordered, flags & API_MONITOR != 0) {
            (Some(true), _) => ", ordered into monitor mode",
            (Some(false), true) => ", ordered out of monitor mode",
            (None, true) => ", in monitor mode",
            _ => "",
        };
        let at = self.api(heard).map(|api| &api.at);
        heard.tell("api", format!("{}{mode}", self.gate.api_name(id)), at);
    }

    /// What the stages before the deciding one found that had nothing to say.
    fn passed(&self, heard: &mut Heard, decision: &Decision, live: &Live<'_>, class: u32) {
        let reached = |stage: &str| {
            // What is only watched for is said of packets that have passed every stage.
            let watched = decision.would && Oddity::of(decision.reason).is_some();
            let decider = if watched { "verdict" } else { decider(decision.reason) };
            let decided = STAGES.iter().position(|known| *known == decider);
            STAGES.iter().position(|known| *known == stage) <= decided
        };
        if !heard.trusted && reached("trusted") {
            let trusted = class != 0 && class < live.trusted_classes();
            let finding = if trusted { "not on this port or interface" } else { "no" };
            heard.tell("trusted", finding.to_owned(), None);
        }
        if reached("ban") && !heard.told("ban") {
            heard.tell("ban", "none in force".to_owned(), None);
        }
        match decision.reason {
            Reason::Fragment => {
                let finding = "a later fragment: its first one is judged".to_owned();
                heard.tell("fragment", finding, None);
            }
            Reason::Unclaimed => {
                heard.tell("unclaimed", "passes".to_owned(), None);
            }
            Reason::Reply => {
                heard.tell("unclaimed", "answers what this host sent".to_owned(), None);
            }
            Reason::UnclaimedRefused => heard.tell("unclaimed", "refused".to_owned(), None),
            _ if self.packet.fragment == Fragment::First && reached("fragment") => {
                heard.tell("fragment", "the first: it has the ports".to_owned(), None);
            }
            _ => {}
        }
        if heard.api.is_some() && reached("orders") && !heard.told("orders") {
            heard.tell("orders", "nothing that decides".to_owned(), None);
        }
        if heard.rule.is_some() && reached("limit") {
            self.room(heard, decision, live);
        }
    }

    /// What the look-up of a source's limit found, beside the limits themselves.
    fn room(&self, heard: &mut Heard, decision: &Decision, live: &Live<'_>) {
        if live.bumped().contains(&Stat::LimiterFull) {
            let finding = match decision.reason {
                Reason::LimitOverflow => "the limiter has no room for the source",
                _ => "the limiter has no room for the source: its own limit is not kept",
            };
            heard.tell("limit", finding.to_owned(), None);
        } else if !heard.told("limit") {
            heard.tell("limit", "none".to_owned(), None);
        }
    }
}

/// The stage whose reason it is.
const fn decider(reason: Reason) -> &'static str {
    match reason {
        Reason::Trusted => "trusted",
        Reason::Banned => "ban",
        Reason::Fragment => "fragment",
        Reason::Unclaimed | Reason::UnclaimedRefused | Reason::Reply => "unclaimed",
        Reason::Shutdown | Reason::Lockdown => "orders",
        Reason::Denied | Reason::NotAllowed => "rule",
        Reason::Allowed
        | Reason::LimitPackets
        | Reason::LimitBytes
        | Reason::LimitConnections
        | Reason::TotalPackets
        | Reason::TotalBytes
        | Reason::TotalConnections
        | Reason::LimitOverflow => "limit",
        Reason::NotIp
        | Reason::Essential
        | Reason::Truncated
        | Reason::VlanDepth
        | Reason::BadIp
        | Reason::BadTransport
        | Reason::ExtensionDepth
        | Reason::EvilFragment
        | Reason::Unjudged
        | Reason::MappedSource
        | Reason::LoopbackSource
        | Reason::MulticastSource
        | Reason::OwnSource => "parse",
        Reason::VlanTag
        | Reason::Ipv4Options
        | Reason::SourceRoute
        | Reason::Ipv6Extensions
        | Reason::FirstFragment
        | Reason::LaterFragment
        | Reason::TcpFlags => "packets",
    }
}
