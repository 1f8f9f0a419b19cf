//! One receiver's thread: events go into the spool at once, and from there to the receiver, a batch
//! at a time, until it takes them. Neither waits for the other. What an answer means is in `outcome`.

mod outcome;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver as Messages;

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

/// A finding that is open, or was when the daemon before ended.
#[derive(Clone, Debug)]
pub(super) struct OpenFinding {
    pub(super) report: Report,
    pub(super) severity: crate::detect::Severity,
    pub(super) api: String,
    /// Otherwise its end is told next.
    pub(super) lives: bool,
}

/// What the thread of a receiver leaves to the one that takes its place.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Findings it was told of that are not over.
    told: BTreeSet<Arc<str>>,
    /// That it fails was told, and is to be taken back.
    told_failing: bool,
    /// Findings and actions, and others, that were lost since that was told.
    lost: [u64; 2],
    told_lost: Option<Instant>,
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

    /// Takes the place of another.
    pub(super) fn after(mut self, left: Left) -> Self {
        left.told.into_iter().for_each(|id| self.filter.remember(id));
        Self { told_failing: left.told_failing, lost: left.lost, told_lost: left.told_lost, ..self }
    }

    /// Runs until nobody tells anything any more, and then a little longer.
    pub(super) async fn run(mut self) -> Left {
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
        self.publish();
        let Self { filter, told_failing, lost, told_lost, .. } = self;
        Left { told: filter.into_told(), told_failing, lost, told_lost }
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
        // An alert that stands is taken back when its finding is muted.
        let ends = self.alerts.is_some() && self.filter.hushes(event);
        if !self.filter.wants(event) && !is_named && !ends {
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
        let open: Vec<&OpenFinding> = open.iter().filter(wanted).collect();
        for found in &open {
            self.filter.remember(found.report.id.as_str().into());
        }
        let lives = open.iter().filter(|found| found.lives);
        let open: Vec<Report> = lives.map(|found| found.report.clone()).collect();
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
