//! What the sources of an API do, and how strange one of them is among them.

use std::fmt;

#[cfg(doc)]
use super::UNIT;
use super::cohort::Cohort;
use super::record::{NOBODY, WHOLE, Who};
use super::{MINUTE, WINDOW, WhoConfig};

/// What the sources of an API do.
#[derive(Debug)]
pub(crate) struct ApiCohorts {
    /// Distinct missing paths, of those who missed any.
    pub(crate) missing: Cohort,
    /// Distinct pages.
    pub(crate) pages: Cohort,
    /// [`UNIT`]s sent within a minute, and a day.
    pub(crate) minute: Cohort,
    pub(crate) day: Cohort,
}

impl ApiCohorts {
    pub(super) fn new(config: &WhoConfig) -> Self {
        let [missing, pages, minute, day] = config.usual().map(Cohort::new);
        Self { missing, pages, minute, day }
    }

    pub(super) fn each(&self) -> [&Cohort; 4] {
        [&self.missing, &self.pages, &self.minute, &self.day]
    }

    pub(super) fn has_learned(&self) -> bool {
        self.each().into_iter().any(Cohort::has_learned)
    }
}

/// How strange something is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged<'a> {
    /// Evidence against its being usual, nats.
    pub(crate) evidence: f64,
    /// What of it does not come from comparing with others.
    rest: f64,
    /// What was seen.
    pub(crate) observed: f64,
    /// Of how many people.
    pub(crate) people: f64,
    /// What nine in ten others stay below.
    pub(crate) usual: f64,
    /// Over how long, seconds.
    pub(crate) window: u32,
    cohort: &'a Cohort,
}

impl<'a> Judged<'a> {
    pub(crate) fn new(
        cohort: &'a Cohort,
        observed: f64,
        people: f64,
        rest: f64,
        window: u32,
    ) -> Self {
        let standing = cohort.stand(observed / people);
        let (evidence, usual) = (standing.evidence + rest, standing.usual);
        Self { evidence, rest, observed, people, usual, window, cohort }
    }

    /// What would have to be seen, all else being the same, for so much evidence.
    pub(crate) fn threshold(&self, evidence: f64) -> f64 {
        self.cohort.threshold(evidence - self.rest) * self.people
    }
}

/// A length of time for people.
pub(crate) fn span(seconds: u32) -> &'static str {
    match seconds {
        MINUTE => "a minute",
        WINDOW => "ten minutes",
        _ => "a day",
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user {
            WHOLE => write!(f, "{}", self.source),
            NOBODY => write!(f, "{} (without credentials)", self.source),
            _ => write!(f, "one user of {}", self.source),
        }
    }
}
