//! One request to a receiver, on a connection of its own. Redirects are not followed: a receiver is
//! where its settings say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use sha2::Sha256;

use super::dial::Dialer;
use super::secret;
use crate::config::sink::{Http, Proof};
use crate::export::sinks::backoff::retry_after;

/// Bytes of an answer that are read.
const ANSWER: usize = 64 << 10;

/// A server that takes requests.
#[derive(Debug)]
pub(in crate::export::sinks) struct Poster {
    dialer: Dialer,
    http: Http,
    target: String,
}

/// What it said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::export::sinks) struct Reply {
    /// The status.
    pub(in crate::export::sinks) status: u16,
    /// What `Retry-After` asks for.
    pub(in crate::export::sinks) after: Option<Duration>,
    /// The body, cut.
    pub(in crate::export::sinks) body: Vec<u8>,
}

impl Poster {
    /// Requests go to the URL with `more` behind its path.
    pub(in crate::export::sinks) fn new(http: &Http, more: &str) -> Self {
        let mut url = http.url.clone();
        url.path = url.joined(more);
        let target = url.target();
        Self { dialer: Dialer::new(&url, &http.tls), http: http.clone(), target }
    }

    /// Sends a body of JSON. How long that may take is the caller's to bound.
    ///
    /// # Errors
    /// There was no answer, in words without secrets.
    pub(in crate::export::sinks) async fn post(&self, body: String) -> Result<Reply, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let request = self.request(body, now)?;
        let connection = self.dialer.connect().await?;
        let io = TokioIo::new(connection.stream);
        let broke = |error: hyper::Error| {
            format!("{} broke off: {}", self.http.url.authority(), whole(&error))
        };
        let (mut sender, driver) =
            hyper::client::conn::http1::handshake(io).await.map_err(broke)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(broke)?;
            let after = response.headers().get("retry-after");
            let after = after.and_then(|value| retry_after(value.to_str().ok()?, now));
            let status = response.status().as_u16();
            // An answer that is too long or breaks off has been given all the same.
            let body = Limited::new(response.into_body(), ANSWER).collect().await;
            let body = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
            Ok(Reply { status, after, body })
        };
        tokio::pin!(exchange);
        tokio::pin!(driver);
        tokio::select! {
            reply = &mut exchange => reply,
            // The connection is over; the answer may have come before.
            _ = &mut driver => exchange.await,
        }
    }

    fn request(&self, body: String, now: u64) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.target)
            .header("host", self.http.url.authority())
            .header("user-agent", concat!("weir/", env!("CARGO_PKG_VERSION")))
            .header("content-type", "application/json")
            .header("connection", "close");
        for (name, value) in &self.http.headers {
            request = request.header(name, value);
        }
        match &self.http.proof {
            None => {}
            Some(Proof::Bearer(path)) => {
                request =
                    request.header("authorization", format!("Bearer {}", secret::read(path)?));
            }
            Some(Proof::Hmac(path)) => {
                request = request
                    .header("x-weir-timestamp", now)
                    .header("x-weir-signature", signature(&secret::read(path)?, now, &body)?);
            }
        }
        let body = Full::new(Bytes::from(body));
        // The error may quote a header, and so a secret.
        request.body(body).map_err(|_| "the settings make no request: look at headers".to_owned())
    }
}

/// HMAC-SHA256 over the time in seconds, a full stop and the body.
fn signature(secret: &str, now: u64, body: &str) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|_| "the secret cannot be a key".to_owned())?;
    mac.update(format!("{now}.").as_bytes());
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    Ok(format!("sha256={hex}"))
}

/// An error with what is behind it.
fn whole(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_openssl_says() {
        // printf '1717243200.[{"a":1}]' | openssl dgst -sha256 -hmac 's3cret'
        let expected = "sha256=09203facc8460cebb14b4eb1b7a7a31885d309dcf32811dc6ac5d83e3d833ffa";
        assert_eq!(signature("s3cret", 1_717_243_200, "[{\"a\":1}]").as_deref(), Ok(expected));
    }
}
