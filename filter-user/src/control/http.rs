//! The HTTP/1.1 loop that both servers share: how many connections, how long they may take, and
//! how they end. What is served is the caller's.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::patience::Patient;

/// How long a client may take to send the head of a request, and how long an idle connection is
/// kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long open connections may take to end when the server does.
const DRAIN: Duration = Duration::from_secs(2);

/// Bytes of a request's head at most; also the buffer a connection holds.
const HEAD_BYTES: usize = 16 * 1024;

/// What a server grants its clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections served at once; more wait to be accepted.
    pub(super) connections: usize,
    /// How long a client may take to take an answer, or the next piece of one that goes on.
    pub(super) taken: Duration,
}

impl Limits {
    /// Those of both servers.
    pub(super) const USUAL: Self = Self { connections: 64, taken: Duration::from_secs(30) };
}

/// Serves until `shutdown` says true or its sender is gone. `app` makes the routes for one
/// connection.
pub(super) async fn serve<L: Listener>(
    mut listener: L,
    limits: Limits,
    app: impl Fn(&L::Io) -> Router,
    mut shutdown: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut open = JoinSet::new();
    loop {
        let accepted = async {
            // The semaphore is never closed, so there is always a permit in the end.
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            (permit, listener.accept().await.0)
        };
        let (permit, io) = tokio::select! {
            accepted = accepted => accepted,
            () = ended(&mut shutdown) => break,
            Some(_) = open.join_next() => continue,
        };
        let app = app(&io);
        let mut shutdown = shutdown.clone();
        open.spawn(async move {
            let _permit = permit;
            let service = TowerToHyperService::new(app);
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(Patient::new(io, limits.taken)), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                result = connection.as_mut() => result,
                () = ended(&mut shutdown) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    let drained = tokio::time::timeout(DRAIN, async { while open.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::debug!(connections = open.len(), "connections cut off at the end");
    }
}

/// Resolves when the servers are to end.
pub(super) async fn ended(shutdown: &mut watch::Receiver<bool>) {
    // A sender that is gone will never say so, and nobody is left to serve for.
    let _gone = shutdown.wait_for(|&end| end).await;
}
