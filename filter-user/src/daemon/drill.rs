//! Drills: everything of a playbook, or of an API's shutdown, but the last step.
//!
//! The orders are tried out by the kernel on packets that nobody sent, in programs loaded beside those
//! in force, and written to a cell that no API has. What that does not show is said in the report.

mod report;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Instant;

use crate::control::api::{
    Answer, ApiError, Caller, Drill, DrillEnd, DrillRequest, DrillState, DrillStep, Drilled, Order,
    OrderSet,
};
use crate::control::ssh::who;
use crate::export::events::{Event, Kind, PlaybookField};
use crate::kernel::orders;
use crate::kernel::rehearsal::{Take, Taken};
use crate::policy::examples::candidates;
use crate::policy::{Play, Policy};
use crate::store::{DrillRow, Who};
use crate::text::quantity::{Measure, Rate, rate};

use super::breach::{field, find, order_of, step_text};
use super::change::guarded;
use super::core::{Core, lock, unix_ns};
use super::gate::{Gate, unix_now};

/// Drills that wait for their end.
const WAITING: usize = 8;
/// Packets that a limit is tried with at most: one that lets more through at once is not provoked.
const MOST_BURST: u64 = 150_000;

/// Drills that wait for their end, and the number of the last.
#[derive(Debug, Default)]
pub(super) struct Drills {
    waiting: VecDeque<(Drill, Option<PlaybookField>)>,
    count: u64,
    /// One at a time: each loads programs.
    busy: Arc<Mutex<()>>,
}

/// An order of the drill.
struct Part {
    api: String,
    text: String,
    order: Order,
    id: u32,
    cell: orders::Order,
}

impl Part {
    fn step(&self, what: &str) -> DrillStep {
        DrillStep {
            what: format!("{what}: {}", self.text),
            api: self.api.clone(),
            ..DrillStep::default()
        }
    }
}

/// A step whose time was measured.
fn timed(mut step: DrillStep, look: impl FnOnce() -> (DrillState, String)) -> DrillStep {
    let start = Instant::now();
    (step.state, step.found) = look();
    step.seconds = Some(start.elapsed().as_secs_f64());
    step
}

fn named(what: &str) -> DrillStep {
    DrillStep { what: what.to_owned(), ..DrillStep::default() }
}

/// Who asked, as a report names them.
fn asker(who: &Who) -> String {
    let uid = who.login_uid.unwrap_or(who.uid);
    let from = who.ssh.as_ref().map_or_else(String::new, |ssh| format!(" from {ssh}"));
    format!("uid {uid}{from}")
}

