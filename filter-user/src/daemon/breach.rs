//! Playbooks put into action, and who ordered what, when and why.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::control::api::{
    Answer, ApiError, BreachRan, BreachRun, Caller, Order, OrderSet, PlaybookEntry, PlaybookStep,
    StepDone,
};
use crate::control::ssh::who;
use crate::export::events::{ActionField, ApiField, Event, Kind as EventKind, PlaybookField};
use crate::kernel::orders::Kind;
use crate::policy::{Play, PlayStep, Playbook, Policy};
use crate::store::Who;
use crate::text::quantity::Measure;

use super::change::guarded;
use super::core::{Core, unix_ns};
use super::gate::{Gate, unix_now};
use super::orders;

/// What the kernel has no room for: who gave an order, when and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    /// Why.
    pub(super) reason: String,
    /// By whom; `None`: by a detector.
    pub(super) by: Option<Who>,
    /// When, seconds since 1970.
    pub(super) since: u64,
    /// As a step of which playbook.
    pub(super) playbook: Option<String>,
}

impl Note {
    /// Of an operator, now.
    pub(super) fn of(who: &Who, reason: &str) -> Self {
        let by = Some(who.clone());
        Self { reason: reason.to_owned(), by, since: unix_now(), playbook: None }
    }

    /// Of a detector, now.
    pub(super) fn automatic(reason: &str) -> Self {
        Self { reason: reason.to_owned(), since: unix_now(), ..Self::default() }
    }
}

/// By stable id of the API and kind of the order.
pub(super) type Notes = HashMap<(u32, Kind), Note>;

/// A step in the words of a policy.
pub(super) fn step_text(policy: &Policy, play: &Play) -> String {
    match play {
        Play::Shutdown => "shutdown".to_owned(),
        Play::Lockdown(None) => "lockdown".to_owned(),
        Play::Lockdown(Some(group)) => {
            let name = policy.group(*group).map_or("", |group| &group.name);
            format!("lockdown {name}")
        }
        Play::Limit(rate) => format!("limit {}", rate.display(Measure::Packets)),
        Play::Manual(text) => text.clone(),
    }
}

/// The order that a step comes to; `None` when a person does it.
pub(super) fn order_of(policy: &Policy, play: &Play) -> Option<Order> {
    Some(match play {
        Play::Shutdown => Order::Shutdown,
        Play::Lockdown(group) => {
            let name = group.and_then(|group| policy.group(group));
            Order::Lockdown { group: name.map(|group| group.name.clone()) }
        }
        Play::Limit(rate) => Order::Limit { packets: rate.display(Measure::Packets).to_string() },
        Play::Manual(_) => return None,
    })
}

const fn kind_of(play: &Play) -> &'static str {
    match play {
        Play::Shutdown => "shutdown",
        Play::Lockdown(_) => "lockdown",
        Play::Limit(_) => "limit",
        Play::Manual(_) => "manual",
    }
}

/// A playbook as events show it.
pub(super) fn field(book: &Playbook) -> PlaybookField {
    PlaybookField {
        name: book.name.clone(),
        contacts: book.contacts.clone(),
        notify: book.notify.clone(),
        manual: book.manual().map(str::to_owned).collect(),
    }
}

/// The playbook of a name.
pub(super) fn find<'p>(policy: &'p Policy, name: &str) -> Answer<&'p Playbook> {
    policy.playbook(name).ok_or_else(|| {
        let names: Vec<_> = policy.playbooks.iter().map(|book| book.name.as_str()).collect();
        let hint = match crate::text::nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None if names.is_empty() => {
                "the policy in force has none: write [playbook.NAME] into it".to_owned()
            }
            None => format!("there are {}", names.join(", ")),
        };
        ApiError::not_found(format!("there is no playbook {name}")).hint(hint)
    })
}

/// How long a step's order lasts: as the command says, else the step, else the playbook.
fn lasts(asked: Option<f64>, step: &PlayStep, book: &Playbook) -> Option<f64> {
    asked.or_else(|| step.ttl.or(book.ttl).map(|ttl| ttl.as_secs_f64()))
}

impl Core {
    /// Tells that something was ordered of an API, or ended.
    pub(super) fn tell_order(
        &self,
        kind: EventKind,
        api: ApiField,
        action: ActionField,
        playbook: Option<PlaybookField>,
    ) {
        let message = match kind {
            EventKind::BreachLifted => format!("{}: what was ordered is over, lifted", api.name),
            EventKind::BreachExpired => format!("{}: the {} has ended", api.name, action.kind),
            _ => {
                let ttl = action.ttl_seconds.map(|ttl| {
                    let ttl = Duration::try_from_secs_f64(ttl).unwrap_or_default();
                    format!(" for {}", crate::text::quantity::show_duration(ttl))
                });
                format!("{}: {} ordered{}", api.name, action.kind, ttl.unwrap_or_default())
            }
        };
        self.tell(&Event {
            api: Some(api),
            action: Some(action),
            playbook,
            ..Event::new(kind, unix_ns(), message)
        });
    }

