//! The generic cell rate algorithm (ITU-T I.371, virtual scheduling), its whole state one arrival
//! time.
//!
//! Time is counted in *grains* of 1/16 ns, so that the cost of one byte at 10 GB/s (1.6 grains)
//! still has a meaning; 64 bits of grains last 36 years of uptime. A cost is computed as
//! `(units * mul) >> shift`, with the shift chosen for the best precision that cannot overflow.
//!
//! A packet is admitted while the theoretical arrival time is less than `tau` ahead of `now`, and
//! then moves it by its cost. So a source may send `tau` worth of traffic at once, the last packet
//! of a burst may exceed it by less than its own cost, and over any time t at most
//! `rate * t + burst + one packet` passes: nothing is ever admitted on credit twice, and a packet
//! larger than the burst is not shut out for good.

use crate::slot::Slot;

/// Grains in a nanosecond.
pub const GRAINS_PER_NS: u64 = 16;

/// The most units one packet can cost: a segment-offload packet of 512 KiB.
pub const MAX_UNITS: u64 = 1 << 19;

/// Attempts to win a contended state before charging it without a check.
const ATTEMPTS: u32 = 4;

/// A rate with its burst, as the packet path wants it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Cost of one unit in grains, shifted left by `shift`. 0: no limit.
    pub mul: u64,
    /// How far the arrival time may run ahead, in grains.
    pub tau: u64,
    /// An arrival time further ahead than this comes from another rate, and is clamped.
    pub ceiling: u64,
    /// See `mul`.
    pub shift: u32,
    /// Zero.
    pub reserved: u32,
}

impl Rate {
    /// No limit.
    pub const NONE: Self = Self { mul: 0, tau: 0, ceiling: 0, shift: 0, reserved: 0 };

    /// `units` every `per_ns` nanoseconds with a burst of `burst_ns` nanoseconds' worth, where one
    /// packet costs at most `most` units: 1 when packets are counted, [`MAX_UNITS`] when bytes are.
    ///
    /// `None` when a number is zero or a cost does not fit: a unit below 2^-20 grains, or `most`
    /// units above 36 years.
    pub const fn new(units: u64, per_ns: u64, burst_ns: u64, most: u64) -> Option<Self> {
        if units == 0 || per_ns == 0 || burst_ns == 0 || most == 0 {
            return None;
        }
        let grains = per_ns as u128 * GRAINS_PER_NS as u128;
        let mut shift = 20;
        let mul = loop {
            let mul = (grains << shift) / units as u128;
            if mul != 0 && mul <= (u64::MAX / most) as u128 {
                break mul as u64;
            }
            if shift == 0 || mul == 0 {
                return None;
            }
            shift -= 1;
        };
        let Some(tau) = burst_ns.checked_mul(GRAINS_PER_NS) else { return None };
        let ceiling = tau.saturating_add((most * mul) >> shift);
        Some(Self { mul, tau, ceiling, shift, reserved: 0 })
    }

    /// Whether there is a limit at all.
    #[inline(always)]
    pub const fn is_limit(&self) -> bool {
        self.mul != 0
    }

    /// What `units` cost, in grains.
    #[inline(always)]
    pub const fn cost(&self, units: u64) -> u64 {
        units.wrapping_mul(self.mul) >> (self.shift & 63)
    }

    /// Whether the state admits anything now.
    #[inline(always)]
    pub fn admits(&self, state: &Slot, now: u64) -> bool {
        let arrival = state.load();
        if arrival < now.wrapping_add(self.tau) {
            return true;
        }
        self.clamp(state, arrival, now);
        false
    }

    /// Brings an arrival time back that a slower rate has left far ahead: it starts as a source that
    /// has spent its burst.
    #[inline(always)]
    fn clamp(&self, state: &Slot, arrival: u64, now: u64) {
        if arrival > now.wrapping_add(self.ceiling) {
            state.swap_if(arrival, now.wrapping_add(self.tau));
        }
    }

    /// Charges a packet if the state admits it, asked before or not.
    #[inline(always)]
    pub fn charge(&self, state: &Slot, units: u64, now: u64) -> Charge {
        for _ in 0..ATTEMPTS {
            match self.charge_once(state, units, now) {
                Charge::Contended => {}
                done => return done,
            }
        }
        // Admitting without charging would let contention raise the rate; this never does.
        state.add(self.cost(units));
        Charge::Contended
    }

