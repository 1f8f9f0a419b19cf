//! Whether what is enforced is what was meant: a difference is a finding, from when it is seen until
//! it is gone.

use std::sync::Arc;

use filter_common::tables::UNCLAIMED;

use crate::detect::finding::Measure;
use crate::detect::{Detector, Finding, Severity, State};
use crate::export::events::{ApiField, Event};
use crate::kernel::agreement::Entries;
use crate::kernel::clock;

use super::core::{Core, policy_field, unix_ns};

/// Seconds in which every cell is compared at least once, for policies of up to a few million prefixes.
const WINDOW: u64 = 60;

/// The finding that is open, if any.
pub(super) struct Enforcement {
    epoch: u64,
    count: u64,
    open: Option<Finding>,
}

impl Enforcement {
    /// `epoch` differs from run to run, so that ids are not used again.
    pub(super) fn new(epoch: u64) -> Self {
        Self { epoch, count: 0, open: None }
    }

    /// How many findings are open, with their severity.
    pub(super) fn open(&self) -> Option<Severity> {
        self.open.as_ref().map(|finding| finding.severity)
    }

    /// What there is to report: a difference that begins, that is another than before, or that ends.
    /// `now` is CLOCK_MONOTONIC in ns.
    fn judge(&mut self, entries: &[Entries], now: u64) -> Option<Finding> {
        let cells: u64 = entries.iter().map(|entry| entry.desired - entry.enforced).sum();
        let mut finding = match (self.open.take(), cells) {
            (None, 0) => return None,
            (None, _) => {
                self.count += 1;
                self.opened(now)
            }
            (Some(open), 0) => {
                let mut closed =
                    Finding { state: State::Closed, updated: now, closed: Some(now), ..open };
                closed.measure.observed = 0.0;
                closed.measure.why = "the kernel holds what the policy says again".to_owned();
                return Some(closed);
            }
            (Some(open), _) if open.measure.observed == cells as f64 => {
                self.open = Some(open);
                return None;
            }
            (Some(open), _) => Finding { state: State::Update, updated: now, ..open },
        };
        finding.measure.observed = cells as f64;
        finding.measure.why = why(entries);
        self.open = Some(finding.clone());
        Some(finding)
    }

    fn opened(&self, now: u64) -> Finding {
        Finding {
            id: Arc::from(format!("{:08x}-e{}", self.epoch as u32, self.count)),
            state: State::Open,
            detector: Detector::Enforcement,
            severity: Severity::Critical,
            api: UNCLAIMED,
            api_name: Arc::from(""),
            source: None,
            credential: None,
            endpoint: None,
            measure: Measure {
                unit: "cells that differ",
                observed: 0.0,
                baseline: 0.0,
                threshold: 1.0,
                window_seconds: WINDOW,
                weight: 1.0,
                why: String::new(),
                owasp: None,
                evidence_forgeable: false,
            },
            examples: Arc::default(),
            completeness: 1.0,
            opened: now,
            updated: now,
            closed: None,
        }
    }
}

fn why(entries: &[Entries]) -> String {
    let differ: Vec<String> = entries
        .iter()
        .filter(|entry| entry.enforced < entry.desired)
        .map(|entry| {
            format!("{} of {} {}", entry.desired - entry.enforced, entry.desired, entry.kind)
        })
        .collect();
    format!(
        "the kernel does not hold what was put in force: {} differ; somebody else changed weir's \
         tables; `weir apply` fills them anew",
        differ.join(", ")
    )
}

impl Core {
    /// Compares a part of what the kernel holds with what was meant, and tells of a difference.
    pub(super) fn look_after_enforcement(&self, enforcement: &mut Enforcement) {
        let Some(mut gate) = self.try_gate() else { return };
        gate.compare();
        let entries = gate.entries();
        let policy = policy_field(&gate.now);
        drop(gate);
        let now = clock::monotonic_ns();
        let Some(finding) = enforcement.judge(&entries, now) else { return };
        match finding.state {
            State::Closed => tracing::warn!(id = %finding.id, "{}", finding.measure.why),
            _ => tracing::error!(id = %finding.id, "{}", finding.measure.why),
        }
        self.metrics.finding(&finding);
        let epoch = i128::from(unix_ns()) - i128::from(now);
        let entry = self.note_finding(&finding, epoch);
        let event = Event::finding(&finding, ApiField::unclaimed(), epoch).with_said(&entry);
        self.tell(&Event { api: None, policy: Some(policy), ..event });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_opens_changes_and_closes_once() {
        let mut enforcement = Enforcement::new(7);
        let entries = |rules: u64, bans: u64| {
            [
                Entries { kind: "rules", desired: 9, enforced: 9 - rules },
                Entries { kind: "bans", desired: 2, enforced: 2 - bans },
            ]
        };
        // rules and bans that differ, what is reported, words of it
        let rows = [
            (0, 0, None, ""),
            (1, 0, Some(State::Open), "1 of 9 rules differ"),
            (1, 0, None, ""),
            (1, 2, Some(State::Update), "1 of 9 rules, 2 of 2 bans differ"),
            (0, 0, Some(State::Closed), "again"),
            (0, 0, None, ""),
            (0, 1, Some(State::Open), "1 of 2 bans differ"),
        ];
        let mut ids = Vec::new();
        for (now, (rules, bans, state, words)) in rows.into_iter().enumerate() {
            let found = enforcement.judge(&entries(rules, bans), now as u64);
            assert_eq!(found.as_ref().map(|finding| finding.state), state, "row {now}");
            assert_eq!(enforcement.open().is_some(), rules + bans > 0, "row {now}");
            let Some(finding) = found else { continue };
            assert!(finding.measure.why.contains(words), "{}", finding.measure.why);
            ids.push(finding.id);
        }
        assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{ids:?}");
    }
}
