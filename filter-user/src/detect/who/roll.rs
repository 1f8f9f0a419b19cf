//! The end of a window: what was seen joins what others did.

use std::collections::HashMap;

use super::distinct::Distinct;
use super::record::{Pair, Record};
use super::route::Route;
use super::{ApiCohorts, DAY, UNIT, WINDOW, WhoConfig};
use crate::detect::finding::Detector;
use crate::detect::hasher::Mixing;

/// The cohorts of an API.
pub(super) fn cohorts<'a>(
    cohorts: &'a mut HashMap<u32, ApiCohorts, Mixing>,
    api: u32,
    config: &WhoConfig,
) -> &'a mut ApiCohorts {
    cohorts.entry(api).or_insert_with(|| ApiCohorts::new(config))
}

/// A bit of [`Record::open`].
pub(super) fn bit(detector: Detector) -> u8 {
    match detector {
        Detector::Probing => 1,
        Detector::Scraping => 2,
        Detector::Exfiltration => 4,
        _ => 0,
    }
}

/// Ends what is over of a record's minute, ten minutes and day, and learns from it.
pub(super) fn roll_record(
    record: &mut Record,
    all: &mut HashMap<u32, ApiCohorts, Mixing>,
    config: &WhoConfig,
    now: u32,
) {
    let others = cohorts(all, record.who.api, config);
    // A network of several users is none of those that one is compared with.
    let alone = !record.shared;
    let usual = |detector| alone && record.open & bit(detector) == 0;
    let takes = usual(Detector::Exfiltration);
    let units = |bytes: f32| f64::from(bytes) / UNIT;
    if record.minute_bytes > 0.0 && takes {
        others.minute.learn(units(record.minute_bytes), config.exfiltration.usual[0] / UNIT);
    }
    if now.saturating_sub(record.day) >= DAY {
        if record.day_bytes > 0.0 && takes {
            others.day.learn(units(record.day_bytes), config.exfiltration.usual[1] / UNIT);
        }
        record.day = now;
        record.day_bytes = 0.0;
    }
    record.minute = now;
    record.minute_bytes = 0.0;
    if now.saturating_sub(record.since) >= WINDOW {
        if usual(Detector::Probing) {
            others.missing.learn(record.missing.count(), config.probing.usual);
        }
        if usual(Detector::Scraping) {
            others.pages.learn(record.pages.count(), config.scraping.usual);
        }
        record.begin(now);
    }
}

/// The same of a pair.
pub(super) fn roll_pair(
    pair: &mut Pair,
    routes: &mut HashMap<u64, Route, Mixing>,
    config: &WhoConfig,
    now: u32,
) {
    let usual = config.enumeration.usual;
    if let Some(route) = routes.get_mut(&pair.route)
        && !(pair.open || pair.shared)
        && pair.requests > 0
    {
        route.learn(pair, usual[0]);
        if now.saturating_sub(pair.day) >= DAY {
            route.slow.learn(pair.day_objects.count(), usual[1]);
        }
    }
    if now.saturating_sub(pair.day) >= DAY {
        pair.day = now;
        pair.day_objects = Distinct::default();
    }
    pair.begin(now);
}
