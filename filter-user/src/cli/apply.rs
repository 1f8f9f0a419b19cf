//! `weir apply`: puts a policy in force.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::diff::changes;
use super::human::plural;
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::waiting::waiting;
use super::{Common, size, value};
use crate::control::api::{Applied, ApplyRequest};

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "The daemon reads the file. An invalid policy changes nothing: exit code 1; nor does one that\n\
    would cut the SSH connection you work over, or trusts nobody where that comes in.\n\n\
    Examples:\n  weir apply policy.toml\n  weir check policy.toml && weir apply policy.toml\n  \
    weir apply policy.toml --confirm 60s"
)]
pub(super) struct ApplyArgs {
    /// The policy
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Roll back by itself unless `weir confirm` comes within this time: 60s, 5m
    #[arg(long, value_name = "TIME", value_parser = value::ttl)]
    confirm: Option<Duration>,
    /// Put it in force even when that would lock you out
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn apply(args: &ApplyArgs) -> Verdict {
    let request = ApplyRequest {
        path: absolute(&args.file)?,
        confirm_seconds: args.confirm.map(|wait| wait.as_secs_f64()),
        force: args.force,
    };
    let client = args.common.target.client()?;
    let applied = waiting("the daemon applies the policy", || client.apply(&request))?;
    args.common.output.printer().print(&applied, |style| text(&applied, style))?;
    Ok(Outcome::Done)
}

/// The daemon has another working directory.
pub(super) fn absolute(file: &Path) -> anyhow::Result<PathBuf> {
    let path =
        std::path::absolute(file).with_context(|| format!("cannot find {}", file.display()))?;
    std::fs::metadata(&path).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(path)
}

pub(super) fn text(applied: &Applied, style: Style) -> String {
    let mut text = String::new();
    for warning in &applied.warnings {
        text.push_str(&format!("{warning}\n"));
    }
    let verb = match &applied.previous_hash {
        Some(hash) if *hash == applied.hash => "applied again",
        _ => "applied",
    };
    let interfaces = match applied.interfaces.as_slice() {
        [] => "no interface".to_owned(),
        names => names.join(", "),
    };
    text.push_str(&format!(
        "{} `{}` as generation {}: {} on {} in {:.0} ms\n  hash {}\n",
        style.paint(Tone::Good, verb),
        clean(&applied.name),
        applied.generation,
        plural(applied.apis as u64, "API"),
        clean(&interfaces),
        applied.seconds * 1_000.0,
        clean(&applied.hash),
    ));
    for name in &applied.not_gated {
        let mark = style.paint(Tone::Warn, "!");
        let name = clean(name);
        text.push_str(&format!("{mark} {name} is not there: it gets this policy when it comes\n"));
    }
    if let Some(size) = &applied.size {
        text.push_str(&size::text(size, style));
    }
    if let Some(difference) = &applied.difference {
        text.push_str(&changes(difference, style));
    }
    if let Some(seconds) = applied.confirm_seconds {
        let unconfirmed = style.paint(Tone::Warn, "unconfirmed");
        text.push_str(&format!(
            "{unconfirmed}: rolls back in {seconds} s unless you `weir confirm`\n"
        ));
    }
    text
}
