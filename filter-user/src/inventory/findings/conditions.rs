//! Which conditions hold.

use std::sync::Arc;

use filter_common::tables::UNCLAIMED;

use super::Subject;
use crate::detect::finding::Measure;
use crate::detect::{ApiProfile, Detector, Endpoint, Severity};
use crate::inventory::catalog::{Catalog, Record};
use crate::inventory::declared::DeclaredApi;
use crate::inventory::drift;
use crate::inventory::usage::{Tally, Usage};
use crate::policy::Lifecycle;
use crate::sensor::encrypted::TlsVersion;
use crate::sensor::transaction::Credential;

/// A condition holds for so long after it was last seen, seconds.
pub const QUIET: u64 = 7 * 24 * 3_600;
/// Undocumented endpoints of one API that are findings of their own; the drift lists all.
const MAX_ROUTES: usize = 20;
/// Completeness from which on not having seen something says something.
const COMPLETE: f64 = 0.9;
/// Endpoints that a sentence names.
const NAMED: usize = 3;

/// OWASP API Security Top 10, 2023.
const INVENTORY: &str = "API9:2023 Improper Inventory Management";
const AUTHENTICATION: &str = "API2:2023 Broken Authentication";
const MISCONFIGURATION: &str = "API8:2023 Security Misconfiguration";

/// Something that holds now.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What it is about.
    pub subject: Subject,
    /// Stable id of the API, or that of unclaimed traffic.
    pub api: u32,
    /// How much it matters.
    pub severity: Severity,
    /// The numbers.
    pub measure: Measure,
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// What was seen.
    pub catalog: &'a Catalog,
    /// The APIs of the policy.
    pub declared: &'a [DeclaredApi],
    /// Now, seconds since 1970.
    pub now: u64,
    /// How long an operation must be documented, and its API in use, before it is called unused,
    /// seconds.
    pub unused_after: u64,
    /// Share of the telemetry that was not lost lately.
    pub completeness: f64,
}

impl Condition {
    /// One that no longer holds.
    pub(super) fn over(subject: Subject, severity: Severity) -> Self {
        let days = QUIET / 86_400;
        let why = match subject.detector {
            Detector::UndeclaredPort => {
                format!("it is declared now, or nobody used it for {days} days")
            }
            Detector::UndocumentedRoute => {
                format!("it is documented now, or nobody used it for {days} days")
            }
            Detector::UnusedRoute => "every documented operation is used now".to_owned(),
            _ => format!("it was not seen for {days} days, or the policy says otherwise now"),
        };
        let measure = measure(subject.detector, 0.0, QUIET, why);
        Self { subject, api: UNCLAIMED, severity, measure }
    }
}

fn measure(detector: Detector, observed: f64, window: u64, why: String) -> Measure {
    let (unit, owasp) = match detector {
        Detector::UnusedRoute => ("operations", INVENTORY),
        Detector::QueryCredentials | Detector::BasicAuthentication => ("requests", AUTHENTICATION),
        Detector::CleartextCredentials => ("requests", MISCONFIGURATION),
        Detector::OldTls => ("handshakes", MISCONFIGURATION),
        _ => ("requests", INVENTORY),
    };
    Measure {
        unit,
        observed,
        baseline: 0.0,
        threshold: 1.0,
        window_seconds: window,
        weight: 1.0,
        why,
        owasp: Some(owasp),
        // A request is only seen whole when the server took it.
        evidence_forgeable: false,
    }
}

/// The conditions that hold.
pub fn judge(case: &Case<'_>) -> Vec<Condition> {
    let mut held = Vec::new();
    for api in case.declared {
        let Some(record) = case.catalog.get(&api.profile.name) else { continue };
        let about = About { case, profile: &api.profile, record };
        if let Some(spec) = &api.spec {
            about.undocumented(spec, &mut held);
            about.unused(spec, &mut held);
            about.deprecated_operations(spec, &mut held);
        }
        about.lifecycle(api.lifecycle, &mut held);
        about.credentials(&mut held);
        about.old_tls(&mut held);
    }
    // Where nothing is declared, nothing is undeclared: weir observes.
    if !case.declared.is_empty() {
        let unclaimed = ApiProfile::unclaimed();
        for (name, record) in case.catalog.iter() {
            let (Some(port), Some(what)) = (record.seen.port, record.speaks()) else { continue };
            let profile = ApiProfile { name: Arc::clone(name), ..unclaimed.clone() };
            let about = About { case, profile: &profile, record };
            about.undeclared(what, &port.to_string(), &mut held);
            about.credentials(&mut held);
            about.old_tls(&mut held);
        }
    }
    held
}

struct About<'a> {
    case: &'a Case<'a>,
    profile: &'a ApiProfile,
    record: &'a Record,
}

