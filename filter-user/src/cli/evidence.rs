//! `weir evidence`: what is kept of a source or an API, in one file, sealed by hashes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::apis::now;
use super::human::{bytes, count, percent};
use super::outcome::{Failure, Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::table::{Align, Table};
use super::waiting::waiting;
use super::{Common, Output, value};
use crate::control::api::{
    ApiError, Completeness, Evidence, EvidenceHead, EvidenceQuery, EvidenceVerified, Reached, Sum,
};

/// The largest file that is checked.
const LARGEST: u64 = 256 << 20;
/// Endpoints and sources that are shown.
const SHOWN: usize = 20;

#[derive(Args, Clone, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "What was reached and with which status, when, how much went out, which kinds of credentials were\n\
    used; findings, actions, bans, events and lines of the audit log; how complete that is, and what is not known.\n\
    Never in it: queries, bodies, the values of credentials. Exit code 1 when nothing is known.\n\n\
    Examples:\n  weir evidence --source 198.51.100.7 --since 24h --output evidence.json\n  \
    weir evidence --api orders --since 2026-03-01T00:00:00Z --until 2026-03-02T00:00:00Z\n  \
    weir evidence verify evidence.json"
)]
pub(super) struct EvidenceArgs {
    #[command(subcommand)]
    verb: Option<EvidenceVerb>,
    #[command(flatten)]
    take: TakeArgs,
}

#[derive(Args, Clone, Debug)]
struct TakeArgs {
    /// Of this address or network
    #[arg(long, value_name = "ADDRESS", conflicts_with = "api")]
    source: Option<String>,
    /// Of this API; or of a port that nobody declared, as tcp/9000
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// From when on: so long ago (24h, 7d), or an RFC 3339 time
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = value::moment)]
    since: u64,
    /// Until when [default: now]
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    until: Option<u64>,
    /// Write all of it into this file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand, Clone, Debug)]
enum EvidenceVerb {
    /// Check that a file is as it was written; needs no daemon
    Verify(VerifyArgs),
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit code 1 when it is not. The hash of the whole is printed: who wrote it down elsewhere can tell\n\
    that the file was not made anew.\n\nExample:\n  weir evidence verify evidence.json"
)]
struct VerifyArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    output: Output,
}

impl EvidenceArgs {
    pub(super) fn json(&self) -> bool {
        match &self.verb {
            Some(EvidenceVerb::Verify(args)) => args.output.json,
            None => self.take.common.output.json,
        }
    }
}

pub(super) fn evidence(args: &EvidenceArgs) -> Verdict {
    match &args.verb {
        Some(EvidenceVerb::Verify(args)) => verify(args),
        None => take(&args.take),
    }
}

fn take(args: &TakeArgs) -> Verdict {
    let TakeArgs { source, api, since, until, output, common } = args;
    if source.is_none() == api.is_none() {
        let error = ApiError::invalid("of whom, or of what?");
        return Err(error.hint("give --source ADDRESS or --api NAME").into());
    }
    let (source, api, until) = (source.clone(), api.clone(), *until);
    let query = EvidenceQuery { source, api, since: *since, until };
    let client = common.target.client()?;
    let evidence = waiting("the daemon gathers what was seen", || client.evidence(&query))?;
    if let Some(path) = output {
        let text = serde_json::to_string_pretty(&evidence).map_err(anyhow::Error::from)? + "\n";
        private(path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let summary = describe(&evidence)?;
    common.output.printer().print(&evidence, |style| {
        let mut text = summary(style);
        if let Some(path) = output {
            text.push_str(&format!("written to {}\n", clean(&path.display().to_string())));
        }
        text
    })?;
    Ok(Outcome::Done)
}

/// Addresses of people are nobody else's business. A file that is there is not written over.
fn private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all())
}

fn verify(args: &VerifyArgs) -> Verdict {
    let shown = args.file.display();
    let text = crate::text::read_regular(&args.file, LARGEST)
        .map_err(|error| anyhow::anyhow!("cannot read {shown}: {}", crate::text::reason(&error)))?;
    let evidence: Evidence = match serde_json::from_slice(&text) {
        Ok(evidence) => evidence,
        Err(error) => {
            let problems = vec![format!("it is no evidence: {error}")];
            let verified = EvidenceVerified { problems, ..EvidenceVerified::default() };
            args.output.printer().print(&verified, |style| verdict(&verified, style))?;
            return Ok(Outcome::No);
        }
    };
    let verified = evidence.verify();
    args.output.printer().print(&verified, |style| verdict(&verified, style))?;
    Ok(if verified.intact { Outcome::Done } else { Outcome::No })
}

fn verdict(verified: &EvidenceVerified, style: Style) -> String {
    if verified.intact {
        let intact = style.paint(Tone::Good, "intact");
        return format!("{intact}: SHA-256 {}\n", clean(&verified.hash));
    }
    let mut text = format!("{}\n", style.paint(Tone::Bad, "not as it was written"));
    for problem in &verified.problems {
        text.push_str(&format!("  {}\n", clean(problem)));
    }
    text
}

fn date(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|date| date.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}

