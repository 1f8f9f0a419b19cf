//! Arguments that are more than text, checked as they are parsed.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::config::Paths;
use crate::text::quantity::{self, Measure};

/// A time to live: `30s`, `10m`, `1h`, `2d`.
pub(super) fn ttl(text: &str) -> Result<Duration, String> {
    let duration = quantity::duration(text)
        .map_err(|problem| format!("{}; {}", problem.message, problem.hint))?;
    if duration.is_zero() {
        return Err("a time to live is more than nothing: 30s, 10m, 1h, 2d".to_owned());
    }
    Ok(duration)
}

/// A moment, in seconds since 1970: so long ago (`24h`, `7d`), or as RFC 3339 writes it.
pub(super) fn moment(text: &str) -> Result<u64, String> {
    let format = &time::format_description::well_known::Rfc3339;
    if let Ok(time) = time::OffsetDateTime::parse(text, format) {
        return u64::try_from(time.unix_timestamp())
            .map_err(|_| "a time before 1970 is too long ago".to_owned());
    }
    let span = ttl(text).map_err(|_| {
        format!(
            "\"{}\" is neither a span (24h, 7d) nor a time (2026-03-01T00:00:00Z)",
            text.escape_debug()
        )
    })?;
    Ok(super::evidence::ago(span.as_secs()))
}

/// A rate of packets, as the daemon will read it: `20/s`, `90/min`.
pub(super) fn packets(text: &str) -> Result<String, String> {
    quantity::rate(text, Measure::Packets)
        .map(|_| text.to_owned())
        .map_err(|problem| format!("{}; {}", problem.message, problem.hint))
}

/// The name of an instance: it becomes part of paths.
pub(super) fn instance(text: &str) -> Result<String, String> {
    let told = |problem: quantity::Problem| format!("{}; {}", problem.message, problem.hint);
    Paths::of(Some(text)).map(|_| text.to_owned()).map_err(told)
}

/// One of the words that weir.toml has for the same setting.
pub(super) fn word<T>(words: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words.iter().map(|(word, _)| *word)).try_map(|word| word.parse::<T>())
}

/// A share between nothing and all.
pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share of flows is a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let ttls = [
            ("30s", Some(30_000)),
            ("10m", Some(600_000)),
            ("250ms", Some(250)),
            ("0s", None),
            ("30", None),
            ("-1s", None),
            ("", None),
        ];
        for (text, millis) in ttls {
            assert_eq!(ttl(text).ok(), millis.map(Duration::from_millis), "{text}");
        }
        for (text, good) in [
            ("24h", true),
            ("2026-03-01T00:00:00Z", true),
            ("2026-03-01T00:00:00+01:00", true),
            ("1969-03-01T00:00:00Z", false),
            ("2026-03-01", false),
            ("yesterday", false),
            ("", false),
        ] {
            assert_eq!(moment(text).is_ok(), good, "{text}");
        }
        for (text, good) in [
            ("20/s", true),
            ("90/min", true),
            ("5000/day", true),
            ("20", false),
            ("0/s", false),
            ("10MB/s", false),
            ("-1/s", false),
            ("", false),
        ] {
            assert_eq!(packets(text).is_ok(), good, "{text}");
        }
        for (text, good) in [("edge-2", true), ("", false), ("a/b", false), ("..", false)] {
            assert_eq!(instance(text).is_ok(), good, "{text}");
        }
        for (text, good) in
            [("0", true), ("0.25", true), ("1.0", true), ("1.1", false), ("NaN", false)]
        {
            assert_eq!(share(text).is_ok(), good, "{text}");
        }
    }
}
