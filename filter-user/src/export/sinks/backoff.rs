//! When a receiver that did not take a batch is tried again.

use std::time::Duration;

/// Before the second attempt, at most.
const FIRST: Duration = Duration::from_secs(1);
/// Between any two attempts, at most, unless the receiver says otherwise.
const MOST: Duration = Duration::from_secs(60);
/// What a receiver may ask for (`Retry-After`), at most.
const ASKED: Duration = Duration::from_secs(3_600);

/// The pause after so many failures in a row (1 and up): the ceiling doubles from a second to a
/// minute, and the pause is between half of it and all of it, as `random` says, so that many hosts do
/// not come back in step. Never shorter than what the receiver `asked` for, up to an hour.
pub(super) fn pause(failures: u32, asked: Option<Duration>, random: u64) -> Duration {
    let doubled =
        FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let ceiling = doubled.min(MOST);
    let half = ceiling / 2;
    let span = half.as_millis() as u64 + 1;
    let pause = half + Duration::from_millis(random % span);
    pause.max(asked.unwrap_or_default().min(ASKED))
}

/// What `Retry-After` asks for: seconds, or a date (RFC 9110, 10.2.3). `now` is seconds since 1970.
pub(super) fn retry_after(value: &str, now: u64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let format = &time::format_description::well_known::Rfc2822;
    let at = time::OffsetDateTime::parse(value, format).ok()?.unix_timestamp();
    Some(Duration::from_secs(u64::try_from(at).ok()?.saturating_sub(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_are_spread() {
        let ms = Duration::from_millis;
        let s = Duration::from_secs;
        // failures, asked for, random, pause
        let rows = [
            (1, None, 0, ms(500)),
            (1, None, 500, ms(1_000)),
            (1, None, 501, ms(500)),
            (2, None, 1_000, s(2)),
            (3, None, 0, s(2)),
            (6, None, 0, s(16)),
            (7, None, 0, s(30)),
            (7, None, 30_000, s(60)),
            (31, None, 30_000, s(60)),
            (32, None, 0, s(30)),
            (u32::MAX, None, u64::MAX, s(60)),
            (1, Some(s(7)), 0, s(7)),
            (7, Some(s(7)), 0, s(30)),
            (1, Some(s(1_000_000)), 0, s(3_600)),
        ];
        for (failures, asked, random, expected) in rows {
            let got = pause(failures, asked, random);
            if random < u64::MAX {
                assert_eq!(got, expected, "{failures} {asked:?} {random}");
            }
            assert!(got <= expected.max(s(60)), "{failures} {asked:?} {random}");
        }
    }

    #[test]
    fn both_forms_of_retry_after() {
        let now = 784_111_777 - 30;
        let rows = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (value, seconds) in rows {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
