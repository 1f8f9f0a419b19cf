//! How surprising something must be to be told: thresholds out of the alerts a day that the operator
//! wants to see.
//!
//! **Formula.** The alerts a day of a severity are shared out: half to what an API does (shifts and
//! tails), half to what sources do, and within each half evenly among its detectors that report with
//! that severity at the API where they report with the highest. With `a` alerts a day for a detector
//! and `d` decisions a day, evidence `e` (nats: -ln of the chance when nothing is the matter) is
//! enough from
//!
//! ```text
//! ln(d / a)
//! ```
//!
//! on: then nothing but chance opens `a` findings a day. `d` is counted. Before a detector has
//! decided for an hour, [`UNKNOWN`] stands in. Detectors of sources decide about suspects only, so
//! that their decisions cannot be counted: of them `UNKNOWN + ln(0.1 / a)` is asked, a chance of one
//! in a million for a tenth of an alert a day.
//!
//! **Recalibration.** Evidence rests on assumptions that traffic does not always keep. So the
//! evidence of decisions is kept in a histogram (half-life of a week; an alarm counts as just enough)
//! and its tail taken as exponential: with `n` decisions a day behind `u`, on average `m` behind it,
//!
//! ```text
//! u + m ln(n / a)
//! ```
//!
//! is asked for where that is more (peaks over a threshold, Pickands 1975), up to [`MOST`] times the
//! formula, or [`MOST_OF_SOURCES`]. Of a detector of sources the highest evidence of five minutes counts
//! as one decision. `u` is where the last [`TAIL`] decisions begin. It only ever raises what is asked for.
//!
//! **Assumptions.** Decisions that follow each other are not the same decision: a detector asks once
//! a window, not once a tick. Attacks are rare among decisions: one that has its finding is not asked
//! for again, so a long attack counts once.
//!
//! **Memory.** Half a kilobyte a detector.

use super::codec::{Reader, Writer};
use super::finding::{Detector, Severity};

/// What is asked for before decisions were counted: a chance of one in a million each.
const UNKNOWN: f64 = 13.8;
/// What is asked for at least and, by the first formula, at most.
const LIMITS: (f64, f64) = (6.0, 30.0);
/// The tail may raise what is asked for so many times.
const MOST: f64 = 3.0;
/// The same of what sources do: whoever stays just below what is asked for must not raise it far.
const MOST_OF_SOURCES: f64 = 1.5;
/// Alerts a day of a detector for which [`UNKNOWN`] is asked.
const USUAL: f64 = 0.1;
/// Time of which only the highest evidence counts, where decisions are not counted.
const BLOCK: u64 = 300 * super::SECOND;
/// Decisions that make a tail.
const TAIL: f64 = 30.0;
const HOUR: u64 = 3600 * super::SECOND;
const DAY: u64 = 24 * HOUR;
const WEEK: f64 = (7 * DAY) as f64;
/// Width of a bin, nats.
const BIN: f64 = 0.5;
const BINS: usize = 100;

/// Alerts a day that the operator wants to see of each severity, for the whole host; more than 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alerts {
    /// By severity, as [`Severity::ALL`].
    pub per_day: [f64; 4],
}

impl Default for Alerts {
    fn default() -> Self {
        Self { per_day: [50.0, 10.0, 2.0, 1.0] }
    }
}

