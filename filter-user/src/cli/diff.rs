//! `weir diff`: what a policy would change.

use std::path::PathBuf;

use clap::Args;

use super::apply::absolute;
use super::human::count;
use super::outcome::{Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::waiting::waiting;
use super::{Common, size};
use crate::control::api::{Access, DiffRequest, Difference, Differences, Sources};

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Compares with what is in force, by meaning: APIs that come and go, sources that gain or lose\n\
    an API, changed settings. Exit code 1 when there is a difference.\n\n\
    Examples:\n  weir diff policy.toml\n  weir diff policy.toml --json | jq '.access[] | {api, lost: .lost.prefixes}'"
)]
pub(super) struct DiffArgs {
    /// The policy
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn diff(args: &DiffArgs) -> Verdict {
    let request = DiffRequest { path: absolute(&args.file)? };
    let client = args.common.target.client()?;
    let found = waiting("the daemon compares the policies", || client.diff(&request))?;
    args.common.output.printer().print(&found, |style| text(&found, style))?;
    Ok(if found.same { Outcome::Done } else { Outcome::No })
}

pub(super) fn text(found: &Differences, style: Style) -> String {
    if found.same {
        let same_text = found.in_force.as_ref() == Some(&found.hash);
        let words = if same_text { "no difference" } else { "written otherwise, means the same" };
        let size = if same_text { String::new() } else { size::text(&found.size, style) };
        return format!("{words}\n{size}");
    }
    changes(&found.difference, style) + &size::text(&found.size, style)
}

/// A line for each difference.
pub(super) fn changes(difference: &Difference, style: Style) -> String {
    let mut text = String::new();
    for api in &difference.added {
        text.push_str(&format!("{} API {}\n", style.paint(Tone::Good, "+"), clean(api)));
    }
    for api in &difference.removed {
        text.push_str(&format!("{} API {}\n", style.paint(Tone::Bad, "-"), clean(api)));
    }
    for access in &difference.access {
        both(&mut text, &clean(&access.api), ["gains", "loses"], access, style);
    }
    if let Some(access) = &difference.trusted {
        both(&mut text, "trusted", ["gains", "loses"], access, style);
    }
    for setting in &difference.settings {
        let whose =
            setting.api.as_deref().map_or_else(String::new, |api| format!("{}: ", clean(api)));
        let show =
            |value: &Option<String>| value.as_deref().map_or_else(|| "unset".to_owned(), clean);
        text.push_str(&format!(
            "{} {whose}{}: {} → {}\n",
            style.paint(Tone::Warn, "~"),
            clean(&setting.key),
            show(&setting.before),
            show(&setting.after)
        ));
    }
    text
}

fn both(text: &mut String, name: &str, verbs: [&str; 2], access: &Access, style: Style) {
    let sides = [("+", Tone::Good, &access.gained), ("-", Tone::Bad, &access.lost)];
    for ((sign, tone, sources), verb) in sides.into_iter().zip(verbs) {
        if sources.prefixes > 0 {
            let sign = style.paint(tone, sign);
            text.push_str(&format!("{sign} {name} {verb} {}\n", sentence(sources)));
        }
    }
}

fn sentence(sources: &Sources) -> String {
    let es = if sources.prefixes == 1 { "" } else { "es" };
    let more = if sources.prefixes > sources.first.len() as u64 { ", …" } else { "" };
    format!("{} prefix{es}: {}{more}", count(sources.prefixes), clean(&sources.first.join(", ")))
}
