//! The routes of the control socket: from HTTP to a method of [`Daemon`] and back.

mod feed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};

use super::api::{
    ActionQuery, Answer, ApiError, ApiQuery, AuditQuery, Caller, Claim, Code, Daemon, ErrorBody,
    FindingQuery, RareQuery,
};
use super::client::SSH;

/// Bytes of a request's body at most: the largest is a path and a few names.
const BODY_BYTES: usize = 64 * 1024;

/// How long a client may take to send a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct App {
    daemon: Arc<dyn Daemon>,
    shutdown: watch::Receiver<bool>,
    followers: Arc<Semaphore>,
}

/// What [`super::server`] found out about a connection's peer.
type Admitted = Result<Caller, ApiError>;

/// All routes. Each connection adds an [`Extension`] with its [`Admitted`].
pub(super) fn router(daemon: Arc<dyn Daemon>, shutdown: watch::Receiver<bool>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/top", get(top))
        .route("/v1/apply", post(apply))
        .route("/v1/diff", post(diff))
        .route("/v1/confirm", post(confirm))
        .route("/v1/rollback", post(rollback))
        .route("/v1/history", get(history))
        .route("/v1/audit", get(audit))
        .route("/v1/audit/verify", get(audit_verify))
        .route("/v1/bans", get(bans).post(ban_add))
        .route("/v1/bans/remove", post(ban_remove))
        .route("/v1/explain", post(explain))
        .route("/v1/events", get(feed::events))
        .route("/v1/apis", get(apis))
        .route("/v1/apis/show", get(api))
        .route("/v1/apis/openapi", get(api_openapi))
        .route("/v1/apis/drift", get(api_drift))
        .route("/v1/apis/rare", get(api_rare))
        .route("/v1/findings", get(findings))
        .route("/v1/findings/ack", post(finding_ack))
        .route("/v1/findings/unack", post(finding_unack))
        .route("/v1/mutes", get(mutes).post(mute))
        .route("/v1/mutes/remove", post(unmute))
        .route("/v1/maintenance", get(maintenance).post(maintenance_start))
        .route("/v1/maintenance/stop", post(maintenance_stop))
        .route("/v1/orders", get(orders).post(order_set))
        .route("/v1/orders/lift", post(order_lift))
        .route("/v1/sinks/test", post(sink_test))
        .route("/v1/playbooks", get(playbooks))
        .route("/v1/breach/run", post(breach_run))
        .route("/v1/breach/drill", post(breach_drill))
        .route("/v1/breach/drill/end", post(breach_drill_end))
        .route("/v1/actions", get(actions))
        .route("/v1/actions/decide", post(action_decide))
        .route("/v1/actions/stop", post(actions_stop))
        .route("/v1/actions/start", post(actions_start))
        .route("/v1/evidence", post(evidence))
        .route("/v1/observed", post(observed))
        .route("/v1/assess", get(assess).post(assess_keep))
        .route("/v1/detach", post(detach))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn(guard))
        .with_state(App { daemon, shutdown, followers: Arc::new(Semaphore::new(feed::FOLLOWERS)) })
}

/// The error for a peer the kernel tells nothing about.
pub(super) fn unknown_peer(error: &std::io::Error) -> ApiError {
    ApiError::new(Code::Forbidden, format!("the kernel does not say who is asking: {error}"))
}

/// Lets those in who may speak.
async fn guard(mut request: Request, next: Next) -> Response {
    let claim = request.headers().get(SSH).and_then(claim);
    let refusal = match request.extensions_mut().get_mut::<Admitted>() {
        Some(Ok(caller)) => {
            caller.claim = claim;
            let (uid, pid) = (caller.uid, caller.pid);
            tracing::debug!(uid, pid, method = %request.method(), path = request.uri().path(), "asked");
            return next.run(request).await;
        }
        Some(Err(error)) => error.clone(),
        None => ApiError::new(Code::Forbidden, "nobody knows who is asking"),
    };
    tracing::warn!(path = request.uri().path(), "{refusal}");
    refusal.into_response()
}

/// The connection that a client names in the header [`SSH`].
fn claim(value: &HeaderValue) -> Option<Claim> {
    let (local, peer) = value.to_str().ok()?.split_once(' ')?;
    Some(Claim { local: local.parse().ok()?, peer: peer.parse().ok()? })
}

