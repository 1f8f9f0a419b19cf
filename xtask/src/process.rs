//! Running other programs: with their name in every error, without a standard input, and with
//! signs of life when they are slow.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a silent command says that it is still running.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How much of a failed silent command's log is shown, in lines.
const LOG_TAIL: usize = 40;

/// The cargo that runs this xtask, without what that one told the xtask of itself: build scripts
/// (ring's) that look at it would run anew, and all that rests on them be compiled anew, whenever cargo is
/// run by hand and by the xtask in turn.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::root());
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        command.env_remove(name);
    }
    command
}

/// The command as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    words(std::iter::once(command.get_program()).chain(command.get_args()))
}

/// Words as a person would type them.
pub(crate) fn words<'a>(words: impl Iterator<Item = &'a OsStr>) -> String {
    words
        .map(OsStr::to_string_lossy)
        .map(|word| if word.contains(' ') { format!("'{word}'") } else { word.into_owned() })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs with inherited output.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{}`", line(command)))
}

/// Runs with inherited output; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// The standard output of a command that succeeds, or nothing.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a chatty command with its output kept away, a line every quarter of a minute, and the end
/// of its output when it fails.
pub(crate) fn run_quietly(command: &mut Command, what: &str) -> Result<()> {
    let mut log = tempfile::tempfile().context("cannot create a log in the temporary directory")?;
    let share = |log: &File| log.try_clone().context("cannot share the log with a command");
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(share(&log)?)
        .stderr(share(&log)?)
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    let mut next = HEARTBEAT;
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for a command")? {
            break status;
        }
        if start.elapsed() >= next {
            println!("         {what}: still at it after {} s", start.elapsed().as_secs());
            next += HEARTBEAT;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    log.seek(SeekFrom::Start(0))
        .and_then(|_| log.read_to_end(&mut text))
        .context("reading the log")?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_TAIL)..] {
        eprintln!("  | {line}");
    }
    bail!("`{}` ended with {status}", line(command));
}

/// Where a program is: on the PATH, or in the directories of system programs, which the PATH of an
/// ordinary user may lack.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Who runs this.
pub(crate) struct Privileges {
    /// Effective user id 0.
    pub(crate) root: bool,
    /// Capabilities that the kernel tests need and this process lacks.
    pub(crate) lacking: Vec<&'static str>,
}

/// Reads the privileges of this process from /proc.
pub(crate) fn privileges() -> Result<Privileges> {
    let path = Path::new("/proc/self/status");
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse_privileges(&text).with_context(|| format!("unexpected text in {}", path.display()))
}

/// Capability numbers of include/uapi/linux/capability.h.
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN"), (39, "CAP_BPF")];

fn parse_privileges(status: &str) -> Option<Privileges> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let effective_uid = field("Uid:")?.split_whitespace().nth(1)?;
    let capabilities = u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?;
    let lacking =
        NEEDED.iter().filter(|(bit, _)| capabilities >> bit & 1 == 0).map(|(_, name)| *name);
    Some(Privileges { root: effective_uid == "0", lacking: lacking.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_are_read() {
        let rows = [
            ("root", "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n", Some((true, 0))),
            ("user", "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\n", Some((false, 3))),
            (
                "root without CAP_BPF",
                "Uid:\t0\t0\t0\t0\nCapEff:\t0000000000201000\n",
                Some((true, 1)),
            ),
            ("no capabilities line", "Uid:\t0\t0\t0\t0\n", None),
            ("not a number", "Uid:\t0\t0\t0\t0\nCapEff:\tzz\n", None),
        ];
        for (name, text, expected) in rows {
            let got = parse_privileges(text).map(|p| (p.root, p.lacking.len()));
            assert_eq!(got, expected, "{name}");
        }
    }

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("apt-get");
        command.args(["install", "-o", "Dpkg::Options=a b"]);
        assert_eq!(line(&command), "apt-get install -o 'Dpkg::Options=a b'");
    }

    #[test]
    fn a_failing_command_is_named() {
        for result in [
            run(Command::new("false").arg("argument")),
            run_quietly(Command::new("false").arg("argument"), "nothing"),
        ] {
            let error = format!("{:#}", result.expect_err("false succeeds"));
            assert!(error.contains("`false argument` ended with exit status: 1"), "{error}");
        }
        let error =
            format!("{:#}", run(&mut Command::new("/no/such/program")).expect_err("it ran"));
        assert!(error.contains("cannot start `/no/such/program`"), "{error}");
    }
}
