//! `weir init`: a first policy for this host, from what is found on it. It drops nothing.

mod look;
#[cfg(test)]
mod tests;
mod write;

use std::fs::{OpenOptions, remove_file};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::Output;
use super::check::lockout;
use super::human::plural;
use super::outcome::{Failure, Outcome, Verdict, write_out};
use super::style::clean;
use crate::control::api::ApiError;
use crate::image::Ids;
use crate::kernel::host::interface_index;
use crate::policy::{compile, parse};
use crate::text::Diagnostic;
use look::Host;
use write::{Draft, Service};

/// As many APIs as a policy can have at all.
const MAX_APIS: u32 = 4096;

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "It looks at listening sockets and their programs, interfaces, neighbours, and the SSH connection you work \
    over, whose other end becomes trusted. Every service that is reached from elsewhere becomes an API in monitor mode: \
    nothing is dropped. As root it can name all programs. The policy is checked before it is written; a file that is there \
    is never overwritten.\n\n\
    Examples:\n  weir init\n  weir init --output policy.toml && weir check policy.toml\n  weir init --json | jq -r '.services[].name'"
)]
pub(super) struct InitArgs {
    /// The file to write, which must not be there yet; `-`: standard output [default: -]
    #[arg(short, long = "output", value_name = "FILE")]
    output_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: Output,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Written<'a> {
    /// The file that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a Path>,
    /// The policy.
    policy: &'a str,
    /// Its APIs.
    services: &'a [Service],
    /// What is to be said of it.
    notes: &'a [String],
    /// What was found.
    host: &'a Host,
}

pub(super) fn init(args: &InitArgs) -> Verdict {
    let file = args.output_file.as_deref().filter(|file| *file != Path::new("-"));
    let host = look::look()?;
    let mut draft = write::draft(&host);
    let name = file.map_or_else(|| "policy".to_owned(), |file| file.display().to_string());
    let warnings = verify(&draft.text, &name, &host)?;
    draft.notes.extend(warnings.iter().map(ToString::to_string));
    if let Some(file) = file {
        create(file, &draft.text)?;
        draft.notes.push(next(file, &host));
    }
    if args.output.json {
        let Draft { text, services, notes } = &draft;
        let written = Written { file, policy: text, services, notes, host: &host };
        args.output.printer().print(&written, |_| String::new())?;
        return Ok(Outcome::Done);
    }
    let mut said = Vec::new();
    match file {
        Some(file) => {
            said.push(format!(
                "{}: a first policy, {} in monitor mode; nothing is dropped",
                file.display(),
                plural(draft.services.len() as u64, "API")
            ));
        }
        None => write_out(&draft.text)?,
    }
    said.extend(draft.notes.iter().map(|note| format!("note: {note}")));
    let said: String = said.iter().map(|line| format!("{}\n", clean(line))).collect();
    // Standard output may be the policy.
    let _gone = std::io::stderr().write_all(said.as_bytes());
    Ok(Outcome::Done)
}

/// What to do with the file.
fn next(file: &Path, host: &Host) -> String {
    let carries = |face: &&look::Interface| {
        host.ssh.is_some_and(|ssh| face.addresses.iter().any(|(ip, _)| *ip == ssh.local.ip()))
    };
    let faces = || host.interfaces.iter().filter(|face| face.up && !face.addresses.is_empty());
    let face = faces().find(carries).or_else(|| faces().next());
    let interface = face.map_or("INTERFACE", |face| face.name.as_str());
    let file = file.display();
    format!(
        "next: weir check {file} && weir apply {file}; where no daemon runs yet: \
         weir run --interface {interface} --policy {file}"
    )
}

/// Checks the policy as `weir check` does; its warnings. That it is right is promised: when it is not,
/// that is a mistake in weir.
fn verify(text: &str, name: &str, host: &Host) -> Result<Vec<Diagnostic>, Failure> {
    let wrong = |what: String| {
        ApiError::internal(format!("the policy written for this host is wrong: {what}"))
            .hint("this is a mistake in weir: please report it with `weir init --json`'s `host`")
    };
    let loaded = parse(text, Path::new(""), name);
    let Some(policy) = loaded.policy else {
        return Err(wrong("it does not pass check".to_owned())
            .diagnostics(loaded.diagnostics.into_iter().map(Into::into).collect())
            .into());
    };
    let mut ids = Ids::new(MAX_APIS);
    let image = compile(&policy, &mut ids).map_err(|problem| wrong(problem.message))?;
    if let Some(ssh) = host.ssh {
        let names = host.interfaces.iter().map(|face| face.name.clone());
        // One that has gone meanwhile carries nothing.
        let faces = names.filter_map(|name| interface_index(&name).ok().map(|index| (name, index)));
        if let Some(error) = lockout(&policy, &image, &ids, &ssh.connection(), faces.collect()) {
            return Err(wrong(error.message).into());
        }
    }
    Ok(loaded.diagnostics)
}

/// Writes a file that is not there yet, whole or not at all.
fn create(file: &Path, text: &str) -> Result<(), Failure> {
    let shown = file.display();
    let mut opened = match OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(ApiError::internal(format!(
                "{shown} is there already, and is not overwritten"
            ))
            .hint("name another file, or compare: weir init | diff - FILE")
            .into());
        }
        Err(error) => {
            return Err(anyhow::Error::new(error).context(format!("cannot write {shown}")).into());
        }
    };
    let written = opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all());
    if written.is_err() {
        let _ours = remove_file(file);
    }
    Ok(written.with_context(|| format!("cannot write {shown}"))?)
}
