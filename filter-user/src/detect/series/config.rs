//! Parameters of a series.

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeriesConfig {
    /// Seconds from one value to the next, 1 to 3600.
    pub step: u32,
    /// Days before anything is judged.
    pub warm_up_days: u32,
    /// Surprise that a value may have on average before sums grow, nats, more than 1.
    pub allowance: f64,
    /// Factor by which a value must be off, more than 1.
    pub ratio: f64,
    /// The same in hours of the week that were never seen: days of the week differ by as much.
    pub ratio_unseen: f64,
    /// Share of the mean by which a value must be off.
    pub share_of_mean: f64,
    /// How often within `memory_days` a run as high may have been seen before it is no news, 1 to 6.
    pub recur: usize,
    /// How long runs are remembered, days.
    pub memory_days: u32,
    /// Values without evidence after which an alarm ends.
    pub calm: u16,
    /// Values after which a new level is usual.
    pub adopt: u32,
    /// Values of an alarm that count as deviations seen.
    pub in_alarm: u8,
}

impl Default for SeriesConfig {
    fn default() -> Self {
        Self {
            step: 300,
            warm_up_days: 2,
            allowance: 3.0,
            ratio: 1.2,
            ratio_unseen: 2.0,
            share_of_mean: 0.2,
            recur: 4,
            memory_days: 7,
            calm: 18,
            adopt: 144,
            in_alarm: 12,
        }
    }
}

impl SeriesConfig {
    pub(super) fn hour(&self) -> u32 {
        (3600 / self.step.clamp(1, 3600)).max(1)
    }

    pub(crate) fn days(&self, days: u32) -> u32 {
        self.hour().saturating_mul(24).saturating_mul(days)
    }

    /// Values before anything is judged.
    pub(crate) fn warm_up(&self) -> u32 {
        self.days(self.warm_up_days) + 1
    }

    /// Half of what deviations are remembered of: a week.
    pub(super) fn half(&self) -> u16 {
        u16::try_from(self.days(7)).unwrap_or(u16::MAX / 2).min(u16::MAX / 2)
    }

    /// See the module; between 0 and 1.
    pub(super) fn root(&self) -> f64 {
        let allowance = self.allowance.max(1.01);
        // The map contracts towards the root that is not 0.
        (0..60).fold(0.9, |root: f64, _| 1.0 - (-allowance * root).exp())
    }
}
