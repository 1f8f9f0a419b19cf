//! `weir breach`: what one does while it burns, and what one tries before.

mod drill;
mod run;

use clap::{Args, Subcommand};

use super::human::remaining;
use super::order::OrderArgs;
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::table::{Align, Table, cell};
use super::{Common, value};
use crate::control::api::{ApiOrders, Mode, Order, OrderInForce, OrderKind, OrderLift};

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "At once, in the kernel; kept through apply and restart. Trusted sources always pass.\n\n\
    Examples:\n  \
    weir breach shutdown orders --reason \"ticket 4711\"     nobody reaches it\n  \
    weir breach lockdown orders --group partners --ttl 2h  only partners do\n  \
    weir breach limit orders 20/s --ttl 1h                 each source sends so much at most\n  \
    weir breach run leak                                   what the playbook says\n  \
    weir breach drill leak                                 the same without the last step\n  \
    weir breach status\n  \
    weir breach lift orders"
)]
pub(super) struct BreachArgs {
    #[command(subcommand)]
    verb: BreachVerb,
}

#[derive(Subcommand, Clone, Debug)]
enum BreachVerb {
    /// Nothing reaches the API
    Shutdown(ShutdownArgs),
    /// Only one group reaches the API, or nobody but trusted sources
    Lockdown(LockdownArgs),
    /// Each source is held to a rate of packets, beside the policy's limits
    Limit(LimitArgs),
    /// End a shutdown, a lockdown and an ordered limit
    Lift(LiftArgs),
    /// Do what weir does of a playbook of the policy, at once
    Run(run::RunArgs),
    /// Rehearse a playbook, or the shutdown of an API: everything but the last step
    Drill(drill::DrillArgs),
    /// Show the playbooks of the policy, and when each was drilled
    Playbooks(run::PlaybooksArgs),
    /// Show the orders in force, by whom and why, and the playbooks
    Status(StatusArgs),
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  weir breach shutdown orders --ttl 30m --reason \"ticket 4711\""
)]
struct ShutdownArgs {
    #[command(flatten)]
    order: OrderArgs,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir breach lockdown orders --group partners --ttl 2h")]
struct LockdownArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// The group of the policy that still passes [default: none, only trusted sources]
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Enforced in monitor mode too. Proxies (`proxies` of the API) are not held to it.\n\n\
    Example:\n  weir breach limit orders 20/s --ttl 1h --reason \"ticket 4711\""
)]
struct LimitArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Packets of each source: 20/s, 90/min, 1000/h, 5000/day
    #[arg(value_name = "RATE", value_parser = value::packets)]
    rate: String,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir breach lift orders")]
