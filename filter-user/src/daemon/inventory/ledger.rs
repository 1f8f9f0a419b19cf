//! All findings, open and over, in bounded memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::mutes::Mutes;
use crate::control::api::{
    Acknowledged, Answer, ApiError, EvidenceEntry, FindingEntry, FindingQuery,
};
use crate::detect::{Finding, State};
use crate::store::FindingRow;

/// Findings that are over and kept.
const CLOSED: usize = 2_000;
/// Findings in all: what does not close for whatever reason is not kept for ever.
const MOST: usize = 5_000;

/// Findings of an API that open so soon after the first of them belong together, seconds.
const GROUP: u64 = 300;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Ledger {
    entries: BTreeMap<String, FindingEntry>,
    changed: BTreeSet<String>,
    /// What nobody is to be told of.
    pub(in crate::daemon) mutes: Mutes,
}

impl Ledger {
    /// Puts back what a store kept; `changed` when it is no longer what it kept.
    pub(super) fn restore(&mut self, entry: FindingEntry, changed: bool) {
        if changed {
            self.changed.insert(entry.id.clone());
        }
        self.entries.insert(entry.id.clone(), entry);
    }

    /// Notes a report, and returns it with what operators said of the finding. `epoch` is what to
    /// add to its times for ns since 1970.
    pub(super) fn note(&mut self, finding: &Finding, epoch: i128) -> FindingEntry {
        let mut entry = told(finding, epoch);
        let before = self.entries.get(&entry.id);
        entry.acknowledged = before.and_then(|before| before.acknowledged.clone());
        if let Some(before) = before.filter(|_| entry.evidence.is_empty()) {
            entry.evidence.clone_from(&before.evidence);
        }
        entry.group = match before {
            Some(before) => before.group.clone(),
            None => self.group_of(&entry),
        };
        entry.muted = self.mutes.covers(&entry.detector, &entry.api);
        let noted = entry.clone();
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
        noted
    }

    /// The group of a finding that is new: that of which the first one opened last, if that is not
    /// too long ago. It does not grow on and on.
    fn group_of(&self, new: &FindingEntry) -> String {
        let firsts = self.entries.values().filter(|entry| {
            entry.group == entry.id
                && entry.api == new.api
                && entry.opened <= new.opened
                && new.opened - entry.opened <= GROUP
        });
        let last = firsts.max_by_key(|entry| entry.opened);
        last.map_or_else(|| new.id.clone(), |first| first.group.clone())
    }

    /// Notes that an operator has seen a finding, or that he has not. `id` may be a beginning.
    pub(in crate::daemon) fn acknowledge(
        &mut self,
        id: &str,
        said: Option<Acknowledged>,
    ) -> Answer<FindingEntry> {
        let beginning = id.to_owned();
        let mut named = self.entries.range_mut(beginning..).filter(|(key, _)| key.starts_with(id));
        let Some((key, entry)) = named.next().filter(|_| !id.is_empty()) else {
            return Err(ApiError::not_found(format!("there is no finding {id}"))
                .hint("`weir findings --all` lists those that are kept"));
        };
        if key != id && named.next().is_some() {
            return Err(ApiError::invalid(format!("more than one finding begins with {id}"))
                .hint("write more of the id"));
        }
        if said.is_none() && entry.acknowledged.is_none() {
            return Err(ApiError::refused(format!("nobody has acknowledged finding {key}")));
        }
        entry.acknowledged = said;
        self.changed.insert(key.clone());
        Ok(entry.clone())
    }

    /// Mutes changed: returns the open findings of which somebody is told now and was not, or is no
    /// longer.
    pub(in crate::daemon) fn mute_again(&mut self) -> Vec<FindingEntry> {
        let mut changed = Vec::new();
        for entry in self.entries.values_mut().filter(|entry| entry.state == "open") {
            let muted = self.mutes.covers(&entry.detector, &entry.api);
            if muted != entry.muted {
                entry.muted = muted;
                self.changed.insert(entry.id.clone());
                changed.push(entry.clone());
            }
        }
        changed
    }

    /// Open ones of a detector at an API.
    pub(in crate::daemon) fn open_of(&self, detector: &str, api: &str) -> u64 {
        let of = |entry: &&FindingEntry| entry.detector == detector && entry.api == api;
        self.open().filter(of).count() as u64
    }

    /// Open ones by API.
    pub(super) fn open_at(&self, api: &str) -> u64 {
        let at = |entry: &&FindingEntry| entry.state == "open" && entry.api == api;
        self.entries.values().filter(at).count() as u64
    }

