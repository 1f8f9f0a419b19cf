//! A beginning of an OpenAPI 3.1 document, out of what was seen: paths, methods, parameters and
//! their types, statuses and media types. What cannot be seen in traffic, such as schemas, is left to
//! whoever goes on with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::sensor::transaction::Credential;

use super::catalog::Record;
use super::route::OTHER;
use super::usage::{OTHER_TYPE, Usage};

/// Methods that a path item has a field for.
const METHODS: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];

/// The document of an API with this name and version. Endpoints that never were seen to be there
/// are left out, and so are paths that are only known in part.
pub fn openapi(name: &str, version: Option<&str>, record: &Record) -> Value {
    let mut paths: BTreeMap<String, PathItem> = BTreeMap::new();
    let mut schemes = BTreeSet::new();
    let mut omitted = 0;
    let mut endpoints: Vec<_> = record.endpoints().collect();
    endpoints.sort_by_key(|(route, method, _)| (Arc::clone(route), *method));
    for (route, method, usage) in endpoints {
        if usage.proven.count == 0 {
            continue;
        }
        if **route == *OTHER || route.ends_with("/{rest}") || !METHODS.contains(&method) {
            omitted += 1;
            continue;
        }
        let segments = segments(route);
        // Templates that differ in the names of their parameters only are one path.
        let shape: Vec<&str> =
            segments.iter().map(|s| s.parameter.as_ref().map_or(&*s.text, |_| "{}")).collect();
        let item = paths.entry(shape.join("/")).or_default();
        item.take(&segments);
        item.operations.entry(method).or_default().merge(usage);
        schemes.extend(usage.credential_kinds().filter_map(|(kind, _)| scheme(kind)));
    }
    let mut ids = BTreeSet::new();
    let paths: Map<String, Value> = paths.into_values().map(|item| item.value(&mut ids)).collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "version": version.unwrap_or("0.0.0"),
            "description": "Begun by weir out of observed traffic: what nobody asked for is not in it.",
        },
        "paths": paths,
    });
    if !schemes.is_empty() {
        let all: Map<String, Value> = schemes
            .into_iter()
            .map(|scheme: &str| (scheme.to_owned(), json!({ "type": "http", "scheme": scheme })))
            .collect();
        document["components"] = json!({ "securitySchemes": all });
    }
    if omitted > 0 {
        document["x-weir-omitted-endpoints"] = omitted.into();
    }
    document
}

/// A segment of a route.
struct Segment {
    text: String,
    /// The parameter's name and type, where it is one.
    parameter: Option<(String, &'static str)>,
}

/// The segments of a route, a parameter that is named twice with a number behind its name. One that
/// is text and parameter (`{name}.json`) stays as the document has it.
fn segments(route: &str) -> Vec<Segment> {
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    route
        .trim_matches('/')
        .split('/')
        .map(|text| {
            let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let Some(name) = name.filter(|name| !name.contains(['{', '}'])) else {
                return Segment { text: text.to_owned(), parameter: None };
            };
            let times = names.entry(name.to_owned()).and_modify(|n| *n += 1).or_insert(1);
            let unique = if *times == 1 { name.to_owned() } else { format!("{name}{times}") };
            Segment { text: text.to_owned(), parameter: Some((unique, name_type(name))) }
        })
        .collect()
}

/// What a placeholder of weir's says of the values; a document's own names say nothing.
fn name_type(name: &str) -> &'static str {
    match name {
        "id" => "id",
        "uuid" => "uuid",
        "date" => "date",
        "hex" => "hex",
        _ => "text",
    }
}

fn schema(kind: &str) -> Value {
    match kind {
        "id" => json!({ "type": "integer" }),
        "uuid" => json!({ "type": "string", "format": "uuid" }),
        "hex" => json!({ "type": "string", "pattern": "^(0x)?[0-9A-Fa-f]+$" }),
        _ => json!({ "type": "string" }),
    }
}

#[derive(Default)]
struct PathItem {
    segments: Vec<Segment>,
    operations: BTreeMap<&'static str, Usage>,
}

impl PathItem {
    /// Takes another template of the same shape: where they differ, a parameter is only text.
    fn take(&mut self, segments: &[Segment]) {
        if self.segments.is_empty() {
            let copy =
                |s: &Segment| Segment { text: s.text.clone(), parameter: s.parameter.clone() };
            self.segments = segments.iter().map(copy).collect();
            return;
        }
        for (ours, theirs) in self.segments.iter_mut().zip(segments) {
            if let (Some(ours), Some(theirs)) = (&mut ours.parameter, &theirs.parameter)
                && ours.1 != theirs.1
            {
                ours.1 = "text";
            }
        }
    }

    fn value(self, ids: &mut BTreeSet<String>) -> (String, Value) {
        let mut path = String::new();
        let mut parameters = Vec::new();
        for segment in &self.segments {
            path.push('/');
            match &segment.parameter {
                Some((name, kind)) => {
                    path.push_str(&format!("{{{name}}}"));
                    parameters.push((name.clone(), schema(kind)));
                }
                None => {
                    path.push_str(&segment.text);
                    // Of a template that a document has: its names, and nothing about them.
                    let inside = segment.text.split('{').skip(1);
                    let names = inside.filter_map(|rest| Some(rest.split_once('}')?.0.to_owned()));
                    parameters.extend(names.map(|name| (name, schema("text"))));
                }
            }
        }
        parameters.dedup_by(|a, b| a.0 == b.0);
        let mut item = Map::new();
        if !parameters.is_empty() {
            let all = parameters.into_iter().map(|(name, schema)| {
                json!({ "name": name, "in": "path", "required": true, "schema": schema })
            });
            item.insert("parameters".to_owned(), all.collect());
        }
        for (method, usage) in &self.operations {
            item.insert(method.to_ascii_lowercase(), operation(method, &path, usage, ids));
        }
        (path, Value::Object(item))
    }
}

