//! What is told of TLS and QUIC.

use std::borrow::Cow;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Ends, Row, seconds, stamp};
use crate::sensor::encrypted::{Cipher, Handshake, QuicVersion, TlsVersion, Turn};
use crate::sensor::transaction::Visibility;

/// The `tls` or `quic` object.
pub(super) fn handshake(told: &Handshake) -> Value {
    let mut value = json!({
        "ts": stamp(told.time),
        "flow": Ends::from(&told.flow),
        "sni": told.sni,
        "alpn": told.alpn,
        "cipher": told.cipher.map(Cipher::name),
        "ja4": told.ja4,
        "retried": told.retried,
        "visibility": Visibility::TlsMetadata.name(),
        "complete": told.complete,
    });
    let more = match told.quic {
        Some(quic) => json!({
            "type": "quic",
            "version": quic.name(),
            "tls_version": told.best_version().map(TlsVersion::name),
        }),
        None => json!({
            "type": "tls",
            "version": told.best_version().map(TlsVersion::name),
            "version_offered": told.offered.map(TlsVersion::name),
            "alpn_selected": told.alpn_selected,
            "certificate_not_after": told.not_after.and_then(date),
            "handshake_seconds": told.duration.map(seconds),
        }),
    };
    if let Some(client) = told.announced {
        value["announced"] = json!(client);
    }
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

/// Seconds since 1970 as a date and time, UTC.
fn date(seconds: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}

/// The `turn` object.
pub(super) fn turn(turn: &Turn) -> Value {
    json!({
        "type": "turn",
        "ts": stamp(turn.time),
        "flow": Ends::from(&turn.flow),
        "request_bytes": turn.request_bytes,
        "response_bytes": turn.response_bytes,
        "latency_seconds": turn.latency.map(seconds),
        "visibility": Visibility::TlsMetadata.name(),
        "complete": turn.complete,
    })
}

/// The row of the table.
pub(super) fn row(told: &Handshake) -> Row<'_> {
    let sni = told.sni.as_deref().unwrap_or("-");
    let target = match &told.ja4 {
        Some(ja4) => Cow::Owned(format!("{sni} {ja4}")),
        None => Cow::Borrowed(sni),
    };
    Row {
        time: told.time,
        flow: &told.flow,
        method: match (told.quic, told.best_version()) {
            (Some(QuicVersion(_)), _) => "QUIC",
            (None, Some(TlsVersion::V1_3)) => "TLS1.3",
            (None, Some(TlsVersion::V1_2)) => "TLS1.2",
            (None, Some(version)) if version.is_old() => "TLS<1.2",
            (None, _) => "TLS",
        },
        target,
        status: None,
        latency: told.duration,
        request_bytes: None,
        response_bytes: None,
    }
}
