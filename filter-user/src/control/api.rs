//! What the daemon can be asked, and what it answers.
//!
//! Every type here is public JSON: it is what the socket carries and what `--json` prints. Names
//! are never changed or reused; a new field is added with a default. Times are whole seconds since
//! 1970 UTC, spans are seconds, counts are since the state was last reset unless a field says
//! otherwise.

mod actions;
mod assess;
mod audit;
mod ban;
mod breach;
mod change;
mod diagnostic;
mod error;
mod event;
mod evidence;
mod explain;
mod finding;
mod inventory;
mod maintenance;
mod observed;
mod orders;
mod policy;
mod sink;
mod size;
mod status;
mod top;

use serde::{Deserialize, Serialize};

pub use crate::assess::{Facts, Report};
pub use crate::policy::diff::{Access, Difference, Setting, Sources};
pub use actions::{
    ActionDecision, ActionEntry, ActionQuery, ActionsStatus, ActionsStop, Decision, Stopped,
};
pub use assess::Assessed;
pub use audit::{AuditEntry, AuditQuery, AuditVerified};
pub use ban::{Ban, BanAdd, BanRemove};
pub use breach::{
    BreachRan, BreachRun, Drill, DrillEnd, DrillRequest, DrillState, DrillStep, Drilled,
    PlaybookEntry, PlaybookStep, StepDone,
};
pub use change::{Confirmed, DiffRequest, Differences, HistoryEntry, RollbackRequest};
pub use diagnostic::{Diagnostic, Severity};
pub use error::{ApiError, Code, ErrorBody};
pub use event::{EventQuery, Feed, Line};
pub use evidence::{
    Completeness, EVIDENCE, EndpointSum, Evidence, EvidenceHead, EvidenceQuery, EvidenceVerified,
    Reached, SourceSum, Sum,
};
pub use explain::{
    ExplainRequest, Explanation, Layer, LimitState, MAX_FRAME, Origin, Step, parse_flags,
    show_flags,
};
pub use finding::{
    Acknowledged, EvidenceEntry, FindingAck, FindingEntry, FindingQuery, MuteEntry, MuteLift,
    MuteSet,
};
pub use inventory::{
    ApiDetail, ApiEntry, ApiQuery, Drift, EndpointEntry, RareQuery, RecentRequest,
    UndocumentedEndpoint, UnusedOperation,
};
pub use maintenance::{MaintenanceEntry, MaintenanceStart, MaintenanceStop};
pub use observed::{ObservedApi, ObservedQuery, Peak};
pub use orders::{ApiOrders, Mode, Order, OrderInForce, OrderKind, OrderLift, OrderSet};
pub use policy::{Applied, ApplyRequest, Detached};
pub use sink::{SinkStatus, SinkTest, SinkTested};
pub use size::{Change, CostOf, Footprint, PacketCost, Size};
pub use status::{
    ApiStatus, DaemonStatus, FeedState, FeedStatus, FindingsStatus, GeoDatabase, GeoStatus,
    InterfaceStatus, MapStatus, NamedCount, PacketCounts, PolicyStatus, ReasonCount, SampleStatus,
    Status,
};
pub use top::{RequestCount, SourceCount, SourceRefused, TOP_ENTRIES, TOP_SOURCES, Top};

/// Who is at the other end of the socket, as the kernel says. For the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Effective user id of the process when it connected.
    pub uid: u32,
    /// Effective group id of the process when it connected.
    pub gid: u32,
    /// Process id; 0 when it is in another PID namespace.
    pub pid: u32,
    /// User id that logged in, which `su` and `sudo` do not change; `None` outside a login.
    pub login_uid: Option<u32>,
    /// Supplementary groups when it connected.
    #[serde(default)]
    pub groups: Vec<u32>,
    /// The SSH connection that the caller says they work over: their end of it last. Nothing but
    /// their word; what it is good for, [`super::ssh`] says.
    #[serde(default)]
    pub claim: Option<Claim>,
}

