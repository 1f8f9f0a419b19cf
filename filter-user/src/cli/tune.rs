//! `weir tune`: limits for each API, proposed from what its sources did.

mod edit;
mod propose;
#[cfg(test)]
mod tests;

use std::fs::{OpenOptions, remove_file, rename};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::Common;
use super::outcome::{Failure, Outcome, Verdict, write_out};
use super::style::clean;
use crate::control::api::{ApiError, ObservedQuery};
use crate::image::Ids;
use crate::policy::{compile, load, parse};
use edit::Wanted;
use propose::{Advice, advise};

/// As many APIs as a policy can have at all.
const MAX_APIS: u32 = 4096;

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "What 99.9 % of sources did in their busiest minute (requests) and second (packets), times the margin, \
    rounded up to two digits, out of the requests that the daemon has kept. Nothing is proposed where too little was seen. \
    A limit that is there changes only when it is too tight for what was seen, or ten times too wide. The diff goes to \
    standard output, the reasons to standard error; the file is changed with --write only, and then not yet in force. Exit \
    code 1 when nothing can be said of any API.\n\n\
    Examples:\n  weir tune\n  weir tune --api orders --margin 3\n  weir tune --write && weir diff policy.toml && weir apply policy.toml"
)]
pub(super) struct TuneArgs {
    /// The policy file [default: the one in force]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// This API alone
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// How many times as much as the busiest sources did is allowed: 1 to 100
    #[arg(long, value_name = "TIMES", default_value = "2", value_parser = margin)]
    margin: f64,
    /// Change the file
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    common: Common,
}

impl TuneArgs {
    pub(super) fn json(&self) -> bool {
        self.common.output.json
    }
}

fn margin(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1.0..=100.0).contains(&number) { Ok(number) } else { Err("1 to 100".to_owned()) }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Tuned<'a> {
    /// The policy file.
    file: &'a Path,
    /// By API.
    apis: &'a [Advice],
    /// The change; empty when there is none.
    diff: &'a str,
    /// It was made.
    written: bool,
}

pub(super) fn tune(args: &TuneArgs) -> Verdict {
    let client = args.common.target.client()?;
    let file = match &args.policy {
        Some(file) => file.clone(),
        None => client.status()?.policy.map(|policy| policy.path).ok_or_else(|| {
            ApiError::refused("no policy is in force, so there is none to tune")
                .hint("`weir init` writes a first one, `weir apply` puts it in force")
        })?,
    };
    let loaded = load(&file);
    let Some(policy) = loaded.policy else {
        let diagnostics = loaded.diagnostics.into_iter().map(Into::into).collect();
        let message = format!("{} is no valid policy", file.display());
        return Err(ApiError::invalid(message).diagnostics(diagnostics).into());
    };
    if let Some(name) = &args.api
        && policy.api(name).is_none()
    {
        return Err(ApiError::not_found(format!("{} has no API \"{name}\"", file.display())).into());
    }
    // Of all: one that is in the file only is no mistake, but was not seen.
    let seen = client.observed(&ObservedQuery::default())?;
    let mut advice: Vec<Advice> = policy
        .apis
        .iter()
        .filter(|api| args.api.as_ref().is_none_or(|name| api.name == *name))
        .map(|api| advise(api, seen.iter().find(|seen| seen.api == api.name), args.margin))
        .collect();
    for advice in &mut advice {
        // One that cannot be edited does not keep the others from it.
        advice.by_hand = edit::edit(&loaded.text, &wanted(advice)).err();
    }
    let placed = advice.iter().filter(|advice| advice.by_hand.is_none());
    let wanted: Vec<_> = placed.filter_map(|advice| wanted(advice).pop()).collect();
    let edited = edit::edit(&loaded.text, &wanted).map_err(ApiError::refused)?;
    let shown = file.display();
    verify(&edited.text, &file)?;
    let diff = match edited.hunks.is_empty() {
        true => String::new(),
        false => format!("--- {shown}\n+++ {shown}\n{}", edited.hunks),
    };
    let written = args.write && !diff.is_empty();
    if written {
        replace(&file, &loaded.text, &edited.text)?;
    }
    if args.json() {
        let tuned = Tuned { file: &file, apis: &advice, diff: &diff, written };
        args.common.output.printer().print(&tuned, |_| String::new())?;
    } else {
        let mut said = text(&advice);
        said.push_str(&match (written, diff.is_empty()) {
            (true, _) => {
                format!("{shown}: written; next: weir diff {shown}, then weir apply {shown}\n")
            }
            (_, true) if advice.iter().all(|advice| advice.refused.is_some()) => {
                format!("{shown}: nothing can be proposed\n")
            }
            (_, true) => format!("{shown}: nothing to change\n"),
            _ => format!("{shown}: not changed; --write does\n"),
        });
        let _gone = std::io::stderr().write_all(said.as_bytes());
        write_out(&diff)?;
    }
    let nothing = advice.iter().all(|advice| advice.refused.is_some());
    Ok(if nothing { Outcome::No } else { Outcome::Done })
}