    /// The playbooks of the policy in force.
    pub(super) fn list_playbooks(&self) -> Vec<PlaybookEntry> {
        let mut gate = self.gate();
        let drills = gate.keeper.with(|store| store.drills()).unwrap_or_default();
        let policy = &gate.now.policy;
        let entry = |book: &Playbook| {
            let drill = drills.iter().find(|drill| drill.name == book.name);
            let passed = drill.and_then(|drill| {
                let body: serde_json::Value = serde_json::from_str(&drill.body).ok()?;
                body["passed"].as_bool()
            });
            let step = |step: &PlayStep| PlaybookStep {
                kind: kind_of(&step.play).to_owned(),
                text: step_text(policy, &step.play),
                ttl_seconds: step.ttl.map(|ttl| ttl.as_secs_f64()),
            };
            PlaybookEntry {
                name: book.name.clone(),
                apis: book.apis.clone(),
                steps: book.steps.iter().map(step).collect(),
                contacts: book.contacts.clone(),
                notify: book.notify.clone(),
                ttl_seconds: book.ttl.map(|ttl| ttl.as_secs_f64()),
                drilled: drill.map(|drill| drill.time),
                drill_passed: passed,
            }
        };
        policy.playbooks.iter().map(entry).collect()
    }

    /// Does what weir does of a playbook. Every order is looked at by the guards before the first is
    /// given; then all are, at once. Manual steps wait for nobody and nobody waits for them.
    pub(super) fn run_playbook(&self, request: &BreachRun, caller: &Caller) -> Answer<BreachRan> {
        let start = Instant::now();
        tracing::warn!(playbook = request.playbook, uid = caller.uid, "breach run");
        let guards = guarded(caller, request.force);
        let mut gate = self.gate();
        let policy = std::sync::Arc::clone(&gate.now.policy);
        let book = find(&policy, &request.playbook)?;
        let mut plan = Vec::new();
        for step in book.automatic() {
            let Some(order) = order_of(&policy, &step.play) else { continue };
            let ttl_seconds = lasts(request.ttl_seconds, step, book);
            for api in &book.apis {
                let set = OrderSet {
                    api: api.clone(),
                    order: order.clone(),
                    ttl_seconds,
                    reason: request.reason.clone(),
                    force: request.force,
                };
                let cell = gate.order_cell(&set)?;
                if let Some(connection) = &guards {
                    gate.guard_order(cell.0, cell.1, connection)?;
                }
                plan.push((set, cell, orders::ttl(ttl_seconds)?, step_text(&policy, &step.play)));
            }
        }
        for (set, (id, order), ttl, _) in &plan {
            let note = Note {
                playbook: Some(book.name.clone()),
                ..Note::of(&Who::default(), &set.reason)
            };
            gate.put_order(&set.api, *id, *order, *ttl, note)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        // Who it was takes a look at their processes: the orders are in force by now.
        let who = who(caller);
        for (_, (id, order), ..) in &plan {
            if let Some(note) = gate.order_notes.get_mut(&(*id, order.kind())) {
                note.by = Some(who.clone());
            }
        }
        gate.keep_standing();
        drop(gate);
        let told = field(book);
        let mut done = Vec::new();
        for (set, (_, order), _, text) in plan {
            let action = ActionField {
                kind: orders::kind_name(&order),
                outcome: "done",
                ttl_seconds: set.ttl_seconds,
                by: Some("operator"),
                reason: set.reason.clone(),
                ..ActionField::default()
            };
            let api = policy.api(&set.api).map(ApiField::of).unwrap_or_default();
            self.tell_order(EventKind::BreachOrdered, api, action, Some(told.clone()));
            let fields = [
                ("api", set.api.clone().into()),
                ("order", serde_json::to_value(&set.order).unwrap_or_default()),
                ("ttl_seconds", set.ttl_seconds.into()),
                ("reason", set.reason.clone().into()),
                ("playbook", book.name.clone().into()),
                ("force", super::auditor::forced(set.force)),
            ];
            self.audit_act("order_set", who.clone(), fields);
            done.push(StepDone { api: set.api, step: text, ttl_seconds: set.ttl_seconds });
        }
        let message = format!("playbook {} was run on {}", book.name, book.apis.join(", "));
        self.tell(&Event {
            playbook: Some(told),
            ..Event::new(EventKind::BreachRun, unix_ns(), message)
        });
        let manual: Vec<String> = book.manual().map(str::to_owned).collect();
        let fields = [
            ("playbook", book.name.clone().into()),
            ("reason", request.reason.clone().into()),
            ("manual", manual.clone().into()),
        ];
        self.audit_act("breach_run", who, fields);
        Ok(BreachRan {
            playbook: book.name.clone(),
            done,
            manual,
            contacts: book.contacts.clone(),
            notify: book.notify.clone(),
            seconds,
        })
    }

    /// Tells of orders that have ended by themselves, and forgets why they were given.
    pub(super) fn expire_orders(&self, gate: &mut Gate) {
        if gate.order_notes.is_empty() {
            return;
        }
        let state = &gate.state;
        let mut over = Vec::new();
        gate.order_notes.retain(|&(api, kind), note| {
            let stands = state.orders.of(api).iter().any(|held| held.order.kind() == kind);
            if !stands {
                over.push((api, kind, note.clone()));
            }
            stands
        });
        for (api, kind, note) in over {
            let kind = match kind {
                Kind::Shutdown => "shutdown",
                Kind::Lockdown => "lockdown",
                Kind::Limit => "limit",
                Kind::Monitor => "mode",
            };
            let action = ActionField {
                kind,
                outcome: "done",
                by: Some(if note.by.is_some() { "operator" } else { "detector" }),
                reason: note.reason,
                ..ActionField::default()
            };
            let playbook =
                note.playbook.and_then(|name| gate.now.policy.playbook(&name).map(field));
            self.tell_order(EventKind::BreachExpired, gate.api_field(api), action, playbook);
        }
    }
}