impl Alerts {
    /// Those of a severity.
    pub fn of(&self, severity: Severity) -> f64 {
        self.per_day[severity as usize]
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Ledger {
    /// Alerts a day for this detector.
    allowed: f64,
    /// All its decisions pass here, so that they can be counted.
    counted: bool,
    /// The highest evidence of this block of time, where they do not.
    block: (u64, f64),
    /// When it first decided.
    since: Option<u64>,
    /// Decisions, with a half-life of a week, up to `at`.
    decisions: f64,
    at: u64,
    bins: [f32; BINS],
    /// What is asked for.
    threshold: f64,
    /// When that was worked out.
    worked_out: u64,
}

impl Ledger {
    const NEW: Self = Self {
        allowed: 1.0,
        counted: false,
        block: (0, 0.0),
        since: None,
        decisions: 0.0,
        at: 0,
        bins: [0.0; BINS],
        threshold: UNKNOWN,
        worked_out: 0,
    };

    fn pass(&mut self, now: u64) {
        let passed = now.saturating_sub(self.at);
        // Once an hour is exact enough for a half-life of a week.
        if passed >= HOUR {
            let left = (-std::f64::consts::LN_2 * passed as f64 / WEEK).exp();
            self.decisions *= left;
            self.bins.iter_mut().for_each(|bin| *bin *= left as f32);
            self.at = now;
        }
    }

    /// Days that the counts stand for: the time since the first, as the half-life leaves of it.
    fn days(&self, now: u64) -> f64 {
        let passed = now.saturating_sub(self.since.unwrap_or(now)) as f64;
        let scale = WEEK / std::f64::consts::LN_2;
        scale * (1.0 - (-passed / scale).exp()) / DAY as f64
    }

    fn work_out(&mut self, now: u64) {
        self.worked_out = now;
        let early = now.saturating_sub(self.since.unwrap_or(now)) < HOUR;
        let days = self.days(now);
        let (formula, most) = if !self.counted {
            ((UNKNOWN + (USUAL / self.allowed).ln()).clamp(LIMITS.0, LIMITS.1), MOST_OF_SOURCES)
        } else if early {
            (UNKNOWN, MOST)
        } else {
            let formula = (self.decisions / days / self.allowed).max(1.0).ln();
            (formula.clamp(LIMITS.0, LIMITS.1), MOST)
        };
        let tail = if early { 0.0 } else { self.tail(days).unwrap_or(0.0) };
        self.threshold = tail.clamp(formula, formula * most);
    }

    fn tail(&self, days: f64) -> Option<f64> {
        let (mut count, mut sum) = (0.0, 0.0);
        for (place, &bin) in self.bins.iter().enumerate().rev() {
            let bin = f64::from(bin);
            // Those already counted lie one bin further behind this one's beginning.
            sum += count * BIN + bin * BIN / 2.0;
            count += bin;
            if count >= TAIL {
                // Evidence of 0 is no tail.
                let begin = place as f64 * BIN;
                return (place > 0)
                    .then(|| begin + sum / count * (count / days / self.allowed).ln());
            }
        }
        None
    }

    fn note(&mut self, evidence: f64, now: u64) {
        self.since.get_or_insert(now);
        self.pass(now);
        self.decisions += 1.0;
        if self.counted {
            self.bin(evidence);
        } else if now / BLOCK == self.block.0 {
            self.block.1 = self.block.1.max(evidence);
        } else {
            let (_, highest) = std::mem::replace(&mut self.block, (now / BLOCK, evidence));
            self.bin(highest);
        }
    }

    fn bin(&mut self, evidence: f64) {
        if evidence > 0.0 {
            let place = (evidence.min(self.threshold) / BIN) as usize;
            self.bins[place.min(BINS - 1)] += 1.0;
        }
    }
}

/// Thresholds of all detectors, as evidence against "nothing is the matter", in nats: -ln p.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    ledgers: Vec<Ledger>,
    now: u64,
}

impl Default for Budget {
    fn default() -> Self {
        let mut budget = Self { ledgers: vec![Ledger::NEW; Detector::ALL.len()], now: 0 };
        budget.share(&Alerts::default(), |_| Severity::Warning);
        budget
    }
}

impl Budget {
    /// Shares out the alerts of a day; `severity` is the highest with which a detector reports.
    pub(crate) fn share(&mut self, alerts: &Alerts, severity: impl Fn(Detector) -> Severity) {
        let halves = |behaviour: bool| {
            let members = Detector::ALL.into_iter().filter(|detector| {
                // The operator's own limits take no share.
                detector.is_of_engine() && *detector != Detector::AbsoluteLimit
            });
            members.filter(move |detector| detector.is_of_behaviour() == behaviour)
        };
        for behaviour in [true, false] {
            for detector in halves(behaviour) {
                let of = severity(detector);
                let sharing = halves(behaviour).filter(|&other| severity(other) == of).count();
                let ledger = &mut self.ledgers[detector as usize];
                ledger.counted = behaviour;
                ledger.allowed = alerts.of(of) / 2.0 / sharing.max(1) as f64;
                ledger.work_out(self.now);
            }
        }
    }

    /// The time of the decisions that follow, ns.
    pub(crate) fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// The evidence from which on this detector may open a finding.
    pub(crate) fn threshold(&self, detector: Detector) -> f64 {
        self.ledgers[detector as usize].threshold
    }

    /// Alerts a day that this detector has.
    #[cfg(test)]
    pub(crate) fn allowed(&self, detector: Detector) -> f64 {
        self.ledgers[detector as usize].allowed
    }

    /// Whether the evidence for a subject that has no finding is enough to open one. Every decision
    /// passes here, once a window, so that thresholds follow what is really seen.
    pub(crate) fn exceeds(&mut self, detector: Detector, evidence: f64) -> bool {
        let now = self.now;
        let ledger = &mut self.ledgers[detector as usize];
        // Each decision adds little: worked out every ten minutes.
        if now.saturating_sub(ledger.worked_out) >= HOUR / 6 {
            ledger.work_out(now);
        }
        ledger.note(evidence, now);
        evidence >= ledger.threshold
    }

