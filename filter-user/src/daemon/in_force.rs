//! What is in force, with all it was made of.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::control::api::{Caller, FeedState, FeedStatus};
use crate::image::Image;
use crate::policy::{NamedFile, Policy};

/// The policy in force.
#[derive(Clone)]
pub(super) struct InForce {
    /// The policy.
    pub(super) policy: Arc<Policy>,
    /// Its tables.
    pub(super) image: Arc<Image>,
    /// Its text.
    pub(super) text: Arc<str>,
    /// The files it names, feeds and others.
    pub(super) files: Arc<Vec<NamedFile>>,
    /// Where it was read; `None` when weir observes.
    pub(super) path: Option<PathBuf>,
    /// Its hash.
    pub(super) hash: String,
    /// Number of its generation.
    pub(super) generation: u32,
    /// When it was put in force, seconds since 1970.
    pub(super) since: u64,
    /// Its number in the history; `None` when the store did not take it, or weir observes.
    pub(super) number: Option<u64>,
    /// Its feeds, each once.
    pub(super) feeds: Vec<FeedStatus>,
    /// With whose rights feeds are read; `None`: the daemon's own.
    pub(super) reader: Option<Arc<Caller>>,
}

impl InForce {
    /// A file that it names, as it is in force.
    pub(super) fn file(&self, name: &str) -> Option<&NamedFile> {
        self.files.iter().find(|file| &*file.name == name)
    }

    /// The directory that names of files are relative to.
    pub(super) fn directory(&self) -> &Path {
        directory(self.path.as_deref())
    }
}

fn directory(policy: Option<&Path>) -> &Path {
    policy.and_then(Path::parent).unwrap_or(Path::new(""))
}

/// The feeds of a policy that was read from `path`, with what they say in `files`, taken for current
/// since `since`.
pub(super) fn feeds(
    policy: &Policy,
    files: &[NamedFile],
    path: Option<&Path>,
    since: u64,
) -> Vec<FeedStatus> {
    let mut found: Vec<FeedStatus> = Vec::new();
    for group in policy.groups.iter().filter(|group| !group.files.is_empty()) {
        let mut entries: HashMap<u32, u64> = HashMap::new();
        let v4 = group.prefixes.v4.iter().map(|member| member.file);
        for file in v4.chain(group.prefixes.v6.iter().map(|member| member.file)) {
            *entries.entry(file).or_default() += 1;
        }
        for feed in &group.files {
            if found.iter().any(|known| known.feed == feed.value) {
                continue;
            }
            // Text 0 is the policy itself.
            let place = files.iter().position(|file| *file.name == *feed.value);
            let text = place.and_then(|place| u32::try_from(place + 1).ok());
            found.push(FeedStatus {
                feed: feed.value.clone(),
                path: directory(path).join(&feed.value),
                entries: text.and_then(|text| entries.get(&text).copied()).unwrap_or(0),
                state: FeedState::Current,
                last_success: since,
                problem: String::new(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load;

    #[test]
    fn a_feed_is_listed_once_with_its_own_prefixes() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).expect("writes");
        };
        write("one", "192.0.2.1\n192.0.2.2\n2001:db8::1\n");
        write("two", "# nobody\n");
        write(
            "policy.toml",
            "[groups.a]\ncidrs = [\"198.51.100.0/24\"]\nfiles = [\"one\", \"two\"]\n\
             [groups.b]\nfiles = [\"two\", \"one\"]\n\
             [[api]]\nname = \"x\"\nlisten = [\"tcp/80\"]\nallow = [\"a\", \"b\"]\n",
        );
        let path = directory.path().join("policy.toml");
        let loaded = load(&path);
        let policy = loaded.policy.expect("a policy");
        let found = feeds(&policy, &loaded.files, Some(&path), 77);
        let rows: Vec<_> = found
            .iter()
            .map(|feed| (feed.feed.as_str(), feed.entries, feed.last_success, feed.path.is_file()))
            .collect();
        assert_eq!(rows, [("one", 3, 77, true), ("two", 0, 77, true)]);
    }
}
