//! Changing what is in force, and going back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use crate::control::api::{
    Answer, ApiError, Applied, Caller, Confirmed, Diagnostic, Differences, HistoryEntry,
    RollbackRequest, Size,
};
use crate::control::identity::reading_as;
use crate::control::ssh::{self, own, who};
use crate::export::audit::Change;
use crate::export::events::{Event, Kind};
use crate::kernel::clock;
use crate::lockout::Connection;
use crate::policy;
use crate::store::{Record, Store, Who};

use super::auditor::{about, forced};
use super::core::{Core, policy_field, unix_ns};
use super::gate::{Gate, Terms, compile};
use super::start::Candidate;
use super::{feeds, in_force};

/// The longest time a policy may wait to be confirmed.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// A policy file to put in force.
pub(super) struct Apply<'a> {
    /// The file.
    pub(super) path: &'a Path,
    /// Within which time it must be confirmed.
    pub(super) confirm: Option<Duration>,
    /// No guard is asked.
    pub(super) force: bool,
    /// The connection that must not be cut.
    pub(super) guards: Option<Connection>,
}

impl Core {
    /// Reads a policy, with the caller's rights where there is one, and puts it in force.
    pub(super) fn apply_file(&self, order: &Apply<'_>, caller: Option<&Caller>) -> Answer<Applied> {
        let Apply { path, confirm, force, guards } = *order;
        let by = caller.map_or_else(own, who);
        let mut loaded = read(path, caller)?;
        let mut warnings = match loaded.policy {
            Some(_) => std::mem::take(&mut loaded.diagnostics),
            None => Vec::new(),
        };
        let reader = caller.filter(|caller| caller.uid != 0).cloned().map(Arc::new);
        let terms = Terms { confirm, force, guards, reader, ..Terms::of(by) };
        let what = if caller.is_some() { "apply" } else { "reload" };
        let put = Candidate::of(loaded, path).and_then(|candidate| {
            let mut gate = self.gate();
            refuse_while_waiting(&gate)?;
            let Candidate { policy, path, files, .. } = &candidate;
            let after = in_force::feeds(policy, files, Some(path), 0);
            let max_shrink = self.config.feeds.max_shrink;
            warnings.extend(feeds::compare(&gate.now.feeds, &after, max_shrink, force)?);
            self.put(&mut gate, candidate, &terms, what)
        });
        match put {
            Ok(applied) => {
                let warnings = warnings.into_iter().map(Diagnostic::from).collect();
                Ok(Applied { warnings, ..applied })
            }
            Err(error) => {
                self.tell_rejected(path, &error);
                let fields = [("path", path.display().to_string().into()), refused(&error)];
                let what = if caller.is_some() { "apply_refused" } else { "reload_refused" };
                self.audit_act(what, terms.who, fields);
                Err(error)
            }
        }
    }

    /// What a policy would change.
    pub(super) fn compare(&self, path: &Path, caller: &Caller) -> Answer<Differences> {
        let candidate = Candidate::of(read(path, Some(caller))?, path)?;
        let mut gate = self.gate();
        let now = gate.now.clone();
        let difference = policy::diff::diff(&now.policy, &candidate.policy);
        let compiled = compile(&candidate.policy, gate.state.ids());
        let (image, _) = compiled.map_err(|error| ApiError::refused(format!("{error:#}")))?;
        let cost = gate.forecast(&candidate.policy, &image, true);
        let size = Size { cost, ..gate.size(&image, None) };
        drop(gate);
        Ok(Differences {
            in_force: now.path.is_some().then_some(now.hash),
            hash: candidate.policy.hash(),
            same: difference.is_empty(),
            difference,
            size,
        })
    }

