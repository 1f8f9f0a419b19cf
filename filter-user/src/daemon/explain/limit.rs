//! How a limit stands: what is left of it, and how long until it admits again.

use filter_common::gcra::{GRAINS_PER_NS, Rate};
use filter_common::limiter::Kind;
use filter_common::verdict::{Asked, Whose};

use crate::control::api::LimitState;
use crate::text::quantity::Measure;

use super::super::orders::show;

/// What was asked of a limit, at this time in grains.
pub(super) fn state(asked: &Asked<'_>, now: u64) -> LimitState {
    let (left, wait) = left(asked.rate, asked.state.load(), now);
    let measure = measure(asked.kind);
    LimitState {
        measure: measure.key().to_owned(),
        whose: whose(asked.whose).to_owned(),
        rate: show(asked.rate, measure),
        burst: units(asked.rate, asked.rate.tau),
        left,
        wait_seconds: wait as f64 / GRAINS_PER_NS as f64 / 1e9,
    }
}

/// The same in words.
pub(super) fn sentence(state: &LimitState) -> String {
    let LimitState { measure, rate, burst, left, wait_seconds, .. } = state;
    let whose = match state.whose.as_str() {
        "group" => "the group's",
        "api" => "the API's",
        "overflow" => "no room for the source, what such sources share is",
        "order" => "ordered for the source,",
        _ => "the source's",
    };
    if *wait_seconds > 0.0 {
        let wait = match *wait_seconds {
            short if short < 0.001 => format!("{:.0} µs", (short * 1e6).ceil()),
            short if short < 1.0 => format!("{:.0} ms", (short * 1e3).ceil()),
            long => format!("{long:.1} s"),
        };
        return format!("{whose} {measure} {rate}: spent, admits again in {wait}");
    }
    format!("{whose} {measure} {rate}: {left} of {burst} left")
}

/// Units that are admitted at once now, and grains until one is.
fn left(rate: &Rate, arrival: u64, now: u64) -> (u64, u64) {
    let end = now.saturating_add(rate.tau);
    if arrival < end { (units(rate, end - arrival.max(now)), 0) } else { (0, arrival - end + 1) }
}

/// Units that are admitted while an arrival time is so many grains short of its end: the last of them
/// may exceed it.
fn units(rate: &Rate, grains: u64) -> u64 {
    let units = (u128::from(grains) << (rate.shift & 63)).div_ceil(u128::from(rate.mul.max(1)));
    u64::try_from(units).unwrap_or(u64::MAX)
}

const fn measure(kind: Kind) -> Measure {
    match kind {
        Kind::Packets => Measure::Packets,
        Kind::Bytes => Measure::Bytes,
        Kind::Connections => Measure::Connections,
    }
}

const fn whose(whose: Whose) -> &'static str {
    match whose {
        Whose::Source => "source",
        Whose::Overflow => "overflow",
        Whose::Group => "group",
        Whose::Api => "api",
        Whose::Order => "order",
    }
}

#[cfg(test)]
mod tests {
    use filter_common::slot::Slot;

    use super::*;

    #[test]
    fn what_is_left_is_what_is_admitted() {
        let second = 1_000_000_000;
        for (per_second, burst, most) in
            [(10, second, 1), (1_000_000, second / 100, 1), (3, 2 * second, 1), (7_000, second, 1)]
        {
            let rate = Rate::new(per_second, second, burst, most).expect("a rate");
            let slot = Slot::new(0);
            let mut now = 5 * second * GRAINS_PER_NS;
            let burst = units(&rate, rate.tau);
            for step in 0..burst {
                let (left, wait) = left(&rate, slot.load(), now);
                assert_eq!((left, wait), (burst - step, 0), "{per_second}/s, packet {step}");
                assert!(rate.admits(&slot, now));
                rate.charge(&slot, 1, now);
            }
            assert!(!rate.admits(&slot, now));
            let (none, wait) = left(&rate, slot.load(), now);
            assert!(none == 0 && wait > 0);
            now += wait;
            assert!(rate.admits(&slot, now) && !rate.admits(&slot, now - 1), "{per_second}/s");
        }
    }
}
