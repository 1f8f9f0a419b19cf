//! A daemon without a kernel: it keeps what it is told.

use std::sync::Mutex;

use tokio::sync::broadcast;

use filter_user::control::api::*;
use filter_user::store::{State as FateOfGeneration, Who};

/// The state.
#[derive(Default)]
struct State {
    policy: Option<PolicyStatus>,
    bans: Vec<Ban>,
    orders: Vec<ApiOrders>,
    past: Vec<Line>,
    callers: Vec<Caller>,
}

/// The daemon. It knows one API, `orders`, and one bad policy, any whose name ends in `bad.toml`.
pub(crate) struct InMemory {
    state: Mutex<State>,
    live: broadcast::Sender<Line>,
}

impl Default for InMemory {
    fn default() -> Self {
        Self { state: Mutex::default(), live: broadcast::channel(4).0 }
    }
}

impl InMemory {
    /// Everyone who changed something.
    pub(crate) fn callers(&self) -> Vec<Caller> {
        self.state.lock().expect("no panic").callers.clone()
    }

    /// Writes an event.
    pub(crate) fn event(&self, line: &str) {
        let mut state = self.state.lock().expect("no panic");
        state.past.push(line.into());
        let _nobody_follows = self.live.send(line.into());
    }

    /// Clients that follow.
    pub(crate) fn followers(&self) -> usize {
        self.live.receiver_count()
    }

    fn change(&self, caller: &Caller) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.state.lock().expect("no panic");
        state.callers.push(caller.clone());
        state
    }
}

fn known(api: &str) -> Answer<()> {
    if api == "orders" {
        return Ok(());
    }
    Err(ApiError::not_found(format!("no API is named `{api}`")).hint("there is `orders`"))
}

impl Daemon for InMemory {
    fn status(&self) -> Answer<Status> {
        let state = self.state.lock().expect("no panic");
        let bans = state.bans.len() as u64;
        Ok(Status { policy: state.policy.clone(), bans, ..Status::default() })
    }

    fn top(&self) -> Answer<Top> {
        Ok(Top { clock_ns: 1, status: self.status()?, ..Top::default() })
    }

    fn apply(&self, request: &ApplyRequest, caller: &Caller) -> Answer<Applied> {
        let mut state = self.change(caller);
        if request.path.ends_with("bad.toml") {
            let diagnostic = Diagnostic {
                severity: Severity::Error,
                file: "bad.toml".into(),
                line: 3,
                column: 1,
                message: "unknown key `alow`".into(),
                hint: "did you mean `allow`?".into(),
                excerpt: "alow = []".into(),
            };
            return Err(ApiError::refused("the policy is invalid").diagnostics(vec![diagnostic]));
        }
        let previous = state.policy.take();
        let generation = previous.as_ref().map_or(0, |policy| policy.generation) + 1;
        let hash = format!("{generation:064x}");
        state.policy = Some(PolicyStatus {
            name: "edge".into(),
            path: request.path.clone(),
            hash: hash.clone(),
            generation,
            confirm_seconds: request.confirm_seconds.map(|seconds| seconds as u64),
            ..PolicyStatus::default()
        });
        Ok(Applied {
            name: "edge".into(),
            hash,
            previous_hash: previous.map(|policy| policy.hash),
            generation,
            number: Some(generation.into()),
            confirm_seconds: request.confirm_seconds.map(|seconds| seconds as u64),
            apis: 1,
            interfaces: vec!["eth0".into()],
            not_gated: Vec::new(),
            seconds: 0.25,
            difference: None,
            size: None,
            warnings: Vec::new(),
        })
    }

    fn diff(&self, request: &DiffRequest, _: &Caller) -> Answer<Differences> {
        let added = vec![request.path.display().to_string()];
        let difference = Difference { added, ..Difference::default() };
        let size = Size::default();
        Ok(Differences { in_force: None, hash: "ab".into(), same: false, difference, size })
    }

