//! What others do: how far out of the ordinary a number is among those of many sources.
//!
//! **Formula.** Values of finished windows are counted in a histogram of half octaves. The tail
//! above the 90 % quantile `u` is taken for Pareto's, `P(X > x | X > u) = (x / u)^(-1 / g)`: counts
//! and sizes in the web have such tails (Crovella and Bestavros, "Self-similarity in World Wide Web
//! traffic", 1997), and extrapolating beyond what was seen by the tail alone is the
//! peaks-over-threshold method (Siffer et al., "Anomaly detection in streams with extreme value
//! theory", 2017). `ln(x / u)` is then exponential with mean `g`; with a Gamma prior its predictive
//! tail has a closed form, which knows by how few values `g` was learned:
//!
//! ```text
//! evidence = -ln P(X > x) = ln 10 + (k + k0) ln(1 + ln(x / u) / (S + S0))      for x > u
//! ```
//!
//! with `k` values above `u` and `S` the sum of their `ln(x / u)`. The prior counts as `n0` = 20
//! values with the 90 % quantile that the detector names, and `k0` = 20 in the tail with `g` = 0.5. `g` is never taken to be below 0.5 (half as many for each 1.4 times as much), however alike
//! all were: a population of robots must not make the first person a suspect.
//!
//! **Assumptions.** Sources are alike within an API. Values of sources with a finding are left out,
//! so that an attack does not become usual. What was learned halves when 20,000 values were, so that
//! it follows change.

use crate::detect::codec::{Reader, Writer};

/// Half octaves: from 1 to 2^32 units.
const BINS: usize = 65;
/// Pseudo-values of the prior.
const PRIOR: f64 = 20.0;
/// Those of its tail.
const PRIOR_TAIL: f64 = 20.0;
/// The least and the first guess of the tail's index.
const LEAST_TAIL: f64 = 0.5;
/// Values at which what was learned halves.
const MEMORY: f32 = 20_000.0;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Cohort {
    bins: [f32; BINS],
    total: f32,
    /// What was made of the bins, and how many more values are to come before it is made anew.
    tail: Tail,
    stale: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Tail {
    /// ln of the 90 % quantile.
    from: f64,
    median: f64,
    count: f64,
    sum: f64,
}

/// How a value stands among others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standing {
    /// Evidence that it does not belong, nats.
    pub(crate) evidence: f64,
    /// What half of the others stay below.
    pub(crate) median: f64,
    /// What nine in ten of the others stay below.
    pub(crate) usual: f64,
}

impl Cohort {
    /// Nothing seen yet: `usual` is what nine in ten sources may be expected to stay below, more
    /// than 0.
    pub(crate) fn new(usual: f64) -> Self {
        let mut cohort = Self {
            bins: [0.0; BINS],
            total: 0.0,
            tail: Tail { from: 0.0, median: 0.0, count: 0.0, sum: 0.0 },
            stale: 0,
        };
        cohort.tail = cohort.fit(usual);
        cohort
    }

    /// Takes the value of a finished window into account; `usual` as in [`Self::new`].
    pub(crate) fn learn(&mut self, value: f64, usual: f64) {
        if value <= 0.0 {
            return;
        }
        self.bins[bin(value)] += 1.0;
        self.total += 1.0;
        if self.total > MEMORY {
            self.bins.iter_mut().for_each(|bin| *bin /= 2.0);
            self.total /= 2.0;
        }
        if self.stale == 0 {
            self.tail = self.fit(usual);
            // Ever more seldom: one value among many changes little.
            self.stale = (self.total / 16.0) as u32;
        } else {
            self.stale -= 1;
        }
    }

    /// How a value stands.
    pub(crate) fn stand(&self, value: f64) -> Standing {
        let Tail { from, median, count, sum } = self.tail;
        let beyond = value.max(f64::MIN_POSITIVE).ln() - from;
        let evidence = if beyond <= 0.0 {
            0.0
        } else {
            let count = count + PRIOR_TAIL;
            let sum = (sum + PRIOR_TAIL * LEAST_TAIL).max(count * LEAST_TAIL);
            10.0_f64.ln() + count * (beyond / sum).ln_1p()
        };
        Standing { evidence, median, usual: from.exp() }
    }

    /// The value from which on the evidence reaches `evidence`.
    pub(crate) fn threshold(&self, evidence: f64) -> f64 {
        let Tail { from, count, sum, .. } = self.tail;
        let count = count + PRIOR_TAIL;
        let sum = (sum + PRIOR_TAIL * LEAST_TAIL).max(count * LEAST_TAIL);
        let beyond = sum * ((evidence - 10.0_f64.ln()).max(0.0) / count).exp_m1();
        (from + beyond).exp()
    }

    /// Whether any value was taken into account.
    pub(crate) fn has_learned(&self) -> bool {
        self.total > 0.0
    }

    /// Writes the bins that hold something.
    pub(crate) fn write(&self, to: &mut Writer) {
        let held = || (0_u8..).zip(self.bins).filter(|(_, bin)| *bin > 0.0);
        // At most BINS, which is less than 256.
        to.u8(held().count() as u8);
        for (place, bin) in held() {
            to.u8(place);
            to.f32(bin);
        }
    }

