//! The status as people read it.

use std::fmt::Write;

use crate::cli::breach::{mode_name, sentence};
use crate::cli::human::{bytes, count, percent, span};
use crate::cli::style::{Style, Tone, clean};
use crate::cli::table::{Align, Cell, Table, cell};
use crate::control::api::{FeedState, Mode, PacketCounts, SampleStatus, Status};

/// Reasons shown, those with the most packets first; all of them are in `--json`.
const REASONS: usize = 12;

/// A table this full needs a look.
const FULL: f64 = 0.8;

/// Completeness below this needs a look.
const COMPLETE: f64 = 0.99;

/// The whole page.
pub(in crate::cli) fn text(status: &Status, style: Style) -> String {
    let mut page = headline(status, style);
    orders(&mut page, status, style);
    attention(&mut page, status, style);
    facts(&mut page, status, style);
    section(&mut page, &interfaces(status), style);
    section(&mut page, &apis(status), style);
    section(&mut page, &feeds(status), style);
    section(&mut page, &crate::cli::sink::table(&status.sinks, status.daemon.time), style);
    section(&mut page, &refusals(status), style);
    section(&mut page, &tables(status), style);
    page
}

fn section<const N: usize>(page: &mut String, table: &Table<N>, style: Style) {
    if !table.is_empty() {
        page.push('\n');
        page.push_str(&table.render(style));
    }
}

/// One line that says how it stands.
fn headline(status: &Status, style: Style) -> String {
    let names = |gated: bool| -> Vec<&str> {
        let such = status.interfaces.iter().filter(|face| face.problem.is_none() == gated);
        such.map(|face| face.name.as_str()).collect()
    };
    let (gated, open) = (names(true), names(false));
    let (on, off) = (gated.join(", "), open.join(", "));
    let places = clean(&match (&gated[..], &open[..]) {
        ([], []) => " on no interface".to_owned(),
        ([], _) => format!(", not on {off}"),
        (_, []) => format!(" on {on}"),
        _ => format!(" on {on}, but not on {off}"),
    });
    let monitored = status.apis.iter().filter(|api| api.mode == Mode::Monitor).count();
    let (state, tone) = match &status.policy {
        _ if gated.is_empty() => ("ATTACHED NOWHERE", Tone::Bad),
        _ if !open.is_empty() => ("PARTLY OPEN", Tone::Bad),
        _ if !status.daemon.ready => ("STARTING", Tone::Warn),
        None => ("OBSERVING", Tone::Warn),
        Some(_) if monitored > 0 && monitored == status.apis.len() => ("MONITORING", Tone::Warn),
        Some(_) => ("ENFORCING", Tone::Good),
    };
    let what = match &status.policy {
        Some(policy) => format!(" policy `{}`", clean(&policy.name)),
        None => ", no policy".to_owned(),
    };
    format!("{}{what}{places}\n", style.paint(tone, state))
}

/// What needs a look, each on its line.
fn attention(page: &mut String, status: &Status, style: Style) {
    let mut found: Vec<String> = status.warnings.iter().map(|warning| clean(warning)).collect();
    if let Some(seconds) = status.policy.as_ref().and_then(|policy| policy.confirm_seconds) {
        found.push(format!("unconfirmed, rolls back in {seconds} s: `weir confirm` lets it stay"));
    }
    if let Some(policy) = &status.policy
        && policy.pending
    {
        let path = clean(&policy.path.display().to_string());
        found.push(format!("{path} differs from what is in force: `weir apply {path}`"));
    }
    let full = |entries: u64, capacity: u64| entries as f64 >= FULL * capacity as f64;
    for map in status.maps.iter().filter(|map| map.capacity > 0) {
        if full(map.entries, map.capacity) {
            let (map, entries, capacity) =
                (clean(&map.map), count(map.entries), count(map.capacity));
            found.push(format!("table {map} is nearly full: {entries} of {capacity}"));
        }
    }
    if status.samples.attempted > 0 && status.samples.completeness < COMPLETE {
        let seen = percent(status.samples.completeness);
        found.push(format!(
            "only {seen} of the samples arrive: raise [sensor] ring, or lower [sensor] sample"
        ));
    }
    if status.samples.share_now < status.samples.share {
        let now = percent(status.samples.share_now);
        found.push(format!(
            "{now} of flows are sampled for now: the ring fills faster than it is read"
        ));
    }
    for face in &status.interfaces {
        if let Some(problem) = &face.problem {
            found.push(format!("{} is not gated: {}", clean(&face.name), clean(problem)));
        }
    }
    let gated = || status.interfaces.iter().filter(|face| face.problem.is_none());
    for face in gated().filter(|face| !face.pinned) {
        let name = clean(&face.name);
        found.push(format!("{name}: the link is not pinned, the filter ends with the daemon"));
    }
    if let Some(policy) = &status.policy {
        let behind =
            |face: &&crate::control::api::InterfaceStatus| face.generation != policy.generation;
        for face in gated().filter(behind) {
            let (name, generation) = (clean(&face.name), face.generation);
            found.push(format!("{name} is at generation {generation}: apply the policy again"));
        }
    }
    for line in found {
        let _infallible = writeln!(page, "{} {line}", style.paint(Tone::Warn, "!"));
    }
}

