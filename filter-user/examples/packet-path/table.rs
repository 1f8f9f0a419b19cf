//! Measuring rows in turn and printing them.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use filter_user::kernel::trial::Program;

/// Times that every row is measured, in turn with the others; the fastest counts.
const RUNS: usize = 7;
/// Bursts of one run, of which the fastest counts: other processes use the processor too.
const BURSTS: usize = 40;
/// Packets of a burst: about a millisecond's worth.
const PACKETS: u32 = 20_000;

/// `XDP_DROP`.
pub(crate) const DROP: u32 = 1;
/// `XDP_PASS`.
pub(crate) const PASS: u32 = 2;

struct Row<'a> {
    what: &'static str,
    program: &'a Program,
    frame: &'a [u8],
    action: u32,
    best: Option<Duration>,
}

/// The rows.
pub(crate) struct Table<'a> {
    rows: Vec<Row<'a>>,
}

impl<'a> Table<'a> {
    /// No rows yet. Keeps this thread on the processor on which the given program runs fastest:
    /// the one with the least other work.
    pub(crate) fn new(program: &Program, frame: &[u8]) -> Result<Self> {
        let mut best = None;
        for cpu in allowed()? {
            stay_on(cpu)?;
            let time = fastest(program, frame, None)?;
            if best.is_none_or(|(least, _)| time < least) {
                best = Some((time, cpu));
            }
        }
        let (_, cpu) = best.context("no processor to run on")?;
        stay_on(cpu)?;
        Ok(Self { rows: Vec::new() })
    }

    /// Adds a row: a program, a frame, and what the program has to do with it.
    pub(crate) fn add(
        &mut self,
        what: &'static str,
        program: &'a Program,
        frame: &'a [u8],
        action: u32,
    ) {
        self.rows.push(Row { what, program, frame, action, best: None });
    }

    /// Measures the rows that are new.
    pub(crate) fn measure(&mut self) -> Result<()> {
        let mut rows: Vec<_> = self.rows.iter_mut().filter(|row| row.best.is_none()).collect();
        for _ in 0..RUNS {
            for row in &mut rows {
                let time = fastest(row.program, row.frame, Some(row.action))
                    .with_context(|| format!("row `{}`", row.what))?;
                row.best = Some(row.best.map_or(time, |best| best.min(time)));
            }
        }
        Ok(())
    }

    /// Prints the table; the peer's rows are found by their beginning.
    pub(crate) fn print(&self, with_peer: bool) {
        let ns = |row: &Row<'_>| row.best.unwrap_or_default().as_nanos() as f64;
        let of = |begin: &str| self.rows.iter().find(|row| row.what.starts_with(begin)).map(ns);
        println!("{} on Linux {}.", processor(), release());
        println!();
        println!("| program and packet | ns | ÷ empty | ÷ xdp-filter |");
        println!("| --- | ---: | ---: | ---: |");
        for row in &self.rows {
            let family = if row.what.contains("IPv6") { "IPv6" } else { "IPv4" };
            let word = if row.action == PASS { "allowed" } else { "refused" };
            let floor = if row.action == PASS { "passes" } else { "drops" };
            let empty = of(&format!("empty program, {floor}")).unwrap_or(f64::NAN);
            let peer = of(&format!("xdp-filter, {family} {word}"));
            let against = match peer {
                Some(peer) if row.what.starts_with("weir") => format!("{:.2}", ns(row) / peer),
                _ => String::new(),
            };
            println!("| {} | {} | {:.2} | {against} |", row.what, ns(row), ns(row) / empty);
        }
        if !with_peer {
            println!("\nxdp-filter (package xdp-tools) is not installed: no comparison.");
        }
    }
}

/// The least time of one run; an action that is not the given one is an error.
fn fastest(program: &Program, frame: &[u8], action: Option<u32>) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..BURSTS {
        let trial = program.run(frame, PACKETS).map_err(|e| anyhow!("{e}"))?;
        ensure!(
            action.is_none_or(|action| action == trial.action),
            "the program's action is {}",
            trial.action
        );
        best = best.min(trial.time);
    }
    Ok(best)
}

fn allowed() -> Result<Vec<usize>> {
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

fn stay_on(cpu: usize) -> Result<()> {
    // SAFETY: an all-zero set is empty.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number came from a set of this size.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is valid for its size; 0 is this thread.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    ensure!(done == 0, "cannot stay on processor {cpu}: {}", std::io::Error::last_os_error());
    Ok(())
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("An unknown processor", |(_, name)| name).to_owned()
}

fn release() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.split('-').next().unwrap_or_default().trim().to_owned()
}
