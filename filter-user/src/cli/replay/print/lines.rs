//! Transactions and flows as lines of JSON.

use serde_json::{Value, json};

use super::{Ends, seconds, stamp};
use crate::sensor::FlowSummary;
use crate::sensor::transaction::{Credential, Transaction};

/// What is not known is null.
pub(super) fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

pub(super) fn http(transaction: &Transaction) -> Value {
    let mut line = json!({
        "type": "http",
        "ts": stamp(transaction.time),
        "flow": Ends::from(&transaction.flow),
        "protocol": transaction.version,
        "method": known(&transaction.method),
        "target": known(&transaction.target),
        "host": transaction.host,
        "user_agent": transaction.user_agent,
        "status": transaction.status,
        "request_body_bytes": transaction.request_body_bytes,
        "response_body_bytes": transaction.response_body_bytes,
        "latency_seconds": transaction.latency.map(seconds),
        "visibility": transaction.visibility.name(),
        "complete": transaction.complete,
    });
    if transaction.credentials.any() {
        let kinds = transaction.credentials.kinds().map(Credential::name);
        line["credentials"] = kinds.collect();
    }
    if let Some(client) = transaction.announced {
        line["announced"] = json!(client);
    }
    if !transaction.forwarded.is_empty() {
        line["forwarded"] = json!(transaction.forwarded);
    }
    if let Some(grpc) = &transaction.grpc {
        line["grpc"] = json!({
            "service": known(&grpc.service),
            "method": known(&grpc.method),
            "status": grpc.status,
        });
    }
    line
}

pub(super) fn flow_line(flow: &FlowSummary) -> Value {
    let [packets_in, packets_out] = flow.packets;
    let [bytes_in, bytes_out] = flow.bytes;
    let pair = |[client, server]: [u64; 2]| json!({ "client": client, "server": server });
    let tcp = flow.tcp.map(|tcp| {
        json!({
            "opening": tcp.opening.name(),
            "handshake_seconds": tcp.handshake.map(seconds),
            "retransmissions": pair(tcp.retransmissions),
            "resets": pair(tcp.resets),
            "zero_windows": pair(tcp.zero_windows),
            "unfinished_head": tcp.unfinished_head,
        })
    });
    json!({
        "type": "flow",
        "ts": stamp(flow.start),
        "flow": Ends::from(&flow.flow),
        "transport": if flow.protocol == 6 { "tcp" } else { "udp" },
        "packets": { "to_server": packets_in, "to_client": packets_out },
        "bytes": { "to_server": bytes_in, "to_client": bytes_out },
        "duration_seconds": seconds(flow.end - flow.start),
        "handshake": flow.handshake,
        "closed": flow.closed.name(),
        "application": flow.application.name(),
        "transactions": flow.transactions,
        "tcp": tcp,
    })
}
