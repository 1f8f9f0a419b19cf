//! `limit`, `limit_for.NAME` and `limit_total`, and what no limit may be.

use std::time::Duration;

use filter_common::tables::{SHARED_GROUPS, SHARED_PER_API};

use crate::policy::api::{Allow, LimitFor, LimitSpec, Per, Rates, smallest};
use crate::policy::model::{GroupIndex, Sited};
use crate::text::quantity::{DAY, Measure, Rate, duration, rate, show_duration};
use crate::text::{Item, Report, Table};

use super::{Reader, Span};

const MEASURES: [Measure; 3] = [Measure::Packets, Measure::Bytes, Measure::Connections];
const KEYS: [&str; 5] = ["packets", "bytes", "connections", "requests", "burst"];
const KEYS_FOR: [&str; 6] = ["packets", "bytes", "connections", "requests", "burst", "per"];
const EXAMPLE: &str = "{ packets = \"2000/s\", bytes = \"10MB/s\", burst = \"1s\" }";

/// Rates above these are no limit on any link there is.
const MOST_PACKETS: u64 = 1_000_000_000;
const MOST_BYTES: u64 = 1_000_000_000_000;
/// Groups of one API that can share a limit among their members.
const MAX_SHARED: usize = (SHARED_PER_API - SHARED_GROUPS) as usize;

