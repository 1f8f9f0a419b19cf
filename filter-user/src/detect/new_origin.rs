//! New origin: requests from a country or network (autonomous system) that an API has hardly ever
//! seen, where its criticality is high or critical.
//!
//! **Formula.** Each source counts at most five times a day, however much it asks, at its country and
//! at its network. Of `N` counts on the days before, `c` were from there, so that one of today's `n`
//! is expected from there with `q = (c + 1/2) / (N + 1)` (Jeffreys' prior); its surprise is `-log2 q`
//! bits. For `k` of them today, with Chernoff's bound on a Poisson tail,
//!
//! ```text
//! evidence = k ln(k / n q) - k + n q                 for k > n q
//! ```
//!
//! A finding names the source whose request went too far, needs `min_bits` and three counts, and
//! tells of each country and network once a day. It closes after an hour.
//!
//! **Assumptions.** Users come from where they came from; travellers and VPNs are new origins and are
//! told. What was learned halves in 30 days. Nothing is judged before `min_counts` on a day before.
//! What it does not see: an attacker in a usual country and network; sources that the databases
//! (`[geo]`) do not know; anything without databases. **Forgery**: requests without a handshake do
//! not count.
//!
//! **Memory.** At most `origins` countries and networks an API; further ones count as one.

use std::collections::HashMap;

use super::SECOND;
use super::api::ApiProfile;
use super::detector::{Detect, Tick};
use super::engine::StateCount;
use super::finding::{Detector, Measure};
use super::hasher::Mixing;
use super::lifecycle::Subject;
use super::observation::Observation;
use super::source::Source;
use super::who::distinct::Distinct;
use crate::policy::Criticality;

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewOriginConfig {
    /// Surprise, bits, without which there is no finding.
    pub min_bits: f64,
    /// Counts on days before without which nothing is judged.
    pub min_counts: f64,
    /// Most countries and networks of an API.
    pub origins: usize,
}

impl Default for NewOriginConfig {
    fn default() -> Self {
        Self { min_bits: 10.0, min_counts: 600.0, origins: 2048 }
    }
}

/// A day, ns.
const DAY: u64 = 86_400 * SECOND;
/// Most that a source counts in a day.
const MOST: f64 = 5.0;
/// Of what was learned, what is left after a day: half in 30 days.
const KEPT: f64 = 0.977;
/// How long a finding stays open, ns.
const LASTS: u64 = 3600 * SECOND;

/// A country, a network, or all for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Country([u8; 2]),
    Network(u32),
    Other,
}

#[derive(Debug, Default)]
struct Count {
    learned: f64,
    requests: u32,
    sources: Distinct,
    told: bool,
}

impl Count {
    /// Today's.
    fn today(&self) -> f64 {
        f64::from(self.requests).min(MOST * self.sources.count().round())
    }
}

#[derive(Debug)]
struct Places {
    began: u64,
    learned: f64,
    places: HashMap<Place, Count, Mixing>,
    /// All of today's.
    all: Count,
    suspects: Vec<(Place, Source, f64)>,
    overflow: u64,
}

impl Places {
    fn advance(&mut self, now: u64) {
        while now.saturating_sub(self.began) >= DAY {
            self.began += DAY;
            self.learned = self.learned * KEPT + self.all.today();
            self.all = Count::default();
            for count in self.places.values_mut() {
                let learned = count.learned * KEPT + count.today();
                *count = Count { learned, ..Count::default() };
            }
            self.places.retain(|_, count| count.learned > 0.01);
            // After a long silence nothing is left to decay.
            if now.saturating_sub(self.began) > 400 * DAY {
                self.began = now;
            }
        }
    }

    /// Surprise in bits of a request from the most usual place of this kind.
    fn usual(&self, place: Place) -> f64 {
        let alike = |other: &Place| std::mem::discriminant(other) == std::mem::discriminant(&place);
        let counts = self.places.iter().filter(|(other, _)| alike(other));
        let most = counts.map(|(_, count)| count.learned).fold(0.0, f64::max);
        -((most + 0.5) / (self.learned + 1.0)).log2()
    }

