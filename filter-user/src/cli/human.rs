//! Numbers as people read them. Pure.

/// A count with three digits or so: `950`, `12.3k`, `4.56M`.
pub(super) fn count(value: u64) -> String {
    if value < 10_000 {
        return value.to_string();
    }
    scaled(value, &["k", "M", "G", "T", "P", "E"], "")
}

/// Bytes in decimal units, as in a policy: `950 B`, `12.3 kB`, `4.56 GB`.
pub(super) fn bytes(value: u64) -> String {
    if value < 1_000 {
        return format!("{value} B");
    }
    scaled(value, &["kB", "MB", "GB", "TB", "PB", "EB"], " ")
}

fn scaled(value: u64, units: &[&str], gap: &str) -> String {
    let mut scaled = value as f64 / 1_000.0;
    let mut at = 0;
    // 999.5 would be printed as 1000 of the smaller unit.
    while scaled >= 999.5 && at + 1 < units.len() {
        scaled /= 1_000.0;
        at += 1;
    }
    let decimals = if scaled < 9.995 {
        2
    } else if scaled < 99.95 {
        1
    } else {
        0
    };
    format!("{scaled:.decimals$}{gap}{}", units[at])
}

/// A span with its two largest units: `45s`, `12m 30s`, `3h 5m`, `2d 4h`.
pub(super) fn span(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let (large, small) = match (days, hours, minutes) {
        (0, 0, 0) => return format!("{rest}s"),
        (0, 0, _) => ((minutes, 'm'), (rest, 's')),
        (0, _, _) => ((hours, 'h'), (minutes, 'm')),
        _ => ((days, 'd'), (hours, 'h')),
    };
    if small.0 == 0 {
        return format!("{}{}", large.0, large.1);
    }
    format!("{}{} {}{}", large.0, large.1, small.0, small.1)
}

/// What is left of something that ends: `12m 30s left`, or `until lifted`.
pub(super) fn remaining(seconds: Option<u64>, forever: &str) -> String {
    seconds.map_or_else(|| forever.to_owned(), |seconds| format!("{} left", span(seconds)))
}

/// A share: `100 %`, `99.98 %`, `3.2 %`. Less than all is never shown as all.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 100.0 {
        return "100 %".to_owned();
    }
    let shown = if percent >= 99.0 { (percent * 100.0).floor() / 100.0 } else { percent };
    let decimals = if percent >= 99.0 { 2 } else { 1 };
    format!("{shown:.decimals$} %")
}

/// `1 ban`, `2 bans`.
pub(super) fn plural(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let rows = [
            (0, "0"),
            (9_999, "9999"),
            (10_000, "10.0k"),
            (99_949, "99.9k"),
            (99_950, "100k"),
            (999_499, "999k"),
            (999_500, "1.00M"),
            (1_234_567, "1.23M"),
            (45_600_000_000, "45.6G"),
            (u64::MAX, "18.4E"),
        ];
        for (value, text) in rows {
            assert_eq!(count(value), text, "{value}");
        }
    }

    #[test]
    fn byte_counts() {
        let rows = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (1_234_567, "1.23 MB"),
            (999_999, "1.00 MB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (value, text) in rows {
            assert_eq!(bytes(value), text, "{value}");
        }
    }

    #[test]
    fn spans() {
        let rows = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (750, "12m 30s"),
            (3_600, "1h"),
            (11_100, "3h 5m"),
            (86_399, "23h 59m"),
            (187_200, "2d 4h"),
            (40_000_000, "462d 23h"),
        ];
        for (seconds, text) in rows {
            assert_eq!(span(seconds), text, "{seconds}");
        }
        assert_eq!(remaining(Some(60), "for good"), "1m left");
        assert_eq!(remaining(None, "for good"), "for good");
    }

    #[test]
    fn shares() {
        let rows = [(1.0, "100 %"), (0.999_999, "99.99 %"), (0.9, "90.0 %"), (0.0, "0.0 %")];
        for (share, text) in rows {
            assert_eq!(percent(share), text, "{share}");
        }
        assert_eq!((plural(1, "ban"), plural(0, "ban")), ("1 ban".into(), "0 bans".into()));
    }
}
