//! How evenly requests are spaced.
//!
//! Gaps between bursts go into a histogram of half octaves; requests within 50 ms of each other are
//! one burst, so that a page with its pictures, or parallel connections, count once. The spread is
//! the standard deviation of the gaps' logarithm (near the coefficient of variation, where that is
//! small) over the middle 80 % of them: pauses and hiccups leave it alone.

/// Half octaves from 50 ms to 3.6 hours.
const BINS: usize = 36;
/// What ends a burst, ms.
const BURST: u64 = 50;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gaps {
    bins: [u8; BINS],
    count: u16,
    /// When the last burst was last added to, ms; 0 for never.
    last: u64,
}

impl Default for Gaps {
    fn default() -> Self {
        Self { bins: [0; BINS], count: 0, last: 0 }
    }
}

impl Gaps {
    /// A request at a time, ms.
    pub(crate) fn add(&mut self, now: u64) {
        let now = now.max(1);
        let gap = now.saturating_sub(self.last);
        if self.last != 0 && gap >= BURST {
            let octave = (gap / BURST).ilog2().min(31);
            // Beyond the square root of 2 times the octave's beginning.
            let upper = gap.saturating_mul(1000) >= (BURST << octave) * 1414;
            let bin = (octave as usize * 2 + usize::from(upper)).min(BINS - 1);
            self.bins[bin] += 1;
            self.count = self.count.saturating_add(1);
            if self.bins[bin] == u8::MAX {
                self.bins.iter_mut().for_each(|bin| *bin /= 2);
            }
        }
        self.last = self.last.max(now);
    }

    /// Gaps there were.
    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    /// Standard deviation of the natural logarithm of the middle 80 % of the gaps.
    pub(crate) fn spread(&self) -> f64 {
        let total: f64 = self.bins.iter().map(|bin| f64::from(*bin)).sum();
        let (mut skip, mut left) = (total * 0.1, total * 0.8);
        let (mut sum, mut square, mut weight) = (0.0, 0.0, 0.0);
        for (number, bin) in self.bins.iter().enumerate() {
            let mut here = f64::from(*bin);
            let skipped = here.min(skip);
            skip -= skipped;
            here = (here - skipped).min(left);
            left -= here;
            let value = number as f64 / 2.0 * std::f64::consts::LN_2;
            weight += here;
            sum += here * value;
            square += here * value * value;
        }
        if weight == 0.0 {
            return f64::INFINITY;
        }
        let mean = sum / weight;
        (square / weight - mean * mean).max(0.0).sqrt()
    }

    /// A new window; where the last burst was stays known.
    pub(crate) fn begin(&mut self) {
        *self = Self { last: self.last, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::simulation::Random;

    #[test]
    fn robots_are_even_and_people_are_not() {
        let mut random = Random::new(3);
        let mut spread = |gap: &mut dyn FnMut(&mut Random) -> f64| {
            let mut gaps = Gaps::default();
            let mut now = 1000.0;
            for _ in 0..300 {
                now += gap(&mut random);
                gaps.add(now as u64);
                // A burst of pictures.
                gaps.add(now as u64 + 10);
            }
            assert_eq!(gaps.count(), 299);
            gaps.spread()
        };
        assert!(spread(&mut |_| 1000.0) < 0.1, "every second");
        assert!(spread(&mut |random| 1000.0 + 400.0 * random.share()) < 0.25, "with jitter");
        let hiccups =
            &mut |random: &mut Random| if random.share() < 0.05 { 60_000.0 } else { 1000.0 };
        assert!(spread(hiccups) < 0.2, "with hiccups");
        let poisson = spread(&mut |random| 50.0 - 5000.0 * (1.0 - random.share()).ln());
        assert!(poisson > 0.6, "{poisson}");
        assert_eq!(Gaps::default().spread(), f64::INFINITY);
    }
}
