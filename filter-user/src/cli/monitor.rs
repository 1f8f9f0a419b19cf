//! `weir monitor`: an API's drops become passes that are counted, or drops again.

use clap::{Args, Subcommand};

use super::order::OrderArgs;
use super::outcome::Verdict;
use crate::control::api::{Mode, Order};

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
    #[command(flatten)]
    order: OrderArgs,
}

impl MonitorArgs {
    fn parts(&self) -> (Mode, &ModeArgs) {
        match &self.verb {
            MonitorVerb::On(args) => (Mode::Monitor, args),
            MonitorVerb::Off(args) => (Mode::Enforce, args),
        }
    }

    pub(super) fn json(&self) -> bool {
        self.parts().1.order.common.output.json
    }
}

pub(super) fn monitor(args: &MonitorArgs) -> Verdict {
    let (mode, args) = args.parts();
    args.order.give(Order::Mode { mode })
}