impl Core {
    /// Does all but the last step.
    pub(super) fn drill(&self, request: &DrillRequest, caller: &Caller) -> Answer<Drill> {
        let start = Instant::now();
        let busy = Arc::clone(&lock(&self.drills).busy);
        let _alone = match busy.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(ApiError::unavailable("another drill is at work")
                    .hint("it takes a second or two: try again"));
            }
        };
        let gate = self.gate();
        let policy = Arc::clone(&gate.now.policy);
        let image = Arc::clone(&gate.now.image);
        let hash = gate.now.hash.clone();
        let (book, plays, apis) = match policy.playbook(&request.name) {
            Some(book) => {
                let plays: Vec<Play> = book.automatic().map(|step| step.play.clone()).collect();
                (Some(book), plays, book.apis.clone())
            }
            None if policy.api(&request.name).is_some() => {
                (None, vec![Play::Shutdown], vec![request.name.clone()])
            }
            None => {
                return Err(find(&policy, &request.name)
                    .err()
                    .unwrap_or_else(|| ApiError::not_found("there is no such playbook"))
                    .hint("name a playbook or an API of the policy in force"));
            }
        };
        let mut drill = Drill {
            name: request.name.clone(),
            is_playbook: book.is_some(),
            started: unix_now(),
            policy: hash,
            contacts: book.map(|book| book.contacts.clone()).unwrap_or_default(),
            notify: book.map(|book| book.notify.clone()).unwrap_or_default(),
            ..Drill::default()
        };
        drill.steps.push(way_back(&policy));
        for name in &drill.notify {
            drill.steps.push(self.receiver_step(name));
        }
        let parts = parts(&gate, &policy, &plays, &apis)?;
        let connection = guarded(caller, false);
        for part in &parts {
            drill.steps.extend(group_step(&policy, part));
            drill.steps.push(timed(part.step("your own connection stays"), || match &connection {
                None => {
                    (DrillState::Ok, "you work over no SSH connection that could be cut".into())
                }
                Some(connection) => match gate.guard_order(part.id, part.cell, connection) {
                    Ok(()) => (DrillState::Ok, format!("{} goes on", connection.peer)),
                    Err(error) => (DrillState::Failed, error.message),
                },
            }));
            let free = gate.state.ids_ref().apis().map(|(id, _)| id).max().unwrap_or(0) + 1;
            drill.steps.push(timed(
                part.step("written to a cell of the kernel and read back"),
                || match gate.state.orders.rehearse(free, part.cell) {
                    Ok(spent) => {
                        let micros = spent.as_micros();
                        (
                            DrillState::Ok,
                            format!("in {micros} µs, to the last cell, which no API has"),
                        )
                    }
                    Err(error) => (DrillState::Failed, error),
                },
            ));
        }
        let rehearsal = gate.state.rehearsal();
        // Loading programs takes a second: a breach must not wait for a drill.
        drop(gate);
        let takes: Vec<Take> = parts.iter().map(|part| take(&policy, part)).collect();
        let tried = Instant::now();
        let taken = rehearsal.run(&image, &takes);
        let spent = tried.elapsed().as_secs_f64() / parts.len().max(1) as f64;
        for (place, part) in parts.iter().enumerate() {
            let mut step = part.step("tried out by the kernel");
            step.seconds = Some(spent);
            (step.state, step.found) = match &taken {
                Ok(taken) => judge(&policy, part, taken.get(place).unwrap_or(&Taken::default())),
                Err(error) => (DrillState::Failed, error.to_string()),
            };
            drill.steps.push(step);
        }
        for text in book.into_iter().flat_map(crate::policy::Playbook::manual) {
            let mut step = named(text);
            step.state = DrillState::Skipped;
            step.found = "for a person".to_owned();
            drill.steps.push(step);
        }
        drill.not_done = not_done(&parts, book.is_some_and(|book| !book.contacts.is_empty()));
        let who = who(caller);
        drill.by = asker(&who);
        drill.passed = drill.steps.iter().all(|step| step.state != DrillState::Failed);
        drill.seconds = start.elapsed().as_secs_f64();
        let fields = [("name", drill.name.clone().into()), ("passed", drill.passed.into())];
        self.audit_act("breach_drill", who, fields);
        let mut drills = lock(&self.drills);
        drills.count += 1;
        drill.id = drills.count;
        while drills.waiting.len() >= WAITING {
            drills.waiting.pop_front();
        }
        drills.waiting.push_back((drill.clone(), book.map(field)));
        Ok(drill)
    }

    /// Whether a receiver of the playbook's events is there and takes them.
    fn receiver_step(&self, name: &str) -> DrillStep {
        timed(named(&format!("the receiver {name} is there")), || {
            let standing = self.sinks.standings().into_iter().find(|one| one.name == name);
            match standing {
                None => (DrillState::Failed, format!("weir.toml has no [[sink]] {name}")),
                Some(one) if one.failing_since.is_some() => {
                    let why = one.last_error.unwrap_or_default();
                    (DrillState::Failed, format!("it takes no events: {why}"))
                }
                Some(one) => (DrillState::Ok, format!("{} at {}", one.kind, one.place)),
            }
        })
    }

    /// Ends a drill: what people did goes into it, and its report is written.
    pub(super) fn end_drill(&self, request: &DrillEnd, caller: &Caller) -> Answer<Drilled> {
        let mut drills = lock(&self.drills);
        let place = drills.waiting.iter().position(|(drill, _)| drill.id == request.id);
        let waiting = place.and_then(|place| drills.waiting.remove(place));
        drop(drills);
        let (mut drill, playbook) = waiting.ok_or_else(|| {
            ApiError::not_found(format!("no drill {} waits for its end", request.id))
        })?;
        let manual = drill.steps.iter_mut().filter(|step| step.state == DrillState::Skipped);
        for (step, seconds) in manual.filter(|step| step.api.is_empty()).zip(&request.manual) {
            if let Some(seconds) = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
            {
                step.state = DrillState::Done;
                step.seconds = Some(seconds);
                step.found = "done by a person".to_owned();
            } else {
                step.found = "skipped".to_owned();
            }
        }
        if let Some(seconds) = request.answered_seconds.filter(|seconds| seconds.is_finite()) {
            let found = "from the command to the answer".to_owned();
            let seconds = Some(seconds);
            let step = DrillStep { seconds, found, ..named("the daemon answers") };
            drill.steps.insert(0, step);
        }
        let markdown = report::markdown(&drill);
        let body = serde_json::to_string_pretty(&drill).map_err(|error| {
            ApiError::internal(format!("the report cannot be written: {error}"))
        })?;
        let mut files = Vec::new();
        if request.keep {
            let directory = self.config.state_dir.join("drills");
            for (ending, text) in [("md", &markdown), ("json", &body)] {
                let path = directory.join(report::file_name(&drill, ending));
                std::fs::create_dir_all(&directory)
                    .and_then(|()| std::fs::write(&path, text))
                    .map_err(|error| {
                        ApiError::internal(format!("cannot write {}: {error}", path.display()))
                            .hint("make room, or have it written elsewhere: --output DIRECTORY")
                    })?;
                files.push(path.display().to_string());
            }
        }
        let row = DrillRow { name: drill.name.clone(), time: drill.started, body };
        let _noted = self.gate().keeper.with(|store| store.keep_drill(&row));
        let how =
            if drill.passed { "all that weir does would work" } else { "something would not work" };
        self.tell(&Event {
            playbook,
            ..Event::new(Kind::BreachDrilled, unix_ns(), format!("drill of {}: {how}", drill.name))
        });
        let skipped = drill.steps.iter().filter(|step| step.state == DrillState::Skipped).count();
        let fields = [
            ("name", drill.name.clone().into()),
            ("passed", drill.passed.into()),
            ("skipped", skipped.into()),
            ("files", files.clone().into()),
        ];
        self.audit_act("breach_drill_end", who(caller), fields);
        Ok(Drilled { drill, markdown, files })
    }
}