struct LiftArgs {
    /// The API
    #[arg(value_name = "API")]
    api: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir breach status --json")]
struct StatusArgs {
    #[command(flatten)]
    common: Common,
}

impl BreachArgs {
    pub(super) fn json(&self) -> bool {
        match &self.verb {
            BreachVerb::Shutdown(args) => args.order.common.output.json,
            BreachVerb::Lockdown(args) => args.order.common.output.json,
            BreachVerb::Limit(args) => args.order.common.output.json,
            BreachVerb::Lift(args) => args.common.output.json,
            BreachVerb::Run(args) => args.common.output.json,
            BreachVerb::Drill(args) => args.common.output.json,
            BreachVerb::Playbooks(args) => args.common.output.json,
            BreachVerb::Status(args) => args.common.output.json,
        }
    }
}

pub(super) fn breach(args: &BreachArgs) -> Verdict {
    match &args.verb {
        BreachVerb::Shutdown(args) => args.order.give(Order::Shutdown),
        BreachVerb::Lockdown(args) => {
            args.order.give(Order::Lockdown { group: args.group.clone() })
        }
        BreachVerb::Limit(args) => args.order.give(Order::Limit { packets: args.rate.clone() }),
        BreachVerb::Lift(args) => {
            let kinds = vec![OrderKind::Shutdown, OrderKind::Lockdown, OrderKind::Limit];
            let request = OrderLift { api: args.api.clone(), kinds };
            let orders = args.common.target.client()?.order_lift(&request)?;
            args.common.output.printer().print(&orders, |style| describe(&orders, style))?;
            Ok(Outcome::Done)
        }
        BreachVerb::Run(args) => run::run(args),
        BreachVerb::Drill(args) => drill::drill(args),
        BreachVerb::Playbooks(args) => run::playbooks(args),
        BreachVerb::Status(args) => {
            let client = args.common.target.client()?;
            let orders = client.orders()?;
            let books = if args.common.output.json { Vec::new() } else { client.playbooks()? };
            args.common.output.printer().print(&orders, |style| {
                let mut text = list(&orders, style);
                if !books.is_empty() {
                    text.push('\n');
                    text.push_str(&run::table(&books, style));
                }
                text
            })?;
            Ok(Outcome::Done)
        }
    }
}

/// What an order says, and how alarming that is.
pub(super) fn words(order: &Order) -> (String, Tone) {
    match order {
        Order::Shutdown => ("shut down".to_owned(), Tone::Bad),
        Order::Lockdown { group: Some(group) } => {
            (format!("locked down to {}", clean(group)), Tone::Bad)
        }
        Order::Lockdown { group: None } => ("locked down to trusted sources".to_owned(), Tone::Bad),
        Order::Mode { mode } => (format!("mode {}", mode_name(*mode)), Tone::Warn),
        Order::Limit { packets } => {
            (format!("each source limited to {} packets", clean(packets)), Tone::Warn)
        }
    }
}

/// The mode's name in a policy.
pub(super) const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Monitor => "monitor",
    }
}

/// Who gave an order, as far as it is known.
fn by(order: &OrderInForce, detector: &str, operator: &str) -> String {
    let who = match &order.by {
        _ if order.automatic => detector.to_owned(),
        None => operator.to_owned(),
        Some(who) => format!("{operator} ({})", super::history::by(who)),
    };
    match &order.playbook {
        Some(book) => format!("{who}, playbook {}", clean(book)),
        None => who,
    }
}

/// An order in a sentence: `shut down by an operator, 10m left: ticket 4711`.
pub(super) fn sentence(order: &OrderInForce, style: Style) -> String {
    let (words, tone) = words(&order.order);
    let by = by(order, "a detector", "an operator");
    let ends = remaining(order.remaining_seconds, "until lifted");
    let mut text = format!("{} by {by}, {ends}", style.paint(tone, words));
    if !order.reason.is_empty() {
        text.push_str(&format!(": {}", clean(&order.reason)));
    }
    text
}

/// An API after its orders changed.
pub(super) fn describe(api: &ApiOrders, style: Style) -> String {
    let mode = mode_name(api.mode);
    let mut text = format!("{}: mode {mode}", style.paint(Tone::Strong, clean(&api.api)));
    if api.orders.is_empty() {
        text.push_str(", nothing ordered: the policy decides\n");
        return text;
    }
    text.push('\n');
    for order in &api.orders {
        text.push_str(&format!("  {}\n", sentence(order, style)));
    }
    text
}

pub(super) fn list(apis: &[ApiOrders], style: Style) -> String {
    let mut table = Table::new([
        ("API", Align::Left),
        ("ORDER", Align::Left),
        ("ENDS", Align::Left),
        ("BY", Align::Left),
        ("REASON", Align::Cut),
    ]);
    for api in apis {
        for order in &api.orders {
            let (words, tone) = words(&order.order);
            table.row([
                (&api.api).into(),
                cell(words, tone),
                remaining(order.remaining_seconds, "when lifted").into(),
                by(order, "detector", "operator").into(),
                (&order.reason).into(),
            ]);
        }
    }
    if table.is_empty() {
        return "nothing is ordered: the policy decides everywhere\n".to_owned();
    }
    table.render(style)
}
