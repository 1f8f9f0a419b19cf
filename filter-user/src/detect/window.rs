//! Counts over the last minutes, in a fixed number of slots.

/// Slots of a window: it is exact to a tenth of its length.
pub const SLOTS: usize = 10;

/// Weighted attempts and failures of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Attempts, each as many as it stands for.
    pub attempts: f32,
    /// Of these, failures.
    pub failures: f32,
    /// Failures over connections with a handshake in both directions.
    pub verified: f32,
    /// Attempts seen, each as one.
    pub seen: u32,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.failures += other.failures;
        self.verified += other.verified;
        self.seen = self.seen.saturating_add(other.seen);
    }

    /// Share of the attempts that failed, 0 to 1.
    pub fn failure_share(&self) -> f64 {
        if self.attempts > 0.0 { f64::from(self.failures / self.attempts) } else { 0.0 }
    }

    /// How many attempts each one seen stands for, at least 1.
    pub fn mean_weight(&self) -> f64 {
        (f64::from(self.attempts) / f64::from(self.seen.max(1))).max(1.0)
    }
}

/// Counts of the last [`SLOTS`] slots.
#[derive(Clone, Debug, Default)]
pub struct Window {
    slots: [Counts; SLOTS],
    /// Number of the newest slot since time 0.
    newest: u64,
}

impl Window {
    /// Adds counts at a time; `slot` is the length of a slot in the time's unit, at least 1. Counts
    /// that come late go to the newest slot.
    pub fn add(&mut self, time: u64, slot: u64, counts: &Counts) {
        self.advance(time, slot);
        self.slots[Self::index(self.newest)].add(counts);
    }

    /// Forgets what is older than the window at a time, and sums up the rest.
    pub fn sum(&mut self, time: u64, slot: u64) -> Counts {
        self.advance(time, slot);
        let mut sum = Counts::default();
        self.slots.iter().for_each(|slot| sum.add(slot));
        sum
    }

    fn advance(&mut self, time: u64, slot: u64) {
        let number = time / slot.max(1);
        if number <= self.newest {
            return;
        }
        let passed = (number - self.newest).min(SLOTS as u64);
        for step in 0..passed {
            self.slots[Self::index(number - step)] = Counts::default();
        }
        self.newest = number;
    }

    fn index(number: u64) -> usize {
        usize::try_from(number % SLOTS as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_after_its_length() {
        let one = Counts { attempts: 2.0, failures: 1.0, verified: 0.0, seen: 1 };
        let mut window = Window::default();
        window.add(5, 10, &one);
        window.add(15, 10, &one);
        // Late: counted now rather than lost.
        window.add(3, 10, &one);
        for (time, seen) in [(15, 3), (99, 3), (100, 2), (109, 2), (110, 0), (10_000, 0), (50, 0)] {
            assert_eq!(window.sum(time, 10).seen, seen, "at {time}");
        }
        assert_eq!(one.failure_share(), 0.5);
        assert_eq!(one.mean_weight(), 2.0);
        assert_eq!(Counts::default().failure_share(), 0.0);
    }
}