    /// What [`Self::write`] wrote; `None` when it is not that. `usual` as in [`Self::new`].
    pub(crate) fn read(from: &mut Reader<'_>, usual: f64) -> Option<Self> {
        let mut cohort = Self::new(usual);
        for _ in 0..from.u8()? {
            let place = usize::from(from.u8()?);
            let held = from.f32().filter(|held| (0.0..=MEMORY + 1.0).contains(held))?;
            *cohort.bins.get_mut(place)? = held;
        }
        cohort.total = cohort.bins.iter().sum();
        cohort.tail = cohort.fit(usual);
        Some(cohort)
    }

    fn fit(&self, usual: f64) -> Tail {
        let total = f64::from(self.total);
        let quantile = |share: f64| {
            let mut left = total * share;
            let found = self.bins.iter().position(|bin| {
                left -= f64::from(*bin);
                left <= 0.0
            });
            found.unwrap_or(BINS - 1)
        };
        let prior = usual.max(f64::MIN_POSITIVE).ln();
        if total == 0.0 {
            return Tail { from: prior, median: usual / 4.0, count: 0.0, sum: 0.0 };
        }
        let edge = quantile(0.9);
        let from = (total * upper(edge) + PRIOR * prior) / (total + PRIOR);
        let mut count = 0.0;
        let mut sum = 0.0;
        for (number, bin) in self.bins.iter().enumerate().skip(edge + 1) {
            let beyond = middle(number) - from;
            if beyond > 0.0 {
                count += f64::from(*bin);
                sum += f64::from(*bin) * beyond;
            }
        }
        let median =
            (total * middle(quantile(0.5)) + PRIOR * (prior - 4.0_f64.ln())) / (total + PRIOR);
        Tail { from, median: median.exp(), count, sum }
    }
}

/// The half octave of a value.
fn bin(value: f64) -> usize {
    let number = (value.log2() * 2.0).floor();
    // At most 64: no bits are lost.
    number.clamp(0.0, (BINS - 1) as f64) as usize
}

/// ln of a bin's upper edge.
fn upper(bin: usize) -> f64 {
    (bin as f64 + 1.0) / 2.0 * std::f64::consts::LN_2
}

/// ln of a bin's middle.
fn middle(bin: usize) -> f64 {
    (bin as f64 + 0.5) / 2.0 * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::simulation::Random;

    #[test]
    fn without_others_the_prior_decides() {
        let cohort = Cohort::new(20.0);
        assert_eq!(cohort.stand(20.0).evidence, 0.0);
        for (value, evidence) in [(40.0, 3.6), (200.0, 6.4), (2000.0, 9.9)] {
            let found = cohort.stand(value).evidence;
            assert!((found - evidence).abs() < 0.1, "{value}: {found}");
            let back = cohort.threshold(found);
            assert!((back / value - 1.0).abs() < 1e-6, "{value}: {back}");
        }
    }

    #[test]
    fn chances_are_what_it_says() {
        // Pareto with index 1 (heavier than the least), judged by what was learned of as many.
        for (index, scale) in [(1.0, 3.0), (0.7, 50.0), (0.5, 1000.0)] {
            let mut random = Random::new(7);
            let mut draw = || scale * (1.0 - random.share()).powf(-index);
            let mut cohort = Cohort::new(20.0);
            (0..20_000).for_each(|_| cohort.learn(draw(), 20.0));
            for evidence in [4.0, 6.0, 8.0] {
                let found = (0..200_000).filter(|_| cohort.stand(draw()).evidence >= evidence);
                let wanted = 200_000.0 * f64::exp(-evidence);
                let found = found.count() as f64;
                assert!(found < wanted * 1.6 + 10.0, "{index} {evidence}: {found} of {wanted}");
                assert!(found > wanted / 4.0 - 10.0, "{index} {evidence}: {found} of {wanted}");
            }
        }
    }

    #[test]
    fn written_and_read() {
        let mut random = Random::new(3);
        let mut cohort = Cohort::new(20.0);
        (0..500).for_each(|_| cohort.learn(6.0 / (1.0 - random.share()), 20.0));
        let mut writer = Writer::default();
        cohort.write(&mut writer);
        let read = |bytes: &[u8]| Cohort::read(&mut Reader(bytes), 20.0);
        let again = read(&writer.0).expect("what was written");
        assert_eq!((again.bins, again.total), (cohort.bins, cohort.total));
        let (one, other) = (cohort.stand(900.0).evidence, again.stand(900.0).evidence);
        assert!((one - other).abs() < 0.1 && one > 3.0, "{one} and {other}");
        for length in 0..writer.0.len() {
            assert!(read(&writer.0[..length]).is_none(), "{length} bytes");
        }
        let nan = f32::NAN.to_le_bytes();
        for bad in [&[1, 65, 0, 0, 0, 0][..], &[1, 0, nan[0], nan[1], nan[2], nan[3]]] {
            assert!(read(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn it_follows_change_and_is_never_too_sure() {
        let mut cohort = Cohort::new(20.0);
        (0..30_000).for_each(|_| cohort.learn(4.0, 20.0));
        assert!((cohort.stand(1.0).median / 4.0 - 1.0).abs() < 0.3);
        assert!(cohort.stand(40.0).evidence < 7.5, "all alike: {:?}", cohort.stand(40.0));
        (0..60_000).for_each(|_| cohort.learn(400.0, 20.0));
        assert!(cohort.stand(600.0).evidence < 3.5, "{:?}", cohort.stand(600.0));
    }
}