    fn confirm(&self, caller: &Caller) -> Answer<Confirmed> {
        let mut state = self.change(caller);
        let waiting = state.policy.as_mut().filter(|policy| policy.confirm_seconds.is_some());
        let policy = waiting.ok_or_else(|| ApiError::refused("nothing waits"))?;
        policy.confirm_seconds = None;
        Ok(Confirmed {
            name: policy.name.clone(),
            hash: policy.hash.clone(),
            generation: policy.generation,
            number: None,
        })
    }

    fn rollback(&self, request: &RollbackRequest, caller: &Caller) -> Answer<Applied> {
        let Some(number) = request.number else {
            drop(self.change(caller));
            return Err(ApiError::not_found("nothing was in force before"));
        };
        let path = format!("/history/{number}.toml").into();
        self.apply(&ApplyRequest { path, confirm_seconds: None, force: false }, caller)
    }

    fn history(&self) -> Answer<Vec<HistoryEntry>> {
        let state = self.state.lock().expect("no panic");
        let policy = state.policy.iter().map(|policy| HistoryEntry {
            number: policy.generation.into(),
            generation: policy.generation,
            name: policy.name.clone(),
            hash: policy.hash.clone(),
            path: policy.path.clone(),
            applied_at: policy.applied_at,
            who: Who { uid: 0, login_uid: Some(1000), pid: 1, ssh: None },
            state: FateOfGeneration::Confirmed,
            previous: None,
            restores: None,
            why: None,
            in_force: true,
        });
        Ok(policy.collect())
    }

    fn audit(&self, query: &AuditQuery) -> Answer<Vec<AuditEntry>> {
        let entry = |number| AuditEntry { number, what: "apply".into(), ..AuditEntry::default() };
        Ok((1..=query.limit as u64).map(entry).collect())
    }

    fn audit_verify(&self) -> Answer<AuditVerified> {
        Ok(AuditVerified {
            intact: false,
            lines: 3,
            line: Some(2),
            file: "audit.jsonl".into(),
            problem: "changed".into(),
        })
    }

    fn bans(&self) -> Answer<Vec<Ban>> {
        Ok(self.state.lock().expect("no panic").bans.clone())
    }

    fn ban_add(&self, request: &BanAdd, caller: &Caller) -> Answer<Ban> {
        if let Some(api) = &request.api {
            known(api)?;
        }
        let ban = Ban {
            prefix: request.prefix.clone(),
            api: request.api.clone(),
            since: 1_700_000_000,
            remaining_seconds: request.ttl_seconds.map(|ttl| ttl as u64),
            reason: request.reason.clone(),
            automatic: false,
            sources: None,
            hits: 0,
        };
        self.change(caller).bans.push(ban.clone());
        Ok(ban)
    }

    fn ban_remove(&self, request: &BanRemove, caller: &Caller) -> Answer<Ban> {
        let mut state = self.change(caller);
        let same = |ban: &Ban| ban.prefix == request.prefix && ban.api == request.api;
        let index = state.bans.iter().position(same);
        let missing = || ApiError::not_found(format!("{} is not banned", request.prefix));
        Ok(state.bans.remove(index.ok_or_else(missing)?))
    }

    fn explain(&self, request: &ExplainRequest) -> Answer<Explanation> {
        assert_ne!(request.proto, "panic", "a request that trips over a bug");
        let source = request.src.map(|source| source.to_string());
        let banned = |ban: &Ban| Some(&ban.prefix) == source.as_ref();
        let banned = self.state.lock().expect("no panic").bans.iter().any(banned);
        let (verdict, reason) = if banned { ("drop", "banned") } else { ("pass", "allowed") };
        Ok(Explanation {
            verdict: verdict.into(),
            reason: reason.into(),
            api: Some("orders".into()),
            generation: 1,
            ..Explanation::default()
        })
    }

