//! What a person sees while the daemon is at work.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is answered sooner needs no line of its own.
const PATIENCE: Duration = Duration::from_millis(300);
/// Between two drawings.
const TICK: Duration = Duration::from_millis(100);

/// Does this; when it takes longer than a moment, a line on the terminal says what is being done and for how
/// long. Nothing is written when standard error is no terminal.
pub(super) fn waiting<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    let (done, over) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Nothing is ever sent: the end of the work is the end of the channel.
            if over.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
                bar.set_style(style.tick_chars("-\\|/ "));
            }
            bar.set_message(what);
            bar.enable_steady_tick(TICK);
            let _over = over.recv();
            bar.finish_and_clear();
        });
        let result = work();
        drop(done);
        result
    })
}
