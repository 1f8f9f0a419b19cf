//! Rates: so much in a time.

use std::fmt;
use std::time::Duration;

use super::{DAY, Problem, scale, show_size, shown, size, split};

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
    /// Requests, as far as the sensor reads them.
    Requests,
}

impl Measure {
    /// The key that carries such a rate.
    pub fn key(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Bytes => "bytes",
            Self::Connections => "connections",
            Self::Requests => "requests",
        }
    }

    /// A right value, for hints.
    pub fn example(self) -> &'static str {
        match self {
            Self::Packets => "\"2000/s\"",
            Self::Bytes => "\"10MB/s\"",
            Self::Connections => "\"50/s\"",
            Self::Requests => "\"10000/day\"",
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
            Measure::Packets | Measure::Connections | Measure::Requests => {
                format!("{}/{unit}", self.amount)
            }
        }
    }
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
        Measure::Packets | Measure::Connections | Measure::Requests => match split(amount) {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
