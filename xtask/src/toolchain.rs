//! Where the compiler for the kernel half comes from. Shared by the xtask and by
//! `filter-user/build.rs`, so it uses the standard library only. It looks; installing is
//! `cargo xtask setup`'s work.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The BPF target of this project: little-endian, as are all hosts it supports.
pub const TARGET: &str = "bpfel-unknown-none";

/// The distribution's compiler, which ships a `core` already built for [`TARGET`].
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";

/// The one line that every "cannot build" message ends with.
pub const HINT: &str = "run `cargo xtask setup` to install it";

/// A compiler that can produce BPF objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// A rustup nightly with `rust-src`, which builds `core` itself.
    Nightly,
    /// A compiler at this path with `core` prebuilt for the target.
    Prebuilt(PathBuf),
}

/// All that is needed to build the kernel half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// Compiles.
    pub compiler: Compiler,
    /// Links to a loadable object.
    pub linker: PathBuf,
}

impl Toolchain {
    /// Finds a usable toolchain, or says what is missing, one reason a line.
    pub fn find() -> Result<Self, Vec<String>> {
        match (find_compiler(), find_linker()) {
            (Ok(compiler), Ok(linker)) => Ok(Self { compiler, linker }),
            (compiler, linker) => {
                Err([compiler.err(), linker.err()].into_iter().flatten().collect())
            }
        }
    }

    /// The command that builds the object of `manifest` under `target_dir`.
    pub fn build_command(&self, manifest: &Path, target_dir: &Path, arch: &str) -> Command {
        let mut command = match &self.compiler {
            Compiler::Nightly => {
                let mut command = Command::new("rustup");
                command.args([
                    "run",
                    "nightly",
                    "cargo",
                    "build",
                    "--quiet",
                    "-Z",
                    "build-std=core",
                ]);
                command
            }
            Compiler::Prebuilt(rustc) => {
                let mut command = Command::new(cargo());
                command.args(["build", "--quiet"]).env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
                command
            }
        };
        command
            .args(["--release", "--locked", "--target", TARGET, "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
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

fn find_compiler() -> Result<Compiler, String> {
    let output = |program: &str, args: &[&str]| {
        Command::new(program)
            .args(args)
            .output()
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
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

fn find_linker() -> Result<PathBuf, String> {
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
