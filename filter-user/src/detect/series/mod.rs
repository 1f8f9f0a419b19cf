//! Whether a number that is measured step after step (a rate, a latency, a share) goes on as it
//! usually does at this hour of the week.
//!
//! **Formula.** A value is put on a scale ([`scale`]: straight near zero, logarithmic far from it)
//! and compared with what is usual at its hour of the week ([`profile`]), plus a slow drift:
//!
//! ```text
//! deviation = (asinh(value / unit) - asinh(drift × usual(time) / unit)) / spread(hour)
//! surprise  = -ln(share of deviations seen that were as large), each direction for itself
//! sum       = max(0, sum + surprise - allowance)
//! evidence  = allowance + root × sum - ln 2
//! ```
//!
//! The share is that of what was seen in the last two weeks, extrapolated behind the largest
//! ([`tail`]), so that nothing is taken for normal: a series whose usual state is bursts is judged by
//! its bursts. Values above nearly all that were ever seen, at whatever hour, are judged by that too.
//! A surprise counts when the value is off by the factor `ratio` (`ratio_unseen` in the first week, in
//! which weir knows of no day of the week how it differs from others), by `share_of_mean` of what the
//! series is on average and by [`Kind::least_change`], and for no more than chance could not have drawn
//! from the few requests that the value is made of ([`sampling`]). The sums are a two-sided CUSUM (E. S. Page,
//! "Continuous inspection schemes", 1954) of surprises, which in a series that goes on as usual are
//! exponential with mean 1; the chance that such a sum reaches `s` falls as `exp(-root s)`, where
//! `root` solves `exp(-allowance root) = 1 - root` (Cramér and Lundberg): 0.94 for the default. A sum
//! leaves 0 with the chance `exp(-allowance)`, and there are two of them.
//!
//! An alarm needs three things: two of the last three values among the tenth that is farthest off
//! (in either direction: a value that jumps about is off too; by [`Kind::least_unit`] at least), this
//! one among them; a sum at least
//! as high as the `recur`-th highest run of the last `memory_days`, so that what comes back every
//! other day is no news; and evidence that the alert budget calls enough.
//!
//! While there is an alarm, what is usual is not learned; of the deviations the first `in_alarm` are,
//! because thresholds follow what is really seen. It ends after `calm` values without evidence, or
//! after `adopt` values, when the new level is taken for usual.
//!
//! **Assumptions.** A week looks like those before; surprises of values that follow each other are
//! hardly dependent (where they are, their runs are long, and `recur` raises what is asked for).
//! Nothing is judged before `warm_up_days`: every hour of the day was then seen twice.
//!
//! **Memory.** About a kilobyte, whatever is measured. O(1) a value, but for the first of an hour.

mod config;
mod kept;
mod profile;
mod sampling;
mod scale;
mod tail;
#[cfg(test)]
mod tests;
mod trial;

pub use config::SeriesConfig;
pub use sampling::Sampling;
pub use trial::Trial;

use profile::{Expected, Profile};
use tail::{Deviations, Tail};

/// Runs that are remembered, for each direction.
const RUNS: usize = 6;
/// Surprise from which on a value counts towards two of three: the farthest tenth, nats.
const OUTLYING: f64 = 2.3;
/// Surprise from which on a value may be judged by all hours together.
const ALL_HOURS: f64 = 4.0;

/// What the values are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    /// The least unit of the scale, more than 0: below it values hardly differ.
    pub least_unit: f64,
    /// By how much a value must be off.
    pub least_change: f64,
}

/// A value against what is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The value.
    pub value: f64,
    /// What is usual.
    pub usual: f64,
    /// From where on, in its direction, a value counts.
    pub threshold: f64,
    /// Above rather than below.
    pub up: bool,
    /// Evidence that something is the matter, nats.
    pub evidence: f64,
}

/// What a value led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Usual,
    /// An alarm.
    Open,
    /// The alarm goes on.
    Goes,
    /// The alarm is over.
    Calm,
    /// The new level has become usual.
    Adopted,
}

