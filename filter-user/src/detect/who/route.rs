//! Routes with objects, and what sources do there.

use std::sync::Arc;

use super::cohort::Cohort;
use super::record::Pair;
use super::share::Share;

/// A method and route of an API.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) api: u32,
    pub(crate) method: Arc<str>,
    pub(crate) route: Arc<str>,
    /// Distinct objects of a source within ten minutes, and a day.
    pub(crate) fast: Cohort,
    pub(crate) slow: Cohort,
    steps: Share,
    refused: Share,
}

impl Route {
    pub(crate) fn new(api: u32, method: &str, route: &str, usual: [f64; 2]) -> Self {
        Self {
            api,
            method: method.into(),
            route: route.into(),
            fast: Cohort::new(usual[0]),
            slow: Cohort::new(usual[1]),
            steps: Share::default(),
            refused: Share::default(),
        }
    }

    /// Learns of a window that ended.
    pub(crate) fn learn(&mut self, pair: &Pair, usual: f64) {
        self.fast.learn(pair.objects.count(), usual);
        // Half of the steps of a window stay for the next.
        self.steps.learn(pair.hits / 2, pair.steps / 2);
        self.refused.learn(pair.refused, pair.granted + pair.refused);
    }

    /// Share of steps from one object to the next that are as before, at most 0.85: beyond, even
    /// steps say nothing.
    pub(crate) fn same_step(&self) -> f64 {
        self.steps.estimate(0.25, 100.0).min(0.85)
    }

    /// Share of requests that are refused, at most 0.85.
    pub(crate) fn refusal(&self) -> f64 {
        self.refused.estimate(0.05, 100.0).min(0.85)
    }
}