    /// Puts a policy in force, and tells of it.
    pub(super) fn put(
        &self,
        gate: &mut Gate,
        candidate: Candidate,
        terms: &Terms,
        what: &'static str,
    ) -> Answer<Applied> {
        let difference = policy::diff::diff(&gate.now.policy, &candidate.policy);
        let change = gate.apply(candidate, terms, what == "apply").map_err(|error| {
            // A guard's refusal says what to do itself.
            error.downcast::<ApiError>().unwrap_or_else(|error| {
                ApiError::internal(format!("{error:#}"))
                    .hint("the policy before stays in force; `weir doctor` may say more")
            })
        })?;
        self.announce(gate);
        self.tell_applied(&gate.now);
        self.tell_store(gate);
        self.await_confirmation(gate);
        let now = &gate.now;
        tracing::info!(
            policy = now.policy.name,
            generation = now.generation,
            seconds = change.seconds,
            "applied"
        );
        self.audit(&Change {
            what,
            who: terms.who.clone(),
            about: about([
                ("path", now.path.as_ref().map(|path| path.display().to_string()).into()),
                ("generation", now.generation.into()),
                ("history", now.number.into()),
                ("restores", terms.restores.into()),
                ("confirm_seconds", terms.confirm.map(|wait| wait.as_secs_f64()).into()),
                ("force", forced(terms.force)),
                ("feeds", (!terms.feeds.is_empty()).then(|| terms.feeds.clone()).into()),
            ]),
            before: change.previous_hash.clone(),
            after: Some(now.hash.clone()),
        });
        Ok(Applied {
            name: now.policy.name.clone(),
            hash: now.hash.clone(),
            previous_hash: change.previous_hash,
            generation: now.generation,
            number: now.number,
            confirm_seconds: gate.confirm_seconds(),
            apis: now.policy.apis.len(),
            interfaces: gate.gated.iter().map(|gated| gated.name.clone()).collect(),
            seconds: change.seconds,
            not_gated: gate.not_gated(),
            difference: Some(difference),
            size: Some(change.size),
            warnings: Vec::new(),
        })
    }

    /// Notes when the pipeline is to look after what waits.
    fn await_confirmation(&self, gate: &Gate) {
        let due = gate.waiting.as_ref().map_or(u64::MAX, |waiting| waiting.deadline);
        self.confirm_by.store(due, Ordering::Release);
    }

    /// Rolls back what was not confirmed in time. Called every few milliseconds.
    pub(super) fn look_after_confirmation(&self) {
        if clock::boot_ns() < self.confirm_by.load(Ordering::Acquire) {
            return;
        }
        let mut gate = self.gate();
        let is_due = |gate: &Gate| {
            gate.waiting.as_ref().is_some_and(|waiting| waiting.deadline <= clock::boot_ns())
        };
        // Somebody may have decided while this waited for the lock.
        if is_due(&gate)
            && let Err(error) = self.take_back(&mut gate, own(), "rollback_unconfirmed")
        {
            tracing::error!("what was not confirmed stays in force for now: {error}");
            // The watcher may act meanwhile; else this tries again.
            self.confirm_by
                .store(clock::boot_ns().saturating_add(1_000_000_000), Ordering::Release);
            return;
        }
        self.await_confirmation(&gate);
    }

    /// Rolls back what waits, at the daemon's end: nobody could confirm it any more.
    pub(super) fn end_waiting(&self) {
        let mut gate = self.gate();
        if gate.waiting.is_some()
            && let Err(error) = self.take_back(&mut gate, own(), "rollback_unconfirmed")
        {
            tracing::error!("what was not confirmed is left to its watcher: {error}");
        }
    }

    /// Puts back what was in force before what waits, and tells of it.
    fn take_back(&self, gate: &mut Gate, who: Who, what: &'static str) -> Answer<()> {
        let undone = gate.take_back().map_err(|error| {
            ApiError::internal(format!("the policy before cannot be put back: {error:#}"))
        })?;
        self.announce(gate);
        self.await_confirmation(gate);
        let name = &undone.policy.name;
        let message = format!("policy {name} was not confirmed: {} is back", gate.now.policy.name);
        tracing::warn!("{message}");
        self.tell(&Event {
            policy: Some(policy_field(&gate.now)),
            ..Event::new(Kind::PolicyRolledBack, unix_ns(), message)
        });
        self.tell_store(gate);
        let fields = [("history", undone.number.into()), ("back_to", gate.now.number.into())];
        self.audit(&Change {
            what,
            who,
            about: about(fields),
            before: Some(undone.hash),
            after: gate.now.path.is_some().then(|| gate.now.hash.clone()),
        });
        Ok(())
    }