async fn no_route(request: Request) -> Response {
    let error = ApiError::invalid(format!("{} is not part of this API", request.uri().path()))
        .hint("the client may be newer than the daemon: compare `weir version` and `weir status`");
    with_status(StatusCode::NOT_FOUND, error)
}

async fn no_method(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let error = ApiError::invalid(format!("{path} does not take the method {method}"));
    with_status(StatusCode::METHOD_NOT_ALLOWED, error)
}

/// An error whose HTTP status says more than its code does.
fn with_status(status: StatusCode, error: ApiError) -> Response {
    json(status, &ErrorBody { error })
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        json(status, &ErrorBody { error: self })
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            let kind = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Err(error) => {
            // Only a map with keys that are not strings can get here.
            tracing::error!(%error, "an answer cannot be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Runs a method of the daemon where blocking is allowed.
async fn call<T: Send + 'static>(
    app: App,
    method: impl FnOnce(&dyn Daemon) -> Answer<T> + Send + 'static,
) -> Answer<T> {
    let started = Instant::now();
    let task = tokio::task::spawn_blocking(move || method(&*app.daemon));
    let answer = task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request ended in a panic");
        Err(ApiError::internal("the daemon failed inside: this is a bug in weir")
            .hint("its log says where: please report it"))
    });
    if let Err(error) = &answer {
        tracing::info!(code = ?error.code, seconds = started.elapsed().as_secs_f64(), "{error}");
    }
    answer
}

async fn answer<T: Serialize + Send + 'static>(
    app: App,
    method: impl FnOnce(&dyn Daemon) -> Answer<T> + Send + 'static,
) -> Response {
    match call(app, method).await {
        Ok(value) => json(StatusCode::OK, &value),
        Err(error) => error.into_response(),
    }
}

/// Reads a request's JSON; whatever content type it claims.
async fn read<T: DeserializeOwned>(body: Body) -> Answer<T> {
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, BODY_BYTES))
        .await
    {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            let told = format!("the request's body is cut off, or longer than {BODY_BYTES} bytes");
            return Err(ApiError::invalid(told));
        }
        Err(_) => {
            let told = format!("the request's body took longer than {BODY_TIMEOUT:?}");
            return Err(ApiError::invalid(told));
        }
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::invalid(format!("the request's body is not right: {error}")))
}

/// Runs a method that is told who asks.
async fn asked<T: Serialize + Send + 'static>(
    app: App,
    caller: Extension<Admitted>,
    method: impl FnOnce(&dyn Daemon, &Caller) -> Answer<T> + Send + 'static,
) -> Response {
    match caller.0 {
        Ok(caller) => answer(app, move |daemon| method(daemon, &caller)).await,
        Err(error) => error.into_response(),
    }
}

/// Reads the request and runs a method that is told who asks.
async fn ordered<Q, T>(
    app: App,
    caller: Extension<Admitted>,
    body: Body,
    method: impl FnOnce(&dyn Daemon, &Q, &Caller) -> Answer<T> + Send + 'static,
) -> Response
where
    Q: DeserializeOwned + Send + 'static,
    T: Serialize + Send + 'static,
{
    match read::<Q>(body).await {
        Ok(request) => {
            asked(app, caller, move |daemon, caller| method(daemon, &request, caller)).await
        }
        Err(error) => error.into_response(),
    }
}

/// What stands behind the question mark.
type Asked<Q> = Result<Query<Q>, QueryRejection>;

/// Runs a method that is told what is asked for.
async fn queried<Q, T>(
    app: App,
    query: Asked<Q>,
    method: impl FnOnce(&dyn Daemon, &Q) -> Answer<T> + Send + 'static,
) -> Response
where
    Q: Send + 'static,
    T: Serialize + Send + 'static,
{
    match query {
        Ok(Query(query)) => answer(app, move |daemon| method(daemon, &query)).await,
        Err(error) => ApiError::invalid(error.body_text()).into_response(),
    }
}

async fn status(State(app): State<App>) -> Response {
    answer(app, Daemon::status).await
}

async fn top(State(app): State<App>) -> Response {
    answer(app, Daemon::top).await
}

async fn apply(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::apply).await
}

async fn diff(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::diff).await
}

async fn confirm(State(app): State<App>, caller: Extension<Admitted>) -> Response {
    asked(app, caller, Daemon::confirm).await
}

