//! Numbers that look random and are the same for the same seed, on every machine.

/// xorshift64* (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled",
/// 2016).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for each seed and number.
    pub fn new(seed: u64, stream: u64) -> Self {
        // Never 0, from which the generator does not move.
        Self(mix(mix(seed) ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to 1, without 1.
    pub fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this chance.
    pub fn chance(&mut self, share: f64) -> bool {
        self.share() < share
    }

    /// From the first to the second.
    pub fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.share()
    }

    /// A whole number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// Exponential with this mean.
    pub fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.share()).ln()
    }

    /// Normal with mean 0 and standard deviation 1, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }

    /// Log-normal with this median and standard deviation of the logarithm.
    pub fn spread(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    /// How many events there are when so many are expected (Poisson).
    pub fn count(&mut self, expected: f64) -> u64 {
        let mut events = 0;
        let mut sum = self.wait(1.0);
        while sum < expected {
            events += 1;
            sum += self.wait(1.0);
        }
        events
    }

    /// Puts things into another order (R. Fisher, F. Yates).
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            things.swap(last, other);
        }
    }
}

/// A number that has nothing to do with another (the finaliser of splitmix64).
pub fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_have_their_means() {
        let mut random = Random::new(1, 2);
        let mut mean = |draw: &mut dyn FnMut(&mut Random) -> f64| {
            (0..100_000).map(|_| draw(&mut random)).sum::<f64>() / 100_000.0
        };
        for (name, found, expected) in [
            ("share", mean(&mut Random::share), 0.5),
            ("wait", mean(&mut |r| r.wait(3.0)), 3.0),
            ("normal", mean(&mut |r| 1.0 + r.normal()), 1.0),
            ("count", mean(&mut |r| r.count(2.5) as f64), 2.5),
            ("below", mean(&mut |r| r.below(11) as f64), 5.0),
        ] {
            assert!((found / expected - 1.0).abs() < 0.03, "{name}: {found}");
        }
        assert_eq!(Random::new(7, 1).bits(), Random::new(7, 1).bits());
        assert_ne!(Random::new(7, 1).bits(), Random::new(7, 2).bits());
    }
}
