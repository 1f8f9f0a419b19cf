//! Dates, shares and spans as a report writes them: the same everywhere, whatever the locale.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

fn written(seconds: u64, format: &[BorrowedFormatItem<'_>]) -> String {
    let date = i64::try_from(seconds).ok();
    let date = date.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    date.and_then(|date| date.format(format).ok()).unwrap_or_else(|| seconds.to_string())
}

/// `2026-03-01T14:00:00Z`.
pub(super) fn rfc3339(seconds: u64) -> String {
    written(seconds, format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z"))
}

/// `20260301T140000Z`.
pub(super) fn compact(seconds: u64) -> String {
    written(seconds, format_description!("[year][month][day]T[hour][minute][second]Z"))
}

/// `2026-03-01 14:00 UTC`.
pub(super) fn date(seconds: u64) -> String {
    written(seconds, format_description!("[year]-[month]-[day] [hour]:[minute] UTC"))
}

/// `never`, or the date.
pub(super) fn date_or_never(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| "never".to_owned(), date)
}

/// `3 days`, `5 hours`, `40 seconds`: whole, cut.
pub(super) fn span(seconds: u64) -> String {
    let (number, unit) = match seconds {
        86_400.. => (seconds / 86_400, "day"),
        3_600.. => (seconds / 3_600, "hour"),
        60.. => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// `99.5 %`; what is not quite all or not quite nothing never shows as such.
pub(super) fn percent(share: f64) -> String {
    let shown = share * 100.0;
    if share < 1.0 && shown >= 99.95 {
        return "> 99.9 %".to_owned();
    }
    if share > 0.0 && shown < 0.05 {
        return "< 0.1 %".to_owned();
    }
    if shown.fract() == 0.0 { format!("{shown:.0} %") } else { format!("{shown:.1} %") }
}

/// `1 234 567`, with thin spaces that do not break.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `1 API`, `2 APIs`.
pub(super) fn plural(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `1 prefix`, `2 prefixes`.
pub(super) fn prefixes(number: u64) -> String {
    format!("{} prefix{}", count(number), if number == 1 { "" } else { "es" })
}

/// Items with commas; `none` for none.
pub(super) fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
