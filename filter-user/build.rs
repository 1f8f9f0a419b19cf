//! Builds the kernel half and hands the object to `include_bytes!`, so that the `weir` binary is
//! one file to ship. A missing toolchain is a build error with a remedy, not a panic.

#[expect(dead_code, reason = "the xtask uses the rest")]
#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    // `cargo::error` fails the build; to end with a failure as well would only add a dump of what
    // this script printed.
    for problem in build().err().unwrap_or_default() {
        println!("cargo::error={problem}");
    }
}

/// What a program says, in one line; `None` when it fails.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty() && !text.contains('\n'))
}

/// The commit that is built, with `-dirty` when files differ from it; `None` outside of a repository of
/// this project. Files alone that change do not make it be looked up again.
fn commit(root: &Path) -> Option<String> {
    let git = |words: &[&str]| said(Command::new("git").arg("-C").arg(root).args(words));
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    // The sources may lie in somebody else's repository.
    if top.canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    // Every commit, checkout and merge adds a line to it.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        let log = root.join(log);
        if log.is_file() {
            println!("cargo::rerun-if-changed={}", log.display());
        }
    }
    let mut hash = git(&["rev-parse", "--short=12", "HEAD"])?;
    let differs = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["diff", "--quiet", "HEAD"])
        .status()
        .is_ok_and(|status| status.code() == Some(1));
    if differs {
        hash.push_str("-dirty");
    }
    Some(hash)
}

fn build() -> Result<(), Vec<String>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| vec![format!("{name} is not set")]);
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("..");
    let out = PathBuf::from(variable("OUT_DIR")?);
    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    if variable("CARGO_CFG_TARGET_ENDIAN")? != "little" {
        return Err(vec!["weir supports little-endian hosts only".to_owned()]);
    }
    for path in ["filter-ebpf", "filter-common", "xtask/src/toolchain.rs"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rustc-env=WEIR_GIT={}", commit(&root).unwrap_or("unknown".to_owned()));
    let rustc = std::env::var_os("RUSTC").and_then(|rustc| said(Command::new(rustc).arg("-V")));
    println!("cargo::rustc-env=WEIR_RUSTC={}", rustc.unwrap_or("unknown".to_owned()));

    let toolchain = toolchain::Toolchain::find().map_err(|mut missing| {
        missing.push(format!("the eBPF toolchain is incomplete: {}", toolchain::HINT));
        missing
    })?;
    let target_dir = out.join("ebpf");
    let output = toolchain
        .build_command(&root.join("filter-ebpf/Cargo.toml"), &target_dir, &arch)
        .output()
        .map_err(|error| vec![format!("cannot start the eBPF build: {error}")])?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let mut lines: Vec<String> = vec!["the eBPF half does not build:".to_owned()];
        lines.extend(text.lines().map(str::to_owned));
        return Err(lines);
    }
    let object = target_dir.join(toolchain::TARGET).join("release/weir-bpf");
    std::fs::copy(&object, out.join("weir.bpf.o"))
        .map(drop)
        .map_err(|error| vec![format!("cannot copy {}: {error}", object.display())])
}