    /// Surprise in bits of a request from there, and evidence of all of today's.
    fn surprise(&self, place: Place) -> Option<(f64, f64)> {
        let count = self.places.get(&place)?;
        let share = (count.learned + 0.5) / (self.learned + 1.0);
        let expected = (self.all.today() * share).max(f64::MIN_POSITIVE);
        let today = count.today();
        let evidence =
            if today > expected { today * (today / expected).ln() - today + expected } else { 0.0 };
        Some((-share.log2(), evidence))
    }
}

/// The detector.
#[derive(Debug)]
pub(crate) struct NewOrigin {
    config: NewOriginConfig,
    seed: u64,
    apis: HashMap<u32, Places, Mixing>,
    open: Vec<(Subject, u64)>,
}

impl NewOrigin {
    pub(crate) fn new(config: NewOriginConfig, seed: u64) -> Self {
        Self { config, seed, apis: HashMap::default(), open: Vec::new() }
    }
}

impl Detect for NewOrigin {
    fn observe(&mut self, api: &ApiProfile, observation: &Observation<'_>) {
        let origin = observation.origin;
        let cares = matches!(api.criticality, Criticality::High | Criticality::Critical);
        if !cares || !observation.handshake || origin.country.is_none() && origin.asn.is_none() {
            return;
        }
        let places = self.apis.entry(api.id).or_insert_with(|| Places {
            began: observation.time,
            learned: 0.0,
            places: HashMap::default(),
            all: Count::default(),
            suspects: Vec::new(),
            overflow: 0,
        });
        places.advance(observation.time);
        let source = Source::of(observation.source, api.sources);
        let hash = source.hash(self.seed);
        places.all.requests = places.all.requests.saturating_add(1);
        places.all.sources.add(hash);
        let of = [origin.country.map(Place::Country), origin.asn.map(Place::Network)];
        for mut place in of.into_iter().flatten() {
            if places.places.len() >= self.config.origins && !places.places.contains_key(&place) {
                places.overflow += 1;
                place = Place::Other;
            }
            let count = places.places.entry(place).or_default();
            count.requests = count.requests.saturating_add(1);
            count.sources.add(hash);
            let judged = places.learned >= self.config.min_counts;
            if judged
                && !count.told
                && count.requests >= 3
                && place != Place::Other
                && let Some((bits, evidence)) = places.surprise(place)
                && bits >= self.config.min_bits
                && places.suspects.len() < 64
            {
                places.suspects.push((place, source, evidence));
            }
        }
    }

    fn tick(&mut self, tick: &mut Tick<'_>) {
        if !tick.judges() {
            return;
        }
        let now = tick.now;
        for (&id, places) in &mut self.apis {
            let Some(api) = tick.apis.get(&id) else { continue };
            for (place, source, evidence) in std::mem::take(&mut places.suspects) {
                let Some((bits, _)) = places.surprise(place) else { continue };
                let learned = places.learned;
                let usual = places.usual(place);
                let Some(count) = places.places.get_mut(&place) else { continue };
                if count.told || !tick.budget.exceeds(Detector::NewOrigin, evidence) {
                    continue;
                }
                let what = match place {
                    Place::Country(code) => {
                        format!("the country {}", String::from_utf8_lossy(&code))
                    }
                    Place::Network(number) => format!("the network AS{number}"),
                    Place::Other => continue,
                };
                let why = format!(
                    "{source} asks {} from {what}, which {:.0} of {learned:.0} usually come from: a \
                     surprise of {bits:.1} bits",
                    api.name, count.learned,
                );
                let measure = Measure {
                    unit: "bits",
                    observed: bits,
                    baseline: usual,
                    threshold: self.config.min_bits,
                    window_seconds: DAY / SECOND,
                    weight: 1.0,
                    why,
                    owasp: None,
                    evidence_forgeable: false,
                };
                let subject = Subject::source(Detector::NewOrigin, id, source);
                if self.open.iter().any(|(open, _)| *open == subject) {
                    count.told = true;
                } else if tick.findings.open(&subject, api, measure, tick.completeness, now) {
                    count.told = true;
                    self.open.push((subject, now));
                }
            }
        }
        self.open.retain(|(subject, opened)| {
            let over = now.saturating_sub(*opened) >= LASTS;
            if over {
                tick.findings.close(subject, "it was told an hour ago".to_owned(), now);
            }
            !over
        });
    }