    fn events(&self, query: &EventQuery) -> Answer<Feed> {
        let state = self.state.lock().expect("no panic");
        let skip = state.past.len().saturating_sub(query.limit);
        Ok(Feed { past: state.past[skip..].to_vec(), live: Some(self.live.subscribe()) })
    }

    fn apis(&self) -> Answer<Vec<ApiEntry>> {
        Ok(vec![ApiEntry { name: "orders".into(), declared: true, ..ApiEntry::default() }])
    }

    fn api(&self, query: &ApiQuery) -> Answer<ApiDetail> {
        known(&query.name)?;
        Ok(ApiDetail { api: self.apis()?.remove(0), ..ApiDetail::default() })
    }

    fn api_openapi(&self, query: &ApiQuery) -> Answer<serde_json::Value> {
        known(&query.name)?;
        Ok(serde_json::json!({ "openapi": "3.1.0" }))
    }

    fn api_drift(&self, query: &ApiQuery) -> Answer<Drift> {
        known(&query.name)?;
        let unused = vec![UnusedOperation::default()];
        Ok(Drift { api: query.name.clone(), unused, ..Drift::default() })
    }

    fn api_rare(&self, query: &RareQuery) -> Answer<Vec<EndpointEntry>> {
        let api = query.api.clone().unwrap_or_default();
        Ok(vec![EndpointEntry { api, ..EndpointEntry::default() }; query.limit])
    }

    fn findings(&self, query: &FindingQuery) -> Answer<Vec<FindingEntry>> {
        let api = query.api.clone().unwrap_or_else(|| "orders".into());
        let state = if query.all { "closed" } else { "open" }.into();
        let muted = query.unacknowledged;
        Ok(vec![FindingEntry { id: "f-1".into(), api, state, muted, ..FindingEntry::default() }])
    }

    fn finding_ack(&self, request: &FindingAck, caller: &Caller) -> Answer<FindingEntry> {
        drop(self.change(caller));
        if request.id != "f-1" {
            return Err(ApiError::not_found("there is no such finding"));
        }
        let by = Who { uid: caller.uid, ..Who::default() };
        let said = Acknowledged { time: 7, by, note: request.note.clone() };
        let id = request.id.clone();
        Ok(FindingEntry { id, acknowledged: Some(said), ..FindingEntry::default() })
    }

    fn finding_unack(&self, request: &FindingAck, caller: &Caller) -> Answer<FindingEntry> {
        drop(self.change(caller));
        Ok(FindingEntry { id: request.id.clone(), muted: true, ..FindingEntry::default() })
    }

    fn mutes(&self) -> Answer<Vec<MuteEntry>> {
        Ok(vec![MuteEntry { findings: 3, ..MuteEntry::default() }])
    }

    fn mute(&self, request: &MuteSet, caller: &Caller) -> Answer<MuteEntry> {
        drop(self.change(caller));
        let MuteSet { detector, api, ttl_seconds, reason } = request.clone();
        let until = ttl_seconds.map(|ttl| ttl as u64);
        Ok(MuteEntry { detector, api, until, reason, ..MuteEntry::default() })
    }

    fn unmute(&self, request: &MuteLift, caller: &Caller) -> Answer<MuteEntry> {
        drop(self.change(caller));
        let MuteLift { detector, api } = request.clone();
        Ok(MuteEntry { detector, api, ..MuteEntry::default() })
    }

    fn maintenance(&self) -> Answer<Vec<MaintenanceEntry>> {
        Ok(vec![MaintenanceEntry { until: 9, ..MaintenanceEntry::default() }])
    }

    fn maintenance_start(
        &self,
        request: &MaintenanceStart,
        caller: &Caller,
    ) -> Answer<MaintenanceEntry> {
        drop(self.change(caller));
        let MaintenanceStart { api, ttl_seconds, reason } = request.clone();
        let until = ttl_seconds as u64;
        Ok(MaintenanceEntry { api, until, reason, ..MaintenanceEntry::default() })
    }

