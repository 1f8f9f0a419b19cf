//! What an operator decides about automatic actions: approved, rejected, undone; stopped, started.

use crate::control::api::{
    ActionDecision, ActionEntry, ActionsStatus, ActionsStop, Answer, ApiError, Caller, Decision,
    Stopped,
};
use crate::control::ssh::who;
use crate::daemon::core::{Core, lock, unix_ns};
use crate::daemon::gate::unix_now;
use crate::daemon::orders;
use crate::daemon::pipeline::Hand;
use crate::daemon::profile::Profile;
use crate::detect::Source;
use crate::export::events::{Event, Kind};
use crate::kernel::orders as cells;
use crate::policy::Cidr;
use crate::respond::{Action, Executor as _, Guard as _};

use super::{bits_v4, bits_v6, revive};

impl Core {
    /// Decides about an action.
    pub(in crate::daemon) fn decide_action(
        &self,
        request: &ActionDecision,
        caller: &Caller,
    ) -> Answer<ActionEntry> {
        let who = who(caller);
        let known = lock(&self.actions).entries.get(&request.id).cloned();
        let entry = known.ok_or_else(|| {
            ApiError::not_found(format!("there is no action {}", request.id))
                .hint("`weir actions list --all` shows those that are kept")
        })?;
        let (wanted, state, kind, what) = match request.decision {
            Decision::Approve => ("held", "done", Kind::ActionTaken, "action_approve"),
            Decision::Reject => ("held", "rejected", Kind::ActionRejected, "action_reject"),
            Decision::Undo => ("done", "undone", Kind::ActionUndone, "action_undo"),
        };
        if entry.state != wanted {
            let message = format!("action {} is {}, not {wanted}", entry.id, entry.state);
            return Err(ApiError::refused(message));
        }
        match request.decision {
            Decision::Approve => self.approve(&entry)?,
            Decision::Undo => self.undo(&entry)?,
            Decision::Reject => {}
        }
        let entry = lock(&self.actions)
            .set(entry.id, state, Some(who.clone()))
            .ok_or_else(|| ApiError::internal("the action is gone"))?;
        let fields = [
            ("id", entry.id.into()),
            ("action", entry.kind.clone().into()),
            ("api", entry.api.clone().into()),
            ("source", entry.source.clone().into()),
            ("finding", entry.finding.clone().into()),
        ];
        self.audit_act(what, who, fields);
        self.tell_decision(&entry, kind, "an operator decided so");
        self.look_after_actions();
        Ok(entry)
    }

    /// Does what waited. The policy may be another by now: who must not be acted against is asked
    /// again, how many it hits is the operator's to weigh.
    fn approve(&self, entry: &ActionEntry) -> Answer<()> {
        let profile = {
            let gate = self.gate();
            Profile::new(std::sync::Arc::clone(&gate.now.policy), gate.state.ids_ref())
        };
        let action = revive(&profile, entry).map_err(|why| {
            ApiError::refused(format!("action {} cannot be done any more: {why}", entry.id))
        })?;
        let now = crate::kernel::clock::monotonic_ns();
        let hidden = |source: &Source| lock(&self.clients).hidden(source, now).is_some();
        let guard = profile.guard(hidden, None);
        if let Action::Ban { source, api, .. } | Action::Escalate { network: source, api, .. } =
            &action
            && (guard.is_trusted(source)
                || guard.is_proxy(*api, source)
                || guard.is_behind_proxy(source))
        {
            let message =
                format!("{source} is trusted, a proxy or behind one, by the policy in force");
            return Err(ApiError::refused(message));
        }
        Hand { core: self, policy: &profile.policy }.execute(&action).map_err(ApiError::refused)
    }

