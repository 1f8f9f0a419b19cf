//! Ending early and in order: a signal is remembered, whatever waits gives up, and the values of the
//! laboratory clean up as they are dropped. Processes of the laboratory are in process groups of
//! their own, so that a Ctrl-C at the terminal does not reach them first.

use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::{Result, bail};

/// The signal that asked for the end; 0 while none did.
static ASKED: AtomicI32 = AtomicI32::new(0);

extern "C" fn remember(signal: libc::c_int) {
    ASKED.store(signal, Ordering::Relaxed);
}

/// From now on SIGINT, SIGTERM and SIGHUP are remembered instead of ending this process at once.
pub fn catch() {
    let handler: extern "C" fn(libc::c_int) = remember;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is allowed in a signal handler.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// The signal that asked for the end.
pub fn asked() -> Option<i32> {
    Some(ASKED.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}

pub(crate) fn is_asked() -> bool {
    asked().is_some()
}

/// An error once the end was asked for.
pub fn check() -> Result<()> {
    match asked() {
        Some(signal) => bail!("interrupted by signal {signal}"),
        None => Ok(()),
    }
}
