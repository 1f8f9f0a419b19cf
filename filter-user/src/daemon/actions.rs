//! Automatic actions: what became of each, those that wait for an operator, and the kill switch. Kept
//! in the store, so that what waits and a stop outlive the daemon.

mod decide;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::control::api::{ActionEntry, ActionQuery, ActionsStatus, Stopped};
use crate::detect::{Finding, Source};
use crate::export::events::{ActionField, ApiField, Event, Kind, SourceField};
use crate::policy::{Cidr, Policy};
use crate::respond::{Action, Outcome};
use crate::store::{ActionRow, Store, Who};
use crate::text::quantity::{Measure, rate};

use super::core::{Core, lock, unix_ns};
use super::gate::unix_now;
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
