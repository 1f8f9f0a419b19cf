//! `weir actions`: what weir did by itself, would have done, or wants to do; and the kill switch.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::apis::{ago, now};
use super::human::span;
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::table::{Align, Table, cell};
use super::{Common, value};
use crate::control::api::{
    ActionDecision, ActionEntry, ActionQuery, ActionsStatus, ActionsStop, Decision,
};

#[derive(Args, Clone, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  weir actions                         those that wait for you\n  \
    weir actions list --all              what became of each\n  weir actions approve 12\n  \
    weir actions undo 12                 take back what was done\n  \
    weir actions stop --reason \"it hits the wrong ones\"\n  weir actions start"
)]
pub(super) struct ActionsArgs {
    #[command(subcommand)]
    verb: Option<ActionsVerb>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Subcommand, Clone, Debug)]
enum ActionsVerb {
    /// List actions
    List(ListArgs),
    /// Do what waits to be approved
    Approve(ApproveArgs),
    /// Do not do it
    Reject(RejectArgs),
    /// Take back what was done
    Undo(UndoArgs),
    /// Stop all automatic actions, also over a restart
    Stop(StopArgs),
    /// Take automatic actions again
    Start(StartArgs),
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir actions list --all --limit 20")]
struct ListArgs {
    /// Those that do not wait, too
    #[arg(long)]
    all: bool,
    /// The latest so many
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir actions approve 12")]
struct ApproveArgs {
    /// Its number
    #[arg(value_name = "ID")]
    id: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir actions reject 12")]
struct RejectArgs {
    /// Its number
    #[arg(value_name = "ID")]
    id: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Exit code 1 when what it did does not stand any more.\n\n\
    Example:\n  weir actions undo 12")]
struct UndoArgs {
    /// Its number
    #[arg(value_name = "ID")]
    id: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Answers to findings, bans of networks and quotas are stopped; what was done stands until it\n\
    ends or is undone. Findings go on.\n\nExample:\n  weir actions stop --ttl 1h --reason \"ticket 4711\""
)]
struct StopArgs {
    /// They are taken again by themselves: 30s, 10m, 1h, 2d [default: when `start` says so]
    #[arg(long, value_name = "TIME", value_parser = value::ttl)]
    ttl: Option<Duration>,
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir actions start")]
struct StartArgs {
    #[command(flatten)]
    common: Common,
}

impl ActionsArgs {
    fn common(&self) -> &Common {
        match &self.verb {
            None => &self.list.common,
            Some(ActionsVerb::List(args)) => &args.common,
            Some(ActionsVerb::Approve(args)) => &args.common,
            Some(ActionsVerb::Reject(args)) => &args.common,
            Some(ActionsVerb::Undo(args)) => &args.common,
            Some(ActionsVerb::Stop(args)) => &args.common,
            Some(ActionsVerb::Start(args)) => &args.common,
        }
    }

    pub(super) fn json(&self) -> bool {
        self.common().output.json
    }
}

pub(super) fn actions(args: &ActionsArgs) -> Verdict {
    let common = args.common();
    let client = common.target.client()?;
    let printer = common.output.printer();
    let decide = |id, decision| client.action_decide(&ActionDecision { id, decision });
    let list = match &args.verb {
        None => &args.list,
        Some(ActionsVerb::List(list)) => list,
        Some(ActionsVerb::Approve(args)) => {
            let entry = decide(args.id, Decision::Approve)?;
            printer.print(&entry, |_| told(&entry))?;
            return Ok(Outcome::Done);
        }
        Some(ActionsVerb::Reject(args)) => {
            let entry = decide(args.id, Decision::Reject)?;
            printer.print(&entry, |_| told(&entry))?;
            return Ok(Outcome::Done);
        }
        Some(ActionsVerb::Undo(args)) => {
            let entry = decide(args.id, Decision::Undo)?;
            printer.print(&entry, |_| told(&entry))?;
            return Ok(Outcome::Done);
        }
        Some(ActionsVerb::Stop(args)) => {
            let ttl_seconds = args.ttl.map(|ttl| ttl.as_secs_f64());
            let request = ActionsStop { ttl_seconds, reason: args.reason.clone() };
            let status = client.actions_stop(&request)?;
            printer.print(&status, |style| standing(&status, style))?;
            return Ok(Outcome::Done);
        }
        Some(ActionsVerb::Start(_)) => {
            let status = client.actions_start()?;
            printer.print(&status, |style| standing(&status, style))?;
            return Ok(Outcome::Done);
        }
    };
    let entries = client.actions(&ActionQuery { all: list.all, limit: list.limit })?;
    printer.print(&entries, |style| table(&entries, list.all, style))?;
    Ok(Outcome::Done)
}

/// What an action does, in a few words.
fn words(entry: &ActionEntry) -> String {
    let ttl = span(entry.ttl_seconds.max(0.0).round() as u64);
    let source = entry.source.as_deref().unwrap_or("nobody");
    let argument = entry.argument.as_deref().unwrap_or_default();
    match entry.kind.as_str() {
        "ban" => format!("ban {source} for {ttl}"),
        "quota" => format!("ban {source} for {ttl}: quota of {argument}"),
        "escalate" => format!("ban {source} for {ttl}: {argument} of its sources are"),
        kind => format!("{kind} {argument} for {ttl}"),
    }
}

fn told(entry: &ActionEntry) -> String {
    format!("{} {}: {}\n", entry.id, clean(&entry.state), clean(&words(entry)))
}

fn standing(status: &ActionsStatus, style: Style) -> String {
    match &status.stopped {
        None => format!("automatic actions are taken, mode {}\n", clean(&status.mode)),
        Some(stop) => {
            let until = stop.until.map_or_else(
                || "until `weir actions start`".to_owned(),
                |until| format!("for {}", span(until.saturating_sub(now()))),
            );
            let stopped = style.paint(Tone::Bad, "stopped");
            format!("automatic actions are {stopped} {until}; what was done stands\n")
        }
    }
}

fn table(entries: &[ActionEntry], all: bool, style: Style) -> String {
    let mut table = Table::new([
        ("ID", Align::Right),
        ("STATE", Align::Left),
        ("SINCE", Align::Left),
        ("API", Align::Left),
        ("ACTION", Align::Left),
        ("FINDING", Align::Left),
        ("WHY", Align::Cut),
    ]);
    for entry in entries {
        let tone = match entry.state.as_str() {
            "held" => Tone::Warn,
            "done" => Tone::Strong,
            "failed" => Tone::Bad,
            _ => Tone::Quiet,
        };
        let why = match &entry.refusal {
            Some(refusal) => format!("{refusal}; {}", entry.why),
            None => entry.why.clone(),
        };
        table.row([
            entry.id.to_string().into(),
            cell(&entry.state, tone),
            ago(Some(entry.time), now()).into(),
            (&entry.api).into(),
            words(entry).into(),
            entry.finding.as_deref().unwrap_or("–").into(),
            why.into(),
        ]);
    }
    match (table.is_empty(), all) {
        (true, true) => "no automatic actions were taken or considered\n".to_owned(),
        (true, false) => "nothing waits to be approved (--all shows the rest)\n".to_owned(),
        _ => table.render(style),
    }
}
