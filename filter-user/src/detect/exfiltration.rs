//! Exfiltration: a source, or a user of it, takes far more than others do.
//!
//! **Formula.** Bytes sent to each (API, source, user) within a minute and within a day: bodies of
//! responses; the records of TLS turns where the API is encrypted; frames of a WebSocket, a tunnel or
//! QUIC when the connection ends.
//!
//! ```text
//! evidence = tail(bytes per person)                 what others take of this API: who::cohort
//! ```
//!
//! the larger of both windows. A finding needs `min_bytes` within a minute or `min_bytes_day` within
//! a day, and evidence that the alert budget lets pass; it closes after `quiet` seconds with less
//! than a tenth of `min_bytes` more.
//!
//! **Assumptions.** Sizes have Pareto's tail with an index that is learned for each API: where
//! downloads of gigabytes are usual, they are no finding. What it does not see: less than the minima;
//! less than about 300 times what nine in ten sources stay below, or, where sizes vary less than that
//! is worth, what the learned tail allows; a leak spread over many sources; bytes of flows that are
//! not sampled. A source that shares its address with users of other APIs is judged at each API for
//! itself. Credentials are not seen inside TLS: there a network behind one address is judged as one.
//!
//! **Sampling.** Evidence compares bytes as seen, for others are sampled alike; the minima and what
//! is shown are weighted. **Forgery** as in [`super::enumeration`].

use super::finding::Measure;
use super::who::record::Record;
use super::who::{ApiCohorts, DAY, Judged, MINUTE, UNIT, span};

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExfiltrationConfig {
    /// Bytes within a minute without which there is no finding.
    pub min_bytes: f64,
    /// The same within a day.
    pub min_bytes_day: f64,
    /// What nine in ten sources are expected to stay below before others are known, bytes within a
    /// minute and a day.
    pub usual: [f64; 2],
}

impl Default for ExfiltrationConfig {
    fn default() -> Self {
        Self { min_bytes: 10e6, min_bytes_day: 200e6, usual: [256e3, 4e6] }
    }
}

impl ExfiltrationConfig {
    /// Whether it is worth a closer look.
    pub(super) fn suspects(&self, record: &Record) -> bool {
        let weight = record.mean_weight();
        f64::from(record.minute_bytes) * weight >= self.min_bytes
            || f64::from(record.day_bytes) * weight >= self.min_bytes_day
    }

    /// How strange it is; `None` below the minimum.
    pub(super) fn judge<'a>(&self, record: &Record, cohorts: &'a ApiCohorts) -> Option<Judged<'a>> {
        let weight = record.mean_weight();
        let (minute, day) = (f64::from(record.minute_bytes), f64::from(record.day_bytes));
        let windows = [
            (minute, self.min_bytes, &cohorts.minute, MINUTE),
            (day, self.min_bytes_day, &cohorts.day, DAY),
        ];
        let enough = windows.into_iter().filter(|(bytes, least, ..)| bytes * weight >= *least);
        let judged = enough.map(|(bytes, _, cohort, window)| {
            Judged::new(cohort, bytes / UNIT, record.people(), 0.0, window)
        });
        judged.max_by(|a, b| a.evidence.total_cmp(&b.evidence))
    }

    pub(super) fn measure(
        &self,
        record: &Record,
        judged: &Judged<'_>,
        api: &str,
        threshold: f64,
    ) -> Measure {
        let bytes = UNIT * record.mean_weight();
        let why = format!(
            "{} took {:.1} MB of {api} within {}; nine in ten sources take less than {:.3} MB",
            record.who,
            judged.observed * bytes / 1e6,
            span(judged.window),
            judged.usual * bytes / 1e6,
        );
        let least = if judged.window == MINUTE { self.min_bytes } else { self.min_bytes_day };
        Measure {
            unit: "bytes",
            observed: judged.observed * bytes,
            baseline: judged.usual * judged.people * bytes,
            threshold: (judged.threshold(threshold) * bytes).max(least),
            window_seconds: u64::from(judged.window),
            weight: record.mean_weight(),
            why,
            owasp: Some("API3:2023 Broken Object Property Level Authorization"),
            evidence_forgeable: record.forgeable(),
        }
    }
}
