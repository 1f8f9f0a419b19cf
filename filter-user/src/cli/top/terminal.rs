//! The terminal: taken, and given back however the view ends.

use std::io::{self, IsTerminal as _, Stdout, Write as _, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};

/// A signal asked for the end.
static ENDED: AtomicBool = AtomicBool::new(false);
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
            let handler = note as extern "C" fn(libc::c_int);
            // SAFETY: the handler only stores to an atomic, which is safe in one.
            unsafe { libc::signal(number, handler as libc::sighandler_t) };
        }
        take()?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()));
        terminal.map(|terminal| Self { terminal }).inspect_err(|_| give_back())
    }

    /// Whether a signal asked for the end.
    pub(super) fn is_ended(&self) -> bool {
        ENDED.load(Ordering::Relaxed)
    }

    /// Lets the shell have the terminal until it wakes this process again.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        // SAFETY: a signal to this process; it goes on here after SIGCONT.
        unsafe { libc::raise(libc::SIGTSTP) };
        take()?;
        self.terminal.clear()
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
