//! Pressure on limits and bans, from the kernel's exact counters: limits refuse more than usual, or
//! sources that are banned keep coming.
//!
//! **Formula.** Packets of each API refused by a limit, and by a ban, within each ten seconds, as
//! `ln(1 + packets a second)`; [`Level`] of it, upwards only, with a standard deviation of at least
//! 0.5 (a factor of 1.6). A finding needs `min_rate` packets a second, and a limit's `min_share` of
//! the API's packets; it closes after a minute below the usual's threefold, or after an hour, when
//! the rate is taken for usual.
//!
//! **Assumptions.** Counters are exact whatever is sampled, and those of monitor mode (would have
//! been refused) count too. Without a limit or a ban there is nothing to see. **Forgery**: a packet
//! that is refused proves nothing of who sent it, so that these may alert, never ban.
//!
//! **Memory.** Two states an API.

use std::collections::HashMap;

use super::SECOND;
use super::api::ApiProfile;
use super::detector::{Detect, Tick};
use super::engine::StateCount;
use super::finding::{Detector, Measure};
use super::level::{Course, Level, LevelConfig};
use super::lifecycle::Subject;
use super::observation::Traffic;

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PressureConfig {
    /// Refused packets a second without which there is no finding.
    pub min_rate: f64,
    /// Share of the API's packets that a limit must refuse.
    pub min_share: f64,
    /// See [`super::level`]; values come every ten seconds.
    pub level: LevelConfig,
}

impl Default for PressureConfig {
    fn default() -> Self {
        Self {
            min_rate: 5.0,
            min_share: 0.01,
            level: LevelConfig { lookback: 60, warm_up: 6, least: 0.5, calm: 6, adopt: 360 },
        }
    }
}

/// Length of an interval, ns.
const INTERVAL: u64 = 10 * SECOND;

#[derive(Debug)]
struct State {
    /// When the interval began, and the counters were read last.
    began: u64,
    read: u64,
    /// The counters then.
    first: Traffic,
    last: Traffic,
    levels: [Level; 2],
}

/// Both detectors.
#[derive(Debug)]
pub(crate) struct Pressure {
    config: PressureConfig,
    states: HashMap<u32, State>,
}

impl Pressure {
    pub(crate) fn new(config: PressureConfig) -> Self {
        Self { config, states: HashMap::new() }
    }
}

const DETECTORS: [Detector; 2] = [Detector::LimitPressure, Detector::BanPressure];

impl Detect for Pressure {
    fn traffic(&mut self, api: &ApiProfile, traffic: &Traffic, now: u64) {
        let level = &self.config.level;
        let state = self.states.entry(api.id).or_insert_with(|| State {
            began: now,
            read: now,
            first: *traffic,
            last: *traffic,
            levels: [Level::new(level), Level::new(level)],
        });
        // Counters that went back began anew.
        if traffic.passed < state.last.passed || traffic.limited < state.last.limited {
            state.first = *traffic;
        }
        state.last = *traffic;
        state.read = state.read.max(now);
    }

    fn tick(&mut self, tick: &mut Tick<'_>) {
        let config = &self.config;
        for (&id, state) in &mut self.states {
            let passed = state.read.saturating_sub(state.began);
            let Some(api) = tick.apis.get(&id) else { continue };
            if passed < INTERVAL {
                continue;
            }
            let seconds = passed as f64 / SECOND as f64;
            let (first, last) = (state.first, state.last);
            let since = |of: fn(&Traffic) -> u64| of(&last).saturating_sub(of(&first)) as f64;
            let all = since(|t| t.passed) + since(|t| t.limited);
            let refused = [since(|t| t.limited), since(|t| t.banned)];
            (state.began, state.first) = (state.read, last);
            for (which, detector) in DETECTORS.into_iter().enumerate() {
                let rate = refused[which] / seconds;
                let share = refused[which] / all.max(1.0);
                let enough = rate >= config.min_rate && (which == 1 || share >= config.min_share);
                let level = &mut state.levels[which];
                let judged = level.judge(rate.ln_1p(), &config.level);
                let subject = Subject::api(detector, id);
                let measure = || {
                    let usual = judged.level.exp_m1();
                    let (what, whom) = match detector {
                        Detector::LimitPressure => ("limits", "packets"),
                        _ => ("bans", "packets of banned sources"),
                    };
                    Measure {
                        unit: "packets a second",
                        observed: rate,
                        baseline: usual,
                        threshold: (judged.level + 3.0 * judged.spread)
                            .exp_m1()
                            .max(config.min_rate),
                        window_seconds: INTERVAL / SECOND,
                        weight: 1.0,
                        why: format!(
                            "{what} refuse {rate:.0} {whom} a second at {}; {usual:.1} are usual",
                            api.name,
                        ),
                        owasp: Some("API4:2023 Unrestricted Resource Consumption"),
                        evidence_forgeable: true,
                    }
                };
                if level.is_open() {
                    let strange = enough && judged.up && judged.evidence > 2.0;
                    match level.course(strange, &config.level) {
                        Course::Goes => {
                            tick.findings.update(&subject, measure, true, 1.0, tick.now);
                        }
                        Course::Calm | Course::Adopted => {
                            let why =
                                format!("{rate:.0} packets a second are refused at {}", api.name);
                            tick.findings.close(&subject, why, tick.now);
                        }
                    }
                } else if enough
                    && judged.up
                    && judged.evidence > 0.0
                    && tick.budget.exceeds(detector, judged.evidence)
                    && tick.findings.open(&subject, api, measure(), 1.0, tick.now)
                {
                    level.open();
                }
            }
        }
    }

