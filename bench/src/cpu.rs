//! Processors: what they are called, which of them are ours, staying on one, going first.

use anyhow::{Result, ensure};

/// Lets this thread go before all ordinary processes of the machine, for the time of a measurement;
/// where that is not allowed, the numbers only take longer to settle.
pub(crate) fn go_first() {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters are valid for reading; 0 is this thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
}

/// The processors this thread may run on.
pub(crate) fn allowed() -> Result<Vec<usize>> {
    // SAFETY: an all-zero set is empty.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is valid for its size; 0 is this thread.
    let done = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    ensure!(done == 0, "cannot tell the processors: {}", std::io::Error::last_os_error());
    // SAFETY: the numbers are within the set.
    Ok((0..libc::CPU_SETSIZE as usize)
        .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) })
        .collect())
}

/// Keeps this thread on a processor.
pub(crate) fn stay_on(cpu: usize) -> Result<()> {
    // SAFETY: an all-zero set is empty.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number came from a set of this size.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is valid for its size; 0 is this thread.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    ensure!(done == 0, "cannot stay on processor {cpu}: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Seconds of processor time that this thread has had.
pub(crate) fn thread_seconds() -> Result<f64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is valid for writing.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    ensure!(done == 0, "cannot tell the time: {}", std::io::Error::last_os_error());
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// What the processor calls itself.
pub(crate) fn model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("An unknown processor", |(_, name)| name).to_owned()
}

/// The kernel's version without what the distribution adds.
pub(crate) fn kernel() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.split('-').next().unwrap_or_default().trim().to_owned()
}
