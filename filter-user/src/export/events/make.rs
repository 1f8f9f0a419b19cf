//! Events out of what other parts of weir say.

use super::event::{
    AcknowledgedField, ActionField, ApiField, Event, EvidenceField, FindingField, HttpField, Kind,
    SourceField, TrafficField,
};
use super::sources::Summary;
use crate::control::api::{Acknowledged, EvidenceEntry, FindingEntry};
use crate::detect::{Detector, Finding, Severity, State};
use crate::respond::{Action, Outcome, Refusal, escalation_reason};

impl EvidenceField {
    fn of(entry: &EvidenceEntry) -> Self {
        Self {
            time: entry.time_ms.saturating_mul(1_000_000),
            source: entry.source.clone(),
            method: entry.method.clone(),
            route: entry.route.clone(),
            status: entry.status,
            latency_seconds: entry.latency_seconds,
            response_bytes: entry.response_bytes,
            port: entry.port,
        }
    }
}

impl Event {
    /// A report of a finding. `epoch` is what to add to the finding's clock to get ns since 1970.
    pub fn finding(finding: &Finding, api: ApiField, epoch: i128) -> Self {
        let wall = |time: u64| u64::try_from(i128::from(time) + epoch).unwrap_or_default();
        let (kind, time, severity) = match finding.state {
            State::Open => (Kind::FindingOpened, finding.opened, finding.severity),
            State::Update => (Kind::FindingUpdated, finding.updated, finding.severity),
            State::Closed => (Kind::FindingClosed, finding.updated, Severity::Info),
        };
        let measure = &finding.measure;
        Self {
            severity,
            api: Some(api),
            source: finding.source.map(SourceField::from),
            http: finding.endpoint.as_ref().map(|endpoint| HttpField {
                method: endpoint.method.to_string(),
                route: endpoint.route.clone(),
                status: None,
            }),
            finding: Some(FindingField {
                id: finding.id.clone(),
                state: finding.state.name(),
                detector: finding.detector.name(),
                observed: measure.observed,
                baseline: measure.baseline,
                threshold: measure.threshold,
                unit: measure.unit.into(),
                credential: finding.credential.map(|hash| format!("{hash:016x}")),
                window: measure.window_seconds,
                completeness: finding.completeness,
                weight: measure.weight,
                why: measure.why.clone(),
                owasp: measure.owasp.map(Into::into),
                evidence_forgeable: measure.evidence_forgeable,
                opened: wall(finding.opened),
                closed: finding.closed.map(wall),
                group: String::new(),
                acknowledged: None,
                muted: false,
                evidence: finding
                    .examples
                    .iter()
                    .map(|example| EvidenceField::of(&EvidenceEntry::of(example, epoch)))
                    .collect(),
            }),
            ..Self::new(kind, wall(time), measure.why.clone())
        }
    }

    /// The same with what the daemon knows of the finding: what operators said, and what it belongs to.
    #[must_use]
    pub fn with_said(mut self, entry: &FindingEntry) -> Self {
        if let Some(finding) = &mut self.finding {
            finding.acknowledged = entry.acknowledged.as_ref().map(AcknowledgedField::of);
            finding.muted = entry.muted;
            finding.group.clone_from(&entry.group);
        }
        self
    }

    /// The end of a finding that ended with the daemon before. `None`: it is not over, or is no
    /// finding of a detector that is known.
    pub fn ended(entry: &FindingEntry, api: Option<ApiField>) -> Option<Self> {
        let closed = entry.closed?.saturating_mul(1_000_000_000);
        let event = Self::of_entry(Kind::FindingClosed, entry, api, closed)?;
        Some(Self { severity: Severity::Info, ..event })
    }

