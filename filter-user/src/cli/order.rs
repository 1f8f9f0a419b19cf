//! What every verb that orders something about an API takes.

use std::time::Duration;

use clap::Args;

use super::breach::describe;
use super::outcome::{Outcome, Verdict};
use super::{Common, value};
use crate::control::api::{Order, OrderSet};

#[derive(Args, Clone, Debug)]
pub(super) struct OrderArgs {
    /// The API
    #[arg(value_name = "API")]
    api: String,
    /// It ends by itself: 30s, 10m, 1h, 2d [default: when another order ends it]
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

impl OrderArgs {
    /// Puts the order in force, and prints what is in force then.
    pub(super) fn give(&self, order: Order) -> Verdict {
        let request = OrderSet {
            api: self.api.clone(),
            order,
            ttl_seconds: self.ttl.map(|ttl| ttl.as_secs_f64()),
            reason: self.reason.clone(),
            force: self.force,
        };
        let orders = self.common.target.client()?.order_set(&request)?;
        self.common.output.printer().print(&orders, |style| describe(&orders, style))?;
        Ok(Outcome::Done)
    }
}
