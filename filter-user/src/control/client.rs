//! Asks the daemon over its socket. It blocks: a command line has nothing else to do meanwhile.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::api::{
    ActionDecision, ActionEntry, ActionQuery, ActionsStatus, ActionsStop, Answer, ApiDetail,
    ApiEntry, ApiError, ApiOrders, ApiQuery, Applied, ApplyRequest, Assessed, AuditEntry,
    AuditQuery, AuditVerified, Ban, BanAdd, BanRemove, BreachRan, BreachRun, Claim, Code,
    Confirmed, Detached, DiffRequest, Differences, Drift, Drill, DrillEnd, DrillRequest, Drilled,
    EndpointEntry, ErrorBody, EventQuery, Evidence, EvidenceQuery, ExplainRequest, Explanation,
    Facts, FindingAck, FindingEntry, FindingQuery, HistoryEntry, MaintenanceEntry,
    MaintenanceStart, MaintenanceStop, MuteEntry, MuteLift, MuteSet, ObservedApi, ObservedQuery,
    OrderLift, OrderSet, PlaybookEntry, RareQuery, RollbackRequest, SinkTest, SinkTested, Status,
    Top,
};
use super::peer::GROUP;
use super::ssh;

/// How long the daemon may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an answer may take. Applying compiles a million prefixes and loads a program.
const ANSWER: Duration = Duration::from_secs(120);

/// Bytes of an answer at most; 65,536 bans are about 10 MB.
const ANSWER_BYTES: usize = 256 << 20;

/// Bytes of one event at most.
const LINE_BYTES: usize = 1 << 20;

/// Names the SSH connection that the asking process works over: `LOCAL PEER`, or nothing.
pub(super) const SSH: &str = "weir-ssh";

fn claim_header() -> String {
    ssh::claim().map_or_else(String::new, |Claim { local, peer }| format!("{local} {peer}"))
}

/// A client of one daemon.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

