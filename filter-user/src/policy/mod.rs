//! The policy: text → checked model → image.
//!
//! [`load`] and [`parse`] turn the text of a policy and the files it names into a [`Policy`], or
//! into diagnostics, all of them in one run. `compile` turns a policy into the tables that judge
//! packets. Nothing here knows the kernel or an executor: putting an image to work is left to
//! `kernel/`.

mod api;
mod assess;
mod cidr;
pub mod compile;
pub mod diff;
pub mod examples;
mod feed;
mod files;
mod maintenance;
mod model;
mod packets;
mod playbook;
mod prefixes;
mod ranges;
mod read;
pub mod reference;
pub mod refresh;
mod response;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use crate::text::{Diagnostic, Report, Source};

pub use api::{
    About, AlertLimits, Allow, Api, Criticality, DEFAULT_BURST, Escalate, Kind, Lifecycle,
    LimitFor, LimitSpec, Login, Mode, Overflow, PACKET_BYTES, Per, Rates, Route, SourceLengths,
};
pub use assess::Assess;
pub use cidr::{Cidr, CidrError};
pub use compile::compile;
pub use files::{Directory, MAX_FILE_BYTES, NamedFile, ReadFile};
pub use maintenance::{Maintenance, When};
pub use model::{Action, Group, GroupIndex, Listen, Policy, Port, Protocol, Sited, Trusted};
pub use packets::{Packets, treatment_name};
pub use playbook::{Play, PlayStep, Playbook};
pub use prefixes::{Member, Prefixes};
pub use ranges::Addresses;
pub use read::VERSION;
pub use response::{Answer, Respond, RespondMode, Response, Responses};

/// The largest policy text that is read, feeds apart.
pub const MAX_POLICY_BYTES: u64 = 4 << 20;

/// What reading a policy gave.
#[derive(Debug)]
pub struct Loaded {
    /// The policy; none when a diagnostic is an error.
    pub policy: Option<Policy>,
    /// Every problem found, sorted by file and position.
    pub diagnostics: Vec<Diagnostic>,
    /// The policy text as it was read.
    pub text: String,
    /// The files that the policy names, as they were read: with `text`, all that a stored
    /// generation needs.
    pub files: Vec<NamedFile>,
}

impl Loaded {
    fn failed(diagnostic: Diagnostic) -> Self {
        let (text, files) = (String::new(), Vec::new());
        Self { policy: None, diagnostics: vec![diagnostic], text, files }
    }
}

/// Reads and checks the policy at `path`; the files it names are relative to its directory. A file
/// that cannot be read is a diagnostic too.
pub fn load(path: &Path) -> Loaded {
    let name = path.display().to_string();
    let text = match crate::text::read_text(path, MAX_POLICY_BYTES) {
        Ok(text) => text,
        Err(diagnostic) => return Loaded::failed(*diagnostic),
    };
    parse(&text, path.parent().unwrap_or(Path::new("")), &name)
}

/// Checks a policy given as text, called `name` in messages; the files it names are in `dir`.
pub fn parse(text: &str, dir: &Path, name: &str) -> Loaded {
    parse_with(text, name, &Directory::new(dir))
}

/// Checks a policy given as text, called `name` in messages, with its files from anywhere.
pub fn parse_with(text: &str, name: &str, from: &dyn ReadFile) -> Loaded {
    let source = Source::new(name, text);
    let mut report = Report::new(&source);
    let mut files = files::Files::new(from);
    let draft = read::policy(&mut report, &mut files);
    let usable = report.usable();
    let diagnostics = report.finish();
    let files = files.into_read();
    let policy = usable.then(|| {
        let feeds = files.iter().map(|file| Arc::clone(&file.shown));
        Policy {
            name: draft.name,
            trusted: draft.trusted,
            unclaimed: draft.unclaimed,
            packets: draft.packets,
            enforce: true,
            groups: draft.groups,
            apis: draft.apis,
            playbooks: draft.playbooks,
            responses: draft.responses,
            alerts: draft.alerts,
            assess: draft.assess,
            maintenance: draft.maintenance,
            texts: std::iter::once(Arc::clone(source.name())).chain(feeds).collect(),
            hash: files::hash(text, &files),
        }
    });
    Loaded { policy, diagnostics, text: text.to_owned(), files }
}
