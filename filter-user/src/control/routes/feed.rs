//! `GET /v1/events`: events that were, and events as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};

use super::super::api::{Answer, ApiError, EventQuery, Feed, Line};
use super::super::http::ended;
use super::{App, call};

/// Events on their way to one client that follows; then the daemon's own buffer counts.
const EVENTS_IN_FLIGHT: usize = 64;

/// Clients that follow events at once. Fewer than there are connections: the rest are for orders.
pub(super) const FOLLOWERS: usize = 32;

/// Events in one answer at most.
const EVENTS_AT_ONCE: usize = 100_000;

/// The query of `GET /v1/events`. Text, because a query says `follow=1`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventParameters {
    limit: Option<usize>,
    since: Option<u64>,
    follow: Option<String>,
}

impl EventParameters {
    fn checked(self) -> Answer<EventQuery> {
        let follow = match self.follow.as_deref() {
            None | Some("0" | "false") => false,
            Some("" | "1" | "true") => true,
            Some(other) => {
                return Err(ApiError::invalid(format!("follow is 0 or 1, not `{other}`")));
            }
        };
        let limit = self.limit.unwrap_or(EventQuery::default().limit).min(EVENTS_AT_ONCE);
        Ok(EventQuery { limit, since: self.since, follow })
    }
}

pub(super) async fn events(
    State(app): State<App>,
    query: Result<Query<EventParameters>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(parameters)) => parameters.checked(),
        Err(error) => Err(ApiError::invalid(error.body_text())),
    };
    let query = match query {
        Ok(query) => query,
        Err(error) => return error.into_response(),
    };
    let shutdown = app.shutdown.clone();
    let follower = if query.follow {
        let Ok(permit) = Arc::clone(&app.followers).try_acquire_owned() else {
            let message = format!("{FOLLOWERS} clients follow the events already");
            return ApiError::unavailable(message).hint("end one of them").into_response();
        };
        Some(permit)
    } else {
        None
    };
    match call(app, move |daemon| daemon.events(&query)).await {
        Ok(mut feed) => {
            if follower.is_none() {
                feed.live = None;
            }
            let (sender, lines) = mpsc::channel(EVENTS_IN_FLIGHT);
            tokio::spawn(async move {
                feed_lines(feed, sender, shutdown).await;
                drop(follower);
            });
            let kind = HeaderValue::from_static("application/x-ndjson");
            ([(header::CONTENT_TYPE, kind)], Body::new(Lines(lines))).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// Sends a feed to one client until either ends, or the daemon does.
async fn feed_lines(feed: Feed, to: mpsc::Sender<Bytes>, mut shutdown: watch::Receiver<bool>) {
    for line in &feed.past {
        if to.send(framed(line)).await.is_err() {
            return;
        }
    }
    let Some(mut live) = feed.live else { return };
    loop {
        let next = tokio::select! {
            next = live.recv() => next,
            () = to.closed() => return,
            () = ended(&mut shutdown) => return,
        };
        let bytes = match next {
            Ok(line) => framed(&line),
            // The client reads more slowly than events come: it is told, and goes on from here.
            Err(RecvError::Lagged(missed)) => Bytes::from(format!("{{\"missed\":{missed}}}\n")),
            Err(RecvError::Closed) => return,
        };
        if to.send(bytes).await.is_err() {
            return;
        }
    }
}

fn framed(line: &Line) -> Bytes {
    let mut bytes = Vec::with_capacity(line.len() + 1);
    bytes.extend_from_slice(line.as_bytes());
    bytes.push(b'\n');
    bytes.into()
}

/// A response body that ends when its sender does.
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
