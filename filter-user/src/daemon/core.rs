//! What the daemon's threads share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use tokio::sync::watch;

use crate::config::{Config, Origin};
use crate::control::metrics_http::Probe;
use crate::control::ssh::own;
use crate::detect::Finding;
use crate::export::audit::Change;
use crate::export::events::{ApiField, Event, EventLog, Kind, PolicyField, SourceField};
use crate::export::metrics::{ApiInfo, Metrics};
use crate::export::sinks::Sinks;
use crate::geo::Geo;
use crate::kernel::clock;
use crate::policy::Policy;
use crate::respond::Quotas;

use super::actions::Actions;
use super::auditor::{Auditor, about, forced};
use super::clients::Clients;
use super::drill::Drills;
use super::gate::Gate;
use super::in_force::InForce;
use super::interfaces::Open;
use super::inventory::{Book, Inventory, Mutes, Told};
use super::learned::Learned;
use super::maintenance::Maintained;
use super::pipeline::Report;
use super::profile::Profile;
use super::sources::Sources;
use super::start::Start;

/// Label sets of the request metrics at most; further routes are `__other__`.
const SERIES: usize = 2000;

/// What is told to the pipeline.
pub(super) enum Message {
    /// Another policy is in force.
    Policy(Box<Profile>),
    /// The inventory reports a finding, on the wall's clock.
    Finding(Box<Finding>),
}

/// See the module.
pub(super) struct Core {
    /// The settings.
    pub(super) config: Config,
    /// Where they can be read again.
    pub(super) origin: Option<Origin>,
    /// Keys of them that were changed since, and take a restart.
    pub(super) restart: Mutex<Vec<&'static str>>,
    /// Which daemon of the host.
    pub(super) instance: Option<String>,
    /// When it started.
    pub(super) started: Instant,
    /// The event log.
    pub(super) events: Arc<EventLog>,
    /// Other receivers of events.
    pub(super) sinks: Arc<Sinks>,
    /// The metrics.
    pub(super) metrics: Metrics,
    /// What the pipeline said last.
    pub(super) report: Arc<Mutex<Report>>,
    /// Clients that are only known through proxies.
    pub(super) clients: Mutex<Clients>,
    /// Who asked lately, and who was refused.
    pub(super) sources: Mutex<Sources>,
    /// Where sources are.
    pub(super) geo: Geo,
    /// What exists, as far as traffic shows.
    pub(super) inventory: Mutex<Inventory>,
    /// What is being maintained.
    pub(super) maintained: Arc<Mutex<Maintained>>,
    /// Where it is written.
    pub(super) book: Mutex<Book>,
    /// What detectors have learned, on its way to the store and from it.
    pub(super) learned: Learned,
    /// Automatic actions.
    pub(super) actions: Arc<Mutex<Actions>>,
    /// What was used of quotas.
    pub(super) quotas: Mutex<Quotas>,
    /// When a posture report was last kept, seconds since 1970; 0: never.
    pub(super) assessed: Arc<AtomicU64>,
    /// Held while one is made.
    pub(super) reporting: Mutex<()>,
    /// Drills that wait for their end.
    pub(super) drills: Mutex<Drills>,
    /// How that goes.
    pub(super) told: Arc<Told>,
    /// The audit log.
    pub(super) auditor: Arc<Mutex<Auditor>>,
    /// When what waits is rolled back, CLOCK_BOOTTIME in ns; `u64::MAX`: nothing waits.
    pub(super) confirm_by: AtomicU64,
    /// What the start has to tell, in sentences.
    pub(super) notes: OnceLock<Vec<String>>,
    gate: Arc<Mutex<Gate>>,
    messages: Sender<Message>,
    waiting: Mutex<Option<Receiver<Message>>>,
    ready: AtomicBool,
    detached: AtomicBool,
    stop: watch::Sender<bool>,
    /// Held by threads of the system while they pause; told when everybody is to end.
    pausing: Mutex<()>,
    ending: Condvar,
}