    /// A finding as it is remembered, of its own severity. `time` is ns since 1970. `None`: its
    /// detector is not known.
    pub fn of_entry(
        kind: Kind,
        entry: &FindingEntry,
        api: Option<ApiField>,
        time: u64,
    ) -> Option<Self> {
        let nanoseconds = |seconds: u64| seconds.saturating_mul(1_000_000_000);
        let detector = Detector::ALL.into_iter().find(|known| known.name() == entry.detector)?;
        let severity = Severity::ALL.into_iter().find(|known| known.name() == entry.severity);
        let state = if entry.closed.is_some() { State::Closed } else { State::Update };
        let source = entry.source.as_deref().and_then(|source| {
            let (address, length) = match source.split_once('/') {
                Some((address, length)) => (address, Some(length.parse().ok()?)),
                None => (source, None),
            };
            Some(SourceField::new(address.parse().ok()?, length))
        });
        let http = entry.method.clone().zip(entry.route.as_deref());
        Some(Self {
            severity: severity.unwrap_or_else(|| kind.severity()),
            api,
            source,
            http: http.map(|(method, route)| HttpField {
                method,
                route: route.into(),
                status: None,
            }),
            finding: Some(FindingField {
                id: entry.id.as_str().into(),
                state: state.name(),
                detector: detector.name(),
                observed: entry.observed,
                baseline: entry.baseline,
                threshold: entry.threshold,
                unit: entry.unit.clone().into(),
                credential: None,
                window: entry.window_seconds,
                completeness: entry.completeness,
                weight: entry.weight,
                why: entry.why.clone(),
                owasp: entry.owasp.clone().map(Into::into),
                evidence_forgeable: entry.evidence_forgeable,
                opened: nanoseconds(entry.opened),
                closed: entry.closed.map(nanoseconds),
                acknowledged: entry.acknowledged.as_ref().map(AcknowledgedField::of),
                muted: entry.muted,
                group: entry.group.clone(),
                evidence: entry.evidence.iter().map(EvidenceField::of).collect(),
            }),
            ..Self::new(kind, time, entry.why.clone())
        })
    }

    /// What became of the answer to a finding. `time` is ns since 1970.
    pub fn answer(outcome: &Outcome, finding: &Finding, api: ApiField, time: u64) -> Self {
        let of = |action: &Action, outcome| ActionField {
            kind: action.name(),
            outcome,
            ttl_seconds: Some(action.ttl().as_secs_f64()),
            by: Some("detector"),
            reason: format!("finding {}: {}", finding.id, finding.measure.why),
            ..ActionField::default()
        };
        let (kind, action, message) = match outcome {
            Outcome::Done(action) => {
                let message = format!("{} for finding {}", action.name(), finding.id);
                (Kind::ActionTaken, of(action, "done"), message)
            }
            Outcome::Refused(action, refusal) => {
                let field = ActionField { refusal: Some(refusal.name()), ..of(action, "refused") };
                let message = format!("no {} for finding {}: {refusal}", action.name(), finding.id);
                let kind = match refusal {
                    Refusal::BehindProxy => Kind::HandOff,
                    _ => Kind::ActionRefused,
                };
                (kind, field, message)
            }
            Outcome::DryRun(action) => {
                let message = format!("dry run: {} for finding {}", action.name(), finding.id);
                (Kind::ActionDryRun, of(action, "dry_run"), message)
            }
            Outcome::Held(action) => {
                let message =
                    format!("{} for finding {} waits to be approved", action.name(), finding.id);
                (Kind::ActionHeld, of(action, "held"), message)
            }
            Outcome::Impossible(refusal) => {
                let field = ActionField {
                    kind: "ban",
                    outcome: "refused",
                    refusal: Some(refusal.name()),
                    by: Some("detector"),
                    ..ActionField::default()
                };
                (
                    Kind::ActionRefused,
                    field,
                    format!("no ban for finding {}: {refusal}", finding.id),
                )
            }
            Outcome::Failed(action, error) => {
                let field = ActionField { reason: error.clone(), ..of(action, "failed") };
                let message = format!("{} for finding {}: {error}", action.name(), finding.id);
                (Kind::ActionRefused, field, message)
            }
        };
        Self {
            api: Some(api),
            source: finding.source.map(SourceField::from),
            action: Some(action),
            ..Self::new(kind, time, message)
        }
    }

