//! weir's numbers: what a packet, a flood, a limit and a change cost, held against goals and rivals.
//! `cargo xtask bench` builds and runs it, one number a run; what it says goes to the standard output
//! as Markdown, what it does to the standard error.
//!
//! Exit code 0: every goal is met; 1: one is missed; 2: it could not be measured.

mod accuracy;
mod apply;
mod changes;
mod cpu;
mod decode;
mod flat;
mod flood;
mod forge;
mod frames;
mod gauge;
mod gcra;
mod goodput;
mod memory;
mod peers;
mod prefixes;
mod refused;
mod report;
mod table;
mod trial;
mod verdict;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use report::Report;

#[derive(Parser)]
#[command(name = "weir-bench", about = "One of weir's numbers; run `cargo xtask bench`")]
struct Arguments {
    /// Which one, 1 to 10
    number: u8,
    /// The object of bench/ebpf
    #[arg(long)]
    object: PathBuf,
}

fn main() -> ExitCode {
    weir_tests::process::exit_code(measure(&Arguments::parse()))
}

fn measure(arguments: &Arguments) -> Result<bool> {
    weir_tests::interrupt::catch();
    let mut report = Report::default();
    let object = &arguments.object;
    match arguments.number {
        1 => verdict::measure(&mut report)?,
        2 => flat::measure(&mut report)?,
        3 => refused::measure(object, &mut report)?,
        4 => flood::measure(object, &mut report)?,
        5 => accuracy::measure(object, &mut report)?,
        6 => apply::measure(&mut report)?,
        7 => changes::measure(&mut report)?,
        8 => goodput::measure(object, &mut report)?,
        9 => gauge::measure(object, &mut report)?,
        10 => decode::measure(&mut report)?,
        other => bail!("there is no number {other}: 1 to 10"),
    }
    weir_tests::interrupt::check()?;
    Ok(report.print())
}
