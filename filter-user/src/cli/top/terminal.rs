//! The terminal: taken, and given back however the view ends.

use std::io::{self, IsTerminal as _, Stdout, Write as _, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};

/// A signal asked for the end.
static ENDED: AtomicBool = AtomicBool::new(false);
/// A signal asked to let the shell have the terminal. The key does not come as one: the terminal is raw.
static STOPPED: AtomicBool = AtomicBool::new(false);
/// The terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The screen of a view; dropping it gives the terminal back.
pub(super) struct Screen {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
}

/// Why the view cannot be here; `None`: it can.
pub(super) fn unfit(term: Option<&str>) -> Option<&'static str> {
    if !stdout().is_terminal() {
        return Some("standard output is no terminal");
    }
    if !io::stdin().is_terminal() {
        return Some("standard input is no terminal");
    }
    match term {
        None | Some("" | "dumb") => Some("the terminal (TERM) cannot place a cursor"),
        Some(_) => None,
    }
}

impl Screen {
    /// Takes the terminal. A panic gives it back before it is told.
    pub(super) fn open() -> io::Result<Self> {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            told(panic);
        }));
        for number in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
            handle(number, note);
        }
        handle(libc::SIGTSTP, note_stop);
        take()?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()));
        terminal.map(|terminal| Self { terminal }).inspect_err(|_| give_back())
    }

    /// Whether a signal asked for the end.
    pub(super) fn is_ended(&self) -> bool {
        ENDED.load(Ordering::Relaxed)
    }

    /// Whether a signal asked to let the shell have the terminal, since this was asked last.
    pub(super) fn is_stopped(&self) -> bool {
        STOPPED.swap(false, Ordering::Relaxed)
    }

    /// Lets the shell have the terminal until it wakes this process again. Without a shell that could,
    /// the kernel stops nothing, and the view goes on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        // SAFETY: the default action, and a signal to this process; it goes on here after SIGCONT.
        unsafe {
            libc::signal(libc::SIGTSTP, libc::SIG_DFL);
            libc::raise(libc::SIGTSTP);
        }
        handle(libc::SIGTSTP, note_stop);
        take()?;
        self.wipe()
    }

    /// Has everything drawn anew: something else wrote to the terminal. Nothing is asked of the terminal,
    /// as [`Terminal::clear`] does: over a slow line the answer may come too late.
    pub(super) fn wipe(&mut self) -> io::Result<()> {
        execute!(stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

extern "C" fn note(_number: libc::c_int) {
    ENDED.store(true, Ordering::Relaxed);
}

extern "C" fn note_stop(_number: libc::c_int) {
    STOPPED.store(true, Ordering::Relaxed);
}

fn handle(number: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: the handlers only store to an atomic, which is safe in one.
    unsafe { libc::signal(number, handler as libc::sighandler_t) };
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::Relaxed);
    execute!(stdout(), EnterAlternateScreen).inspect_err(|_| give_back())
}

/// What cannot be undone is not worth a word: the terminal may be gone.
fn give_back() {
    if TAKEN.swap(false, Ordering::Relaxed) {
        let mut out = stdout();
        let _gone = queue!(out, LeaveAlternateScreen, Show);
        let _gone = out.flush();
        let _gone = disable_raw_mode();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::{AsRawFd as _, FromRawFd as _};
    use std::process::{Command, Stdio};

    /// Run by the test below on a terminal of its own.
    #[test]
    #[ignore = "it panics, and is to"]
    fn panics_with_the_screen_taken() {
        if unfit(Some("xterm")).is_none() {
            let _screen = Screen::open().unwrap();
            panic!("out of order");
        }
    }

    fn local_modes(terminal: &File) -> libc::tcflag_t {
        // SAFETY: all zeros is a value of this structure of numbers.
        let mut modes = unsafe { std::mem::zeroed::<libc::termios>() };
        // SAFETY: the structure is valid through the call, which fills it in or fails.
        assert_eq!(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &mut modes) }, 0);
        modes.c_lflag
    }

    #[test]
    fn a_panic_gives_the_terminal_back_and_is_told_then() {
        let (mut master, mut slave) = (-1, -1);
        let (name, null) = (std::ptr::null_mut(), std::ptr::null());
        // SAFETY: two numbers to be written, no name, no modes, no size.
        let opened = unsafe { libc::openpty(&mut master, &mut slave, name, null, null.cast()) };
        assert_eq!(opened, 0);
        // SAFETY: both were opened just now and belong to nobody else.
        let (mut master, slave) = unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) };
        let before = local_modes(&slave);
        let handle = || Stdio::from(slave.try_clone().unwrap());
        let name = "cli::top::terminal::tests::panics_with_the_screen_taken";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", name, "--nocapture", "--test-threads=1"]);
        let mut child = command.stdin(handle()).stdout(handle()).stderr(handle()).spawn().unwrap();
        drop(command);
        assert_ne!(child.wait().unwrap().code(), Some(0));
        assert_eq!(local_modes(&slave), before);
        drop(slave);
        let mut written = Vec::new();
        // It ends with EIO, because nobody has the other end any more.
        let _end = master.read_to_end(&mut written);
        let written = String::from_utf8_lossy(&written).into_owned();
        let at = |what: &str| written.find(what).unwrap_or_else(|| panic!("{what:?}: {written:?}"));
        let (taken, back) = (at("\x1b[?1049h"), at("\x1b[?1049l"));
        assert!(taken < back && back < at("out of order"), "{written:?}");
    }
}