    /// What became of banning a network because its sources are. `time` is ns since 1970. `None` for
    /// an answer to a finding.
    pub fn escalation(outcome: &Outcome, api: ApiField, time: u64) -> Option<Self> {
        let action = outcome.action()?;
        let Action::Escalate { network, sources, ttl, .. } = action else { return None };
        let is = format!("{network} is banned at {}: {sources} of its sources are", api.name);
        let not = format!("{network} is not banned at {}, as {sources} of its sources", api.name);
        let (kind, outcome, refusal, message) = match outcome {
            Outcome::Refused(_, refusal) => {
                let why = match refusal {
                    Refusal::Trusted => "a source in it is trusted, but not everywhere".to_owned(),
                    Refusal::Proxy => "a proxy of the API is in it".to_owned(),
                    other => other.to_string(),
                };
                (Kind::ActionRefused, "refused", Some(refusal.name()), format!("{not} are: {why}"))
            }
            Outcome::Failed(_, error) => {
                (Kind::ActionRefused, "failed", None, format!("{not} are: {error}"))
            }
            Outcome::DryRun(_) => {
                let message = format!("dry run: {not} are");
                (Kind::ActionDryRun, "dry_run", None, message)
            }
            Outcome::Held(_) => {
                let message = format!("{not} are: it waits to be approved");
                (Kind::ActionHeld, "held", None, message)
            }
            _ => (Kind::ActionTaken, "done", None, is),
        };
        let action = ActionField {
            kind: action.name(),
            outcome,
            ttl_seconds: Some(ttl.as_secs_f64()),
            refusal,
            sources: Some(*sources),
            by: Some("detector"),
            reason: escalation_reason(*sources),
            ..ActionField::default()
        };
        Some(Self {
            api: Some(api),
            source: Some(SourceField::from(*network)),
            action: Some(action),
            ..Self::new(kind, time, message)
        })
    }

    /// A source, or several, that were refused or limited. `time` is ns since 1970.
    pub fn refused(summary: &Summary, api: ApiField, time: u64) -> Self {
        let verdict = if summary.would { "would_drop" } else { "drop" };
        let who = match summary.source {
            Some(source) => source.to_string(),
            None => format!("{} more sources", summary.sources),
        };
        let message = format!("{who} at {}: {}", api.name, summary.reason.describe().trim());
        Self {
            api: Some(api),
            source: summary.source.map(|ip| SourceField::new(ip, None)),
            traffic: Some(TrafficField {
                verdict,
                reason: summary.reason.name(),
                packets: summary.packets,
                bytes: summary.bytes,
                sources: summary.sources,
                window: summary.window,
            }),
            ..Self::new(summary.kind, time, message)
        }
    }
}

impl ApiField {
    /// What the policy says of an API.
    pub fn of(api: &crate::policy::Api) -> Self {
        let about = &api.about;
        Self {
            name: api.name.as_str().into(),
            owner: about.owner.as_deref().map(Into::into),
            responder: about.responder.as_deref().map(Into::into),
            criticality: Some(crate::export::criticality(about.criticality)),
        }
    }

    /// An API of which nothing is known but its name.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// What a policy says of the API of this name, if it has one.
    pub fn find(policy: &crate::policy::Policy, name: &str) -> Self {
        policy.api(name).map_or_else(|| Self::named(name), Self::of)
    }

    /// Traffic that no API claims.
    pub fn unclaimed() -> Self {
        Self::named("__unclaimed__")
    }
}

impl AcknowledgedField {
    fn of(acknowledged: &Acknowledged) -> Self {
        let Acknowledged { time, by, note } = acknowledged;
        Self {
            time: time.saturating_mul(1_000_000_000),
            uid: by.login_uid.unwrap_or(by.uid),
            note: note.clone(),
        }
    }
}

impl HttpField {
    /// A transaction on its route; its target, which may hold secrets, is left out.
    pub fn of(
        transaction: &crate::sensor::transaction::Transaction,
        route: std::sync::Arc<str>,
    ) -> Self {
        Self { method: transaction.method.clone(), route, status: transaction.status }
    }
}
