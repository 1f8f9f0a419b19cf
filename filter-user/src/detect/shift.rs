//! A number of an API that is measured over and over, and is not as usual: what pressure and
//! dispersion have in common.
//!
//! Each value is compared with the [`RobustWindow`] of those before it: `z = (value - level) /
//! max(spread, least)`. The second largest `|z|` in one direction among the last three values is
//! what counts, so that one odd value is none; its evidence is `z^2 / 2`, the exponent of a normal
//! tail. While a finding is open nothing is learned; after `adopt` values the new level is usual.

use super::baseline::{Baseline, RobustWindow};

/// Parameters of a [`Shift`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShiftConfig {
    /// Values that are remembered.
    pub lookback: usize,
    /// Values before anything is judged.
    pub warm_up: usize,
    /// The least standard deviation, in the value's unit.
    pub least: f64,
    /// Values in a row without evidence after which it is over.
    pub calm: u32,
    /// Values after which the new level is usual.
    pub adopt: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shift {
    window: RobustWindow,
    /// The last three, newest first.
    recent: [f64; 3],
    level: f64,
    calm: u32,
    lasts: u32,
    open: bool,
}

/// What a value led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judged {
    /// Evidence, nats; 0 before the warm-up.
    pub(crate) evidence: f64,
    /// Above what is usual rather than below.
    pub(crate) up: bool,
    /// What is usual.
    pub(crate) level: f64,
    /// By how much that varies.
    pub(crate) spread: f64,
}

/// How a finding goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    Goes,
    Calm,
    Adopted,
}

impl Shift {
    pub(crate) fn new(config: &ShiftConfig) -> Self {
        Self {
            window: RobustWindow::new(config.lookback, config.warm_up),
            recent: [0.0; 3],
            level: 0.0,
            calm: 0,
            lasts: 0,
            open: false,
        }
    }

    /// Judges a value, and learns it unless a finding is open or it is to be left out of what is
    /// usual (`odd`).
    pub(crate) fn judge(&mut self, value: f64, config: &ShiftConfig) -> Judged {
        let Some(expected) = self.window.expect(0) else {
            self.window.learn(0, value);
            return Judged { evidence: 0.0, up: false, level: value, spread: 0.0 };
        };
        let spread = expected.spread.max(config.least);
        let z = (value - expected.level) / spread;
        self.recent = [z, self.recent[0], self.recent[1]];
        let second = |sign: f64| {
            let mut sorted = self.recent.map(|z| (z * sign).max(0.0));
            sorted.sort_unstable_by(f64::total_cmp);
            sorted[1]
        };
        let (up, down) = (second(1.0), second(-1.0));
        let worst = up.max(down);
        if !self.open && worst < 3.0 {
            self.window.learn(0, value);
        }
        self.level = expected.level;
        Judged { evidence: worst * worst / 2.0, up: up >= down, level: expected.level, spread }
    }

    /// A finding was opened.
    pub(crate) fn open(&mut self) {
        (self.open, self.calm, self.lasts) = (true, 0, 0);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether a finding goes on after a value that is `strange` or not.
    pub(crate) fn course(&mut self, strange: bool, config: &ShiftConfig) -> Course {
        self.lasts += 1;
        self.calm = if strange { 0 } else { self.calm + 1 };
        if self.calm >= config.calm {
            self.open = false;
            Course::Calm
        } else if self.lasts >= config.adopt {
            self.open = false;
            self.window.forget();
            Course::Adopted
        } else {
            Course::Goes
        }
    }
}
