//! Enumeration: a source, or a user of it, asks a route for one object after another, as one does
//! who tries whether the server checks whose they are (OWASP API1:2023, Broken Object Level
//! Authorization).
//!
//! **Formula.** For each (API, source, user, route with a placeholder or an `…id` in its query):
//! distinct objects within ten minutes and within a day ([`Distinct`](super::who::distinct)), how
//! often the difference between two objects' numbers is the same again, and how many requests were
//! refused (401, 403, 404, 410).
//!
//! ```text
//! evidence = tail(objects per person)               what others do at this route: who::cohort
//!          + [0, 15] LLR(steps that are the same; learned share against 0.9)
//!          + [0, 8]  LLR(requests refused; learned share + 0.05 against 0.5 or half way to 1)
//! ```
//!
//! A finding needs `min_objects` within ten minutes or `min_objects_day` within a day, and evidence
//! that the alert budget lets pass. It closes after `quiet` seconds with fewer than a tenth of
//! `min_objects` new ones.
//!
//! **People.** Where a source sends several credentials, each user has a record of their own, and
//! the source as a whole is judged by objects *per user*: hundreds of people behind one address are
//! not one who asks for everything. It takes twice the minimum to blame the whole, and no user that is
//! to blame alone. One who changes credentials with every request is still found by
//! even steps and refusals, which do not come from many people at once.
//!
//! **Assumptions.** People at one route ask for about as many objects as each other. Steps of one
//! source are counted as independent up to a bound of 15 nats; in an application in which everybody
//! pages through everything the learned share takes that evidence away. What it does not see: fewer
//! objects than the minimum; identifiers in bodies or headers; random identifiers that are all
//! granted, at less than about 300 times the 90 % quantile of others; anything inside TLS.
//!
//! **Sampling.** Objects are counted as seen: with one flow in a hundred, a hundredth of those that
//! come over many connections. **Forgery.** Findings say so when more than a tenth of the requests
//! had no handshake in both directions.

use super::finding::Measure;
use super::who::record::Pair;
use super::who::route::Route;
use super::who::share::ratio;
use super::who::{DAY, Judged, WINDOW, span};

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnumerationConfig {
    /// Distinct objects of a route within ten minutes without which there is no finding.
    pub min_objects: f64,
    /// The same within a day.
    pub min_objects_day: f64,
    /// What nine in ten sources are expected to stay below before others are known, within ten
    /// minutes and a day.
    pub usual: [f64; 2],
    /// Most that even steps add, nats.
    pub most_stride: f64,
    /// Most that refusals add, nats.
    pub most_refused: f64,
}

impl Default for EnumerationConfig {
    fn default() -> Self {
        Self {
            min_objects: 50.0,
            min_objects_day: 300.0,
            usual: [20.0, 60.0],
            most_stride: 15.0,
            most_refused: 8.0,
        }
    }
}

impl EnumerationConfig {
    /// Whether it is worth a closer look.
    pub(super) fn suspects(&self, pair: &Pair) -> bool {
        // Who takes a day for it asks little within ten minutes; within the first of them the day has no
        // more objects than they have.
        pair.requests >= self.min_objects as u32 / 2 && pair.objects.count() >= self.min_objects
            || pair.since > pair.day && pair.day_objects.count() >= self.min_objects_day
    }

    /// How strange a pair is; `None` below the minimum. `people` is how many it stands for.
    pub(super) fn judge<'a>(
        &self,
        pair: &Pair,
        route: &'a Route,
        people: f64,
    ) -> Option<Judged<'a>> {
        let stride =
            ratio(pair.hits, pair.steps, route.same_step(), 0.9, self.most_stride).max(0.0);
        let refusals = route.refusal() + 0.05;
        let refused = ratio(
            pair.refused,
            pair.granted + pair.refused,
            refusals,
            f64::midpoint(refusals, 1.0).max(0.5),
            self.most_refused,
        )
        .max(0.0);
        let windows = [
            (pair.objects.count(), self.min_objects, &route.fast, WINDOW),
            (pair.day_objects.count(), self.min_objects_day, &route.slow, DAY),
        ];
        let enough = windows.into_iter().filter(|(objects, least, ..)| objects >= least);
        let judged = enough.map(|(objects, _, cohort, window)| {
            Judged::new(cohort, objects, people, stride + refused, window)
        });
        judged.max_by(|a, b| a.evidence.total_cmp(&b.evidence))
    }

    /// What is said of a pair. `threshold` is the evidence that is asked for.
    pub(super) fn measure(
        &self,
        pair: &Pair,
        route: &Route,
        judged: &Judged<'_>,
        api: &str,
        threshold: f64,
    ) -> Measure {
        let share = |part: u32, all: u32| f64::from(part) / f64::from(all.max(1)) * 100.0;
        let mut why = format!(
            "{} asked {} for {:.0} different objects of {} {} within {}; nine in ten sources ask for \
             fewer than {:.0}",
            pair.who,
            api,
            judged.observed,
            route.method,
            route.route,
            span(judged.window),
            judged.usual,
        );
        if pair.steps > 10 {
            let even = share(pair.hits, pair.steps);
            why += &format!("; {even:.0} % of the steps from one to the next are {}", pair.stride);
        }
        let answered = pair.granted + pair.refused;
        why += &format!("; {:.0} % were refused", share(pair.refused, answered));
        Measure {
            unit: "distinct objects",
            observed: judged.observed,
            baseline: judged.usual * judged.people,
            threshold: judged.threshold(threshold).max(match judged.window {
                WINDOW => self.min_objects,
                _ => self.min_objects_day,
            }),
            window_seconds: u64::from(judged.window),
            weight: pair.mean_weight(),
            why,
            owasp: Some("API1:2023 Broken Object Level Authorization"),
            evidence_forgeable: pair.forgeable(),
        }
    }
}
