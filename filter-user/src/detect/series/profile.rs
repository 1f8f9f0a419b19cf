//! What is usual at an hour of the week.
//!
//! Of every hour the median of its steps is kept in one of 168 cells; when the hour comes again a
//! week later, the cell moves half the way. While few weeks were seen, what the same hour was on the
//! other days of the week stands in: the weighted median of all cells of that hour of the day
//! (weight 3) and of the hours beside it (weight 1), or of all hours on the first day. A cell that
//! was visited `v` weeks moves the expectation `v / (v + 2)` of the way towards the median of itself
//! and the cells beside it. Medians throughout: an hour of an attack, or of bursts, moves little.
//!
//! Between the middles of two hours the expectation is straight. The spread is kept by the hour of the day, likewise: from the quartiles of each hour's steps.

use super::scale::{NONE, median, pack, unpack};
use crate::detect::codec::{Reader, Writer};

/// Hours of a week.
pub(super) const CELLS: usize = 168;
const DAY: usize = 24;
/// Steps of an hour that its median is taken of, at most.
const SAMPLES: usize = 16;
/// Limits of an hour's spread, as shares of the median of all hours.
const SPREADS: (f64, f64) = (0.5, 4.0);

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Profile {
    cells: [i16; CELLS],
    visits: [u8; CELLS / 4],
    spreads: [i16; DAY],
    hour: Option<u8>,
    samples: [i16; SAMPLES],
    count: u8,
    /// What is usual in the middle of the hour before, of this one and of the next.
    levels: [i16; 3],
    /// The spread of this hour as a share of that of all.
    ratio: f32,
}

/// What is usual at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expected {
    /// On the scale.
    pub(super) level: f64,
    /// The spread as a share of that of all hours.
    pub(super) ratio: f64,
    /// This hour of the week was seen before.
    pub(super) seen: bool,
}

impl Profile {
    pub(super) const EMPTY: Self = Self {
        cells: [NONE; CELLS],
        visits: [0; CELLS / 4],
        spreads: [NONE; DAY],
        hour: None,
        samples: [0; SAMPLES],
        count: 0,
        levels: [NONE; 3],
        ratio: 1.0,
    };

    /// What is usual in this minute of the week (0 is the first). `None` before an hour has passed.
    pub(super) fn at(&mut self, minute: u16) -> Option<Expected> {
        let hour = u8::try_from(minute / 60).unwrap_or_default();
        if self.hour != Some(hour) {
            self.turn(hour);
        }
        if self.levels.contains(&NONE) {
            return None;
        }
        // Straight from the middle of an hour to that of the next.
        let [before, now, after] = self.levels.map(unpack);
        let passed = f64::from(minute % 60) / 60.0;
        let level = if passed < 0.5 {
            before + (now - before) * (0.5 + passed)
        } else {
            now + (after - now) * (passed - 0.5)
        };
        let seen = self.visits(usize::from(hour)) > 0;
        Some(Expected { level, ratio: f64::from(self.ratio), seen })
    }

    /// Takes a value of the hour last asked for into account.
    pub(super) fn learn(&mut self, value: f64) {
        let count = usize::from(self.count);
        // More steps than places: later ones replace, evenly.
        if let Some(sample) = self.samples.get_mut(count % SAMPLES) {
            *sample = pack(value);
        }
        self.count = if count + 1 >= 2 * SAMPLES { SAMPLES as u8 } else { self.count + 1 };
    }

    /// Moves all that is kept to another unit.
    pub(super) fn rescale(&mut self, to: impl Fn(f64) -> f64) {
        self.shift(to);
        self.spreads = [NONE; DAY];
        self.ratio = 1.0;
    }

    /// Moves all levels.
    pub(super) fn shift(&mut self, to: impl Fn(f64) -> f64) {
        let values = self.cells.iter_mut().chain(&mut self.samples).chain(&mut self.levels);
        for value in values.filter(|value| **value != NONE) {
            *value = pack(to(unpack(*value)));
        }
    }

    /// The median of all hours.
    pub(super) fn middle(&self) -> Option<f64> {
        median(&mut self.known(0..CELLS).map(|value| (value, 1)).collect::<Vec<_>>())
    }

    fn known(&self, places: impl Iterator<Item = usize>) -> impl Iterator<Item = f64> {
        let kept = places.filter_map(|place| self.cells.get(place % CELLS).copied());
        kept.filter(|&value| value != NONE).map(unpack)
    }

