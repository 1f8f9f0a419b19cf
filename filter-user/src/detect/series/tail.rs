//! How surprising a deviation is: the distribution of those that were seen, with its tail.
//!
//! The bulk is a histogram of logarithmic buckets (each 1.5 times the one before, so that a share is
//! known to within the width of a bucket, whatever the scale). The tail is the largest [`KEPT`]
//! values of this fortnight's half and of the half before. Behind the edge at which both are
//! complete, exceedances are taken as exponential with the mean that was seen (peaks over a
//! threshold; J. Pickands, "Statistical inference using extreme order statistics", 1975; for streams
//! A. Siffer et al., "Anomaly detection in streams with extreme value theory", 2017).

use super::scale::{pack, unpack};
use crate::detect::codec::{Reader, Writer};

/// Largest values kept of each half.
pub(super) const KEPT: usize = 16;
/// Buckets of the bulk.
const BUCKETS: usize = 26;
/// Upper end of the first.
const LEAST: f64 = 2e-3;
/// Ratio of the ends of the others.
const RATIO: f64 = 1.5;
/// Values without which nothing is surprising.
const ENOUGH: u32 = 50;
/// Nats that a value behind the edge can add: one number decides nothing.
const CAP: f64 = 12.0;
/// The tail is at least this share of the usual deviation wide.
const WIDTH: f64 = 0.3;
/// And at least this wide, on the scale.
const LEAST_WIDTH: f64 = 0.01;

/// The largest values of some.
#[derive(Clone, Debug, PartialEq)]
struct Top {
    /// Ascending; the first `kept` count.
    values: [i16; KEPT],
    kept: u8,
    seen: u16,
}

impl Top {
    const EMPTY: Self = Self { values: [0; KEPT], kept: 0, seen: 0 };

    fn add(&mut self, value: i16) {
        self.seen = self.seen.saturating_add(1);
        let kept = usize::from(self.kept);
        let place = self.values[..kept].partition_point(|&other| other < value);
        if kept < KEPT {
            self.values.copy_within(place..kept, place + 1);
            self.values[place] = value;
            self.kept += 1;
        } else if place > 0 {
            self.values.copy_within(1..place, 0);
            self.values[place - 1] = value;
        }
    }

    /// The least value kept, when smaller ones were left out.
    fn edge(&self) -> Option<i16> {
        (usize::from(self.kept) == KEPT).then(|| self.values[0])
    }

    fn write(&self, to: &mut Writer) {
        to.u8(self.kept);
        to.u16(self.seen);
        self.values[..usize::from(self.kept)].iter().for_each(|&value| to.i16(value));
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut top = Self { kept: from.u8()?, seen: from.u16()?, ..Self::EMPTY };
        for value in top.values.get_mut(..usize::from(top.kept))? {
            *value = from.i16()?;
        }
        Some(top)
    }
}

/// The largest values of this half and of the one before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tail {
    now: Top,
    before: Top,
}

impl Tail {
    pub(super) const EMPTY: Self = Self { now: Top::EMPTY, before: Top::EMPTY };

    pub(super) fn add(&mut self, value: f64, half: u16) {
        self.now.add(pack(value));
        if self.now.seen >= half {
            self.before = std::mem::replace(&mut self.now, Top::EMPTY);
        }
    }

    /// -ln of the share of values at least this large, when it is in the tail; otherwise the -ln of
    /// the tail's own share, as the most that a value of the bulk can have. `spread` is the usual
    /// deviation.
    pub(super) fn surprise(&self, value: f64, spread: f64) -> Result<f64, f64> {
        let seen = u32::from(self.now.seen) + u32::from(self.before.seen);
        let Some(edge) = self.now.edge().max(self.before.edge()).filter(|_| seen >= ENOUGH) else {
            return Err(0.0);
        };
        let edge = unpack(edge);
        let (mut above, mut sum) = (0_u32, 0.0);
        for top in [&self.now, &self.before] {
            for value in top.values[..usize::from(top.kept)].iter().map(|&value| unpack(value)) {
                if value >= edge {
                    above += 1;
                    sum += value - edge;
                }
            }
        }
        let above = f64::from(above.max(1));
        let of_tail = ((f64::from(seen) + 1.0) / above).ln();
        if value <= edge {
            return Err(of_tail);
        }
        let width = (sum / above).max(WIDTH * spread).max(LEAST_WIDTH);
        Ok(of_tail + ((value - edge) / width).min(CAP))
    }

    pub(super) fn write(&self, to: &mut Writer) {
        self.now.write(to);
        self.before.write(to);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self { now: Top::read(from)?, before: Top::read(from)? })
    }
}