/// Whether the operator keeps a way in.
fn way_back(policy: &Policy) -> DrillStep {
    timed(named("somebody keeps a way in"), || {
        let trusted = &policy.trusted;
        let number = trusted.prefixes.len();
        if number == 0 {
            let found = "[trusted] is empty: under a shutdown nobody passes, not even you";
            return (DrillState::Failed, found.to_owned());
        }
        let narrowed = match (trusted.ports.is_empty(), trusted.interfaces.is_empty()) {
            (true, true) => "everywhere",
            (false, true) => "on some ports",
            (true, false) => "on some interfaces",
            (false, false) => "on some ports of some interfaces",
        };
        (DrillState::Ok, format!("trusted prefixes: {number}, {narrowed}"))
    })
}

fn parts(gate: &Gate, policy: &Policy, plays: &[Play], apis: &[String]) -> Answer<Vec<Part>> {
    let mut parts = Vec::new();
    for play in plays {
        let Some(order) = order_of(policy, play) else { continue };
        for api in apis {
            let set = OrderSet {
                api: api.clone(),
                order: order.clone(),
                ttl_seconds: None,
                reason: String::new(),
                force: false,
            };
            let (id, cell) = gate.order_cell(&set)?;
            let text = step_text(policy, play);
            parts.push(Part { api: api.clone(), text, order: order.clone(), id, cell });
        }
    }
    Ok(parts)
}

