//! What the daemon starts with: the generation that was confirmed last, feeds included, or the
//! policy file of the settings, or nothing.
//!
//! A policy file that was edited is not applied by a restart. A file that never was in force is:
//! whoever names it for the first time means it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::config::Config;
use crate::control::api::ApiError;
use crate::policy::{self, Loaded, NamedFile, Policy, ReadFile};
use crate::store::{Contents, Record, Store};
use crate::text::{Problem, render};

use super::keeper::Keeper;
use super::{settings, trouble};

/// A policy that may be put in force, with all it was made of.
pub(super) struct Candidate {
    /// The policy.
    pub(super) policy: Policy,
    /// Where it was read.
    pub(super) path: PathBuf,
    /// Its text.
    pub(super) text: String,
    /// The files it names.
    pub(super) files: Vec<NamedFile>,
}

impl Candidate {
    /// What a file gave, if it is a policy.
    pub(super) fn of(loaded: Loaded, path: &Path) -> Result<Self, ApiError> {
        let Loaded { policy, diagnostics, text, files } = loaded;
        match policy {
            Some(policy) => Ok(Self { policy, path: settings::absolute(path), text, files }),
            None => Err(trouble::policy(diagnostics)),
        }
    }

    /// A generation of the store, as it was.
    pub(super) fn stored(record: &Record, contents: &Contents) -> Result<Self, ApiError> {
        let name = record.path.display().to_string();
        let loaded = policy::parse_with(&contents.text, &name, &Stored(&contents.files));
        let candidate = Self::of(loaded, &record.path)?;
        if candidate.policy.hash() != record.hash {
            return Err(ApiError::internal(format!(
                "generation {} of the history is not what it was: its hash differs",
                record.number
            )));
        }
        Ok(candidate)
    }
}

/// The files of a stored generation.
pub(super) struct Stored<'a>(pub(super) &'a [NamedFile]);

impl Stored<'_> {
    fn find(&self, name: &str) -> Option<&NamedFile> {
        self.0.iter().find(|file| &*file.name == name)
    }
}

impl ReadFile for Stored<'_> {
    fn read(&self, name: &str) -> Result<Vec<u8>, Problem> {
        self.find(name).map(|file| file.bytes.clone()).ok_or_else(|| {
            let name: String = name.escape_debug().collect();
            Problem::new(format!("the store has no {name}"), "apply the policy from its file")
        })
    }

    fn shown(&self, name: &str) -> String {
        self.find(name).map_or_else(|| name.to_owned(), |file| file.shown.to_string())
    }
}

/// What to start with.
pub(super) struct Start {
    /// The policy; none to observe.
    pub(super) candidate: Option<Candidate>,
    /// Its place in the history; none when it comes from its file.
    pub(super) stored: Option<Record>,
    /// Generations that nobody confirmed before the daemon before ended.
    pub(super) given_up: Vec<Record>,
    /// What the operator should know of, in sentences.
    pub(super) notes: Vec<String>,
}