    /// Writes what was seen; times are written as ages.
    pub(crate) fn write(&self, to: &mut Writer) {
        for ledger in &self.ledgers {
            to.maybe(ledger.since, |to, since| {
                to.u64(self.now.saturating_sub(since));
                to.f64(ledger.decisions);
                ledger.bins.iter().for_each(|&bin| to.f32(bin));
            });
        }
    }

    /// Takes up what [`Self::write`] wrote; `None`, and nothing is taken up, when it is not that.
    /// What passed in between is not known to the counts: they go on at `now`.
    pub(crate) fn read(&mut self, from: &mut Reader<'_>, now: u64) -> Option<()> {
        let mut ledgers = self.ledgers.clone();
        for ledger in &mut ledgers {
            let read = from.maybe(|from| {
                let age = from.u64()?;
                let decisions = from.f64().filter(|count| count.is_finite() && *count >= 0.0)?;
                let mut bins = [0.0; BINS];
                for bin in &mut bins {
                    *bin = from.f32().filter(|count| count.is_finite() && *count >= 0.0)?;
                }
                Some((age, decisions, bins))
            })?;
            if let Some((age, decisions, bins)) = read {
                // A host that booted lately has a clock that is younger than the counts.
                ledger.since = Some(now.saturating_sub(age));
                (ledger.decisions, ledger.bins, ledger.at) = (decisions, bins, now);
            }
        }
        self.ledgers = ledgers;
        self.advance(now);
        self.ledgers.iter_mut().for_each(|ledger| ledger.work_out(now));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::simulation::Random;

    const ASKED: Detector = Detector::RateShift;

    /// Decisions every five minutes for so many days; how many were enough in the second half.
    fn ran(budget: &mut Budget, days: u64, mut evidence: impl FnMut() -> f64) -> u32 {
        let mut told = 0;
        for step in 0..days * 288 {
            budget.advance(step * 300 * crate::detect::SECOND);
            let enough = budget.exceeds(ASKED, evidence());
            told += u32::from(enough && step >= days * 144);
        }
        told
    }

    #[test]
    fn shares_and_formula() {
        let mut budget = Budget::default();
        assert_eq!(budget.threshold(ASKED), UNKNOWN);
        // Two warnings a day, half of them for six detectors.
        assert!((budget.allowed(ASKED) - 1.0 / 6.0).abs() < 1e-9);
        ran(&mut budget, 2, || 0.0);
        let expected = (288.0 * 6.0_f64).ln();
        assert!((budget.threshold(ASKED) - expected).abs() < 0.1, "{}", budget.threshold(ASKED));
        let alerts = Alerts { per_day: [1.0, 1.0, 20.0, 1.0] };
        budget.share(&alerts, |_| Severity::Warning);
        let expected = (288.0 * 0.6_f64).ln().max(LIMITS.0);
        assert!((budget.threshold(ASKED) - expected).abs() < 0.1, "{}", budget.threshold(ASKED));
        // The only one with its severity has half of it alone.
        budget.share(&alerts, |detector| match detector {
            ASKED => Severity::Critical,
            _ => Severity::Info,
        });
        assert_eq!(budget.allowed(ASKED), 0.5);
    }

    #[test]
    fn what_is_seen_raises_what_is_asked_for() {
        for (what, scale, most) in [("honest", 1.0, 30), ("too sure", 2.0, 40), ("far", 2.8, 80)] {
            let mut random = Random::new(17);
            let mut evidence = || -(1.0 - random.share()).ln() * scale;
            let mut budget = Budget::default();
            let told = ran(&mut budget, 120, &mut evidence);
            // A sixth a day for sixty days is ten.
            assert!((1..=most).contains(&told), "{what}: {told}");
            let mut fixed = Random::new(17);
            let threshold = (288.0 * 6.0_f64).ln();
            let without =
                (0..60 * 288).filter(|_| -(1.0 - fixed.share()).ln() * scale >= threshold).count();
            assert!(scale < 2.0 || without as u32 > told * 5, "{what}: {without} and {told}");
        }
    }

    #[test]
    fn goes_on_after_a_restart() {
        let mut random = Random::new(5);
        let mut budget = Budget::default();
        ran(&mut budget, 30, || -(1.0 - random.share()).ln() * 2.0);
        let mut writer = Writer::default();
        budget.write(&mut writer);
        let mut anew = Budget::default();
        assert_eq!(anew.read(&mut Reader(&writer.0), 40 * DAY), Some(()));
        let (before, after) = (budget.threshold(ASKED), anew.threshold(ASKED));
        assert!((before - after).abs() < 0.7, "{before} and {after}");
        assert_eq!(anew.read(&mut Reader(&writer.0[..100]), 40 * DAY), None);
        assert_eq!(anew.threshold(ASKED), after);
    }
}
