//! How many different things there were, in 32 bytes.
//!
//! HyperLogLog (Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog: the analysis of a near-optimal
//! cardinality estimation algorithm", 2007) with 64 registers of four bits, and linear counting
//! (Whang, Vander-Zanden, Taylor, 1990) as long as registers are empty. The standard error is 13 %
//! (1.04 / sqrt(64)); up to about two million are told apart. Whoever does not know the seed of the
//! hashes cannot aim at a register.

/// Registers; a power of two.
const REGISTERS: usize = 64;
/// Correction of the raw estimate for 64 registers.
const ALPHA: f64 = 0.709;
/// What a register of four bits can hold.
const MOST: u8 = 15;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Distinct {
    /// Two registers a byte.
    pairs: [u8; REGISTERS / 2],
}

impl Distinct {
    /// Takes a hash into account; whether the estimate changed.
    pub(crate) fn add(&mut self, hash: u64) -> bool {
        let register = (hash >> 58) as usize;
        let rank = ((hash << 6).leading_zeros() as u8 + 1).min(MOST);
        let shift = (register % 2) * 4;
        let pair = &mut self.pairs[register / 2];
        let before = *pair >> shift & 0xf;
        if rank <= before {
            return false;
        }
        *pair = *pair & !(0xf << shift) | rank << shift;
        true
    }

    /// About how many there were.
    pub(crate) fn count(&self) -> f64 {
        // In units of 2^-15.
        let mut sum = 0_u32;
        let mut empty = 0_u32;
        for pair in self.pairs {
            let (low, high) = (pair & 0xf, pair >> 4);
            sum += (1 << (MOST - low)) + (1 << (MOST - high));
            empty += u32::from(low == 0) + u32::from(high == 0);
        }
        let sum = f64::from(sum) / f64::from(1_u32 << MOST);
        let registers = REGISTERS as f64;
        let raw = ALPHA * registers * registers / sum;
        if raw <= 2.5 * registers && empty > 0 {
            registers * (registers / f64::from(empty)).ln()
        } else {
            raw
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter_common::hash;

    #[test]
    fn estimates_within_its_error() {
        for count in [0, 1, 5, 20, 60, 200, 1000, 10_000, 300_000_u64] {
            let mut errors = Vec::new();
            for seed in 0..30 {
                let mut distinct = Distinct::default();
                for number in 0..count {
                    distinct.add(hash::pair(seed, number, 7));
                    distinct.add(hash::pair(seed, number, 7));
                }
                errors.push((distinct.count() - count as f64) / (count as f64).max(1.0));
            }
            let mean = errors.iter().sum::<f64>() / 30.0;
            let square = errors.iter().map(|error| error * error).sum::<f64>() / 30.0;
            assert!(mean.abs() < 0.08, "{count}: mean error {mean}");
            assert!(square.sqrt() < 0.2, "{count}: standard error {}", square.sqrt());
        }
    }
}