/// A TCP connection that somebody names: the server's end and the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The server's end.
    pub local: std::net::SocketAddr,
    /// The client's end.
    pub peer: std::net::SocketAddr,
}

/// What a method answers.
pub type Answer<T> = Result<T, ApiError>;

/// The daemon as the socket sees it.
///
/// The methods block: the server calls each on a thread where that is allowed. Several may run at
/// once. Names of APIs and groups in arguments are unchecked.
pub trait Daemon: Send + Sync + 'static {
    /// All there is to know at a glance.
    fn status(&self) -> Answer<Status>;

    /// Raw counts for a view that is drawn again and again.
    fn top(&self) -> Answer<Top>;

    /// Reads the policy file, checks it, and puts it in force on every interface, or on none.
    /// An invalid policy is [`Code::Refused`] with its diagnostics. Files are read with the caller's
    /// rights ([`super::identity::reading_as`]): diagnostics show what is in them.
    fn apply(&self, request: &ApplyRequest, caller: &Caller) -> Answer<Applied>;

    /// What a policy file would change. Nothing is changed; files are read as for
    /// [`Self::apply`].
    fn diff(&self, request: &DiffRequest, caller: &Caller) -> Answer<Differences>;

    /// Lets what is in force stay. [`Code::Refused`] when nothing waits for that.
    fn confirm(&self, caller: &Caller) -> Answer<Confirmed>;

    /// Puts a generation of the history in force again, from its stored text and files; what waits
    /// to be confirmed is taken back.
    fn rollback(&self, request: &RollbackRequest, caller: &Caller) -> Answer<Applied>;

    /// What was in force, the latest first.
    fn history(&self) -> Answer<Vec<HistoryEntry>>;

    /// The latest lines of the audit log, oldest first.
    fn audit(&self, query: &AuditQuery) -> Answer<Vec<AuditEntry>>;

    /// Whether the audit log is as it was written.
    fn audit_verify(&self) -> Answer<AuditVerified>;

    /// The bans in force, in no particular order.
    fn bans(&self) -> Answer<Vec<Ban>>;

    /// Bans a source, or changes the end of a ban that is there.
    fn ban_add(&self, request: &BanAdd, caller: &Caller) -> Answer<Ban>;

    /// Ends a ban and returns what it was. [`Code::NotFound`] when there is none.
    fn ban_remove(&self, request: &BanRemove, caller: &Caller) -> Answer<Ban>;

    /// What would happen to a packet now, and why. Changes no counter and no limit.
    fn explain(&self, request: &ExplainRequest) -> Answer<Explanation>;

    /// Recent events and, from there on without a gap, the ones to come.
    fn events(&self, query: &EventQuery) -> Answer<Feed>;

    /// The inventory: the policy's APIs in its order, then ports that nobody declared.
    fn apis(&self) -> Answer<Vec<ApiEntry>>;

    /// One of them with its endpoints. [`Code::NotFound`] when there is none.
    fn api(&self, query: &ApiQuery) -> Answer<ApiDetail>;

    /// A beginning of an OpenAPI document out of what was seen of an API.
    fn api_openapi(&self, query: &ApiQuery) -> Answer<serde_json::Value>;

    /// How an API's OpenAPI document and what was seen differ. [`Code::Invalid`] when it has none.
    fn api_drift(&self, query: &ApiQuery) -> Answer<Drift>;

    /// The least used endpoints, of equally used ones those first that were not used for longest.
    fn api_rare(&self, query: &RareQuery) -> Answer<Vec<EndpointEntry>>;

    /// Findings, the latest first.
    fn findings(&self, query: &FindingQuery) -> Answer<Vec<FindingEntry>>;

    /// Notes that somebody has seen a finding. [`Code::NotFound`] when there is none of the id.
    fn finding_ack(&self, request: &FindingAck, caller: &Caller) -> Answer<FindingEntry>;

    /// Takes that back. [`Code::Refused`] when nobody had said so.
    fn finding_unack(&self, request: &FindingAck, caller: &Caller) -> Answer<FindingEntry>;

    /// The mutes in force, by API and detector.
    fn mutes(&self) -> Answer<Vec<MuteEntry>>;

    /// Tells nobody of what a detector finds at an API, from now on and over restarts.
    fn mute(&self, request: &MuteSet, caller: &Caller) -> Answer<MuteEntry>;

    /// Ends that. [`Code::NotFound`] when it is not in force.
    fn unmute(&self, request: &MuteLift, caller: &Caller) -> Answer<MuteEntry>;

    /// What is being maintained, by API.
    fn maintenance(&self) -> Answer<Vec<MaintenanceEntry>>;

    /// Begins to maintain an API.
    fn maintenance_start(
        &self,
        request: &MaintenanceStart,
        caller: &Caller,
    ) -> Answer<MaintenanceEntry>;

    /// Ends what [`Self::maintenance_start`] began.
    fn maintenance_stop(
        &self,
        request: &MaintenanceStop,
        caller: &Caller,
    ) -> Answer<MaintenanceEntry>;

    /// The APIs with orders in force.
    fn orders(&self) -> Answer<Vec<ApiOrders>>;

    /// Puts an order in force at once, replacing one of the same kind. [`Order::Mode`] without a
    /// time to live that says what the policy says clears the order instead.
    fn order_set(&self, request: &OrderSet, caller: &Caller) -> Answer<ApiOrders>;

    /// Ends orders. [`Code::NotFound`] when none of the kinds named is in force.
    fn order_lift(&self, request: &OrderLift, caller: &Caller) -> Answer<ApiOrders>;

    /// Sends one marked event to a receiver and says what it answered. [`Code::NotFound`] when there
    /// is none of the name.
    fn sink_test(&self, request: &SinkTest) -> Answer<SinkTested>;
    /// What is kept of a source or an API in a span, sealed. [`Code::NotFound`] when nothing is.
    fn evidence(&self, query: &EvidenceQuery, caller: &Caller) -> Answer<Evidence>;

    /// What sources did at their busiest, by API of the policy in force. [`Code::NotFound`] when it has none
    /// of the name.
    fn observed(&self, query: &ObservedQuery) -> Answer<Vec<ObservedApi>>;

    /// All that a posture report is made of, the report that was kept last with it.
    fn assess(&self) -> Answer<Facts>;

    /// The same, and the report is kept in the state directory: what the next one is held against.
    fn assess_keep(&self, caller: &Caller) -> Answer<Assessed>;

    /// The playbooks of the policy in force.
    fn playbooks(&self) -> Answer<Vec<PlaybookEntry>>;

    /// Does all that weir does of a playbook, at once or, when a guard refuses one of its orders, nothing
    /// of it.
    fn breach_run(&self, request: &BreachRun, caller: &Caller) -> Answer<BreachRan>;

    /// Does everything of a playbook, or of an API's shutdown, but the last step. To be ended with
    /// [`Self::breach_drill_end`].
    fn breach_drill(&self, request: &DrillRequest, caller: &Caller) -> Answer<Drill>;

    /// Ends a drill, writes its report and remembers that there was one.
    fn breach_drill_end(&self, request: &DrillEnd, caller: &Caller) -> Answer<Drilled>;

    /// Automatic actions, the latest first.
    fn actions(&self, query: &ActionQuery) -> Answer<Vec<ActionEntry>>;

    /// Approves or rejects an action that waits, or takes one back that was done.
    fn action_decide(&self, request: &ActionDecision, caller: &Caller) -> Answer<ActionEntry>;

    /// Stops all automatic actions, also over a restart.
    fn actions_stop(&self, request: &ActionsStop, caller: &Caller) -> Answer<ActionsStatus>;

    /// Has them taken again. [`Code::Refused`] when they are not stopped.
    fn actions_start(&self, caller: &Caller) -> Answer<ActionsStatus>;

    /// Takes the filter off every interface, removes all pinned state, and ends the daemon after
    /// the answer has been given.
    fn detach(&self, caller: &Caller) -> Answer<Detached>;
}