    fn turn(&mut self, hour: u8) {
        self.close();
        self.hour = Some(hour);
        let place = usize::from(hour);
        let hours = [place + CELLS - 1, place, place + 1];
        self.levels = hours.map(|place| self.level(place % CELLS).map_or(NONE, pack));
        self.ratio = self.spread_ratio(place % DAY) as f32;
    }

    fn level(&self, place: usize) -> Option<f64> {
        let days = || (0..CELLS / DAY).map(move |day| place + DAY * day);
        let beside = days().flat_map(|place| [place + 1, place + CELLS - 1]);
        let mut around: Vec<_> = self.known(days()).map(|value| (value, 3)).collect();
        if !around.is_empty() {
            around.extend(self.known(beside).map(|value| (value, 1)));
        }
        let of_day = median(&mut around).or_else(|| self.middle())?;
        let visits = f64::from(self.visits(place));
        let mut near: Vec<_> =
            self.known([place + CELLS - 1, place, place + 1].into_iter()).map(|v| (v, 1)).collect();
        let of_week = median(&mut near).unwrap_or(of_day);
        Some(of_day + (of_week - of_day) * visits / (visits + 2.0))
    }

    fn spread_ratio(&self, hour: usize) -> f64 {
        let of = |hour: usize| self.spreads[hour % DAY];
        let weigh = |(spread, weight): (i16, u32)| (unpack(spread), weight);
        let known = |(spread, _): &(i16, u32)| *spread != NONE;
        let mut near: Vec<_> = [(of(hour + DAY - 1), 1), (of(hour), 3), (of(hour + 1), 1)]
            .into_iter()
            .filter(known)
            .map(weigh)
            .collect();
        let mut all: Vec<_> =
            self.spreads.iter().map(|&spread| (spread, 1)).filter(known).map(weigh).collect();
        match (median(&mut near), median(&mut all)) {
            (Some(near), Some(all)) => {
                0.5 + 0.5 * (near / all.max(1e-3)).clamp(SPREADS.0, SPREADS.1)
            }
            _ => 1.0,
        }
    }

    /// Ends the hour.
    fn close(&mut self) {
        let count = usize::from(std::mem::take(&mut self.count)).min(SAMPLES);
        let Some(place) = self.hour.map(usize::from).filter(|_| count > 0) else { return };
        let mut samples = self.samples;
        let samples = &mut samples[..count];
        samples.sort_unstable();
        let middle = unpack(samples[count / 2]);
        let between = unpack(samples[3 * count / 4]) - unpack(samples[count / 4]);
        let visits = self.visits(place);
        if let Some(cell) = self.cells.get_mut(place) {
            *cell = pack(if *cell == NONE { middle } else { (unpack(*cell) + middle) / 2.0 });
            self.set_visits(place, visits + 1);
        }
        // Between the quartiles of normal values are 1.349 standard deviations.
        let spread = between / 1.349;
        let kept = &mut self.spreads[place % DAY];
        *kept = pack(if *kept == NONE { spread } else { unpack(*kept) * 0.7 + spread * 0.3 });
    }

    /// Weeks in which an hour was seen, up to 3.
    fn visits(&self, place: usize) -> u8 {
        self.visits.get(place / 4).map_or(0, |four| four >> (place % 4 * 2) & 3)
    }

    fn set_visits(&mut self, place: usize, visits: u8) {
        if let Some(four) = self.visits.get_mut(place / 4) {
            let shift = place % 4 * 2;
            *four = *four & !(3 << shift) | visits.min(3) << shift;
        }
    }

    pub(super) fn write(&self, to: &mut Writer) {
        let kept = self.cells.iter().chain(&self.spreads).chain(&self.samples).chain(&self.levels);
        kept.for_each(|&value| to.i16(value));
        self.visits.iter().for_each(|&visits| to.u8(visits));
        to.u8(self.hour.unwrap_or(u8::MAX));
        to.u8(self.count);
        to.f32(self.ratio);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let mut profile = Self::EMPTY;
        let Self { cells, spreads, samples, levels, .. } = &mut profile;
        for value in cells.iter_mut().chain(spreads).chain(samples).chain(levels) {
            *value = from.i16()?;
        }
        for visits in &mut profile.visits {
            *visits = from.u8()?;
        }
        profile.hour = Some(from.u8()?).filter(|&hour| usize::from(hour) < CELLS);
        profile.count = from.u8()?.min(SAMPLES as u8 * 2);
        profile.ratio = from.f32()?;
        profile.ratio.is_finite().then_some(profile)
    }
}