/// What the `limit` of an API is to have; nothing when it stays as it is.
fn wanted(advice: &Advice) -> Vec<Wanted<'_>> {
    let limits = advice.limits.iter();
    let limits: Vec<_> =
        limits.filter_map(|limit| Some((limit.key, limit.proposed.as_deref()?))).collect();
    if limits.is_empty() { Vec::new() } else { vec![(advice.api.as_str(), limits)] }
}

fn text(advice: &[Advice]) -> String {
    let mut text = String::new();
    for advice in advice {
        let name = clean(&advice.api);
        if let Some(refused) = &advice.refused {
            text.push_str(&format!("{name}: no proposal: {refused}\n"));
            continue;
        }
        text.push_str(&format!("{name}: rests on {}\n", advice.rests_on));
        for limit in &advice.limits {
            let change = match (&limit.now, &limit.proposed) {
                (Some(now), Some(new)) => format!("{now} → {new}"),
                (None, Some(new)) => new.clone(),
                (now, None) => now.clone().unwrap_or_default(),
            };
            text.push_str(&format!("  {} = {change}: {}\n", limit.key, clean(&limit.why)));
        }
        if let Some(by_hand) = &advice.by_hand {
            text.push_str(&format!("  not in the diff: {}\n", clean(by_hand)));
        }
    }
    text
}

/// Checks the new text as `weir check` does.
fn verify(text: &str, file: &Path) -> Result<(), Failure> {
    let wrong = |what: &str| {
        ApiError::refused(format!("with these limits the policy would be wrong: {what}"))
            .hint("it was not changed; `weir tune --json` says which limits to write by hand")
    };
    let name = file.display().to_string();
    let loaded = parse(text, file.parent().unwrap_or(Path::new("")), &name);
    let Some(policy) = loaded.policy else {
        let diagnostics = loaded.diagnostics.into_iter().map(Into::into).collect();
        return Err(wrong("it does not pass check").diagnostics(diagnostics).into());
    };
    let mut ids = Ids::new(MAX_APIS);
    compile(&policy, &mut ids).map(drop).map_err(|problem| wrong(&problem.message).into())
}

/// Puts a new text in the place of a file's, at once or not at all, with its owner and mode. A link
/// stays a link.
fn replace(file: &Path, before: &str, text: &str) -> Result<(), Failure> {
    let failed = || format!("cannot write {}", file.display());
    let target = file.canonicalize().with_context(failed)?;
    let about = target.metadata().with_context(failed)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let new = target.with_file_name(format!(".{name}.weir-{}", std::process::id()));
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let mut opened = opened.with_context(failed)?;
    let mut put = || -> anyhow::Result<()> {
        opened.write_all(text.as_bytes())?;
        let mine = opened.metadata()?;
        if (mine.uid(), mine.gid()) != (about.uid(), about.gid()) {
            fchown(&opened, Some(about.uid()), Some(about.gid()))
                .context("its owner cannot be kept")?;
        }
        opened.set_permissions(PermissionsExt::from_mode(about.mode() & 0o7777))?;
        opened.sync_all()?;
        anyhow::ensure!(
            std::fs::read_to_string(&target)? == before,
            "somebody else has changed it meanwhile"
        );
        rename(&new, &target)?;
        Ok(())
    };
    let done = put();
    if done.is_err() {
        let _ours = remove_file(&new);
    }
    Ok(done.with_context(failed)?)
}
