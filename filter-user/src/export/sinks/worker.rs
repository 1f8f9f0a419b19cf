//! One receiver's thread: events go into the spool at once, and from there to the receiver, a batch
//! at a time, until it takes them. Neither waits for the other.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver as Messages;

use super::backoff;
use super::deliver::{Answer, Courier, Parcel};
use super::filter::Filter;
use super::format::alert::Report;
use super::format::{self, Host};
use super::spool::{Class, Spool};
use super::standing::Alerts;
use super::state::Shared;
use crate::config::sink::{Receiver, Sink};
use crate::export::events::{Event, Kind};

/// Events taken in one go.
const BATCH: usize = 1_024;
/// Between two looks at the spool while the disk takes nothing.
const TEND: Duration = Duration::from_secs(1);
/// How long a receiver fails until that is an event.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two events that say how much was lost.
const QUIET: Duration = Duration::from_secs(60);
/// How long an end waits for the receiver.
const LAST: Duration = Duration::from_secs(2);
/// How many times the span between two tellings an alert lives without another.
const LIVES: u32 = 4;

/// What a worker is told.
pub(super) enum Message {
    /// Something happened.
    Event(Arc<Event>),
    /// Findings that are open now that the daemon begins; those that were before and are not among
    /// them are over.
    Open(Arc<Vec<OpenFinding>>),
}

/// A finding that is open.
#[derive(Clone, Debug)]
pub(super) struct OpenFinding {
    pub(super) report: Report,
    pub(super) severity: crate::detect::Severity,
    pub(super) api: String,
}

/// What is on its way.
struct Flight {
    future: Pin<Box<dyn Future<Output = Answer> + Send>>,
    load: Load,
}

#[derive(Clone, Copy)]
enum Load {
    /// So many events up to this one.
    Events(u64, u64),
    /// Alerts that are told again.
    Again,
}

/// See the module.
pub(super) struct Worker {
    sink: Arc<Sink>,
    host: Host,
    messages: Messages<Message>,
    filter: Filter,
    spool: Spool,
    courier: Arc<Courier>,
    alerts: Option<Alerts>,
    shared: Arc<Shared>,
    /// Events about the receiver itself, which the daemon tells.
    outbox: Arc<Mutex<Vec<Event>>>,
    failures: u32,
    /// Not before.
    next: Option<Instant>,
    /// Events of a batch now: fewer while one of them is looked for that is not taken.
    most: usize,
    failing: Option<Instant>,
    told_failing: bool,
    told_lost: Option<Instant>,
    lost: [u64; 2],
    again: Option<Instant>,
}

impl Worker {
    pub(super) fn new(
        sink: &Arc<Sink>,
        directory: &Path,
        courier: Arc<Courier>,
        messages: Messages<Message>,
        shared: Arc<Shared>,
        outbox: Arc<Mutex<Vec<Event>>>,
    ) -> Self {
        let (spool, aside) = Spool::open(directory, sink.spool, format::tag(&sink.receiver));
        let alerts = match sink.receiver {
            Receiver::Alertmanager { .. } => Some(Alerts::open(directory)),
            _ => None,
        };
        let worker = Self {
            host: Host::own(),
            filter: Filter::new(&sink.wants),
            sink: Arc::clone(sink),
            messages,
            spool,
            most: courier.most().0,
            courier,
            alerts,
            shared,
            outbox,
            failures: 0,
            next: None,
            failing: None,
            told_failing: false,
            told_lost: None,
            lost: [0; 2],
            again: None,
        };
        if let Some(aside) = aside {
            worker.tell(
                Kind::SinkLost,
                format!(
                    "the spool of sink {} was damaged: what could be read of it is kept, the \
                     damaged file is {}",
                    worker.sink.name,
                    aside.display()
                ),
            );
        }
        worker
    }

    /// Runs until nobody tells anything any more, and then a little longer.
    pub(super) async fn run(mut self) {
        let mut open = true;
        let mut end: Option<Instant> = None;
        let mut flight: Option<Flight> = None;
        self.publish();
        loop {
            let now = Instant::now();
            if flight.is_none() {
                flight = self.depart(now);
            }
            if !open {
                let end = *end.get_or_insert(now + LAST);
                let waits = self.next.is_some_and(|next| next >= end);
                if now >= end || (flight.is_none() && (waits || self.spool.pending().0 == 0)) {
                    break;
                }
            }
            let wake = self.wake(now, end);
            tokio::select! {
                biased;
                answer = arrive(&mut flight) => {
                    let load = flight.take().map(|flight| flight.load);
                    self.settle(load, answer);
                }
                message = self.messages.recv(), if open => match message {
                    Some(message) => self.take(message),
                    None => open = false,
                },
                () = tokio::time::sleep_until(wake.into()) => self.spool.tend(),
            }
            self.publish();
        }
        self.spool.tend();
        self.spool.sync();
    }

