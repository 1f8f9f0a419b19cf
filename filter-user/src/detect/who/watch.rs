//! From suspects to findings, and from findings to their end.

use super::distinct::Distinct;
use super::record::{Pair, Record, WHOLE, Who};
use super::roll::{bit, cohorts};
use super::{ApiCohorts, Judged, Sources, Suspect};
use crate::detect::SECOND;
use crate::detect::api::ApiProfile;
use crate::detect::detector::Tick;
use crate::detect::finding::{Detector, Endpoint, Measure};
use crate::detect::lifecycle::Subject;
use crate::detect::who::WhoConfig;

/// How often a finding is looked at, ns.
const EVERY: u64 = 5 * SECOND;

/// The detectors that look at a record.
const OF_RECORD: [Detector; 3] = [Detector::Probing, Detector::Scraping, Detector::Exfiltration];

/// A finding that is open.
#[derive(Debug)]
pub(super) struct Watch {
    subject: Subject,
    suspect: Suspect,
    /// What was counted when it was looked at last, and when.
    count: f64,
    looked: u64,
    /// When there was last more of the same.
    active: u64,
    /// The highest evidence so far has been told.
    most: f64,
}

impl Watch {
    pub(super) fn api(&self) -> u32 {
        self.subject.api
    }
}

/// How strange a record is to a detector.
fn judge<'a>(
    detector: Detector,
    record: &Record,
    cohorts: &'a ApiCohorts,
    config: &WhoConfig,
) -> Option<Judged<'a>> {
    match detector {
        Detector::Probing => config.probing.judge(record, cohorts),
        Detector::Scraping => config.scraping.judge(record, cohorts),
        Detector::Exfiltration => config.exfiltration.judge(record, cohorts),
        _ => None,
    }
}

fn measure(
    detector: Detector,
    record: &Record,
    judged: &Judged<'_>,
    api: &ApiProfile,
    threshold: f64,
    config: &WhoConfig,
) -> Measure {
    match detector {
        Detector::Probing => config.probing.measure(record, judged, &api.name, threshold),
        Detector::Scraping => config.scraping.measure(record, judged, &api.name, threshold),
        _ => config.exfiltration.measure(record, judged, &api.name, threshold),
    }
}

/// What a detector counts in a record, and how much more of it within [`EVERY`] goes on.
fn count(detector: Detector, record: &Record, config: &WhoConfig) -> (f64, f64) {
    match detector {
        Detector::Probing => (record.missing.count(), config.probing.min_paths),
        Detector::Scraping => (record.pages.count(), config.scraping.min_pages),
        _ => (f64::from(record.day_bytes) * record.mean_weight(), config.exfiltration.min_bytes),
    }
}

/// Whether a user of a source has a finding of a detector. A source with several users is only told
/// of when none of them is to blame alone: it needs twice as much, so that one of them has it before.
fn blamed(watched: &[Watch], detector: Detector, who: &Who) -> bool {
    watched.iter().any(|watch| {
        let of = watch.suspect.who();
        watch.subject.detector == detector
            && (of.api, of.source) == (who.api, who.source)
            && of.user != WHOLE
    })
}

fn subject(detector: Detector, who: &Who, endpoint: Option<Endpoint>) -> Subject {
    Subject {
        credential: who.credential(),
        endpoint,
        ..Subject::source(detector, who.api, who.source)
    }
}

impl Sources {
    /// Opens, updates and closes findings.
    pub(super) fn decide(&mut self, tick: &mut Tick<'_>) {
        if !tick.judges() {
            return;
        }
        let mut suspects = std::mem::take(&mut self.suspects);
        // Users first: what one of them did is not told of all.
        suspects.sort_by_key(|suspect| suspect.who().user == WHOLE);
        for suspect in suspects {
            match suspect {
                Suspect::Record(who, hash) => {
                    if let Some(place) = self.records.find(&who, hash) {
                        OF_RECORD.iter().for_each(|one| self.open_record(*one, place, tick));
                        if let Some(record) = self.records.at_mut(place) {
                            record.pending = false;
                        }
                    }
                }
                Suspect::Pair(who, route, hash) => {
                    if let Some(place) = self.pairs.find(&(who, route), hash) {
                        self.open_pair(place, tick);
                        if let Some(pair) = self.pairs.at_mut(place) {
                            pair.pending = false;
                        }
                    }
                }
            }
        }
        self.look_after(tick);
    }