impl Reader<'_, '_, '_> {
    /// `limit`.
    pub(super) fn limit(&mut self, item: &Item<'_>) -> Option<LimitSpec> {
        let table = item.table(self.report, &KEYS, EXAMPLE)?;
        self.rates(&table, item.key_span())
    }

    /// `limit_total`.
    pub(super) fn limit_total(&mut self, item: &Item<'_>) -> Option<LimitSpec> {
        let limit = self.limit(item)?;
        if limit.rates.requests.is_some() {
            self.shared_quota(item);
            return None;
        }
        Some(limit)
    }

    /// Who has used up a quota is banned: it must be one source's.
    fn shared_quota(&mut self, item: &Item<'_>) {
        let message = format!("`{}` shares a quota of requests among sources", item.path());
        let hint = "write `requests` into `limit`, or into a `limit_for` with per = \"source\"";
        self.report.error(item.key_span(), message, hint);
    }

    /// `limit_for`, in the order in which they are tried: that of `allow`, or of the text where
    /// everyone is allowed.
    pub(super) fn limits_for(
        &mut self,
        item: &Item<'_>,
        allow: Option<&Allow>,
        proxies: &[Sited<GroupIndex>],
    ) -> Vec<LimitFor> {
        let example = format!("limit_for.NAME = {EXAMPLE}");
        let mut limits = Vec::new();
        for (name, item) in item.entries(self.report, &example).unwrap_or_default() {
            let span = item.key_span().clone();
            let group = self.group_named(name, item.path(), &span);
            if let (Some(group), Some(Allow::Groups(allowed))) = (group, allow)
                && !allowed.iter().any(|entry| entry.value == group)
            {
                let message = format!("limit_for.{name} limits a group that `allow` does not name");
                let hint = format!("add \"{name}\" to allow, or remove this limit");
                self.report.error(&span, message, hint);
            }
            let Some(table) = item.table(self.report, &KEYS_FOR, EXAMPLE) else { continue };
            let words = [("source", Per::Source), ("group", Per::Group)];
            let per = table.get("per").and_then(|item| item.choice(self.report, &words));
            let is_proxy = group.is_some_and(|group| proxies.iter().any(|e| e.value == group));
            if is_proxy && per != Some(Per::Group) {
                let message = format!("limit_for.{name} has no effect: proxies have no own limit");
                self.report.warning(&span, message, "add per = \"group\", or use limit_total");
            }
            let limit = self.rates(&table, &span);
            if limit.as_ref().is_some_and(|limit| limit.rates.requests.is_some())
                && per == Some(Per::Group)
            {
                self.shared_quota(&item);
            }
            if let (Some(group), Some(limit)) = (group, limit) {
                limits.push(LimitFor { group, limit, per: per.unwrap_or_default() });
            }
        }
        if limits.iter().filter(|limit| limit.per == Per::Group).count() > MAX_SHARED {
            self.report.error(
                item.key_span(),
                format!("more than {MAX_SHARED} limits with per = \"group\" in one API"),
                "join groups, or use per = \"source\" for some",
            );
        }
        if let Some(Allow::Groups(allowed)) = allow {
            let place = |group: GroupIndex| allowed.iter().position(|entry| entry.value == group);
            limits.sort_by_key(|limit: &LimitFor| place(limit.group));
        }
        limits
    }

    /// The rates of a table; none when one of them cannot be used, or none is given.
    fn rates(&mut self, table: &Table<'_>, span: &Span) -> Option<LimitSpec> {
        let mut rates = Rates::default();
        let mut given = Vec::new();
        let mut sound = true;
        for measure in MEASURES {
            let Some(item) = table.get(measure.key()) else { continue };
            let parsed = self.rate(&item, measure);
            sound &= parsed.is_some();
            match measure {
                Measure::Packets => rates.packets = parsed,
                Measure::Bytes => rates.bytes = parsed,
                Measure::Connections => rates.connections = parsed,
                Measure::Requests => rates.requests = parsed,
            }
            given.push((measure, item));
        }
        let quota = table.get("requests");
        if let Some(item) = &quota {
            rates.requests = self.quota(item);
            sound &= rates.requests.is_some();
        }
        if let Some(item) = table.get("burst") {
            rates.burst = self.burst(&item);
            sound &= rates.burst.is_some();
        }
        if given.is_empty() && quota.is_none() {
            if !table.has_unknown() {
                let message = format!("`{}` gives no rate", table.path());
                let hint = "write at least one of packets, bytes, connections and requests";
                self.report.missing(span, message, format!("{hint}: {EXAMPLE}"));
            }
            return None;
        }
        for (measure, item) in &given {
            let burst = table.get("burst");
            sound &= fits(self.report, &rates, *measure, item, burst.as_ref());
        }
        sound.then(|| LimitSpec { rates, at: self.report.at(span) })
    }

    /// A rate within what can be.
    pub(super) fn rate(&mut self, item: &Item<'_>, measure: Measure) -> Option<Rate> {
        let text = item.string(self.report, measure.example())?;
        self.rate_text(text, measure, item.span())
    }

    /// A rate that is part of a text.
    pub(super) fn rate_text(&mut self, text: &str, measure: Measure, span: &Span) -> Option<Rate> {
        let parsed = self.report.accept(span, rate(text, measure))?;
        let most = if measure == Measure::Bytes { MOST_BYTES } else { MOST_PACKETS };
        if u128::from(parsed.amount) > u128::from(most) * u128::from(parsed.period.as_secs()) {
            let most = Rate { amount: most, period: Duration::from_secs(1) };
            self.report.error(
                span,
                format!("{} is more than any link carries", parsed.display(measure)),
                format!("write at most {}, or leave the limit out", most.display(measure)),
            );
            return None;
        }
        Some(parsed)
    }

    /// A quota: a second is over before the sensor has counted.
    fn quota(&mut self, item: &Item<'_>) -> Option<Rate> {
        let rate = self.rate(item, Measure::Requests)?;
        if rate.period <= Duration::from_secs(1) {
            let shown = rate.display(Measure::Requests);
            self.report.error(
                item.span(),
                format!("a quota of {shown} is over before it is counted"),
                "write /min, /h or /day; `packets` or `connections` hold a source to a rate a second",
            );
            return None;
        }
        Some(rate)
    }

    fn burst(&mut self, item: &Item<'_>) -> Option<Duration> {
        let text = item.string(self.report, "\"1s\"")?;
        let burst = self.report.accept(item.span(), duration(text))?;
        if burst.is_zero() || burst > DAY {
            self.report.error(
                item.span(),
                format!("a burst of {} is out of range", show_duration(burst)),
                "write a time above 0 and up to 24h: what a source may use at once is the rate \
                 times the burst",
            );
            return None;
        }
        Some(burst)
    }
}

/// Whether the burst of a measure can hold the least that must pass; reports when not.
fn fits(
    report: &mut Report<'_>,
    rates: &Rates,
    measure: Measure,
    item: &Item<'_>,
    burst: Option<&Item<'_>>,
) -> bool {
    let Some(rate) = rates.rate(measure) else { return false };
    let least = rate.time_for(smallest(measure));
    let what = match measure {
        Measure::Packets => "a packet",
        Measure::Bytes => "one packet of 1500 bytes",
        Measure::Connections => "a connection",
        Measure::Requests => "a request",
    };
    let shown = rate.display(measure);
    if least > DAY {
        report.error(
            item.span(),
            format!("{shown} needs more than 24h to let {what} through"),
            "write a higher rate, or keep the source out by `deny`",
        );
        return false;
    }
    let Some((given, item)) = rates.burst.zip(burst) else { return true };
    if given < least {
        report.error(
            item.span(),
            format!("a burst of {} at {shown} never holds {what}", show_duration(given)),
            format!("write at least burst = \"{}\", or a higher rate", show_duration(least)),
        );
        return false;
    }
    true
}