    /// When there is something to do at the latest, if nothing happens before.
    fn wake(&self, now: Instant, end: Option<Instant>) -> Instant {
        let mut wake = now + TEND;
        for at in [self.next, self.again, end].into_iter().flatten().filter(|at| *at > now) {
            wake = wake.min(at);
        }
        wake
    }

    /// Takes what is told, as long as there is some.
    fn take(&mut self, first: Message) {
        let (mut next, mut taken, mut kept) = (Some(first), 0, false);
        while let Some(message) = next {
            kept |= match message {
                Message::Event(event) => self.push(&event),
                Message::Open(open) => self.reconcile(&open),
            };
            taken += 1;
            next = if taken < BATCH { self.messages.try_recv().ok() } else { None };
        }
        if kept {
            self.spool.sync();
        }
    }

    /// Puts an event into the spool, if the receiver wants it; true when it is not to be lost.
    fn push(&mut self, event: &Event) -> bool {
        // A playbook that names the receiver reaches it, whatever it wants otherwise.
        let is_named = event.playbook.as_ref().is_some_and(|book| book.names(&self.sink.name));
        if !self.filter.wants(event) && !is_named {
            return false;
        }
        let Some(payload) = format::payload(&self.sink.receiver, event, &self.host) else {
            return false;
        };
        let class = class(event);
        self.spool.push(class, &payload);
        class == Class::Kept
    }

    /// Catches up with what happened while no daemon ran.
    fn reconcile(&mut self, open: &[OpenFinding]) -> bool {
        let wanted = |found: &&OpenFinding| {
            let api = (!found.api.is_empty()).then_some(found.api.as_str());
            self.filter.matters(found.severity) && self.filter.wants_api(api)
        };
        let open: Vec<Report> =
            open.iter().filter(wanted).map(|found| found.report.clone()).collect();
        for report in &open {
            self.filter.remember(report.id.as_str().into());
        }
        let Some(alerts) = &self.alerts else { return false };
        let waiting = self.spool.peek(usize::MAX, usize::MAX);
        self.spool.keep();
        let reports = alerts.reconcile(&open, &waiting.payloads, now_ns());
        for report in &reports {
            if let Ok(payload) = serde_json::to_string(report) {
                self.spool.push(Class::Kept, &payload);
            }
        }
        // Those that go on are told again at once: their time may be nearly over.
        self.again = Some(Instant::now());
        !reports.is_empty()
    }

    /// Sends the next batch, when there is one and it is time.
    fn depart(&mut self, now: Instant) -> Option<Flight> {
        if self.next.is_some_and(|next| next > now) {
            return None;
        }
        loop {
            if self.spool.pending().0 == 0 {
                break;
            }
            let batch = self.spool.peek(self.most, self.courier.most().1);
            let count = batch.payloads.len() as u64;
            if count == 0 {
                break;
            }
            let load = Load::Events(count, batch.last);
            let until = self.until();
            match &mut self.alerts {
                None => return Some(self.flight(Parcel::Events(batch.payloads), load)),
                Some(alerts) => match alerts.body(&batch, until) {
                    Some(body) => return Some(self.flight(Parcel::Body(body), load)),
                    // Nothing that Alertmanager needs to be told.
                    None => {
                        alerts.forget();
                        self.spool.done(batch.last);
                        self.shared.lock().delivered += count;
                    }
                },
            }
        }
        let due = self.again.is_some_and(|again| again <= now);
        let body = self.alerts.as_ref().filter(|_| due)?.again(self.until());
        match body {
            Some(body) => Some(self.flight(Parcel::Body(body), Load::Again)),
            None => {
                self.again = None;
                None
            }
        }
    }

    fn flight(&self, parcel: Parcel, load: Load) -> Flight {
        let courier = Arc::clone(&self.courier);
        Flight { future: Box::pin(async move { courier.deliver(parcel).await }), load }
    }

    /// When an alert that is told now ends, unless it is told again, ns since 1970.
    fn until(&self) -> u64 {
        let Receiver::Alertmanager { resend, .. } = self.sink.receiver else { return 0 };
        let span = resend.saturating_mul(LIVES);
        now_ns().saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }

    /// What an answer means for what waits.
    fn settle(&mut self, load: Option<Load>, answer: Answer) {
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
    fn publish(&mut self) {
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

    fn tell(&self, kind: Kind, message: String) {
        let mut outbox = self.outbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Nobody empties it only when the daemon ends.
        if outbox.len() < 1_000 {
            outbox.push(Event::new(kind, now_ns(), message));
        }
    }
}

/// What is on its way arrives; never, when nothing is.
async fn arrive(flight: &mut Option<Flight>) -> Answer {
    match flight {
        Some(flight) => flight.future.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Whether an event may be lost before others.
pub(super) fn class(event: &Event) -> Class {
    let kept = event.finding.is_some() || event.action.is_some() || event.playbook.is_some();
    if kept { Class::Kept } else { Class::Other }
}

/// ns since 1970.
pub(super) fn now_ns() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn now_seconds() -> u64 {
    now_ns() / 1_000_000_000
}

/// Random enough to spread hosts: the standard library seeds each state anew.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
