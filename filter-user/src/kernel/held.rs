//! The generation before, held by its pins until the new one is confirmed.
//!
//! Its programs are pinned under `PINS/held-N`, N being the number of the generation that waits.
//! Whoever renames that directory to `taken-N` acts, and nobody else: the daemon that confirms or
//! rolls back, the next daemon, or the watcher process that outlives them. When to act is said by
//! them; here is how.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aya::programs::{SchedClassifier, Xdp};
use aya_obj::programs::XdpAttachType;

use super::attach::{self, Target};
use super::clock;
use super::error::{Error, Result};
use super::generation::Generation;
use super::state::State;
use super::{detach, egress};

/// How long a daemon that lives may be late before the watcher acts for it.
const GRACE: Duration = Duration::from_secs(3);
/// Between two looks of the watcher.
const PAUSE: Duration = Duration::from_millis(100);
/// How long another may take to finish what it took.
const PATIENCE: Duration = Duration::from_secs(3);

fn held(pins: &Path, number: u32) -> PathBuf {
    pins.join(format!("held-{number}"))
}

fn taken(pins: &Path, number: u32) -> PathBuf {
    pins.join(format!("taken-{number}"))
}

/// Pins the programs of `before`, which generation `number` is about to replace.
///
/// # Errors
/// They cannot be pinned; nothing of them is left then.
pub fn hold(pins: &Path, number: u32, before: &mut Generation) -> Result<()> {
    let directory = held(pins, number);
    let pinned = (|| {
        std::fs::create_dir(&directory)
            .map_err(|e| Error::path("create", directory.as_path(), e))?;
        let pin = directory.join("ingress");
        before.ingress()?.pin(&pin).map_err(|e| Error::path("pin", pin, e))?;
        let pin = directory.join("egress");
        before.egress()?.pin(&pin).map_err(|e| Error::path("pin", pin, e))
    })();
    if pinned.is_err() {
        // The first error says more.
        let _second = remove(&directory);
    }
    pinned
}

/// Takes the right to act on what generation `number` waits with; false: another has it.
///
/// # Errors
/// The BPF file system refuses.
pub fn take(pins: &Path, number: u32) -> Result<bool> {
    let from = held(pins, number);
    match std::fs::rename(&from, taken(pins, number)) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::path("rename", from, e)),
    }
}

/// Gives the right back: what was to be done failed.
///
/// # Errors
/// The BPF file system refuses.
pub fn give_back(pins: &Path, number: u32) -> Result<()> {
    let from = taken(pins, number);
    std::fs::rename(&from, held(pins, number)).map_err(|e| Error::path("rename", from, e))
}

/// Lets go of what was taken: the generation before ends with the last that uses it.
///
/// # Errors
/// A pin cannot be removed.
pub fn release(pins: &Path, number: u32) -> Result<()> {
    remove(&taken(pins, number))
}

/// Waits until nobody is at work on what generation `number` waited with.
pub fn settled(pins: &Path, number: u32) {
    let start = Instant::now();
    while taken(pins, number).exists() && start.elapsed() < PATIENCE {
        std::thread::sleep(PAUSE);
    }
}

/// Takes all that is held for an earlier daemon, and returns the numbers. What somebody is at work
/// on is waited for, and removed if they died over it.
///
/// # Errors
/// The BPF file system refuses.
pub fn take_all(pins: &Path) -> Result<Vec<u32>> {
    let mut own = Vec::new();
    for (prefix, is_ours) in [("taken-", false), ("held-", true)] {
        for directory in detach::directories(pins)? {
            let name = directory.file_name().and_then(|name| name.to_str());
            let Some(number) = name.and_then(|name| name.strip_prefix(prefix)?.parse().ok()) else {
                continue;
            };
            if is_ours && take(pins, number)? {
                own.push(number);
            } else {
                settled(pins, number);
                remove(&taken(pins, number))?;
            }
        }
    }
    Ok(own)
}

fn remove(directory: &Path) -> Result<()> {
    for pin in detach::files(directory)? {
        attach::remove_pin(&pin)?;
    }
    match std::fs::remove_dir(directory) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::path("remove", directory, e))
        }
        _ => Ok(()),
    }
}

/// Puts the programs that were taken back behind every link that is still there.
fn swap_back(pins: &Path, number: u32, targets: &[Target]) -> Result<()> {
    let directory = taken(pins, number);
    let pin = directory.join("ingress");
    let mut ingress = Xdp::from_pin(&pin, XdpAttachType::Interface)
        .map_err(|e| Error::path("open", pin.as_path(), e))?;
    let pin = directory.join("egress");
    let mut egress =
        SchedClassifier::from_pin(&pin).map_err(|e| Error::path("open", pin.as_path(), e))?;
    for target in targets {
        let Some(index) = target.index() else { continue };
        let link = attach::xdp_pin(pins, index);
        // A filter that was taken off meanwhile stays off.
        if attach::replace_xdp(&link, target, &mut ingress)? {
            egress::watch(pins, target, index, &mut egress)?;
        }
    }
    Ok(())
}

/// What a watcher is started with.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The pins' directory.
    pub pins: PathBuf,
    /// The generation that waits.
    pub number: u32,
    /// When it is rolled back, CLOCK_BOOTTIME in ns.
    pub deadline: u64,
    /// Where the generation before is put back.
    pub targets: Vec<Target>,
    /// Whether the generation before drops anything.
    pub enforces: bool,
    /// The daemon's process.
    pub daemon: u32,
}

/// Watches over a generation that waits: returns when somebody has decided about it, or after
/// rolling it back (true) because the deadline is over and the daemon is gone, or does nothing.
///
/// # Errors
/// The generation before cannot be put back.
pub fn watch(watch: &Watch) -> Result<bool> {
    let Watch { pins, number, deadline, .. } = watch;
    let late = deadline.saturating_add(u64::try_from(GRACE.as_nanos()).unwrap_or(u64::MAX));
    loop {
        if !held(pins, *number).exists() {
            return Ok(false);
        }
        // A child whose parent ends gets another one.
        // SAFETY: getppid has no arguments and cannot fail.
        let orphan = unsafe { libc::getppid() } != watch.daemon.cast_signed();
        let due = if orphan { *deadline } else { late };
        if clock::boot_ns() >= due && take(pins, *number)? {
            swap_back(pins, *number, &watch.targets)?;
            State::note_enforces_at(pins, watch.enforces)?;
            release(pins, *number)?;
            return Ok(true);
        }
        std::thread::sleep(PAUSE);
    }
}
