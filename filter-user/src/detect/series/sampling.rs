//! How far chance alone takes a value that is made of a few requests.
//!
//! What was seen of a series mixes values of many requests, which hardly move, with values of a few
//! at night, which do. So a surprise is never more than what the value's own requests bear out:
//!
//! - *A mean* of `n` values with the standard error `e` that is `d` off: of Student's `t = d / e` with
//!   `ν = n - 1` degrees of freedom (Gosset, 1908), by Wallace's normal deviate ("Bounds on normal
//!   approximations to Student's and the chi-square distributions", 1959) and the bound
//!   `P(Z > z) ≤ exp(-z²/2) / 2`:
//!
//!   ```text
//!   z² = ((8ν + 1) / (8ν + 3))² ν ln(1 + t²/ν)        at most ln 2 + z²/2 nats
//!   ```
//! - *A share* `k / n` where `q` is usual: Chernoff's bound, `n` times the divergence of the two.
//!
//! **Assumption.** Requests of a step are independent. Where they are not, the series itself has moved
//! as far before, and that is what it is judged by.

use std::f64::consts::LN_2;

/// Share of requests below which one fails as good as never.
const LEAST_SHARE: f64 = 1e-3;

/// What a value is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// Nothing that chance could have drawn otherwise, or nobody knows.
    Exact,
    /// A geometric mean.
    Mean {
        /// Of how many.
        count: u32,
        /// The standard error of its logarithm.
        error: f64,
    },
    /// A share of so many.
    Share {
        /// Of how many.
        count: u32,
    },
}

impl Sampling {
    /// The most that it is worth, nats, that a value is not what is usual; `mean` is what it is on
    /// average at all hours. In whichever direction it is off.
    pub(super) fn most(self, value: f64, usual: f64, mean: f64) -> f64 {
        match self {
            Self::Exact => f64::INFINITY,
            Self::Mean { count, error } => {
                let [one, other] = [value, usual].map(|value| value.max(f64::MIN_POSITIVE).ln());
                let off = one - other;
                student(off.abs() / error.max(1e-6), count)
            }
            Self::Share { count } => {
                let usual = usual.max(mean).clamp(LEAST_SHARE, 1.0 - LEAST_SHARE);
                f64::from(count) * divergence(value.clamp(0.0, 1.0), usual)
            }
        }
    }
}

/// See the module; `t` is not negative.
fn student(t: f64, count: u32) -> f64 {
    let freedom = f64::from(count.max(2) - 1);
    let scale = (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0);
    LN_2 + scale * scale * freedom * (t * t / freedom).ln_1p() / 2.0
}

/// Kullback and Leibler's divergence of two coins; the second is neither 0 nor 1.
fn divergence(one: f64, other: f64) -> f64 {
    let part = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    part(one, other) + part(1.0 - one, 1.0 - other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against tables of Student's distribution: no more than -ln of the chance, and close to it.
    #[test]
    fn no_more_than_the_chance() {
        for (count, t, chance) in [
            (11, 1.812, 0.05_f64),
            (11, 2.764, 0.01),
            (11, 4.144, 0.001),
            (4, 4.541, 0.01),
            (4, 10.215, 0.001),
            (121, 3.160, 0.001),
        ] {
            let (most, exact) = (student(t, count), -chance.ln());
            assert!(most <= exact * 1.01 && most > exact - 2.0, "{count} {t}: {most} of {exact}");
        }
    }

    #[test]
    fn rows() {
        let mean = |count, error| Sampling::Mean { count, error };
        let share = |count| Sampling::Share { count };
        for (what, sampling, value, usual, mean, from, until) in [
            ("nothing is known", Sampling::Exact, 9.0, 1.0, 1.0, 1e9, f64::INFINITY),
            ("a third more of twelve", mean(12, 0.115), 1.35, 1.0, 1.0, 2.5, 5.0),
            ("as much less", mean(12, 0.115), 1.0 / 1.35, 1.0, 1.0, 2.5, 5.0),
            ("twice of twelve", mean(12, 0.115), 2.0, 1.0, 1.0, 8.0, 12.0),
            ("a third more of two hundred", mean(200, 0.028), 1.35, 1.0, 1.0, 30.0, 60.0),
            ("one failed of 25", share(25), 0.04, 0.0, 0.001, 2.0, 3.0),
            ("two failed", share(25), 0.08, 0.0, 0.001, 6.0, 8.0),
            ("two failed, as often", share(25), 0.08, 0.0, 0.05, 0.0, 0.5),
            ("all failed", share(25), 1.0, 0.0, 0.0, 100.0, 200.0),
        ] {
            let most = sampling.most(value, usual, mean);
            assert!((from..=until).contains(&most), "{what}: {most}");
        }
    }

    #[test]
    fn anything_may_be_asked() {
        for value in [0.0, -1.0, 1e300, f64::MIN_POSITIVE] {
            for sampling in [
                Sampling::Mean { count: 0, error: 0.0 },
                Sampling::Mean { count: u32::MAX, error: f64::INFINITY },
                Sampling::Share { count: 0 },
            ] {
                assert!(!sampling.most(value, 0.0, 0.0).is_nan(), "{sampling:?} of {value}");
            }
        }
    }
}