    fn open_record(&mut self, detector: Detector, place: usize, tick: &mut Tick<'_>) {
        let Some(record) = self.records.at_mut(place) else { return };
        let Some(api) = tick.apis.get(&record.who.api) else { return };
        if record.open & bit(detector) != 0 {
            return;
        }
        let (amount, least) = count(detector, record, &self.config);
        if record.shared && (amount < 2.0 * least || blamed(&self.watched, detector, &record.who)) {
            return;
        }
        // Who goes through all objects fetches page after page too: it is told once.
        let told = |watch: &Watch| {
            watch.subject.detector == Detector::Enumeration
                && matches!(watch.suspect, Suspect::Pair(who, ..) if who == record.who)
        };
        if detector == Detector::Scraping && self.watched.iter().any(told) {
            return;
        }
        let cohorts = cohorts(&mut self.cohorts, api.id, &self.config);
        let Some(judged) = judge(detector, record, cohorts, &self.config) else { return };
        if !tick.budget.exceeds(detector, judged.evidence) {
            return;
        }
        let subject = subject(detector, &record.who, None);
        if self.watched.iter().any(|watch| watch.subject == subject) {
            return;
        }
        let threshold = tick.budget.threshold(detector);
        let measure = measure(detector, record, &judged, api, threshold, &self.config);
        if tick.findings.open(&subject, api, measure, tick.completeness, tick.now) {
            record.open |= bit(detector);
            self.watched.push(Watch {
                suspect: Suspect::Record(record.who, record.hash),
                subject,
                count: count(detector, record, &self.config).0,
                looked: tick.now,
                active: tick.now,
                most: judged.evidence,
            });
        }
    }

    fn open_pair(&mut self, place: usize, tick: &mut Tick<'_>) {
        let Some(pair) = self.pairs.at(place) else { return };
        let Some(api) = tick.apis.get(&pair.who.api) else { return };
        let Some(route) = self.routes.get(&pair.route) else { return };
        if pair.open {
            return;
        }
        let least = 2.0 * self.config.enumeration.min_objects;
        let detector = Detector::Enumeration;
        if pair.shared
            && (pair.objects.count() < least || blamed(&self.watched, detector, &pair.who))
        {
            return;
        }
        let people = self.people(&pair.who);
        let config = &self.config.enumeration;
        let Some(judged) = config.judge(pair, route, people) else { return };
        if !tick.budget.exceeds(Detector::Enumeration, judged.evidence) {
            return;
        }
        let endpoint = Endpoint { method: route.method.clone(), route: route.route.clone() };
        let subject = subject(Detector::Enumeration, &pair.who, Some(endpoint));
        if self.watched.iter().any(|watch| watch.subject == subject) {
            return;
        }
        let threshold = tick.budget.threshold(Detector::Enumeration);
        let measure = config.measure(pair, route, &judged, &api.name, threshold);
        if tick.findings.open(&subject, api, measure, tick.completeness, tick.now) {
            self.watched.push(Watch {
                suspect: Suspect::Pair(pair.who, pair.route, pair.hash),
                subject,
                count: pair.objects.count(),
                looked: tick.now,
                active: tick.now,
                most: judged.evidence,
            });
            if let Some(pair) = self.pairs.at_mut(place) {
                pair.open = true;
            }
        }
    }

    /// How many people somebody stands for.
    fn people(&self, who: &Who) -> f64 {
        if who.user != super::WHOLE {
            return 1.0;
        }
        let place = self.records.find(who, self.hash(who));
        place.and_then(|place| self.records.at(place)).map_or(1.0, Record::people)
    }

