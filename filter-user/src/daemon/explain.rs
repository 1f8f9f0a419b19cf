//! `weir explain`: the verdict's own code over the tables in force, telling what each stage finds.

use std::cell::RefCell;
use std::net::IpAddr;

use filter_common::limiter::Kind;
use filter_common::packet::{Packet, protocol, tcp_flags};
use filter_common::tables::{BAN_SOURCES_SHIFT, RULE_DENIED, RULE_PASS, Rule};
use filter_common::verdict::{self, Step as Stage};

use crate::control::api::{Answer, ApiError, ExplainRequest, Explanation, Origin, Step};
use crate::image::view::{State, View};
use crate::kernel::clock;
use crate::policy::compile::explain_rule;
use crate::respond::escalation_reason;
use crate::sensor::transaction::{addr, ip};
use crate::text::Location;
use crate::text::quantity::Measure;

use super::gate::Gate;
use super::profile::UNCLAIMED;

/// The wire length of a packet that is not told: a small one.
const LENGTH: u32 = 64;

/// What would happen to a packet now. Looks at bans and orders as they are; limits are named, not
/// charged, and taken as unspent.
pub(super) fn explain(gate: &Gate, request: &ExplainRequest) -> Answer<Explanation> {
    let packet = packet(request)?;
    let mut state = State::new(gate.state.settings.max_apis.max(2), 1);
    gate.state.bans.copy_to(&mut state);
    gate.state.orders.copy_to(&mut state);
    let told = Teller { gate, request, steps: RefCell::new(Vec::new()) };
    let listener = |stage: Stage<'_>| told.stage(&stage);
    let mut view = View::new(&gate.now.image, &state);
    view.seed = gate.state.seed().map_err(super::trouble::kernel)?;
    view.now = clock::monotonic_ns().wrapping_mul(filter_common::gcra::GRAINS_PER_NS);
    view.boot_ns = clock::boot_ns();
    view.interface = request.interface.as_deref().unwrap_or_default();
    view.listener = Some(&listener);
    told.source();
    let decision = verdict::judge(&view, &packet);
    let api = gate.state.ids_ref().api_name(decision.api).map(str::to_owned);
    let mut steps = told.steps.into_inner();
    steps.push(Step {
        stage: "verdict".to_owned(),
        finding: format!("{}: {}", decision.verdict_name(), decision.reason.describe().trim()),
        origin: None,
    });
    Ok(Explanation {
        verdict: decision.verdict_name().to_owned(),
        reason: decision.reason.name().to_owned(),
        reason_text: decision.reason.describe().trim().to_owned(),
        api,
        generation: gate.now.generation,
        steps,
    })
}

fn packet(request: &ExplainRequest) -> Answer<Packet> {
    if request.src.is_ipv4() != request.dst.is_ipv4() {
        return Err(ApiError::invalid(format!(
            "{} and {} are of two families: no packet goes from one to the other",
            request.src, request.dst
        ))
        .hint("give two IPv4 or two IPv6 addresses"));
    }
    let v4 = request.src.is_ipv4();
    let number = match request.proto.as_str() {
        "tcp" => protocol::TCP,
        "udp" => protocol::UDP,
        "icmp" if v4 => protocol::ICMP,
        "icmp" | "icmpv6" if !v4 => protocol::ICMPV6,
        other => {
            return Err(ApiError::invalid(format!("{other} is not a protocol weir tells apart"))
                .hint("use tcp, udp or icmp"));
        }
    };
    let ports = matches!(number, protocol::TCP | protocol::UDP);
    if ports && request.dport.is_none() {
        return Err(ApiError::invalid(format!("a {} packet has a port", request.proto))
            .hint("add --dport PORT"));
    }
    Ok(Packet {
        source: addr(request.src),
        destination: addr(request.dst),
        source_port: if ports { request.sport.unwrap_or(40_000) } else { 0 },
        destination_port: request.dport.filter(|_| ports).unwrap_or(0),
        protocol: number,
        tcp_flags: if request.established { tcp_flags::ACK } else { tcp_flags::SYN },
        // An echo request: neither neighbour discovery nor path-MTU discovery.
        icmp_type: if v4 { 8 } else { 128 },
        wire_len: request.length.unwrap_or(LENGTH),
        hop_limit: 64,
        is_v4: v4,
        ..Packet::default()
    })
}

/// Turns stages into sentences.
struct Teller<'a> {
    gate: &'a Gate,
    request: &'a ExplainRequest,
    steps: RefCell<Vec<Step>>,
}