/// Whether the group of a lockdown is there and holds anybody.
fn group_step(policy: &Policy, part: &Part) -> Option<DrillStep> {
    let Order::Lockdown { group: Some(name) } = &part.order else { return None };
    Some(timed(part.step("the group is there and holds somebody"), || {
        match policy.groups.iter().find(|group| group.name == *name) {
            None => (DrillState::Failed, format!("there is no group {name}")),
            Some(group) if group.prefixes.is_empty() => {
                (DrillState::Failed, format!("{name} is empty: a lockdown to it is a shutdown"))
            }
            Some(group) => {
                (DrillState::Ok, format!("{name} has prefixes: {}", group.prefixes.len()))
            }
        }
    }))
}

/// The rate of a limit, and packets that go over it at once.
fn over(order: &Order) -> Option<(Rate, u64)> {
    let Order::Limit { packets } = order else { return None };
    let rate = rate(packets, Measure::Packets).ok()?;
    let burst = crate::policy::DEFAULT_BURST.max(rate.time_for(1));
    let within = rate.within(burst);
    Some((rate, within.saturating_add(within / 4).saturating_add(100)))
}

fn take(policy: &Policy, part: &Part) -> Take {
    let packets = policy.api(&part.api).map(|api| candidates(policy, api)).unwrap_or_default();
    let burst = over(&part.order).map_or(1, |(_, burst)| burst.min(MOST_BURST));
    Take { api: part.id, order: part.cell, packets, burst: u32::try_from(burst).unwrap_or(1) }
}

/// What the kernel's verdicts mean.
fn judge(policy: &Policy, part: &Part, taken: &Taken) -> (DrillState, String) {
    let passed = &taken.passed;
    if passed.is_empty() {
        let found = "no packet was found that passes now: that it is dropped then shows nothing";
        return (DrillState::Skipped, found.to_owned());
    }
    if let Some((rate, burst)) = over(&part.order)
        && burst > MOST_BURST
    {
        let shown = rate.display(Measure::Packets);
        return (DrillState::Skipped, format!("{shown} lets more through at once than was sent"));
    }
    let group = match &part.order {
        Order::Lockdown { group: Some(name) } => {
            policy.groups.iter().find(|group| group.name == *name)
        }
        _ => None,
    };
    let spared = |source| group.is_some_and(|group| group.prefixes.covering(source).is_some());
    let wrong = passed.iter().find(|(source, passes)| *passes != spared(*source));
    if let Some((source, passes)) = wrong {
        let does = if *passes { "still passes" } else { "is dropped" };
        return (DrillState::Failed, format!("{source} {does} under it"));
    }
    let through = passed.iter().filter(|(_, passes)| *passes).count();
    if let Some(group) = group
        && through == 0
    {
        let found = format!("nobody of {} passes at {} even now", group.name, part.api);
        return (DrillState::Failed, found);
    }
    let micros = taken.written.as_micros();
    let dropped = passed.len() - through;
    let found = format!(
        "of {} sources whose packets pass now, {dropped} are dropped and {through} pass; the order \
         was written in {micros} µs",
        passed.len()
    );
    (DrillState::Ok, found)
}

fn not_done(parts: &[Part], contacts: bool) -> Vec<String> {
    let mut left: Vec<String> = parts
        .iter()
        .map(|part| {
            format!(
                "\"{}\" was not written to the cell of {} ({}): its traffic went on as it was",
                part.text, part.api, part.id
            )
        })
        .collect();
    left.push(
        "the kernel's verdicts are those of the same programs and tables, loaded beside those in \
         force, on packets made for the drill: interface, driver and neighbours had no part in it"
            .to_owned(),
    );
    if contacts {
        left.push("nobody was called".to_owned());
    }
    left
}

#[cfg(test)]
mod tests;
