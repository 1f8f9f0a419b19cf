//! `weir status`: what is read at three in the morning. The verdict on the whole comes first, then
//! what needs attention, then the numbers.

pub(super) mod text;

use clap::Args;

use super::Common;
use super::outcome::{Outcome, Verdict};

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  weir status\n  watch -c weir status\n  \
    weir status --json | jq '.apis[] | {name, packets}'")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn status(args: &StatusArgs) -> Verdict {
    let status = args.common.target.client()?.status()?;
    args.common.output.printer().print(&status, |style| text::text(&status, style))?;
    Ok(Outcome::Done)
}