    /// Takes back what was done, if it still stands.
    fn undo(&self, entry: &ActionEntry) -> Answer<()> {
        let gone = || {
            ApiError::not_found(format!("what action {} did does not stand any more", entry.id))
                .hint("`weir ban list` and `weir breach status` show what does")
        };
        let mut gate = self.gate();
        let api = gate.api_id(&entry.api).ok();
        match entry.kind.as_str() {
            "ban" | "escalate" | "quota" => {
                let source = entry.source.as_deref().unwrap_or_default();
                let (network, prefix) = match Cidr::parse(source.as_bytes()) {
                    Ok(Cidr::V4(bits, length)) => (bits_v4(bits), length),
                    Ok(Cidr::V6(bits, length)) => (bits_v6(bits), length),
                    Err(_) => return Err(gone()),
                };
                let at = api.filter(|_| entry.kind != "ban");
                let removed = gate
                    .state
                    .bans
                    .remove(network, prefix, at)
                    .map_err(crate::daemon::trouble::kernel)?
                    .ok_or_else(gone)?;
                let reason = gate.ban_reason(&removed);
                gate.reasons.remove(&(network, prefix, at));
                let field = gate.ban_api(&removed);
                drop(gate);
                self.tell_ban(Kind::BanRemoved, &removed, field, &reason, "operator");
                Ok(())
            }
            kind => {
                let kind = if kind == "limit" { cells::Kind::Limit } else { cells::Kind::Lockdown };
                let api = api.ok_or_else(gone)?;
                let stands = gate
                    .state
                    .orders
                    .of(api)
                    .iter()
                    .any(|held| held.order.kind() == kind && held.order.is_automatic());
                if !stands {
                    return Err(gone());
                }
                gate.order_notes.remove(&(api, kind));
                gate.state.orders.lift(api, kind);
                Ok(())
            }
        }
    }

    /// Stops all automatic actions.
    pub(in crate::daemon) fn stop_actions(
        &self,
        request: &ActionsStop,
        caller: &Caller,
    ) -> Answer<ActionsStatus> {
        let ttl = orders::ttl(request.ttl_seconds)?;
        let who = who(caller);
        let now = unix_now();
        let stopped = Stopped {
            since: now,
            until: ttl.map(|ttl| now.saturating_add(ttl.as_secs_f64().ceil() as u64)),
            by: who.clone(),
            reason: request.reason.clone(),
        };
        let body = serde_json::to_string(&stopped)
            .map_err(|error| ApiError::internal(format!("the stop cannot be written: {error}")))?;
        // In force first, whatever the disk says.
        lock(&self.actions).stopped = Some(stopped);
        let kept = self.gate().keeper.with(|store| store.keep_stop(Some(&body)));
        let message = format!("automatic actions are stopped: {}", request.reason);
        self.tell(&Event::new(Kind::ActionsStopped, unix_ns(), message));
        let fields = [
            ("ttl_seconds", request.ttl_seconds.into()),
            ("reason", request.reason.clone().into()),
        ];
        self.audit_act("actions_stop", who, fields);
        if kept.is_none() {
            return Err(ApiError::internal(
                "automatic actions are stopped, but that cannot be written down: a restart forgets it",
            )
            .hint("`weir status` says what is wrong with the state directory"));
        }
        Ok(self.actions_status())
    }

    /// Has automatic actions taken again.
    pub(in crate::daemon) fn start_actions(&self, caller: &Caller) -> Answer<ActionsStatus> {
        if lock(&self.actions).stopped.take().is_none() {
            return Err(ApiError::refused("automatic actions are not stopped"));
        }
        let kept = self.gate().keeper.with(|store| store.keep_stop(None));
        let message = "automatic actions are taken again";
        self.tell(&Event::new(Kind::ActionsStarted, unix_ns(), message));
        self.audit_act("actions_start", who(caller), [("over", false.into())]);
        if kept.is_none() {
            return Err(ApiError::internal(
                "they are taken again, but that cannot be written down: a restart stops them",
            )
            .hint("`weir status` says what is wrong with the state directory"));
        }
        Ok(self.actions_status())
    }
}
