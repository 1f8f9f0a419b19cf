//! Debian's kernels, by a configuration of apt that knows nothing of this machine's packages and
//! leaves them alone: found, fetched, unpacked, kept in `target/kernels`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::process;

/// Where the versions live: their releases' suites.
const SUITES: [(&str, &str); 5] = [
    ("debian", "bookworm"),
    ("debian-security", "bookworm-security"),
    ("debian", "bookworm-backports"),
    ("debian", "trixie-backports"),
    ("debian-security", "bullseye-security"),
];
/// What apt verifies them with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A directory in which apt finds and keeps kernels.
pub(super) struct Packages {
    home: PathBuf,
}

/// A kernel that was unpacked.
#[derive(Debug)]
pub(super) struct Kernel {
    /// As asked for, for example `6.1`.
    pub(super) version: String,
    /// The bootable image.
    pub(super) image: PathBuf,
    /// Where its modules are.
    pub(super) modules: PathBuf,
}

impl Packages {
    /// Opens the directory and fetches the lists, unless they are there.
    pub(super) fn open(home: &Path) -> Result<Self> {
        ensure!(
            Path::new(KEYRING).exists(),
            "{KEYRING} is missing: the kernels are Debian's, install debian-archive-keyring"
        );
        for directory in ["lists/partial", "cache/archives/partial", "state", "packages"] {
            let path = home.join(directory);
            fs::create_dir_all(&path)
                .with_context(|| format!("cannot create {}", path.display()))?;
        }
        let sources: String = SUITES
            .iter()
            .map(|(archive, suite)| {
                format!("deb [signed-by={KEYRING}] http://deb.debian.org/{archive} {suite} main\n")
            })
            .collect();
        fs::write(home.join("sources.list"), sources).context("cannot write sources.list")?;
        fs::write(home.join("status"), "").context("cannot write an empty package status")?;
        Ok(Self { home: home.to_owned() })
    }

    /// The newest kernel of a version, for example `6.1`: from the directory, or from Debian.
    pub(super) fn kernel(&self, version: &str) -> Result<Kernel> {
        let unpacked = self.home.join(version);
        if find(&unpacked, "vmlinuz-").is_none() {
            self.unpack(version, &unpacked)?;
        }
        let image = find(&unpacked, "vmlinuz-")
            .with_context(|| format!("the package of {version} has no kernel in it"))?;
        Ok(Kernel { version: version.to_owned(), image, modules: unpacked })
    }

    fn unpack(&self, version: &str, to: &Path) -> Result<()> {
        let mut update = self.apt("apt-get");
        update.args(["-q", "update"]);
        process::run_quietly(&mut update, "apt-get update")?;
        let pattern = format!("^linux-image-{}[.-].*cloud-amd64$", version.replace('.', "\\."));
        let mut search = self.apt("apt-cache");
        let names = process::answer(search.args(["search", "--names-only", &pattern]))
            .with_context(|| format!("`{}` fails", process::line(&search)))?;
        let Some(package) = newest(&names) else {
            bail!("Debian has no cloud kernel {version}: give a version such as 6.1");
        };
        println!("kernels: fetching {package}");
        let directory = self.home.join("packages");
        let mut download = self.apt("apt-get");
        download.current_dir(&directory).args(["-q", "download", package]);
        process::run_quietly(&mut download, package)?;
        let file = find(&directory, &format!("{package}_")).with_context(|| {
            format!("apt-get has not put {package} into {}", directory.display())
        })?;
        process::run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(to))?;
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = |name: &str| self.home.join(name).display().to_string();
        for option in [
            format!("Dir::Etc::sourcelist={}", path("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State={}", path("state")),
            format!("Dir::State::lists={}", path("lists")),
            format!("Dir::State::status={}", path("status")),
            format!("Dir::Cache={}", path("cache")),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

/// The newest of the packages that `apt-cache search` lists. A metapackage, which has no patch level in
/// its name, is none: it has no kernel in it, and may depend on one that is not there yet.
fn newest(listed: &str) -> Option<&str> {
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    // Two numbers of the version, and the 64 of amd64.
    let kernels = names.filter(|name| numbers(name).len() > 3);
    kernels.max_by_key(|name| numbers(name))
}

/// The numbers in a name, by which versions are ordered.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// The first file below a directory whose name begins with this.
pub(super) fn find(directory: &Path, prefix: &str) -> Option<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(prefix)) && path.is_file()
    };
    paths.iter().find(|path| named(path)).cloned().or_else(|| {
        paths
            .iter()
            .filter(|path| path.is_dir() && !path.is_symlink())
            .find_map(|path| find(path, prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_package_is_found() {
        let rows = [
            (
                "linux-image-6.1.0-47-cloud-amd64 - Linux\nlinux-image-6.1.0-9-cloud-amd64 - Linux\n",
                Some("linux-image-6.1.0-47-cloud-amd64"),
            ),
            (
                "linux-image-6.12.9+deb12-cloud-amd64 - x\nlinux-image-6.12.95+deb12-cloud-amd64 - x\n",
                Some("linux-image-6.12.95+deb12-cloud-amd64"),
            ),
            (
                "linux-image-6.1-cloud-amd64 - x\nlinux-image-6.1.0-50-cloud-amd64 - x\n",
                Some("linux-image-6.1.0-50-cloud-amd64"),
            ),
            ("linux-image-6.1-cloud-amd64 - x\n", None),
            ("", None),
        ];
        for (listed, expected) in rows {
            assert_eq!(newest(listed), expected, "{listed}");
        }
    }
}
