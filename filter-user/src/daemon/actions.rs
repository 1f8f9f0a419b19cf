//! Automatic actions: what became of each, those that wait for an operator, and the kill switch. Kept
//! in the store, so that what waits and a stop outlive the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::control::api::{
    ActionDecision, ActionEntry, ActionQuery, ActionsStatus, ActionsStop, Answer, ApiError, Caller,
    Decision, Stopped,
};
use crate::control::ssh::who;
use crate::detect::{Finding, Source};
use crate::export::events::{ActionField, ApiField, Event, Kind, SourceField};
use crate::kernel::orders as cells;
use crate::policy::{Cidr, Policy};
use crate::respond::{Action, Executor as _, Guard as _, Outcome};
use crate::store::{ActionRow, Store, Who};
use crate::text::quantity::{Measure, rate};

use super::core::{Core, lock, unix_ns};
use super::gate::unix_now;
use super::orders;
use super::pipeline::Hand;
use super::profile::Profile;

/// Actions that are kept, and those of them that may wait.
const KEPT: usize = 1_000;
const HELD: usize = 200;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Actions {
    entries: BTreeMap<u64, ActionEntry>,
    changed: BTreeSet<u64>,
    next: u64,
    stopped: Option<Stopped>,
}

impl Actions {
    /// What a store kept.
    pub(super) fn restore(store: &mut Store) -> crate::store::Result<Self> {
        let mut actions = Self { next: 1, ..Self::default() };
        for row in store.actions()? {
            if let Ok(entry) = serde_json::from_str::<ActionEntry>(&row.body) {
                actions.next = actions.next.max(entry.id + 1);
                actions.entries.insert(entry.id, entry);
            }
        }
        actions.stopped = store.stop()?.and_then(|body| serde_json::from_str(&body).ok());
        Ok(actions)
    }

    /// Whether no action may be taken.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Actions that wait.
    pub(super) fn held(&self) -> usize {
        self.entries.values().filter(|entry| entry.state == "held").count()
    }

    /// Takes an action in and gives it a number. Of too many that wait, the oldest is over.
    pub(super) fn add(&mut self, mut entry: ActionEntry) -> u64 {
        self.next = self.next.max(1);
        let id = self.next;
        self.next += 1;
        entry.id = id;
        self.entries.insert(id, entry);
        self.changed.insert(id);
        if self.entries.len() > KEPT {
            let oldest = self.entries.values().find(|entry| entry.state != "held");
            if let Some(oldest) = oldest.map(|entry| entry.id) {
                self.entries.remove(&oldest);
            }
        }
        id
    }

    fn set(&mut self, id: u64, state: &str, by: Option<Who>) -> Option<ActionEntry> {
        let entry = self.entries.get_mut(&id)?;
        state.clone_into(&mut entry.state);
        entry.decided = Some(unix_now());
        entry.by = by;
        self.changed.insert(id);
        Some(entry.clone())
    }

    /// Those whose time to be approved is over, and the oldest of too many.
    fn overdue(&self, now: u64) -> Vec<u64> {
        let held: Vec<&ActionEntry> =
            self.entries.values().filter(|entry| entry.state == "held").collect();
        let many = held.len().saturating_sub(HELD);
        let over = held.iter().enumerate().filter(|(place, entry)| {
            *place < many || entry.expires.is_some_and(|expires| expires <= now)
        });
        over.map(|(_, entry)| entry.id).collect()
    }

    fn take_changes(&mut self) -> Vec<ActionRow> {
        let changed = std::mem::take(&mut self.changed);
        let rows = changed.iter().filter_map(|id| self.entries.get(id)).filter_map(|entry| {
            Some(ActionRow {
                id: entry.id,
                time: entry.time.saturating_mul(1_000),
                state: entry.state.clone(),
                body: serde_json::to_string(entry).ok()?,
            })
        });
        rows.collect()
    }

    /// Those asked for, the latest first.
    pub(super) fn list(&self, query: &ActionQuery) -> Vec<ActionEntry> {
        let wanted = |entry: &&ActionEntry| query.all || entry.state == "held";
        self.entries.values().rev().filter(wanted).take(query.limit).cloned().collect()
    }
}

