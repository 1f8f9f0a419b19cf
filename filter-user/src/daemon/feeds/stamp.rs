//! Whether a file is still the one it was.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What tells a file from another, and its content from what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// There is none, or it may not be seen.
    Missing,
    /// Device, inode, size, and in ns when content and inode changed last.
    File([u64; 3], [i64; 4]),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        let Ok(about) = std::fs::metadata(path) else { return Self::Missing };
        let times = [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()];
        Self::File([about.dev(), about.ino(), about.size()], times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_way_of_replacing_a_file_shows() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("writes");
        let feed = path("current/feed");
        let mut last = Stamp::of(&feed);
        assert_eq!(last, Stamp::Missing);
        let mut changed = |what: &str| {
            let now = Stamp::of(&feed);
            assert_ne!(now, last, "{what}");
            assert_eq!(now, Stamp::of(&feed), "{what}: and stays");
            last = now;
        };
        for name in ["a", "b"] {
            std::fs::create_dir(path(name)).expect("creates");
        }
        std::os::unix::fs::symlink("a", path("current")).expect("links");
        write("a/feed", "192.0.2.1\n");
        changed("made");
        write("a/new", "192.0.2.2\n");
        std::fs::rename(path("a/new"), path("a/feed")).expect("renames");
        changed("renamed over");
        write("b/feed", "192.0.2.2\n");
        std::os::unix::fs::symlink("b", path("next")).expect("links");
        std::fs::rename(path("next"), path("current")).expect("renames");
        changed("in a directory that was exchanged");
        write("b/feed", "192.0.2.22\n");
        changed("written in place");
        std::fs::remove_file(path("b/feed")).expect("removes");
        changed("removed");
    }
}
