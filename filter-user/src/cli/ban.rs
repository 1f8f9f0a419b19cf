//! `weir ban`: sources that get nothing, for a while.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::human::{count, plural, remaining};
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::table::{Align, Table, cell};
use super::{Common, value};
use crate::control::api::{Ban, BanAdd, BanRemove};

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "A ban covers the whole host unless --api narrows it, is enforced in monitor mode too, \
    and never touches\ntrusted sources. It ends in the kernel, with or without the daemon.\n\n\
    Examples:\n  \
    weir ban add 192.0.2.7 --ttl 30s\n  \
    weir ban add 2001:db8:bad::/48 --ttl 1h --api orders --reason \"ticket 4711\"\n  \
    weir ban list\n  \
    weir ban del 192.0.2.7"
)]
pub(super) struct BanArgs {
    #[command(subcommand)]
    verb: BanVerb,
}

#[derive(Subcommand, Clone, Debug)]
enum BanVerb {
    /// Ban an address or a network, or change when its ban ends
    Add(AddArgs),
    /// End a ban
    #[command(visible_alias = "remove")]
    Del(DelArgs),
    /// List the bans in force
    List(ListArgs),
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  weir ban add 192.0.2.7 --ttl 30s\n  \
    weir ban add 198.51.100.0/24 --ttl 1d --api orders --reason \"credential stuffing\"")]
struct AddArgs {
    /// An address, or a network without host bits
    #[arg(value_name = "ADDRESS|CIDR")]
    prefix: String,
    /// When it ends by itself: 30s, 10m, 1h, 2d
    #[arg(long, value_name = "TIME", value_parser = value::ttl, required_unless_present = "forever")]
    ttl: Option<Duration>,
    /// It ends only when it is deleted
    #[arg(long, conflicts_with = "ttl")]
    forever: bool,
    /// Only at this API [default: the whole host]
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Ban even your own address
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  weir ban del 192.0.2.7\n  weir ban del 198.51.100.0/24 --api orders"
)]
struct DelArgs {
    /// The address or network as it was banned
    #[arg(value_name = "ADDRESS|CIDR")]
    prefix: String,
    /// The API the ban is narrowed to
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  weir ban list --json | jq -r '.[].prefix'")]
struct ListArgs {
    #[command(flatten)]
    common: Common,
}

impl BanArgs {
    pub(super) fn json(&self) -> bool {
        match &self.verb {
            BanVerb::Add(args) => args.common.output.json,
            BanVerb::Del(args) => args.common.output.json,
            BanVerb::List(args) => args.common.output.json,
        }
    }
}

pub(super) fn ban(args: &BanArgs) -> Verdict {
    match &args.verb {
        BanVerb::Add(args) => {
            let request = BanAdd {
                prefix: args.prefix.clone(),
                ttl_seconds: args.ttl.map(|ttl| ttl.as_secs_f64()),
                api: args.api.clone(),
                reason: args.reason.clone(),
                force: args.force,
            };
            let ban = args.common.target.client()?.ban_add(&request)?;
            args.common.output.printer().print(&ban, |_| one("banned", &ban))?;
        }
        BanVerb::Del(args) => {
            let request = BanRemove { prefix: args.prefix.clone(), api: args.api.clone() };
            let ban = args.common.target.client()?.ban_remove(&request)?;
            args.common.output.printer().print(&ban, |_| one("no longer banned:", &ban))?;
        }
        BanVerb::List(args) => {
            let mut bans = args.common.target.client()?.bans()?;
            sort(&mut bans);
            args.common.output.printer().print(&bans, |style| list(&bans, style))?;
        }
    }
    Ok(Outcome::Done)
}

/// Those that end first come first.
pub(super) fn sort(bans: &mut [Ban]) {
    bans.sort_by(|a, b| {
        let key = |ban: &Ban| (ban.remaining_seconds.unwrap_or(u64::MAX), ban.since);
        key(a).cmp(&key(b)).then_with(|| a.prefix.cmp(&b.prefix))
    });
}

fn one(done: &str, ban: &Ban) -> String {
    let at = match &ban.api {
        Some(api) => format!("at API `{}`", clean(api)),
        None => "on the whole host".to_owned(),
    };
    let ends = remaining(ban.remaining_seconds, "until deleted");
    let hits = plural(ban.hits, "packet");
    format!("{done} {} {at}, {ends}, {hits} so far\n", clean(&ban.prefix))
}

/// Who made it.
const fn by(ban: &Ban) -> &'static str {
    match ban {
        Ban { sources: Some(_), .. } => "escalation",
        Ban { automatic: true, .. } => "detector",
        _ => "operator",
    }
}

pub(super) fn list(bans: &[Ban], style: Style) -> String {
    if bans.is_empty() {
        return "no bans\n".to_owned();
    }
    let mut table = Table::new([
        ("PREFIX", Align::Left),
        ("API", Align::Left),
        ("ENDS", Align::Left),
        ("PACKETS", Align::Right),
        ("BY", Align::Left),
        ("REASON", Align::Cut),
    ]);
    for ban in bans {
        let quiet = |text: &Option<String>| match text {
            Some(text) => cell(text, Tone::Plain),
            None => cell("whole host", Tone::Quiet),
        };
        table.row([
            (&ban.prefix).into(),
            quiet(&ban.api),
            remaining(ban.remaining_seconds, "never").into(),
            count(ban.hits).into(),
            by(ban).into(),
            (&ban.reason).into(),
        ]);
    }
    table.render(style)
}
