//! `weir apis`: which APIs and endpoints really exist, and how they differ from what is documented.

mod text;

use clap::{Args, Subcommand};

use super::Common;
use super::outcome::{Outcome, Verdict, write_out};
use crate::control::api::{ApiQuery, RareQuery};

pub(super) use text::{ago, detail, drift, list, now, rare};

#[derive(Args, Clone, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Counts are of requests seen since the inventory was begun, over restarts; sampled ones count for\n\
    those they stand for. A port that answers and that no API declares is listed as tcp/9000.\n\n\
    Examples:\n  weir apis\n  weir apis show orders\n  weir apis drift orders || echo 'the document is wrong'\n  \
    weir apis openapi orders > orders.json\n  weir apis --json | jq '.[] | select(.declared | not).name'"
)]
pub(super) struct ApisArgs {
    #[command(subcommand)]
    verb: Option<ApisVerb>,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand, Clone, Debug)]
enum ApisVerb {
    /// Show an API with its endpoints and its latest requests
    Show(NameArgs),
    /// Print a beginning of an OpenAPI 3.1 document out of what was seen
    Openapi(NameArgs),
    /// Compare an API's OpenAPI document with what was seen; exit code 1 when they differ
    Drift(NameArgs),
    /// List the endpoints that are used least
    Rare(RareArgs),
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  weir apis show orders\n  weir apis show tcp/9000\n  weir apis drift orders --json\n  weir apis openapi orders > orders.json"
)]
struct NameArgs {
    /// The API, or a port that nobody declared, as tcp/9000
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Of endpoints used equally often those come first that were not used for longest.\n\n\
    Example:\n  weir apis rare --api orders --limit 5"
)]
struct RareArgs {
    /// At most so many
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    limit: usize,
    /// Of this API only
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl ApisArgs {
    fn common(&self) -> &Common {
        match &self.verb {
            None => &self.common,
            Some(
                ApisVerb::Show(NameArgs { common, .. })
                | ApisVerb::Openapi(NameArgs { common, .. })
                | ApisVerb::Drift(NameArgs { common, .. })
                | ApisVerb::Rare(RareArgs { common, .. }),
            ) => common,
        }
    }

    pub(super) fn json(&self) -> bool {
        self.common().output.json
    }
}

pub(super) fn apis(args: &ApisArgs) -> Verdict {
    let client = args.common().target.client()?;
    let printer = args.common().output.printer();
    let query = |args: &NameArgs| ApiQuery { name: args.name.clone() };
    match &args.verb {
        None => {
            let apis = client.apis()?;
            printer.print(&apis, |style| list(&apis, style))?;
        }
        Some(ApisVerb::Show(args)) => {
            let shown = client.api(&query(args))?;
            printer.print(&shown, |style| detail(&shown, style))?;
        }
        Some(ApisVerb::Openapi(args)) => {
            // It is JSON either way.
            let document = client.api_openapi(&query(args))?;
            write_out(&format!("{document:#}\n"))?;
        }
        Some(ApisVerb::Drift(args)) => {
            let found = client.api_drift(&query(args))?;
            printer.print(&found, |style| drift(&found, style))?;
            return Ok(if found.differs() { Outcome::No } else { Outcome::Done });
        }
        Some(ApisVerb::Rare(args)) => {
            let query = RareQuery { limit: args.limit, api: args.api.clone() };
            let endpoints = client.api_rare(&query)?;
            printer.print(&endpoints, |style| rare(&endpoints, style))?;
        }
    }
    Ok(Outcome::Done)
}
