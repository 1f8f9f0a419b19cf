//! Measuring programs on one packet in turn, everything in the caches.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use filter_user::kernel::trial::Program;

use crate::cpu;
use crate::report::Report;

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
    what: String,
    program: &'a Program,
    frame: &'a [u8],
    action: u32,
    best: Option<Duration>,
}

impl Row<'_> {
    fn ns(&self) -> f64 {
        self.best.map_or(f64::NAN, |best| best.as_nanos() as f64)
    }
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
        cpu::go_first();
        for number in cpu::allowed()? {
            cpu::stay_on(number)?;
            let time = fastest(program, frame, None)?;
            if best.is_none_or(|(least, _)| time < least) {
                best = Some((time, number));
            }
        }
        let (_, number) = best.context("no processor to run on")?;
        cpu::stay_on(number)?;
        Ok(Self { rows: Vec::new() })
    }

    /// Adds a row: a program, a frame, and what the program has to do with it.
    pub(crate) fn add(&mut self, what: &str, program: &'a Program, frame: &'a [u8], action: u32) {
        let what = what.to_owned();
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

    /// The nanoseconds of a row, by the beginning of its name; not a number when there is none.
    pub(crate) fn ns(&self, begin: &str) -> f64 {
        let row = self.rows.iter().find(|row| row.what.starts_with(begin));
        row.map_or(f64::NAN, Row::ns)
    }

    /// Puts the table into a report; the peer's rows are found by their beginning.
    pub(crate) fn report(&self, report: &mut Report) {
        let cells = |row: &Row<'_>| {
            let family = if row.what.contains("IPv6") { "IPv6" } else { "IPv4" };
            let word = if row.action == PASS { "allowed" } else { "refused" };
            let floor = if row.action == PASS { "passes" } else { "drops" };
            let empty = self.ns(&format!("empty program, {floor}"));
            let peer = self.ns(&format!("xdp-filter, {family} {word}"));
            let against = if row.what.starts_with("weir") && !peer.is_nan() {
                format!("{:.2}", row.ns() / peer)
            } else {
                String::new()
            };
            vec![
                row.what.clone(),
                row.ns().to_string(),
                format!("{:.2}", row.ns() / empty),
                against,
            ]
        };
        let rows: Vec<_> = self.rows.iter().map(cells).collect();
        report.table(&["program and packet", "ns", "÷ empty", "÷ xdp-filter"], &rows);
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
