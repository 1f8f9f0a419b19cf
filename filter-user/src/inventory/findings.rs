//! What is wrong with what exists: findings that hold as long as a condition does, over restarts.
//!
//! [`judge`] says which conditions hold now, out of nothing but the catalog and the policy;
//! [`Register`] turns that into findings that open, go on and close. Times are seconds since 1970
//! for the catalog and ns since 1970 in findings.

mod conditions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use conditions::{Case, Condition, QUIET, judge};

use crate::detect::{Detector, Endpoint, Finding, Severity, State};

/// Between two updates of a finding, seconds.
const UPDATE: u64 = 3_600;
/// The same when what was observed has doubled.
const DOUBLED: u64 = 60;
/// Findings that may be open at once.
const MAX_OPEN: usize = 1_000;
/// ns in a second.
const SECOND: u64 = 1_000_000_000;

/// What a finding of the inventory is about: there is at most one open for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Who found it.
    pub detector: Detector,
    /// The API's name, or its port as `tcp/9000`.
    pub api: Arc<str>,
    /// The endpoint, where it is about one.
    pub endpoint: Option<Endpoint>,
}

/// A finding that is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// Its id.
    pub id: Arc<str>,
    /// As it was reported last.
    pub severity: Severity,
    /// When it opened, ns since 1970.
    pub opened: u64,
    /// When it was reported last, ns since 1970.
    pub updated: u64,
    /// What was observed then.
    pub observed: f64,
}

/// The findings that are open.
#[derive(Debug, Default)]
pub struct Register {
    open: BTreeMap<Subject, Open>,
    refused: u64,
}

impl Register {
    /// Puts back a finding that was open before a restart.
    pub fn restore(&mut self, subject: Subject, open: Open) {
        self.open.insert(subject, open);
    }

    /// Takes the conditions that hold now (ns since 1970) and returns what there is to report.
    pub fn follow(
        &mut self,
        conditions: Vec<Condition>,
        now: u64,
        completeness: f64,
    ) -> Vec<Finding> {
        let mut due = Vec::new();
        let mut held: BTreeSet<Subject> = BTreeSet::new();
        for condition in conditions {
            held.insert(condition.subject.clone());
            let observed = condition.measure.observed;
            let full = self.open.len() >= MAX_OPEN;
            let state = match self.open.get_mut(&condition.subject) {
                None if full => {
                    self.refused += 1;
                    continue;
                }
                None => {
                    let open = Open {
                        id: id(&condition.subject, now),
                        severity: condition.severity,
                        opened: now,
                        updated: now,
                        observed,
                    };
                    self.open.insert(condition.subject.clone(), open);
                    State::Open
                }
                Some(open) => {
                    let age = now.saturating_sub(open.updated) / SECOND;
                    let doubled = observed >= open.observed * 2.0 && age >= DOUBLED;
                    if observed == open.observed || !(doubled || age >= UPDATE) {
                        continue;
                    }
                    (open.updated, open.observed) = (now, observed);
                    State::Update
                }
            };
            if let Some(open) = self.open.get(&condition.subject) {
                due.push(report(&condition, open, state, completeness));
            }
        }
        let over: Vec<Subject> =
            self.open.keys().filter(|subject| !held.contains(subject)).cloned().collect();
        for subject in over {
            if let Some(open) = self.open.remove(&subject) {
                let condition = Condition::over(subject, open.severity);
                let mut finding = report(&condition, &open, State::Closed, completeness);
                (finding.updated, finding.closed) = (now, Some(now));
                due.push(finding);
            }
        }
        due
    }

    /// Findings that are open, by severity.
    pub fn severities(&self) -> impl Iterator<Item = Severity> {
        self.open.values().map(|open| open.severity)
    }

    /// Conditions for which there was no room, ever.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

fn report(condition: &Condition, open: &Open, state: State, completeness: f64) -> Finding {
    Finding {
        id: Arc::clone(&open.id),
        state,
        detector: condition.subject.detector,
        severity: open.severity,
        api: condition.api,
        api_name: Arc::clone(&condition.subject.api),
        source: None,
        credential: None,
        endpoint: condition.subject.endpoint.clone(),
        measure: condition.measure.clone(),
        examples: Arc::default(),
        completeness,
        opened: open.opened,
        updated: open.updated,
        closed: None,
    }
}

/// FNV-1a over what it is about and when it opened: no two have the same.
fn id(subject: &Subject, now: u64) -> Arc<str> {
    let Subject { detector, api, endpoint } = subject;
    let about = format!("{} {api} {endpoint:?} {now}", detector.name());
    let hash = about.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Arc::from(format!("{:08x}-{:x}", (hash >> 32) ^ (hash & 0xffff_ffff), now / SECOND))
}
