//! The exact limiter: the generic cell rate algorithm over arrival times in nanoseconds, in one
//! thread, in floating point. What the kernel's is held against; it shares no code with it.

/// What came of a sequence of arrivals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exact {
    /// Arrivals that were admitted.
    pub(crate) admitted: u64,
    /// Arrivals that were refused.
    pub(crate) refused: u64,
    /// Times an admitted arrival found nothing left of what came before: each may begin up to a tick
    /// off when a clock has ticks.
    pub(crate) rests: u64,
}

/// Judges arrivals, in order of time, in ns, against a rate a second and a burst in seconds.
pub(crate) fn exact(arrivals: &[u64], rate: f64, burst: f64) -> Exact {
    let (cost, ahead) = (1e9 / rate, burst * 1e9);
    let mut exact = Exact { admitted: 0, refused: 0, rests: 0 };
    // Relative to the first arrival, where floating point is precise.
    let origin = arrivals.first().copied().unwrap_or(0);
    let mut due = f64::NEG_INFINITY;
    for &arrival in arrivals {
        let now = (arrival - origin) as f64;
        if due >= now + ahead {
            exact.refused += 1;
            continue;
        }
        exact.admitted += 1;
        if due <= now {
            exact.rests += 1;
            due = now;
        }
        due += cost;
    }
    exact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_the_burst_and_then_the_rate() {
        // 100/s with a burst of 50 packets.
        let every_ms: Vec<u64> = (0..2_000).map(|n| 7_000_000_000 + n * 1_000_000).collect();
        let at_once = vec![9_000_000_000; 80];
        let slowly: Vec<u64> = (0..40).map(|n| n * 20_000_000).collect();
        let rows = [
            ("ten times the rate for 2 s", every_ms, 249..=251, 1),
            ("all at once", at_once, 50..=50, 1),
            ("half the rate", slowly, 40..=40, 40),
            ("nothing", vec![], 0..=0, 0),
        ];
        for (name, arrivals, admitted, rests) in rows {
            let got = exact(&arrivals, 100.0, 0.5);
            assert!(admitted.contains(&got.admitted), "{name}: {got:?}");
            assert_eq!(got.rests, rests, "{name}: {got:?}");
            assert_eq!(got.admitted + got.refused, arrivals.len() as u64, "{name}");
        }
    }
}
