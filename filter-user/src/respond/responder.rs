//! From a finding and the policy's answer to an action or a refusal.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::action::{Action, Refusal};
use super::crowd::Crowd;
use super::reach::Hit;
use crate::detect::codec::{Reader, Writer};
use crate::detect::{Finding, SECOND, Source, State};
use crate::policy::{Answer, RespondMode, Response};

/// Who must not be acted against.
pub trait Guard {
    /// Whether any address of the source is trusted.
    fn is_trusted(&self, source: &Source) -> bool;
    /// Whether any address of the source is trusted, but not in everything: a ban could hit it.
    fn is_trusted_in_part(&self, source: &Source) -> bool;
    /// Whether any address of the source is a proxy of the API (stable id).
    fn is_proxy(&self, api: u32, source: &Source) -> bool;
    /// Whether the source is only known through a proxy: no packet carries its address.
    fn is_behind_proxy(&self, source: &Source) -> bool;
    /// Whom the action would hit, when that is more than it may.
    fn too_wide(&self, _action: &Action) -> Option<Hit> {
        None
    }
    /// How many share the source at the API (stable id), when that is too many.
    fn shared(&self, _api: u32, _source: &Source) -> Option<Crowd> {
        None
    }
}

/// Who carries actions out.
pub trait Executor {
    /// Does what the action says.
    ///
    /// # Errors
    /// Why it could not be done, for the event log: which map or API, and what to do.
    fn execute(&mut self, action: &Action) -> Result<(), String>;
}

/// How long an automatic limit or lockdown lasts where the policy does not say; a ban says so
/// itself.
pub const ORDER_TTL: Duration = Duration::from_secs(600);

/// What the policy wants to follow a finding.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// What.
    pub answer: Answer,
    /// How far to go by oneself.
    pub mode: RespondMode,
    /// Most actions within a minute.
    pub per_minute: u32,
    /// An operator has stopped all automatic actions.
    pub stopped: bool,
}

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done(Action),
    /// It was not tried.
    Refused(Action, Refusal),
    /// A ban that names nobody was not tried.
    Impossible(Refusal),
    /// It would have been done, were it not a dry run.
    DryRun(Action),
    /// It waits for an operator to approve it.
    Held(Action),
    /// It was tried, and could not be done; it is tried again with the finding's next report.
    Failed(Action, String),
}

impl Outcome {
    /// What it is about; `None` when there is no such action.
    pub const fn action(&self) -> Option<&Action> {
        match self {
            Self::Done(action)
            | Self::Refused(action, _)
            | Self::DryRun(action)
            | Self::Held(action)
            | Self::Failed(action, _) => Some(action),
            Self::Impossible(_) => None,
        }
    }

    /// In a word: `done`, `refused`, `dry_run`, `held` or `failed`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused(..) | Self::Impossible(_) => "refused",
            Self::DryRun(_) => "dry_run",
            Self::Held(_) => "held",
            Self::Failed(..) => "failed",
        }
    }
}

/// Gives answers.
#[derive(Debug, Default)]
pub struct Responder {
    /// By the id of the open finding: what it was answered with.
    answered: HashMap<Arc<str>, Answered>,
    /// When the latest actions were, ns.
    latest: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    Done,
    /// By which guard: its numbers may change.
    Refused(&'static str),
}

pub(super) const MINUTE: u64 = 60 * SECOND;
/// Actions whose time is kept.
const MOST_KEPT: usize = 10_000;

impl Responder {
    /// Has answered nothing yet.
    pub fn new() -> Self {
        Self { answered: HashMap::new(), latest: VecDeque::new() }
    }

    /// When the latest actions were, as bytes that [`Self::load`] takes up; `epoch` is what to add to its
    /// times for ns since 1970.
    pub fn save(&self, epoch: i128) -> Vec<u8> {
        let mut to = Writer::default();
        let latest = self.latest.len().saturating_sub(MOST_KEPT);
        for time in self.latest.iter().skip(latest) {
            to.i128(i128::from(*time) + epoch);
        }
        to.0
    }

    /// Takes up what [`Self::save`] wrote, so that a restart does not free the rate of actions. One of
    /// the future, which a clock that was set back makes of it, was now. False when it is damaged.
    pub fn load(&mut self, saved: &[u8], now: u64, epoch: i128) -> bool {
        let mut from = Reader(saved);
        let mut latest = VecDeque::new();
        while !from.is_empty() {
            let Some(time) = from.i128().filter(|_| latest.len() < MOST_KEPT) else { return false };
            let ago = i128::from(now).saturating_sub(time.saturating_sub(epoch));
            if ago < i128::from(MINUTE) {
                // Of before the boot: its minute is a little longer.
                let ago = u64::try_from(ago.max(0)).unwrap_or(0);
                latest.push_back(now.saturating_sub(ago));
            }
        }
        latest.append(&mut self.latest);
        self.latest = latest;
        true
    }

