//! `[[maintenance]]`.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::policy::maintenance::{DAYS, Maintenance, When};
use crate::text::quantity::{DAY, Problem, duration};
use crate::text::{Item, Table, nearest};

use super::Reader;

const KEYS: [&str; 6] = ["apis", "days", "from", "until", "for", "reason"];
const EXAMPLE: &str = "[[maintenance]] with from and until";
const MOMENT: &str = "\"2026-12-01T22:00:00Z\"";
const HOUR: &str = "\"22:00\"";
/// Windows of a policy.
const MOST: usize = 256;
/// One that lasts longer is hardly meant: so long nothing is learned, and no outage told.
const LONG: Duration = DAY.saturating_mul(31);

impl Reader<'_, '_, '_> {
    /// All windows. To be read after the APIs, which they name.
    pub(super) fn maintenance(&mut self, root: &Table<'_>) -> Vec<Maintenance> {
        let Some(item) = root.get("maintenance") else { return Vec::new() };
        let windows = item.list(self.report, EXAMPLE).unwrap_or_default();
        if windows.len() > MOST {
            let message = format!("more than {MOST} windows of maintenance");
            self.report.error(item.key_span(), message, "join those of several APIs: apis = [...]");
        }
        windows.iter().filter_map(|item| self.window(item)).collect()
    }

    fn window(&mut self, item: &Item<'_>) -> Option<Maintenance> {
        let at = self.report.at(item.key_span());
        let table = item.table(self.report, &KEYS, EXAMPLE)?;
        // None that is known must not mean every one.
        let apis = match table.get("apis") {
            Some(item) => Some(self.played(&item)).filter(|apis| !apis.is_empty()),
            None => Some(Vec::new()),
        };
        let reason = table.get("reason").map(|item| self.free_text(&item).unwrap_or_default());
        let when = self.when(&table, item)?;
        let mut apis = apis?;
        apis.sort();
        Some(Maintenance { apis, when, reason: reason.unwrap_or_default(), at })
    }

    fn when(&mut self, table: &Table<'_>, item: &Item<'_>) -> Option<When> {
        if table.lacks("from") {
            let message = "a window of maintenance has no from";
            let hint = format!("write from = {MOMENT} with until, or from = {HOUR} with for");
            self.report.missing(item.key_span(), message, hint);
            return None;
        }
        let from = table.get("from")?;
        match (table.get("until"), table.get("for"), table.get("days")) {
            (Some(until), None, None) => self.once(&from, &until),
            (Some(until), _, _) => {
                let message = "a window of maintenance is either once or weekly";
                let hint = "write from and until with dates, or days, from and for";
                self.report.error(until.key_span(), message, hint);
                None
            }
            (None, Some(length), days) => self.weekly(&from, &length, days.as_ref()),
            (None, None, _) => {
                if table.lacks("until") && table.lacks("for") {
                    let message = "a window of maintenance has no end";
                    let hint = format!("write until = {MOMENT}, or for = \"4h\"");
                    self.report.missing(item.key_span(), message, hint);
                }
                None
            }
        }
    }

    fn once(&mut self, from: &Item<'_>, until: &Item<'_>) -> Option<When> {
        let (start, end) = (self.moment(from), self.moment(until));
        let (start, end) = (start?, end?);
        if end <= start {
            let message = "a window of maintenance ends before it begins";
            self.report.error(until.span(), message, "write an `until` that is after `from`");
            return None;
        }
        if end - start > LONG.as_secs() {
            let message = format!("maintenance for {} days", (end - start) / DAY.as_secs());
            let hint = "so long nothing is learned and no outage told: is the year right?";
            self.report.warning(until.span(), message, hint);
        }
        Some(When::Once { from: start, until: end })
    }

    /// Seconds since 1970.
    fn moment(&mut self, item: &Item<'_>) -> Option<u64> {
        let text = item.string(self.report, MOMENT)?;
        let time = OffsetDateTime::parse(text, &Rfc3339).ok();
        let time = time.and_then(|time| u64::try_from(time.unix_timestamp()).ok());
        let time = time.ok_or_else(|| {
            let message = format!("\"{}\" is not a date with a time", text.escape_debug());
            Problem::new(message, format!("write {MOMENT} (RFC 3339), or `for` instead of `until`"))
        });
        self.report.accept(item.span(), time)
    }

    fn weekly(
        &mut self,
        from: &Item<'_>,
        length: &Item<'_>,
        days: Option<&Item<'_>>,
    ) -> Option<When> {
        let start = self.hour(from);
        let time = self.lasting(length);
        let days = match days {
            None => Some([true; 7]),
            Some(item) => self.days(item),
        };
        let (start, time, days) = (start?, time?, days?);
        if time >= DAY && days == [true; 7] {
            let message = "maintenance at every hour of every day";
            let hint = "nothing would ever be learned: leave out days, or shorten `for`";
            self.report.error(length.span(), message, hint);
            return None;
        }
        Some(When::Weekly { days, from: start, length: time })
    }

    /// Minutes since midnight.
    fn hour(&mut self, item: &Item<'_>) -> Option<u16> {
        let text = item.string(self.report, HOUR)?;
        let two = |part: &str| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            if digits { part.parse::<u16>().ok() } else { None }
        };
        let parts =
            text.split_once(':').and_then(|(hour, minute)| Some((two(hour)?, two(minute)?)));
        let fits = parts.filter(|(hour, minute)| *hour < 24 && *minute < 60);
        let minutes = fits.map(|(hour, minute)| hour * 60 + minute).ok_or_else(|| {
            let message = format!("\"{}\" is not a time of day", text.escape_debug());
            Problem::new(message, format!("write {HOUR} (UTC), or a date with `until`"))
        });
        self.report.accept(item.span(), minutes)
    }

    fn lasting(&mut self, item: &Item<'_>) -> Option<Duration> {
        let text = item.string(self.report, "\"4h\"")?;
        let length = duration(text).and_then(|length| {
            if length < Duration::from_secs(60) || length > DAY {
                let message = format!("maintenance for {} is out of range", text.escape_debug());
                return Err(Problem::new(message, "write 1m to 24h; name more days for more"));
            }
            Ok(length)
        });
        self.report.accept(item.span(), length)
    }

    fn days(&mut self, item: &Item<'_>) -> Option<[bool; 7]> {
        let example = "days = [\"sat\", \"sun\"]";
        self.not_empty(item, example);
        let mut days = [false; 7];
        for (name, span) in item.strings(self.report, example)? {
            if let Some(place) = DAYS.iter().position(|day| *day == name) {
                days[place] = true;
            } else {
                let hint = match nearest(name, DAYS.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("days are: {}", DAYS.join(", ")),
                };
                let message = format!("\"{}\" is no day of the week", name.escape_debug());
                self.report.error(&span, message, hint);
                return None;
            }
        }
        days.contains(&true).then_some(days)
    }
}
