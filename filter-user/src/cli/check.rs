//! `weir check`: every mistake in a policy, without a daemon; and whether applying it would lock out
//! whoever asks.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Common;
use super::human::{bytes, plural};
use super::outcome::{Failure, Outcome, Verdict};
use super::style::{Style, Tone, clean};
use super::waiting::waiting;
use crate::control::api::{ApiError, InterfaceStatus};
use crate::control::ssh;
use crate::image::view::State;
use crate::image::{Ids, Image};
use crate::kernel::host::interface_index;
use crate::kernel::netlink::carrier::carriers;
use crate::lockout::{Case, Connection};
use crate::policy::{Loaded, Policy, compile, load};
use crate::text::{Diagnostic, render};

/// As many APIs as a policy can have at all: which of them this host has room for is not asked here.
const MAX_APIS: u32 = 4096;

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit code 1 when the policy is invalid, or would cut the SSH connection you work over, or trusts\n\
    nobody where that comes in; warnings alone are 0. That is looked at on the interfaces named, or else\n\
    on those of the daemon that runs.\n\n\
    Examples:\n  weir check policy.toml\n  weir check --interface eth0 policy.toml   before the first start\n  weir check --json policy.toml | jq '.diagnostics[].message'"
)]
pub(super) struct CheckArgs {
    /// The policy
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An interface that is to be gated; repeat it for more [default: the daemon's]
    #[arg(short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<String>,
    /// Do not look whether it would lock you out
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub(super) common: Common,
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
    /// Why it would lock out whoever asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lockout: Option<ApiError>,
}

impl Checked {
    /// What is to be said of a policy, and of its tables when it is valid.
    fn of(loaded: Loaded, image: Option<&Image>) -> Self {
        let policy = loaded.policy.as_ref();
        let groups = policy.map_or(&[][..], |policy| &policy.groups);
        let trusted = policy.map_or(0, |policy| policy.trusted.prefixes.len());
        Self {
            valid: policy.is_some(),
            name: policy.map(|policy| policy.name.clone()),
            hash: policy.map(crate::policy::Policy::hash),
            apis: policy.map_or(0, |policy| policy.apis.len()),
            groups: groups.len(),
            prefixes: groups.iter().map(|group| group.prefixes.len()).sum::<usize>() + trusted,
            rules: image.map_or(0, |image| image.rules.len()),
            table_bytes: image.map_or(0, Image::table_bytes),
            diagnostics: loaded.diagnostics,
            lockout: None,
        }
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
        if let Some(lockout) = &self.lockout {
            let refused = style.paint(Tone::Bad, "refused");
            text.push_str(&format!(
                "{file}: {refused}: {}\nhint: {}\n",
                clean(&lockout.message),
                clean(&lockout.hint)
            ));
        }
        text
    }
}

impl CheckArgs {
    /// The interfaces that the policy is to be in force on, with their indices. Without a daemon of
    /// this network namespace, and without a name, nobody knows.
    fn interfaces(&self) -> anyhow::Result<Vec<(String, u32)>> {
        if !self.interfaces.is_empty() {
            let named = self.interfaces.iter();
            return named.map(|name| Ok((name.clone(), interface_index(name)?))).collect();
        }
        let status = self.common.target.client().and_then(|client| client.status());
        let faces = status.map(|status| status.interfaces).unwrap_or_default();
        let is_here = |face: &InterfaceStatus| interface_index(&face.name).ok() == Some(face.index);
        let here = faces.into_iter().filter(is_here);
        Ok(here.map(|face| (face.name, face.index)).collect())
    }

    /// Whether the policy would lock out whoever asks, as far as can be said without the daemon's
    /// bans and orders.
    fn lockout(
        &self,
        policy: &Policy,
        image: &Image,
        ids: &Ids,
    ) -> anyhow::Result<Option<ApiError>> {
        let Some(connection) = ssh::connection(std::process::id()).filter(|_| !self.force) else {
            return Ok(None);
        };
        Ok(lockout(policy, image, ids, &connection, self.interfaces()?))
    }
}

/// Whether a policy would lock out whoever works over a connection, on those of the interfaces (name and
/// index) that carry it.
pub(super) fn lockout(
    policy: &Policy,
    image: &Image,
    ids: &Ids,
    connection: &Connection,
    interfaces: Vec<(String, u32)>,
) -> Option<ApiError> {
    let indices: Vec<u32> = interfaces.iter().map(|(_, index)| *index).collect();
    let found = carriers(connection, &indices);
    let carrying: Vec<String> = interfaces
        .into_iter()
        .filter(|(_, index)| found.contains(index))
        .map(|(name, _)| name)
        .collect();
    if carrying.is_empty() {
        return None;
    }
    let state = State::new(MAX_APIS, 1);
    let case = Case { policy, image, ids, state: &state, seed: 0, boot_ns: 0 };
    case.admit(connection, &carrying).err()
}

pub(super) fn check(args: &CheckArgs) -> Verdict {
    let mut ids = Ids::new(MAX_APIS);
    let (loaded, image) = waiting("reading the policy and its feeds", || {
        let loaded = load(&args.file);
        let image = loaded.policy.as_ref().map(|policy| compile(policy, &mut ids)).transpose();
        (loaded, image)
    });
    // Valid, and still more than tables can hold.
    let image = image.map_err(|problem| ApiError::refused(problem.message).hint(problem.hint))?;
    let lockout = match loaded.policy.as_ref().zip(image.as_ref()) {
        Some((policy, image)) => args.lockout(policy, image, &ids)?,
        None => None,
    };
    let checked = Checked { lockout, ..Checked::of(loaded, image.as_ref()) };
    // A file that cannot be read is not an invalid policy.
    if let [only] = checked.diagnostics.as_slice()
        && !args.file.is_file()
    {
        return Err(Failure::Local(anyhow::anyhow!("{only}")));
    }
    let file = args.file.display().to_string();
    args.common.output.printer().print(&checked, |style| checked.text(&file, style))?;
    Ok(if checked.valid && checked.lockout.is_none() { Outcome::Done } else { Outcome::No })
}
