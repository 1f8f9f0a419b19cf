//! Numbers with units: durations, sizes and rates. Pure text to value; ranges that only one key
//! has are left to that key.

mod rate;

use std::time::Duration;

pub use rate::{Measure, Rate, rate};

/// Why a text is not the value it should be, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub hint: String,
}

impl Problem {
    /// A problem and its remedy.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// Seconds in a day: the longest unit.
pub const DAY: Duration = Duration::from_secs(86_400);

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A size with the largest unit that loses nothing.
pub fn show_size(bytes: u64) -> String {
    let mut units = SIZE_UNITS;
    units.sort_by_key(|(_, factor)| std::cmp::Reverse(*factor));
    let fits = |factor: u64| bytes >= factor && bytes.is_multiple_of(factor);
    let (name, factor) = units.into_iter().find(|(_, f)| fits(*f)).unwrap_or(("B", 1));
    format!("{}{name}", bytes / factor)
}

/// A duration with the largest unit that loses nothing, rounded up to a millisecond.
pub fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos().next_multiple_of(1_000_000);
    let mut units = DURATION_UNITS;
    units.reverse();
    let fits =
        |factor: u64| nanos >= u128::from(factor) && nanos.is_multiple_of(u128::from(factor));
    let (name, factor) = units.into_iter().find(|(_, f)| fits(*f)).unwrap_or(("ms", 1_000_000));
    format!("{}{name}", nanos / u128::from(factor))
}

/// Parses `250ms`, `1s`, `10m`, `1.5h`, `2d`.
///
/// # Errors
/// Not a number with one of the units, or longer than 290 years.
pub fn duration(text: &str) -> Result<Duration, Problem> {
    let hint = "write a number with ms, s, m, h or d, such as \"250ms\", \"10m\" or \"1h\"";
    let problem = |message: String| Problem::new(message, hint);
    let (number, unit) = split(text);
    if unit.is_empty() {
        return Err(problem(format!("\"{}\" is not a duration", shown(text))));
    }
    let factor = DURATION_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, f)| *f);
    let factor = factor.ok_or_else(|| problem(format!("unknown unit of time `{}`", shown(unit))));
    let nanos = scale(number, factor?).ok_or_else(|| {
        problem(format!("\"{}\" is not a whole number of nanoseconds in range", shown(text)))
    })?;
    Ok(Duration::from_nanos(nanos))
}

/// Parses `16MiB`, `4096B`, `1.5MB`.
///
/// # Errors
/// Not a number with one of the units, not whole bytes, or 2^64 or more.
pub fn size(text: &str) -> Result<u64, Problem> {
    let hint = "write a number with B, kB, MB, GB, KiB, MiB or GiB, such as \"16MiB\"";
    let (number, unit) = split(text);
    if unit.is_empty() {
        let message = format!("\"{}\" has no unit", shown(text));
        return Err(Problem::new(message, hint));
    }
    let Some((_, factor)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        let near = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let hint = match near {
            Some((near, _)) => format!("write {}{near}", shown(number)),
            None => hint.to_owned(),
        };
        return Err(Problem::new(format!("unknown unit of size `{}`", shown(unit)), hint));
    };
    scale(number, *factor).ok_or_else(|| {
        Problem::new(format!("\"{}\" is not a whole number of bytes in range", shown(text)), hint)
    })
}

/// The leading number and the rest.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// A decimal number times a factor, when that is whole and fits.
fn scale(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let whole = whole.parse::<u64>().ok()?;
    let mantissa = u128::from(whole) * scale + fraction.parse::<u128>().ok()?;
    let product = mantissa * u128::from(factor);
    if !product.is_multiple_of(scale) {
        return None;
    }
    u64::try_from(product / scale).ok()
}

/// A text safe and short enough to be repeated in a message.
fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let rows = [
            ("250ms", Some(250_000_000)),
            ("1s", Some(1_000_000_000)),
            ("10m", Some(600_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("2d", Some(172_800_000_000_000)),
            ("0s", Some(0)),
            ("1", None),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("1h30m", None),
            ("1..5s", None),
            ("1.s", None),
            ("999999999999d", None),
            ("1µs", None),
        ];
        for (text, nanos) in rows {
            assert_eq!(duration(text).ok(), nanos.map(Duration::from_nanos), "{text}");
        }
    }

    #[test]
    fn sizes() {
        let rows = [
            ("1B", Some(1)),
            ("1.5kB", Some(1500)),
            ("10MB", Some(10_000_000)),
            ("16MiB", Some(1 << 24)),
            ("2GiB", Some(1 << 31)),
            ("4KiB", Some(4096)),
            ("3GB", Some(3_000_000_000)),
            ("1.5B", None),
            ("10", None),
            ("10mb", None),
            ("MB", None),
            ("99999999999GB", None),
        ];
        for (text, bytes) in rows {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
        assert_eq!(size("10mb").expect_err("wrong case").hint, "write 10MB");
    }

    #[test]
    fn shown_as_written() {
        let rows = [
            ("2000/s", Measure::Packets),
            ("10MB/s", Measure::Bytes),
            ("16MiB/min", Measure::Bytes),
        ];
        for (text, measure) in rows {
            let parsed = rate(text, measure).expect("a rate");
            assert_eq!(parsed.display(measure).to_string(), text);
        }
        for text in ["250ms", "10m", "1h", "2d", "90s"] {
            assert_eq!(show_duration(duration(text).expect("a duration")), text);
        }
        assert_eq!(show_duration(Duration::from_nanos(333_333_334)), "334ms");
        assert_eq!(show_size(0), "0B");
    }
}