    /// As [`Self::charge`], but when another CPU was faster nothing is charged and it is
    /// `Contended`.
    #[inline(always)]
    pub fn charge_once(&self, state: &Slot, units: u64, now: u64) -> Charge {
        let arrival = state.load();
        if arrival >= now.wrapping_add(self.tau) {
            self.clamp(state, arrival, now);
            return Charge::Refused;
        }
        let base = if arrival > now { arrival } else { now };
        if state.swap_if(arrival, base.wrapping_add(self.cost(units))) == arrival {
            Charge::Admitted
        } else {
            Charge::Contended
        }
    }
}

/// How charging went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charge {
    /// The packet may go.
    Admitted,
    /// The burst is spent.
    Refused,
    /// The packet may go; the state was contended and was charged without a check.
    Contended,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Offers one unit every `gap` ns for `seconds`; returns how many were admitted.
    fn offer(rate: Rate, gap: u64, seconds: u64) -> u64 {
        let state = Slot::new(0);
        let mut admitted = 0;
        let mut now = 5 * SECOND;
        while now < (5 + seconds) * SECOND {
            let grains = now * GRAINS_PER_NS;
            if rate.admits(&state, grains) {
                assert_eq!(rate.charge(&state, 1, grains), Charge::Admitted);
                admitted += 1;
            }
            now += gap;
        }
        admitted
    }

    #[test]
    fn admits_rate_times_time_plus_burst() {
        for (per_second, burst_ns) in
            [(100, SECOND), (1_000, SECOND / 10), (100_000, SECOND / 100), (50, SECOND * 2)]
        {
            let rate = Rate::new(per_second, SECOND, burst_ns, 1).unwrap();
            let burst = per_second * burst_ns / SECOND;
            for factor in [2, 10] {
                let admitted = offer(rate, SECOND / (per_second * factor), 10);
                let expected = per_second * 10 + burst;
                assert!(
                    admitted.abs_diff(expected) <= 1 + expected / 1000,
                    "{per_second}/s, {factor} times: {admitted} of {expected}"
                );
            }
            let half = offer(rate, SECOND * 2 / per_second, 10);
            assert!(half.abs_diff(per_second * 5) <= 1, "nothing is refused at half the rate");
        }
    }

    #[test]
    fn a_burst_is_admitted_at_once_and_not_more() {
        let rate = Rate::new(100, SECOND, SECOND / 2, 1).unwrap();
        let state = Slot::new(0);
        let now = 77 * SECOND * GRAINS_PER_NS;
        let admitted = (0..200).filter(|_| rate.charge(&state, 1, now) == Charge::Admitted).count();
        assert_eq!(admitted, 50);
    }

    #[test]
    fn costs_are_precise_from_slow_to_fast() {
        for (units, per, most, error) in [
            (1, 86_400 * SECOND, 1, 1e-9),
            (2_000, SECOND, 1, 1e-6),
            (1_000_000, SECOND, MAX_UNITS, 1e-6),
            (10_000_000, SECOND, MAX_UNITS, 1e-6),
            (10_000_000_000, SECOND, MAX_UNITS, 1e-4),
            (1_000_000_000_000, SECOND, MAX_UNITS, 1e-3),
        ] {
            let rate = Rate::new(units, per, SECOND, most).unwrap();
            let exact = most as f64 * per as f64 * GRAINS_PER_NS as f64 / units as f64;
            let got = rate.cost(most) as f64;
            assert!((got - exact).abs() / exact < error, "{units} per {per} ns: {got} of {exact}");
        }
    }

    #[test]
    fn impossible_rates_are_none() {
        assert_eq!(Rate::new(0, SECOND, SECOND, 1), None);
        assert_eq!(Rate::new(1, 0, SECOND, 1), None);
        assert_eq!(Rate::new(1, SECOND, 0, 1), None);
        assert_eq!(Rate::new(1, u64::MAX, SECOND, 1), None);
    }

    #[test]
    fn an_arrival_time_of_a_slower_rate_is_clamped_and_recovers() {
        let slow = Rate::new(1, 3_600 * SECOND, 24 * 3_600 * SECOND, 1).unwrap();
        let fast = Rate::new(1_000, SECOND, SECOND, 1).unwrap();
        let state = Slot::new(0);
        let now = 100 * SECOND * GRAINS_PER_NS;
        while slow.charge(&state, 1, now) == Charge::Admitted {}
        assert!(!fast.admits(&state, now), "its burst counts as spent");
        let later = now + SECOND * GRAINS_PER_NS / 100;
        assert!(fast.admits(&state, later), "10 ms at 1000/s are 10 packets");
    }
}
