//! Wald's sequential probability ratio test of a failure share (A. Wald, "Sequential Tests of
//! Statistical Hypotheses", 1945).
//!
//! Each attempt is a Bernoulli trial. Under H0 it fails with probability `p0`, under H1 with `p1`.
//! The score is the logarithm of the likelihood ratio so far:
//!
//! ```text
//! failure: score += ln(p1 / p0)          success: score += ln((1 - p1) / (1 - p0))
//! H1 when score >= ln((1 - beta) / alpha)     H0 when score <= ln(beta / (1 - alpha))
//! ```
//!
//! `alpha` bounds the share of tests of benign sources that end with H1, `beta` that of attacking
//! ones that end with H0. Two departures, both on the safe side of an alarm: evidence halves every
//! `half_life`, so that old failures condemn nobody, and a test that has not decided after
//! `max_attempts` begins anew.

/// Parameters of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hypotheses {
    /// Share of a benign source's attempts that fail, more than 0.
    pub p0: f64,
    /// Share of an attacker's attempts that fail, more than `p0` and less than 1.
    pub p1: f64,
    /// Share of benign tests that may end with an alarm.
    pub alpha: f64,
    /// Share of attacks that one test may miss.
    pub beta: f64,
}

impl Default for Hypotheses {
    fn default() -> Self {
        Self { p0: 0.3, p1: 0.8, alpha: 1e-6, beta: 0.01 }
    }
}

impl Hypotheses {
    /// What an attempt adds to the score, in nats.
    pub fn step(&self, failed: bool) -> f64 {
        if failed { (self.p1 / self.p0).ln() } else { ((1.0 - self.p1) / (1.0 - self.p0)).ln() }
    }

    /// The score from which on it is an attack, in nats.
    pub fn attack(&self) -> f64 {
        ((1.0 - self.beta) / self.alpha).ln()
    }

    /// The score down from which it is none, in nats.
    pub fn benign(&self) -> f64 {
        (self.beta / (1.0 - self.alpha)).ln()
    }

    /// The failure share above which the score grows: a source that keeps below it is never found.
    pub fn neutral(&self) -> f64 {
        let (failure, success) = (self.step(true), -self.step(false));
        success / (failure + success)
    }
}

/// Evidence against one source, in nats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    score: f64,
    attempts: u32,
    decided: bool,
}

/// What an attempt led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// More attempts are needed.
    Undecided,
    /// H0: the test begins anew.
    Benign,
    /// H1.
    Attack,
}

impl Evidence {
    /// The score, at most that of an attack, so that it can come down again.
    pub fn score(&self) -> f64 {
        self.score
    }

    /// Whether the test decided for an attack, and most of the evidence is still fresh.
    pub fn is_attack(&self, hypotheses: &Hypotheses) -> bool {
        self.decided && self.score >= hypotheses.attack() / 2.0
    }

    /// Lets time pass: the score halves every `half_life`, in the unit of `passed`.
    pub fn decay(&mut self, passed: u64, half_life: u64) {
        if passed > 0 {
            // Exact enough: both are far below 2^53 in the units in use.
            self.score *= (-(passed as f64) / (half_life.max(1) as f64)).exp2();
        }
    }

    /// Takes an attempt into account.
    pub fn add(&mut self, failed: bool, hypotheses: &Hypotheses, max_attempts: u32) -> Outcome {
        self.score += hypotheses.step(failed);
        self.attempts += 1;
        let attack = hypotheses.attack();
        if self.score >= attack {
            *self = Self { score: attack, attempts: 0, decided: true };
            Outcome::Attack
        } else if self.score <= hypotheses.benign() || self.attempts >= max_attempts {
            *self = Self::default();
            Outcome::Benign
        } else {
            Outcome::Undecided
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries() {
        let h = Hypotheses::default();
        assert!((h.attack() - 13.805).abs() < 0.001, "{}", h.attack());
        assert!((h.benign() + 4.605).abs() < 0.001, "{}", h.benign());
        assert!((h.step(true) - 0.981).abs() < 0.001);
        assert!((h.step(false) + 1.253).abs() < 0.001);
        assert!((h.neutral() - 0.561).abs() < 0.001, "{}", h.neutral());
    }

    #[test]
    fn decides_after_so_many_attempts() {
        // Failures, successes after them (in turn), outcome, attempts until it.
        for (failures, successes, outcome, attempts) in [
            (1, 0, Outcome::Attack, 15),
            (0, 1, Outcome::Benign, 4),
            (4, 1, Outcome::Attack, 24),
            (1, 1, Outcome::Benign, 34),
            (9, 7, Outcome::Undecided, 0),
        ] {
            let mut evidence = Evidence::default();
            let found = (0..200).find_map(|attempt| {
                let failed = attempt % (failures + successes) < failures;
                let outcome = evidence.add(failed, &Hypotheses::default(), 1000);
                (outcome != Outcome::Undecided).then_some((outcome, attempt + 1))
            });
            let expected = (outcome != Outcome::Undecided).then_some((outcome, attempts));
            assert_eq!(found, expected, "{failures} failures, {successes} successes");
        }
    }

    #[test]
    fn begins_anew_undecided_and_forgets() {
        let h = Hypotheses::default();
        let mut evidence = Evidence::default();
        let outcomes: Vec<_> = (0..10).map(|_| evidence.add(true, &h, 10)).collect();
        assert_eq!(outcomes[9], Outcome::Benign);
        assert_eq!(evidence, Evidence::default());
        assert!((0..10).all(|_| evidence.add(true, &h, 1000) == Outcome::Undecided));
        let before = evidence.score();
        evidence.decay(600, 600);
        assert!((evidence.score() - before / 2.0).abs() < 1e-9);
        evidence.decay(600_000, 600);
        assert!(evidence.score() < 1e-9);
    }
}