async fn rollback(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::rollback).await
}

async fn history(State(app): State<App>) -> Response {
    answer(app, Daemon::history).await
}

async fn audit(State(app): State<App>, query: Asked<AuditQuery>) -> Response {
    queried(app, query, Daemon::audit).await
}

async fn audit_verify(State(app): State<App>) -> Response {
    answer(app, Daemon::audit_verify).await
}

async fn bans(State(app): State<App>) -> Response {
    answer(app, Daemon::bans).await
}

async fn ban_add(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::ban_add).await
}

async fn ban_remove(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::ban_remove).await
}

async fn explain(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, |daemon, request, _| daemon.explain(request)).await
}

async fn apis(State(app): State<App>) -> Response {
    answer(app, Daemon::apis).await
}

async fn api(State(app): State<App>, query: Asked<ApiQuery>) -> Response {
    queried(app, query, Daemon::api).await
}

async fn api_openapi(State(app): State<App>, query: Asked<ApiQuery>) -> Response {
    queried(app, query, Daemon::api_openapi).await
}

async fn api_drift(State(app): State<App>, query: Asked<ApiQuery>) -> Response {
    queried(app, query, Daemon::api_drift).await
}

async fn api_rare(State(app): State<App>, query: Asked<RareQuery>) -> Response {
    queried(app, query, Daemon::api_rare).await
}

async fn findings(State(app): State<App>, query: Asked<FindingQuery>) -> Response {
    queried(app, query, Daemon::findings).await
}

async fn finding_ack(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::finding_ack).await
}

async fn finding_unack(
    State(app): State<App>,
    caller: Extension<Admitted>,
    body: Body,
) -> Response {
    ordered(app, caller, body, Daemon::finding_unack).await
}

async fn mutes(State(app): State<App>) -> Response {
    answer(app, Daemon::mutes).await
}

async fn mute(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::mute).await
}

async fn unmute(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::unmute).await
}

async fn maintenance(State(app): State<App>) -> Response {
    answer(app, Daemon::maintenance).await
}

async fn maintenance_start(
    State(app): State<App>,
    caller: Extension<Admitted>,
    body: Body,
) -> Response {
    ordered(app, caller, body, Daemon::maintenance_start).await
}

async fn maintenance_stop(
    State(app): State<App>,
    caller: Extension<Admitted>,
    body: Body,
) -> Response {
    ordered(app, caller, body, Daemon::maintenance_stop).await
}

async fn orders(State(app): State<App>) -> Response {
    answer(app, Daemon::orders).await
}

async fn order_set(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::order_set).await
}

async fn order_lift(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::order_lift).await
}

async fn sink_test(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, |daemon, request, _| daemon.sink_test(request)).await
}

async fn playbooks(State(app): State<App>) -> Response {
    answer(app, Daemon::playbooks).await
}

async fn breach_run(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::breach_run).await
}

async fn breach_drill(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::breach_drill).await
}

async fn breach_drill_end(
    State(app): State<App>,
    caller: Extension<Admitted>,
    body: Body,
) -> Response {
    ordered(app, caller, body, Daemon::breach_drill_end).await
}

async fn actions(State(app): State<App>, query: Asked<ActionQuery>) -> Response {
    queried(app, query, Daemon::actions).await
}

async fn action_decide(
    State(app): State<App>,
    caller: Extension<Admitted>,
    body: Body,
) -> Response {
    ordered(app, caller, body, Daemon::action_decide).await
}

async fn actions_stop(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::actions_stop).await
}

async fn actions_start(State(app): State<App>, caller: Extension<Admitted>) -> Response {
    asked(app, caller, Daemon::actions_start).await
}

async fn evidence(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, Daemon::evidence).await
}

async fn observed(State(app): State<App>, caller: Extension<Admitted>, body: Body) -> Response {
    ordered(app, caller, body, |daemon, query, _| daemon.observed(query)).await
}

async fn assess(State(app): State<App>) -> Response {
    answer(app, Daemon::assess).await
}

async fn assess_keep(State(app): State<App>, caller: Extension<Admitted>) -> Response {
    asked(app, caller, Daemon::assess_keep).await
}

async fn detach(State(app): State<App>, caller: Extension<Admitted>) -> Response {
    asked(app, caller, Daemon::detach).await
}