/// Names and values.
fn facts(page: &mut String, status: &Status, style: Style) {
    page.push('\n');
    let mut fact = |name: &str, value: String| {
        let name = style.paint(Tone::Quiet, format!("{name:10}"));
        let _infallible = writeln!(page, "{name}{value}");
    };
    let daemon = &status.daemon;
    if let Some(policy) = &status.policy {
        let age = span(daemon.time.saturating_sub(policy.applied_at));
        let hash: String = clean(&policy.hash).chars().take(12).collect();
        let path = clean(&policy.path.display().to_string());
        fact("policy", path);
        fact("", format!("generation {}, {hash}, applied {age} ago", policy.generation));
        if !policy.packets.is_empty() {
            let said = policy.packets.iter().map(|(kind, what)| format!("{kind} {what}"));
            fact("packets", clean(&said.collect::<Vec<_>>().join(", ")));
        }
    }
    let instance = match &daemon.instance {
        Some(name) => format!(", instance {}", clean(name)),
        None => String::new(),
    };
    let uptime = span(daemon.uptime_seconds);
    let version = clean(&daemon.version);
    fact("daemon", format!("weir {version}, pid {}, up {uptime}{instance}", daemon.pid));
    if let Some(address) = &daemon.metrics {
        fact("metrics", format!("http://{}/metrics", clean(address)));
    }
    let samples = &status.samples;
    let lost = samples.dropped + samples.decode_errors;
    fact(
        "sensor",
        if samples.share > 0.0 {
            format!(
                "{}, {} complete, {} records, {} lost",
                sampled(samples),
                percent(samples.completeness),
                count(samples.received),
                count(lost)
            )
        } else {
            "off".to_owned()
        },
    );
    fact("bans", count(status.bans));
    let mut findings = format!("{} open", count(status.findings.open));
    let by: Vec<String> = status
        .findings
        .by_severity
        .iter()
        .map(|severity| format!("{} {}", count(severity.value), clean(&severity.name)))
        .collect();
    if !by.is_empty() {
        let _infallible = write!(findings, ": {}", by.join(", "));
    }
    let said = [(status.findings.muted, "muted"), (status.findings.acknowledged, "acknowledged")];
    for (number, what) in said.into_iter().filter(|(number, _)| *number > 0) {
        let _infallible = write!(findings, "; {} {what}", count(number));
    }
    let tone = if status.findings.open > 0 { Tone::Warn } else { Tone::Plain };
    fact("findings", style.paint(tone, findings));
    for (name, database) in [("countries", &status.geo.country), ("asns", &status.geo.asn)] {
        if let Some(path) = &database.path {
            let (path, state) = (clean(&path.display().to_string()), clean(&database.state));
            let tone = if database.problem.is_some() { Tone::Warn } else { Tone::Plain };
            fact(name, style.paint(tone, format!("{state}, {path}")));
        }
    }
}

fn interfaces(status: &Status) -> Table<6> {
    let mut table = Table::new([
        ("INTERFACE", Align::Left),
        ("XDP", Align::Left),
        ("EGRESS", Align::Left),
        ("LINK", Align::Left),
        ("PROGRAMS", Align::Right),
        ("GENERATION", Align::Right),
    ]);
    for face in status.interfaces.iter().filter(|face| face.problem.is_none()) {
        let programs = match face.egress_program {
            Some(egress) => format!("{}, {egress}", face.ingress_program),
            None => face.ingress_program.to_string(),
        };
        let link =
            if face.pinned { cell("pinned", Tone::Plain) } else { cell("loose", Tone::Warn) };
        table.row([
            (&face.name).into(),
            (&face.mode).into(),
            (&face.egress).into(),
            link,
            programs.into(),
            face.generation.to_string().into(),
        ]);
    }
    table
}