    fn retain(&mut self, keep: &dyn Fn(u32) -> bool) {
        self.apis.retain(|api, _| keep(*api));
    }

    fn state_counts(&self) -> Vec<StateCount> {
        let states = self.apis.values().map(|places| places.places.len() as u64).sum();
        let evicted = self.apis.values().map(|places| places.overflow).sum();
        vec![StateCount { detector: Detector::NewOrigin, states, evicted }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::simulation::{Random, client, orders};
    use crate::detect::{Config, Engine, Origin, State};

    const DAYS: u64 = 10;

    /// Days of people of whom most are of one country, some of two others and few of many; on the
    /// last, what is asked from elsewhere.
    fn play(criticality: Criticality, elsewhere: &[(u32, u32, &[u8; 2])]) -> Vec<String> {
        let mut engine = Engine::new(Config::default(), 1);
        engine.set_apis([ApiProfile { criticality, ..orders() }]);
        let mut random = Random::new(9);
        let mut found = Vec::new();
        let ask = |engine: &mut Engine, time, source, country, asn| {
            let origin = Origin { country: Some(country), asn: Some(asn) };
            engine.observe(&Observation { time, source, origin, ..Observation::example() });
        };
        for day in 0..DAYS {
            for hour in 0..24 {
                let time = day * DAY + hour * 3600 * SECOND;
                for _ in 0..60 {
                    let person = (random.share() * 500.0) as u32;
                    let (country, asn) = match person % 100 {
                        0..80 => (*b"DE", 1 + person % 5),
                        80..98 => ([b'F', b'A' + (person % 2) as u8], 10 + person % 3),
                        _ => ([b'X', b'A' + (person / 100) as u8], 20 + person / 100),
                    };
                    (0..=random.poisson(2.0)).for_each(|_| {
                        ask(&mut engine, time, client(person), country, asn);
                    });
                }
                if day + 1 == DAYS && hour == 12 {
                    for &(number, requests, country) in elsewhere {
                        (0..requests).for_each(|_| {
                            ask(&mut engine, time, client(9000 + number), *country, 99);
                        });
                    }
                }
                found.extend(engine.tick(time + 1800 * SECOND, 0, 1.0));
            }
        }
        let opened = found.into_iter().filter(|f| f.state == State::Open);
        let ours = opened.filter(|f| f.detector == Detector::NewOrigin);
        ours.map(|finding| finding.measure.why).collect()
    }

    #[test]
    fn rows() {
        let one: &[_] = &[(1, 20, b"KP")];
        for (what, criticality, elsewhere, expected) in [
            ("nobody", Criticality::Critical, &[][..], false),
            ("somebody who stays", Criticality::Critical, one, true),
            ("where it does not matter", Criticality::Medium, one, false),
            ("one request", Criticality::Critical, &[(1, 1, b"KP")], false),
            (
                "six travellers, one request each",
                Criticality::High,
                &[
                    (1, 1, b"KP"),
                    (2, 1, b"KP"),
                    (3, 1, b"KP"),
                    (4, 1, b"KP"),
                    (5, 1, b"KP"),
                    (6, 1, b"KP"),
                ],
                true,
            ),
            ("a usual place", Criticality::Critical, &[(1, 20, b"DE")], true),
        ] {
            let found = play(criticality, elsewhere);
            assert_eq!(!found.is_empty(), expected, "{what}: {found:?}");
            let country = found.iter().any(|why| why.contains("the country KP"));
            let network = found.iter().any(|why| why.contains("the network AS99"));
            let usual = elsewhere.iter().all(|(.., country)| *country == b"DE");
            assert_eq!(country || network, expected, "{what}: {found:?}");
            assert!(!(usual && country), "{what}: {found:?}");
        }
    }
}
