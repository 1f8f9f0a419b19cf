//! How surprising something must be to be told.

use super::finding::Detector;

/// Thresholds of all detectors, as evidence against "nothing is the matter", in nats: -ln p.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget {}

impl Budget {
    /// The evidence from which on this detector may open a finding.
    pub(crate) fn threshold(&self, _: Detector) -> f64 {
        // A chance of one in a million for each decision.
        13.8
    }

    /// Whether the evidence for a subject that has no finding is enough to open one. Every decision
    /// passes here, so that thresholds follow what is really seen.
    pub(crate) fn exceeds(&mut self, detector: Detector, evidence: f64) -> bool {
        evidence >= self.threshold(detector)
    }
}
