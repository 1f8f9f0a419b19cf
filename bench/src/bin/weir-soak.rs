//! weir under traffic and mishaps for a long time; `cargo xtask soak` builds and runs it. The report
//! goes to the standard output as Markdown, what happens to the standard error when that is a
//! terminal.
//!
//! Exit code 0: everything held; 1: something did not; 2: it could not be done.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use weir_tests::lab::Lab;
use weir_tests::soak::{self, Plan};

#[derive(Parser)]
#[command(name = "weir-soak", about = "weir for a long time; run `cargo xtask soak`")]
struct Arguments {
    /// Minutes of mishaps
    #[arg(long)]
    minutes: f64,
    /// What their order follows from
    #[arg(long)]
    seed: u64,
}

fn main() -> ExitCode {
    weir_tests::process::exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<bool> {
    weir_tests::interrupt::catch();
    let length = Duration::try_from_secs_f64(arguments.minutes * 60.0).context("--minutes")?;
    let plan = Plan { length, seed: arguments.seed };
    let lab = Lab::new(&soak::HOSTS)?;
    let terminal = std::io::stderr().is_terminal();
    let mut tell = |line: &str| {
        if terminal {
            // One line, written over: a progress bar that says what happens.
            let _gone = write!(std::io::stderr(), "\r\x1b[K{line}");
        }
    };
    let outcome = soak::run(&lab, plan, &mut tell);
    if terminal {
        eprint!("\r\x1b[K");
    }
    let outcome = outcome?;
    let prefix = lab.prefix().to_owned();
    drop(lab);
    let left = weir_tests::sweep::leftovers(&prefix)?;
    print!("{outcome}");
    if !left.is_empty() {
        println!("\n**Left behind**: {}", left.join(", "));
    }
    weir_tests::interrupt::check()?;
    Ok(outcome.held() && left.is_empty())
}
