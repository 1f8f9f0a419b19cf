//! When an API is being maintained, so that what it does then is neither judged nor learned.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::text::Location;
use crate::text::quantity::show_duration;

/// Seconds in a day.
const DAY: u64 = 86_400;
/// Days of the week as a policy calls them, Monday first.
pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// `[[maintenance]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// Which APIs, by name, each of the policy; empty: every one.
    pub apis: Vec<String>,
    /// When.
    pub when: When,
    /// Why; empty where nothing is said.
    pub reason: String,
    /// Where it begins.
    pub at: Location,
}

/// When there is maintenance. All times are UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Once.
    Once {
        /// From then on, seconds since 1970.
        from: u64,
        /// Up to then, seconds since 1970; later than `from`.
        until: u64,
    },
    /// On days of each week.
    Weekly {
        /// Those on which it begins, Monday first.
        days: [bool; 7],
        /// From then on, minutes since midnight, below 1440.
        from: u16,
        /// For so long: a minute to a day.
        length: Duration,
    },
}

impl Maintenance {
    /// Whether it is about this API.
    pub fn names(&self, api: &str) -> bool {
        self.apis.is_empty() || self.apis.iter().any(|name| name == api)
    }
}

impl When {
    /// Until when it lasts if it is at this time; both in seconds since 1970.
    pub fn covers(&self, time: u64) -> Option<u64> {
        match *self {
            Self::Once { from, until } => (from..until).contains(&time).then_some(until),
            Self::Weekly { days, from, length } => {
                let today = time / DAY;
                // It lasts a day at most: it began today or yesterday.
                let begun = [Some(today), today.checked_sub(1)].into_iter().flatten();
                let ends = begun.filter_map(|day| {
                    // 1970 began on a Thursday.
                    let weekday = usize::try_from((day + 3) % 7).ok()?;
                    let start = day * DAY + u64::from(from) * 60;
                    let end = start + length.as_secs();
                    (*days.get(weekday)? && (start..end).contains(&time)).then_some(end)
                });
                ends.max()
            }
        }
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Once { from, until } => write!(f, "{} to {}", moment(from), moment(until)),
            Self::Weekly { days, from, length } => {
                if days == [true; 7] {
                    f.write_str("every day")?;
                } else {
                    let named = DAYS.iter().zip(days).filter(|(_, is)| *is).map(|(name, _)| *name);
                    f.write_str(&named.collect::<Vec<_>>().join(" "))?;
                }
                let (hour, minute) = (from / 60, from % 60);
                write!(f, " {hour:02}:{minute:02} for {}", show_duration(length))
            }
        }
    }
}

/// As RFC 3339 writes it, in UTC.
fn moment(seconds: u64) -> String {
    let time =
        i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> u64 {
        let time = OffsetDateTime::parse(text, &Rfc3339).expect("a time");
        u64::try_from(time.unix_timestamp()).expect("after 1970")
    }

    #[test]
    fn hours_of_a_week_in_utc() {
        let weekly = |names: &[&str], from, minutes: u64| When::Weekly {
            days: DAYS.map(|day| names.contains(&day)),
            from,
            length: Duration::from_secs(minutes * 60),
        };
        let every = DAYS;
        let night = weekly(&["sat", "sun"], 22 * 60, 240);
        let once =
            When::Once { from: at("2026-12-01T22:00:00Z"), until: at("2026-12-01T23:30:00Z") };
        // 2026-11-28 is a Saturday.
        for (when, time, until) in [
            (night, "2026-11-28T21:59:59Z", None),
            (night, "2026-11-28T22:00:00Z", Some("2026-11-29T02:00:00Z")),
            (night, "2026-11-29T01:59:59Z", Some("2026-11-29T02:00:00Z")),
            (night, "2026-11-29T02:00:00Z", None),
            // Sunday's goes on into Monday; Friday has none.
            (night, "2026-11-30T01:00:00Z", Some("2026-11-30T02:00:00Z")),
            (night, "2026-11-28T01:00:00Z", None),
            (night, "2026-11-30T22:30:00Z", None),
            (weekly(&every, 0, 1440), "2026-11-30T00:00:00Z", Some("2026-12-01T00:00:00Z")),
            (weekly(&every, 1439, 1), "2026-11-30T23:59:30Z", Some("2026-12-01T00:00:00Z")),
            (weekly(&["sat"], 0, 1440), "2026-11-28T23:59:59Z", Some("2026-11-29T00:00:00Z")),
            (weekly(&["thu"], 0, 60), "1970-01-01T00:30:00Z", Some("1970-01-01T01:00:00Z")),
            (once, "2026-12-01T21:59:59Z", None),
            (once, "2026-12-01T22:00:00Z", Some("2026-12-01T23:30:00Z")),
            (once, "2026-12-01T23:30:00Z", None),
        ] {
            assert_eq!(when.covers(at(time)), until.map(at), "{when} at {time}");
        }
        assert_eq!(night.to_string(), "sat sun 22:00 for 4h");
        assert_eq!(weekly(&every, 90, 30).to_string(), "every day 01:30 for 30m");
        assert_eq!(once.to_string(), "2026-12-01T22:00:00Z to 2026-12-01T23:30:00Z");
    }
}
