//! Probing: a source, or a user of it, asks for what is not there, to learn what is.
//!
//! **Formula.** For each (API, source, user): distinct paths within ten minutes that were answered as
//! missing or malformed (400, 404, 405, 410, 414, 421, 431, 501: what says that there is no such
//! endpoint), and the share of such answers among its requests.
//!
//! ```text
//! evidence = tail(missing paths per person)         what others do at this API: who::cohort
//!          + [-10, 10] LLR(requests missed; 0.2 against 0.8)
//! ```
//!
//! A finding needs `min_paths` and evidence that the alert budget lets pass; it closes after `quiet`
//! seconds with fewer than a tenth of `min_paths` new ones.
//!
//! **What is one path.** Of a route with a placeholder (`/orders/{id}`), all paths are one: missing
//! objects are enumeration's. Queries are cut off.
//!
//! **Assumptions.** More than half of what a person or a well-kept program asks for is there; a
//! crawler with a list of dead links mostly hits. What it does not see: fewer than `min_paths` in ten
//! minutes; servers that answer 200 to everything; a scanner that hides every miss among as many
//! hits; anything inside TLS.
//!
//! **Sampling**, **people** and **forgery** as in [`super::enumeration`].

use super::finding::Measure;
use super::who::record::Record;
use super::who::share::ratio;
use super::who::{ApiCohorts, Judged, WINDOW, span};

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbingConfig {
    /// Distinct missing paths within ten minutes without which there is no finding.
    pub min_paths: f64,
    /// What nine in ten sources are expected to stay below before others are known.
    pub usual: f64,
    /// Shares of requests that miss, of somebody benign and of a scanner.
    pub shares: [f64; 2],
    /// Most that the share adds or takes away, nats.
    pub most_share: f64,
}

impl Default for ProbingConfig {
    fn default() -> Self {
        Self { min_paths: 20.0, usual: 5.0, shares: [0.2, 0.8], most_share: 10.0 }
    }
}

impl ProbingConfig {
    /// Whether it is worth a closer look.
    pub(super) fn suspects(&self, record: &Record) -> bool {
        record.missing_requests >= self.min_paths as u32 / 2
            && record.missing.count() >= self.min_paths
    }

    /// How strange it is; `None` below the minimum.
    pub(super) fn judge<'a>(&self, record: &Record, cohorts: &'a ApiCohorts) -> Option<Judged<'a>> {
        let paths = record.missing.count();
        let [benign, scanner] = self.shares;
        let (missed, all) = (record.missing_requests, record.requests);
        let share = ratio(missed, all, benign, scanner, self.most_share);
        (paths >= self.min_paths)
            .then(|| Judged::new(&cohorts.missing, paths, record.people(), share, WINDOW))
    }

    pub(super) fn measure(
        &self,
        record: &Record,
        judged: &Judged<'_>,
        api: &str,
        threshold: f64,
    ) -> Measure {
        let missed = f64::from(record.missing_requests) / f64::from(record.requests.max(1));
        let why = format!(
            "{} asked {api} for {:.0} different paths that are not there within {}, with {:.0} % of \
             its requests; nine in ten sources miss fewer than {:.0}",
            record.who,
            judged.observed,
            span(judged.window),
            missed * 100.0,
            judged.usual,
        );
        Measure {
            unit: "distinct missing paths",
            observed: judged.observed,
            baseline: judged.usual * judged.people,
            threshold: judged.threshold(threshold).max(self.min_paths),
            window_seconds: u64::from(judged.window),
            weight: record.mean_weight(),
            why,
            owasp: Some("API9:2023 Improper Inventory Management"),
            evidence_forgeable: record.forgeable(),
        }
    }
}
