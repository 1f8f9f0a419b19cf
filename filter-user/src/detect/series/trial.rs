//! One series by itself, with the thresholds that the daemon would have for it: what `cargo xtask lab
//! --series` runs over recorded series.

use super::{Judged, Kind, Sampling, Series, SeriesConfig, Step};
use crate::detect::budget::{Alerts, Budget};
use crate::detect::finding::{Detector, Severity};
use crate::detect::{SECOND, minute_of_week};

/// See the module.
#[derive(Debug)]
pub struct Trial {
    series: Series,
    config: SeriesConfig,
    budget: Budget,
}

impl Trial {
    /// A series with a value every `step` seconds, of an API whose shifts are warnings, on a host
    /// whose operator wants to see so many alerts a day.
    pub fn new(step: u32, alerts: &Alerts) -> Self {
        let mut budget = Budget::default();
        budget.share(alerts, |_| Severity::Warning);
        Self {
            series: Series::new(),
            config: SeriesConfig { step, ..SeriesConfig::default() },
            budget,
        }
    }

    /// The next value, of a time in seconds since 1970.
    pub fn step(&mut self, time: u64, value: f64) -> Option<(Judged, Step)> {
        let time = u64::saturating_mul(time, SECOND);
        self.budget.advance(time);
        let kind = Kind { least_unit: f64::MIN_POSITIVE, least_change: 0.0 };
        let budget = &mut self.budget;
        let mut enough = |evidence| budget.exceeds(Detector::RateShift, evidence);
        let minute = minute_of_week(i128::from(time));
        self.series.step(minute, value, Sampling::Exact, &kind, &self.config, &mut enough)
    }

    /// The evidence that is asked for now, nats.
    pub fn threshold(&self) -> f64 {
        self.budget.threshold(Detector::RateShift)
    }
}
