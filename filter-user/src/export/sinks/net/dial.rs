//! TCP and TLS to a receiver. Its certificate is checked against the system's, or those of a file.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::secret;
use crate::config::sink::{Tls, Url};

/// What both kinds of connections are.
pub(in crate::export::sinks) trait Stream:
    AsyncRead + AsyncWrite + Send + Unpin
{
}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection, and what there is to say about it.
pub(in crate::export::sinks) struct Connection {
    pub(in crate::export::sinks) stream: Box<dyn Stream>,
    /// `TLS 1.3`, or nothing.
    pub(in crate::export::sinks) tls: Option<String>,
}

/// Connects to one receiver.
#[derive(Debug)]
pub(in crate::export::sinks) struct Dialer {
    url: Url,
    files: Tls,
    /// Kept from one connection to the next, until one fails.
    tls: Mutex<Option<Arc<ClientConfig>>>,
}

impl Dialer {
    pub(in crate::export::sinks) fn new(url: &Url, files: &Tls) -> Self {
        Self { url: url.clone(), files: files.clone(), tls: Mutex::new(None) }
    }

    /// Connects. How long that may take is the caller's to bound.
    ///
    /// # Errors
    /// In words.
    pub(in crate::export::sinks) async fn connect(&self) -> Result<Connection, String> {
        let Url { host, port, .. } = &self.url;
        let stream = TcpStream::connect((host.as_str(), *port))
            .await
            .map_err(|error| format!("cannot connect to {}: {error}", self.url.authority()))?;
        // Small writes are all there is.
        let _slower = stream.set_nodelay(true);
        if !self.url.is_tls() {
            return Ok(Connection { stream: Box::new(stream), tls: None });
        }
        let config = self.config().await?;
        let name = ServerName::try_from(host.clone())
            .map_err(|_| format!("{host} is no name that a certificate can have"))?;
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => {
                let version = stream.get_ref().1.protocol_version();
                let version = version.and_then(|version| version.as_str()).unwrap_or("TLS");
                let tls = Some(version.replace("TLSv1_", "TLS 1."));
                Ok(Connection { stream: Box::new(stream), tls })
            }
            Err(error) => {
                // The file of certificates may be another by the next time.
                *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Err(format!("no TLS with {}: {error}", self.url.authority()))
            }
        }
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let kept = self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(config) = kept {
            return Ok(config);
        }
        // Reading all certificates of a system takes a while: events go into the spool meanwhile.
        let files = self.files.clone();
        let built = tokio::task::spawn_blocking(move || build(&files)).await;
        let config = Arc::new(built.map_err(|error| format!("TLS cannot be set up: {error}"))??);
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&config));
        Ok(config)
    }
}

fn build(files: &Tls) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots(files.ca.as_deref())?);
    match &files.identity {
        None => Ok(config.with_no_client_auth()),
        Some((cert, key)) => config
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|error| format!("{} and its key: {error}", cert.display())),
    }
}

/// The certificates that are trusted.
fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                let bad = |error| format!("{}: {error}", path.display());
                roots.add(certificate).map_err(bad)?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            // One that is not understood is none; the others still are.
            let (_good, _bad) = roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err("this system has no certificates: install ca-certificates, or name \
                            a file in `ca`"
                    .to_owned());
            }
        }
    }
    Ok(roots)
}

/// The certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let bytes = crate::text::read_regular(path, 1 << 20)
        .map_err(|error| format!("cannot read {shown}: {error}"))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(format!("{shown} has no certificate (PEM)"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

/// The key of a file that others may not read.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = secret::bytes(path)?;
    // The error says nothing about what is in the file.
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| format!("{} has no private key (PEM)", path.display()))
}

/// Tries a connection, for `weir doctor`.
///
/// # Errors
/// In words.
pub(in crate::export::sinks) fn probe(
    url: &Url,
    files: &Tls,
    patience: Duration,
) -> Result<String, String> {
    let dialer = Dialer::new(url, files);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start a runtime: {error}"))?;
    let connected =
        runtime.block_on(async { tokio::time::timeout(patience, dialer.connect()).await });
    // A look-up of a name goes on by itself: it is not waited for.
    runtime.shutdown_background();
    match connected {
        Ok(Ok(Connection { tls, .. })) => Ok(tls.unwrap_or_else(|| "without TLS".to_owned())),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(format!("{} does not answer within {patience:?}", url.authority())),
    }
}
