//! What the latency, or the size, of a route is on average: by which requests of different routes are
//! compared like with like.
//!
//! At night an API is asked for its health and for little else; when a job copies it, for that. The
//! mean over all its requests then moves by factors, and nothing is slower or larger than before. So a
//! request counts for its API by how far it is off from what its own route is on average:
//!
//! ```text
//! ln value = typical(API) + mean over requests of (ln x - typical(route))
//! ```
//!
//! which is the plain geometric mean when routes are asked for as they are on average. What has no route
//! counts as it is. Averages are of a week (exponential, by five minutes); five minutes weigh no more
//! than a hundredth of what was seen, so that a flood moves no average.

use crate::detect::codec::{Reader, Writer};

/// Values without which there is no average.
const ENOUGH: f32 = 10.0;
/// Share of what was seen that a step weighs at most, beside [`ENOUGH`].
const STEP: f32 = 0.01;

/// An average of logarithms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reference {
    mean: f32,
    /// Values that it is of.
    weight: f32,
}

impl Reference {
    pub(super) fn typical(&self) -> Option<f64> {
        (self.weight >= ENOUGH).then(|| f64::from(self.mean))
    }

    /// Takes a step's values into account, so many with such a sum; what was seen `memory` steps ago
    /// weighs 1/e of that.
    pub(super) fn learn(&mut self, count: u32, sum: f64, memory: u32) {
        if count == 0 {
            return;
        }
        let weight = (count as f32).min(ENOUGH + STEP * self.weight);
        self.weight = self.weight * (1.0 - 1.0 / memory.max(2) as f32) + weight;
        let off = (sum / f64::from(count)) as f32 - self.mean;
        self.mean += off * weight / self.weight;
    }

    pub(super) fn write(&self, to: &mut Writer) {
        to.f32(self.mean);
        to.f32(self.weight);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (mean, weight) = (from.f32()?, from.f32()?);
        (mean.is_finite() && weight.is_finite() && weight >= 0.0).then_some(Self { mean, weight })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_that_a_flood_hardly_moves() {
        let mut reference = Reference::default();
        reference.learn(9, 18.0, 2016);
        assert_eq!(reference.typical(), None);
        for _ in 0..2016 {
            reference.learn(30, 60.0, 2016);
        }
        let before = reference.typical().expect("enough was seen");
        assert!((before - 2.0).abs() < 1e-3, "{before}");
        reference.learn(1_000_000, 5e6, 2016);
        let after = reference.typical().expect("still");
        assert!((after - before) < 0.04, "{before} and {after}");
        let mut writer = Writer::default();
        reference.write(&mut writer);
        assert_eq!(Reference::read(&mut Reader(&writer.0)), Some(reference));
        assert_eq!(Reference::read(&mut Reader(&writer.0[1..])), None);
    }
}