/// Decides what to start with.
///
/// # Errors
/// The policy file is to be used, and is not valid.
pub(super) fn choose(config: &Config, keeper: &mut Keeper) -> Result<Start> {
    let given_up = keeper.with(Store::give_up_pending).unwrap_or_default();
    let mut start = Start { candidate: None, stored: None, given_up, notes: Vec::new() };
    for record in &start.given_up {
        start.notes.push(format!(
            "history {} ({}) was not confirmed before the daemon ended, and is not in force",
            record.number,
            record.path.display()
        ));
    }
    let path = config.policy.as_deref().map(settings::absolute);
    let last = keeper.with(|store| store.last_confirmed()).flatten();
    let is_new = |path: &PathBuf| !keeper.with(|store| store.knows(path)).unwrap_or(false);
    let named_anew = path.as_ref().is_some_and(is_new);
    if let Some(record) = last.filter(|_| !named_anew) {
        let contents = keeper.with(|store| store.contents(record.number));
        let stored = contents.map(|contents| Candidate::stored(&record, &contents));
        match (stored, &path) {
            (Some(Ok(candidate)), _) => {
                if let Some(path) = path.filter(|path| *path != record.path) {
                    start.notes.push(format!(
                        "in force is what was applied last, {}; `weir apply {}` puts the policy of \
                         the settings in force",
                        record.path.display(),
                        path.display()
                    ));
                }
                start.candidate = Some(candidate);
                start.stored = Some(record);
                return Ok(start);
            }
            // Without a file to fall back on, weir would observe where it enforced.
            (Some(Err(error)), None) => return Err(error.into()),
            (Some(Err(error)), Some(_)) => start.notes.push(format!(
                "history {} cannot be started from, the policy file is: {error}",
                record.number
            )),
            (None, _) => {}
        }
    }
    if let Some(path) = path {
        let loaded = policy::load(&path);
        // A file that cannot be read is not an invalid policy.
        if let ([only], false) = (loaded.diagnostics.as_slice(), path.is_file()) {
            bail!("{only}");
        }
        if loaded.policy.is_some() && !loaded.diagnostics.is_empty() {
            tracing::warn!("{}\n{}", path.display(), render(&loaded.diagnostics));
        }
        start.candidate = Some(Candidate::of(loaded, &path)?);
    }
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Paths;
    use crate::store::{New, State, Who};

    fn text(name: &str) -> String {
        format!(
            "[policy]\nname = \"{name}\"\nversion = 1\n\n[groups.g]\nfiles = [\"feed\"]\n\n[[api]]\nname = \"a\"\nlisten = [\"tcp/80\"]\nallow = [\"g\"]\n"
        )
    }

    /// Keeps what the file says, as an apply does.
    fn keep(keeper: &mut Keeper, path: &Path, state: State) {
        let Candidate { policy, path, text, files } =
            Candidate::of(policy::load(path), path).expect("a policy");
        let kept = keeper.with(|store| {
            store.add(&New {
                kernel: 1,
                name: &policy.name,
                hash: &policy.hash(),
                path: &path,
                text: &text,
                files: &files,
                applied_at: 1,
                who: &Who::default(),
                state,
                previous: None,
                restores: None,
                why: None,
            })
        });
        assert!(kept.is_some());
    }

    #[test]
    fn what_is_started_with() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(file(name), text).expect("writes");
        write("feed", "192.0.2.1\n");
        write("a.toml", &text("first"));
        write("b.toml", &text("other"));
        let mut keeper = Keeper::open(directory.path().to_owned());
        let mut config = Config::with_paths(Paths::of(None).expect("paths"));
        let mut started = |policy: Option<&str>, keeper: &mut Keeper| {
            config.policy = policy.map(file);
            choose(&config, keeper).map(|start| {
                let stored = start.stored.map(|record| record.number);
                (start.candidate.map(|c| (c.policy.name, c.files)), stored, start.notes.len())
            })
        };
        let feed = |bytes: &str| {
            let shown = file("feed").display().to_string().into();
            vec![NamedFile { name: "feed".into(), shown, bytes: bytes.as_bytes().to_vec() }]
        };
        let row = |name: &str, bytes: &str, stored, notes| {
            (Some((name.to_owned(), feed(bytes))), stored, notes)
        };
        let run = |policy,
                   keeper: &mut Keeper,
                   started: &mut dyn FnMut(Option<&str>, &mut Keeper) -> _| {
            let got: Result<_> = started(policy, keeper);
            got.expect("starts")
        };
        assert_eq!(run(None, &mut keeper, &mut started), (None, None, 0), "observes");
        let first = row("first", "192.0.2.1\n", None, 0);
        assert_eq!(run(Some("a.toml"), &mut keeper, &mut started), first, "from the file");
        keep(&mut keeper, &file("a.toml"), State::Confirmed);

        write("a.toml", &text("edited"));
        write("feed", "192.0.2.2\n");
        let stored = row("first", "192.0.2.1\n", Some(1), 0);
        assert_eq!(run(Some("a.toml"), &mut keeper, &mut started), stored, "an edit waits");
        assert_eq!(run(None, &mut keeper, &mut started), stored, "what was applied stays");
        write("a.toml", "nonsense");
        assert_eq!(run(Some("a.toml"), &mut keeper, &mut started), stored, "a bad edit waits too");
        let other = row("other", "192.0.2.2\n", None, 0);
        assert_eq!(
            run(Some("b.toml"), &mut keeper, &mut started),
            other,
            "named for the first time"
        );

        keep(&mut keeper, &file("b.toml"), State::Confirmed);
        let last = row("other", "192.0.2.2\n", Some(2), 1);
        assert_eq!(run(Some("a.toml"), &mut keeper, &mut started), last, "what was applied last");
        write("b.toml", &text("unconfirmed"));
        keep(&mut keeper, &file("b.toml"), State::Pending);
        let last = row("other", "192.0.2.2\n", Some(2), 1);
        assert_eq!(run(Some("b.toml"), &mut keeper, &mut started), last, "nobody confirmed it");

        keeper.with(Store::set_detached).expect("writes");
        assert_eq!(run(None, &mut keeper, &mut started), (None, None, 0), "taken off on purpose");
        let anew = row("unconfirmed", "192.0.2.2\n", None, 0);
        assert_eq!(run(Some("b.toml"), &mut keeper, &mut started), anew, "begins anew");
        assert!(started(Some("a.toml"), &mut keeper).is_err(), "no policy at all");
    }
}
