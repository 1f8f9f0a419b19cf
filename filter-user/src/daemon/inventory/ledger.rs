//! All findings, open and over, in bounded memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::control::api::{FindingEntry, FindingQuery};
use crate::detect::{Finding, State};
use crate::store::FindingRow;

/// Findings that are over and kept.
const CLOSED: usize = 2_000;
/// Findings in all: what does not close for whatever reason is not kept for ever.
const MOST: usize = 5_000;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Ledger {
    entries: BTreeMap<String, FindingEntry>,
    changed: BTreeSet<String>,
}

impl Ledger {
    /// Puts back what a store kept.
    pub(super) fn restore(&mut self, entry: FindingEntry) {
        self.changed.insert(entry.id.clone());
        self.entries.insert(entry.id.clone(), entry);
    }

    /// Notes a report. `epoch` is what to add to its times for ns since 1970.
    pub(super) fn note(&mut self, finding: &Finding, epoch: i128) {
        let entry = told(finding, epoch);
        self.changed.insert(entry.id.clone());
        self.entries.insert(entry.id.clone(), entry);
        let closed = self.entries.values().filter(|entry| entry.state == "closed").count();
        if closed > CLOSED || self.entries.len() > MOST {
            let oldest = self
                .entries
                .values()
                .filter(|entry| closed <= CLOSED || entry.state == "closed")
                .min_by_key(|entry| entry.updated)
                .map(|entry| entry.id.clone());
            if let Some(id) = oldest {
                self.entries.remove(&id);
            }
        }
    }

    /// Open ones by API.
    pub(super) fn open_at(&self, api: &str) -> u64 {
        let at = |entry: &&FindingEntry| entry.state == "open" && entry.api == api;
        self.entries.values().filter(at).count() as u64
    }

    /// Those asked for, open ones first, the latest of each first.
    pub(super) fn list(&self, query: &FindingQuery) -> Vec<FindingEntry> {
        let wanted = |entry: &&FindingEntry| {
            (query.all || entry.state == "open")
                && query.api.as_ref().is_none_or(|api| *api == entry.api)
        };
        let mut list: Vec<_> = self.entries.values().filter(wanted).cloned().collect();
        list.sort_by(|a, b| {
            let key = |entry: &FindingEntry| (entry.state == "open", entry.opened);
            key(b).cmp(&key(a)).then_with(|| a.id.cmp(&b.id))
        });
        list.truncate(query.limit);
        list
    }

    /// Every open one of the detectors of the inventory: id, API, severity.
    pub(in crate::daemon) fn open(&self) -> impl Iterator<Item = &FindingEntry> {
        self.entries.values().filter(|entry| entry.state == "open")
    }

    /// What changed since this was asked last, for the store.
    pub(super) fn take_changes(&mut self) -> Vec<FindingRow> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .iter()
            .filter_map(|id| self.entries.get(id))
            .filter_map(|entry| {
                Some(FindingRow {
                    id: entry.id.clone(),
                    detector: entry.detector.clone(),
                    state: entry.state.clone(),
                    updated: entry.updated.saturating_mul(1_000),
                    body: serde_json::to_string(entry).ok()?,
                })
            })
            .collect()
    }
}

/// A finding as the control socket shows it.
fn told(finding: &Finding, epoch: i128) -> FindingEntry {
    let wall =
        |time: u64| u64::try_from((i128::from(time) + epoch) / 1_000_000_000).unwrap_or_default();
    let Finding { measure, endpoint, .. } = finding;
    FindingEntry {
        id: finding.id.to_string(),
        detector: finding.detector.name().to_owned(),
        severity: finding.severity.name().to_owned(),
        state: if finding.state == State::Closed { "closed" } else { "open" }.to_owned(),
        api: finding.api_name.to_string(),
        method: endpoint.as_ref().map(|endpoint| endpoint.method.to_string()),
        route: endpoint.as_ref().map(|endpoint| endpoint.route.to_string()),
        source: finding.source.map(|source| source.to_string()),
        opened: wall(finding.opened),
        updated: wall(finding.updated),
        closed: finding.closed.map(wall),
        observed: measure.observed,
        baseline: measure.baseline,
        threshold: measure.threshold,
        unit: measure.unit.to_owned(),
        window_seconds: measure.window_seconds,
        completeness: finding.completeness,
        weight: measure.weight,
        why: measure.why.clone(),
        owasp: measure.owasp.map(str::to_owned),
        evidence_forgeable: measure.evidence_forgeable,
    }
}
