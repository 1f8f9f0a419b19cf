//! The scrape address: /metrics for Prometheus, /healthz and /readyz for supervisors.
//!
//! What the metrics are is the caller's; this only serves their text. There is no authentication:
//! the default address is loopback, and nothing here names a source address.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::http;

/// Where the text and the state come from. Both block and may run at once.
pub trait Probe: Send + Sync + 'static {
    /// The metrics, in Prometheus' text format.
    fn metrics(&self) -> Result<String>;

    /// Whether everything is attached and running, or what is missing.
    fn ready(&self) -> std::result::Result<(), String>;
}

/// A listening address, not served yet.
#[derive(Debug)]
pub struct MetricsSocket {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsSocket {
    /// Listens. Port 0 takes a free one.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let told = |error: &std::io::Error| {
            let what = match error.kind() {
                ErrorKind::AddrInUse => "another process has this port: stop it or choose another",
                ErrorKind::AddrNotAvailable => "this host does not have that address",
                ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE",
                _ => "choose another address",
            };
            format!(
                "cannot serve metrics on {address} (`metrics` in weir.toml, or --metrics): {what}"
            )
        };
        let listener = TcpListener::bind(address).map_err(|error| {
            let told = told(&error);
            anyhow::Error::new(error).context(told)
        })?;
        listener.set_nonblocking(true).context("cannot prepare the metrics socket")?;
        let address = listener.local_addr().context("cannot read the metrics address")?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` says true or its sender is gone. Must run inside tokio.
    pub async fn serve(self, probe: Arc<dyn Probe>, shutdown: watch::Receiver<bool>) -> Result<()> {
        let told = || format!("cannot serve metrics on {}", self.address);
        let listener = tokio::net::TcpListener::from_std(self.listener).with_context(told)?;
        let router = Router::new()
            .route("/", get(index))
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .fallback(|| async { (StatusCode::NOT_FOUND, "not here: see /\n") })
            .with_state(probe);
        http::serve(listener, http::Limits::USUAL, move |_| router.clone(), shutdown).await;
        Ok(())
    }
}

async fn index() -> Html<&'static str> {
    Html(concat!(
        "<!doctype html><html lang=en><title>weir</title><h1>weir ",
        env!("CARGO_PKG_VERSION"),
        "</h1><ul><li><a href=/metrics>/metrics</a> for Prometheus",
        "<li><a href=/healthz>/healthz</a> the daemon runs",
        "<li><a href=/readyz>/readyz</a> everything is attached</ul></html>\n",
    ))
}

async fn metrics(State(probe): State<Arc<dyn Probe>>) -> Response {
    match tokio::task::spawn_blocking(move || probe.metrics()).await {
        Ok(Ok(text)) => {
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Ok(Err(error)) => failed(&format!("{error:#}")),
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(error: &str) -> Response {
    tracing::error!(error, "a scrape failed");
    (StatusCode::INTERNAL_SERVER_ERROR, format!("the scrape failed: {error}\n")).into_response()
}

async fn ready(State(probe): State<Arc<dyn Probe>>) -> Response {
    let ready = tokio::task::spawn_blocking(move || probe.ready()).await;
    match ready.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(()) => "ready\n".into_response(),
        Err(missing) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {missing}\n")).into_response()
        }
    }
}
