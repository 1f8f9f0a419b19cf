//! Which limits an API should have, from what its sources did. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::cli::human::{count, plural};
use crate::control::api::{ObservedApi, Peak};
use crate::policy::{Api, DEFAULT_BURST, Kind, Rates};
use crate::text::quantity::Rate;

/// With fewer kept requests, or of fewer sources, nothing is proposed.
pub(super) const LEAST_REQUESTS: u64 = 100;
pub(super) const LEAST_SOURCES: u64 = 3;
/// No limit below these is proposed: a page with its images asks that often.
const LEAST: [u64; 2] = [30, 50];
/// Of a span shorter than this it is said that it is short: a day has busy hours.
const DAY: u64 = 86_400_000;
/// A limit that is there is far too wide when it is so many times what would be proposed.
const WIDE: u64 = 10;

/// What is proposed for one key of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Proposal {
    /// The key of `limit`.
    pub(super) key: &'static str,
    /// What is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) now: Option<String>,
    /// What should be there; none: it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proposed: Option<String>,
    /// Why.
    pub(super) why: String,
}

/// What there is to say about an API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    /// The API.
    pub(super) api: String,
    /// On how much it rests.
    pub(super) rests_on: String,
    /// Why nothing can be proposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<String>,
    /// By key.
    pub(super) limits: Vec<Proposal>,
    /// Why the limits are not in the diff, and what to write by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by_hand: Option<String>,
}

/// The advice for an API. `margin`: how many times as much as the busiest sources did is allowed.
pub(super) fn advise(api: &Api, seen: Option<&ObservedApi>, margin: f64) -> Advice {
    let seen = seen.cloned().unwrap_or_default();
    let mut advice = Advice {
        api: api.name.clone(),
        rests_on: rests_on(&seen),
        refused: None,
        limits: Vec::new(),
        by_hand: None,
    };
    if seen.kept < LEAST_REQUESTS || seen.sources < LEAST_SOURCES {
        let kind = match api.about.kind {
            Kind::Opaque => "; it is opaque, and of such no request is ever read",
            _ if seen.kept == 0 => "; inside TLS, and outside of HTTP, no request is read",
            _ => "",
        };
        let exempt = match seen.exempt {
            0 => String::new(),
            number => format!(
                "; {} more left out: trusted, a proxy's, of a group with a limit of its own, or without a handshake",
                count(number)
            ),
        };
        advice.refused = Some(format!(
            "too little was seen: {} of {}, needed are {LEAST_REQUESTS} requests of {LEAST_SOURCES} sources{exempt}{kind}",
            plural(seen.kept, "kept request"),
            plural(seen.sources, "source"),
        ));
        return advice;
    }
    let rates = api.limit.as_ref().map(|limit| limit.rates);
    let rates = rates.as_ref();
    let now = rates.and_then(|rates| rates.requests);
    advice.limits.push(of("requests", &seen.minute, MINUTE, LEAST[0], now, None, margin));
    // A client that a proxy names sends no packets of its own; and without sizes nothing is known.
    if !seen.proxied && seen.sizes_unknown * 20 <= seen.kept {
        let now = rates.and_then(|rates| rates.packets);
        advice.limits.push(of("packets", &seen.second, SECOND, LEAST[1], now, rates, margin));
    }
    advice
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn rests_on(seen: &ObservedApi) -> String {
    let span = seen.last_ms.saturating_sub(seen.first_ms);
    let time = match span / 1_000 {
        seconds @ 0..120 => plural(seconds, "second"),
        seconds @ 120..7_200 => plural(seconds / 60, "minute"),
        seconds @ 7_200..172_800 => plural(seconds / 3_600, "hour"),
        seconds => plural(seconds / 86_400, "day"),
    };
    let estimated = match seen.estimated > seen.kept {
        true => format!(", which stand for {}", count(seen.estimated)),
        false => String::new(),
    };
    let short = if span < DAY { "; less than a day: busy hours may be missing" } else { "" };
    format!(
        "{}{estimated}, of {} in {time}{short}",
        plural(seen.kept, "kept request"),
        plural(seen.sources, "source")
    )
}

/// The proposal for one key.
fn of(
    key: &'static str,
    peak: &Peak,
    period: Duration,
    least: u64,
    now: Option<Rate>,
    rates: Option<&Rates>,
    margin: f64,
) -> Proposal {
    let (window, unit) = if period == SECOND { ("second", "s") } else { ("minute", "min") };
    let amount = round_up(((peak.p999 as f64) * margin).ceil() as u64).max(least);
    let number = plural(peak.p999, key.trim_end_matches('s'));
    let did = match peak.most > peak.p999 {
        true => format!(
            "99.9 % of sources sent at most {number} in their busiest {window}, {} sent {}",
            peak.source,
            count(peak.most)
        ),
        false => {
            format!("no source sent more than {number} in its busiest {window} ({})", peak.source)
        }
    };
    let did = did + if key == "packets" { ", reckoned from sizes" } else { "" };
    let text = format!("{amount}/{unit}");
    let Some(rate) = now else {
        return Proposal {
            key,
            now: None,
            proposed: Some(text),
            why: format!("{did}; times {margin}"),
        };
    };
    let shown = shown(rate);
    let keep = |why: String| Proposal { key, now: Some(shown.clone()), proposed: None, why };
    // A quota of an hour or a day says something else than one of a minute.
    if key == "requests" && rate.period != period {
        return keep(format!("{did}; the limit is of another span, and stays"));
    }
    // What may come in one window: with a burst more than the rate.
    let burst = rates.and_then(|rates| rates.burst).unwrap_or(DEFAULT_BURST).max(period);
    let allowed = if key == "packets" { rate.within(burst) } else { rate.amount };
    let why = if allowed < peak.p999 {
        format!("too tight: {did}")
    } else if allowed > amount.saturating_mul(WIDE) {
        format!("more than {WIDE} times too wide: {did}; times {margin}")
    } else {
        return keep(format!("{did}; the limit fits, and stays"));
    };
    Proposal { key, now: Some(shown), proposed: Some(text), why }
}

/// A rate as the policy writes it.
fn shown(rate: Rate) -> String {
    let unit = match rate.period.as_secs() {
        60 => "min",
        3_600 => "h",
        86_400 => "day",
        _ => "s",
    };
    format!("{}/{unit}", rate.amount)
}

/// Up to two digits that are not zero.
pub(super) fn round_up(number: u64) -> u64 {
    let mut step = 1_u64;
    while number / step >= 100 {
        step = step.saturating_mul(10);
    }
    number.div_ceil(step).saturating_mul(step)
}
