//! `weir confirm`: a policy that waits stays.

use clap::Args;

use super::Common;
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone, clean};
use crate::control::api::Confirmed;

#[derive(Args, Clone, Debug)]
#[command(after_help = "Exit code 1 when nothing waits, or it was too late.\n\n\
    Example:\n  weir apply policy.toml --confirm 60s\n  weir confirm")]
pub(super) struct ConfirmArgs {
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn confirm(args: &ConfirmArgs) -> Verdict {
    let confirmed = args.common.target.client()?.confirm()?;
    args.common.output.printer().print(&confirmed, |style| text(&confirmed, style))?;
    Ok(Outcome::Done)
}

pub(super) fn text(confirmed: &Confirmed, style: Style) -> String {
    let done = style.paint(Tone::Good, "confirmed");
    let number = confirmed.number.map_or_else(String::new, |number| format!(", history {number}"));
    format!("{done} `{}`, generation {}{number}\n", clean(&confirmed.name), confirmed.generation)
}