/// What an action says beside its kind.
fn argument(policy: &Policy, action: &Action) -> Option<String> {
    match action {
        Action::Ban { .. } => None,
        Action::Limit { rate, .. } => Some(rate.display(Measure::Packets).to_string()),
        Action::Lockdown { group, .. } => policy.group(*group).map(|group| group.name.clone()),
        Action::Escalate { sources, .. } => Some(sources.to_string()),
    }
}

/// The name of an action's kind for events, which are told by literals.
fn kind_name(kind: &str) -> &'static str {
    ["ban", "limit", "lockdown", "escalate", "quota"]
        .into_iter()
        .find(|known| *known == kind)
        .unwrap_or("action")
}

/// An action out of what was kept of it, for the policy in force.
fn revive(profile: &Profile, entry: &ActionEntry) -> Result<Action, String> {
    let api = profile.id_of(&entry.api).ok_or("the policy in force has no such API")?;
    let ttl = Duration::try_from_secs_f64(entry.ttl_seconds).map_err(|error| error.to_string())?;
    let reason = entry.why.clone();
    let argument = entry.argument.as_deref().unwrap_or_default();
    let source = || {
        let text = entry.source.as_deref().unwrap_or_default();
        match Cidr::parse(text.as_bytes()) {
            Ok(Cidr::V4(bits, length)) => Ok(Source { address: bits_v4(bits), length }),
            Ok(Cidr::V6(bits, length)) => Ok(Source { address: bits_v6(bits), length }),
            Err(_) => Err(format!("{text} is no source")),
        }
    };
    Ok(match entry.kind.as_str() {
        "ban" => Action::Ban { source: source()?, api, ttl, reason },
        "escalate" => {
            let sources = argument.parse().map_err(|_| "no number of sources")?;
            Action::Escalate { network: source()?, api, sources, ttl }
        }
        "limit" => {
            let rate = rate(argument, Measure::Packets).map_err(|problem| problem.message)?;
            Action::Limit { api, rate, ttl, reason }
        }
        "lockdown" => {
            let groups = &profile.policy.groups;
            let group = groups.iter().position(|group| group.name == argument);
            let group = group.ok_or("the policy in force has no such group")?;
            Action::Lockdown { api, group: crate::policy::GroupIndex(group), ttl, reason }
        }
        other => return Err(format!("{other} is not an action")),
    })
}

fn bits_v4(bits: u32) -> std::net::IpAddr {
    std::net::Ipv4Addr::from(bits).into()
}

fn bits_v6(bits: u128) -> std::net::IpAddr {
    std::net::Ipv6Addr::from(bits).into()
}

