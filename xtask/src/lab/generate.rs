//! Series with planted shifts: two weeks every five minutes, of the kinds that APIs have.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

/// Seconds from value to value.
const STEP: u64 = 300;
/// Values: two weeks.
const VALUES: u64 = 14 * 288;
/// Monday, 3 March 2025, 0:00 UTC.
const BEGIN: u64 = 1_740_960_000;

/// A generator that gives the same for the same seed (xorshift64*, G. Marsaglia, 2003).
struct Random(u64);

impl Random {
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }
}

/// A series: its name, what is usual at a step, and by what it is multiplied from step to step.
struct Planted {
    name: &'static str,
    usual: fn(u64, &mut Random) -> f64,
    shifts: &'static [(u64, u64, f64)],
}

fn rhythm(step: u64) -> f64 {
    let day = step / 288 % 7;
    let weekend = if day >= 5 { 0.8 } else { 1.0 };
    let hour = (step % 288) as f64 / 12.0;
    weekend * (1.0 - 0.8 * ((hour - 2.0) / 24.0 * std::f64::consts::TAU).cos())
}

const SERIES: [Planted; 4] = [
    Planted {
        name: "requests_daily_rhythm.csv",
        usual: |step, random| 400.0 * rhythm(step) * (0.12 * random.normal()).exp(),
        shifts: &[(8 * 288 + 100, 8 * 288 + 124, 3.0), (11 * 288 + 160, 11 * 288 + 190, 0.1)],
    },
    Planted {
        name: "bytes_in_bursts.csv",
        usual: |step, random| {
            let burst = step % 12 == 7 || random.share() < 0.01;
            let level = if burst { 3_000_000.0 } else { 250_000.0 };
            level * (0.05 * random.normal()).exp()
        },
        shifts: &[(12 * 288 + 40, 12 * 288 + 60, 30.0)],
    },
    Planted {
        name: "latency.csv",
        usual: |_, random| 45.0 + 2.0 * random.normal(),
        shifts: &[(9 * 288 + 7, 9 * 288 + 16, 1.5), (13 * 288, 13 * 288 + 12, 0.6)],
    },
    Planted {
        name: "nothing_happens.csv",
        usual: |step, random| 30.0 * rhythm(step) * (0.5 * random.normal()).exp(),
        shifts: &[],
    },
];

/// Writes the series and their windows.json.
pub(super) fn write(directory: &Path, seed: u64) -> Result<()> {
    let mut windows = BTreeMap::new();
    for (number, series) in (1..).zip(&SERIES) {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        for _ in 0..8 {
            random.share();
        }
        let mut text = "timestamp,value\n".to_owned();
        for step in 0..VALUES {
            let mut value = (series.usual)(step, &mut random);
            for (from, until, factor) in series.shifts {
                if (*from..*until).contains(&step) {
                    value *= factor;
                }
            }
            writeln!(text, "{},{value:.3}", date(step))?;
        }
        let path = directory.join(series.name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        // Half an hour after its end, an alarm is late.
        let labels: Vec<_> =
            series.shifts.iter().map(|(from, until, _)| [date(*from), date(until + 6)]).collect();
        windows.insert(series.name, labels);
    }
    let path = directory.join("windows.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&windows)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The date of a step; all of them are in March 2025.
fn date(step: u64) -> String {
    let seconds = BEGIN % 86_400 + step * STEP;
    let (day, second) = (3 + seconds / 86_400, seconds % 86_400);
    format!("2025-03-{day:02} {:02}:{:02}:00", second / 3600, second / 60 % 60)
}