    /// Those asked for, open ones first; of these the latest groups first, each from its beginning.
    pub(super) fn list(&self, query: &FindingQuery) -> Vec<FindingEntry> {
        let wanted = |entry: &&FindingEntry| {
            (query.all || entry.state == "open")
                && query.api.as_ref().is_none_or(|api| *api == entry.api)
                && !(query.unacknowledged && entry.acknowledged.is_some())
        };
        let mut list: Vec<_> = self.entries.values().filter(wanted).cloned().collect();
        // Those of before there were groups stand for themselves.
        let group = |entry: &FindingEntry| {
            let name = if entry.group.is_empty() { &entry.id } else { &entry.group };
            (entry.state == "open", name.clone())
        };
        let mut latest: BTreeMap<(bool, String), u64> = BTreeMap::new();
        for entry in &list {
            let opened = latest.entry(group(entry)).or_default();
            *opened = entry.opened.max(*opened);
        }
        list.sort_by_cached_key(|entry| {
            let (open, name) = group(entry);
            let opened = latest.get(&(open, name.clone())).copied().unwrap_or_default();
            (Reverse(open), Reverse(opened), name, entry.opened, entry.id.clone())
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
        group: String::new(),
        acknowledged: None,
        muted: false,
        evidence: finding.examples.iter().map(|one| EvidenceEntry::of(one, epoch)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{Code, MuteEntry};

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for (id, detector, state) in [
            ("a1-1", "probing", "open"),
            ("a1-12", "probing", "closed"),
            ("b2-2", "scraping", "open"),
        ] {
            let [id, detector, state] = [id, detector, state].map(str::to_owned);
            let api = "orders".to_owned();
            let entry = FindingEntry { id, detector, state, api, ..FindingEntry::default() };
            ledger.restore(entry, false);
        }
        ledger
    }

    #[test]
    fn an_id_or_its_beginning_is_acknowledged() {
        let mut ledger = ledger();
        let said = || Some(Acknowledged { time: 7, ..Acknowledged::default() });
        for (id, found) in [
            ("a1-1", Ok("a1-1")),
            ("a1-12", Ok("a1-12")),
            ("b", Ok("b2-2")),
            ("a1", Err(Code::Invalid)),
            ("", Err(Code::NotFound)),
            ("c", Err(Code::NotFound)),
        ] {
            let got = ledger.acknowledge(id, said());
            let got = got.as_ref().map(|entry| entry.id.as_str()).map_err(|error| error.code);
            assert_eq!(got, found, "{id}");
        }
        let query =
            |unacknowledged| FindingQuery { all: true, unacknowledged, ..FindingQuery::default() };
        assert_eq!((ledger.list(&query(false)).len(), ledger.list(&query(true)).len()), (3, 0));
        assert_eq!(ledger.acknowledge("b2-2", None).map(|entry| entry.acknowledged), Ok(None));
        assert_eq!(ledger.list(&query(true))[0].id, "b2-2");
        let twice = ledger.acknowledge("b2-2", None).map_err(|error| error.code);
        assert_eq!(twice, Err(Code::Refused));
        assert_eq!(ledger.take_changes().len(), 3, "they are written");
    }

    #[test]
    fn what_opens_soon_after_belongs_together() {
        let mut ledger = Ledger::default();
        // id, API, when it opened, the group
        let rows = [
            ("a", "orders", 1_000, "a"),
            ("b", "orders", 1_200, "a"),
            ("c", "stock", 1_201, "c"),
            ("d", "orders", 1_300, "a"),
            ("e", "orders", 1_301, "e"),
            ("f", "orders", 1_600, "e"),
            ("g", "stock", 1_500, "c"),
        ];
        for (id, api, opened, group) in rows {
            let [id, api] = [id, api].map(str::to_owned);
            let state = "open".to_owned();
            let mut entry = FindingEntry { id, api, opened, state, ..FindingEntry::default() };
            entry.group = ledger.group_of(&entry);
            assert_eq!(entry.group, group, "{}", entry.id);
            ledger.restore(entry, false);
        }
        let list = ledger.list(&FindingQuery::default());
        let ids: Vec<&str> = list.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids, ["e", "f", "c", "g", "a", "b", "d"]);
    }

    #[test]
    fn a_mute_changes_what_is_open() {
        let mut ledger = ledger();
        let mute = MuteEntry {
            detector: "probing".to_owned(),
            api: "orders".to_owned(),
            ..MuteEntry::default()
        };
        assert!(ledger.mutes.set(mute));
        let ids = |changed: Vec<FindingEntry>| -> Vec<(String, bool)> {
            changed.into_iter().map(|entry| (entry.id, entry.muted)).collect()
        };
        assert_eq!(ids(ledger.mute_again()), [("a1-1".to_owned(), true)]);
        assert_eq!(ids(ledger.mute_again()), [], "it is so already");
        assert_eq!((ledger.open_of("probing", "orders"), ledger.open_at("orders")), (1, 2));
        assert!(ledger.mutes.lift("probing", "orders").is_some());
        assert_eq!(ids(ledger.mute_again()), [("a1-1".to_owned(), false)]);
    }
}
