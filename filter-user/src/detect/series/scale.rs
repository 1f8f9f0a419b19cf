//! The scale on which values are compared: `asinh(value / unit)`, straight around zero and
//! logarithmic far from it, so that a rate of 3 an hour and one of 3,000 a second, or bursts a
//! thousand times the level between them, fit the same arithmetic. Kept in 16 bits.

/// Steps in one unit of the scale.
const STEPS: f64 = 1024.0;

/// Marks a place where nothing is kept.
pub(super) const NONE: i16 = i16::MIN;

/// A number of the scale in 16 bits: exact to 1/1024 within ±31.9, and no further than that.
pub(super) fn pack(number: f64) -> i16 {
    let bounded = (number * STEPS).round().clamp(f64::from(-i16::MAX), f64::from(i16::MAX));
    // NaN becomes 0; within the bounds there is nothing to cut off.
    bounded as i16
}

/// What [`pack`] kept.
pub(super) fn unpack(kept: i16) -> f64 {
    f64::from(kept) / STEPS
}

/// A value on the scale; `unit` is more than 0.
pub(super) fn up(value: f64, unit: f64) -> f64 {
    (value / unit).asinh()
}

/// The value at a place of the scale.
pub(super) fn down(place: f64, unit: f64) -> f64 {
    place.sinh() * unit
}

/// The median of numbers with weights, the lower one of two; `None` of none. Sorts.
pub(super) fn median(numbers: &mut [(f64, u32)]) -> Option<f64> {
    numbers.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: u32 = numbers.iter().map(|(_, weight)| weight).sum();
    let mut passed = 0;
    numbers.iter().find_map(|&(number, weight)| {
        passed += weight;
        (passed * 2 >= total).then_some(number)
    })
}
