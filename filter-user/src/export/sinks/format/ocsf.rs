//! Findings as Detection Finding (class 2004) of the Open Cybersecurity Schema Framework, version
//! 1.3.0 (<https://schema.ocsf.io/1.3.0/classes/detection_finding>). Only what that version knows is
//! used; what it has no place for is in `unmapped`. Events that are no findings are left out: the
//! framework's classes for them want facts that weir does not have.

use serde_json::{Map, Value, json};

use crate::detect::{Detector, Severity};
use crate::export::events::{Event, EvidenceField, FindingField, Kind, SourceField};

/// Version of the schema.
pub(super) const VERSION: &str = "1.3.0";
const CLASS: u32 = 2_004;

/// A finding, or a test event; `None` for what is neither.
pub(super) fn finding(event: &Event) -> Option<Value> {
    let Some(finding) = &event.finding else {
        return (event.kind == Kind::SinkTest).then(|| test(event));
    };
    let (activity, name) = match finding.state {
        "open" => (1, "Create"),
        "update" => (2, "Update"),
        _ => (3, "Close"),
    };
    let (status, status_name) = match (activity, &finding.acknowledged) {
        (3, _) => (4, "Resolved"),
        (_, Some(_)) => (2, "In Progress"),
        (_, None) => (1, "New"),
    };
    let mut info = json!({
        "uid": finding.id,
        "title": title(event, finding),
        "desc": finding.why,
        "created_time": finding.opened / 1_000_000,
        "modified_time": event.time / 1_000_000,
        "analytic": { "name": finding.detector, "uid": finding.detector, "type_id": analytic(finding) },
    });
    put(&mut info, "types", finding.owasp.as_ref().map(|entry| json!([entry])));
    let mut whole = base(event, activity, name);
    put(&mut whole, "status_id", Some(json!(status)));
    put(&mut whole, "status", Some(json!(status_name)));
    put(&mut whole, "start_time", Some(json!(finding.opened / 1_000_000)));
    put(&mut whole, "end_time", finding.closed.map(|closed| json!(closed / 1_000_000)));
    put(&mut whole, "finding_info", Some(info));
    let examples = finding.evidence.iter().map(|one| example(event, one));
    let evidences = std::iter::once(evidence(event, finding)).chain(examples).collect();
    put(&mut whole, "evidences", Some(Value::Array(evidences)));
    put(&mut whole, "resources", resource(event).map(|resource| json!([resource])));
    put(&mut whole, "unmapped", unmapped(event));
    Some(whole)
}

/// What every event of the class has.
fn base(event: &Event, activity: u32, name: &str) -> Value {
    let (severity, severity_name) = severity(event.severity);
    let uid = event.finding.as_ref().map_or("test", |finding| &finding.id);
    json!({
        "activity_id": activity,
        "activity_name": name,
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": format!("Detection Finding: {name}"),
        "severity_id": severity,
        "severity": severity_name,
        "time": event.time / 1_000_000,
        "message": event.message,
        "metadata": {
            "version": VERSION,
            "uid": format!("{uid}:{}", event.time),
            "product": {
                "name": "weir",
                "vendor_name": "weir",
                "version": env!("CARGO_PKG_VERSION"),
            },
        },
    })
}

fn test(event: &Event) -> Value {
    let mut whole = base(event, 99, "Test");
    let time = event.time / 1_000_000;
    let info = json!({ "uid": "test", "title": event.message, "created_time": time });
    put(&mut whole, "finding_info", Some(info));
    whole
}

/// Its `severity_id` and the caption that belongs to it.
const fn severity(severity: Severity) -> (u32, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Notice => (2, "Low"),
        Severity::Warning => (3, "Medium"),
        Severity::Critical => (5, "Critical"),
    }
}

