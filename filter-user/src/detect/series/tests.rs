//! Planted shifts, usual life, and state that is written and read.

use super::*;
use crate::detect::codec::{Reader, Writer};
use crate::detect::simulation::Random;

const DAY: u64 = 288;
const KIND: Kind = Kind { least_unit: 0.01, least_change: 0.0 };

/// Steps from `from` to `until` of a series, judged with a fixed threshold; the alarms that opened.
fn run(
    series: &mut Series,
    steps: std::ops::Range<u64>,
    mut value: impl FnMut(u64) -> f64,
) -> Vec<(u64, Judged)> {
    let config = SeriesConfig::default();
    let mut opened = Vec::new();
    for step in steps {
        let minute = u16::try_from(step * 5 % 10_080).unwrap();
        let mut enough = |evidence| evidence >= 8.0;
        let judged = series.step(minute, value(step), Sampling::Exact, &KIND, &config, &mut enough);
        if let Some((judged, Step::Open)) = judged {
            opened.push((step, judged));
        }
    }
    opened
}

#[test]
fn shifts_are_found_soon_and_on_the_right_side() {
    for (what, factor, up) in [("up", 2.0, true), ("down", 0.4, false), ("slightly", 1.4, true)] {
        let mut random = Random::new(3);
        let mut noise = || 1.0 + 0.05 * (random.share() + random.share() - 1.0);
        let mut series = Series::new();
        let opened = run(&mut series, 0..9 * DAY, |step| {
            let day = ((step % DAY) as f64 / DAY as f64 * std::f64::consts::TAU).cos();
            let shift = if step >= 8 * DAY + 100 { factor } else { 1.0 };
            (100.0 - 60.0 * day) * noise() * shift
        });
        let (step, judged) = opened.first().unwrap_or_else(|| panic!("{what}: not found"));
        assert!((8 * DAY + 100..=8 * DAY + 105).contains(step), "{what}: at {step}");
        assert_eq!(judged.up, up, "{what}");
        assert!((judged.value / judged.usual / factor - 1.0).abs() < 0.2, "{what}: {judged:?}");
        let beyond =
            if up { judged.threshold > judged.usual } else { judged.threshold < judged.usual };
        assert!(beyond, "{what}: {judged:?}");
    }
}

#[test]
fn usual_life_is_none() {
    for (what, most, value) in [
        ("constant", 0, (|_, _| 7.0) as fn(u64, f64) -> f64),
        ("nothing", 0, |_, _| 0.0),
        ("a job every hour", 0, |step, share| if step % 12 == 3 { 900.0 } else { 10.0 + share }),
        // Too short for the median of its hour: news until it has come back often enough.
        (
            "a job every night",
            8,
            |step, share| {
                if step % DAY < 3 { 500.0 + share } else { 10.0 + share }
            },
        ),
        ("growth", 1, |step, share| (100.0 + share) * (1.0 + step as f64 / (30 * DAY) as f64)),
    ] {
        let mut random = Random::new(9);
        let opened = run(&mut Series::new(), 0..21 * DAY, |step| value(step, random.share()));
        assert!(opened.len() <= most, "{what}: {} alarms, {:?}", opened.len(), opened.first());
    }
}

/// One value is off: neither it nor the next ones, which are as usual, are an alarm.
#[test]
fn what_is_over_before_it_is_told_is_not_told() {
    for number in 0..40 {
        let mut random = Random::new(number);
        let off = 7 * DAY + number * 7;
        let opened = run(&mut Series::new(), 0..9 * DAY, |step| match step {
            step if step == off => 0.4,
            step if step + 12 < off && random.share() < 0.03 => 0.01,
            _ => 0.0,
        });
        let after = opened.iter().filter(|(step, _)| *step >= off);
        assert_eq!(after.count(), 0, "{number}: {opened:?}");
    }
}

#[test]
fn a_new_level_is_adopted_and_not_told_again() {
    let mut random = Random::new(4);
    let mut series = Series::new();
    let opened = run(&mut series, 0..14 * DAY, |step| {
        let level = if step < 5 * DAY { 50.0 } else { 100.0 };
        level * (1.0 + 0.1 * random.share())
    });
    assert!((1..=2).contains(&opened.len()), "{opened:?}");
    assert!(!series.is_open());
}

#[test]
fn goes_on_from_what_was_written() {
    let mut random = Random::new(8);
    let mut series = Series::new();
    let values: Vec<f64> = (0..12 * DAY).map(|_| 20.0 + random.share()).collect();
    let value = |step: u64| values[step as usize] * if step > 11 * DAY { 3.0 } else { 1.0 };
    run(&mut series, 0..10 * DAY + 77, value);
    let mut writer = Writer::default();
    series.write(&mut writer);
    let mut reader = Reader(&writer.0);
    let mut read = Series::read(&mut reader).expect("what was written");
    assert!(reader.is_empty());
    assert_eq!(read, series);
    let steps = 10 * DAY + 77..12 * DAY;
    let (one, other) = (run(&mut series, steps.clone(), value), run(&mut read, steps, value));
    assert_eq!(one, other);
    assert_eq!(one.len(), 1, "{one:?}");
    for length in 0..writer.0.len() {
        assert_eq!(Series::read(&mut Reader(&writer.0[..length])), None, "{length} bytes");
    }
    assert!(writer.0.len() < 1100, "{} bytes", writer.0.len());
    assert!(std::mem::size_of::<Series>() < 1100, "{} bytes", std::mem::size_of::<Series>());
}

#[test]
fn anything_may_be_a_value() {
    let mut series = Series::new();
    let odd = [0.0, -5.0, f64::NAN, f64::INFINITY, 1e300, -1e300, 1e-300];
    run(&mut series, 0..6 * DAY, |step| odd[(step % 7) as usize]);
    assert!(
        series
            .step(10_079, 1.0, Sampling::Exact, &KIND, &SeriesConfig::default(), &mut |_| true)
            .is_some()
    );
}