impl Core {
    /// Notes what became of an automatic action, and tells it everywhere.
    pub(super) fn note_action(
        &self,
        profile: &Profile,
        outcome: &Outcome,
        finding: Option<&Finding>,
        mut event: Event,
    ) {
        self.metrics.action(outcome);
        let action = outcome.action();
        let now = unix_now();
        let refusal = match outcome {
            Outcome::Refused(_, refusal) | Outcome::Impossible(refusal) => {
                Some(refusal.to_string())
            }
            Outcome::Failed(_, error) => Some(error.clone()),
            _ => None,
        };
        let source = match action {
            Some(Action::Ban { source, .. } | Action::Escalate { network: source, .. }) => {
                Some(source.to_string())
            }
            _ => finding.and_then(|finding| finding.source).map(|source| source.to_string()),
        };
        let within = profile.policy.responses.approve_within.as_secs();
        let entry = ActionEntry {
            time: now,
            state: outcome.name().to_owned(),
            kind: action.map_or("ban", Action::name).to_owned(),
            api: event.api.as_ref().map(|api| api.name.to_string()).unwrap_or_default(),
            source: source.clone(),
            argument: action.and_then(|action| argument(&profile.policy, action)),
            ttl_seconds: action.map_or(0.0, |action| action.ttl().as_secs_f64()),
            finding: finding.map(|finding| finding.id.to_string()),
            detector: finding.map(|finding| finding.detector.name().to_owned()),
            why: finding.map_or_else(
                || event.action.as_ref().map(|action| action.reason.clone()).unwrap_or_default(),
                |finding| finding.measure.why.clone(),
            ),
            refusal: refusal.clone(),
            expires: matches!(outcome, Outcome::Held(_)).then(|| now.saturating_add(within)),
            ..ActionEntry::default()
        };
        let sources = match action {
            Some(Action::Escalate { sources, .. }) => Some(*sources),
            _ => None,
        };
        let fields = [
            ("action", entry.kind.clone().into()),
            ("outcome", outcome.name().into()),
            ("finding", entry.finding.clone().into()),
            ("api", entry.api.clone().into()),
            ("source", source.into()),
            ("argument", entry.argument.clone().into()),
            ("sources", sources.into()),
            ("ttl_seconds", entry.ttl_seconds.into()),
            ("refusal", refusal.into()),
        ];
        let id = lock(&self.actions).add(entry);
        // A refusal changes nothing, and is no line of the audit log.
        if !matches!(outcome, Outcome::Refused(..) | Outcome::Impossible(_)) {
            let mut about = super::auditor::about(fields);
            about.insert("id".to_owned(), id.into());
            self.audit(&crate::export::audit::Change {
                what: "automatic",
                who: crate::control::ssh::own(),
                about,
                before: None,
                after: None,
            });
        }
        if let Some(action) = &mut event.action {
            action.id = Some(id);
        }
        tracing::warn!("{}", event.message);
        self.tell(&event);
    }

    /// What is due of actions every second: those that nobody approved are over, a stop may be, and
    /// what changed is written.
    pub(super) fn look_after_actions(&self) {
        let now = unix_now();
        let mut actions = lock(&self.actions);
        let over: Vec<_> = actions
            .overdue(now)
            .into_iter()
            .filter_map(|id| actions.set(id, "expired", None))
            .collect();
        let ended = actions
            .stopped
            .as_ref()
            .is_some_and(|stop| stop.until.is_some_and(|until| until <= now));
        if ended {
            actions.stopped = None;
        }
        let rows = actions.take_changes();
        drop(actions);
        for entry in &over {
            self.tell_decision(entry, Kind::ActionExpired, "nobody approved it in time");
        }
        if ended {
            let message = "automatic actions are taken again: the time of the stop is over";
            self.tell(&Event::new(Kind::ActionsStarted, unix_ns(), message));
            let fields = [("over", true.into())];
            self.audit_act("actions_start", crate::control::ssh::own(), fields);
        }
        if rows.is_empty() && !ended {
            return;
        }
        let Some(mut gate) = self.try_gate() else {
            lock(&self.actions).changed.extend(rows.iter().map(|row| row.id));
            return;
        };
        if !rows.is_empty() {
            let _noted = gate.keeper.with(|store| store.keep_actions(&rows));
        }
        if ended {
            let _noted = gate.keeper.with(|store| store.keep_stop(None));
        }
    }

    fn tell_decision(&self, entry: &ActionEntry, kind: Kind, how: &str) {
        let outcome = match kind {
            Kind::ActionTaken => "done",
            Kind::ActionRejected => "rejected",
            Kind::ActionExpired => "expired",
            _ => "undone",
        };
        let name = kind_name(&entry.kind);
        self.metrics.decided(name, outcome);
        let field = ActionField {
            id: Some(entry.id),
            kind: name,
            outcome,
            ttl_seconds: Some(entry.ttl_seconds),
            by: Some(if entry.by.is_some() { "operator" } else { "detector" }),
            reason: entry.why.clone(),
            ..ActionField::default()
        };
        let api = self.gate().now.policy.api(&entry.api).map(ApiField::of);
        let source = entry.source.as_ref().and_then(|text| {
            let (address, length) =
                text.split_once('/').map_or((&**text, None), |(a, l)| (a, Some(l)));
            let prefix = length.and_then(|length| length.parse().ok());
            Some(SourceField::new(address.parse().ok()?, prefix))
        });
        let message = format!("action {}: {name} at {}: {how}", entry.id, entry.api);
        self.tell(&Event {
            api,
            source,
            action: Some(field),
            ..Event::new(kind, unix_ns(), message)
        });
    }