/// An excursion of a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Run {
    /// When it ended, in steps.
    at: u32,
    height: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Alarm {
    since: u32,
    calm: u16,
    learned: u8,
    /// How far the values were off lately, as the logarithm of a ratio.
    off: f32,
}

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    unit: f32,
    /// Steps seen.
    steps: u32,
    mean: f32,
    /// By which what is usual has moved, as the logarithm of a ratio.
    drift: f32,
    sums: [f32; 2],
    /// How high the sums have been since they were 0.
    heights: [f32; 2],
    runs: [[Run; RUNS]; 2],
    /// Which of the last three values were outlying, the newest in bit 0.
    recent: u8,
    alarm: Option<Alarm>,
    deviations: Deviations,
    /// Upwards, of values as they are.
    values: Tail,
    profile: Profile,
}

impl Default for Series {
    fn default() -> Self {
        Self::new()
    }
}

impl Series {
    /// Has seen nothing.
    pub const fn new() -> Self {
        Self {
            unit: 0.0,
            steps: 0,
            mean: 0.0,
            drift: 0.0,
            sums: [0.0; 2],
            heights: [0.0; 2],
            runs: [[Run { at: 0, height: 0.0 }; RUNS]; 2],
            recent: 0,
            alarm: None,
            deviations: Deviations::EMPTY,
            values: Tail::EMPTY,
            profile: Profile::EMPTY,
        }
    }

    /// Whether there is an alarm.
    pub fn is_open(&self) -> bool {
        self.alarm.is_some()
    }

    /// The alarm was not told, for want of room: try again.
    pub fn give_up(&mut self) {
        self.alarm = None;
    }

    /// Whether it knows enough to judge.
    pub fn is_warm(&self, config: &SeriesConfig) -> bool {
        self.steps > config.days(config.warm_up_days)
    }

    /// Judges the value of a step and learns from it; `minute` is the minute of the week, 0 to
    /// 10,079, from Monday 0:00; `sampling` is what the value is made of. `enough` is asked once a step whether evidence (nats; 0 when there is none) is
    /// enough for an alarm. `None` while too little is known.
    pub fn step(
        &mut self,
        minute: u16,
        value: f64,
        sampling: Sampling,
        kind: &Kind,
        config: &SeriesConfig,
        enough: &mut dyn FnMut(f64) -> bool,
    ) -> Option<(Judged, Step)> {
        if !value.is_finite() {
            return None;
        }
        self.steps = self.steps.saturating_add(1);
        self.fit(value, kind, config);
        let unit = f64::from(self.unit);
        let place = scale::up(value, unit);
        let expected = self.profile.at(minute);
        let (Some(Expected { level, ratio, seen }), true) = (expected, self.steps > config.days(1))
        else {
            self.profile.learn(place);
            self.learn_mean(value, config);
            return None;
        };
        let usual_value =
            by_ratio(scale::down(level, unit).max(0.0), f64::from(self.drift), unit).max(0.0);
        let usual = scale::up(usual_value, unit);
        let deviation = (place - usual) / ratio;
        let spread = self.deviations.spread();
        let factor = if seen { config.ratio } else { config.ratio_unseen };
        let mut found = self.surprise(value, place, deviation, spread, usual, factor, kind, config);
        let most = sampling.most(value, usual_value, f64::from(self.mean));
        found.iter_mut().for_each(|surprise| surprise.counted = surprise.counted.min(most));
        let mut judged = Judged {
            value,
            usual: usual_value,
            threshold: 0.0,
            up: deviation > 0.0,
            evidence: 0.0,
        };
        let direction = self.sum(found, config);
        judged.threshold = self.threshold(&judged, usual, ratio, factor, kind, config);
        let warm = self.is_warm(config);
        let step = match self.alarm {
            None if warm => {
                judged.evidence = self.evidence(direction, config);
                if enough(judged.evidence) {
                    let off = log_ratio(value, usual_value, unit) as f32;
                    let since = self.steps;
                    self.alarm = Some(Alarm { since, calm: 0, learned: 0, off });
                    Step::Open
                } else {
                    Step::Usual
                }
            }
            None => Step::Usual,
            Some(alarm) => self.go_on(alarm, found, log_ratio(value, usual_value, unit), config),
        };
        let learns = self.alarm.as_mut().is_none_or(|alarm| {
            let early = alarm.learned < config.in_alarm;
            alarm.learned = alarm.learned.saturating_add(u8::from(early));
            early
        });
        if learns {
            self.deviations.add(deviation, config.half());
            self.values.add(place, config.half());
        }
        if self.alarm.is_none() {
            self.profile.learn(place);
            self.learn_mean(value, config);
            let slow = 1.0 / f64::from(config.days(1));
            let off = log_ratio(value, usual_value, unit);
            let most = (spread * ratio).min(0.5);
            self.drift += (slow * off.clamp(-most, most)) as f32;
        }
        warm.then_some((judged, step))
    }

