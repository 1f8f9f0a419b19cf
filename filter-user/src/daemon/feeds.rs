//! Watching feeds: one that changes is a new generation of the policy in force, whose text stays as
//! it was applied; one that is not to be believed keeps its last good content.
//!
//! Files are looked at once a second, not subscribed to: what is seen then does not depend on
//! whether a file is written in place, renamed over, behind a link whose target is exchanged, or on a
//! network file system. One that changed is read when it has stayed as it is for another look.

mod compare;
mod stamp;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::control::api::{ApiError, Caller, FeedState, FeedStatus};
use crate::control::identity::reading_as;
use crate::export::events::{Event, Kind};
use crate::policy::refresh::{self, Fresh};
use crate::policy::{self, Directory, NamedFile, ReadFile};
use crate::store::Who;
use crate::text::Problem;

use super::core::{Core, policy_field, unix_ns};
use super::gate::{Gate, Terms, unix_now};
use super::in_force::InForce;
use super::start::{Candidate, Stored};
use stamp::Stamp;

pub(super) use compare::compare;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Starts the thread.
pub(super) fn start(core: Arc<Core>) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("weir-feeds".to_owned())
        .spawn(move || {
            let mut watcher = Watcher { core, generation: 0, looks: HashMap::new() };
            loop {
                watcher.look();
                if watcher.core.pause(LOOK) {
                    break;
                }
            }
        })
        .context("cannot start the watch over the feeds")
}

/// What was seen of a feed.
#[derive(Default)]
struct Look {
    /// At the look before.
    seen: Option<Stamp>,
    /// When it was read last.
    read: Option<Stamp>,
}

struct Watcher {
    core: Arc<Core>,
    /// The generation that `looks` are about.
    generation: u32,
    looks: HashMap<String, Look>,
}

/// A feed that was read, and what is to be thought of it.
struct Finding {
    feed: String,
    state: FeedState,
    problem: String,
    /// What is to be put in force.
    taken: Option<Vec<u8>>,
    /// What there is to tell of that.
    told: String,
}

impl Watcher {
    fn look(&mut self) {
        let (now, waits) = {
            let gate = self.core.gate();
            (gate.now.clone(), gate.waiting.is_some())
        };
        if now.generation != self.generation {
            self.generation = now.generation;
            self.looks.clear();
        }
        // What waits to be confirmed is left alone until somebody has decided.
        if waits || now.path.is_none() {
            return;
        }
        let mut findings: Vec<Finding> =
            now.feeds.iter().filter_map(|feed| self.find(&now, feed)).collect();
        if findings.is_empty() {
            return;
        }
        if findings.iter().any(|finding| finding.taken.is_some()) && !self.take(&now, &mut findings)
        {
            // Something else came in between: looked at anew.
            self.looks.clear();
            return;
        }
        let mut gate = self.core.gate();
        if gate.now.generation != self.generation {
            return;
        }
        for finding in findings {
            self.note(&mut gate, finding);
        }
        self.core.tell_store(&mut gate);
    }

    /// Reads a feed that has changed and settled.
    fn find(&mut self, now: &InForce, feed: &FeedStatus) -> Option<Finding> {
        let stamp = Stamp::of(&feed.path);
        let look = self.looks.entry(feed.feed.clone()).or_default();
        if look.read == Some(stamp) || look.seen.replace(stamp) != Some(stamp) {
            return None;
        }
        look.read = Some(stamp);
        let file = now.file(&feed.feed)?;
        let read = read(now, &feed.feed);
        let finding = |state, problem| Finding {
            feed: feed.feed.clone(),
            state,
            problem,
            taken: None,
            told: String::new(),
        };
        let max_shrink = self.core.config.feeds.max_shrink;
        let fresh =
            refresh::look(&file.bytes, read.as_ref().map(Vec::as_slice), &file.shown, max_shrink);
        if fresh == Fresh::Same {
            return Some(finding(FeedState::Current, String::new()));
        }
        if let Ok(bytes) = &read
            && self.core.gate().is_behind(&feed.path, bytes)
        {
            let problem = "what the file says was gone back behind: its next change counts, or `weir \
                           apply`";
            return Some(finding(FeedState::RolledBack, problem.to_owned()));
        }
        match (fresh, read) {
            (Fresh::Changed { before, after }, Ok(bytes)) => Some(Finding {
                taken: Some(bytes),
                told: format!("{} has {after} prefixes, and had {before}", feed.path.display()),
                ..finding(FeedState::Current, String::new())
            }),
            (Fresh::Doubtful(why), _) => Some(finding(FeedState::Kept, why)),
            // What was not read has not changed.
            (Fresh::Same | Fresh::Changed { .. }, _) => None,
        }
    }

