//! Syslog over TCP with octet counting (RFC 6587, 3.4.1), or TLS (RFC 5425).
//!
//! Syslog has no acknowledgement. So each batch has a connection of its own: weir says that it is
//! done, and a receiver that has read everything closes. Only then is the batch delivered.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::dial::{Connection, Dialer};

/// Bytes that a receiver may say; it has nothing to say.
const SAID: usize = 4 << 10;

/// Messages with the length of each before it.
pub(in crate::export::sinks) fn frames(messages: &[String]) -> Vec<u8> {
    messages.iter().fold(Vec::new(), |mut bytes, message| {
        bytes.extend_from_slice(format!("{} {message}", message.len()).as_bytes());
        bytes
    })
}

/// Sends messages and waits until the receiver has read them. How long that may take is the caller's
/// to bound.
///
/// # Errors
/// In words.
pub(in crate::export::sinks) async fn send(
    dialer: &Dialer,
    messages: &[String],
) -> Result<Option<String>, String> {
    let Connection { mut stream, tls } = dialer.connect().await?;
    stream
        .write_all(&frames(messages))
        .await
        .map_err(|error| format!("the receiver does not read on: {error}"))?;
    stream.shutdown().await.map_err(|error| format!("the receiver broke off: {error}"))?;
    let mut said = Vec::new();
    let mut rest = (&mut stream).take(SAID as u64);
    match rest.read_to_end(&mut said).await {
        Ok(_) => Ok(tls),
        // It should say close_notify (RFC 5425, 4.4), but rsyslog does not. So whoever can end the
        // TCP connection can have a batch believed delivered; a reset is another error.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && tls.is_some() => Ok(tls),
        Err(error) => Err(format!("the receiver broke off: {error}")),
    }
}
