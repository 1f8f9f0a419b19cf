//! Log records of OpenTelemetry (OTLP 1.x, the JSON encoding of `ExportLogsServiceRequest`).

use serde_json::{Map, Value, json};

use super::Host;
use crate::detect::Severity;
use crate::export::events::Event;

/// Fields of an event that are not attributes of a record, because they are fields of it.
const FIELDS: [&str; 5] = ["schema", "time", "event", "severity", "message"];

/// An event as a record.
pub(super) fn record(event: &Event) -> Option<Value> {
    let Value::Object(fields) = serde_json::to_value(event).ok()? else { return None };
    let (number, text) = severity(event.severity);
    let mut attributes = vec![attribute("event.name", &Value::from(event.kind.name()))];
    // Names that OpenTelemetry has, beside weir's own.
    if let Some(source) = event.source {
        attributes.push(attribute("client.address", &Value::from(source.ip.to_string())));
    }
    if let Some(http) = &event.http {
        attributes.push(attribute("http.request.method", &Value::from(http.method.as_str())));
        attributes.push(attribute("http.route", &Value::from(&*http.route)));
    }
    for (name, value) in fields.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str())) {
        flatten(&format!("weir.{name}"), value, &mut attributes);
    }
    Some(json!({
        "timeUnixNano": event.time.to_string(),
        "observedTimeUnixNano": event.time.to_string(),
        "severityNumber": number,
        "severityText": text,
        "eventName": event.kind.name(),
        "body": { "stringValue": event.message },
        "attributes": attributes,
    }))
}

/// A request with these records.
pub(in crate::export::sinks) fn request(records: &[String], host: &Host) -> String {
    let resource: Vec<Value> = [
        ("service.name", "weir"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("host.name", &host.name),
    ]
    .iter()
    .map(|(name, value)| attribute(name, &Value::from(*value)))
    .chain([attribute("process.pid", &Value::from(host.pid))])
    .collect();
    let scope = json!({ "name": "weir", "version": env!("CARGO_PKG_VERSION") });
    let (resource, records) = (json!({ "attributes": resource }), records.join(","));
    // Records are JSON already.
    format!(
        "{{\"resourceLogs\":[{{\"resource\":{resource},\"scopeLogs\":[{{\"scope\":{scope},\
         \"logRecords\":[{records}]}}]}}]}}"
    )
}

/// How many records a server says it did not take, and why (`partialSuccess`).
pub(in crate::export::sinks) fn rejected(answer: &[u8]) -> Option<(u64, String)> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let partial = answer.get("partialSuccess")?;
    let count = partial.get("rejectedLogRecords")?;
    // 64 bits are a string in this encoding, or a number with lenient servers.
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
    let why = partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default();
    (count > 0).then(|| (count, why.to_owned()))
}

/// Numbers as OpenTelemetry's data model gives them to syslog's severities.
const fn severity(severity: Severity) -> (u32, &'static str) {
    match severity {
        Severity::Info => (9, "INFO"),
        Severity::Notice => (10, "INFO2"),
        Severity::Warning => (13, "WARN"),
        Severity::Critical => (18, "ERROR2"),
    }
}

fn flatten(name: &str, value: &Value, attributes: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, attributes);
            }
        }
        Value::Null => {}
        value => attributes.push(attribute(name, value)),
    }
}

fn attribute(key: &str, value: &Value) -> Value {
    json!({ "key": key, "value": any(value) })
}

/// An `AnyValue`: 64 bits as a string, as the JSON encoding of protobuf wants it.
fn any(value: &Value) -> Value {
    let (name, value) = match value {
        Value::Bool(_) => ("boolValue", value.clone()),
        Value::Number(number) if number.is_f64() => ("doubleValue", value.clone()),
        Value::Number(number) => ("intValue", Value::from(number.to_string())),
        Value::String(_) => ("stringValue", value.clone()),
        Value::Array(values) => {
            let values: Vec<Value> = values.iter().map(any).collect();
            ("arrayValue", json!({ "values": values }))
        }
        other => ("stringValue", Value::from(other.to_string())),
    };
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}
