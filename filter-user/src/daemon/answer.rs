//! The control socket's questions, answered.

use std::net::IpAddr;

use crate::control::api::{
    ActionDecision, ActionEntry, ActionQuery, ActionsStatus, ActionsStop, Answer, ApiDetail,
    ApiEntry, ApiError, ApiOrders, ApiQuery, Applied, ApplyRequest, Assessed, AuditEntry,
    AuditQuery, AuditVerified, Ban, BanAdd, BanRemove, BreachRan, BreachRun, Caller, Confirmed,
    Daemon, Detached, DiffRequest, Differences, Drift, Drill, DrillEnd, DrillRequest, Drilled,
    EndpointEntry, EventQuery, Evidence, EvidenceQuery, ExplainRequest, Explanation, Facts, Feed,
    FindingAck, FindingEntry, FindingQuery, HistoryEntry, MaintenanceEntry, MaintenanceStart,
    MaintenanceStop, MuteEntry, MuteLift, MuteSet, ObservedApi, ObservedQuery, OrderKind,
    OrderLift, OrderSet, PlaybookEntry, RareQuery, RollbackRequest, SinkTest, SinkTested, Status,
    Top,
};
use crate::control::ssh::who;
use crate::detect::Source;
use crate::export::audit::{Change, verify};
use crate::export::events::{ActionField, ApiField, Event, Kind, SourceField};
use crate::kernel::bans::Entry;
use crate::kernel::clock;
use crate::policy::Cidr;
use crate::respond::{Refusal, escalation_reason};
use crate::store::Store;

use super::auditor::{Auditor, about, forced};
use super::breach::Note;
use super::change::{Apply, guarded};
use super::clients::Known;
use super::core::{Core, lock, unix_ns};
use super::gate::{Gate, unix_now};
use super::{orders, trouble};

impl Core {
    /// Tells of a ban that began or ended.
    pub(super) fn tell_ban(
        &self,
        kind: Kind,
        entry: &Entry,
        api: Option<ApiField>,
        reason: &str,
        by: &'static str,
    ) {
        let cidr = show(entry.network, entry.prefix);
        let at = api.as_ref().map_or_else(String::new, |api| format!(" at {}", api.name));
        let (verb, outcome) = match kind {
            Kind::BanAdded => ("banned", "done"),
            Kind::BanRemoved => ("no longer banned", "done"),
            _ => ("no longer banned: its time is over", "done"),
        };
        let action = ActionField {
            kind: "ban",
            outcome,
            ttl_seconds: orders::remaining(entry.until).map(|seconds| seconds as f64),
            sources: Some(entry.sources).filter(|&sources| sources > 0),
            by: Some(by),
            reason: reason.to_owned(),
            ..ActionField::default()
        };
        let whole = if entry.network.is_ipv4() { 32 } else { 128 };
        let prefix = (entry.prefix != whole).then_some(entry.prefix);
        self.tell(&Event {
            api,
            source: Some(SourceField::new(entry.network, prefix)),
            action: Some(action),
            ..Event::new(kind, unix_ns(), format!("{cidr} is {verb}{at}"))
        });
    }

    /// Refuses to ban who is only known through a proxy: no packet would be dropped. Those who watch
    /// the events are told, for whoever runs the proxy can do it.
    fn hand_off(
        &self,
        (network, prefix): (IpAddr, u8),
        gate: &Gate,
        reason: &str,
    ) -> Result<(), ApiError> {
        let source = Source { address: network, length: prefix };
        let known = lock(&self.clients).hidden(&source, clock::monotonic_ns());
        let Some(Known { proxy, api, .. }) = known else { return Ok(()) };
        let field = gate.api_field(api);
        let message = format!(
            "not enforceable here: {source} is only known through {proxy}, a proxy of `{}`",
            field.name
        );
        let action = ActionField {
            kind: "ban",
            outcome: "refused",
            refusal: Some(Refusal::BehindProxy.name()),
            by: Some("operator"),
            reason: reason.to_owned(),
            ..ActionField::default()
        };
        self.tell(&Event {
            api: Some(field),
            source: Some(source.into()),
            action: Some(action),
            ..Event::new(Kind::HandOff, unix_ns(), message.clone())
        });
        Err(ApiError::refused(message).hint(format!(
            "ban it at {proxy}; with --force its packets are refused here too, should there be any"
        )))
    }