impl Teller<'_> {
    fn tell(&self, stage: &str, finding: String, at: Option<&Location>) {
        self.steps.borrow_mut().push(Step {
            stage: stage.to_owned(),
            finding,
            origin: at.map(|at| Origin { file: at.file.to_string(), line: at.line }),
        });
    }

    /// The groups of the source, with the lines that put it there.
    fn source(&self) {
        let policy = &self.gate.now.policy;
        let groups = policy.groups_of(self.request.src);
        if groups.is_empty() {
            self.tell("source", format!("{} is in no group", self.request.src), None);
        }
        for (index, cidr, at) in groups {
            let name = policy.group(index).map_or("?", |group| group.name.as_str());
            self.tell("source", format!("in group {name} by {cidr}"), Some(&at));
        }
    }

    fn stage(&self, stage: &Stage<'_>) {
        match *stage {
            Stage::Class(_) => {}
            Stage::Trusted => {
                let by = self.gate.now.policy.trusted_by(self.request.src);
                let cidr = by.as_ref().map_or_else(String::new, |(cidr, _)| format!(" by {cidr}"));
                self.tell(
                    "trusted",
                    format!("trusted{cidr}: never judged"),
                    by.as_ref().map(|(_, at)| at),
                );
            }
            Stage::Api(api) => self.api(api.map(|api| api.id)),
            Stage::Ban(key, ban) => {
                let v4 = key.addr.is_v4() && key.len >= 96;
                let length = key.len - if v4 { 96 } else { 0 };
                let rest = match super::orders::remaining(Some(ban.until.load())) {
                    Some(seconds) if seconds < u64::from(u32::MAX) => {
                        format!(", for {seconds} s more")
                    }
                    _ => String::new(),
                };
                let why = match ban.flags.load() >> BAN_SOURCES_SHIFT {
                    0 => String::new(),
                    sources => format!(": {}", escalation_reason(sources as u32)),
                };
                self.tell("ban", format!("{}/{length} is banned{rest}{why}", ip(key.addr)), None);
            }
            Stage::Override(reason) => {
                self.tell("orders", reason.describe().trim().to_owned(), None);
            }
            Stage::Rule(rule) => self.rule(rule),
            Stage::Limit(kind, total, admits) => {
                let whose = if total { "the API's" } else { "the source's" };
                let verb = if admits { "is asked" } else { "is spent" };
                self.tell("limit", format!("{whose} {} limit {verb}", kind_name(kind)), None);
            }
        }
    }

    fn api(&self, id: Option<u32>) {
        let Some(id) = id else {
            let where_to = self.request.dport.map_or_else(String::new, |port| format!(":{port}"));
            let finding = format!("no API claims {}{where_to}", bracket(self.request.dst));
            return self.tell("api", finding, None);
        };
        let name = self.gate.api_name(id);
        let api = self.gate.now.policy.api(&name);
        let mode = api.map_or("", |_| match self.gate.orders_of(&name, id).mode {
            crate::control::api::Mode::Monitor => ", in monitor mode",
            crate::control::api::Mode::Enforce => "",
        });
        self.tell("api", format!("{name}{mode}"), api.map(|api| &api.at));
    }

    fn rule(&self, rule: &Rule) {
        // The stage before named the API.
        let policy = &self.gate.now.policy;
        let named = self
            .steps
            .borrow()
            .iter()
            .rev()
            .find(|step| step.stage == "api")
            .map(|step| step.finding.split(',').next().unwrap_or(UNCLAIMED).to_owned());
        let Some(api) = named.and_then(|name| policy.api(&name)) else { return };
        let (entry, limit) = explain_rule(api, rule);
        let group = entry
            .and_then(|entry| policy.group(entry.value))
            .map_or_else(String::new, |group| format!(" group {}", group.name));
        let finding = match rule.action {
            RULE_DENIED => format!("deny{group}"),
            RULE_PASS if entry.is_none() => "allow any".to_owned(),
            RULE_PASS => format!("allow{group}"),
            _ => "in none of the groups that are allowed".to_owned(),
        };
        self.tell("rule", finding, Some(entry.map_or(&api.at, |entry| &entry.at)));
        if let Some(limit) = limit {
            let rates: Vec<_> = [Measure::Packets, Measure::Bytes, Measure::Connections]
                .into_iter()
                .filter_map(|measure| {
                    let rate = limit.rates.rate(measure)?;
                    Some(format!("{} {}", measure.key(), rate.display(measure)))
                })
                .collect();
            self.tell("limit", format!("at most {}", rates.join(", ")), Some(&limit.at));
        }
    }
}

fn bracket(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Packets => "packet",
        Kind::Bytes => "byte",
        Kind::Connections => "connection",
    }
}
