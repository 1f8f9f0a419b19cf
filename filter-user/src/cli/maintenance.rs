//! `weir maintenance`: what an API does for a while is neither judged nor learned.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::apis::{ago, now};
use super::history::by;
use super::human::span;
use super::outcome::{Outcome, Verdict};
use super::style::{Style, clean};
use super::table::{Align, Table};
use super::{Common, value};
use crate::control::api::{MaintenanceEntry, MaintenanceStart, MaintenanceStop};

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Meanwhile no shift of the API's rate, errors, latency, sizes and sources is told, and none is learned\n\
    as usual. Attacks are: `weir findings mute` is for those. Windows that come again are written into\n\
    the policy: [[maintenance]].\n\n\
    Examples:\n  weir maintenance start orders --ttl 2h --reason \"release 4.2\"\n  weir maintenance list\n  \
    weir maintenance stop orders"
)]
pub(super) struct MaintenanceArgs {
    #[command(subcommand)]
    verb: MaintenanceVerb,
}

#[derive(Subcommand, Clone, Debug)]
enum MaintenanceVerb {
    /// Begin to maintain an API
    Start(StartArgs),
    /// End what was begun
    Stop(StopArgs),
    /// List the APIs that are being maintained, by the policy too
    List(ListArgs),
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  weir maintenance start orders --ttl 2h --reason \"release 4.2\""
)]
struct StartArgs {
    /// The API
    #[arg(value_name = "API")]
    api: String,
    /// For how long: 10m, 2h, 1d; at most 31d
    #[arg(long, value_name = "TIME", value_parser = value::ttl)]
    ttl: Duration,
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir maintenance stop orders")]
struct StopArgs {
    /// The API
    #[arg(value_name = "API")]
    api: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir maintenance list --json")]
struct ListArgs {
    #[command(flatten)]
    common: Common,
}

impl MaintenanceArgs {
    pub(super) fn json(&self) -> bool {
        match &self.verb {
            MaintenanceVerb::Start(args) => args.common.output.json,
            MaintenanceVerb::Stop(args) => args.common.output.json,
            MaintenanceVerb::List(args) => args.common.output.json,
        }
    }
}

pub(super) fn maintenance(args: &MaintenanceArgs) -> Verdict {
    match &args.verb {
        MaintenanceVerb::Start(args) => start(args),
        MaintenanceVerb::Stop(args) => stop(args),
        MaintenanceVerb::List(args) => list(args),
    }
}

fn start(args: &StartArgs) -> Verdict {
    let request = MaintenanceStart {
        api: args.api.clone(),
        ttl_seconds: args.ttl.as_secs_f64(),
        reason: args.reason.clone(),
    };
    let entry = args.common.target.client()?.maintenance_start(&request)?;
    args.common.output.printer().print(&entry, |_| {
        let left = span(entry.until.saturating_sub(now()));
        format!("{} is being maintained for {left}\n", clean(&entry.api))
    })?;
    Ok(Outcome::Done)
}

fn stop(args: &StopArgs) -> Verdict {
    let request = MaintenanceStop { api: args.api.clone() };
    let entry = args.common.target.client()?.maintenance_stop(&request)?;
    args.common
        .output
        .printer()
        .print(&entry, |_| format!("{} is no longer being maintained\n", clean(&entry.api)))?;
    Ok(Outcome::Done)
}

fn list(args: &ListArgs) -> Verdict {
    let entries = args.common.target.client()?.maintenance()?;
    args.common.output.printer().print(&entries, |style| table(&entries, now(), style))?;
    Ok(Outcome::Done)
}

fn table(entries: &[MaintenanceEntry], now: u64, style: Style) -> String {
    let mut table = Table::new([
        ("API", Align::Left),
        ("SINCE", Align::Left),
        ("LEFT", Align::Right),
        ("BY", Align::Left),
        ("REASON", Align::Cut),
    ]);
    for entry in entries {
        let who = entry.by.as_ref().map_or_else(|| "the policy".to_owned(), by);
        table.row([
            (&entry.api).into(),
            ago(Some(entry.since), now).into(),
            span(entry.until.saturating_sub(now)).into(),
            who.into(),
            (&entry.reason).into(),
        ]);
    }
    if table.is_empty() { "nothing is being maintained\n".to_owned() } else { table.render(style) }
}
