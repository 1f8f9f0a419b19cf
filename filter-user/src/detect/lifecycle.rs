//! Findings from open to closed: who has one, under which id, and when its next report is due.

use std::collections::HashMap;
use std::sync::Arc;

use super::api::ApiProfile;
use super::examples::Example;
use super::finding::{Detector, Endpoint, Finding, Measure, State};
use super::source::Source;

/// What a finding is about; there is at most one open for each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) detector: Detector,
    pub(crate) api: u32,
    pub(crate) source: Option<Source>,
    /// A user of the source, told by the keyed hash of its secrets.
    pub(crate) credential: Option<u64>,
    pub(crate) endpoint: Option<Endpoint>,
    /// What of it, where a detector has several findings about the same: 0 where it has not.
    pub(crate) part: u8,
}

impl Subject {
    /// An API as a whole.
    pub(crate) fn api(detector: Detector, api: u32) -> Self {
        Self { detector, api, source: None, credential: None, endpoint: None, part: 0 }
    }

    /// A source at an API.
    pub(crate) fn source(detector: Detector, api: u32, source: Source) -> Self {
        Self { source: Some(source), ..Self::api(detector, api) }
    }
}

/// A finding and how many hold it open: a shift may be found on two scales of time.
#[derive(Debug)]
struct Held {
    finding: Finding,
    holders: u32,
}

#[derive(Debug)]
pub(crate) struct Lifecycle {
    open: HashMap<Subject, Held>,
    due: Vec<Finding>,
    epoch: u64,
    count: u64,
    capacity: usize,
    update_every: u64,
    refused: u64,
}

impl Lifecycle {
    pub(crate) fn new(epoch: u64, capacity: usize, update_every: u64) -> Self {
        let open = HashMap::new();
        Self { open, due: Vec::new(), epoch, count: 0, capacity, update_every, refused: 0 }
    }

    /// Opens a finding, or holds the one that is open; false when there is no room for it.
    pub(crate) fn open(
        &mut self,
        subject: &Subject,
        api: &ApiProfile,
        measure: Measure,
        completeness: f64,
        now: u64,
    ) -> bool {
        if let Some(held) = self.open.get_mut(subject) {
            held.holders += 1;
            return true;
        }
        if self.open.len() >= self.capacity {
            self.refused += 1;
            return false;
        }
        self.count += 1;
        let finding = Finding {
            id: Arc::from(format!("{:08x}-{}", self.digest(subject, &api.name), self.count)),
            state: State::Open,
            detector: subject.detector,
            severity: api.severity(subject.detector),
            api: subject.api,
            api_name: Arc::clone(&api.name),
            source: subject.source,
            credential: subject.credential,
            endpoint: subject.endpoint.clone(),
            measure,
            examples: Arc::default(),
            completeness,
            opened: now,
            updated: now,
            closed: None,
        };
        self.due.push(finding.clone());
        self.open.insert(subject.clone(), Held { finding, holders: 1 });
        true
    }

    /// Reports new numbers, unless the last ones are too recent. Evidence that can no longer be
    /// forged is reported at once: an answer may wait for it.
    pub(crate) fn update(
        &mut self,
        subject: &Subject,
        measure: impl FnOnce() -> Measure,
        forgeable: bool,
        completeness: f64,
        now: u64,
    ) {
        let Some(Held { finding, .. }) = self.open.get_mut(subject) else { return };
        let firmer = finding.measure.evidence_forgeable && !forgeable;
        if !firmer && now.saturating_sub(finding.updated) < self.update_every {
            return;
        }
        finding.measure = measure();
        finding.state = State::Update;
        finding.completeness = completeness;
        finding.updated = now;
        self.due.push(finding.clone());
    }

    /// Lets go of a finding; when nothing else holds it, closes it with a sentence that says why.
    pub(crate) fn close(&mut self, subject: &Subject, why: String, now: u64) {
        if let Some(held) = self.open.get_mut(subject).filter(|held| held.holders > 1) {
            held.holders -= 1;
        } else {
            self.end(subject, why, now);
        }
    }

    fn end(&mut self, subject: &Subject, why: String, now: u64) {
        if let Some(Held { mut finding, .. }) = self.open.remove(subject) {
            finding.state = State::Closed;
            finding.measure.why = why;
            finding.updated = now;
            finding.closed = Some(now);
            self.due.push(finding);
        }
    }

    /// Goes on with a finding of before a restart.
    pub(crate) fn resume(&mut self, subject: Subject, mut finding: Finding, now: u64) {
        if self.open.contains_key(&subject) || self.open.len() >= self.capacity {
            return;
        }
        finding.updated = now;
        self.due.push(finding.clone());
        self.open.insert(subject, Held { finding, holders: 1 });
    }

    /// Closes the findings about APIs that are gone.
    pub(crate) fn retain(&mut self, keep: impl Fn(u32) -> bool, now: u64) {
        let gone: Vec<_> = self.open.keys().filter(|key| !keep(key.api)).cloned().collect();
        for subject in gone {
            self.end(&subject, "the policy no longer has this API".to_owned(), now);
        }
    }

    /// What is to be reported, each with what `examples` has of it; what was reported with some before
    /// keeps them when there are none now, and to its end.
    pub(crate) fn take(
        &mut self,
        examples: impl Fn(&Subject, &Measure) -> Arc<[Example]>,
    ) -> Vec<Finding> {
        let mut due = std::mem::take(&mut self.due);
        for finding in due.iter_mut().filter(|finding| finding.closed.is_none()) {
            let about = Subject {
                detector: finding.detector,
                api: finding.api,
                source: finding.source,
                credential: finding.credential,
                endpoint: finding.endpoint.clone(),
                part: 0,
            };
            let these = examples(&about, &finding.measure);
            if !these.is_empty() {
                finding.examples = these;
                if let Some(held) = self.open.get_mut(&about) {
                    held.finding.examples = Arc::clone(&finding.examples);
                }
            }
        }
        due
    }

    /// Findings that are open.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.open.values().map(|held| &held.finding)
    }

    /// Findings for which there was no room.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// FNV-1a over what a finding is about and when the engine began, folded to 32 bits: ids of two
    /// runs of the daemon differ.
    fn digest(&self, subject: &Subject, name: &str) -> u32 {
        let Subject { detector, source, credential, endpoint, .. } = subject;
        let about = format!(
            "{} {name} {source:?} {credential:?} {endpoint:?} {}",
            detector.name(),
            self.epoch
        );
        let hash = about.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        u32::try_from((hash >> 32) ^ (hash & 0xffff_ffff)).unwrap_or_default()
    }
}