    pub(super) fn confirm_waiting(&self, caller: &Caller) -> Answer<Confirmed> {
        let who = who(caller);
        let mut gate = self.gate();
        if gate.waiting.is_none() {
            return Err(ApiError::refused("nothing waits to be confirmed")
                .hint("`weir history` shows what became of what was applied"));
        }
        let confirmed = gate.confirm().map_err(|error| ApiError::internal(format!("{error:#}")))?;
        if !confirmed {
            self.take_back(&mut gate, own(), "rollback_unconfirmed")?;
            return Err(ApiError::refused("too late: the policy was rolled back already")
                .hint("apply it again, with more time"));
        }
        self.await_confirmation(&gate);
        let now = &gate.now;
        self.tell(&Event {
            policy: Some(policy_field(now)),
            ..Event::new(
                Kind::PolicyConfirmed,
                unix_ns(),
                format!("policy {} stays", now.policy.name),
            )
        });
        self.audit(&Change {
            what: "confirm",
            who,
            about: about([("history", now.number.into())]),
            before: Some(now.hash.clone()),
            after: Some(now.hash.clone()),
        });
        let confirmed = Confirmed {
            name: now.policy.name.clone(),
            hash: now.hash.clone(),
            generation: now.generation,
            number: now.number,
        };
        self.tell_store(&mut gate);
        Ok(confirmed)
    }

    pub(super) fn roll_back(&self, request: &RollbackRequest, caller: &Caller) -> Answer<Applied> {
        let who = who(caller);
        let force = request.force;
        let guards = guarded(caller, force);
        let mut gate = self.gate();
        let start = std::time::Instant::now();
        if let Some(waiting) = gate.waiting.as_ref().filter(|_| request.number.is_none()) {
            if let Some(connection) = &guards {
                gate.guard_return(&waiting.before, connection)?;
            }
            let previous_hash = Some(gate.now.hash.clone());
            self.take_back(&mut gate, who, "rollback")?;
            let now = &gate.now;
            return Ok(Applied {
                name: now.policy.name.clone(),
                hash: now.hash.clone(),
                previous_hash,
                generation: now.generation,
                number: now.number,
                confirm_seconds: None,
                apis: now.policy.apis.len(),
                interfaces: gate.gated.iter().map(|gated| gated.name.clone()).collect(),
                not_gated: gate.not_gated(),
                seconds: start.elapsed().as_secs_f64(),
                difference: None,
                size: None,
                warnings: Vec::new(),
            });
        }
        refuse_while_waiting(&gate)?;
        let record = wanted(&mut gate, request.number)?;
        let contents = gate.keeper.with(|store| store.contents(record.number));
        let contents = contents.ok_or_else(|| no_store(&gate))?;
        let restores = Some(record.restores.unwrap_or(record.number));
        let reader = (caller.uid != 0).then(|| Arc::new(caller.clone()));
        let terms = Terms { restores, force, guards, reader, ..Terms::of(who) };
        let put = Candidate::stored(&record, &contents)
            .and_then(|candidate| self.put(&mut gate, candidate, &terms, "rollback"));
        if put.is_ok() {
            gate.note_behind();
        }
        drop(gate);
        put.inspect_err(|error| {
            self.tell_rejected(&record.path, error);
            let fields = [("history", record.number.into()), refused(error)];
            self.audit_act("rollback_refused", terms.who, fields);
        })
    }

