//! A terminal: a program runs on a pseudo-terminal, what it writes is drawn by an emulator, and keys are
//! typed into it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{process, wait};

/// What was written, and what it looks like.
struct Drawn {
    screen: vt100::Parser,
    bytes: Vec<u8>,
}

/// A program on a terminal; killed when dropped.
pub struct Pty {
    master: File,
    child: Child,
    drawn: Arc<Mutex<Drawn>>,
    reader: std::thread::JoinHandle<()>,
    before: libc::termios,
}

fn size(columns: u16, rows: u16) -> libc::winsize {
    libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn open(columns: u16, rows: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    let (mut master, mut slave) = (-1, -1);
    let size = size(columns, rows);
    // SAFETY: two numbers to be written, no name, no modes, a size; all live through the call.
    let result = unsafe {
        libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null(), &size)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both were opened just now and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) })
}

/// How the terminal treats what is typed.
fn modes(terminal: &impl AsRawFd) -> io::Result<libc::termios> {
    // SAFETY: all zeros is a value of this structure of numbers.
    let mut modes = unsafe { std::mem::zeroed::<libc::termios>() };
    // SAFETY: the structure is valid through the call, which fills it in or fails.
    match unsafe { libc::tcgetattr(terminal.as_raw_fd(), &mut modes) } {
        0 => Ok(modes),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Pty {
    /// Starts a program on a terminal of this size, which it has for its own.
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Result<Self> {
        let (master, slave) = open(columns, rows).context("cannot open a pseudo-terminal")?;
        let before = modes(&slave).context("cannot read the terminal's modes")?;
        let shown = process::line(&command);
        let handle = || slave.try_clone().map(Stdio::from).context("cannot share the terminal");
        command.stdin(handle()?).stdout(handle()?).stderr(handle()?);
        // SAFETY: between fork and exec only two system calls are made.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        drop((command, slave));
        let master = File::from(master);
        let drawn = Arc::new(Mutex::new(Drawn {
            screen: vt100::Parser::new(rows, columns, 0),
            bytes: Vec::new(),
        }));
        let (mut from, to) =
            (master.try_clone().context("cannot share the terminal")?, Arc::clone(&drawn));
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 16_384];
            // It ends with an error when nobody has the other end any more.
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                let mut drawn = to.lock().unwrap_or_else(PoisonError::into_inner);
                drawn.screen.process(&buffer[..read]);
                drawn.bytes.extend_from_slice(&buffer[..read]);
            }
        });
        Ok(Self { master, child, drawn, reader, before })
    }

    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Types this.
    pub fn keys(&mut self, keys: &str) -> Result<()> {
        self.master.write_all(keys.as_bytes()).context("cannot type")
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        // The emulator cannot be nothing.
        self.drawn().screen.screen_mut().set_size(rows.max(1), columns.max(1));
        let size = size(columns, rows);
        // SAFETY: the structure is read during the call.
        let result = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &size) };
        ensure!(result == 0, "cannot resize: {}", io::Error::last_os_error());
        Ok(())
    }

    /// The lines of the screen, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        let drawn = self.drawn();
        let screen = drawn.screen.screen();
        let (_, columns) = screen.size();
        screen.rows(0, columns).map(|row| row.trim_end().to_owned()).collect()
    }

    /// The first line that has all of these.
    pub fn line(&self, has: &[&str]) -> Result<String> {
        let lines = self.lines();
        let found = lines.iter().find(|line| has.iter().all(|part| line.contains(part)));
        found.cloned().with_context(|| format!("no line has {has:?}:\n{}", lines.join("\n")))
    }

    /// Waits until there is such a line.
    pub fn wait(&self, has: &[&str], limit: Duration) -> Result<String> {
        wait::until("a line of the screen", limit, || self.line(has))
    }

    /// All that was written.
    pub fn bytes(&self) -> Vec<u8> {
        self.drawn().bytes.clone()
    }

    /// The program has the screen, not the shell.
    pub fn is_taken(&self) -> bool {
        self.drawn().screen.screen().alternate_screen()
    }

    /// The terminal treats what is typed as it did before the program started.
    pub fn is_restored(&self) -> Result<bool> {
        let now = modes(&self.master).context("cannot read the terminal's modes")?;
        let was = &self.before;
        Ok((now.c_iflag, now.c_oflag, now.c_cflag, now.c_lflag)
            == (was.c_iflag, was.c_oflag, was.c_cflag, was.c_lflag))
    }

    /// Sends the program a signal.
    pub fn signal(&self, number: libc::c_int) {
        if let Ok(pid) = libc::pid_t::try_from(self.child.id()) {
            // SAFETY: kill takes numbers only; this is a child that nobody has waited for.
            unsafe { libc::kill(pid, number) };
        }
    }

    /// Sends a signal to those whom the terminal listens to: what a shell runs on it.
    ///
    /// # Errors
    /// Nobody has the terminal.
    pub fn signal_foreground(&self, number: libc::c_int) -> Result<()> {
        // SAFETY: it takes a descriptor that is open.
        let group = unsafe { libc::tcgetpgrp(self.master.as_raw_fd()) };
        ensure!(group > 1, "nobody has the terminal: {}", io::Error::last_os_error());
        // SAFETY: kill takes numbers only; the group is of a child's session.
        let sent = unsafe { libc::kill(-group, number) };
        ensure!(sent == 0, "cannot send a signal: {}", io::Error::last_os_error());
        Ok(())
    }

    /// Whether the program still runs.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("cannot look at the program")?.is_none())
    }

    /// Waits until the program ends: its exit code, or the negative number of the signal that ended it.
    pub fn ended(&mut self, limit: Duration) -> Result<i32> {
        let child = &mut self.child;
        let status = wait::until("the program's end", limit, || {
            child.try_wait().context("cannot look at the program")?.context("it runs")
        })?;
        // Nobody has the other end any more: what was written is read, and then there is nothing.
        wait::until("the last of its output", limit, || {
            ensure!(self.reader.is_finished(), "it is still read");
            Ok(())
        })?;
        Ok(status.code().unwrap_or_else(|| -status.signal().unwrap_or_default()))
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _gone = self.child.kill();
            let _gone = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_shell_on_a_terminal() {
        let mut command = Command::new("sh");
        command.args(["-c", "stty size; read line; echo got $line; stty size; exit 3"]);
        let mut pty = Pty::start(command, 40, 5).expect("starts");
        pty.wait(&["5 40"], SOON).expect("its size");
        pty.resize(30, 6).expect("resizes");
        pty.keys("word\r").expect("types");
        pty.wait(&["got word"], SOON).expect("an answer");
        pty.wait(&["6 30"], SOON).expect("the new size");
        assert_eq!(pty.ended(SOON).expect("ends"), 3);
        assert!(!pty.is_taken() && pty.is_restored().expect("modes"));
    }
}
