//! `weir findings ack|unack|mute|unmute|mutes`: what operators say of findings.

use std::time::Duration;

use clap::Args;

use super::super::apis::{ago, now};
use super::super::history::by;
use super::super::human::span;
use super::super::outcome::{Outcome, Verdict};
use super::super::style::{Style, clean};
use super::super::table::{Align, Table};
use super::super::{Common, value};
use crate::control::api::{FindingAck, FindingEntry, MuteEntry, MuteLift, MuteSet};

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir findings ack 1f2e3d4c-1 --note \"ticket 4711\"")]
pub(in crate::cli) struct AckArgs {
    /// Its id, or the beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// A word about it, for those who read it later
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir findings unack 1f2e3d4c-1")]
pub(in crate::cli) struct UnackArgs {
    /// Its id, or the beginning of it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Findings go on and are listed as muted; receivers (`[[sink]]`) are not told of them and nothing\n\
    answers them. What is still open at the end is told then.\n\n\
    Example:\n  weir findings mute rate_shift --api orders --ttl 1d --reason \"campaign until Friday\""
)]
pub(in crate::cli) struct MuteArgs {
    /// The detector
    #[arg(value_name = "DETECTOR")]
    detector: String,
    /// At this API; or a port that nobody declared, as tcp/9000
    #[arg(long, value_name = "NAME")]
    api: String,
    /// For how long: 30s, 10m, 1h, 2d [default: until `unmute`]
    #[arg(long, value_name = "TIME", value_parser = value::ttl)]
    ttl: Option<Duration>,
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir findings unmute rate_shift --api orders")]
pub(in crate::cli) struct UnmuteArgs {
    /// The detector
    #[arg(value_name = "DETECTOR")]
    detector: String,
    /// At this API
    #[arg(long, value_name = "NAME")]
    api: String,
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir findings mutes --json")]
pub(in crate::cli) struct MutesArgs {
    #[command(flatten)]
    pub(in crate::cli) common: Common,
}

pub(super) fn ack(args: &AckArgs) -> Verdict {
    let request = FindingAck { id: args.id.clone(), note: args.note.clone() };
    let entry = args.common.target.client()?.finding_ack(&request)?;
    args.common.output.printer().print(&entry, |_| line(&entry, "acknowledged"))?;
    Ok(Outcome::Done)
}

pub(super) fn unack(args: &UnackArgs) -> Verdict {
    let request = FindingAck { id: args.id.clone(), note: String::new() };
    let entry = args.common.target.client()?.finding_unack(&request)?;
    args.common.output.printer().print(&entry, |_| line(&entry, "no longer acknowledged"))?;
    Ok(Outcome::Done)
}

pub(super) fn mute(args: &MuteArgs) -> Verdict {
    let request = MuteSet {
        detector: args.detector.clone(),
        api: args.api.clone(),
        ttl_seconds: args.ttl.map(|ttl| ttl.as_secs_f64()),
        reason: args.reason.clone(),
    };
    let entry = args.common.target.client()?.mute(&request)?;
    args.common.output.printer().print(&entry, |_| {
        let until = match entry.until {
            Some(until) => format!("for {}", span(until.saturating_sub(now()))),
            None => "until `weir findings unmute`".to_owned(),
        };
        let (detector, api) = (clean(&entry.detector), clean(&entry.api));
        format!("{detector} at {api} is muted {until}; {} open\n", entry.findings)
    })?;
    Ok(Outcome::Done)
}

pub(super) fn unmute(args: &UnmuteArgs) -> Verdict {
    let request = MuteLift { detector: args.detector.clone(), api: args.api.clone() };
    let entry = args.common.target.client()?.unmute(&request)?;
    args.common.output.printer().print(&entry, |_| {
        format!("{} at {} is no longer muted\n", clean(&entry.detector), clean(&entry.api))
    })?;
    Ok(Outcome::Done)
}

pub(super) fn mutes(args: &MutesArgs) -> Verdict {
    let entries = args.common.target.client()?.mutes()?;
    args.common.output.printer().print(&entries, |style| table(&entries, now(), style))?;
    Ok(Outcome::Done)
}

fn line(entry: &FindingEntry, what: &str) -> String {
    let (detector, api) = (clean(&entry.detector), clean(&entry.api));
    format!("{}: {detector} at {api} is {what}\n", clean(&entry.id))
}

/// Who has seen a finding, when, and what he says of it; empty when nobody has.
pub(super) fn seen(entry: &FindingEntry, now: u64) -> String {
    let Some(said) = &entry.acknowledged else { return String::new() };
    let note = if said.note.is_empty() { String::new() } else { format!(": {}", said.note) };
    format!("{} by {}{note}", ago(Some(said.time), now), by(&said.by))
}

pub(in crate::cli) fn table(entries: &[MuteEntry], now: u64, style: Style) -> String {
    let mut table = Table::new([
        ("API", Align::Left),
        ("DETECTOR", Align::Left),
        ("SINCE", Align::Left),
        ("LEFT", Align::Right),
        ("OPEN", Align::Right),
        ("BY", Align::Left),
        ("REASON", Align::Cut),
    ]);
    for entry in entries {
        let left = entry.until.map(|until| span(until.saturating_sub(now)));
        table.row([
            (&entry.api).into(),
            (&entry.detector).into(),
            ago(Some(entry.since), now).into(),
            left.unwrap_or_else(|| "–".to_owned()).into(),
            entry.findings.to_string().into(),
            by(&entry.by).into(),
            (&entry.reason).into(),
        ]);
    }
    if table.is_empty() { "nothing is muted\n".to_owned() } else { table.render(style) }
}