    /// Updates findings that go on, and closes those that do not.
    fn look_after(&mut self, tick: &mut Tick<'_>) {
        let mut watched = std::mem::take(&mut self.watched);
        watched.retain_mut(|watch| {
            if tick.now.saturating_sub(watch.looked) < EVERY {
                return true;
            }
            let Some(api) = tick.apis.get(&watch.subject.api) else { return false };
            watch.looked = tick.now;
            let (count, least) = self.count(watch);
            // The count begins anew with each window.
            let more = if count < watch.count { count } else { count - watch.count };
            watch.count = count;
            // A tenth of the minimum within a minute goes on.
            if more >= least / 10.0 * (EVERY as f64 / (60.0 * SECOND as f64)) {
                watch.active = tick.now;
            }
            let quiet = tick.now.saturating_sub(watch.active) / SECOND;
            if quiet >= self.config.quiet {
                self.close(watch, api, quiet, tick);
                return false;
            }
            self.update(watch, api, tick);
            true
        });
        watched.append(&mut self.watched);
        self.watched = watched;
    }

    /// What is counted for a finding, and the minimum of it.
    fn count(&self, watch: &Watch) -> (f64, f64) {
        match watch.suspect {
            Suspect::Record(who, hash) => {
                let place = self.records.find(&who, hash);
                let record = place.and_then(|place| self.records.at(place));
                record.map_or((0.0, 1.0), |record| {
                    count(watch.subject.detector, record, &self.config)
                })
            }
            Suspect::Pair(who, route, hash) => {
                let place = self.pairs.find(&(who, route), hash);
                let objects = place.and_then(|place| self.pairs.at(place));
                let objects = objects.map_or(0.0, |pair: &Pair| pair.objects.count());
                (objects, self.config.enumeration.min_objects)
            }
        }
    }

    /// Tells of numbers that are worse than those told.
    fn update(&mut self, watch: &mut Watch, api: &ApiProfile, tick: &mut Tick<'_>) {
        let detector = watch.subject.detector;
        let threshold = tick.budget.threshold(detector);
        let told = match watch.suspect {
            Suspect::Record(who, hash) => {
                let Some(place) = self.records.find(&who, hash) else { return };
                let Some(record) = self.records.at(place) else { return };
                let Some(others) = self.cohorts.get(&who.api) else { return };
                let Some(judged) = judge(detector, record, others, &self.config) else { return };
                let config = &self.config;
                let told = measure(detector, record, &judged, api, threshold, config);
                (judged.evidence, told)
            }
            Suspect::Pair(who, route, hash) => {
                let Some(place) = self.pairs.find(&(who, route), hash) else { return };
                let Some(pair) = self.pairs.at(place) else { return };
                let Some(route) = self.routes.get(&route) else { return };
                let config = &self.config.enumeration;
                let Some(judged) = config.judge(pair, route, self.people(&who)) else { return };
                (judged.evidence, config.measure(pair, route, &judged, &api.name, threshold))
            }
        };
        let (evidence, measure) = told;
        if evidence >= watch.most {
            watch.most = evidence;
            let forgeable = measure.evidence_forgeable;
            let findings = &mut *tick.findings;
            findings.update(&watch.subject, || measure, forgeable, tick.completeness, tick.now);
        }
    }

    fn close(&mut self, watch: &Watch, api: &ApiProfile, quiet: u64, tick: &mut Tick<'_>) {
        let now = self.seconds(tick.now);
        let who = match watch.suspect {
            Suspect::Record(who, hash) => {
                let place = self.records.find(&who, hash);
                if let Some(record) = place.and_then(|place| self.records.at_mut(place)) {
                    record.open &= !bit(watch.subject.detector);
                    // What was told is not told again.
                    record.begin(now);
                    (record.minute_bytes, record.day_bytes) = (0.0, 0.0);
                }
                who
            }
            Suspect::Pair(who, route, hash) => {
                let place = self.pairs.find(&(who, route), hash);
                if let Some(pair) = place.and_then(|place| self.pairs.at_mut(place)) {
                    pair.open = false;
                    pair.begin(now);
                    pair.day_objects = Distinct::default();
                }
                let place = self.records.find(&who, self.hash(&who));
                if let Some(record) = place.and_then(|place| self.records.at_mut(place)) {
                    record.begin(now);
                }
                who
            }
        };
        let why = format!("{who} has done no more of it at {} for {quiet} seconds", api.name);
        tick.findings.close(&watch.subject, why, tick.now);
    }
}
