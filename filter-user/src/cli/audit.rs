//! `weir audit`: who changed what, and whether the log of it is whole.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::Common;
use super::history::by;
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::table::{Align, Table};
use crate::control::api::{AuditEntry, AuditQuery, AuditVerified};
use crate::export::audit;

#[derive(Args, Clone, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "The log is audit.jsonl in the state directory; each line carries the hash of the one before.\n\n\
    Examples:\n  weir audit --limit 20\n  weir audit --json | jq '.[] | select(.what == \"apply\")'\n  \
    weir audit verify"
)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    verb: Option<AuditVerb>,
    /// The latest so many lines
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand, Clone, Debug)]
enum AuditVerb {
    /// Find a line that was changed, moved or taken out
    Verify(VerifyArgs),
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Exit code 1 when a line is not right; which one is said.\n\n\
    Examples:\n  weir audit verify\n  weir audit verify /var/lib/weir/audit.jsonl    without a daemon")]
struct VerifyArgs {
    /// A log to check [default: the daemon checks its own]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

impl AuditArgs {
    pub(super) fn json(&self) -> bool {
        match &self.verb {
            Some(AuditVerb::Verify(args)) => args.common.output.json,
            None => self.common.output.json,
        }
    }
}

pub(super) fn audit(args: &AuditArgs) -> Verdict {
    if let Some(AuditVerb::Verify(args)) = &args.verb {
        return verify(args);
    }
    let entries = args.common.target.client()?.audit(&AuditQuery { limit: args.limit })?;
    args.common.output.printer().print(&entries, |style| list(&entries, style))?;
    Ok(Outcome::Done)
}

fn verify(args: &VerifyArgs) -> Verdict {
    let verified = match &args.file {
        Some(file) => {
            audit::verify(file).with_context(|| format!("cannot read {}", file.display()))?
        }
        None => args.common.target.client()?.audit_verify()?,
    };
    args.common.output.printer().print(&verified, |style| verdict(&verified, style))?;
    Ok(if verified.intact { Outcome::Done } else { Outcome::No })
}

pub(super) fn list(entries: &[AuditEntry], style: Style) -> String {
    let mut table = Table::new([
        ("NUMBER", Align::Right),
        ("TIME", Align::Left),
        ("WHAT", Align::Left),
        ("BY", Align::Left),
        ("ABOUT", Align::Cut),
    ]);
    for entry in entries {
        let mut about: Vec<String> =
            entry.about.iter().map(|(name, value)| format!("{name} {value}")).collect();
        if entry.before != entry.after {
            let short = |hash: &Option<String>| {
                hash.as_ref().map_or_else(|| "-".to_owned(), |hash| hash.chars().take(12).collect())
            };
            about.push(format!("{} → {}", short(&entry.before), short(&entry.after)));
        }
        if entry.lost > 0 {
            about.push(format!("({} lines before it were lost)", entry.lost));
        }
        table.row([
            entry.number.to_string().into(),
            (&entry.time).into(),
            (&entry.what).into(),
            by(&entry.who).into(),
            about.join(", ").into(),
        ]);
    }
    if table.is_empty() {
        return "no lines\n".to_owned();
    }
    table.render(style)
}

pub(super) fn verdict(verified: &AuditVerified, style: Style) -> String {
    match verified.line {
        None => format!("{}: {} lines\n", style.paint(Tone::Good, "intact"), verified.lines),
        Some(line) => {
            let broken = style.paint(Tone::Bad, "broken");
            let file = clean(&verified.file);
            format!("{broken} at line {line} ({file}): {}\n", clean(&verified.problem))
        }
    }
}