    /// Puts the feeds that changed in force; false when what is in force is another policy by now.
    fn take(&mut self, now: &InForce, findings: &mut [Finding]) -> bool {
        let mut files: Vec<NamedFile> = now.files.to_vec();
        let mut names = Vec::new();
        for finding in findings.iter() {
            let Some(bytes) = &finding.taken else { continue };
            names.push(finding.feed.clone());
            for file in files.iter_mut().filter(|file| *file.name == *finding.feed) {
                file.bytes.clone_from(bytes);
            }
        }
        match self.core.put_feeds(now, &files, names) {
            Ok(Some(generation)) => self.generation = generation,
            Ok(None) => return false,
            Err(error) => {
                let first = error.diagnostics.first().map(|first| first.message.clone());
                let why = first.unwrap_or(error.message);
                for finding in findings.iter_mut().filter(|finding| finding.taken.is_some()) {
                    finding.taken = None;
                    finding.state = FeedState::Kept;
                    finding.problem.clone_from(&why);
                }
            }
        }
        true
    }

    /// Notes what became of a feed, and tells of it.
    fn note(&self, gate: &mut Gate, finding: Finding) {
        let Finding { feed, state, problem, taken, told } = finding;
        let field = policy_field(&gate.now);
        let Some(status) = gate.now.feeds.iter_mut().find(|status| status.feed == feed) else {
            return;
        };
        let before = std::mem::replace(&mut status.state, state);
        let again = status.problem == problem && before == state;
        status.problem.clone_from(&problem);
        let path = status.path.clone();
        if state == FeedState::Current {
            status.last_success = unix_now();
        }
        let shown = path.display();
        let (kind, message) = match (state, taken) {
            (FeedState::Kept, _) if !again => {
                let kept = format!("its {} prefixes that are in force stay", status.entries);
                (Kind::FeedRejected, format!("{shown}: {problem}; {kept}"))
            }
            (FeedState::Current, _) if before == FeedState::Kept => {
                (Kind::FeedRestored, format!("{shown} is good again"))
            }
            (FeedState::Current, Some(_)) => (Kind::FeedChanged, told),
            _ => return,
        };
        if state == FeedState::Current {
            gate.behind.remove(&path);
            let _noted = gate.keeper.with(|store| store.set_held(&path, None));
        }
        if kind == Kind::FeedRejected {
            tracing::warn!("{message}");
        } else {
            tracing::info!("{message}");
        }
        self.core.tell(&Event { policy: Some(field), ..Event::new(kind, unix_ns(), message) });
    }
}

/// Reads a feed with the rights of whoever put the policy in force: diagnostics show lines of it.
fn read(now: &InForce, name: &str) -> Result<Vec<u8>, Problem> {
    let read = || Directory::new(now.directory()).read(name);
    match &now.reader {
        None => read(),
        Some(caller) => reading_as(caller, read).unwrap_or_else(|error: io::Error| {
            Err(Problem::new(
                format!("cannot read {name} as user {}: {error}", caller.uid),
                "apply the policy again",
            ))
        }),
    }
}

impl Gate {
    /// Notes what the files of feeds say now that others are in force again: only their next change
    /// counts, or a rollback would not last a second.
    pub(super) fn note_behind(&mut self) {
        for feed in self.now.feeds.clone() {
            let (Ok(bytes), path) = (read(&self.now, &feed.feed), feed.path) else { continue };
            if self.now.file(&feed.feed).is_none_or(|file| file.bytes == bytes) {
                continue;
            }
            let hash = Sha256::digest(&bytes).into();
            let _noted = self.keeper.with(|store| store.set_held(&path, Some(hash)));
            self.behind.insert(path, hash);
        }
    }

    /// Whether what a feed's file says is what somebody went back behind.
    fn is_behind(&mut self, path: &Path, bytes: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        // Noted by the daemon before, or by this one.
        let held = self.keeper.with(|store| store.held(path)).flatten();
        self.behind.get(path).copied().or(held) == Some(hash)
    }
}

impl Core {
    /// Puts the text in force with these files in force, and returns the generation; `None` when
    /// something else is in force, or waits.
    fn put_feeds(
        &self,
        now: &InForce,
        files: &[NamedFile],
        feeds: Vec<String>,
    ) -> Result<Option<u32>, ApiError> {
        let Some(path) = &now.path else { return Ok(None) };
        let loaded = policy::parse_with(&now.text, &path.display().to_string(), &Stored(files));
        let candidate = Candidate::of(loaded, path)?;
        // Nobody did it; the rights are those of whoever applied the policy.
        let uid = now.reader.as_ref().map_or(0, |caller: &Arc<Caller>| caller.uid);
        let who = Who { uid, pid: std::process::id(), ..Who::default() };
        let reader = now.reader.clone();
        let terms = Terms { feeds, reader, ..Terms::of(who) };
        let mut gate = self.gate();
        if gate.now.generation != now.generation || gate.waiting.is_some() {
            return Ok(None);
        }
        self.put(&mut gate, candidate, &terms, "feed")?;
        // The other feeds are as they were.
        for status in &mut gate.now.feeds {
            let before = now.feeds.iter().find(|before| before.feed == status.feed);
            if let Some(before) = before.filter(|_| !terms.feeds.contains(&status.feed)) {
                status.clone_from(before);
            }
        }
        Ok(Some(gate.now.generation))
    }
}
