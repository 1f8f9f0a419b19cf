//! Hosts that lack something: a state directory that takes nothing, rights, a locale with more than
//! ASCII. Either it goes on and says so, or it refuses and says why.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::lab::INTERFACE;
use weir_tests::process;
use weir_tests::pty::Pty;
use weir_tests::wait;
use weir_tests::weir::{self, Plan, Weir};

use crate::site;

const SOON: Duration = Duration::from_secs(20);

/// A file system on a directory, gone when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&at)?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "ro", "weir-tests"]).arg(&at);
        process::run(&mut command, SOON)?.success()?;
        Ok(Self(at))
    }

    fn open(&self) -> Result<()> {
        let mut command = Command::new("mount");
        command.args(["-o", "remount,rw"]).arg(&self.0);
        process::run(&mut command, SOON)?.success().map(drop)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A test that fails says so already.
        let _left = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_state_directory_that_takes_nothing_keeps_nobody_from_being_refused() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let policy = site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
    let arguments = ["--policy", policy.as_str()];
    let plan = Plan { arguments: &arguments, ..Plan::default() };
    let mut weir = Weir::prepare(&lab, server, &plan)?;
    let disk = Disk::mount(weir.state())?;
    let mut doctor = server.netns.command(weir::binary()?);
    let settings = format!("state_dir = \"{}\"\n", weir.state().display());
    let settings = site::write(&lab, "weir.toml", &settings)?;
    let doctor = process::run(doctor.args(["doctor", "--config", &settings]), SOON)?;
    let line = doctor.stdout.lines().find(|line| line.contains("cannot write to"));
    ensure!(
        line.is_some_and(|line| line.contains("warn") && line.contains("Read-only file system")),
        "{}",
        doctor.stdout
    );

    weir.start_again()?;
    assert_eq!(site::answered(client, server)?, [true; 2]);
    assert_eq!(site::answered(stranger, server)?, [false; 2]);
    let address = client.v4().to_string();
    weir.verb(&["ban", "add", &address, "--ttl", "5m"])?.success()?;
    assert_eq!(site::answered(client, server)?, [false, true], "the ban holds");
    weir.verb(&["ban", "remove", &address])?.success()?;
    weir.verb(&["apply", &policy])?.success()?;
    assert_eq!(site::answered(stranger, server)?, [false; 2]);
    let page = weir.verb(&["status"])?.success()?;
    let problem = "Read-only file system";
    assert!(page.contains(problem) && page.contains("until the state directory"), "{page}");
    let log = weir.log();
    let said = log.lines().filter(|line| line.contains("cannot open") && line.contains("weir.db"));
    assert!((1..=3).contains(&said.count()), "said, and not with everything it keeps: {log}");

    disk.open()?;
    weir.verb(&["apply", &policy])?.success()?;
    let page = weir.verb(&["status"])?.success()?;
    assert!(!page.contains("until the state directory"), "{page}");
    let history = weir.json(&["history"])?;
    assert!(history.to_string().contains("policy.toml"), "kept from now on: {history}");
    assert_eq!(weir.stop()?, 0);
    Ok(())
}

#[test]
fn rights_that_are_missing_are_named() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let weir = Weir::prepare(&lab, server, &Plan::default())?;
    let as_told = |line: &str| {
        let mut command = server.netns.command("sh");
        process::run(command.args(["-c", line]), SOON)
    };
    // What takes the rights away, words of the refusal, words of the doctor.
    let without = |name: &str| format!("setpriv --bounding-set=-{name} --inh-caps=-all");
    let rows = [
        (without("bpf"), "CAP_BPF missing", "missing: CAP_BPF"),
        (without("net_admin"), "CAP_NET_ADMIN missing", "missing: CAP_NET_ADMIN"),
        (without("perfmon"), "CAP_PERFMON missing", "missing: CAP_PERFMON"),
        (without("all"), "CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF missing", "missing: CAP_NET_ADMIN"),
        // All rights, which do not count: a rootless container.
        ("unshare --user --map-root-user".to_owned(), "user namespace", "arrays: Operation not"),
    ];
    for (less, refused, told) in rows {
        let output = as_told(&format!("exec {less} {}", weir.start_line()))?.expect_code(2)?;
        assert!(output.stderr.contains(refused), "{less}: {}", output.stderr);
        assert!(!output.stderr.contains("panicked"), "{less}: {}", output.stderr);
        let binary = weir::binary()?;
        let doctor = format!("exec {less} {} doctor -i {INTERFACE}", binary.display());
        let output = as_told(&doctor)?.expect_code(1)?;
        assert!(output.stdout.contains(told), "{less}: {}", output.stdout);
    }
    Ok(())
}

#[test]
fn a_locale_without_utf8() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let screen = |locale: &str| -> Result<String> {
        let mut command = server.netns.command(weir::binary()?);
        // An interface that is not there has a hint, which begins with an arrow.
        command.args(["doctor", "-i", "none"]);
        command.env("LC_ALL", locale).env("TERM", "xterm-256color");
        let mut pty = Pty::start(command, 200, 40)?;
        pty.ended(SOON)?;
        // The terminal may be read a little later.
        wait::until("the last line", SOON, || pty.wait(&["this host cannot run"], SOON))?;
        Ok(String::from_utf8_lossy(&pty.bytes()).into_owned())
    };
    assert!(screen("C.UTF-8")?.contains("\u{2192} there are"));
    let plain = screen("C")?;
    assert!(plain.is_ascii() && plain.contains("> there are"), "{plain}");

    // What people wrote is not changed.
    let reason = "d\u{e9}p\u{f4}t";
    weir.verb(&["ban", "add", "203.0.113.9", "--ttl", "5m", "--reason", reason])?.success()?;
    for verb in [&["ban", "list"][..], &["audit"]] {
        let mut command = weir.verb_command(verb);
        let output = process::run(command.env("LC_ALL", "C"), SOON)?.success()?;
        assert!(output.contains(reason), "{verb:?}: {output}");
    }
    // Latin-1, as a shell of such a locale would hand it on.
    let latin = OsStr::from_bytes(b"d\xe9p\xf4t.toml");
    for verb in ["check", "apply", "replay", "explain", "ban"] {
        let mut command = weir.verb_command(&[verb]);
        let output = process::run(command.arg(latin).env("LC_ALL", "C"), SOON)?;
        assert!(matches!(output.code, 1 | 2), "{verb}: {} {}", output.code, output.stderr);
        assert!(!output.stderr.contains("panicked"), "{verb}: {}", output.stderr);
        assert!(!output.stderr.is_empty() || !output.stdout.is_empty(), "{verb} says nothing");
    }
    Ok(())
}