impl About<'_> {
    fn fresh(&self, tally: Tally) -> bool {
        tally.count > 0 && self.case.now.saturating_sub(tally.last) < QUIET
    }

    fn span(&self, since: u64) -> u64 {
        self.case.now.saturating_sub(since)
    }

    fn condition(
        &self,
        detector: Detector,
        endpoint: Option<Endpoint>,
        observed: f64,
        since: u64,
        why: String,
    ) -> Condition {
        let api = Arc::clone(&self.profile.name);
        Condition {
            subject: Subject { detector, api, endpoint },
            api: self.profile.id,
            severity: self.profile.severity(detector),
            measure: measure(detector, observed, self.span(since), why),
        }
    }

    fn undeclared(&self, what: &str, port: &str, held: &mut Vec<Condition>) {
        let endpoints: Vec<_> = self.record.endpoints().collect();
        let seen = &self.record.seen;
        let fresh = endpoints.iter().any(|(_, _, usage)| self.fresh(usage.proven))
            || seen.tls.values().any(|&tally| self.fresh(tally));
        if !fresh {
            return;
        }
        let handshakes: u64 = seen.tls.values().map(|tally| tally.requests()).sum();
        let requests: u64 = endpoints.iter().map(|(_, _, usage)| usage.all.requests()).sum();
        let (number, of) =
            if requests > 0 { (requests, "requests") } else { (handshakes, "handshakes") };
        let why = format!(
            "{what} is served on {port}, which no API of the policy declares: {number} {of} from \
             {} sources in {}",
            seen.sources.count(),
            days(self.span(seen.first)),
        );
        let detector = Detector::UndeclaredPort;
        held.push(self.condition(detector, None, number as f64, seen.first, why));
    }

    fn old_tls(&self, held: &mut Vec<Condition>) {
        let seen = &self.record.seen;
        let all: u64 = seen.tls.values().map(|tally| tally.requests()).sum();
        let old: Vec<_> = seen
            .tls
            .iter()
            .map(|(&version, tally)| (TlsVersion(version), *tally))
            .filter(|(version, tally)| version.is_old() && self.fresh(*tally))
            .collect();
        if old.is_empty() {
            return;
        }
        let names: Vec<String> = old.iter().map(|(version, _)| version.name()).collect();
        let number: u64 = old.iter().map(|(_, tally)| tally.requests()).sum();
        let why = format!(
            "{number} of {all} handshakes agreed on TLS {}, which is not to be used any more (RFC \
             8996), in {}",
            names.join(", "),
            days(self.span(seen.first)),
        );
        held.push(self.condition(Detector::OldTls, None, number as f64, seen.first, why));
    }

    fn undocumented(&self, spec: &crate::inventory::openapi::Spec, held: &mut Vec<Condition>) {
        let all = drift::undocumented(self.record, spec);
        let fresh: Vec<_> = all.iter().filter(|found| self.fresh(found.usage.proven)).collect();
        for found in fresh.iter().take(MAX_ROUTES) {
            let what = if found.path_is_documented { "method" } else { "route" };
            let usage = found.usage;
            let mut why = format!(
                "{} {} is not in the OpenAPI document (undocumented {what}): {} requests from {} \
                 sources in {}",
                found.method,
                found.route,
                usage.all.requests(),
                usage.sources.count(),
                days(self.span(usage.first)),
            );
            if fresh.len() > MAX_ROUTES {
                why.push_str(&format!("; {} endpoints are undocumented in all", fresh.len()));
            }
            let endpoint = Endpoint { method: found.method.into(), route: Arc::clone(found.route) };
            let requests = usage.all.requests() as f64;
            let detector = Detector::UndocumentedRoute;
            held.push(self.condition(detector, Some(endpoint), requests, usage.first, why));
        }
    }

    fn unused(&self, spec: &crate::inventory::openapi::Spec, held: &mut Vec<Condition>) {
        let (first, after) = (self.record.seen.first, self.case.unused_after);
        // An API that nobody asks for at all is another matter, and so is one that is seen in part.
        if first == 0 || self.span(first) < after || self.case.completeness < COMPLETE {
            return;
        }
        let all = drift::unused(self.record, spec);
        let old: Vec<_> =
            all.iter().filter(|unused| self.span(unused.since.max(first)) >= after).collect();
        let Some(since) = old.iter().map(|unused| unused.since.max(first)).max() else { return };
        let named: Vec<String> = old
            .iter()
            .take(NAMED)
            .map(|unused| format!("{} {}", unused.method, unused.route))
            .collect();
        let more = old.len().saturating_sub(NAMED);
        let why = format!(
            "{} of {} documented operations were not asked for in {}: {}{}",
            old.len(),
            spec.operations(),
            days(self.span(since)),
            named.join(", "),
            if more > 0 { format!(" and {more} more") } else { String::new() },
        );
        held.push(self.condition(Detector::UnusedRoute, None, old.len() as f64, since, why));
    }

    fn deprecated_operations(
        &self,
        spec: &crate::inventory::openapi::Spec,
        held: &mut Vec<Condition>,
    ) {
        let mut found = 0;
        for (route, method, usage) in self.record.endpoints() {
            let operation = spec.route(route).and_then(|path| path.methods.get(method));
            let deprecated = operation.is_some_and(|operation| operation.deprecated);
            if !deprecated || !self.fresh(usage.all) || found >= MAX_ROUTES {
                continue;
            }
            found += 1;
            let requests = usage.all.requests();
            let why = format!(
                "{method} {route} is deprecated by the OpenAPI document, and had {requests} \
                 requests from {} sources in {}",
                usage.sources.count(),
                days(self.span(usage.first)),
            );
            let endpoint = Endpoint { method: method.into(), route: Arc::clone(route) };
            let detector = Detector::DeprecatedUse;
            let condition =
                self.condition(detector, Some(endpoint), requests as f64, usage.first, why);
            held.push(condition);
        }
    }

    fn lifecycle(&self, lifecycle: Lifecycle, held: &mut Vec<Condition>) {
        let word = match lifecycle {
            Lifecycle::Deprecated => "deprecated",
            Lifecycle::Retired => "retired",
            Lifecycle::New | Lifecycle::Active => return,
        };
        let seen = &self.record.seen;
        if seen.last == 0 || self.span(seen.last) >= QUIET {
            return;
        }
        let requests: u64 = self.record.endpoints().map(|(_, _, usage)| usage.all.requests()).sum();
        let why = format!(
            "the API is {word}, and had {requests} requests and {} connections from {} sources in {}",
            seen.connections >> 16,
            seen.sources.count(),
            days(self.span(seen.first)),
        );
        let observed = requests.max(seen.connections >> 16) as f64;
        let mut condition =
            self.condition(Detector::DeprecatedUse, None, observed, seen.first, why);
        if lifecycle == Lifecycle::Retired {
            condition.severity = condition.severity.max(Severity::Warning);
        }
        held.push(condition);
    }

    fn credentials(&self, held: &mut Vec<Condition>) {
        let query = Credential::Query as usize;
        let basic = Credential::Basic as usize;
        self.endpoints_with(
            Detector::QueryCredentials,
            |usage| vec![(Credential::Query, usage.credentials[query])],
            "came with secrets in the query, where logs and histories keep them",
            held,
        );
        self.endpoints_with(
            Detector::CleartextCredentials,
            |usage| Credential::ALL.into_iter().zip(usage.clear_credentials).collect(),
            "came with secrets over clear text",
            held,
        );
        self.endpoints_with(
            Detector::BasicAuthentication,
            |usage| vec![(Credential::Basic, usage.credentials[basic])],
            "came with Basic authentication: each carries the password itself",
            held,
        );
    }

    /// One condition for all endpoints of the API that have such tallies.
    fn endpoints_with(
        &self,
        detector: Detector,
        tallies: impl Fn(&Usage) -> Vec<(Credential, Tally)>,
        what: &str,
        held: &mut Vec<Condition>,
    ) {
        let mut found: Vec<(u64, String)> = Vec::new();
        let mut kinds: Vec<&str> = Vec::new();
        let mut first = u64::MAX;
        for (route, method, usage) in self.record.endpoints() {
            let of_kinds = tallies(usage);
            let fresh = of_kinds.iter().filter(|(_, tally)| self.fresh(*tally));
            let most = fresh.clone().map(|(_, tally)| tally.requests().max(1)).max();
            let Some(most) = most else { continue };
            kinds.extend(fresh.map(|(kind, _)| kind.name()));
            found.push((most, format!("{method} {route}")));
            first = first.min(usage.first);
        }
        if found.is_empty() {
            return;
        }
        found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        kinds.sort_unstable();
        kinds.dedup();
        let requests: u64 = found.iter().map(|(count, _)| count).sum();
        let named: Vec<&str> = found.iter().take(NAMED).map(|(_, name)| name.as_str()).collect();
        let more = found.len().saturating_sub(NAMED);
        let why = format!(
            "{requests} requests {what} ({}), at {}{} in {}",
            kinds.join(", "),
            named.join(", "),
            if more > 0 { format!(" and {more} more") } else { String::new() },
            days(self.span(first)),
        );
        held.push(self.condition(detector, None, requests as f64, first, why));
    }
}

/// A span as a sentence has it.
fn days(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