    fn retain(&mut self, keep: &dyn Fn(u32) -> bool) {
        self.states.retain(|api, _| keep(*api));
    }

    fn state_counts(&self) -> Vec<StateCount> {
        let states = self.states.len() as u64;
        vec![StateCount { detector: Detector::LimitPressure, states, evicted: 0 }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::simulation::{Random, orders};
    use crate::detect::{Config, Engine, Example, RefusedBy, RefusedSeen, State};

    #[test]
    fn rows() {
        type Rate = fn(u64) -> f64;
        let at = |second: u64| (1000..1300).contains(&second);
        let rows: [(&str, Rate, Rate, Option<Detector>); 6] = [
            ("nothing", |_| 0.0, |_| 0.0, None),
            ("as always", |_| 40.0, |_| 30.0, None),
            (
                "a limit's flood",
                |s| if (1000..1300).contains(&s) { 900.0 } else { 2.0 },
                |_| 0.0,
                Some(Detector::LimitPressure),
            ),
            (
                "few, but never before",
                |s| if (1000..1300).contains(&s) { 60.0 } else { 0.0 },
                |_| 0.0,
                Some(Detector::LimitPressure),
            ),
            (
                "banned ones come back",
                |_| 0.0,
                |s| if (1000..1300).contains(&s) { 100.0 } else { 0.0 },
                Some(Detector::BanPressure),
            ),
            ("one burst", |s| if (1001..1010).contains(&s) { 500.0 } else { 1.0 }, |_| 0.0, None),
        ];
        for (what, limited, banned, expected) in rows {
            let mut engine = Engine::new(Config::default(), 1);
            engine.set_apis([orders()]);
            let mut random = Random::new(3);
            let mut traffic = Traffic { api: 1, ..Traffic::default() };
            let mut found = Vec::new();
            for second in 0..2000 {
                for (rate, by) in [(limited, RefusedBy::Limit), (banned, RefusedBy::Ban)] {
                    if rate(second) > 10.0 {
                        let source = [192, 0, 2, by as u8].into();
                        let time = second * SECOND;
                        engine.refusal(&RefusedSeen { time, api: 1, source, port: 8080, by });
                    }
                }
                traffic.passed += u64::from(random.poisson(300.0));
                traffic.limited += u64::from(random.poisson(limited(second)));
                traffic.banned += u64::from(random.poisson(banned(second)));
                engine.traffic(&traffic, second * SECOND);
                found.extend(engine.tick(second * SECOND, 0, 1.0));
            }
            let opened: Vec<_> = found.iter().filter(|f| f.state == State::Open).collect();
            assert_eq!(opened.first().map(|f| f.detector), expected, "{what}: {found:#?}");
            assert_eq!(opened.len(), usize::from(expected.is_some()), "{what}: {found:#?}");
            assert!(opened.iter().all(|f| at(f.opened / SECOND)), "{what}");
            for finding in &found {
                let by = match finding.detector {
                    Detector::LimitPressure => RefusedBy::Limit,
                    _ => RefusedBy::Ban,
                };
                let whose: std::net::IpAddr = [192, 0, 2, by as u8].into();
                let is_one = |one: &Example| one.source == whose && one.port == Some(8080);
                assert!(!finding.examples.is_empty(), "{what}: {finding:?}");
                assert!(finding.examples.iter().all(is_one), "{what}: {finding:?}");
            }
            let closed = found.last().is_none_or(|last| last.state == State::Closed);
            assert!(closed, "{what}: {found:#?}");
        }
    }
}