fn apis(status: &Status) -> Table<8> {
    let mut table = Table::new([
        ("API", Align::Left),
        ("LISTEN", Align::Cut),
        ("MODE", Align::Left),
        ("PASS", Align::Right),
        ("DROP", Align::Right),
        ("WOULD", Align::Right),
        ("IN", Align::Right),
        ("OUT", Align::Right),
    ]);
    for api in &status.apis {
        let tone = if api.mode == Mode::Monitor { Tone::Warn } else { Tone::Plain };
        let [pass, drop, would, received] = counts(&api.packets);
        table.row([
            cell(&api.name, Tone::Strong),
            api.listen.join(" ").into(),
            cell(mode_name(api.mode), tone),
            pass,
            drop,
            would,
            received,
            bytes(api.egress_bytes).into(),
        ]);
    }
    let [pass, drop, would, received] = counts(&status.unclaimed);
    let name = cell("unclaimed", Tone::Quiet);
    table.row([name, "".into(), "".into(), pass, drop, would, received, "".into()]);
    table
}

fn counts(packets: &PacketCounts) -> [Cell; 4] {
    let toned = |value: u64, tone| cell(count(value), if value == 0 { Tone::Quiet } else { tone });
    [
        toned(packets.pass, Tone::Plain),
        toned(packets.drop, Tone::Bad),
        toned(packets.would_drop, Tone::Warn),
        bytes(packets.bytes).into(),
    ]
}

fn feeds(status: &Status) -> Table<4> {
    let mut table = Table::new([
        ("FEED", Align::Cut),
        ("PREFIXES", Align::Right),
        ("STATE", Align::Left),
        ("GOOD", Align::Right),
    ]);
    for feed in &status.feeds {
        let (state, tone) = match feed.state {
            FeedState::Current => ("current", Tone::Plain),
            FeedState::Kept => ("kept", Tone::Warn),
            FeedState::RolledBack => ("rolled back", Tone::Warn),
        };
        let age = span(status.daemon.time.saturating_sub(feed.last_success));
        table.row([
            (&feed.feed).into(),
            count(feed.entries).into(),
            cell(state, tone),
            format!("{age} ago").into(),
        ]);
    }
    table
}

/// The orders in force: while one is, the policy is not all there is.
fn orders(page: &mut String, status: &Status, style: Style) {
    for api in &status.apis {
        for order in &api.orders {
            let (name, what) = (clean(&api.name), sentence(order, style));
            let _infallible = writeln!(page, "{} {name} {what}", style.paint(Tone::Bad, "!"));
        }
    }
}

/// What was refused, or would have been, the most frequent first.
fn refusals(status: &Status) -> Table<5> {
    let mut table = Table::new([
        ("REFUSED", Align::Left),
        ("REASON", Align::Left),
        ("VERDICT", Align::Left),
        ("PACKETS", Align::Right),
        ("BYTES", Align::Right),
    ]);
    let mut reasons: Vec<_> =
        status.reasons.iter().filter(|reason| reason.verdict != "pass").collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.packets));
    for reason in reasons.iter().take(REASONS) {
        let api = if reason.api == "__unclaimed__" { "unclaimed" } else { &reason.api };
        table.row([
            api.into(),
            (&reason.reason).into(),
            reason.verdict.replace('_', " ").into(),
            count(reason.packets).into(),
            bytes(reason.bytes).into(),
        ]);
    }
    table
}

fn tables(status: &Status) -> Table<4> {
    let mut table = Table::new([
        ("TABLE", Align::Left),
        ("ENTRIES", Align::Right),
        ("CAPACITY", Align::Right),
        ("FULL", Align::Right),
    ]);
    for map in status.maps.iter().filter(|map| map.capacity > 0) {
        let share = map.entries as f64 / map.capacity as f64;
        let tone = if share >= FULL { Tone::Warn } else { Tone::Plain };
        table.row([
            (&map.map).into(),
            count(map.entries).into(),
            count(map.capacity).into(),
            cell(percent(share), tone),
        ]);
    }
    table
}

/// How many flows are sampled.
fn sampled(samples: &SampleStatus) -> String {
    let asked = percent(samples.share);
    if samples.share_now < samples.share {
        return format!("{} of flows (asked for {asked})", percent(samples.share_now));
    }
    format!("{asked} of flows")
}