impl Client {
    /// A client of the daemon at this socket. Nothing is connected yet.
    pub fn new(socket: PathBuf) -> Answer<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| ApiError::internal(format!("cannot start a runtime: {error}")))?;
        Ok(Self { socket, runtime })
    }

    /// See [`super::api::Daemon::status`].
    pub fn status(&self) -> Answer<Status> {
        self.get("/v1/status")
    }

    /// See [`super::api::Daemon::top`].
    pub fn top(&self) -> Answer<Top> {
        self.get("/v1/top")
    }

    /// See [`super::api::Daemon::apply`].
    pub fn apply(&self, request: &ApplyRequest) -> Answer<Applied> {
        self.post("/v1/apply", request)
    }

    /// See [`super::api::Daemon::diff`].
    pub fn diff(&self, request: &DiffRequest) -> Answer<Differences> {
        self.post("/v1/diff", request)
    }

    /// See [`super::api::Daemon::confirm`].
    pub fn confirm(&self) -> Answer<Confirmed> {
        self.post("/v1/confirm", &())
    }

    /// See [`super::api::Daemon::rollback`].
    pub fn rollback(&self, request: &RollbackRequest) -> Answer<Applied> {
        self.post("/v1/rollback", request)
    }

    /// See [`super::api::Daemon::history`].
    pub fn history(&self) -> Answer<Vec<HistoryEntry>> {
        self.get("/v1/history")
    }

    /// See [`super::api::Daemon::audit`].
    pub fn audit(&self, query: &AuditQuery) -> Answer<Vec<AuditEntry>> {
        self.get(&format!("/v1/audit?limit={}", query.limit))
    }

    /// See [`super::api::Daemon::audit_verify`].
    pub fn audit_verify(&self) -> Answer<AuditVerified> {
        self.get("/v1/audit/verify")
    }

    /// See [`super::api::Daemon::apis`].
    pub fn apis(&self) -> Answer<Vec<ApiEntry>> {
        self.get("/v1/apis")
    }

    /// See [`super::api::Daemon::api`].
    pub fn api(&self, query: &ApiQuery) -> Answer<ApiDetail> {
        self.get(&format!("/v1/apis/show?name={}", encoded(&query.name)))
    }

    /// See [`super::api::Daemon::api_openapi`].
    pub fn api_openapi(&self, query: &ApiQuery) -> Answer<serde_json::Value> {
        self.get(&format!("/v1/apis/openapi?name={}", encoded(&query.name)))
    }

    /// See [`super::api::Daemon::api_drift`].
    pub fn api_drift(&self, query: &ApiQuery) -> Answer<Drift> {
        self.get(&format!("/v1/apis/drift?name={}", encoded(&query.name)))
    }

    /// See [`super::api::Daemon::api_rare`].
    pub fn api_rare(&self, query: &RareQuery) -> Answer<Vec<EndpointEntry>> {
        let api = query.api.as_ref().map(|api| format!("&api={}", encoded(api)));
        self.get(&format!("/v1/apis/rare?limit={}{}", query.limit, api.unwrap_or_default()))
    }

    /// See [`super::api::Daemon::findings`].
    pub fn findings(&self, query: &FindingQuery) -> Answer<Vec<FindingEntry>> {
        let FindingQuery { all, api, limit, unacknowledged } = query;
        let api = api.as_ref().map(|api| format!("&api={}", encoded(api))).unwrap_or_default();
        self.get(&format!(
            "/v1/findings?all={all}&limit={limit}&unacknowledged={unacknowledged}{api}"
        ))
    }

    /// See [`super::api::Daemon::finding_ack`].
    pub fn finding_ack(&self, request: &FindingAck) -> Answer<FindingEntry> {
        self.post("/v1/findings/ack", request)
    }

    /// See [`super::api::Daemon::finding_unack`].
    pub fn finding_unack(&self, request: &FindingAck) -> Answer<FindingEntry> {
        self.post("/v1/findings/unack", request)
    }

    /// See [`super::api::Daemon::mutes`].
    pub fn mutes(&self) -> Answer<Vec<MuteEntry>> {
        self.get("/v1/mutes")
    }

    /// See [`super::api::Daemon::mute`].
    pub fn mute(&self, request: &MuteSet) -> Answer<MuteEntry> {
        self.post("/v1/mutes", request)
    }

    /// See [`super::api::Daemon::unmute`].
    pub fn unmute(&self, request: &MuteLift) -> Answer<MuteEntry> {
        self.post("/v1/mutes/remove", request)
    }

    /// See [`super::api::Daemon::maintenance`].
    pub fn maintenance(&self) -> Answer<Vec<MaintenanceEntry>> {
        self.get("/v1/maintenance")
    }

    /// See [`super::api::Daemon::maintenance_start`].
    pub fn maintenance_start(&self, request: &MaintenanceStart) -> Answer<MaintenanceEntry> {
        self.post("/v1/maintenance", request)
    }

    /// See [`super::api::Daemon::maintenance_stop`].
    pub fn maintenance_stop(&self, request: &MaintenanceStop) -> Answer<MaintenanceEntry> {
        self.post("/v1/maintenance/stop", request)
    }

    /// See [`super::api::Daemon::bans`].
    pub fn bans(&self) -> Answer<Vec<Ban>> {
        self.get("/v1/bans")
    }

    /// See [`super::api::Daemon::ban_add`].
    pub fn ban_add(&self, request: &BanAdd) -> Answer<Ban> {
        self.post("/v1/bans", request)
    }

    /// See [`super::api::Daemon::ban_remove`].
    pub fn ban_remove(&self, request: &BanRemove) -> Answer<Ban> {
        self.post("/v1/bans/remove", request)
    }

    /// See [`super::api::Daemon::explain`].
    pub fn explain(&self, request: &ExplainRequest) -> Answer<Explanation> {
        self.post("/v1/explain", request)
    }

    /// See [`super::api::Daemon::orders`].
    pub fn orders(&self) -> Answer<Vec<ApiOrders>> {
        self.get("/v1/orders")
    }

    /// See [`super::api::Daemon::order_set`].
    pub fn order_set(&self, request: &OrderSet) -> Answer<ApiOrders> {
        self.post("/v1/orders", request)
    }

    /// See [`super::api::Daemon::order_lift`].
    pub fn order_lift(&self, request: &OrderLift) -> Answer<ApiOrders> {
        self.post("/v1/orders/lift", request)
    }

    /// See [`super::api::Daemon::sink_test`].
    pub fn sink_test(&self, request: &SinkTest) -> Answer<SinkTested> {
        self.post("/v1/sinks/test", request)
    }

    /// See [`super::api::Daemon::actions`].
    pub fn actions(&self, query: &ActionQuery) -> Answer<Vec<ActionEntry>> {
        self.get(&format!("/v1/actions?all={}&limit={}", query.all, query.limit))
    }

    /// See [`super::api::Daemon::action_decide`].
    pub fn action_decide(&self, request: &ActionDecision) -> Answer<ActionEntry> {
        self.post("/v1/actions/decide", request)
    }

    /// See [`super::api::Daemon::actions_stop`].
    pub fn actions_stop(&self, request: &ActionsStop) -> Answer<ActionsStatus> {
        self.post("/v1/actions/stop", request)
    }

    /// See [`super::api::Daemon::actions_start`].
    pub fn actions_start(&self) -> Answer<ActionsStatus> {
        self.post("/v1/actions/start", &())
    }

    /// See [`super::api::Daemon::evidence`].
    pub fn evidence(&self, query: &EvidenceQuery) -> Answer<Evidence> {
        self.post("/v1/evidence", query)
    }

    /// See [`super::api::Daemon::observed`].
    pub fn observed(&self, query: &ObservedQuery) -> Answer<Vec<ObservedApi>> {
        self.post("/v1/observed", query)
    }

    /// See [`super::api::Daemon::assess`].
    pub fn assess(&self) -> Answer<Facts> {
        self.get("/v1/assess")
    }

    /// See [`super::api::Daemon::assess_keep`].
    pub fn assess_keep(&self) -> Answer<Assessed> {
        self.post("/v1/assess", &())
    }

    /// See [`super::api::Daemon::playbooks`].
    pub fn playbooks(&self) -> Answer<Vec<PlaybookEntry>> {
        self.get("/v1/playbooks")
    }

    /// See [`super::api::Daemon::breach_run`].
    pub fn breach_run(&self, request: &BreachRun) -> Answer<BreachRan> {
        self.post("/v1/breach/run", request)
    }

    /// See [`super::api::Daemon::breach_drill`].
    pub fn breach_drill(&self, request: &DrillRequest) -> Answer<Drill> {
        self.post("/v1/breach/drill", request)
    }

    /// See [`super::api::Daemon::breach_drill_end`].
    pub fn breach_drill_end(&self, request: &DrillEnd) -> Answer<Drilled> {
        self.post("/v1/breach/drill/end", request)
    }

    /// See [`super::api::Daemon::detach`].
    pub fn detach(&self) -> Answer<Detached> {
        self.post("/v1/detach", &())
    }

    /// See [`super::api::Daemon::events`]. Each line goes to `sink`, which ends it with an error.
    /// With `follow` it ends by itself only when the daemon does.
    pub fn events(
        &self,
        query: &EventQuery,
        sink: &mut dyn FnMut(&str) -> io::Result<()>,
    ) -> Answer<()> {
        let mut path = format!("/v1/events?limit={}", query.limit);
        if let Some(since) = query.since {
            path.push_str(&format!("&since={since}"));
        }
        if query.follow {
            path.push_str("&follow=1");
        }
        self.runtime.block_on(async {
            let response = limited(ANSWER, self.send(Method::GET, &path, Bytes::new())).await?;
            let mut body = self.accepted(response).await?;
            let mut line = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| self.broken(&error))?;
                let Ok(mut data) = frame.into_data() else { continue };
                while data.has_remaining() {
                    let chunk = data.chunk();
                    let end = chunk.iter().position(|&byte| byte == b'\n');
                    line.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
                    let read = end.map_or(chunk.len(), |end| end + 1);
                    data.advance(read);
                    if line.len() > LINE_BYTES {
                        return Err(self.broken(&"an event is longer than 1 MiB"));
                    }
                    if end.is_some() {
                        sink(&String::from_utf8_lossy(&line)).map_err(|error| output(&error))?;
                        line.clear();
                    }
                }
            }
            Ok(())
        })
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.ask(Method::GET, path, Bytes::new())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, request: &impl Serialize) -> Answer<T> {
        let body = serde_json::to_vec(request)
            .map_err(|error| ApiError::invalid(format!("the request is not JSON: {error}")))?;
        self.ask(Method::POST, path, body.into())
    }

    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Answer<T> {
        self.runtime.block_on(limited(ANSWER, async {
            let response = self.send(method, path, body).await?;
            let bytes = self.whole(self.accepted(response).await?).await?;
            serde_json::from_slice(&bytes).map_err(|error| self.not_ours(&error))
        }))
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Answer<Response<Incoming>> {
        let stream = limited(CONNECT, async {
            UnixStream::connect(&self.socket).await.map_err(|error| no_daemon(&self.socket, &error))
        })
        .await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(&error))?;
        // It ends with the connection; what goes wrong on it, the request sees as well.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(hyper::header::HOST, "weir")
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .header(SSH, claim_header())
            .body(Full::new(body))
            .map_err(|error| ApiError::internal(format!("cannot make a request: {error}")))?;
        sender.send_request(request).await.map_err(|error| self.broken(&error))
    }

    /// The body of a success, or the error that was answered.
    async fn accepted(&self, response: Response<Incoming>) -> Answer<Incoming> {
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response.into_body());
        }
        let bytes = self.whole(response.into_body()).await?;
        match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(body) => Err(body.error),
            Err(_) => Err(self.not_ours(&format_args!("HTTP status {status}"))),
        }
    }

    async fn whole(&self, body: Incoming) -> Answer<Bytes> {
        match Limited::new(body, ANSWER_BYTES).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> ApiError {
        let socket = self.socket.display();
        ApiError::unavailable(format!("the daemon on {socket} broke off: {error}"))
            .hint("its log says why: `journalctl -u weir`, or where `weir run` prints")
    }

    fn not_ours(&self, error: &dyn std::fmt::Display) -> ApiError {
        let socket = self.socket.display();
        ApiError::unavailable(format!("what answers on {socket} is not understood: {error}"))
            .hint("the daemon may be of another version: restart it after an upgrade")
    }
}