    fn maintenance_stop(
        &self,
        request: &MaintenanceStop,
        caller: &Caller,
    ) -> Answer<MaintenanceEntry> {
        drop(self.change(caller));
        Ok(MaintenanceEntry { api: request.api.clone(), ..MaintenanceEntry::default() })
    }

    fn orders(&self) -> Answer<Vec<ApiOrders>> {
        Ok(self.state.lock().expect("no panic").orders.clone())
    }

    fn order_set(&self, request: &OrderSet, caller: &Caller) -> Answer<ApiOrders> {
        known(&request.api)?;
        let order = OrderInForce {
            order: request.order.clone(),
            remaining_seconds: request.ttl_seconds.map(|ttl| ttl as u64),
            automatic: false,
            reason: request.reason.clone(),
            since: None,
            by: None,
            playbook: None,
        };
        let orders =
            ApiOrders { api: request.api.clone(), mode: Mode::Enforce, orders: vec![order] };
        self.change(caller).orders = vec![orders.clone()];
        Ok(orders)
    }

    fn order_lift(&self, request: &OrderLift, caller: &Caller) -> Answer<ApiOrders> {
        known(&request.api)?;
        let mut state = self.change(caller);
        let Some(mut orders) = state.orders.pop() else {
            return Err(ApiError::not_found("nothing is ordered"));
        };
        let named = |kind| request.kinds.is_empty() || request.kinds.contains(&kind);
        orders.orders.retain(|order| !named(order.order.kind()));
        Ok(orders)
    }

    fn sink_test(&self, request: &SinkTest) -> Answer<SinkTested> {
        if request.sink != "siem" {
            return Err(ApiError::not_found(format!("there is no sink {}", request.sink)));
        }
        let (sink, answer) = (request.sink.clone(), "HTTP 200".to_owned());
        Ok(SinkTested { sink, taken: true, answer, seconds: 0.5 })
    }

    fn actions(&self, query: &ActionQuery) -> Answer<Vec<ActionEntry>> {
        let state = if query.all { "done" } else { "held" }.to_owned();
        let entry = ActionEntry { id: 12, state, kind: "ban".into(), ..ActionEntry::default() };
        Ok(vec![entry; query.limit.min(1)])
    }

    fn action_decide(&self, request: &ActionDecision, caller: &Caller) -> Answer<ActionEntry> {
        drop(self.change(caller));
        let state = match (request.id, request.decision) {
            (12, Decision::Approve) => "done",
            (12, Decision::Reject) => "rejected",
            (12, Decision::Undo) => "undone",
            _ => return Err(ApiError::not_found("there is no such action")),
        };
        let (id, state) = (request.id, state.to_owned());
        Ok(ActionEntry { id, state, kind: "ban".into(), ..ActionEntry::default() })
    }

    fn actions_stop(&self, request: &ActionsStop, caller: &Caller) -> Answer<ActionsStatus> {
        drop(self.change(caller));
        let until = request.ttl_seconds.map(|_| u64::MAX);
        let stopped = Stopped { until, reason: request.reason.clone(), ..Stopped::default() };
        Ok(ActionsStatus { stopped: Some(stopped), ..ActionsStatus::default() })
    }

    fn actions_start(&self, caller: &Caller) -> Answer<ActionsStatus> {
        drop(self.change(caller));
        Ok(ActionsStatus { mode: "act".into(), ..ActionsStatus::default() })
    }

