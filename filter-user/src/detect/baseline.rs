//! What is usual: the interface behind which a learned profile can stand, and a short robust window.

use std::collections::VecDeque;

/// What is usual at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// The usual value.
    pub level: f64,
    /// By how much it usually varies, as a standard deviation.
    pub spread: f64,
    /// About one value in twelve is below this.
    pub low: f64,
    /// About one value in twelve is above this.
    pub high: f64,
}

/// Learns what is usual.
pub trait Baseline {
    /// What to expect of the interval that begins at `time` (ns); `None` before enough was learned.
    fn expect(&self, time: u64) -> Option<Expected>;
    /// Takes the value of the interval that began at `time` into account.
    fn learn(&mut self, time: u64, value: f64);
    /// Begins anew.
    fn forget(&mut self);
}

/// Median and median absolute deviation (MAD) of the last values: up to half of them may be
/// anything without moving it far (P. J. Huber, "Robust Statistics", 1981). Scaled by 1.4826, the
/// MAD of normal values is their standard deviation. It knows no hour and no weekday.
#[derive(Clone, Debug)]
pub struct RobustWindow {
    values: VecDeque<f64>,
    length: usize,
    warm_up: usize,
}

impl RobustWindow {
    /// Remembers `length` values and expects nothing before it has `warm_up` of them; both at least
    /// 1.
    pub fn new(length: usize, warm_up: usize) -> Self {
        let length = length.max(1);
        Self { values: VecDeque::new(), length, warm_up: warm_up.clamp(1, length) }
    }
}

impl Baseline for RobustWindow {
    fn expect(&self, _: u64) -> Option<Expected> {
        if self.values.len() < self.warm_up {
            return None;
        }
        let mut sorted: Vec<f64> = self.values.iter().copied().collect();
        let level = median(&mut sorted);
        let edge = sorted.len() / 12;
        let (low, high) = (sorted[edge], sorted[sorted.len() - 1 - edge]);
        let mut deviations: Vec<f64> = sorted.iter().map(|value| (value - level).abs()).collect();
        Some(Expected { level, spread: 1.4826 * median(&mut deviations), low, high })
    }

    fn learn(&mut self, _: u64, value: f64) {
        if self.values.len() == self.length {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    fn forget(&mut self) {
        self.values.clear();
    }
}

/// The median; sorts the values. 0 of none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values {
        [] => 0.0,
        _ if values.len() % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        for (values, expected) in [
            (&[][..], None),
            (&[5.0, 5.0], None),
            (&[5.0, 5.0, 5.0], Some((5.0, 0.0))),
            (&[1.0, 2.0, 3.0, 4.0], Some((2.5, 1.0))),
            (&[10.0, 11.0, 9.0, 1e9, 10.0], Some((10.0, 1.0))),
            // The first two have left the window.
            (&[900.0, 900.0, 1.0, 2.0, 3.0, 4.0, 5.0], Some((3.0, 1.0))),
        ] {
            let mut window = RobustWindow::new(5, 3);
            values.iter().for_each(|value| window.learn(0, *value));
            let found = window.expect(0).map(|found| (found.level, found.spread / 1.4826));
            assert_eq!(found, expected, "{values:?}");
            window.forget();
            assert_eq!(window.expect(0), None);
        }
    }

    #[test]
    fn edges_leave_out_a_few() {
        let mut window = RobustWindow::new(60, 30);
        (0..60).for_each(|value| window.learn(0, f64::from(value)));
        let found = window.expect(0).unwrap();
        assert_eq!((found.low, found.level, found.high), (5.0, 29.5, 54.0));
    }
}