    /// Takes out bans whose time is over, and tells of them.
    pub(super) fn sweep_bans(&self) {
        let Some(mut gate) = self.try_gate() else { return };
        gate.state.orders.settle();
        match gate.state.bans.sweep() {
            Ok(expired) => {
                for entry in expired {
                    let reason = gate.ban_reason(&entry);
                    gate.reasons.remove(&(entry.network, entry.prefix, entry.api));
                    self.tell_ban(
                        Kind::BanExpired,
                        &entry,
                        gate.ban_api(&entry),
                        &reason,
                        if entry.automatic { "detector" } else { "operator" },
                    );
                }
            }
            Err(error) => tracing::error!(%error, "expired bans stay in the table"),
        }
        self.expire_orders(&mut gate);
        gate.keep_standing();
    }
}

/// A network as it is written, a single address without its length.
fn show(network: IpAddr, prefix: u8) -> String {
    let whole = if network.is_ipv4() { 32 } else { 128 };
    if prefix == whole { network.to_string() } else { format!("{network}/{prefix}") }
}

fn parse(prefix: &str) -> Answer<(IpAddr, u8)> {
    let cidr =
        Cidr::parse(prefix.as_bytes()).map_err(|error| trouble::invalid(error.explain(prefix)))?;
    Ok(match cidr {
        Cidr::V4(bits, length) => (IpAddr::V4(bits.into()), length),
        Cidr::V6(bits, length) => (IpAddr::V6(bits.into()), length),
    })
}

impl Gate {
    /// Why a ban was made. What the kernel keeps of it outlives the daemon.
    pub(super) fn ban_reason(&self, entry: &Entry) -> String {
        let held = self.reasons.get(&(entry.network, entry.prefix, entry.api));
        match held {
            Some(reason) => reason.clone(),
            None if entry.sources > 0 => escalation_reason(entry.sources),
            None => String::new(),
        }
    }

    /// The only API a ban covers, as events show it.
    pub(super) fn ban_api(&self, entry: &Entry) -> Option<ApiField> {
        Some(self.api_field(entry.api?))
    }

    /// The API of a stable id, as events show it.
    pub(super) fn api_field(&self, id: u32) -> ApiField {
        ApiField::find(&self.now.policy, &self.api_name(id))
    }
}

fn unreadable(auditor: &Auditor, error: &std::io::Error) -> ApiError {
    ApiError::internal(format!("cannot read {}: {error}", auditor.log.path().display()))
}

pub(super) fn told(gate: &Gate, entry: &Entry) -> Ban {
    let age = crate::kernel::clock::boot_ns().saturating_sub(entry.since) / 1_000_000_000;
    Ban {
        prefix: show(entry.network, entry.prefix),
        api: entry.api.map(|id| gate.api_name(id)),
        since: unix_now().saturating_sub(age),
        remaining_seconds: orders::remaining(entry.until),
        reason: gate.ban_reason(entry),
        automatic: entry.automatic,
        sources: Some(entry.sources).filter(|&sources| sources > 0),
        hits: entry.hits,
    }
}

impl Daemon for Core {
    fn status(&self) -> Answer<Status> {
        super::status::take(self).map_err(trouble::kernel)
    }

    fn top(&self) -> Answer<Top> {
        super::top::take(self).map_err(trouble::kernel)
    }

    fn apply(&self, request: &ApplyRequest, caller: &Caller) -> Answer<Applied> {
        tracing::info!(path = %request.path.display(), uid = caller.uid, pid = caller.pid, "apply");
        let confirm = super::change::wait(request.confirm_seconds)?;
        let ApplyRequest { path, force, .. } = request;
        let guards = guarded(caller, *force);
        self.apply_file(&Apply { path, confirm, force: *force, guards }, Some(caller))
    }

