//! Shares: learned ones, and evidence that one is not as usual.

use crate::detect::codec::{Reader, Writer};

/// Trials at which what was learned halves.
const MEMORY: f64 = 1e6;

/// A share that is learned from many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    hits: f64,
    trials: f64,
}

impl Share {
    pub(crate) fn learn(&mut self, hits: u32, trials: u32) {
        self.hits += f64::from(hits);
        self.trials += f64::from(trials);
        if self.trials > MEMORY {
            self.hits /= 2.0;
            self.trials /= 2.0;
        }
    }

    /// Writes both counts.
    pub(crate) fn write(&self, to: &mut Writer) {
        to.f64(self.hits);
        to.f64(self.trials);
    }

    /// What [`Self::write`] wrote; `None` when it is not that.
    pub(crate) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (hits, trials) = (from.f64()?, from.f64()?);
        // A NaN is not below anything.
        (0.0 <= hits && hits <= trials && trials <= 2.0 * MEMORY).then_some(Self { hits, trials })
    }

    /// The share, with a prior that counts as so many trials.
    pub(crate) fn estimate(&self, prior: f64, trials: f64) -> f64 {
        (self.hits + prior * trials) / (self.trials + trials)
    }
}

/// Logarithm of the likelihood ratio of `hits` among `trials` with probability `p1` rather than
/// `p0`, nats, within `[-bound, bound]`: trials of one source are not independent, so that many of
/// them prove no more than some do.
pub(crate) fn ratio(hits: u32, trials: u32, p0: f64, p1: f64, bound: f64) -> f64 {
    let (hits, misses) = (f64::from(hits), f64::from(trials.saturating_sub(hits)));
    let (p0, p1) = (p0.clamp(1e-6, 1.0 - 1e-6), p1.clamp(1e-6, 1.0 - 1e-6));
    let ratio = hits * (p1 / p0).ln() + misses * ((1.0 - p1) / (1.0 - p0)).ln();
    ratio.clamp(-bound, bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let mut share = Share::default();
        assert_eq!(share.estimate(0.2, 10.0), 0.2);
        share.learn(90, 90);
        assert!((share.estimate(0.2, 10.0) - 0.92).abs() < 1e-9);
        assert!((ratio(3, 3, 0.25, 0.9, 99.0) - 3.0 * 3.6_f64.ln()).abs() < 1e-9);
        assert_eq!(ratio(100, 100, 0.25, 0.9, 12.0), 12.0);
        assert_eq!(ratio(0, 100, 0.25, 0.9, 12.0), -12.0);
        assert!(ratio(10, 10, 0.0, 1.0, 1e9).is_finite());
    }
}
