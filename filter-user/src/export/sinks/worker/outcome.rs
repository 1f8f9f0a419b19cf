//! What an answer means for what waits, and for those who look after the receiver.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::super::backoff;
use super::super::deliver::Answer;
use super::{Load, Worker, now_ns};
use crate::config::sink::Receiver;
use crate::export::events::{Event, Kind};

/// How long a receiver fails until that is an event.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two events that say how much was lost.
const QUIET: Duration = Duration::from_secs(60);

impl Worker {
    /// What an answer means for what waits.
    pub(super) fn settle(&mut self, load: Option<Load>, answer: Answer) {
        let now = Instant::now();
        let events = match load {
            Some(Load::Events(count, last)) => Some((count, last)),
            _ => None,
        };
        let count = events.map_or(0, |(count, _)| count);
        match answer {
            Answer::Taken { rejected, said } => {
                let rejected = rejected.min(count);
                if let Some((_, last)) = events {
                    self.spool.done(last);
                    self.most = self.most.saturating_mul(2).min(self.courier.most().0);
                }
                if let Some(alerts) = self.alerts.as_mut()
                    && let Err(error) = alerts.arrived()
                {
                    tracing::warn!(sink = %self.sink.name, %error, "open alerts are not kept");
                }
                self.plan_again(now);
                self.shared.lock().delivered += count - rejected;
                if rejected > 0 {
                    tracing::warn!(sink = %self.sink.name, "{said}");
                    self.give_up("rejected", [rejected, 0]);
                    self.shared.lock().last_error = Some(said);
                }
                self.succeed();
            }
            Answer::Later { why, after } => {
                self.stay();
                if events.is_some() {
                    self.shared.lock().retried += count;
                }
                self.fail(why, after);
            }
            Answer::Never { why, one, .. } if one && count > 1 => {
                // One of them is not taken: half as many until it is alone.
                self.stay();
                self.most = usize::try_from(count / 2).unwrap_or(1).max(1);
                self.note_error(why);
            }
            Answer::Never { why, reason, .. } => {
                if let Some(alerts) = &mut self.alerts {
                    alerts.forget();
                }
                self.plan_again(now);
                if let Some((_, last)) = events {
                    tracing::warn!(sink = %self.sink.name, count, "events were not taken: {why}");
                    self.spool.done(last);
                    self.note_error(why);
                    self.give_up(&reason, [count, 0]);
                } else {
                    self.note_error(why);
                }
            }
        }
    }

    /// What was on its way waits again.
    fn stay(&mut self) {
        self.spool.keep();
        if let Some(alerts) = &mut self.alerts {
            alerts.forget();
        }
    }

    fn plan_again(&mut self, now: Instant) {
        if let Receiver::Alertmanager { resend, .. } = self.sink.receiver {
            self.again = Some(now + resend);
        }
    }

    fn succeed(&mut self) {
        self.failures = 0;
        self.next = None;
        self.failing = None;
        let mut standing = self.shared.lock();
        standing.last_success = Some(now_seconds());
        standing.failing_since = None;
        drop(standing);
        if std::mem::take(&mut self.told_failing) {
            tracing::info!(sink = %self.sink.name, "the receiver takes events again");
            self.tell(Kind::SinkRestored, format!("sink {} takes events again", self.sink.name));
        }
    }

    fn fail(&mut self, why: String, after: Option<Duration>) {
        let now = Instant::now();
        self.failures = self.failures.saturating_add(1);
        self.next = Some(now + backoff::pause(self.failures, after, random()));
        let since = *self.failing.get_or_insert(now);
        if self.failures == 1 {
            tracing::warn!(sink = %self.sink.name, "events wait: {why}");
        }
        if !self.told_failing && now.duration_since(since) >= PATIENCE {
            self.told_failing = true;
            let name = &self.sink.name;
            self.tell(Kind::SinkFailing, format!("sink {name} takes no events: {why}"));
        }
        self.shared.lock().failing_since.get_or_insert_with(now_seconds);
        self.note_error(why);
    }

    fn note_error(&self, why: String) {
        let mut standing = self.shared.lock();
        standing.last_error = Some(why);
        standing.last_error_at = Some(now_seconds());
    }

    /// Counts events that are lost: findings and actions, and others.
    fn give_up(&mut self, reason: &str, [kept, other]: [u64; 2]) {
        self.shared.lose(reason, kept + other);
        self.lost = [self.lost[0] + kept, self.lost[1] + other];
    }

    /// Shows how it stands, and tells now and then what was lost.
    pub(super) fn publish(&mut self) {
        self.give_up("queue_full", self.shared.take_overflow());
        for (reason, lost) in self.spool.take_lost() {
            self.give_up(reason, lost);
        }
        if self.lost != [0; 2] && self.told_lost.is_none_or(|at| at.elapsed() >= QUIET) {
            let [kept, other] = std::mem::take(&mut self.lost);
            self.told_lost = Some(Instant::now());
            let reasons: Vec<_> = self.shared.lock().dropped.keys().cloned().collect();
            let message = format!(
                "sink {}: {} events were lost, {kept} of them findings, actions or refused \
                 batches ({})",
                self.sink.name,
                kept + other,
                reasons.join(", ")
            );
            tracing::warn!("{message}");
            self.tell(Kind::SinkLost, message);
        }
        let (pending, bytes) = self.spool.pending();
        let problem = self.spool.problem().map(str::to_owned);
        let mut standing = self.shared.lock();
        standing.pending = pending;
        standing.pending_bytes = bytes;
        standing.problem = problem;
        standing.alerts = self.alerts.as_ref().map_or(0, |alerts| alerts.len() as u64);
        drop(standing);
        self.shared.set_next(self.next.filter(|_| pending > 0));
    }

    pub(super) fn tell(&self, kind: Kind, message: String) {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody empties it only when the daemon ends.
        if outbox.len() < 1_000 {
            outbox.push(Event::new(kind, now_ns(), message));
        }
    }
}

fn now_seconds() -> u64 {
    now_ns() / 1_000_000_000
}

/// Random enough to spread hosts: the standard library seeds each state anew.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
