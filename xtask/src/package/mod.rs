//! `cargo xtask package`: the Debian package, checked, and with `--try` installed, upgraded, removed
//! and purged in a fresh root file system.
//!
//! What goes into it is listed in `filter-user/Cargo.toml`; what is made here is put into
//! `target/package`: manual pages and completions by the program itself, the licences of what is
//! linked into it, the changelog as Debian wants it.

mod checks;
mod licences;
mod trial;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::process;
use crate::setup::{self, Purpose};

/// The version of cargo-deb that is installed when there is none.
const CARGO_DEB: &str = "3.8.0";

/// Options of `package`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Package the build without optimisation, which is made sooner; not for use
    #[arg(long)]
    debug: bool,
    /// Try it: install, upgrade, remove and purge in a fresh root file system; needs root
    #[arg(long = "try")]
    trial: bool,
    /// The root file system for --try (a tar archive by mmdebstrap); made when not given
    #[arg(long, value_name = "TAR", requires = "trial")]
    root: Option<PathBuf>,
}

/// Exit 1 when a check fails.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure(Purpose::Package)?;
    install_cargo_deb()?;
    let profile = if options.debug { "debug" } else { "release" };
    let mut build = process::cargo();
    build.args(["build", "--locked", "--package", "filter-user", "--bin", "weir"]);
    if !options.debug {
        build.arg("--release");
    }
    process::run(&mut build)?;
    let weir = crate::root().join("target").join(profile).join("weir");
    let place = crate::root().join("target/package");
    prepare(&weir, &place)?;
    // cargo-deb removes what it has left in target/debian before: the package itself comes last.
    let newer = match options.trial {
        true => Some(pack(options.debug, 2, &place.join("newer"))?),
        false => None,
    };
    let package = pack(options.debug, 1, &crate::root().join("target/debian"))?;
    println!("package: {}", package.display());
    let mut good = checks::run(&package, &weir, &place)?;
    if let Some(newer) = newer {
        good &= trial::run(&package, &newer, options.root.as_deref(), &place)?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn install_cargo_deb() -> Result<()> {
    if process::answer(process::cargo().args(["deb", "--version"])).is_some() {
        return Ok(());
    }
    println!("package: cargo-deb {CARGO_DEB}: compiling, a minute or two");
    let mut command = process::cargo();
    command
        .args(["install", "cargo-deb", "--locked", "--version", CARGO_DEB])
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR");
    process::run_quietly(&mut command, "cargo-deb")
}

/// Makes what the package needs and the repository does not have.
fn prepare(weir: &Path, place: &Path) -> Result<()> {
    if place.exists() {
        std::fs::remove_dir_all(place)
            .with_context(|| format!("cannot empty {}", place.display()))?;
    }
    let made = |directory: &str| {
        let directory = place.join(directory);
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))
            .map(|()| directory)
    };
    let (man, completions) = (made("man")?, made("completions")?);
    process::run(Command::new(weir).arg("man").arg(man))?;
    for (shell, name) in [("bash", "weir.bash"), ("zsh", "_weir"), ("fish", "weir.fish")] {
        let script = process::answer(Command::new(weir).args(["completions", shell]))
            .with_context(|| format!("`weir completions {shell}` failed"))?;
        write(&completions.join(name), &format!("{script}\n"))?;
    }
    write(&place.join("changelog"), &changelog()?)?;
    let licences = place.join("third-party-licences.txt");
    write(&licences, &licences::collect()?)?;
    process::run(Command::new("gzip").args(["-9", "-n"]).arg(&licences))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Debian's form of a changelog. What changed is in CHANGELOG.md; the date is that of the commit, so
/// that the same commit makes the same package.
fn changelog() -> Result<String> {
    let date = process::answer(Command::new("git").current_dir(crate::root()).args([
        "log",
        "-1",
        "--format=%cd",
        "--date=format:%a, %d %b %Y %H:%M:%S +0000",
    ]))
    .context("cannot ask git for the date of the commit")?;
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!(
        "weir ({version}-1) unstable; urgency=medium\n\n  * See \
         CHANGELOG.md of the project.\n\n -- The weir maintainers <weir@example.org>  {date}\n"
    ))
}

/// Runs cargo-deb into a directory, which it empties of other packages. `revision` ends the version,
/// for an upgrade to be tried.
fn pack(debug: bool, revision: u32, directory: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let version = format!("{}-{revision}", env!("CARGO_PKG_VERSION"));
    let mut command = process::cargo();
    command.args(["deb", "--quiet", "--no-build", "--strip", "--package", "filter-user"]);
    command.args(["--deb-version", &version, "--output"]).arg(directory);
    if debug {
        command.args(["--profile", "dev"]);
    }
    process::run(&mut command)?;
    let prefix = format!("weir_{version}_");
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?;
    let made = entries.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(&prefix) && name.ends_with(".deb")
    });
    made.with_context(|| format!("cargo-deb left no {prefix}*.deb in {}", directory.display()))
}
