//! `weir history`: what was in force.

use clap::Args;
use time::OffsetDateTime;
use time::macros::format_description;

use super::Common;
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone};
use super::table::{Align, Table, cell};
use crate::control::api::HistoryEntry;
use crate::store::{State, Who};

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "The last 50 generations, the latest first; * is in force. `weir rollback NUMBER` goes back.\n\n\
    Examples:\n  weir history\n  weir history --json | jq '.[] | select(.in_force).hash'"
)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn history(args: &HistoryArgs) -> Verdict {
    let history = args.common.target.client()?.history()?;
    args.common.output.printer().print(&history, |style| list(&history, style))?;
    Ok(Outcome::Done)
}

pub(super) fn list(history: &[HistoryEntry], style: Style) -> String {
    let mut table = Table::new([
        ("", Align::Left),
        ("NUMBER", Align::Right),
        ("APPLIED", Align::Left),
        ("STATE", Align::Left),
        ("POLICY", Align::Left),
        ("HASH", Align::Left),
        ("BY", Align::Left),
        ("FILE", Align::Cut),
    ]);
    for entry in history {
        let by = match entry.why.as_deref() {
            Some("feed") => "a feed that changed".to_owned(),
            _ => by(&entry.who),
        };
        let (state, tone) = match (entry.state, entry.restores) {
            (State::Pending, _) => ("unconfirmed".to_owned(), Tone::Warn),
            (State::RolledBack, _) => ("rolled back".to_owned(), Tone::Quiet),
            (State::Confirmed, Some(number)) => (format!("back to {number}"), Tone::Plain),
            (State::Confirmed, None) => ("confirmed".to_owned(), Tone::Plain),
        };
        let mark = if entry.in_force { cell("*", Tone::Good) } else { "".into() };
        table.row([
            mark,
            entry.number.to_string().into(),
            time(entry.applied_at).into(),
            cell(state, tone),
            (&entry.name).into(),
            entry.hash.chars().take(12).collect::<String>().into(),
            by.into(),
            entry.path.display().to_string().into(),
        ]);
    }
    if table.is_empty() {
        return "nothing was in force yet\n".to_owned();
    }
    table.render(style)
}

/// Seconds since 1970 in UTC.
fn time(seconds: u64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(format).ok())
        .unwrap_or_else(|| "-".to_owned())
}

/// A user, and from where.
pub(super) fn by(who: &Who) -> String {
    let user = match who.login_uid {
        Some(login) if login != who.uid => format!("uid {} (login {login})", who.uid),
        _ => format!("uid {}", who.uid),
    };
    match &who.ssh {
        Some(peer) => format!("{user} from {peer}"),
        None => user,
    }
}