    fn diff(&self, request: &DiffRequest, caller: &Caller) -> Answer<Differences> {
        self.compare(&request.path, caller)
    }

    fn confirm(&self, caller: &Caller) -> Answer<Confirmed> {
        tracing::info!(uid = caller.uid, pid = caller.pid, "confirm");
        self.confirm_waiting(caller)
    }

    fn rollback(&self, request: &RollbackRequest, caller: &Caller) -> Answer<Applied> {
        tracing::info!(number = request.number, uid = caller.uid, pid = caller.pid, "rollback");
        self.roll_back(request, caller)
    }

    fn history(&self) -> Answer<Vec<HistoryEntry>> {
        self.list_history()
    }

    fn audit(&self, query: &AuditQuery) -> Answer<Vec<AuditEntry>> {
        let auditor = lock(&self.auditor);
        auditor.log.last(query.limit).map_err(|error| unreadable(&auditor, &error))
    }

    fn audit_verify(&self) -> Answer<AuditVerified> {
        let auditor = lock(&self.auditor);
        verify(auditor.log.path()).map_err(|error| unreadable(&auditor, &error))
    }

    fn bans(&self) -> Answer<Vec<Ban>> {
        let gate = self.gate();
        Ok(gate.state.bans.list().iter().map(|entry| told(&gate, entry)).collect())
    }

    fn ban_add(&self, request: &BanAdd, caller: &Caller) -> Answer<Ban> {
        let (network, prefix) = parse(&request.prefix)?;
        let until = orders::end(orders::ttl(request.ttl_seconds)?);
        let who = who(caller);
        let guards = guarded(caller, request.force);
        let mut gate = self.gate();
        let api = request.api.as_deref().map(|name| gate.api_id(name)).transpose()?;
        if let Some((cidr, at)) = gate.now.policy.trusted_by(network)
            && cidr.length() <= prefix
        {
            return Err(ApiError::refused(format!(
                "{} is trusted by {at} and cannot be banned",
                request.prefix
            ))
            .hint("take it out of [trusted] first"));
        }
        if !request.force {
            self.hand_off((network, prefix), &gate, &request.reason)?;
        }
        if let Some(connection) = &guards {
            gate.guard_ban((network, prefix, api), connection)?;
        }
        let entry =
            gate.state.bans.add(network, prefix, api, until, false).map_err(trouble::kernel)?;
        gate.reasons.insert((network, prefix, api), request.reason.clone());
        // It is in force by now; what is answered outlives the daemon and the host.
        gate.keep_standing();
        tracing::info!(prefix = request.prefix, uid = caller.uid, "ban added");
        let field = gate.ban_api(&entry);
        self.tell_ban(Kind::BanAdded, &entry, field, &request.reason, "operator");
        let fields = [
            ("prefix", request.prefix.clone().into()),
            ("api", request.api.clone().into()),
            ("ttl_seconds", request.ttl_seconds.into()),
            ("reason", request.reason.clone().into()),
            ("force", forced(request.force)),
        ];
        self.audit_act("ban_add", who, fields);
        Ok(told(&gate, &entry))
    }

    fn ban_remove(&self, request: &BanRemove, caller: &Caller) -> Answer<Ban> {
        let (network, prefix) = parse(&request.prefix)?;
        let who = who(caller);
        let mut gate = self.gate();
        let api = request.api.as_deref().map(|name| gate.api_id(name)).transpose()?;
        let removed = gate.state.bans.remove(network, prefix, api).map_err(trouble::kernel)?;
        let Some(entry) = removed else {
            return Err(ApiError::not_found(format!("{} is not banned", request.prefix)).hint(
                "`weir ban list` shows what is; a ban is lifted as it was made: the same \
                       prefix, the same API",
            ));
        };
        let ban = told(&gate, &entry);
        gate.reasons.remove(&(network, prefix, api));
        gate.keep_standing();
        tracing::info!(prefix = request.prefix, uid = caller.uid, "ban removed");
        let field = gate.ban_api(&entry);
        self.tell_ban(Kind::BanRemoved, &entry, field, &ban.reason, "operator");
        let fields =
            [("prefix", request.prefix.clone().into()), ("api", request.api.clone().into())];
        self.audit_act("ban_remove", who, fields);
        Ok(ban)
    }

