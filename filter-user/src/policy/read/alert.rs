//! `alert` of an API: absolute limits.

use std::time::Duration;

use crate::policy::api::AlertLimits;
use crate::text::Item;
use crate::text::quantity::{Problem, duration};

use super::Reader;

const KEYS: [&str; 3] = ["error_ratio", "latency_p99", "requests_per_second"];
const EXAMPLE: &str = "alert = { error_ratio = \"5%\", latency_p99 = \"500ms\", requests_per_second = { max = 2000 } }";
/// Requests a second: one in a day to more than any host answers.
const RATES: std::ops::RangeInclusive<f64> = 1.0 / 86_400.0..=1e9;
const LATENCIES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(100);

impl Reader<'_, '_, '_> {
    /// `alert`; `None` when nothing of it can be used.
    pub(super) fn alert(&mut self, item: &Item<'_>) -> Option<AlertLimits> {
        let table = item.table(self.report, &KEYS, EXAMPLE)?;
        if KEYS.iter().all(|key| table.lacks(key)) && !table.has_unknown() {
            let message = format!("`{}` limits nothing", item.path());
            self.report.error(item.span(), message, format!("write {EXAMPLE}"));
        }
        let mut limits = AlertLimits {
            error_ratio: table.get("error_ratio").and_then(|item| self.percent(&item)),
            latency_p99: table.get("latency_p99").and_then(|item| self.latency(&item)),
            ..AlertLimits::default()
        };
        if let Some(item) = table.get("requests_per_second") {
            let example = "requests_per_second = { min = 1, max = 2000 }";
            let bounds = item.table(self.report, &["min", "max"], example)?;
            let number = |report: &mut _, key| {
                bounds.get(key).and_then(|item: Item<'_>| item.number(report, RATES))
            };
            limits.least = number(self.report, "min");
            limits.most = number(self.report, "max");
            if bounds.lacks("min") && bounds.lacks("max") && !bounds.has_unknown() {
                let message = format!("`{}` has neither min nor max", item.path());
                self.report.error(item.span(), message, format!("write {example}"));
            }
            if let (Some(least), Some(most)) = (limits.least, limits.most)
                && least >= most
            {
                let message = format!("`{}` has a min that is not below its max", item.path());
                self.report.error(item.span(), message, format!("write {example}"));
            }
        }
        Some(limits)
    }

    /// A share, as `5%`.
    fn percent(&mut self, item: &Item<'_>) -> Option<f64> {
        let text = item.string(self.report, "\"5%\"")?;
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        let share = number.filter(|share| (0.01..100.0).contains(share));
        let share = share.map(|share| share / 100.0).ok_or_else(|| {
            let message = format!("\"{}\" is no share of requests", text.escape_debug());
            Problem::new(message, "write a percentage from 0.01% to below 100%, such as \"5%\"")
        });
        self.report.accept(item.span(), share)
    }

    fn latency(&mut self, item: &Item<'_>) -> Option<Duration> {
        let text = item.string(self.report, "\"500ms\"")?;
        let time = duration(text).and_then(|time| {
            if !LATENCIES.contains(&time) {
                let message = format!("a latency of {} is out of range", text.escape_debug());
                return Err(Problem::new(message, "write 1ms to 100s"));
            }
            Ok(time)
        });
        self.report.accept(item.span(), time)
    }
}
