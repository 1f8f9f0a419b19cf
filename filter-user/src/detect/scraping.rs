//! Scraping: a source, or a user of it, fetches page after page, evenly spaced.
//!
//! **Formula.** For each (API, source, user): distinct pages (paths, with the objects their query
//! names) within ten minutes that were answered 2xx or 3xx, and how even the gaps between its bursts
//! of requests are: with `n` gaps and `s` the standard deviation of their logarithm
//! ([`Gaps`](super::who::gaps)),
//!
//! ```text
//! evidence = tail(pages per person)                 what others do at this API: who::cohort
//!          + [-10, 10] n (ln(s0 / s1) - s^2 (1 / s1^2 - 1 / s0^2) / 2)
//! ```
//!
//! the logarithm of the likelihood ratio of log-normal gaps with `s1` = 0.3 (a program that waits,
//! with jitter of half of the wait either way) rather than `s0` = 1 (people: from seconds to minutes). A
//! finding needs `min_pages`, at least 30 gaps, and evidence that the alert budget lets pass; it
//! closes after `quiet` seconds with fewer than a tenth of `min_pages` new ones.
//!
//! What a source goes through as objects of a route is told as enumeration, not as scraping beside it.
//!
//! **Assumptions.** A health check or a poll is even too, but covers few pages; a person covers many
//! but unevenly. A program that is *meant* to fetch everything looks the same as one that is
//! not: name its group in the API's `crawlers`, of whom neither scraping nor enumeration is told. What it does not see: fewer than `min_pages` in ten minutes; requests that follow
//! each other faster than 50 ms, which are one burst (a flood: rate_shift); a scraper that imitates
//! people's pauses, unless it covers some hundred times what they do; anything inside TLS.
//!
//! **Sampling**, **people** and **forgery** as in [`super::enumeration`].

use super::finding::Measure;
use super::who::record::Record;
use super::who::{ApiCohorts, Judged, WINDOW, span};

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScrapingConfig {
    /// Distinct pages within ten minutes without which there is no finding.
    pub min_pages: f64,
    /// Gaps without which nothing is said of how even they are.
    pub min_gaps: u16,
    /// What nine in ten sources are expected to stay below before others are known.
    pub usual: f64,
    /// Standard deviations of the logarithm of gaps, of people and of a program.
    pub spreads: [f64; 2],
    /// Most that evenness adds or takes away, nats.
    pub most_even: f64,
}

impl Default for ScrapingConfig {
    fn default() -> Self {
        Self { min_pages: 100.0, min_gaps: 30, usual: 40.0, spreads: [1.0, 0.3], most_even: 10.0 }
    }
}

impl ScrapingConfig {
    /// Whether it is worth a closer look.
    pub(super) fn suspects(&self, record: &Record) -> bool {
        record.gaps.count() >= self.min_gaps
            && record.requests >= self.min_pages as u32 / 2
            && record.pages.count() >= self.min_pages
    }

    fn even(&self, record: &Record) -> f64 {
        let [people, program] = self.spreads;
        let spread = record.gaps.spread().min(3.0);
        let each =
            (people / program).ln() - spread.powi(2) * (program.powi(-2) - people.powi(-2)) / 2.0;
        (f64::from(record.gaps.count()) * each).clamp(-self.most_even, self.most_even)
    }

    /// How strange it is; `None` below the minimum.
    pub(super) fn judge<'a>(&self, record: &Record, cohorts: &'a ApiCohorts) -> Option<Judged<'a>> {
        let pages = record.pages.count();
        let enough = pages >= self.min_pages && record.gaps.count() >= self.min_gaps;
        enough
            .then(|| Judged::new(&cohorts.pages, pages, record.people(), self.even(record), WINDOW))
    }

    pub(super) fn measure(
        &self,
        record: &Record,
        judged: &Judged<'_>,
        api: &str,
        threshold: f64,
    ) -> Measure {
        let why = format!(
            "{} fetched {:.0} different pages of {api} within {}, {:.0} % more or less apart from \
             pause to pause; nine in ten sources fetch fewer than {:.0}",
            record.who,
            judged.observed,
            span(judged.window),
            record.gaps.spread().min(9.99) * 100.0,
            judged.usual,
        );
        Measure {
            unit: "distinct pages",
            observed: judged.observed,
            baseline: judged.usual * judged.people,
            threshold: judged.threshold(threshold).max(self.min_pages),
            window_seconds: u64::from(judged.window),
            weight: record.mean_weight(),
            why,
            owasp: Some("API6:2023 Unrestricted Access to Sensitive Business Flows"),
            evidence_forgeable: record.forgeable(),
        }
    }
}
