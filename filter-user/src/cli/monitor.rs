//! `weir monitor`: an API's drops become passes that are counted, or drops again.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::breach::describe;
use super::outcome::{Outcome, Verdict};
use super::{Common, value};
use crate::control::api::{Mode, Order, OrderSet};

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "What an operator orders (bans, breach verbs) is enforced in monitor mode too.\n\n\
    Examples:\n  \
    weir monitor on orders --ttl 1h    let everything pass for an hour and count would-drops\n  \
    weir monitor off orders            enforce, whatever the policy says"
)]
pub(super) struct MonitorArgs {
    #[command(subcommand)]
    verb: MonitorVerb,
}

#[derive(Subcommand, Clone, Debug)]
enum MonitorVerb {
    /// Only count what would be dropped
    On(ModeArgs),
    /// Enforce
    Off(ModeArgs),
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  weir monitor on orders --ttl 1h --reason \"new limits\"\n  weir monitor off orders"
)]
struct ModeArgs {
    /// The API
    #[arg(value_name = "API")]
    api: String,
    /// Then the policy's mode is back: 30s, 10m, 1h, 2d [default: until the other is ordered]
    #[arg(long, value_name = "TIME", value_parser = value::ttl)]
    ttl: Option<Duration>,
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Do it even when it would lock you out
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

impl MonitorArgs {
    fn parts(&self) -> (Mode, &ModeArgs) {
        match &self.verb {
            MonitorVerb::On(args) => (Mode::Monitor, args),
            MonitorVerb::Off(args) => (Mode::Enforce, args),
        }
    }

    pub(super) fn json(&self) -> bool {
        self.parts().1.common.output.json
    }
}

pub(super) fn monitor(args: &MonitorArgs) -> Verdict {
    let (mode, args) = args.parts();
    let request = OrderSet {
        api: args.api.clone(),
        order: Order::Mode { mode },
        ttl_seconds: args.ttl.map(|ttl| ttl.as_secs_f64()),
        reason: args.reason.clone(),
        force: args.force,
    };
    let orders = args.common.target.client()?.order_set(&request)?;
    args.common.output.printer().print(&orders, |style| describe(&orders, style))?;
    Ok(Outcome::Done)
}