/// A lock whose holder panicked is taken over: what it guards is replaced as a whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    pub(super) fn new(
        config: Config,
        origin: Option<Origin>,
        instance: Option<String>,
        mut gate: Gate,
        events: Arc<EventLog>,
        sinks: Sinks,
        stop: watch::Sender<bool>,
    ) -> Result<Self> {
        let kept = gate.keeper.with(|store| store.inventory()).unwrap_or_default();
        let learned = gate.keeper.with(|store| store.learned()).unwrap_or_default();
        let maintained = gate.keeper.with(|store| store.maintenance()).unwrap_or_default();
        let maintained = Arc::new(Mutex::new(Maintained::restore(&maintained)));
        let of_maintained = Arc::clone(&maintained);
        let mutes = gate.keeper.with(|store| store.mutes()).unwrap_or_default();
        let mut inventory = Inventory::new(kept, config.store.transactions > 0);
        inventory.ledger.mutes = Mutes::restore(&mutes);
        inventory.ledger.mute_again();
        let unwritten = Arc::new(Told::default());
        let book = Mutex::new(Book::new(config.state_dir.clone(), Arc::clone(&unwritten)));
        let of_book = Arc::clone(&unwritten);
        let ids = gate.state.ids();
        let find = |name: &str| ids.find_api(name);
        let quotas = gate.keeper.with(|store| super::quota::restore(store, find));
        let quotas = quotas.unwrap_or_default();
        let actions = gate.keeper.with(Actions::restore).unwrap_or_default();
        let actions = Arc::new(Mutex::new(actions));
        let of_actions = Arc::clone(&actions);
        let policy = Arc::clone(&gate.now.policy);
        let profile = Profile::new(Arc::clone(&gate.now.policy), gate.state.ids_ref());
        let (messages, waiting) = channel();
        let told = messages.send(Message::Policy(Box::new(profile)));
        debug_assert!(told.is_ok(), "the receiver is right here");
        let gate = Arc::new(Mutex::new(gate));
        let report = Arc::new(Mutex::new(Report::default()));
        let auditor = Arc::new(Mutex::new(Auditor::new(&config.state_dir, config.audit_bytes)));
        let (of_gate, of_report, of_events) =
            (Arc::clone(&gate), Arc::clone(&report), Arc::clone(&events));
        let of_auditor = Arc::clone(&auditor);
        let sinks = Arc::new(sinks);
        let of_sinks = Arc::clone(&sinks);
        let assessed = Arc::new(AtomicU64::new(super::assess::last(&config.state_dir)));
        let of_reports = Arc::clone(&assessed);
        let metrics = Metrics::new(
            SERIES,
            Arc::new(move || {
                let unwritten = lock(&of_auditor).failures;
                let mut snapshot =
                    super::snapshot::take(&lock(&of_gate), &lock(&of_report), &of_events);
                {
                    let actions = lock(&of_actions);
                    snapshot.actions_held = actions.held() as u64;
                    snapshot.actions_stopped = actions.is_stopped();
                }
                {
                    let maintained = lock(&of_maintained);
                    let named = |info: &ApiInfo| (info.api.clone(), maintained.covers(&info.api));
                    snapshot.maintenance = snapshot.apis.iter().map(named).collect();
                }
                snapshot.store_failures.push(("audit.jsonl", unwritten));
                snapshot.store_failures.push(("weir.db", of_book.failures()));
                snapshot.sinks = of_sinks.standings();
                snapshot.assessed = of_reports.load(Ordering::Relaxed);
                snapshot
            }),
        )
        .context("cannot set up the metrics")?;
        for finding in inventory.ledger.open() {
            metrics.goes_on(finding);
        }
        let loud = inventory.ledger.open().filter(|entry| !entry.muted);
        sinks.begin(|_| true, loud, &inventory.ended, |name| policy.api(name).map(ApiField::of));
        Ok(Self {
            geo: Geo::new(&config.geo),
            config,
            origin,
            restart: Mutex::default(),
            instance,
            started: Instant::now(),
            events,
            sinks,
            metrics,
            report,
            clients: Mutex::default(),
            sources: Mutex::new(Sources::new(clock::monotonic_ns())),
            inventory: Mutex::new(inventory),
            maintained,
            book,
            actions,
            quotas: Mutex::new(quotas),
            assessed,
            reporting: Mutex::default(),
            drills: Mutex::default(),
            learned: Learned::new(learned),
            told: unwritten,
            auditor,
            confirm_by: AtomicU64::new(u64::MAX),
            notes: OnceLock::new(),
            gate,
            messages,
            waiting: Mutex::new(Some(waiting)),
            ready: AtomicBool::new(false),
            detached: AtomicBool::new(false),
            stop,
            pausing: Mutex::new(()),
            ending: Condvar::new(),
        })
    }

    /// The kernel half and what is in force.
    pub(super) fn gate(&self) -> MutexGuard<'_, Gate> {
        lock(&self.gate)
    }

    /// The same, if nobody holds it.
    pub(super) fn try_gate(&self) -> Option<MutexGuard<'_, Gate>> {
        match self.gate.try_lock() {
            Ok(gate) => Some(gate),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The pipeline's end of its messages, once.
    pub(super) fn take_messages(&self) -> Option<Receiver<Message>> {
        lock(&self.waiting).take()
    }

    /// Tells the pipeline, and forgets the requests of APIs that are gone.
    pub(super) fn announce(&self, gate: &Gate) {
        let policy = Arc::clone(&gate.now.policy);
        self.metrics.retain(|name| name == super::profile::UNCLAIMED || policy.api(name).is_some());
        let profile = Profile::new(policy, gate.state.ids_ref());
        // At the end, an unconfirmed policy is taken back when the pipeline has already ended.
        let sent = self.messages.send(Message::Policy(Box::new(profile)));
        if sent.is_err() && !self.stopping() {
            tracing::error!("the pipeline is gone: findings follow the policy before");
        }
    }

    /// Has a finding answered that the pipeline did not find.
    pub(super) fn answer_finding(&self, finding: Finding) {
        if self.messages.send(Message::Finding(Box::new(finding))).is_err() {
            tracing::error!("the pipeline is gone: a finding is not answered");
        }
    }

    /// Whether the daemon is to end.
    pub(super) fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits so long, and no longer than until [`Self::begin_stop`]; whether the daemon is to end.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let pausing = lock(&self.pausing);
        let waited = self.ending.wait_timeout_while(pausing, time, |()| !self.stopping());
        drop(waited);
        self.stopping()
    }

    /// Tells everybody to end.
    pub(super) fn begin_stop(&self) {
        self.ready.store(false, Ordering::Release);
        // Nobody listening any more is no failure.
        // Nobody is between the look at `stop` and the wait.
        let pausing = lock(&self.pausing);
        self.stop.send_replace(true);
        drop(pausing);
        self.ending.notify_all();
    }

    /// Ends after a detach: nothing is left to keep.
    pub(super) fn stop_detached(&self) {
        self.detached.store(true, Ordering::Release);
        self.begin_stop();
    }

    /// Whether everything has been taken away.
    pub(super) fn is_detached(&self) -> bool {
        self.detached.load(Ordering::Acquire)
    }

    /// Everything is attached and served.
    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether [`Self::set_ready`] was called and no end is near.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// One line for the service manager.
    pub(super) fn summary(&self) -> String {
        let gate = self.gate();
        let interfaces: Vec<_> = gate.gated.iter().map(|gated| gated.name.as_str()).collect();
        format!("policy {} on {}", gate.now.policy.name, interfaces.join(", "))
    }

    /// The first events: that weir runs, what it adopted, which policy is in force.
    pub(super) fn told_at_start(&self, start: Start, force: bool) {
        let mut gate = self.gate();
        self.audit(&Change {
            what: "start",
            who: own(),
            about: about([
                ("path", gate.now.path.as_ref().map(|path| path.display().to_string()).into()),
                ("generation", gate.now.generation.into()),
                ("history", gate.now.number.into()),
                ("force", forced(force)),
            ]),
            before: None,
            after: gate.now.path.is_some().then(|| gate.now.hash.clone()),
        });
        for record in &start.given_up {
            let message =
                format!("policy {} was not confirmed before the daemon ended", record.name);
            self.tell(&Event::new(Kind::PolicyRolledBack, unix_ns(), message));
        }
        for note in &start.notes {
            tracing::warn!("{note}");
        }
        let _only_once = self.notes.set(start.notes);
        self.tell_store(&mut gate);
        self.tell(&Event::new(Kind::DaemonStarted, unix_ns(), "weir runs"));
        for note in &gate.state.notes {
            self.tell(&Event::new(Kind::StateReset, unix_ns(), note.clone()));
        }
        self.tell_applied(&gate.now);
    }

    /// Tells of the findings that ended with the daemon before; `goes_on`: the detectors have taken
    /// this one up again.
    pub(super) fn tell_ended(&self, policy: &Policy, goes_on: impl Fn(&str) -> bool) {
        let ended = std::mem::take(&mut lock(&self.inventory).ended);
        for entry in ended.iter().filter(|entry| !goes_on(&entry.id)) {
            let api = (!entry.api.is_empty()).then(|| ApiField::find(policy, &entry.api));
            if let Some(event) = Event::ended(entry, api) {
                self.tell(&event);
            }
        }
    }

    /// The event of a policy in force.
    pub(super) fn tell_applied(&self, now: &InForce) {
        let message = match &now.path {
            Some(path) => format!("policy {} from {}", now.policy.name, path.display()),
            None => "no policy: weir observes".to_owned(),
        };
        self.tell(&Event {
            policy: Some(policy_field(now)),
            ..Event::new(Kind::PolicyApplied, unix_ns(), message)
        });
    }

    /// Tells an event.
    pub(super) fn tell(&self, event: &Event) {
        if matches!(event.kind, Kind::SourceRefused | Kind::SourceLimited) {
            lock(&self.sources).refused(event, clock::monotonic_ns());
        }
        match event.source.filter(|_| self.geo.is_there()) {
            None => self.tell_all(event),
            Some(source) => {
                let (country, asn) = (self.geo.country(source.ip), self.geo.asn(source.ip));
                let source = Some(SourceField { country, asn, ..source });
                self.tell_all(&Event { source, ..event.clone() });
            }
        }
    }

    fn tell_all(&self, event: &Event) {
        self.events.tell(event);
        self.sinks.tell(event);
    }

    /// Tells what there is to tell of receivers.
    pub(super) fn tell_of_sinks(&self) {
        for event in self.sinks.take_events() {
            self.tell(&event);
        }
    }

    /// The end: what is kept, and the last event.
    pub(super) fn finish(&self) {
        if !self.is_detached() {
            self.end_waiting();
            let mut gate = self.gate();
            gate.keep_standing();
            gate.close();
            drop(gate);
            self.write_inventory();
        }
        self.audit_act("stop", own(), [("detached", self.is_detached().into())]);
        self.tell_of_sinks();
        self.tell(&Event::new(Kind::DaemonStopped, unix_ns(), "weir ends"));
        self.sinks.stop();
    }
}

/// A policy as events show it.
pub(super) fn policy_field(now: &InForce) -> PolicyField {
    PolicyField {
        name: now.policy.name.clone(),
        hash: now.hash.clone(),
        generation: now.generation,
    }
}

/// Nanoseconds since 1970.
pub(super) fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Probe for Core {
    fn metrics(&self) -> Result<String> {
        self.metrics.render().context("the metrics cannot be written")
    }

    fn ready(&self) -> Result<(), String> {
        if !self.is_ready() {
            return Err("starting or ending".to_owned());
        }
        // Whoever asks does not wait for a policy that is just being applied.
        let Some(gate) = self.try_gate() else { return Ok(()) };
        let open: Vec<_> = gate.open.iter().map(Open::line).collect();
        if open.is_empty() { Ok(()) } else { Err(open.join("; ")) }
    }
}
