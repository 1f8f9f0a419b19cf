//! Measuring programs on one packet in turn, everything in the caches.
//!
//! The kernel says what a packet took in whole nanoseconds, rounded down, which would be 4 % of an empty
//! program. So the clock is read around a burst, and what one of a single packet takes is subtracted. A
//! program is attached to a loopback interface meanwhile, on which nothing happens: else the kernel
//! patches its dispatcher for each burst, which takes longer than the burst.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use filter_user::kernel::trial::Program;
use weir_tests::lab::Lab;

use crate::cpu;
use crate::report::Report;
use crate::trial::told;

/// Times that every row is measured, in turn with the others; the fastest counts.
const RUNS: usize = 7;
/// Bursts of one run, of which the fastest counts: other processes use the processor too.
const BURSTS: usize = 40;
/// Packets of a burst: about a millisecond's worth.
const PACKETS: u32 = 20_000;

/// Index of the loopback interface, in every namespace.
const LOOPBACK: u32 = 1;

/// `XDP_DROP`.
pub(crate) const DROP: u32 = 1;
/// `XDP_PASS`.
pub(crate) const PASS: u32 = 2;

struct Row<'a> {
    what: String,
    program: &'a Program,
    frame: &'a [u8],
    action: u32,
    /// The least time so far, ns.
    best: Option<f64>,
}

impl Row<'_> {
    fn ns(&self) -> f64 {
        self.best.unwrap_or(f64::NAN)
    }
}

/// The rows.
pub(crate) struct Table<'a> {
    stand: Lab,
    rows: Vec<Row<'a>>,
}

impl<'a> Table<'a> {
    /// No rows yet. Keeps this thread on the processor on which the given program runs fastest:
    /// the one with the least other work.
    pub(crate) fn new(program: &Program, frame: &[u8]) -> Result<Self> {
        let stand = Lab::new(&[("stand", 1)])?;
        let mut best = None;
        cpu::go_first();
        for number in cpu::allowed()? {
            cpu::stay_on(number)?;
            let time = fastest(&stand, program, frame, None)?;
            if best.is_none_or(|(least, _)| time < least) {
                best = Some((time, number));
            }
        }
        let (_, number) = best.context("no processor to run on")?;
        cpu::stay_on(number)?;
        Ok(Self { stand, rows: Vec::new() })
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
                let time = fastest(&self.stand, row.program, row.frame, Some(row.action))
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
                format!("{:.1}", row.ns()),
                format!("{:.2}", row.ns() / empty),
                against,
            ]
        };
        let rows: Vec<_> = self.rows.iter().map(cells).collect();
        report.table(&["program and packet", "ns", "÷ empty", "÷ xdp-filter"], &rows);
    }
}

/// The least time of a packet in one run, ns; an action that is not the given one is an error.
fn fastest(stand: &Lab, program: &Program, frame: &[u8], action: Option<u32>) -> Result<f64> {
    let netns = &stand.host("stand")?.netns;
    let _attached = netns.enter(|| program.attach(LOOPBACK).map_err(told))?;
    let burst = |packets: u32| -> Result<Duration> {
        let start = Instant::now();
        let trial = program.run(frame, packets).map_err(told)?;
        let took = start.elapsed();
        ensure!(
            action.is_none_or(|action| action == trial.action),
            "the program's action is {}",
            trial.action
        );
        Ok(took)
    };
    let (mut one, mut all) = (Duration::MAX, Duration::MAX);
    for _ in 0..BURSTS {
        one = one.min(burst(1)?);
        all = all.min(burst(PACKETS)?);
    }
    Ok(all.saturating_sub(one).as_nanos() as f64 / f64::from(PACKETS - 1))
}