/// 1 Rule, 3 Statistical.
fn analytic(finding: &FindingField) -> u32 {
    let known = Detector::ALL.iter().find(|detector| detector.name() == finding.detector);
    let is_rule = known
        .is_some_and(|detector| detector.is_of_inventory() || *detector == Detector::Enforcement);
    if is_rule { 1 } else { 3 }
}

fn title(event: &Event, finding: &FindingField) -> String {
    let what = finding.detector.replace('_', " ");
    match &event.api {
        Some(api) => format!("{what} at {}", api.name),
        None => what,
    }
}

fn evidence(event: &Event, finding: &FindingField) -> Value {
    // Of the numbers the schema knows none: they are the evidence's own data.
    let mut evidence = json!({
        "data": {
            "observed": finding.observed,
            "baseline": finding.baseline,
            "threshold": finding.threshold,
            "unit": finding.unit,
            "window_seconds": finding.window,
            "completeness": finding.completeness,
            "weight": finding.weight,
            "forgeable": finding.evidence_forgeable,
        },
    });
    put(&mut evidence, "src_endpoint", event.source.map(endpoint));
    if let (Some(api), http) = (&event.api, &event.http) {
        let operation = match http {
            Some(http) => format!("{} {}", http.method, http.route),
            None => "any".to_owned(),
        };
        let call = json!({ "operation": operation, "service": { "name": api.name } });
        put(&mut evidence, "api", Some(call));
    }
    evidence
}

/// A request that the finding is about. Of what it took and brought the schema knows nothing: that is the
/// evidence's own data.
fn example(event: &Event, example: &EvidenceField) -> Value {
    let mut data = json!({ "time": example.time / 1_000_000 });
    put(&mut data, "status", example.status.map(Value::from));
    put(&mut data, "latency_seconds", example.latency_seconds.map(Value::from));
    put(&mut data, "response_bytes", example.response_bytes.map(Value::from));
    let mut evidence = json!({ "data": data, "src_endpoint": { "ip": example.source } });
    put(&mut evidence, "dst_endpoint", example.port.map(|port| json!({ "port": port })));
    if let (Some(api), false) = (&event.api, example.route.is_empty()) {
        let operation = format!("{} {}", example.method, example.route);
        let call = json!({ "operation": operation, "service": { "name": api.name } });
        put(&mut evidence, "api", Some(call));
    }
    evidence
}

fn endpoint(source: SourceField) -> Value {
    let mut endpoint = json!({ "ip": source.ip });
    put(&mut endpoint, "location", source.country.map(|country| json!({ "country": country })));
    put(&mut endpoint, "autonomous_system", source.asn.map(|number| json!({ "number": number })));
    endpoint
}

fn resource(event: &Event) -> Option<Value> {
    let api = event.api.as_ref()?;
    let mut resource = json!({ "name": api.name, "uid": api.name, "type": "API" });
    put(&mut resource, "owner", api.owner.as_ref().map(|owner| json!({ "name": owner })));
    put(&mut resource, "criticality", api.criticality.map(Value::from));
    Some(resource)
}

fn unmapped(event: &Event) -> Option<Value> {
    let mut rest = Value::Object(Map::new());
    let responder = event.api.as_ref().and_then(|api| api.responder.as_ref());
    put(&mut rest, "responder", responder.map(|responder| json!(responder)));
    let credential = event.finding.as_ref().and_then(|finding| finding.credential.as_ref());
    put(&mut rest, "credential", credential.map(|hash| json!(hash)));
    let prefix = event.source.and_then(|source| source.prefix);
    put(&mut rest, "source_prefix_length", prefix.map(Value::from));
    let policy = event.policy.as_ref();
    put(&mut rest, "policy", policy.and_then(|policy| serde_json::to_value(policy).ok()));
    rest.as_object().is_some_and(|rest| !rest.is_empty()).then_some(rest)
}

fn put(to: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(object), Some(value)) = (to.as_object_mut(), value) {
        object.insert(key.to_owned(), value);
    }
}
