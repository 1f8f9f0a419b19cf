//! `weir rollback`: what was in force before is again.

use clap::Args;

use super::Common;
use super::apply::text;
use super::outcome::{Outcome, Verdict};
use super::waiting::waiting;
use crate::control::api::RollbackRequest;

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "The stored text and feeds are put in force, whatever their files say now. Without a number it\n\
    is the generation before; once more is one step further back. A policy that waits to be\n\
    confirmed is taken back at once.\n\n\
    Examples:\n  weir rollback\n  weir history\n  weir rollback 7"
)]
pub(super) struct RollbackArgs {
    /// Number in the history [default: what was in force before]
    #[arg(value_name = "NUMBER")]
    number: Option<u64>,
    /// Go back even when that would lock you out
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn rollback(args: &RollbackArgs) -> Verdict {
    let request = RollbackRequest { number: args.number, force: args.force };
    let client = args.common.target.client()?;
    let applied = waiting("the daemon applies the policy", || client.rollback(&request))?;
    args.common.output.printer().print(&applied, |style| text(&applied, style))?;
    Ok(Outcome::Done)
}
