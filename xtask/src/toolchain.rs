//! Where the compiler for the kernel half comes from. Shared by the xtask and by
//! `filter-user/build.rs`, so it uses the standard library only. It looks; installing is
//! `cargo xtask setup`'s work.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The BPF target of this project: little-endian, as are all hosts it supports.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// The distribution's compiler, which ships a `core` already built for [`TARGET`].
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";
/// The lints of that compiler, when they are installed.
pub(crate) const DISTRIBUTION_CLIPPY: &str = "/usr/bin/clippy-driver";

/// The one line that every "cannot build" message ends with.
pub(crate) const HINT: &str = "run `cargo xtask setup` to install it";

/// A compiler that can produce BPF objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// A rustup nightly with `rust-src`, which builds `core` itself.
    Nightly,
    /// A compiler at this path with `core` prebuilt for the target.
    Prebuilt(PathBuf),
}

/// All that is needed to build the kernel half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// Compiles.
    pub(crate) compiler: Compiler,
    /// Links to a loadable object.
    pub(crate) linker: PathBuf,
}

impl Toolchain {
    /// Finds a usable toolchain, or says what is missing, one reason a line.
    pub(crate) fn find() -> Result<Self, Vec<String>> {
        match (find_compiler(), find_linker()) {
            (Ok(compiler), Ok(linker)) => Ok(Self { compiler, linker }),
            (compiler, linker) => {
                Err([compiler.err(), linker.err()].into_iter().flatten().collect())
            }
        }
    }

    /// The command that builds the object of `manifest` under `target_dir`.
    pub(crate) fn build_command(&self, manifest: &Path, target_dir: &Path, arch: &str) -> Command {
        let mut command = self.cargo("build", target_dir, arch);
        // A build script's output is shown only when it fails: the errors are what counts.
        command.args(["--quiet", "--manifest-path"]).arg(manifest);
        command
    }

    /// The command that lints the manifest with every warning an error: by clippy, where it is
    /// there for this compiler, otherwise by the compiler alone.
    pub(crate) fn lint_command(&self, manifest: &Path, target_dir: &Path, arch: &str) -> Command {
        let mut command = match &self.compiler {
            Compiler::Nightly if nightly_has_clippy() => self.cargo("clippy", target_dir, arch),
            Compiler::Prebuilt(_) if Path::new(DISTRIBUTION_CLIPPY).exists() => {
                let mut command = self.cargo("check", target_dir, arch);
                command
                    .env("RUSTC_WORKSPACE_WRAPPER", DISTRIBUTION_CLIPPY)
                    .env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__");
                command
            }
            _ => self.cargo("check", target_dir, arch),
        };
        let flags = [rustflags(arch), "-Dwarnings".to_owned()].join("\u{1f}");
        command.arg("--manifest-path").arg(manifest).env("CARGO_ENCODED_RUSTFLAGS", flags);
        command
    }

    fn cargo(&self, verb: &str, target_dir: &Path, arch: &str) -> Command {
        let mut command = match &self.compiler {
            Compiler::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", "cargo", verb, "-Z", "build-std=core"]);
                command
            }
            Compiler::Prebuilt(rustc) => {
                let mut command = Command::new(cargo());
                command.arg(verb).env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
                command
            }
        };
        command
            .args(["--release", "--locked", "--target", TARGET, "--target-dir"])
            .arg(target_dir)
            .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker)
            .env("CARGO_ENCODED_RUSTFLAGS", rustflags(arch))
            // What the outer build has set is meant for the host.
            .env_remove("RUSTFLAGS")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .env_remove("CLIPPY_ARGS")
            .env_remove("CARGO_BUILD_TARGET");
        if self.compiler == Compiler::Nightly {
            command.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
        }
        command
    }
}

/// Flags in cargo's encoded form. `target-cpu=v3` gives 32-bit jumps and compare-and-swap (kernel
/// 5.12); `bpf_target_arch` chooses aya's bindings.
fn rustflags(arch: &str) -> String {
    [
        "-Clink-arg=--btf".to_owned(),
        "-Cdebuginfo=2".to_owned(),
        "-Cpanic=abort".to_owned(),
        "-Ctarget-cpu=v3".to_owned(),
        format!("--cfg=bpf_target_arch=\"{arch}\""),
    ]
    .join("\u{1f}")
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn nightly_has_clippy() -> bool {
    output("rustup", &["run", "nightly", "cargo", "clippy", "--version"]).is_some()
}

/// Finds the compiler alone, or says what was looked for.
pub(crate) fn find_compiler() -> Result<Compiler, String> {
    if let Some(sysroot) = output("rustup", &["run", "nightly", "rustc", "--print", "sysroot"])
        && Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/Cargo.toml").exists()
    {
        return Ok(Compiler::Nightly);
    }
    if let Some(sysroot) = output(DISTRIBUTION_RUSTC, &["--print", "sysroot"])
        && Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir()
    {
        return Ok(Compiler::Prebuilt(DISTRIBUTION_RUSTC.into()));
    }
    Err(format!(
        "no Rust compiler for {TARGET}: neither a nightly toolchain with rust-src nor \
         {DISTRIBUTION_RUSTC} with a prebuilt core"
    ))
}

/// Finds the linker alone, or says where it was looked for.
pub(crate) fn find_linker() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    std::env::split_paths(&path)
        .chain(home.map(|home| home.join("bin")))
        .map(|directory| directory.join("bpf-linker"))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| "no bpf-linker on the PATH or among cargo's installed programs".to_owned())
}
