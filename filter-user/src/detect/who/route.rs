//! Routes with objects, and what sources do there.

use std::sync::Arc;

use super::cohort::Cohort;
use super::record::Pair;
use super::share::Share;
use crate::detect::codec::{Reader, Writer};

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

    /// Whether any window that ended was taken into account.
    pub(crate) fn has_learned(&self) -> bool {
        self.fast.has_learned() || self.slow.has_learned()
    }

    /// Writes it.
    pub(crate) fn write(&self, to: &mut Writer) {
        to.text(&self.method);
        to.text(&self.route);
        self.fast.write(to);
        self.slow.write(to);
        self.steps.write(to);
        self.refused.write(to);
    }

    /// What [`Self::write`] wrote, of an API; `None` when it is not that.
    pub(crate) fn read(from: &mut Reader<'_>, api: u32, usual: [f64; 2]) -> Option<Self> {
        Some(Self {
            api,
            method: from.text()?.into(),
            route: from.text()?.into(),
            fast: Cohort::read(from, usual[0])?,
            slow: Cohort::read(from, usual[1])?,
            steps: Share::read(from)?,
            refused: Share::read(from)?,
        })
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