fn operation(method: &str, path: &str, usage: &Usage, ids: &mut BTreeSet<String>) -> Value {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let stem = words.fold(method.to_ascii_lowercase(), |id, word| format!("{id}_{word}"));
    let mut id = stem.clone();
    let mut times = 1;
    while !ids.insert(id.clone()) {
        times += 1;
        id = format!("{stem}_{times}");
    }
    let mut operation = json!({
        "operationId": id,
        "responses": responses(usage),
        "x-weir": {
            "requests": usage.all.requests(),
            "sources": usage.sources.count(),
            "credentials": usage.credential_kinds().map(|(kind, _)| kind.name()).collect::<Vec<_>>(),
        },
    });
    if !usage.request_types.is_empty() && !matches!(method, "GET" | "HEAD" | "DELETE" | "TRACE") {
        operation["requestBody"] = json!({ "content": content(&usage.request_types) });
    }
    let schemes: Vec<&str> =
        usage.credential_kinds().filter_map(|(kind, _)| scheme(kind)).collect();
    if !schemes.is_empty() {
        let mut any: Vec<Value> = schemes.into_iter().map(|scheme| json!({ scheme: [] })).collect();
        // Without any of them, too: it was asked for so.
        if usage.anonymous.count > 0 {
            any.push(json!({}));
        }
        operation["security"] = any.into();
    }
    operation
}

/// Media types are those of all answers together: they are told for the successful ones.
fn responses(usage: &Usage) -> Value {
    let mut all = Map::new();
    for &status in usage.statuses.keys().filter(|&&status| status != 0) {
        let mut response = json!({ "description": phrase(status) });
        if (200..300).contains(&status)
            && !matches!(status, 204 | 205)
            && !usage.response_types.is_empty()
        {
            response["content"] = content(&usage.response_types);
        }
        all.insert(status.to_string(), response);
    }
    if all.is_empty() {
        all.insert("default".to_owned(), json!({ "description": "No answer was seen." }));
    }
    Value::Object(all)
}

fn content(types: &BTreeMap<Box<str>, u64>) -> Value {
    let known = types.keys().map(|media| if **media == *OTHER_TYPE { OTHER_TYPE } else { media });
    known.map(|media| (media.to_owned(), json!({}))).collect::<Map<_, _>>().into()
}

/// The security scheme that a kind of credential is; of a key in a header or a cookie, its name is
/// not kept, and without it there is none.
fn scheme(kind: Credential) -> Option<&'static str> {
    match kind {
        Credential::Basic => Some("basic"),
        Credential::Bearer => Some("bearer"),
        _ => None,
    }
}

/// What a class of statuses means (RFC 9110, section 15).
fn phrase(status: u16) -> &'static str {
    match status {
        100..=199 => "Informational",
        200..=299 => "Success",
        300..=399 => "Redirection",
        400..=499 => "Client error",
        _ => "Server error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::catalog::Catalog;
    use crate::inventory::openapi;
    use crate::policy::SourceLengths;
    use crate::sensor::transaction::Transaction;

    #[test]
    fn is_a_document_of_what_was_seen() {
        let mut catalog = Catalog::default();
        let lengths = SourceLengths::default();
        catalog.follow([(1, Arc::from("orders"), lengths)], &BTreeSet::new());
        let seen = [
            ("GET", "/orders/{id}", 200),
            ("POST", "/orders/{token}", 201),
            ("GET", "/orders/{id}/items/{id}", 404),
            ("GET", "/orders/{id}/items/{id}", 200),
            ("GET", "/files/{name}.json", 200),
            ("GET", "/", 204),
            ("GET", "/gone", 404),
            ("GET", "/a/{rest}", 200),
            ("CONNECT", "/b", 200),
        ];
        for (method, route, status) in seen {
            let transaction = Transaction {
                method: method.to_owned(),
                status: Some(status),
                request_type: Some("application/json".to_owned()),
                response_type: Some("text/html".to_owned()),
                ..Transaction::example()
            };
            let client = transaction.flow.client;
            catalog.transaction(&transaction, client, &Arc::from(route), 1);
        }
        let record = catalog.get("orders").expect("an API");
        let document = openapi("orders", Some("v2"), record);
        let keys = |value: &Value| -> Vec<String> {
            value.as_object().expect("a mapping").keys().cloned().collect()
        };
        assert_eq!(
            keys(&document["paths"]),
            ["/", "/files/{name}.json", "/orders/{id}", "/orders/{id}/items/{id2}"]
        );
        assert_eq!(document["x-weir-omitted-endpoints"], 2);
        let orders = &document["paths"]["/orders/{id}"];
        assert_eq!(keys(orders), ["get", "parameters", "post"]);
        assert_eq!(orders["parameters"][0]["schema"]["type"], "string", "an id, and a token");
        assert_eq!(keys(&orders["post"]["requestBody"]["content"]), ["application/json"]);
        let items = &document["paths"]["/orders/{id}/items/{id2}"]["get"];
        assert_eq!(keys(&items["responses"]), ["200", "404"]);
        assert_eq!(keys(&items["responses"]["200"]["content"]), ["text/html"]);
        // It is read again without a complaint, and says the same.
        let text = document.to_string();
        let spec = openapi::read(text.as_bytes(), "skeleton", |told| panic!("{told}"));
        assert_eq!(spec.map(|spec| spec.operations()), Some(5));
    }
}
