//! Findings as alerts of Alertmanager (API v2). An alert is what its labels are: they stay the same
//! from the finding's beginning to its end, whatever becomes of the policy meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::stamp;
use crate::control::api::FindingEntry;
use crate::export::events::{ApiField, Event};

/// Label of a finding that an operator has seen; the only one that comes and goes.
const ACKNOWLEDGED: &str = "acknowledged";

/// Labels, or annotations.
type Pairs = BTreeMap<String, String>;

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::export::sinks) struct Alert {
    /// Which one it is.
    pub(super) labels: Pairs,
    /// What it says.
    pub(super) annotations: Pairs,
    /// Since when, ns since 1970.
    pub(super) since: u64,
}

/// What an event says about an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::export::sinks) struct Report {
    /// Of which finding.
    pub(in crate::export::sinks) id: String,
    /// When it ended, ns since 1970; `None`: it goes on.
    pub(in crate::export::sinks) closed: Option<u64>,
    /// When this was said, ns since 1970.
    #[serde(default)]
    pub(super) time: u64,
    /// The alert; of one that ended only as far as its end says.
    pub(super) alert: Alert,
}

impl Report {
    /// `None` for events that are no findings.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let finding = event.finding.as_ref()?;
        let source = event.source.map(|source| match source.prefix {
            Some(length) => format!("{}/{length}", source.ip),
            None => source.ip.to_string(),
        });
        let alert = Alert::new(&About {
            detector: finding.detector,
            severity: event.severity.name(),
            api: event.api.as_ref(),
            source: source.as_deref(),
            credential: finding.credential.as_deref(),
            endpoint: event.http.as_ref().map(|http| (http.method.as_str(), &*http.route)),
            id: &finding.id,
            group: &finding.group,
            why: &finding.why,
            numbers: [finding.observed, finding.baseline, finding.threshold],
            unit: &finding.unit,
            window: finding.window,
            owasp: finding.owasp.as_deref(),
            since: finding.opened,
            acknowledged: finding.acknowledged.as_ref().map(|said| (said.uid, said.note.as_str())),
        });
        // One that is muted is over for whom it is muted.
        let closed = finding.closed.or(finding.muted.then_some(event.time));
        Some(Self { id: finding.id.to_string(), closed, time: event.time, alert })
    }

    /// A finding that is open, as the daemon remembers it; `api` as the policy has it now.
    pub(in crate::export::sinks) fn of_entry(entry: &FindingEntry, api: Option<&ApiField>) -> Self {
        let alert = Alert::new(&About {
            detector: &entry.detector,
            severity: &entry.severity,
            api,
            source: entry.source.as_deref(),
            credential: None,
            endpoint: entry.method.as_deref().zip(entry.route.as_deref()),
            id: &entry.id,
            group: &entry.group,
            why: &entry.why,
            numbers: [entry.observed, entry.baseline, entry.threshold],
            unit: &entry.unit,
            window: entry.window_seconds,
            owasp: entry.owasp.as_deref(),
            since: entry.opened.saturating_mul(1_000_000_000),
            acknowledged: entry
                .acknowledged
                .as_ref()
                .map(|said| (said.by.login_uid.unwrap_or(said.by.uid), said.note.as_str())),
        });
        let time = entry.updated.saturating_mul(1_000_000_000);
        Self { id: entry.id.clone(), closed: None, time, alert }
    }

    /// The end of a finding of which no more is known.
    pub(in crate::export::sinks) fn end(id: &str, time: u64) -> Self {
        let alert = Alert { labels: Pairs::new(), annotations: Pairs::new(), since: time };
        Self { id: id.to_owned(), closed: Some(time), time, alert }
    }
}

/// What is said of a finding.
struct About<'a> {
    detector: &'a str,
    severity: &'a str,
    api: Option<&'a ApiField>,
    source: Option<&'a str>,
    credential: Option<&'a str>,
    endpoint: Option<(&'a str, &'a str)>,
    id: &'a str,
    group: &'a str,
    why: &'a str,
    numbers: [f64; 3],
    unit: &'a str,
    window: u64,
    owasp: Option<&'a str>,
    since: u64,
    /// The user id of who has seen it, and his note.
    acknowledged: Option<(u32, &'a str)>,
}

