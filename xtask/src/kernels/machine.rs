//! A machine that runs one kernel with our programs and nothing else: an initial file system packed
//! here, booted by qemu without the host's virtualisation, read over the serial port.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::packages::{Kernel, find};
use crate::process;

/// Modules that the guest loads, in this order, where they are not part of the kernel.
const MODULES: [&str; 3] = ["veth", "sch_ingress", "cls_bpf"];
/// What the guest runs.
const GUEST: &str = include_str!("guest.sh");
/// No kernel may take longer, in seconds: emulation is slow, and a guest that hangs has failed.
const LIMIT: &str = "1800";

/// One result of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// What was checked.
    pub(super) name: String,
    /// Whether it is as it should be.
    pub(super) ok: bool,
    /// What is to be known about it.
    pub(super) told: String,
}

/// A result out of a line of the serial port.
fn parse(line: &str) -> Option<Check> {
    let (_, result) = line.split_once("@@ ")?;
    let mut words = result.trim().splitn(3, ' ');
    let (name, verdict) = (words.next()?, words.next()?);
    let told = words.next().unwrap_or_default().to_owned();
    Some(Check { name: name.to_owned(), ok: verdict == "ok", told })
}

/// Packs the initial file system of a kernel: busybox, `ip`, curl, ours, and the libraries they need.
pub(super) fn pack(kernel: &Kernel, programs: &[(&str, PathBuf)], home: &Path) -> Result<PathBuf> {
    let root = home.join(format!("root-{}", kernel.version));
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    for directory in ["bin", "own", "modules", "proc", "sys", "dev", "tmp", "etc"] {
        let path = root.join(directory);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    }
    write(&root.join("init"), GUEST)?;
    std::os::unix::fs::symlink("/own/busybox", root.join("bin/busybox"))
        .context("cannot link busybox")?;
    let mut all = programs.to_vec();
    for name in ["busybox", "ip", "curl"] {
        all.push((name, process::find(name).with_context(|| format!("there is no {name}"))?));
    }
    for (name, path) in &all {
        let to = root.join("own").join(name);
        // Without its debugging information a program is a tenth as large, and memory is small.
        process::run(Command::new("strip").arg("-o").arg(&to).arg(path))?;
        for library in libraries(path) {
            let to = root.join(library.strip_prefix("/").unwrap_or(&library));
            if let Some(directory) = to.parent() {
                fs::create_dir_all(directory)
                    .with_context(|| format!("cannot create {}", directory.display()))?;
            }
            fs::copy(&library, &to)
                .with_context(|| format!("cannot copy {}", library.display()))?;
        }
    }
    for (number, name) in MODULES.iter().enumerate() {
        let Some(module) = find(&kernel.modules, &format!("{name}.ko")) else { continue };
        let to = root.join("modules").join(format!("{number}-{name}.ko"));
        if module.extension().is_some_and(|extension| extension == "xz") {
            let file =
                fs::File::create(&to).with_context(|| format!("cannot create {}", to.display()))?;
            process::run(Command::new("xz").args(["-dc"]).arg(&module).stdout(file))?;
        } else {
            fs::copy(&module, &to).with_context(|| format!("cannot copy {}", module.display()))?;
        }
    }
    let image = home.join(format!("initrd-{}", kernel.version));
    let mut archive = Command::new("sh");
    archive.args(["-c", "find . | busybox cpio -o -H newc > \"$0\" 2> /dev/null"]).arg(&image);
    process::run(archive.current_dir(&root))?;
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    Ok(image)
}

fn write(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The shared libraries a program names, and the loader. A program that needs none names none.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = process::answer(Command::new("ldd").arg(program)).unwrap_or_default();
    listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .filter(|path| path.exists())
        .collect()
}

/// Boots it and reads what the guest says; `log` keeps all of it.
pub(super) fn boot(kernel: &Kernel, image: &Path, old: bool, log: &Path) -> Result<Vec<Check>> {
    let mut command = Command::new("timeout");
    let old = if old { " weir.old" } else { "" };
    command
        .args(["--kill-after=5", LIMIT, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max"])
        .args(["-smp", "2", "-m", "1024", "-nographic", "-no-reboot", "-net", "none"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(image)
        // An emulated timer may be late where the host is busy, and a kernel that waits for it gives up.
        .args(["-append", &format!("console=ttyS0 quiet panic=-1 no_timer_check{old}")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let shown = process::line(&command);
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let output = child.stdout.take().with_context(|| format!("no output of `{shown}`"))?;
    let mut checks = Vec::new();
    let mut said =
        fs::File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("reading the output of `{shown}`"))?;
        let line = String::from_utf8_lossy(&line);
        writeln!(said, "{}", line.trim_end())
            .with_context(|| format!("cannot write {}", log.display()))?;
        if let Some(check) = parse(&line) {
            let word = if check.ok { "ok" } else { "FAILED" };
            println!("kernels: {:<5} {:<14} {word:<6} {}", kernel.version, check.name, check.told);
            checks.push(check);
        }
    }
    child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    ensure!(
        checks.last().is_some_and(|check| check.name == "end"),
        "kernel {} did not get to the end; what it said is in {}",
        kernel.version,
        log.display()
    );
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_among_other_lines() {
        let check = |name: &str, ok, told: &str| {
            Some(Check { name: name.to_owned(), ok, told: told.to_owned() })
        };
        let rows = [
            ("@@ rows ok 31 tests\r", check("rows", true, "31 tests")),
            ("[    1.5] noise @@ native FAILED\r", check("native", false, "")),
            ("SeaBIOS (version 1.16)", None),
            ("@@ ", None),
        ];
        for (line, expected) in rows {
            assert_eq!(parse(line), expected, "{line}");
        }
    }
}
