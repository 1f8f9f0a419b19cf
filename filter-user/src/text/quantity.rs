//! Numbers with units: durations, sizes and rates. Pure text to value; ranges that only one key
//! has are left to that key.

use std::fmt;
use std::time::Duration;

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

/// Periods a rate can be given in. `/m` is left out: it reads as metres, months or minutes.
const PERIODS: [(&str, Duration); 4] = [
    ("s", Duration::from_secs(1)),
    ("min", Duration::from_secs(60)),
    ("h", Duration::from_secs(3_600)),
    ("day", DAY),
];

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Packets.
    Packets,
    /// Bytes on the wire, from the Ethernet header on.
    Bytes,
    /// New connections: TCP segments with SYN and without ACK.
    Connections,
}

impl Measure {
    /// The key that carries such a rate.
    pub fn key(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Bytes => "bytes",
            Self::Connections => "connections",
        }
    }

    /// A right value, for hints.
    pub fn example(self) -> &'static str {
        match self {
            Self::Packets => "\"2000/s\"",
            Self::Bytes => "\"10MB/s\"",
            Self::Connections => "\"50/s\"",
        }
    }
}

/// So many packets, bytes or connections in a period, as written: `90/min` is not `1.5/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// What is counted; at least 1.
    pub amount: u64,
    /// In which time: a second, a minute, an hour or a day.
    pub period: Duration,
}

impl Rate {
    /// The amount of one second, rounded down.
    pub fn per_second(self) -> u64 {
        self.amount / self.period.as_secs().max(1)
    }

    /// How much fits into a burst of this length, rounded down.
    pub fn within(self, burst: Duration) -> u64 {
        let amount = u128::from(self.amount) * burst.as_nanos() / self.period.as_nanos().max(1);
        u64::try_from(amount).unwrap_or(u64::MAX)
    }

    /// The shortest burst into which `amount` fits, in whole nanoseconds.
    pub fn time_for(self, amount: u64) -> Duration {
        let nanos = u128::from(amount) * self.period.as_nanos();
        let nanos = nanos.div_ceil(u128::from(self.amount.max(1)));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The rate as one would write it, bytes with the largest unit that loses nothing.
    pub fn display(self, measure: Measure) -> impl fmt::Display {
        let unit = PERIODS.iter().find(|(_, period)| *period == self.period);
        let unit = unit.map_or("s", |(name, _)| name);
        match measure {
            Measure::Bytes => format!("{}/{unit}", show_size(self.amount)),
            Measure::Packets | Measure::Connections => format!("{}/{unit}", self.amount),
        }
    }
}

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

/// Parses `2000/s`, `90/min`, `10MB/s`, `1/day`, without a limit of how much is too much.
///
/// # Errors
/// Not an amount of the measure's kind, a slash and a period; or an amount of 0.
pub fn rate(text: &str, measure: Measure) -> Result<Rate, Problem> {
    let example =
        format!("write an amount and /s, /min, /h or /day, such as {}", measure.example());
    let Some((amount, period)) = text.split_once('/') else {
        let message = format!("\"{}\" is not a rate: it names no time", shown(text));
        return Err(Problem::new(message, example));
    };
    let (amount, period) = (amount.trim(), period.trim());
    let Some((_, period)) = PERIODS.iter().find(|(name, _)| *name == period) else {
        let hint = match period {
            "m" | "minute" => format!("write {}/min", shown(amount)),
            "d" => format!("write {}/day", shown(amount)),
            "sec" | "second" => format!("write {}/s", shown(amount)),
            "hour" => format!("write {}/h", shown(amount)),
            _ => example,
        };
        return Err(Problem::new(format!("unknown period `/{}` of a rate", shown(period)), hint));
    };
    let amount = match measure {
        Measure::Bytes => size(amount).map_err(|problem| match split(amount) {
            (number, "") if !number.is_empty() => Problem::new(
                format!("\"{}\" does not say bytes of which size", shown(text)),
                format!("write {}B or another unit (kB, MB, GB, KiB, MiB, GiB)", shown(number)),
            ),
            _ => problem,
        })?,
        Measure::Packets | Measure::Connections => match split(amount) {
            (number, "") => scale(number, 1).ok_or_else(|| {
                let message = format!("\"{}\" is not a whole number", shown(amount));
                Problem::new(message, format!("{example}; for less than 1/s use /min, /h or /day"))
            })?,
            (_, unit) => {
                let message = format!("`{}` is not a unit of {}", shown(unit), measure.key());
                return Err(Problem::new(message, format!("{example}, without a unit")));
            }
        },
    };
    if amount == 0 {
        let message = format!("a rate of 0 {} admits nothing", measure.key());
        return Err(Problem::new(message, "write a rate above 0, or keep sources out by `deny`"));
    }
    Ok(Rate { amount, period: *period })
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
    fn rates() {
        use Measure::{Bytes, Connections, Packets};
        let rows = [
            ("2000/s", Packets, Some((2000, 1))),
            ("90/min", Connections, Some((90, 60))),
            ("5/h", Packets, Some((5, 3600))),
            ("1/day", Packets, Some((1, 86_400))),
            ("10MB/s", Bytes, Some((10_000_000, 1))),
            ("10 MB / s", Bytes, Some((10_000_000, 1))),
            ("2000", Packets, None),
            ("2000/m", Packets, None),
            ("2k/s", Packets, None),
            ("1.5/s", Packets, None),
            ("0/s", Packets, None),
            ("0B/s", Bytes, None),
            ("2000/s", Bytes, None),
            ("/s", Packets, None),
            ("18446744073709551616/s", Packets, None),
        ];
        for (text, measure, expected) in rows {
            let found = rate(text, measure).ok().map(|r| (r.amount, r.period.as_secs()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_a_burst_holds() {
        let rate = |amount, secs| Rate { amount, period: Duration::from_secs(secs) };
        assert_eq!(rate(2000, 1).within(Duration::from_millis(500)), 1000);
        assert_eq!(rate(1, 60).within(Duration::from_secs(59)), 0);
        assert_eq!(rate(1, 60).time_for(1), Duration::from_secs(60));
        assert_eq!(rate(3, 1).time_for(1), Duration::from_nanos(333_333_334));
        assert_eq!(rate(u64::MAX, 1).within(DAY), u64::MAX);
        assert_eq!(rate(120, 60).per_second(), 2);
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