impl Alert {
    fn new(about: &About<'_>) -> Self {
        let mut labels = Pairs::new();
        let mut label = |name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                labels.insert(name.to_owned(), value.to_owned());
            }
        };
        label("alertname", Some(&name(about.detector)));
        label("detector", Some(about.detector));
        label("severity", Some(about.severity));
        label("api", about.api.map(|api| &*api.name));
        label("owner", about.api.and_then(|api| api.owner.as_deref()));
        label("responder", about.api.and_then(|api| api.responder.as_deref()));
        label("criticality", about.api.and_then(|api| api.criticality));
        label("source", about.source);
        label("credential", about.credential);
        label("method", about.endpoint.map(|(method, _)| method));
        label("route", about.endpoint.map(|(_, route)| route));
        label("group", Some(about.group));
        label(ACKNOWLEDGED, about.acknowledged.map(|_| "true"));
        let at = about.api.map(|api| format!(" at {}", api.name)).unwrap_or_default();
        let summary = format!("{}{at}", about.detector.replace('_', " "));
        let [observed, baseline, threshold] = about.numbers;
        let mut description = format!(
            "{} (observed {observed}, usual {baseline}, threshold {threshold} {}, over {} s; \
             finding {})",
            about.why, about.unit, about.window, about.id
        );
        if let Some(owasp) = about.owasp {
            description = format!("{description}; {owasp}");
        }
        let annotations: [_; 3] = [
            ("summary".to_owned(), summary),
            ("description".to_owned(), description),
            ("finding".to_owned(), about.id.to_owned()),
        ];
        let mut annotations = Pairs::from(annotations);
        if let Some((uid, note)) = about.acknowledged {
            let said = if note.is_empty() { String::new() } else { format!(": {note}") };
            annotations.insert(ACKNOWLEDGED.to_owned(), format!("by uid {uid}{said}"));
        }
        Self { labels, annotations, since: about.since }
    }

    fn body(&self, until: u64) -> Value {
        json!({
            "labels": self.labels,
            "annotations": self.annotations,
            "startsAt": stamp(self.since),
            "endsAt": stamp(until.max(self.since)),
        })
    }
}

/// `WeirBruteForce` for `brute_force`.
fn name(detector: &str) -> String {
    let words = detector.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    format!("Weir{}", words.collect::<String>())
}

/// A test, which ends by itself.
pub(in crate::export::sinks) fn test(message: &str, time: u64, until: u64) -> String {
    let pairs = |pairs: [(&str, &str); 2]| -> Pairs {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    };
    let alert = Alert {
        labels: pairs([("alertname", "WeirTest"), ("severity", "info")]),
        annotations: pairs([("summary", "test of weir"), ("description", message)]),
        since: time,
    };
    Value::from(vec![alert.body(until)]).to_string()
}

/// The alerts of findings that are open, by the finding's id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::export::sinks) struct Standing(BTreeMap<String, Alert>);

impl Standing {
    /// How many.
    pub(in crate::export::sinks) fn len(&self) -> usize {
        self.0.len()
    }

    /// Of which findings.
    pub(in crate::export::sinks) fn ids(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Follows reports, oldest first, and says what Alertmanager is to be told: the body of a
    /// request, or nothing. An alert that goes on is told to end at `until`, unless it is told
    /// again.
    pub(in crate::export::sinks) fn follow(
        &mut self,
        reports: &[Report],
        until: u64,
    ) -> Option<String> {
        let mut ended: BTreeMap<Pairs, (Alert, u64)> = BTreeMap::new();
        let mut touched: BTreeSet<String> = BTreeSet::new();
        for Report { id, closed, time, alert } in reports {
            match closed {
                None => {
                    // Labels stay, even where the policy or the severity changed.
                    let mut alert = alert.clone();
                    if let Some(known) = self.0.get(id) {
                        let said = alert.labels.remove(ACKNOWLEDGED);
                        alert.labels.clone_from(&known.labels);
                        alert.labels.remove(ACKNOWLEDGED);
                        alert.labels.extend(said.map(|said| (ACKNOWLEDGED.to_owned(), said)));
                        alert.since = known.since;
                        if alert.labels != known.labels {
                            // To Alertmanager it is another alert: the one before ends.
                            ended.insert(known.labels.clone(), (known.clone(), *time));
                        }
                    }
                    touched.insert(id.clone());
                    self.0.insert(id.clone(), alert);
                }
                Some(closed) => {
                    // One that was never told needs no end.
                    let Some(mut known) = self.0.remove(id) else { continue };
                    if !alert.annotations.is_empty() {
                        known.annotations.clone_from(&alert.annotations);
                    }
                    ended.insert(known.labels.clone(), (known, *closed));
                }
            }
        }
        // Two findings may share their labels: the alert goes on as long as one of them does.
        let lives = |labels: &Pairs| self.0.values().any(|alert| alert.labels == *labels);
        let ended = ended.iter().filter(|(labels, _)| !lives(labels));
        let ended = ended.map(|(_, (alert, closed))| alert.body(*closed));
        let open = touched.iter().filter_map(|id| self.0.get(id)).map(|alert| alert.body(until));
        let alerts: Vec<Value> = ended.chain(open).collect();
        (!alerts.is_empty()).then(|| Value::from(alerts).to_string())
    }

    /// All of them once more; nothing when there are none.
    pub(in crate::export::sinks) fn again(&self, until: u64) -> Option<String> {
        let alerts: Vec<Value> = self.0.values().map(|alert| alert.body(until)).collect();
        (!alerts.is_empty()).then(|| Value::from(alerts).to_string())
    }
}