/// Deviations of one direction.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Side {
    tail: Tail,
    buckets: [u16; BUCKETS],
}

impl Side {
    const EMPTY: Self = Self { tail: Tail::EMPTY, buckets: [0; BUCKETS] };

    /// Of values more than 0, how many are at least this large.
    fn at_least(&self, value: f64) -> f64 {
        let place = bucket(value);
        let above: u32 = self.buckets[place + 1..].iter().map(|&count| u32::from(count)).sum();
        let (low, high) = ends(place);
        let share = 1.0 - ((value - low) / (high - low)).clamp(0.0, 1.0);
        f64::from(above) + f64::from(self.buckets[place]) * share
    }
}

/// Deviations in both directions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Deviations {
    sides: [Side; 2],
    /// How many are in the buckets, those of 0 included.
    seen: u16,
}

impl Deviations {
    pub(super) const EMPTY: Self = Self { sides: [Side::EMPTY, Side::EMPTY], seen: 0 };

    /// Takes one into account; `half` is half of what is remembered.
    pub(super) fn add(&mut self, deviation: f64, half: u16) {
        for (side, value) in self.sides.iter_mut().zip([deviation, -deviation]) {
            side.tail.add(value, half);
            if value > 0.0 {
                let count = &mut side.buckets[bucket(value)];
                *count = count.saturating_add(1);
            }
        }
        self.seen = self.seen.saturating_add(1);
        if self.seen >= half.saturating_mul(2) {
            self.seen /= 2;
            let all = self.sides.iter_mut().flat_map(|side| &mut side.buckets);
            all.for_each(|count| *count /= 2);
        }
    }

    /// -ln of the share of deviations at least as large as this one, upwards and downwards, nats.
    pub(super) fn surprise(&self, deviation: f64, spread: f64) -> [f64; 2] {
        let mut found = [0.0; 2];
        for ((side, value), found) in self.sides.iter().zip([deviation, -deviation]).zip(&mut found)
        {
            *found = match side.tail.surprise(value, spread) {
                Ok(surprise) => surprise,
                Err(most) if value > 0.0 && most > 0.0 => {
                    let share = (side.at_least(value) + 0.5) / (f64::from(self.seen) + 1.0);
                    (-share.ln()).clamp(0.0, most)
                }
                Err(_) => 0.0,
            };
        }
        found
    }

    /// The median of what they are without their sign, scaled to the standard deviation of normal
    /// values (1.4826 times the median absolute deviation); more than 0.
    pub(super) fn spread(&self) -> f64 {
        let count = |place: usize| {
            self.sides.iter().map(|side| f64::from(side.buckets[place])).sum::<f64>()
        };
        let half = (0..BUCKETS).map(count).sum::<f64>() / 2.0;
        let mut passed = 0.0;
        for place in 0..BUCKETS {
            let here = count(place);
            if here > 0.0 && passed + here >= half {
                let (low, high) = ends(place);
                return (1.4826 * (low + (high - low) * (half - passed) / here)).max(1e-3);
            }
            passed += here;
        }
        1e-3
    }

    /// The deviation that a share `exp(-nats)` goes beyond, in a direction (0 up, 1 down).
    pub(super) fn beyond(&self, nats: f64, direction: usize) -> f64 {
        let Some(side) = self.sides.get(direction) else { return 0.0 };
        let wanted = (-nats).exp() * f64::from(self.seen);
        let mut above = 0.0;
        for place in (0..BUCKETS).rev() {
            above += f64::from(side.buckets[place]);
            if above >= wanted {
                return ends(place).1;
            }
        }
        0.0
    }

    pub(super) fn write(&self, to: &mut Writer) {
        to.u16(self.seen);
        for side in &self.sides {
            side.tail.write(to);
            side.buckets.iter().for_each(|&count| to.u16(count));
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut deviations = Self { seen: from.u16()?, ..Self::EMPTY };
        for side in &mut deviations.sides {
            side.tail = Tail::read(from)?;
            for count in &mut side.buckets {
                *count = from.u16()?;
            }
        }
        Some(deviations)
    }
}

/// The bucket of a value more than 0.
fn bucket(value: f64) -> usize {
    if value <= LEAST {
        return 0;
    }
    let place = (value / LEAST).ln() / RATIO.ln();
    // More than 0, and bounded by the last bucket.
    (1 + place as usize).min(BUCKETS - 1)
}

fn ends(place: usize) -> (f64, f64) {
    let power = |power: usize| LEAST * RATIO.powi(i32::try_from(power).unwrap_or_default());
    if place == 0 { (0.0, LEAST) } else { (power(place - 1), power(place)) }
}
