//! What a report says, in words: the same for Markdown and HTML. Nothing is escaped here.

use super::changes::Changes;
use super::facts::{ApiFacts, Facts, Sight};
use super::points::Level;
use super::words::{count, date, date_or_never, list, percent, plural, span};
use super::{Report, State, words};

/// What it is and how to take it.
pub(super) const ABOUT: &str = "What stands between each API of this host and its abuse, as far as weir knows: \
     from its policy, from what the kernel enforces, and from the traffic it has seen. A layer that is present is in \
     force; it is not thereby enough. What weir cannot see is called so.";

/// A name and a value.
pub(super) type Row = (&'static str, String);

/// Rows about the report as a whole.
pub(super) fn head(report: &Report) -> Vec<Row> {
    let facts = &report.facts;
    let mut rows = vec![("Host", facts.host.clone())];
    if let Some(instance) = &facts.instance {
        rows.push(("Instance", instance.clone()));
    }
    rows.push(("Date", date(facts.time)));
    rows.push((
        "Policy",
        match &facts.policy {
            None => "none: weir observes".to_owned(),
            Some(policy) => format!(
                "{}, generation {}, in force since {}, SHA-256 {}",
                policy.name,
                policy.generation,
                date(policy.applied_at),
                policy.hash
            ),
        },
    ));
    let gated: Vec<String> = facts
        .interfaces
        .iter()
        .map(|interface| match interface.problem {
            None => format!("{} ({})", interface.name, interface.mode),
            Some(_) => format!("{} (NOT GATED)", interface.name),
        })
        .collect();
    rows.push(("Interfaces", list(&gated)));
    let unclaimed = facts.settings.get("unclaimed").map_or("pass", String::as_str);
    rows.push((
        "Unclaimed traffic",
        if unclaimed == "drop" { "refused" } else { "passes" }.to_owned(),
    ));
    rows.push(("Trusted sources", prefixes(&facts.trusted)));
    rows.push((
        "Report before this",
        report.changes.as_ref().map_or_else(|| "none".to_owned(), |changes| date(changes.since)),
    ));
    rows.push(("Version", format!("weir {}", facts.weir)));
    rows
}

fn prefixes(sources: &crate::control::api::Sources) -> String {
    let shown = sources.first.join(", ");
    match sources.prefixes {
        0 => "none".to_owned(),
        number if number as usize > sources.first.len() => {
            format!("{}: {shown}, …", words::prefixes(number))
        }
        _ => shown,
    }
}

/// What there is to say at a glance: label, number, whether that is good.
pub(super) fn tiles(report: &Report) -> Vec<(String, u64, &'static str)> {
    let declared = report.facts.apis.iter().filter(|api| api.seen.declared).count();
    let undeclared = report.facts.apis.len() - declared;
    let mut tiles = vec![
        ("APIs".to_owned(), declared as u64, "plain"),
        ("undeclared ports".to_owned(), undeclared as u64, "plain"),
    ];
    for level in Level::WORST_FIRST {
        tiles.push((level.name().to_owned(), report.count(level) as u64, level.name()));
    }
    tiles
}

/// Rows about an API.
pub(super) fn api(api: &ApiFacts) -> Vec<Row> {
    let seen = &api.seen;
    let said = |value: &Option<String>| value.clone().unwrap_or_else(|| "not named".to_owned());
    let mut rows = Vec::new();
    if seen.declared {
        rows.push(("Owner", said(&seen.owner)));
        rows.push(("Maintainer", said(&seen.maintainer)));
        rows.push(("Responder", said(&seen.responder)));
        rows.push(("Criticality", said(&seen.criticality)));
        rows.push(("Lifecycle", said(&seen.lifecycle)));
        for (name, value) in [("Version", &seen.version), ("Environment", &seen.environment)] {
            rows.extend(value.clone().map(|value| (name, value)));
        }
        if !seen.data.is_empty() {
            rows.push(("Data", list(&seen.data)));
        }
    }
    rows.push(("Listens on", list(&seen.listen)));
    if seen.declared {
        let mode = if api.monitors() { "monitor: drops are only counted" } else { "enforce" };
        rows.push(("Mode", mode.to_owned()));
        rows.push(("Reached by", reached(api)));
        rows.push(("Limits", limits(api)));
        rows.push(("Answers to findings", answers(api)));
        if !api.orders.is_empty() {
            let orders =
                api.orders.iter().map(|order| format!("{:?}", order.order.kind()).to_lowercase());
            rows.push(("Orders in force", orders.collect::<Vec<_>>().join(", ")));
        }
    }
    rows.push(("Seen", sight(api)));
    rows.push((
        "First, last seen",
        match (seen.first_seen, seen.last_seen) {
            (None, None) => "never".to_owned(),
            (first, last) => format!("{}, {}", date_or_never(first), date_or_never(last)),
        },
    ));
    rows.push(("Authentication seen", authentication(api)));
    rows
}

fn reached(api: &ApiFacts) -> String {
    let denied = match &api.deny[..] {
        [] => String::new(),
        denied => format!("; never {}", denied.join(", ")),
    };
    if api.any {
        return format!("any source{denied}");
    }
    format!("{}: {}{denied}", list(&api.allow), prefixes(&api.sources))
}

fn limits(api: &ApiFacts) -> String {
    let limits = api.limits.iter().map(|limit| {
        let whose = match limit.of.as_str() {
            "source" => "each source".to_owned(),
            "all" => "all together".to_owned(),
            other => other.to_owned(),
        };
        format!("{whose}: {} {}", limit.measure, limit.rate)
    });
    list(&limits.collect::<Vec<_>>())
}

fn answers(api: &ApiFacts) -> String {
    if api.answers.is_empty() {
        return "alerts only".to_owned();
    }
    let answers = api
        .answers
        .iter()
        .map(|(detector, answer)| format!("{detector}: {answer}"))
        .collect::<Vec<_>>();
    format!("{} ({})", answers.join(", "), api.respond_mode)
}

fn sight(api: &ApiFacts) -> String {
    let seen = &api.seen;
    let numbers = format!(
        "{}, {}, {}, {}",
        plural(seen.requests, "request"),
        plural(seen.connections, "connection"),
        plural(seen.sources, "source"),
        plural(seen.endpoints, "endpoint"),
    );
    let how = match api.sight() {
        Sight::Requests => "in clear text",
        Sight::Both => "some in clear text, some encrypted",
        Sight::Encrypted => "encrypted: sizes and times only",
        Sight::Opaque => "opaque: only counted",
        Sight::Foreign => "neither HTTP nor TLS",
        Sight::Nothing => return "nothing yet".to_owned(),
    };
    format!("{numbers}; {how}")
}

/// Kinds of credentials with their shares of the requests, the most used first.
pub(super) fn kinds(api: &ApiFacts) -> Vec<(String, u64, f64)> {
    let requests = api.plain_requests();
    if requests == 0 {
        return Vec::new();
    }
    let mut kinds: Vec<(String, u64, f64)> = api
        .seen
        .credentials
        .iter()
        .filter(|(_, number)| **number > 0)
        .map(|(kind, &number)| (kind.clone(), number, number as f64 / requests as f64))
        .collect();
    kinds.sort_by(|(one, a, _), (other, b, _)| b.cmp(a).then_with(|| one.cmp(other)));
    kinds
}

fn authentication(api: &ApiFacts) -> String {
    let kinds: Vec<String> = kinds(api)
        .into_iter()
        .map(|(kind, number, share)| {
            format!("{kind} {} ({})", percent(share.min(1.0)), count(number))
        })
        .collect();
    match (kinds.is_empty(), api.sight()) {
        (false, _) => kinds.join(", "),
        (true, Sight::Encrypted) => "not visible: encrypted".to_owned(),
        (true, _) => "nothing seen".to_owned(),
    }
}

/// How much was seen, and what that leaves open.
pub(super) fn telemetry(facts: &Facts) -> Vec<Row> {
    let samples = &facts.samples;
    vec![
        (
            "Flows that are sampled",
            format!("{} now, {} asked for", percent(samples.share_now), percent(samples.share)),
        ),
        ("Telemetry that arrived", format!("{} in the last minute", percent(samples.completeness))),
        (
            "Segments since the state was reset",
            format!(
                "{} to be seen: {} handed over, {} lost for want of room, {} not in the sample",
                count(samples.attempted),
                count(samples.submitted),
                count(samples.dropped),
                count(samples.sampled_out)
            ),
        ),
        ("Records not understood", count(samples.decode_errors)),
        ("The daemon has been running for", span(facts.uptime_seconds)),
        (
            "Requests are kept since",
            facts.transactions_since.map_or_else(|| "none is kept".to_owned(), date),
        ),
        ("Receivers of events", count(facts.receivers)),
    ]
}

/// What no report of weir says, in sentences.
pub(super) const BLIND: [&str; 5] = [
    "What is encrypted is seen as sizes and times: paths, credentials and statuses are not known of it.",
    "Bodies are not looked at: what was asked for and given is known by route and size only.",
    "Whether a user may see an object or call a function, and how a token is checked, is inside the server.",
    "Traffic that does not cross a gated interface is not seen.",
    "Counts of requests are estimates where not every flow is sampled.",
];

/// What changed, in sentences; empty: nothing did.
pub(super) fn changes(changes: &Changes) -> Vec<String> {
    let mut lines = Vec::new();
    if !changes.added.is_empty() {
        lines.push(format!("New: {}", changes.added.join(", ")));
    }
    if !changes.removed.is_empty() {
        lines.push(format!("Gone: {}", changes.removed.join(", ")));
    }
    for setting in &changes.settings {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        let whose = setting.api.as_deref().unwrap_or("policy");
        lines.push(format!(
            "{whose}: {}: {} → {}",
            setting.key,
            value(&setting.before),
            value(&setting.after)
        ));
    }
    for layer in &changes.layers {
        lines.push(format!(
            "{}: {}: {} → {}",
            layer.api,
            layer.layer.title(),
            layer.before.title(),
            layer.after.title()
        ));
    }
    for entry in &changes.owasp {
        lines.push(format!(
            "{}: {}: {} → {}",
            entry.api,
            entry.risk.id(),
            entry.before.title(),
            entry.after.title()
        ));
    }
    for credential in &changes.credentials {
        lines.push(format!("Seen for the first time: {credential}"));
    }
    for (what, points) in [("Opened", &changes.opened), ("Closed", &changes.closed)] {
        for point in points {
            let at = if point.api.is_empty() { String::new() } else { format!("{}: ", point.api) };
            lines.push(format!("{what} ({}): {at}{}", point.level.name(), point.text));
        }
    }
    lines
}

/// The sign of a state, for those who do not see colours.
pub(super) const fn sign(state: State) -> &'static str {
    match state {
        State::Present => "✓",
        State::Partly => "◐",
        State::Missing => "✗",
        State::Unseen => "?",
        State::NotApplicable => "–",
    }
}

/// The sign of a coverage.
pub(super) const fn mark(coverage: super::Coverage) -> &'static str {
    match coverage {
        super::Coverage::Covered => "✓",
        super::Coverage::Partly => "◐",
        super::Coverage::NotVisible => "?",
    }
}