/// `120`, or `about 3400 ± 50`.
fn number(sum: &Sum) -> String {
    if sum.estimated == sum.kept {
        return count(sum.kept);
    }
    format!("about {} ± {}", count(sum.estimated), count(sum.standard_error))
}

fn out(sum: &Sum) -> String {
    if sum.estimated == sum.kept {
        return bytes(sum.response_bytes);
    }
    format!(
        "{} of those kept, about {}",
        bytes(sum.response_bytes),
        bytes(sum.response_bytes_estimated)
    )
}

/// The evidence for people.
fn describe(evidence: &Evidence) -> Result<impl Fn(Style) -> String, Failure> {
    let read =
        |error| Failure::Local(anyhow::Error::new(error).context("the evidence is not understood"));
    let section = |name: &str| evidence.sections.get(name).map_or("null", |raw| raw.get());
    let head: EvidenceHead = serde_json::from_str(evidence.head.get()).map_err(read)?;
    let reached: Reached = serde_json::from_str(section("reached")).map_err(read)?;
    let completeness: Completeness = serde_json::from_str(section("completeness")).map_err(read)?;
    let open: Vec<String> = serde_json::from_str(section("not_known")).map_err(read)?;
    let lengths: Vec<(&str, usize)> = ["findings", "actions", "bans", "events", "audit"]
        .into_iter()
        .map(|name| {
            let list: Result<Vec<serde_json::Value>, _> = serde_json::from_str(section(name));
            (name, list.map_or(0, |list| list.len()))
        })
        .collect();
    let hash = evidence.hash.clone();
    Ok(move |style: Style| {
        let about = head.source.as_deref().or(head.api.as_deref()).unwrap_or_default();
        let mut text = format!(
            "{} from {} to {}\n",
            style.paint(Tone::Strong, clean(about)),
            date(head.since),
            date(head.until)
        );
        let total = &reached.total;
        text.push_str(&format!("requests    {} (kept: {})\n", number(total), count(total.kept)));
        if total.kept > 0 {
            text.push_str(&format!(
                "first, last {}, {}\nwent out    {}\n",
                date(total.first_ms / 1_000),
                date(total.last_ms / 1_000),
                out(total)
            ));
            let kinds: Vec<String> = reached
                .credentials
                .iter()
                .map(|(kind, number)| format!("{} {}", clean(kind), count(*number)))
                .collect();
            text.push_str(&format!("credentials {}\n", kinds.join(", ")));
            text.push_str(&format!("sources     {}\n", count(reached.different_sources)));
        }
        for (name, length) in &lengths {
            text.push_str(&format!("{name:11} {}\n", count(*length as u64)));
        }
        text.push_str(&format!(
            "complete    {} of flows sampled now, {} of the last minute's telemetry not lost, {} lost in the span\n",
            percent(completeness.sample_share),
            percent(completeness.telemetry),
            count(completeness.lost_records)
        ));
        text.push_str(&tables(&reached, head.api.is_some(), style));
        text.push_str("\nnot known:\n");
        for line in &open {
            text.push_str(&format!("  {}\n", clean(line)));
        }
        text.push_str(&format!("SHA-256 {}\n", clean(&hash)));
        text
    })
}

fn tables(reached: &Reached, with_sources: bool, style: Style) -> String {
    let mut text = String::new();
    let mut table = Table::new([
        ("REQUESTS", Align::Right),
        ("STATUS", Align::Right),
        ("METHOD", Align::Left),
        ("API", Align::Left),
        ("ROUTE", Align::Cut),
        ("WENT OUT", Align::Right),
        ("FIRST", Align::Left),
        ("LAST", Align::Left),
    ]);
    for one in reached.endpoints.iter().take(SHOWN) {
        table.row([
            count(one.sum.estimated).into(),
            one.status.map_or_else(|| "–".to_owned(), |status| status.to_string()).into(),
            (&one.method).into(),
            (&one.api).into(),
            (&one.route).into(),
            bytes(one.sum.response_bytes_estimated).into(),
            date(one.sum.first_ms / 1_000).into(),
            date(one.sum.last_ms / 1_000).into(),
        ]);
    }
    if !table.is_empty() {
        text.push('\n');
        text.push_str(&table.render(style));
    }
    let more = reached.endpoints.len().saturating_sub(SHOWN);
    if more > 0 {
        text.push_str(&format!("… {more} more\n"));
    }
    if with_sources && !reached.sources.is_empty() {
        let mut table = Table::new([
            ("REQUESTS", Align::Right),
            ("SOURCE", Align::Left),
            ("WENT OUT", Align::Right),
            ("LAST", Align::Left),
        ]);
        for one in reached.sources.iter().take(SHOWN) {
            table.row([
                count(one.sum.estimated).into(),
                (&one.source).into(),
                bytes(one.sum.response_bytes_estimated).into(),
                date(one.sum.last_ms / 1_000).into(),
            ]);
        }
        text.push('\n');
        text.push_str(&table.render(style));
    }
    text
}

/// A time that was so long ago, for `value::moment`.
pub(super) fn ago(seconds: u64) -> u64 {
    now().saturating_sub(seconds)
}
