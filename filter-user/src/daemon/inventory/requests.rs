//! A few of the requests that a finding of the inventory is about: the latest of those that are kept
//! anyway (`store.transactions`), in memory and in the store, and the last handshakes of an old TLS, of
//! which nothing else is kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::detect::{Detector, Example, Finding, MOST_EXAMPLES, State};
use crate::inventory::samples::Samples;
use crate::sensor::encrypted::{Handshake, TlsVersion};
use crate::sensor::transaction::Credential;
use crate::store::{self, Exchange};

use super::{Core, lock};

/// Transactions of an API in the store that are looked through.
const DEPTH: usize = 2_000;
/// APIs whose handshakes are remembered.
const APIS: usize = 1_024;

/// The last handshakes of an old TLS, by API.
#[derive(Debug, Default)]
pub(super) struct Requests {
    old: HashMap<Arc<str>, VecDeque<Example>>,
}

impl Requests {
    /// Takes a handshake at an API into account; `time` in ns since 1970.
    pub(super) fn handshake(&mut self, api: &Arc<str>, handshake: &Handshake, time: u64) {
        if !handshake.version.is_some_and(TlsVersion::is_old) {
            return;
        }
        if !self.old.contains_key(api) && self.old.len() >= APIS {
            return;
        }
        let last = self.old.entry(Arc::clone(api)).or_default();
        if last.len() >= MOST_EXAMPLES {
            last.pop_front();
        }
        last.push_back(Example {
            port: Some(handshake.flow.server_port),
            ..Example::bare(time, handshake.flow.client)
        });
    }

    /// What of a finding's is in memory.
    pub(super) fn waiting(&self, finding: &Finding, samples: &Samples) -> Vec<Example> {
        if finding.state == State::Closed {
            return Vec::new();
        }
        if finding.detector == Detector::OldTls {
            return self.old.get(&finding.api_name).into_iter().flatten().cloned().collect();
        }
        let kept = samples.of(&finding.api_name).filter(|one| is_about(finding, one));
        kept.map(example).collect()
    }
}

impl Core {
    /// The latest of a finding's requests: of those that wait to be written, and of those that are.
    pub(super) fn requests_of(&self, finding: &Finding, waiting: Vec<Example>) -> Arc<[Example]> {
        let mut found = waiting;
        if is_of_requests(finding.detector)
            && finding.state != State::Closed
            && found.len() < MOST_EXAMPLES
        {
            let stored = lock(&self.book).exchanges(&finding.api_name, DEPTH);
            let about = stored.iter().filter(|one| is_about(finding, one));
            found.extend(about.take(MOST_EXAMPLES).map(example));
        }
        found.sort_by_key(|example| example.time);
        found.drain(..found.len().saturating_sub(MOST_EXAMPLES));
        found.into()
    }
}

/// Whether single requests show what a detector finds.
fn is_of_requests(detector: Detector) -> bool {
    matches!(
        detector,
        Detector::UndeclaredPort
            | Detector::UndocumentedRoute
            | Detector::DeprecatedUse
            | Detector::QueryCredentials
            | Detector::CleartextCredentials
            | Detector::BasicAuthentication
    )
}

/// Whether a request is one that the finding is about.
fn is_about(finding: &Finding, exchange: &Exchange) -> bool {
    let carries = |kind: Credential| exchange.facts & 1 << kind as u16 != 0;
    let endpoint = finding
        .endpoint
        .as_ref()
        .is_none_or(|name| *name.method == *exchange.method && name.route == exchange.route);
    let fits = match finding.detector {
        Detector::QueryCredentials => carries(Credential::Query),
        Detector::BasicAuthentication => carries(Credential::Basic),
        Detector::CleartextCredentials => {
            exchange.facts & store::ENCRYPTED == 0 && Credential::ALL.into_iter().any(carries)
        }
        other => is_of_requests(other),
    };
    endpoint && fits
}

fn example(exchange: &Exchange) -> Example {
    Example {
        method: exchange.method.into(),
        route: Arc::clone(&exchange.route),
        status: exchange.status,
        latency: exchange.latency.map(|us| us.saturating_mul(1_000)),
        bytes: exchange.response_bytes,
        ..Example::bare(exchange.time.saturating_mul(1_000_000), exchange.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::finding::Measure;
    use crate::detect::{Endpoint, Severity};

    fn finding(detector: Detector, route: Option<&str>) -> Finding {
        Finding {
            id: "a".into(),
            state: State::Open,
            detector,
            severity: Severity::Notice,
            api: 1,
            api_name: "orders".into(),
            source: None,
            credential: None,
            endpoint: route.map(|route| Endpoint { method: "GET".into(), route: Arc::from(route) }),
            measure: Measure {
                unit: "requests",
                observed: 1.0,
                baseline: 0.0,
                threshold: 1.0,
                window_seconds: 60,
                weight: 1.0,
                why: String::new(),
                owasp: None,
                evidence_forgeable: false,
            },
            examples: Arc::default(),
            completeness: 1.0,
            opened: 0,
            updated: 0,
            closed: None,
        }
    }

    #[test]
    fn requests_are_of_the_finding() {
        let mut samples = Samples::new(7);
        let api: Arc<str> = "orders".into();
        let of = |kind: Credential| 1 << kind as u16;
        // Time, route, facts.
        for (time, route, facts) in [
            (1, "/a", 0),
            (2, "/b", of(Credential::Basic)),
            (3, "/a", of(Credential::Query) | store::ENCRYPTED),
            (4, "/a", of(Credential::Basic) | store::ENCRYPTED),
        ] {
            samples.add(&api, || Exchange {
                time,
                api: Arc::clone(&api),
                route: route.into(),
                method: "GET",
                source: [192, 0, 2, 1].into(),
                status: Some(200),
                latency: Some(5),
                request_bytes: None,
                response_bytes: Some(9),
                facts,
                weight: 1 << 16,
            });
        }
        let requests = Requests::default();
        for (detector, route, expected) in [
            (Detector::UndocumentedRoute, Some("/a"), &[1, 3, 4][..]),
            (Detector::DeprecatedUse, Some("/b"), &[2]),
            (Detector::DeprecatedUse, None, &[1, 2, 3, 4]),
            (Detector::UndeclaredPort, None, &[1, 2, 3, 4]),
            (Detector::QueryCredentials, None, &[3]),
            (Detector::BasicAuthentication, None, &[2, 4]),
            (Detector::CleartextCredentials, None, &[2]),
            (Detector::UnusedRoute, None, &[]),
            (Detector::OldTls, None, &[]),
        ] {
            let found = requests.waiting(&finding(detector, route), &samples);
            let times: Vec<u64> = found.iter().map(|one| one.time / 1_000_000).collect();
            assert_eq!(times, expected, "{detector:?} {route:?}");
            let whole = |one: &Example| {
                (one.status, one.latency, one.bytes) == (Some(200), Some(5_000), Some(9))
            };
            assert!(found.iter().all(whole), "{found:?}");
        }
    }
}
