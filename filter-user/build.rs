//! Builds the kernel half and hands the object to `include_bytes!`, so that the `weir` binary is
//! one file to ship. A missing toolchain is a build error with a remedy, not a panic.

#[expect(dead_code, reason = "the xtask uses the rest")]
#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

use std::path::{Path, PathBuf};

fn main() {
    // `cargo::error` fails the build; to end with a failure as well would only add a dump of what
    // this script printed.
    for problem in build().err().unwrap_or_default() {
        println!("cargo::error={problem}");
    }
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
