//! The control socket's questions, answered.

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
use crate::export::audit::{Change, verify};
use crate::export::events::{ActionField, ApiField, Kind};
use crate::store::Store;

use super::auditor::{Auditor, about, forced};
use super::bans::{parse, told};
use super::breach::Note;
use super::change::{Apply, guarded};
use super::core::{Core, lock};
use super::{orders, trouble};

fn unreadable(auditor: &Auditor, error: &std::io::Error) -> ApiError {
    ApiError::internal(format!("cannot read {}: {error}", auditor.log.path().display()))
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