    fn explain(&self, request: &ExplainRequest) -> Answer<Explanation> {
        super::explain::explain(&self.gate(), request)
    }

    fn events(&self, query: &EventQuery) -> Answer<Feed> {
        if query.follow {
            let (past, live) = self.events.follow(query.limit, query.since);
            return Ok(Feed { past, live: Some(live) });
        }
        Ok(Feed { past: self.events.past(query.limit, query.since), live: None })
    }

    fn apis(&self) -> Answer<Vec<ApiEntry>> {
        Ok(self.list_apis())
    }

    fn api(&self, query: &ApiQuery) -> Answer<ApiDetail> {
        self.show_api(query)
    }

    fn api_openapi(&self, query: &ApiQuery) -> Answer<serde_json::Value> {
        self.skeleton(query)
    }

    fn api_drift(&self, query: &ApiQuery) -> Answer<Drift> {
        self.drift(query)
    }

    fn api_rare(&self, query: &RareQuery) -> Answer<Vec<EndpointEntry>> {
        self.rare(query)
    }

    fn findings(&self, query: &FindingQuery) -> Answer<Vec<FindingEntry>> {
        Ok(self.list_findings(query))
    }

    fn finding_ack(&self, request: &FindingAck, caller: &Caller) -> Answer<FindingEntry> {
        self.acknowledge(request, caller, true)
    }

    fn finding_unack(&self, request: &FindingAck, caller: &Caller) -> Answer<FindingEntry> {
        self.acknowledge(request, caller, false)
    }

    fn mutes(&self) -> Answer<Vec<MuteEntry>> {
        Ok(self.list_mutes())
    }

    fn mute(&self, request: &MuteSet, caller: &Caller) -> Answer<MuteEntry> {
        self.set_mute(request, caller)
    }

    fn unmute(&self, request: &MuteLift, caller: &Caller) -> Answer<MuteEntry> {
        self.lift_mute(request, caller)
    }

    fn maintenance(&self) -> Answer<Vec<MaintenanceEntry>> {
        Ok(self.list_maintenance())
    }

    fn maintenance_start(
        &self,
        request: &MaintenanceStart,
        caller: &Caller,
    ) -> Answer<MaintenanceEntry> {
        self.start_maintenance(request, caller)
    }

    fn maintenance_stop(
        &self,
        request: &MaintenanceStop,
        caller: &Caller,
    ) -> Answer<MaintenanceEntry> {
        self.stop_maintenance(request, caller)
    }

    fn orders(&self) -> Answer<Vec<ApiOrders>> {
        let gate = self.gate();
        let all = gate.state.ids_ref().apis().map(|(id, name)| gate.orders_of(name, id));
        Ok(all.filter(|api| !api.orders.is_empty()).collect())
    }

    fn order_set(&self, request: &OrderSet, caller: &Caller) -> Answer<ApiOrders> {
        tracing::info!(api = request.api, order = ?request.order, uid = caller.uid, "order");
        let who = who(caller);
        let guards = guarded(caller, request.force);
        let note = Note::of(&who, &request.reason);
        let mut gate = self.gate();
        let orders = gate.order_set(request, guards.as_ref(), note)?;
        gate.keep_standing();
        let field = gate.now.policy.api(&request.api).map(ApiField::of).unwrap_or_default();
        drop(gate);
        let (kind, event) = match request.order.kind() {
            OrderKind::Shutdown => ("shutdown", Kind::BreachOrdered),
            OrderKind::Lockdown => ("lockdown", Kind::BreachOrdered),
            OrderKind::Limit => ("limit", Kind::BreachOrdered),
            OrderKind::Mode => ("mode", Kind::ModeOrdered),
        };
        let action = ActionField {
            kind,
            outcome: "done",
            ttl_seconds: request.ttl_seconds,
            by: Some("operator"),
            reason: request.reason.clone(),
            ..ActionField::default()
        };
        self.tell_order(event, field, action, None);
        let fields = [
            ("api", request.api.clone().into()),
            ("order", serde_json::to_value(&request.order).unwrap_or_default()),
            ("ttl_seconds", request.ttl_seconds.into()),
            ("reason", request.reason.clone().into()),
            ("force", forced(request.force)),
        ];
        self.audit_act("order_set", who, fields);
        Ok(orders)
    }