    /// Answers a report of a finding; `now` in ns, on one clock. `None` when there is nothing to say:
    /// the policy wants an alert only, the finding is over, it was answered before, or it was refused
    /// before for the same reason. Memory follows the open findings, which the engine bounds.
    pub fn answer(
        &mut self,
        now: u64,
        finding: &Finding,
        wanted: &Wanted,
        guard: &impl Guard,
        executor: &mut impl Executor,
    ) -> Option<Outcome> {
        if finding.state == State::Closed {
            self.answered.remove(&finding.id);
            return None;
        }
        if self.answered.get(&finding.id) == Some(&Answered::Done) {
            return None;
        }
        let action = match plan(finding, &wanted.answer)? {
            Ok(action) => action,
            Err(refusal) => return self.refuse(finding, refusal, Outcome::Impossible(refusal)),
        };
        if let Some(refusal) = self.hold_back(now, finding, wanted, &action, guard) {
            return self.refuse(finding, refusal, Outcome::Refused(action, refusal));
        }
        self.latest.push_back(now);
        let done = match wanted.mode {
            RespondMode::DryRun => Ok(Outcome::DryRun(action)),
            RespondMode::Approve => Ok(Outcome::Held(action)),
            RespondMode::Act => match executor.execute(&action) {
                Ok(()) => Ok(Outcome::Done(action)),
                Err(error) => Err(Outcome::Failed(action, error)),
            },
        };
        Some(match done {
            Ok(outcome) => {
                self.answered.insert(Arc::clone(&finding.id), Answered::Done);
                outcome
            }
            Err(outcome) => outcome,
        })
    }

    /// Says so, once for each reason.
    fn refuse(&mut self, finding: &Finding, refusal: Refusal, outcome: Outcome) -> Option<Outcome> {
        let answered = Answered::Refused(refusal.name());
        let before = self.answered.insert(Arc::clone(&finding.id), answered);
        (before != Some(answered)).then_some(outcome)
    }

    /// Why the action is not to be taken, the lasting reasons first.
    fn hold_back(
        &mut self,
        now: u64,
        finding: &Finding,
        wanted: &Wanted,
        action: &Action,
        guard: &impl Guard,
    ) -> Option<Refusal> {
        if let Action::Ban { source, api, .. } = action {
            if guard.is_trusted(source) {
                return Some(Refusal::Trusted);
            }
            if guard.is_proxy(*api, source) {
                return Some(Refusal::Proxy);
            }
            if guard.is_behind_proxy(source) {
                return Some(Refusal::BehindProxy);
            }
        }
        if finding.measure.evidence_forgeable {
            return Some(Refusal::Forgeable);
        }
        if let Action::Ban { source, api, .. } = action
            && let Some(crowd) = guard.shared(*api, source)
        {
            return Some(Refusal::Shared(crowd));
        }
        if let Some(hit) = guard.too_wide(action) {
            return Some(Refusal::BlastRadius(hit));
        }
        if wanted.stopped {
            return Some(Refusal::Stopped);
        }
        while self.latest.front().is_some_and(|time| time.saturating_add(MINUTE) <= now) {
            self.latest.pop_front();
        }
        (self.latest.len() >= wanted.per_minute as usize).then_some(Refusal::TooMany)
    }
}

/// What the answer comes to; `None` for an alert.
fn plan(finding: &Finding, answer: &Answer) -> Option<Result<Action, Refusal>> {
    let reason = || format!("finding {}: {}", finding.id, finding.measure.why);
    let (api, ttl) = (finding.api, answer.ttl.unwrap_or(ORDER_TTL));
    Some(Ok(match answer.response {
        Response::Alert => return None,
        Response::Ban(ttl) => match finding.source {
            Some(source) => Action::Ban { source, api, ttl, reason: reason() },
            None => return Some(Err(Refusal::NoSource)),
        },
        Response::Limit(rate) => Action::Limit { api, rate, ttl, reason: reason() },
        Response::Lockdown(group) => Action::Lockdown { api, group, ttl, reason: reason() },
    }))
}
