//! `weir check`: every mistake in a policy, without a daemon.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Output;
use super::human::{bytes, plural};
use super::outcome::{Failure, Outcome, Verdict};
use super::style::{Style, Tone};
use crate::control::api::ApiError;
use crate::image::{Ids, Image};
use crate::policy::{Loaded, compile, load};
use crate::text::{Diagnostic, render};

#[derive(Args, Clone, Debug)]
#[command(after_help = "Exit code 1 when the policy is invalid; warnings alone are 0.\n\n\
    Examples:\n  weir check policy.toml\n  weir check --json policy.toml | jq '.diagnostics[].message'")]
pub(super) struct CheckArgs {
    /// The policy
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub(super) output: Output,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    /// The policy can be applied.
    pub(super) valid: bool,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// SHA-256 over it and the files it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hash: Option<String>,
    /// APIs it declares.
    pub(super) apis: usize,
    /// Groups it declares.
    pub(super) groups: usize,
    /// Prefixes in its groups and among its trusted sources.
    pub(super) prefixes: usize,
    /// Rules: one for each API and each way in which groups overlap.
    pub(super) rules: usize,
    /// Bytes its tables take in the kernel.
    pub(super) table_bytes: usize,
    /// Every problem.
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// What is to be said of a policy.
    ///
    /// # Errors
    /// When it is valid and still cannot be put into tables.
    fn of(loaded: Loaded) -> Result<Self, ApiError> {
        let policy = loaded.policy.as_ref();
        let image = policy.map(|policy| compile(policy, &mut Ids::new(u32::MAX))).transpose();
        let image =
            image.map_err(|problem| ApiError::refused(problem.message).hint(problem.hint))?;
        let groups = policy.map_or(&[][..], |policy| &policy.groups);
        let trusted = policy.map_or(0, |policy| policy.trusted.prefixes.len());
        Ok(Self {
            valid: policy.is_some(),
            name: policy.map(|policy| policy.name.clone()),
            hash: policy.map(crate::policy::Policy::hash),
            apis: policy.map_or(0, |policy| policy.apis.len()),
            groups: groups.len(),
            prefixes: groups.iter().map(|group| group.prefixes.len()).sum::<usize>() + trusted,
            rules: image.as_ref().map_or(0, |image| image.rules.len()),
            table_bytes: image.as_ref().map_or(0, Image::table_bytes),
            diagnostics: loaded.diagnostics,
        })
    }

    fn text(&self, file: &str, style: Style) -> String {
        let mut text = render(&self.diagnostics);
        if self.valid {
            let [apis, groups, prefixes] =
                [(self.apis, "API"), (self.groups, "group"), (self.prefixes, "prefix")]
                    .map(|(number, noun)| (number as u64, noun));
            let es = if prefixes.0 == 1 { "" } else { "es" };
            let prefixes = format!("{} prefix{es}", super::human::count(prefixes.0));
            let name = self.name.as_deref().unwrap_or_default();
            text.push_str(&format!(
                "{file}: {}: policy `{name}`, {}, {}, {prefixes}, {}; its tables take {}\n",
                style.paint(Tone::Good, "valid"),
                plural(apis.0, apis.1),
                plural(groups.0, groups.1),
                plural(self.rules as u64, "rule"),
                bytes(self.table_bytes as u64),
            ));
        }
        text
    }
}

pub(super) fn check(args: &CheckArgs) -> Verdict {
    let checked = Checked::of(load(&args.file))?;
    // A file that cannot be read is not an invalid policy.
    if let [only] = checked.diagnostics.as_slice()
        && !args.file.is_file()
    {
        return Err(Failure::Local(anyhow::anyhow!("{only}")));
    }
    let file = args.file.display().to_string();
    args.output.printer().print(&checked, |style| checked.text(&file, style))?;
    Ok(if checked.valid { Outcome::Done } else { Outcome::No })
}