    fn order_lift(&self, request: &OrderLift, caller: &Caller) -> Answer<ApiOrders> {
        tracing::info!(api = request.api, kinds = ?request.kinds, uid = caller.uid, "lift");
        let who = who(caller);
        let mut gate = self.gate();
        let orders = gate.order_lift(request)?;
        gate.keep_standing();
        let field = gate.now.policy.api(&request.api).map(ApiField::of).unwrap_or_default();
        drop(gate);
        let action = ActionField {
            kind: "lift",
            outcome: "done",
            by: Some("operator"),
            ..ActionField::default()
        };
        self.tell_order(Kind::BreachLifted, field, action, None);
        let kinds = serde_json::to_value(&request.kinds).unwrap_or_default();
        self.audit_act("order_lift", who, [("api", request.api.clone().into()), ("kinds", kinds)]);
        Ok(orders)
    }

    fn sink_test(&self, request: &SinkTest) -> Answer<SinkTested> {
        self.test_sink(request)
    }

    fn actions(&self, query: &ActionQuery) -> Answer<Vec<ActionEntry>> {
        Ok(lock(&self.actions).list(query))
    }

    fn action_decide(&self, request: &ActionDecision, caller: &Caller) -> Answer<ActionEntry> {
        self.decide_action(request, caller)
    }

    fn actions_stop(&self, request: &ActionsStop, caller: &Caller) -> Answer<ActionsStatus> {
        self.stop_actions(request, caller)
    }

    fn actions_start(&self, caller: &Caller) -> Answer<ActionsStatus> {
        self.start_actions(caller)
    }

    fn evidence(&self, query: &EvidenceQuery, caller: &Caller) -> Answer<Evidence> {
        self.take_evidence(query, caller)
    }

    fn observed(&self, query: &ObservedQuery) -> Answer<Vec<ObservedApi>> {
        self.observe(query)
    }

    fn assess(&self) -> Answer<Facts> {
        self.gather_facts()
    }

    fn assess_keep(&self, caller: &Caller) -> Answer<Assessed> {
        self.keep_report(who(caller))
    }

    fn playbooks(&self) -> Answer<Vec<PlaybookEntry>> {
        Ok(self.list_playbooks())
    }

    fn breach_run(&self, request: &BreachRun, caller: &Caller) -> Answer<BreachRan> {
        self.run_playbook(request, caller)
    }

    fn breach_drill(&self, request: &DrillRequest, caller: &Caller) -> Answer<Drill> {
        self.drill(request, caller)
    }

    fn breach_drill_end(&self, request: &DrillEnd, caller: &Caller) -> Answer<Drilled> {
        self.end_drill(request, caller)
    }

    fn detach(&self, caller: &Caller) -> Answer<Detached> {
        let who = who(caller);
        let mut gate = self.gate();
        tracing::warn!(uid = caller.uid, pid = caller.pid, "detach: the filter is taken off");
        let detached = crate::kernel::attach::detach(gate.pins()).map_err(trouble::kernel)?;
        gate.waiting = None;
        let _noted = gate.keeper.with(Store::set_detached);
        gate.forget_standing();
        self.tell_store(&mut gate);
        self.audit(&Change {
            what: "detach",
            who,
            about: about([("interfaces", detached.interfaces.clone().into())]),
            before: gate.now.path.is_some().then(|| gate.now.hash.clone()),
            after: None,
        });
        self.stop_detached();
        Ok(detached.into())
    }
}