    /// Decides about an action.
    pub(super) fn decide_action(
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
                    .map_err(super::trouble::kernel)?
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
    pub(super) fn stop_actions(
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
    pub(super) fn start_actions(&self, caller: &Caller) -> Answer<ActionsStatus> {
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

    /// How automatic actions stand.
    pub(super) fn actions_status(&self) -> ActionsStatus {
        let mode = self.gate().now.policy.responses.mode.name().to_owned();
        self.actions_status_in(mode)
    }

    /// The same for who holds the gate.
    pub(super) fn actions_status_in(&self, mode: String) -> ActionsStatus {
        let actions = lock(&self.actions);
        ActionsStatus { mode, held: actions.held() as u64, stopped: actions.stopped.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(state: &str, expires: u64) -> ActionEntry {
        let expires = Some(expires).filter(|&expires| expires != 0);
        ActionEntry { state: state.to_owned(), expires, ..ActionEntry::default() }
    }

    #[test]
    fn they_are_numbered_bounded_and_outlive_the_daemon() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(directory.path()).expect("opens");
        let mut actions = Actions::restore(&mut store).expect("reads");
        assert_eq!(actions.add(entry("held", 100)), 1);
        for _ in 0..KEPT + 10 {
            actions.add(entry("done", 0));
        }
        assert_eq!((actions.entries.len(), actions.held()), (KEPT, 1), "what waits is kept");
        assert_eq!((actions.overdue(99), actions.overdue(100)), (vec![], vec![1]));
        store.keep_actions(&actions.take_changes()).expect("writes");
        assert!(actions.take_changes().is_empty());
        let mut again = Actions::restore(&mut store).expect("reads");
        assert_eq!((again.held(), again.next), (1, actions.next));
        let query = ActionQuery { all: false, limit: 9 };
        assert_eq!(again.list(&query).len(), 1);
        let all = again.list(&ActionQuery { all: true, limit: 2 });
        assert_eq!(all.iter().map(|entry| entry.id).collect::<Vec<_>>(), [1_011, 1_010]);
        again.set(1, "rejected", None).expect("there");
        assert_eq!(again.held(), 0);
        for _ in 0..HELD + 3 {
            again.add(entry("held", 0));
        }
        assert_eq!(again.overdue(0).len(), 3, "the oldest of too many");
    }

    #[test]
    fn what_waited_is_revived_under_the_policy_of_now() {
        let text = "[groups.partners]\ncidrs = [\"198.51.100.0/24\"]\n[[api]]\nname = \"orders\"\n\
                    listen = [\"tcp/80\"]\nallow = \"any\"\n";
        let loaded = crate::policy::parse(text, std::path::Path::new("."), "p.toml");
        let mut ids = crate::image::Ids::new(16);
        ids.api("orders").expect("room");
        let profile = Profile::new(std::sync::Arc::new(loaded.policy.expect("valid")), &ids);
        let base = ActionEntry {
            api: "orders".to_owned(),
            ttl_seconds: 60.0,
            source: Some("2001:db8::/64".to_owned()),
            ..ActionEntry::default()
        };
        for (kind, argument, good) in [
            ("ban", None, true),
            ("escalate", Some("20"), true),
            ("escalate", None, false),
            ("limit", Some("10/s"), true),
            ("limit", Some("10"), false),
            ("lockdown", Some("partners"), true),
            ("lockdown", Some("gone"), false),
            ("dance", None, false),
        ] {
            let argument = argument.map(str::to_owned);
            let entry = ActionEntry { kind: kind.to_owned(), argument, ..base.clone() };
            let revived = revive(&profile, &entry);
            assert_eq!(revived.is_ok(), good, "{kind}: {revived:?}");
            if let Ok(action) = revived {
                assert_eq!((action.name(), action.ttl().as_secs()), (kind, 60));
            }
        }
        let gone = ActionEntry { api: "gone".to_owned(), kind: "ban".to_owned(), ..base };
        assert!(revive(&profile, &gone).is_err());
    }
}
