//! The intervals of one API: counting, judging, and remembering whether there is an alarm.

use super::{RateShiftConfig, interval};
use crate::detect::SECOND;
use crate::detect::baseline::Baseline;
use crate::detect::observation::Observation;

/// What was counted in an interval.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    weighted: f64,
    seen: u32,
    verified: u32,
}

/// An interval that ended, against what was usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Judged {
    /// Requests, weighted and corrected for what was lost.
    pub(super) count: f64,
    /// The usual count.
    pub(super) level: f64,
    /// How much it usually varies.
    spread: f64,
    low: f64,
    high: f64,
    pub(super) weight: f64,
    pub(super) completeness: f64,
    /// Most of its requests came without a handshake in both directions.
    pub(super) forgeable: bool,
}

/// What an interval led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Usual,
    /// A shift.
    Open,
    /// The shift goes on.
    Goes,
    /// The shift is over.
    Calm,
    /// The shift has become usual.
    Adopted,
}

/// One API's state.
#[derive(Debug)]
pub(super) struct RateState<B> {
    baseline: B,
    /// When the interval being counted began.
    start: u64,
    current: Tally,
    /// Of the interval behind it: requests may come before the tick that ends the current one.
    next: Tally,
    completeness: f64,
    /// The first interval began before the state did.
    partial: bool,
    /// Directions in which the last three intervals were outlying, the newest last.
    recent: [i8; 3],
    calm: u32,
    /// Since when there is an alarm.
    alarm: Option<u64>,
    weight: f64,
    /// Intervals of the maintenance so far.
    maintained: usize,
}

/// When nothing is to be judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blind {
    /// Below this completeness.
    pub(super) floor: f64,
    /// Of intervals that begin before, ns.
    pub(super) maintained_until: u64,
}

impl<B: Baseline> RateState<B> {
    pub(super) fn new(time: u64, config: &RateShiftConfig, baseline: B) -> Self {
        let length = interval(config);
        Self {
            baseline,
            start: time / length * length,
            current: Tally::default(),
            next: Tally::default(),
            completeness: 1.0,
            partial: true,
            recent: [0; 3],
            calm: 0,
            alarm: None,
            weight: 1.0,
            maintained: 0,
        }
    }

    /// Counts a request when it is seen: one that began long ago counts now.
    pub(super) fn count(&mut self, observation: &Observation<'_>, config: &RateShiftConfig) {
        let ended = observation.time >= self.start.saturating_add(interval(config));
        let tally = if ended { &mut self.next } else { &mut self.current };
        tally.weighted += observation.stands_for();
        tally.seen = tally.seen.saturating_add(1);
        tally.verified = tally.verified.saturating_add(u32::from(observation.handshake));
    }

    /// The telemetry is this complete now; an interval is as complete as its worst moment.
    pub(super) fn note_completeness(&mut self, completeness: f64) {
        self.completeness = self.completeness.min(completeness);
    }

    /// There was no room for a finding: try again when the next interval asks for one.
    pub(super) fn give_up(&mut self) {
        self.alarm = None;
    }

    /// Judges the next interval that ended; `None` when there is none. An interval of which too little
    /// was seen, or in which there was maintenance, is neither judged nor learned.
    pub(super) fn advance(
        &mut self,
        now: u64,
        config: &RateShiftConfig,
        blind: &Blind,
    ) -> Option<(Judged, Step)> {
        let length = interval(config);
        loop {
            let end = self.start.saturating_add(length);
            if now < end {
                return None;
            }
            // After a long silence of the caller, what the baseline cannot remember is skipped.
            let behind = (now - self.start) / length;
            let most = config.lookback as u64 + 4;
            let (start, tally) = (self.start, self.current);
            self.current = std::mem::take(&mut self.next);
            self.start = if behind > most { now / length * length - most * length } else { end };
            let completeness = std::mem::replace(&mut self.completeness, 1.0);
            let partial = std::mem::take(&mut self.partial);
            if blind.maintained_until > start {
                self.maintained = self.maintained.saturating_add(1);
                self.leave_out(length);
                continue;
            }
            if partial || completeness < blind.floor {
                self.leave_out(length);
                continue;
            }
            if std::mem::take(&mut self.maintained) > config.lookback && self.alarm.is_none() {
                self.baseline.forget();
                self.recent = [0; 3];
            }
            if let Some(judged) = self.judge(start, tally, completeness, config) {
                return Some(judged);
            }
        }
    }

    /// An interval that is not judged does not make a new level usual.
    fn leave_out(&mut self, length: u64) {
        self.alarm = self.alarm.map(|since| since.saturating_add(length));
    }

    fn judge(
        &mut self,
        start: u64,
        tally: Tally,
        completeness: f64,
        config: &RateShiftConfig,
    ) -> Option<(Judged, Step)> {
        if tally.seen > 0 {
            self.weight = tally.weighted / f64::from(tally.seen);
        }
        let count = tally.weighted / completeness;
        let Some(expected) = self.baseline.expect(start) else {
            self.baseline.learn(start, count);
            return None;
        };
        let poisson = (expected.level * self.weight).sqrt();
        let judged = Judged {
            count,
            level: expected.level,
            spread: expected.spread.max(poisson).max(self.weight),
            low: expected.low,
            high: expected.high,
            weight: self.weight,
            completeness,
            forgeable: tally.verified.saturating_mul(2) <= tally.seen,
        };
        let direction = match judged.direction(config) {
            1 if tally.seen < config.min_seen => 0,
            direction => direction,
        };
        self.recent = [self.recent[1], self.recent[2], direction];
        let step = match self.alarm {
            None => {
                let same = |want: i8| self.recent.iter().filter(|&&is| is == want).count() >= 2;
                if direction != 0 && same(direction) {
                    self.alarm = Some(start);
                    self.calm = 0;
                    Step::Open
                } else {
                    Step::Usual
                }
            }
            Some(since) => {
                self.calm = if direction == 0 { self.calm + 1 } else { 0 };
                if self.calm >= config.calm {
                    self.alarm = None;
                    Step::Calm
                } else if start.saturating_sub(since) >= config.adopt * SECOND {
                    self.alarm = None;
                    self.recent = [0; 3];
                    self.baseline.forget();
                    Step::Adopted
                } else if direction == 0 {
                    Step::Usual
                } else {
                    Step::Goes
                }
            }
        };
        if self.alarm.is_none() {
            self.baseline.learn(start, count);
        }
        Some((judged, step))
    }
}

impl Judged {
    /// Requests a second.
    pub(super) fn rate(&self, config: &RateShiftConfig) -> f64 {
        self.count / config.interval.max(1) as f64
    }

    /// The count from which on, in the direction it went, it is outlying.
    pub(super) fn threshold(&self, config: &RateShiftConfig) -> f64 {
        let change = (config.z * self.spread).max(config.min_change * config.interval as f64);
        if self.count > self.level {
            (self.level + change).max(self.high * config.ratio)
        } else {
            (self.level - change).min(self.low / config.ratio).max(0.0)
        }
    }

    /// 1 when it is outlying upwards, -1 downwards, 0 when it is not.
    fn direction(&self, config: &RateShiftConfig) -> i8 {
        let change = (config.z * self.spread).max(config.min_change * config.interval as f64);
        if (self.count - self.level).abs() < change {
            0
        } else if self.count > self.level {
            i8::from(self.count >= self.high * config.ratio)
        } else {
            -i8::from(self.count <= self.low / config.ratio)
        }
    }
}
