//! `weir breach run`, `weir breach playbooks`.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::Args;

use super::super::apis::{ago, now};
use super::super::outcome::{Failure, Outcome, Verdict};
use super::super::style::{Style, Tone, clean};
use super::super::table::{Align, Table, cell};
use super::super::{Common, value};
use crate::control::api::{BreachRan, BreachRun, PlaybookEntry};
use crate::text::quantity::show_duration;

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "What weir does of it is done at once, in the kernel: the orders of all its APIs, or, when a\n\
    guard refuses one of them, none. Then its manual steps are asked for, one after the other, on a terminal;\n\
    elsewhere they are listed.\n\n\
    Examples:\n  weir breach run leak --reason \"ticket 4711\"\n  weir breach run leak --ttl 2h --json"
)]
pub(super) struct RunArgs {
    /// The playbook of the policy
    #[arg(value_name = "PLAYBOOK")]
    playbook: String,
    /// Its orders end by themselves: 30s, 10m, 1h, 2d [default: as the playbook says]
    #[arg(long, value_name = "TIME", value_parser = value::ttl)]
    ttl: Option<Duration>,
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Do it even when it would lock you out
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir breach playbooks --json")]
pub(super) struct PlaybooksArgs {
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn run(args: &RunArgs) -> Verdict {
    let request = BreachRun {
        playbook: args.playbook.clone(),
        ttl_seconds: args.ttl.map(|ttl| ttl.as_secs_f64()),
        reason: args.reason.clone(),
        force: args.force,
    };
    let ran = args.common.target.client()?.breach_run(&request)?;
    let json = args.common.output.json;
    args.common.output.printer().print(&ran, |style| describe(&ran, style))?;
    if !json {
        ask(&ran.manual)?;
    }
    Ok(Outcome::Done)
}

pub(super) fn playbooks(args: &PlaybooksArgs) -> Verdict {
    let list = args.common.target.client()?.playbooks()?;
    args.common.output.printer().print(&list, |style| table(&list, style))?;
    Ok(Outcome::Done)
}

fn lasts(ttl: Option<f64>) -> String {
    ttl.and_then(|ttl| Duration::try_from_secs_f64(ttl).ok())
        .map_or_else(|| "until lifted".to_owned(), |ttl| format!("for {}", show_duration(ttl)))
}

fn describe(ran: &BreachRan, style: Style) -> String {
    let mut text = format!("{}: done\n", style.paint(Tone::Strong, clean(&ran.playbook)));
    for step in &ran.done {
        let what = style.paint(Tone::Bad, clean(&step.step));
        text.push_str(&format!("  {}: {what} {}\n", clean(&step.api), lasts(step.ttl_seconds)));
    }
    text.push_str(&format!("in force after {:.1} ms\n", ran.seconds * 1e3));
    for contact in &ran.contacts {
        text.push_str(&format!("contact: {}\n", clean(contact)));
    }
    if !ran.manual.is_empty() && !is_interactive() {
        text.push_str("left for you:\n");
        for step in &ran.manual {
            text.push_str(&format!("  {}\n", clean(step)));
        }
    }
    text
}

/// The playbooks, for people.
pub(super) fn table(list: &[PlaybookEntry], style: Style) -> String {
    let mut table = Table::new([
        ("PLAYBOOK", Align::Left),
        ("APIS", Align::Left),
        ("STEPS", Align::Cut),
        ("LASTS", Align::Left),
        ("LAST DRILL", Align::Left),
    ]);
    for book in list {
        let steps: Vec<String> = book
            .steps
            .iter()
            .map(|step| match step.kind.as_str() {
                "manual" => format!("\"{}\"", step.text),
                _ => step.text.clone(),
            })
            .collect();
        let drill = match (book.drilled, book.drill_passed) {
            (None, _) => cell("never", Tone::Warn),
            (at, Some(false)) => cell(format!("{} FAILED", ago(at, now())), Tone::Bad),
            (at, _) => cell(ago(at, now()), Tone::Plain),
        };
        table.row([
            (&book.name).into(),
            book.apis.join(", ").into(),
            steps.join(", ").into(),
            lasts(book.ttl_seconds).into(),
            drill,
        ]);
    }
    if table.is_empty() {
        return "the policy has no playbooks\n".to_owned();
    }
    table.render(style)
}

/// Whether somebody is there to ask.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks for manual steps, one after the other; how long each took, or that it was skipped. Where nobody
/// is there, all are.
pub(super) fn ask(steps: &[String]) -> Result<Vec<Option<Duration>>, Failure> {
    if !is_interactive() {
        return Ok(vec![None; steps.len()]);
    }
    let broken = |error| Failure::Local(anyhow::Error::new(error).context("cannot ask"));
    let mut taken = Vec::with_capacity(steps.len());
    for (place, step) in steps.iter().enumerate() {
        let question = format!("{}. {} [Enter: done, s: skipped] ", place + 1, clean(step));
        let start = Instant::now();
        let mut stdout = io::stdout().lock();
        stdout.write_all(question.as_bytes()).and_then(|()| stdout.flush()).map_err(broken)?;
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).map_err(broken)?;
        let skipped = read == 0 || line.trim().eq_ignore_ascii_case("s");
        taken.push((!skipped).then(|| start.elapsed()));
    }
    Ok(taken)
}
