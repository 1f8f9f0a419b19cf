//! Which attacks there are.

use super::Walk::{Even, Guessed, Inside, Masked, Random};
use super::{Act, Mishap};
use crate::world::{ACCOUNTS, ApiNumber, CATALOGUE, ORDERS};

/// An attack or a mishap.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Names of the detectors of which any counts as found.
    pub detectors: &'static [&'static str],
    /// How strong it is.
    pub strength: &'static str,
    /// It must be found.
    pub must: bool,
    /// At which API.
    pub api: ApiNumber,
    /// What happens.
    pub act: Act,
}

impl Attack {
    /// It only shows while there are customers.
    pub fn needs_customers(&self) -> bool {
        matches!(self.act, Act::Mishap(..)) || self.detectors.contains(&"dispersion")
    }
}

const fn must(
    detectors: &'static [&'static str],
    api: ApiNumber,
    strength: &'static str,
    act: Act,
) -> Attack {
    Attack { detectors, strength, must: true, api, act }
}

const fn may(
    detectors: &'static [&'static str],
    api: ApiNumber,
    strength: &'static str,
    act: Act,
) -> Attack {
    Attack { must: false, ..must(detectors, api, strength, act) }
}

const GUESSING: &[&str] = &["brute_force"];
const STUFFING: &[&str] = &["credential_stuffing"];
const WALKING: &[&str] = &["enumeration"];
const PROBING: &[&str] = &["probing"];
// Pages that have numbers are objects too: one who scrapes them is told as either.
const SCRAPING: &[&str] = &["scraping", "enumeration"];
const TAKING: &[&str] = &["exfiltration"];
const RATE: &[&str] = &["rate_shift"];
const ERRORS: &[&str] = &["error_shift"];
const LATENCY: &[&str] = &["latency_shift"];
const SIZE: &[&str] = &["size_shift"];
const SLOW_TAIL: &[&str] = &["latency_tail"];
const LARGE_TAIL: &[&str] = &["size_tail"];
const SPREAD: &[&str] = &["dispersion"];
const ORIGIN: &[&str] = &["new_origin"];

