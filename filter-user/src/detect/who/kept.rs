//! What sources of an API usually do, as bytes: what others are compared with outlives a restart.
//!
//! Kept are the cohorts of the API and of each of its routes with objects, and the shares of the latter.
//! What single sources did is not: their windows are of ten minutes, or a day.

use super::cohort::Cohort;
use super::roll::cohorts;
use super::route::Route;
use super::{ApiCohorts, Sources};
use crate::detect::codec::{Reader, Writer};

impl Sources {
    /// Writes what was learned of an API: nothing, when nothing was.
    pub(super) fn write_api(&self, api: u32, to: &mut Writer) {
        let routes =
            || self.routes.values().filter(|route| route.api == api && route.has_learned());
        let cohorts = self.cohorts.get(&api).filter(|cohorts| cohorts.has_learned());
        if cohorts.is_none() && routes().next().is_none() {
            return;
        }
        to.maybe(cohorts, |to, cohorts| {
            cohorts.each().into_iter().for_each(|cohort| cohort.write(to));
        });
        routes().for_each(|route| route.write(to));
    }

    /// Takes up what [`Self::write_api`] wrote, beside what was learned since; `None`, and nothing is
    /// taken up, when it is not that. Routes for which there is no room are counted as refused.
    pub(super) fn read_api(&mut self, api: u32, mut from: Reader<'_>) -> Option<()> {
        if from.is_empty() {
            return Some(());
        }
        let config = self.config;
        let usual = config.usual();
        let of_api = from.maybe(|from| {
            let [missing, pages, minute, day] = usual.map(|usual| Cohort::read(from, usual));
            Some(ApiCohorts { missing: missing?, pages: pages?, minute: minute?, day: day? })
        })?;
        let mut routes = Vec::new();
        while !from.is_empty() {
            routes.push(Route::read(&mut from, api, config.enumeration.usual)?);
        }
        if let Some(of_api) = of_api {
            *cohorts(&mut self.cohorts, api, &config) = of_api;
        }
        for route in routes {
            if let Some(key) = self.route(api, &route.method, &route.route) {
                self.routes.insert(key, route);
            }
        }
        Some(())
    }
}
