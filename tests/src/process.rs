//! Programs in the laboratory: run to their end within a deadline, or in the background until
//! dropped.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{interrupt, wait};

/// Between two looks at a child.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two looks at the clock while a child runs.
const LOOK: Duration = Duration::from_millis(50);
/// How long a background process may take to end when asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How much of a log is shown in an error, in lines.
const TAIL: usize = 40;

/// What a program left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command as typed, for messages.
    pub command: String,
    /// Exit code; the negative number of the signal that ended it.
    pub code: i32,
    /// Standard output, invalid UTF-8 replaced.
    pub stdout: String,
    /// Standard error, invalid UTF-8 replaced.
    pub stderr: String,
}

impl Output {
    /// The standard output of a program that ended with exit code 0; otherwise an error that shows
    /// both its streams.
    pub fn success(self) -> Result<String> {
        self.expect_code(0).map(|output| output.stdout)
    }

    /// The same for any exit code.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        if self.code != code {
            bail!(
                "`{}` ended with {} instead of {code}\n{}{}",
                self.command,
                self.code,
                tail(&self.stdout),
                tail(&self.stderr)
            );
        }
        Ok(self)
    }
}

/// The command as a person would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// How a program ends that measures or judges: 0 when all is as it should be, 1 when not, and 2, with
/// the error on standard error, when that could not be told.
pub fn exit_code(outcome: Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs a program to its end; kills it when it takes longer than `limit`, or when this process is
/// told to end (see [`interrupt`]).
pub fn run(command: &mut Command, limit: Duration) -> Result<Output> {
    interrupt::check()?;
    let output = watched(command, limit, interrupt::is_asked);
    interrupt::check()?;
    output
}

/// The same for what must be done in any case: cleaning up.
pub(crate) fn run_anyway(command: &mut Command, limit: Duration) -> Result<Output> {
    watched(command, limit, || false)
}

fn watched(command: &mut Command, limit: Duration, give_up: fn() -> bool) -> Result<Output> {
    let shown = line(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let pid = child.id();
    let (done, finished) = std::sync::mpsc::channel::<()>();
    // The child's pipes must be read while it runs, so the deadline is kept by another thread.
    let watch = std::thread::spawn(move || {
        let start = Instant::now();
        while finished.recv_timeout(LOOK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            if start.elapsed() >= limit || give_up() {
                signal(pid, libc::SIGKILL);
                return true;
            }
        }
        false
    });
    let (stdout, stderr) = read_both(&mut child);
    let status = child.wait();
    drop(done);
    let late = watch.join().unwrap_or(true);
    let status = status.with_context(|| format!("cannot wait for `{shown}`"))?;
    let output = Output { command: shown, code: code(status), stdout, stderr };
    if late {
        bail!(
            "`{}` took longer than {} s\n{}{}",
            output.command,
            limit.as_secs(),
            tail(&output.stdout),
            tail(&output.stderr)
        );
    }
    Ok(output)
}

fn read_both(child: &mut Child) -> (String, String) {
    fn text(stream: Option<impl std::io::Read>) -> String {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream
            && let Err(error) = stream.read_to_end(&mut bytes)
        {
            bytes.extend_from_slice(format!("\n(cut short: {error})\n").as_bytes());
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
    let stderr = child.stderr.take();
    let errors = std::thread::spawn(move || text(stderr));
    let stdout = text(child.stdout.take());
    (stdout, errors.join().unwrap_or_default())
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or_default())
}

/// Sends a signal to one process.
fn signal(pid: u32, signal: libc::c_int) {
    if let Ok(pid) = libc::pid_t::try_from(pid)
        && pid > 0
    {
        // SAFETY: kill only takes numbers; a positive pid is one process, never a group.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Kills a process that is not a child of this one.
pub(crate) fn kill(pid: u32) {
    signal(pid, libc::SIGKILL);
}

/// The last lines of a text, indented.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL);
    lines[from..].iter().map(|line| format!("  | {line}\n")).collect()
}

/// A program that runs until it is stopped or dropped. Its output goes to a file.
#[derive(Debug)]
pub struct Background {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Background {
    /// Starts a program; `log` receives what it prints, after what is in it already.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let errors = file.try_clone().with_context(|| format!("cannot share {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            // A signal from the terminal is for the laboratory, which ends its processes in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{}`", line(&command)))?;
        Ok(Self { child, name: name.to_owned(), log: log.to_owned() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of what it printed.
    pub fn log(&self) -> String {
        tail(&std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Waits until `attempt` succeeds; fails at once when the process has ended, and shows its
    /// log either way.
    pub fn ready<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let mut ended = None;
        let child = &mut self.child;
        let result = wait::until(what, limit, || {
            ended = child.try_wait().context("cannot look at the process")?;
            if ended.is_some() { Ok(None) } else { attempt().map(Some) }
        });
        match result {
            Ok(Some(value)) => Ok(value),
            Ok(None) => bail!(
                "{} ended with {} before {what}\n{}",
                self.name,
                ended.map_or(0, code),
                self.log()
            ),
            Err(error) => Err(error.context(format!("{} says\n{}", self.name, self.log()))),
        }
    }

    /// Sends a signal, for example `libc::SIGHUP`.
    pub fn signal(&self, number: libc::c_int) {
        signal(self.child.id(), number);
    }

    /// Asks it to end (SIGTERM) and hands on its exit code as [`Output::code`] does. One that
    /// does not end in five seconds is killed, which is an error.
    pub fn stop(mut self) -> Result<i32> {
        self.terminate()
    }

    /// Waits until it ends by itself and hands on its exit code.
    pub fn ended(mut self, limit: Duration) -> Result<i32> {
        let child = &mut self.child;
        let status = wait::until("its end", limit, || {
            child.try_wait().context("cannot look at the process")?.context("it runs")
        });
        status.map(code).with_context(|| format!("{} says\n{}", self.name, self.log()))
    }

    /// Kills it as a crash would (SIGKILL).
    pub fn crash(mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name)).map(drop)
    }

    /// Leaves it running when this process ends.
    pub fn leave(self) {
        // The child is neither killed nor waited for; init inherits it.
        std::mem::forget(self);
    }

    fn terminate(&mut self) -> Result<i32> {
        self.signal(libc::SIGTERM);
        let start = Instant::now();
        loop {
            let status = self.child.try_wait();
            if let Some(status) = status.with_context(|| format!("waiting for {}", self.name))? {
                return Ok(code(status));
            }
            if start.elapsed() >= GRACE {
                self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
                self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
                bail!("{} did not end on SIGTERM\n{}", self.name, self.log());
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None))
            && let Err(error) = self.terminate()
        {
            eprintln!("warning: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn streams_and_codes_are_kept() {
        let rows = [
            ("success", "echo out; echo err >&2", 0, "out\n", "err\n"),
            ("failure", "echo out; exit 3", 3, "out\n", ""),
            ("killed", "kill -9 $$", -9, "", ""),
        ];
        for (name, script, code, stdout, stderr) in rows {
            let output = run(&mut shell(script), Duration::from_secs(10)).expect(name);
            assert_eq!(
                (output.code, output.stdout.as_str(), output.stderr.as_str()),
                (code, stdout, stderr),
                "{name}"
            );
        }
    }

    #[test]
    fn a_large_output_does_not_block() {
        let script = "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2";
        let output = run(&mut shell(script), Duration::from_secs(20)).expect("it ends");
        assert_eq!((output.stdout.len(), output.stderr.len()), (1_000_000, 1_000_000));
    }

    #[test]
    fn the_deadline_is_kept() {
        let start = Instant::now();
        let error = run(&mut shell("echo begun; exec sleep 60"), Duration::from_millis(200));
        let error = format!("{:#}", error.expect_err("it was late"));
        assert!(error.contains("took longer") && error.contains("| begun"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_background_process_ends_with_its_value() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("log");
        let sleeper = Background::start("sleeper", shell("exec sleep 60"), &log).expect("starts");
        let pid = sleeper.pid();
        drop(sleeper);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn one_that_ends_too_early_is_shown_with_its_log() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("log");
        let mut ended =
            Background::start("server", shell("echo no port; exit 4"), &log).expect("starts");
        let error = ended.ready("an answer", Duration::from_secs(20), || -> Result<()> {
            bail!("nothing there")
        });
        let error = format!("{:#}", error.expect_err("it cannot be ready"));
        assert!(error.contains("server ended with 4") && error.contains("| no port"), "{error}");
    }
}