/// A text as a query can carry it (RFC 3986, section 2.1).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

async fn limited<T>(time: Duration, task: impl Future<Output = Answer<T>>) -> Answer<T> {
    match tokio::time::timeout(time, task).await {
        Ok(answer) => answer,
        Err(_) => {
            let seconds = time.as_secs();
            Err(ApiError::unavailable(format!("no answer from the daemon within {seconds} s"))
                .hint("it may be stuck or very busy: its log and `top` say more"))
        }
    }
}

/// Why there is no connection, and what to do.
fn no_daemon(socket: &Path, error: &io::Error) -> ApiError {
    let path = socket.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            ApiError::unavailable(format!("no daemon answers on {path}")).hint(
                "is `weir run` running? Look with `systemctl status weir`; another daemon is \
                 reached with --instance NAME or --socket PATH",
            )
        }
        ErrorKind::PermissionDenied => {
            let message = format!("this user may not open {path}: root and group {GROUP} may");
            ApiError::new(Code::Forbidden, message).hint(format!(
                "use sudo, or join the group: `usermod -aG {GROUP} USER`, then log in again"
            ))
        }
        _ => ApiError::unavailable(format!("cannot connect to {path}: {error}")),
    }
}

fn output(error: &io::Error) -> ApiError {
    ApiError::internal(format!("cannot write: {error}"))
}