    /// Chooses the unit: the first value, after an hour and after a day the median so far.
    fn fit(&mut self, value: f64, kind: &Kind, config: &SeriesConfig) {
        let least = kind.least_unit.max(f64::MIN_POSITIVE);
        if self.unit <= 0.0 {
            self.unit = value.max(least) as f32;
        } else if self.steps == config.hour() + 1 || self.steps == config.days(1) + 1 {
            let unit = f64::from(self.unit);
            let Some(middle) = self.profile.middle() else { return };
            let new = scale::down(middle, unit).max(least);
            self.profile.rescale(|place| scale::up(scale::down(place, unit), new));
            self.unit = new as f32;
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one value in all its forms")]
    fn surprise(
        &self,
        value: f64,
        place: f64,
        deviation: f64,
        spread: f64,
        usual: f64,
        factor: f64,
        kind: &Kind,
        config: &SeriesConfig,
    ) -> [Surprise; 2] {
        let mut found = self.deviations.surprise(deviation, spread);
        if let Ok(of_all) = self.values.surprise(place, spread)
            && of_all > ALL_HOURS
        {
            found[0] = found[0].max(of_all);
        }
        let usual = scale::down(usual, f64::from(self.unit)).max(0.0);
        let off = (value - usual).abs();
        let least = (config.share_of_mean * f64::from(self.mean)).max(kind.least_change);
        let factor = [value >= usual * factor, value * factor <= usual];
        // In a series that is nearly always the same, the farthest tenth is as usual.
        let differs = off >= kind.least_unit;
        [0, 1].map(|side| Surprise {
            raw: if differs { found[side] } else { 0.0 },
            counted: if off >= least && factor[side] { found[side] } else { 0.0 },
        })
    }

    /// Adds to the sums; returns the direction whose sum is the higher.
    fn sum(&mut self, found: [Surprise; 2], config: &SeriesConfig) -> usize {
        let outlying = found.iter().any(|surprise| surprise.raw >= OUTLYING);
        self.recent = (self.recent << 1 | u8::from(outlying)) & 7;
        for (side, surprise) in found.iter().enumerate() {
            let sum = f64::from(self.sums[side]) + surprise.counted - config.allowance;
            self.sums[side] = sum.max(0.0) as f32;
            if self.sums[side] > 0.0 {
                self.heights[side] = self.heights[side].max(self.sums[side]);
            } else {
                self.end_run(side);
            }
        }
        usize::from(self.sums[1] > self.sums[0])
    }

    fn end_run(&mut self, side: usize) {
        let height = std::mem::take(&mut self.heights[side]);
        if height <= 0.0 {
            return;
        }
        let at = self.steps;
        let mut lowest = 0;
        for place in 1..RUNS {
            if self.runs[side][place].height < self.runs[side][lowest].height {
                lowest = place;
            }
        }
        if self.runs[side][lowest].height < height {
            self.runs[side][lowest] = Run { at, height };
        }
    }

    /// The `recur`-th highest run that is remembered.
    fn usual_run(&mut self, side: usize, config: &SeriesConfig) -> f32 {
        let memory = config.days(config.memory_days);
        let runs = &mut self.runs[side];
        for run in runs.iter_mut() {
            if self.steps.saturating_sub(run.at) >= memory {
                *run = Run::default();
            }
        }
        let mut heights = runs.map(|run| run.height);
        heights.sort_unstable_by(|a, b| b.total_cmp(a));
        heights[config.recur.clamp(1, RUNS) - 1]
    }

    /// Evidence that speaks for an alarm now.
    fn evidence(&mut self, side: usize, config: &SeriesConfig) -> f64 {
        let two_of_three = self.recent & 1 == 1 && self.recent.count_ones() >= 2;
        let sum = self.sums[side];
        if !two_of_three || sum <= 0.0 || sum < self.usual_run(side, config) {
            return 0.0;
        }
        config.allowance + config.root() * f64::from(sum) - std::f64::consts::LN_2
    }

    fn go_on(
        &mut self,
        mut alarm: Alarm,
        found: [Surprise; 2],
        off: f64,
        config: &SeriesConfig,
    ) -> Step {
        let counts = found.iter().any(|surprise| surprise.counted >= config.allowance);
        alarm.calm = if counts { 0 } else { alarm.calm.saturating_add(1) };
        alarm.off += (off as f32 - alarm.off) / 8.0;
        self.alarm = Some(alarm);
        if alarm.calm >= config.calm {
            self.end_alarm();
            Step::Calm
        } else if self.steps.saturating_sub(alarm.since) >= config.adopt {
            let unit = f64::from(self.unit);
            let off = f64::from(alarm.off);
            let moved = |place| scale::up(by_ratio(scale::down(place, unit), off, unit), unit);
            self.profile.shift(moved);
            self.end_alarm();
            Step::Adopted
        } else if counts {
            Step::Goes
        } else {
            Step::Usual
        }
    }

    fn end_alarm(&mut self) {
        self.alarm = None;
        self.recent = 0;
        for side in 0..2 {
            self.end_run(side);
            self.sums[side] = 0.0;
        }
    }

    fn learn_mean(&mut self, value: f64, config: &SeriesConfig) {
        let count = f64::from(self.steps.clamp(1, config.days(7).max(1)));
        self.mean += ((value - f64::from(self.mean)) / count) as f32;
    }

    /// The value from which on, in this direction, something counts.
    fn threshold(
        &self,
        judged: &Judged,
        usual: f64,
        ratio: f64,
        factor: f64,
        kind: &Kind,
        config: &SeriesConfig,
    ) -> f64 {
        let least = (config.share_of_mean * f64::from(self.mean)).max(kind.least_change);
        let side = usize::from(!judged.up);
        let beyond = self.deviations.beyond(config.allowance, side) * ratio;
        let unit = f64::from(self.unit);
        if judged.up {
            let value = scale::down(usual + beyond, unit);
            value.max(judged.usual * factor).max(judged.usual + least)
        } else {
            let value = scale::down(usual - beyond, unit);
            value.min(judged.usual / factor).min(judged.usual - least).max(0.0)
        }
    }
}

/// The logarithm of the ratio of two values; values far below the unit count as a tenth of it.
fn log_ratio(value: f64, usual: f64, unit: f64) -> f64 {
    let least = unit / 10.0;
    ((value.max(0.0) + least) / (usual + least)).ln()
}

/// What is off from a value by such a ratio.
fn by_ratio(value: f64, off: f64, unit: f64) -> f64 {
    let least = unit / 10.0;
    (value + least) * off.exp() - least
}

/// How surprising a value is in a direction, nats.
#[derive(Clone, Copy, Debug)]
struct Surprise {
    /// By what was seen, 0 when the value hardly differs from what is usual.
    raw: f64,
    /// The same, 0 when the effect is not worth speaking of.
    counted: f64,
}
