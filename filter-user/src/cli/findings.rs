//! `weir findings`: what detectors and the inventory have found.

mod said;

use clap::{Args, Subcommand};
use time::OffsetDateTime;
use time::macros::format_description;

use super::Common;
use super::apis::{ago, now};
use super::human::span;
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::table::{Align, Table, cell};
use crate::control::api::{ApiError, FindingEntry, FindingQuery};

/// As many as the daemon keeps.
const ALL: usize = 10_000;

#[derive(Args, Clone, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  weir findings\n  weir findings --all --api orders\n  weir findings show 1f2e3d4c-1\n  \
    weir findings --unacknowledged       those that nobody has seen\n  \
    weir findings ack 1f2e3d4c-1 --note \"ticket 4711\"\n  \
    weir findings --json | jq '.[] | select(.severity == \"critical\").why'"
)]
pub(super) struct FindingsArgs {
    #[command(subcommand)]
    verb: Option<FindingsVerb>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Subcommand, Clone, Debug)]
enum FindingsVerb {
    /// List findings
    List(ListArgs),
    /// Show one finding with all its numbers
    Show(ShowArgs),
    /// Note that you have seen one
    Ack(said::AckArgs),
    /// Take that back
    Unack(said::UnackArgs),
    /// Do not tell receivers what a detector finds at an API, nor answer it
    Mute(said::MuteArgs),
    /// Tell them again
    Unmute(said::UnmuteArgs),
    /// List what is muted
    Mutes(said::MutesArgs),
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir findings list --all --limit 20")]
struct ListArgs {
    /// Those that are over, too
    #[arg(long)]
    all: bool,
    /// Of this API only; or of a port that nobody declared, as tcp/9000
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// The latest so many
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    /// Those only that nobody has acknowledged
    #[arg(long)]
    unacknowledged: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir findings show 1f2e3d4c-1")]
struct ShowArgs {
    /// Its id, or the beginning of it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    common: Common,
}

impl FindingsArgs {
    pub(super) fn json(&self) -> bool {
        match &self.verb {
            None => self.list.common.output.json,
            Some(FindingsVerb::List(args)) => args.common.output.json,
            Some(FindingsVerb::Show(args)) => args.common.output.json,
            Some(FindingsVerb::Ack(args)) => args.common.output.json,
            Some(FindingsVerb::Unack(args)) => args.common.output.json,
            Some(FindingsVerb::Mute(args)) => args.common.output.json,
            Some(FindingsVerb::Unmute(args)) => args.common.output.json,
            Some(FindingsVerb::Mutes(args)) => args.common.output.json,
        }
    }
}

pub(super) fn findings(args: &FindingsArgs) -> Verdict {
    match &args.verb {
        None => list(&args.list),
        Some(FindingsVerb::List(args)) => list(args),
        Some(FindingsVerb::Show(args)) => show(args),
        Some(FindingsVerb::Ack(args)) => said::ack(args),
        Some(FindingsVerb::Unack(args)) => said::unack(args),
        Some(FindingsVerb::Mute(args)) => said::mute(args),
        Some(FindingsVerb::Unmute(args)) => said::unmute(args),
        Some(FindingsVerb::Mutes(args)) => said::mutes(args),
    }
}

fn list(args: &ListArgs) -> Verdict {
    let ListArgs { all, api, limit, unacknowledged, common } = args;
    let (all, limit, unacknowledged) = (*all, *limit, *unacknowledged);
    let query = FindingQuery { all, api: api.clone(), limit, unacknowledged };
    let findings = common.target.client()?.findings(&query)?;
    common.output.printer().print(&findings, |style| table(&findings, all, style))?;
    Ok(Outcome::Done)
}

fn show(args: &ShowArgs) -> Verdict {
    let query = FindingQuery { all: true, limit: ALL, ..FindingQuery::default() };
    let findings = args.common.target.client()?.findings(&query)?;
    let named: Vec<_> = findings.iter().filter(|found| found.id.starts_with(&args.id)).collect();
    let found = match named[..] {
        [found] => found,
        [] => {
            let error = ApiError::not_found(format!("there is no finding {}", args.id));
            return Err(error.hint("`weir findings --all` lists those that are kept").into());
        }
        _ => {
            let number = named.len();
            let error = ApiError::invalid(format!("{number} findings begin with {}", args.id));
            return Err(error.hint("write more of the id").into());
        }
    };
    args.common.output.printer().print(found, |style| one(found, style))?;
    Ok(Outcome::Done)
}

fn tone(finding: &FindingEntry) -> Tone {
    match (finding.state.as_str(), finding.severity.as_str()) {
        _ if finding.muted => Tone::Quiet,
        ("closed", _) | (_, "info") => Tone::Quiet,
        (_, "critical") => Tone::Bad,
        (_, "warning") => Tone::Warn,
        _ => Tone::Plain,
    }
}

/// Whether it goes on, and what operators said of it.
fn state(finding: &FindingEntry) -> String {
    let seen = finding.acknowledged.as_ref().map(|_| "seen");
    let muted = finding.muted.then_some("muted");
    let words = [Some(finding.state.as_str()), seen, muted];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn table(findings: &[FindingEntry], all: bool, style: Style) -> String {
    let now = now();
    let mut table = Table::new([
        ("ID", Align::Left),
        ("SEVERITY", Align::Left),
        ("STATE", Align::Left),
        ("API", Align::Left),
        ("DETECTOR", Align::Left),
        ("OPENED", Align::Left),
        ("WHY", Align::Cut),
    ]);
    let mut before = "";
    for finding in findings {
        // Those that belong to the one above.
        let follows = !finding.group.is_empty() && finding.group == before;
        before = &finding.group;
        let id = if follows { format!("└ {}", finding.id) } else { finding.id.clone() };
        table.row([
            id.into(),
            cell(&finding.severity, tone(finding)),
            state(finding).into(),
            (&finding.api).into(),
            (&finding.detector).into(),
            ago(Some(finding.opened), now).into(),
            (&finding.why).into(),
        ]);
    }
    if table.is_empty() {
        return if all { "no findings\n" } else { "no findings are open\n" }.to_owned();
    }
    table.render(style)
}

fn one(finding: &FindingEntry, style: Style) -> String {
    let now = now();
    let mut text = format!(
        "{} {} {}\n{}\n\n",
        style.paint(Tone::Strong, clean(&finding.id)),
        style.paint(tone(finding), clean(&finding.severity)),
        clean(&state(finding)),
        clean(&finding.why)
    );
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{name:<14}{}\n", clean(value)));
        }
    };
    fact("detector", &finding.detector);
    fact("api", &finding.api);
    let endpoint = finding.method.as_deref().zip(finding.route.as_deref());
    fact("endpoint", &endpoint.map_or_else(String::new, |(m, r)| format!("{m} {r}")));
    fact("source", finding.source.as_deref().unwrap_or_default());
    fact("owasp", finding.owasp.as_deref().unwrap_or_default());
    fact("observed", &format!("{} {}", number(finding.observed), finding.unit));
    fact("baseline", &number(finding.baseline));
    fact("threshold", &number(finding.threshold));
    fact("window", &span(finding.window_seconds));
    fact("completeness", &super::human::percent(finding.completeness));
    fact("weight", &number(finding.weight));
    fact("opened", &ago(Some(finding.opened), now));
    fact("updated", &ago(Some(finding.updated), now));
    fact("group", if finding.group == finding.id { "" } else { &finding.group });
    fact("acknowledged", &said::seen(finding, now));
    fact("closed", &finding.closed.map_or_else(String::new, |time| ago(Some(time), now)));
    if finding.evidence_forgeable {
        fact("evidence", "anyone could have forged it");
    }
    text + &evidence(finding, style)
}

/// The requests that it is about, and where to look for more of them.
fn evidence(finding: &FindingEntry, style: Style) -> String {
    if finding.evidence.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        ("TIME", Align::Left),
        ("SOURCE", Align::Left),
        ("REQUEST", Align::Left),
        ("STATUS", Align::Right),
        ("LATENCY", Align::Right),
        ("BYTES", Align::Right),
    ]);
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    for one in &finding.evidence {
        let request = match one.port {
            Some(port) => format!("port {port}"),
            None => format!("{} {}", one.method, one.route),
        };
        let latency = one.latency_seconds.map(|seconds| format!("{:.1} ms", seconds * 1e3));
        table.row([
            moment(one.time_ms).into(),
            (&one.source).into(),
            request.into(),
            number(one.status.map(u64::from)).into(),
            latency.unwrap_or_default().into(),
            number(one.response_bytes).into(),
        ]);
    }
    let about = match &finding.source {
        Some(source) => format!("--source {}", source.split('/').next().unwrap_or_default()),
        None => format!("--api {}", finding.api),
    };
    let more = format!("all that is kept: weir evidence {about} --since 24h --output FILE");
    format!("\n{}{}\n", table.render(style), style.paint(Tone::Quiet, clean(&more)))
}

/// A time to the millisecond, UTC.
fn moment(ms: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    let form =
        format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
    time.ok().and_then(|time| time.format(form).ok()).unwrap_or_default()
}

/// Without decimals where there are none.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