/// All of them. What must be found follows docs/detectors.md.
pub fn table() -> Vec<Attack> {
    let mishap = |what, minutes| Act::Mishap(what, minutes);
    vec![
        must(GUESSING, ACCOUNTS, "2 a second for a minute", Act::Guess(0.5, 120, 0)),
        must(GUESSING, ACCOUNTS, "every 5 s for 5 min", Act::Guess(5.0, 60, 0)),
        must(GUESSING, ACCOUNTS, "every 10 s, one in five right", Act::Guess(10.0, 90, 5)),
        must(GUESSING, ACCOUNTS, "every 20 s for 20 min", Act::Guess(20.0, 60, 0)),
        may(GUESSING, ACCOUNTS, "every 90 s for 45 min", Act::Guess(90.0, 30, 0)),
        must(STUFFING, ACCOUNTS, "200 sources a minute for 5 min", Act::Stuff(200.0, 5.0)),
        must(STUFFING, ACCOUNTS, "60 sources a minute for 10 min", Act::Stuff(60.0, 10.0)),
        must(STUFFING, ACCOUNTS, "20 sources a minute for 15 min", Act::Stuff(20.0, 15.0)),
        must(STUFFING, ACCOUNTS, "10 sources a minute for 20 min", Act::Stuff(10.0, 20.0)),
        may(STUFFING, ACCOUNTS, "2 sources a minute for 30 min", Act::Stuff(2.0, 30.0)),
        must(WALKING, ORDERS, "in a row, 2 a second, 200", Act::Walk(0.5, 200, Even)),
        must(WALKING, ORDERS, "in a row, every 6 s, 120", Act::Walk(6.0, 120, Even)),
        must(WALKING, ORDERS, "in a row, every minute, 600", Act::Walk(60.0, 600, Even)),
        must(WALKING, ORDERS, "guessed, 1 a second, 300", Act::Walk(1.0, 300, Guessed)),
        must(WALKING, ORDERS, "one of an office, every 3 s, 200", Act::Walk(3.0, 200, Inside)),
        must(
            WALKING,
            ORDERS,
            "other credentials each, 2 a second, 200",
            Act::Walk(0.5, 200, Masked),
        ),
        may(WALKING, ORDERS, "random identifiers, 1 a second, 600", Act::Walk(1.0, 600, Random)),
        may(WALKING, ORDERS, "in a row, every minute, 120", Act::Walk(60.0, 120, Even)),
        must(PROBING, CATALOGUE, "4 a second, 80 words", Act::Probe(0.25, 80, 0)),
        must(
            PROBING,
            CATALOGUE,
            "2 a second, 90 words, one in three there",
            Act::Probe(0.5, 90, 3),
        ),
        must(PROBING, CATALOGUE, "every 10 s, 60 words", Act::Probe(10.0, 60, 0)),
        may(PROBING, CATALOGUE, "every minute, 60 words", Act::Probe(60.0, 60, 0)),
        must(SCRAPING, CATALOGUE, "1 a second, 600 pages", Act::Scrape(1.0, 600, 0.1)),
        must(SCRAPING, CATALOGUE, "every 2.5 s, 480 pages", Act::Scrape(2.5, 480, 0.2)),
        must(SCRAPING, CATALOGUE, "every 4 s, 400 pages", Act::Scrape(4.0, 400, 0.2)),
        may(SCRAPING, CATALOGUE, "every 8 s, 200 pages", Act::Scrape(8.0, 200, 0.2)),
        may(SCRAPING, CATALOGUE, "pauses like a person's, 300 pages", Act::Scrape(3.0, 300, 1.0)),
        must(TAKING, ORDERS, "1 GB within a minute", Act::Take(16.8e6, 1.0, 60)),
        must(TAKING, ORDERS, "300 MB within a minute", Act::Take(5e6, 1.0, 60)),
        must(TAKING, ORDERS, "1 GB within five hours", Act::Take(5e6, 90.0, 200)),
        may(TAKING, ORDERS, "30 MB within a minute", Act::Take(5e5, 1.0, 60)),
        must(RATE, CATALOGUE, "20 a second more for 15 min", Act::Flood(20.0, 15.0, 60)),
        must(RATE, CATALOGUE, "a twentieth for an hour", mishap(Mishap::Fewer(0.05), 60.0)),
        must(RATE, ORDERS, "3 a second more for 30 min", Act::Flood(3.0, 30.0, 60)),
        may(RATE, CATALOGUE, "half for an hour", mishap(Mishap::Fewer(0.5), 60.0)),
        must(ERRORS, ORDERS, "30 % for 30 min", mishap(Mishap::Errors(0.3), 30.0)),
        must(ERRORS, CATALOGUE, "10 % for an hour", mishap(Mishap::Errors(0.1), 60.0)),
        may(ERRORS, ORDERS, "3 % for an hour", mishap(Mishap::Errors(0.03), 60.0)),
        must(LATENCY, CATALOGUE, "3 times for 30 min", mishap(Mishap::Slower(3.0), 30.0)),
        must(LATENCY, ORDERS, "1.5 times for 90 min", mishap(Mishap::Slower(1.5), 90.0)),
        may(LATENCY, CATALOGUE, "1.15 times for an hour", mishap(Mishap::Slower(1.15), 60.0)),
        must(SIZE, ORDERS, "4 times for an hour", mishap(Mishap::Larger(4.0), 60.0)),
        must(SIZE, CATALOGUE, "twice for an hour", mishap(Mishap::Larger(2.0), 60.0)),
        may(SIZE, ORDERS, "1.2 times for an hour", mishap(Mishap::Larger(1.2), 60.0)),
        must(
            SLOW_TAIL,
            CATALOGUE,
            "10 % thirty times as slow, 1 h",
            mishap(Mishap::SomeSlower(0.1, 30.0), 60.0),
        ),
        may(
            SLOW_TAIL,
            CATALOGUE,
            "2 % thirty times as slow, 1 h",
            mishap(Mishap::SomeSlower(0.02, 30.0), 60.0),
        ),
        must(
            LARGE_TAIL,
            CATALOGUE,
            "10 % a hundred times as large, 1 h",
            mishap(Mishap::SomeLarger(0.1, 100.0), 60.0),
        ),
        may(
            LARGE_TAIL,
            CATALOGUE,
            "2 % a hundred times as large, 1 h",
            mishap(Mishap::SomeLarger(0.02, 100.0), 60.0),
        ),
        must(SPREAD, CATALOGUE, "5,000 sources that ask once, 15 min", Act::Flood(5.5, 15.0, 5000)),
        must(SPREAD, CATALOGUE, "5 sources, 10 a second, 20 min", Act::Flood(10.0, 20.0, 5)),
        may(SPREAD, CATALOGUE, "300 sources that ask once, 15 min", Act::Flood(0.34, 15.0, 300)),
        must(ORIGIN, ORDERS, "10 requests of a country never seen", Act::Far(30.0, 10)),
    ]
}
