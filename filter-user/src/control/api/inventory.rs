//! The inventory: APIs, endpoints, and how they differ from what is documented.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// An API: of the policy, or a port that nobody declared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiEntry {
    /// Its name in the policy, or its port as `tcp/9000`.
    pub name: String,
    /// The policy has it.
    pub declared: bool,
    /// Where it is reached.
    pub listen: Vec<String>,
    /// Who decides about it.
    pub owner: Option<String>,
    /// Who changes it.
    pub maintainer: Option<String>,
    /// Who is called.
    pub responder: Option<String>,
    /// `low`, `medium`, `high` or `critical`.
    pub criticality: Option<String>,
    /// `new`, `active`, `deprecated` or `retired`.
    pub lifecycle: Option<String>,
    /// Its version, in its owner's words.
    pub version: Option<String>,
    /// Its environment, in its owner's words.
    pub environment: Option<String>,
    /// Kinds of data it handles, in its owner's words.
    pub data: Vec<String>,
    /// Its OpenAPI document, as the policy names it.
    pub openapi: Option<String>,
    /// When it was seen first; `None`: never.
    pub first_seen: Option<u64>,
    /// When it was seen last.
    pub last_seen: Option<u64>,
    /// Requests, those that sampled ones stand for included.
    pub requests: u64,
    /// Connections that are over, likewise.
    pub connections: u64,
    /// Sources: exact up to 32, estimated to a few percent beyond.
    pub sources: u64,
    /// Routes that were seen.
    pub routes: u64,
    /// Routes with their methods.
    pub endpoints: u64,
    /// What its connections carried: `http`, `opaque` and so on.
    pub applications: Vec<String>,
    /// TLS handshakes by the version that was chosen: `1.3`, `1.2` and so on.
    pub tls: BTreeMap<String, u64>,
    /// What could be seen of its requests: `plaintext`, `tls_metadata`.
    pub visibility: Vec<String>,
    /// Requests by status; `0`: no answer was seen.
    pub statuses: BTreeMap<String, u64>,
    /// Requests by kind of credential; `none`: without any.
    pub credentials: BTreeMap<String, u64>,
    /// Findings that are open.
    pub findings: u64,
}

/// A route with a method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointEntry {
    /// The API's name.
    pub api: String,
    /// The route.
    pub route: String,
    /// The method; `_OTHER` for one that is no method of HTTP.
    pub method: String,
    /// Whether the API's OpenAPI document has it; `None`: there is no document.
    pub documented: Option<bool>,
    /// An answer showed that it is there: not one as of a missing one, a guard or a gateway.
    pub proven: bool,
    /// When it was seen first.
    pub first_seen: u64,
    /// When it was seen last.
    pub last_seen: u64,
    /// Requests.
    pub requests: u64,
    /// Sources, as in [`ApiEntry::sources`].
    pub sources: u64,
    /// Requests by status; `0`: no answer was seen.
    pub statuses: BTreeMap<String, u64>,
    /// Requests by kind of credential; `none`: without any.
    pub credentials: BTreeMap<String, u64>,
    /// Requests by media type of their bodies; `*/*`: others.
    pub request_types: BTreeMap<String, u64>,
    /// Requests by media type of the responses' bodies.
    pub response_types: BTreeMap<String, u64>,
    /// What could be seen of its requests.
    pub visibility: Vec<String>,
    /// It is called by gRPC.
    pub grpc: bool,
}

/// A transaction out of the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecentRequest {
    /// When it began, ms since 1970.
    pub time_ms: u64,
    /// Who sent it.
    pub source: IpAddr,
    /// The method.
    pub method: String,
    /// The route.
    pub route: String,
    /// The status of its answer.
    pub status: Option<u16>,
    /// From the first byte of the request to that of the response, seconds.
    pub latency_seconds: Option<f64>,
    /// Bytes of its body.
    pub request_body_bytes: Option<u64>,
    /// Bytes of the response's body.
    pub response_body_bytes: Option<u64>,
    /// Kinds of credentials it carried.
    pub credentials: Vec<String>,
    /// The source is not forged.
    pub handshake: bool,
    /// Nothing of it was lost.
    pub complete: bool,
    /// How many requests it stands for.
    pub weight: f64,
}

/// The answer to `GET /v1/apis/show`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiDetail {
    /// The API.
    pub api: ApiEntry,
    /// Its endpoints, the most used first.
    pub endpoints: Vec<EndpointEntry>,
    /// The latest requests that the store has, the latest first.
    pub recent: Vec<RecentRequest>,
}

/// An operation that is documented and was not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnusedOperation {
    /// Its route.
    pub route: String,
    /// Its method.
    pub method: String,
    /// Since when it is known to be documented.
    pub documented_since: u64,
    /// Its line in the document.
    pub line: u32,
}

/// What is there that the document lacks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UndocumentedEndpoint {
    /// `route`, or `method` where the document has the path without it.
    pub what: String,
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: EndpointEntry,
}

/// The answer to `GET /v1/apis/drift`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drift {
    /// The API.
    pub api: String,
    /// Its document.
    pub openapi: String,
    /// Operations the document has.
    pub operations: u64,
    /// Since when the API is observed; `None`: nothing was seen of it.
    pub since: Option<u64>,
    /// Share of the telemetry of the last minute that was not lost.
    pub completeness: f64,
    /// What the document lacks, the most used first.
    pub undocumented: Vec<UndocumentedEndpoint>,
    /// What nobody asked for, in the document's order.
    pub unused: Vec<UnusedOperation>,
}

impl Drift {
    /// Whether document and traffic differ.
    pub fn differs(&self) -> bool {
        !self.undocumented.is_empty() || !self.unused.is_empty()
    }
}

/// Which API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiQuery {
    /// Its name, or its port as `tcp/9000`.
    pub name: String,
}

/// Which endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RareQuery {
    /// The least used so many.
    pub limit: usize,
    /// Of this API only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
}

impl Default for RareQuery {
    fn default() -> Self {
        Self { limit: 20, api: None }
    }
}