    fn evidence(&self, query: &EvidenceQuery, caller: &Caller) -> Answer<Evidence> {
        drop(self.change(caller));
        if query.source.as_deref() != Some("192.0.2.7") {
            return Err(ApiError::not_found("nothing is known of that"));
        }
        let head = EvidenceHead { source: query.source.clone(), ..EvidenceHead::default() };
        let total = Sum { kept: 3, estimated: 5, response_bytes: 10, ..Sum::default() };
        let endpoint = EndpointSum { route: "/a".into(), sum: total.clone(), ..Default::default() };
        let reached = Reached { total, endpoints: vec![endpoint], ..Reached::default() };
        let json = |value: Result<serde_json::Value, serde_json::Error>| value.expect("JSON");
        let completeness = json(serde_json::to_value(Completeness::default()));
        let sections = vec![
            ("reached", json(serde_json::to_value(&reached))),
            ("completeness", completeness),
            ("not_known", serde_json::json!(["who used it"])),
        ];
        Ok(Evidence::seal(&head, sections).expect("JSON"))
    }

    fn observed(&self, query: &ObservedQuery) -> Answer<Vec<ObservedApi>> {
        let seen = ObservedApi { api: "orders".into(), ..ObservedApi::default() };
        Ok(vec![seen]
            .into_iter()
            .filter(|seen| query.api.as_ref().is_none_or(|api| *api == seen.api))
            .collect())
    }

    fn assess(&self) -> Answer<Facts> {
        let seen = ApiEntry { name: "orders".into(), declared: true, ..ApiEntry::default() };
        let api = filter_user::assess::ApiFacts { seen, any: true, ..Default::default() };
        Ok(Facts {
            time: 1_772_000_000,
            host: "gate-1".into(),
            apis: vec![api],
            ..Facts::default()
        })
    }

    fn assess_keep(&self, caller: &Caller) -> Answer<Assessed> {
        drop(self.change(caller));
        let mut facts = self.assess()?;
        // The report before: its API had a limit.
        let mut before = facts.clone();
        before.time -= 86_400;
        before.apis[0].limits.push(filter_user::assess::LimitFact {
            of: "source".into(),
            measure: "packets".into(),
            rate: "100/s".into(),
        });
        facts.previous = Some(Box::new(Report::of(before)));
        Ok(Assessed { facts, files: vec!["/state/assess/posture.json".into()] })
    }

    fn playbooks(&self) -> Answer<Vec<PlaybookEntry>> {
        let apis = vec!["orders".to_owned()];
        Ok(vec![PlaybookEntry { name: "leak".into(), apis, ..PlaybookEntry::default() }])
    }

    fn breach_run(&self, request: &BreachRun, caller: &Caller) -> Answer<BreachRan> {
        drop(self.change(caller));
        if request.playbook != "leak" {
            return Err(ApiError::not_found("there is no such playbook"));
        }
        let step = "shutdown".to_owned();
        let done = StepDone { api: "orders".into(), step, ttl_seconds: request.ttl_seconds };
        let manual = vec!["call the bank".to_owned()];
        let playbook = request.playbook.clone();
        Ok(BreachRan { playbook, done: vec![done], manual, ..BreachRan::default() })
    }

    fn breach_drill(&self, request: &DrillRequest, _: &Caller) -> Answer<Drill> {
        let step = |what: &str, state, api: &str| DrillStep {
            what: what.into(),
            state,
            api: api.into(),
            ..DrillStep::default()
        };
        let steps = vec![
            step("cell", DrillState::Failed, "orders"),
            step("call the bank", DrillState::Skipped, ""),
        ];
        Ok(Drill { id: 7, name: request.name.clone(), steps, ..Drill::default() })
    }

    fn breach_drill_end(&self, request: &DrillEnd, caller: &Caller) -> Answer<Drilled> {
        assert_eq!((request.id, &request.manual), (7, &vec![None]), "nobody is there to ask");
        let drill = self.breach_drill(&DrillRequest { name: "leak".into() }, caller)?;
        let files =
            if request.keep { vec!["/state/drills/leak.md".to_owned()] } else { Vec::new() };
        Ok(Drilled { drill, markdown: "# Drill".into(), files })
    }

    fn detach(&self, caller: &Caller) -> Answer<Detached> {
        self.change(caller).policy = None;
        Ok(Detached { interfaces: vec!["eth0".into()], removed: vec!["/pin".into()] })
    }
}