    pub(super) fn list_history(&self) -> Answer<Vec<HistoryEntry>> {
        let mut gate = self.gate();
        let history = gate.keeper.with(|store| store.history());
        let history = history.ok_or_else(|| no_store(&gate))?;
        let in_force = gate.now.number;
        let entry = |record: Record| {
            let is_in_force = in_force == Some(record.number);
            HistoryEntry::of(record, is_in_force)
        };
        Ok(history.into_iter().map(entry).collect())
    }

    /// Tells what went wrong with the store.
    pub(super) fn tell_store(&self, gate: &mut Gate) {
        for problem in gate.keeper.take_news() {
            self.tell(&Event::new(Kind::StoreFailed, unix_ns(), problem));
        }
    }

    fn tell_rejected(&self, path: &Path, error: &ApiError) {
        let problems = match error.diagnostics.as_slice() {
            [] => String::new(),
            [first, ..] => {
                let count = error.diagnostics.len();
                format!(" ({count} problems, the first: {})", first.message)
            }
        };
        let message = format!("{}: {}{problems}", path.display(), error.message);
        tracing::warn!("{message}");
        let policy = self.try_gate().map(|gate| policy_field(&gate.now));
        self.tell(&Event { policy, ..Event::new(Kind::PolicyRejected, unix_ns(), message) });
    }
}

/// The connection of a caller that must not be cut.
pub(super) fn guarded(caller: &Caller, force: bool) -> Option<Connection> {
    (!force).then(|| ssh::connection_of(caller)).flatten()
}

/// Reads a policy, with the caller's rights where there is one.
fn read(path: &Path, caller: Option<&Caller>) -> Answer<policy::Loaded> {
    let load = || policy::load(path);
    let loaded = caller.map_or_else(|| Ok(load()), |caller| reading_as(caller, load));
    loaded.map_err(|error| {
        ApiError::internal(format!("cannot read {} as the caller: {error}", path.display()))
            .hint("ask as root")
    })
}

/// A wait as it came.
pub(super) fn wait(seconds: Option<f64>) -> Answer<Option<Duration>> {
    let Some(span) = super::orders::ttl(seconds)? else { return Ok(None) };
    if span > LONGEST_WAIT || span < Duration::from_secs(1) {
        return Err(ApiError::invalid("a policy waits between a second and a day to be confirmed")
            .hint("--confirm 60s is usual"));
    }
    Ok(Some(span))
}

fn refused(error: &ApiError) -> (&'static str, Value) {
    ("error", error.message.clone().into())
}

fn refuse_while_waiting(gate: &Gate) -> Answer<()> {
    match gate.confirm_seconds() {
        None => Ok(()),
        Some(seconds) => Err(ApiError::refused(format!(
            "policy {} waits to be confirmed, for {seconds} s more",
            gate.now.policy.name
        ))
        .hint("`weir confirm` lets it stay, `weir rollback` takes it back at once")),
    }
}

fn no_store(gate: &Gate) -> ApiError {
    let problem = gate.keeper.problem().unwrap_or_else(|| "the store fails".to_owned());
    ApiError::unavailable(problem).hint("`weir apply FILE` works without it")
}

/// The generation to go back to.
fn wanted(gate: &mut Gate, number: Option<u64>) -> Answer<Record> {
    if let Some(number) = number {
        let record = gate.keeper.with(|store: &mut Store| store.record(number));
        return record.ok_or_else(|| no_store(gate))?.ok_or_else(|| {
            ApiError::not_found(format!("there is no {number} in the history"))
                .hint("`weir history` shows what there is")
        });
    }
    let none = || ApiError::refused("nothing was in force before").hint("`weir history` shows all");
    let now = gate.now.number.ok_or_else(none)?;
    let before = gate.keeper.with(|store: &mut Store| {
        let record = store.record(now)?;
        record.map_or(Ok(None), |record| store.before(&record))
    });
    before.ok_or_else(|| no_store(gate))?.ok_or_else(none)
}
