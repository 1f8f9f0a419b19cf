//! The laboratory of the detectors; `cargo xtask lab` builds and runs it. Tables go to the standard
//! output as Markdown, what it does to the standard error.
//!
//! Exit code 0: every goal is met; 1: one is missed; 2: it could not be done.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use weir_lab::degrade::Degraded;
use weir_lab::plan::Plan;
use weir_lab::report::{self, Run, Totals};
use weir_lab::seen::Seen;
use weir_lab::{Options, attacks, replay, stage};

#[derive(Parser)]
#[command(name = "weir-lab", about = "Labelled traffic for the detectors; run `cargo xtask lab`")]
struct Arguments {
    /// Benign days before the attacks
    #[arg(long, default_value_t = 28, value_name = "N")]
    days: u32,
    /// Seeds of what is drawn, one run each
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "N")]
    seed: Vec<u64>,
    /// How busy the shop is; 1 is one to two requests a second
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    load: f64,
    /// Degrade the first run's recording too: sampled flows, lost requests
    #[arg(long)]
    curves: bool,
    /// Send nothing: take what is planned for what weir would record
    #[arg(long)]
    imagine: bool,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

/// What is degraded how, for the curves.
const CURVES: [Degraded; 6] = [
    Degraded::Sampled(10),
    Degraded::Sampled(100),
    Degraded::Sampled(1000),
    Degraded::Lost(0.1),
    Degraded::Lost(0.3),
    Degraded::Lost(0.6),
];

fn main() -> ExitCode {
    weir_tests::process::exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<bool> {
    weir_tests::interrupt::catch();
    ensure!(arguments.load > 0.0 && arguments.load <= 10.0, "--load is from above 0 to 10");
    let mut runs = Vec::new();
    let mut curves = Vec::new();
    for (number, &seed) in arguments.seed.iter().enumerate() {
        let options = Options {
            days: arguments.days,
            seed,
            load: arguments.load,
            attacks: attacks::table(),
            crowd: true,
        };
        let (plan, seen) = prepare(&options, arguments.imagine)?;
        if arguments.curves && number == 0 {
            for degraded in CURVES {
                curves.push((degraded, detect(seed, &plan, &seen, degraded)?));
            }
        }
        runs.push(detect(seed, &plan, &seen, Degraded::Whole)?);
    }
    let met = report::is_met(&runs);
    if arguments.json {
        let mut value = report::json(&runs);
        let curves = curves.iter().map(|(degraded, run)| {
            let mut value = report::json(std::slice::from_ref(run));
            value["degraded"] = degraded.name().into();
            value
        });
        value["curves"] = curves.collect();
        println!("{value}");
        return Ok(met);
    }
    println!("{}", report::text(&runs));
    if let Some(whole) = runs.first().filter(|_| arguments.curves) {
        println!("{}", curve(whole, &curves));
    }
    eprint!("{}", report::mistakes(&runs));
    Ok(met)
}

/// Plans, and lets it happen.
fn prepare(options: &Options, imagine: bool) -> Result<(Plan, Seen)> {
    let start = Instant::now();
    let plan = weir_lab::plan(options);
    eprintln!(
        "lab: seed {}: {} requests over {:.1} days planned in {:.1} s",
        options.seed,
        plan.requests.len(),
        plan.length / weir_lab::plan::DAY,
        start.elapsed().as_secs_f64()
    );
    if imagine {
        let seen = Seen::imagined(&plan);
        return Ok((plan, seen));
    }
    let watched = std::io::stderr().is_terminal();
    let tell = |word: &str| {
        if watched {
            eprintln!("lab: {word}");
        }
    };
    let passed = stage::perform(&plan, tell)?;
    let matched = passed.seen.matched();
    let rate = plan.requests.len() as f64 / passed.seconds;
    eprintln!(
        "lab: sent in {:.0} s, {rate:.0} a second; recorded {}, missing {}, unlike what was planned {}, \
         strange {}",
        passed.seconds, matched.recorded, matched.missing, matched.unlike, matched.strange
    );
    ensure!(passed.unlike == 0, "the server answered {} requests otherwise", passed.unlike);
    let wrong = matched.missing + matched.unlike + matched.strange;
    ensure!(wrong == 0, "weir did not record what was sent: {matched:?}");
    Ok((plan, passed.seen))
}

/// Runs the detectors over what was recorded, and judges what they say.
fn detect(seed: u64, plan: &Plan, seen: &Seen, degraded: Degraded) -> Result<Run> {
    weir_tests::interrupt::check()?;
    let start = Instant::now();
    let directory = std::env::temp_dir().join(format!("weir-lab-{}", std::process::id()));
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let policy = stage::policy(&directory)?;
    let weir: PathBuf = weir_tests::weir::binary()?;
    let weight = |place: usize, request: &_| degraded.weight(seed, place, request);
    let found = replay::replay(&weir, &policy, |to| {
        seen.retimed(plan, degraded.completeness(), weight, to)
    });
    let removed = std::fs::remove_dir_all(&directory);
    removed.with_context(|| format!("cannot remove {}", directory.display()))?;
    let run = Run::new(seed, plan, found?);
    eprintln!(
        "lab: {}: {} findings in {:.0} s",
        degraded.name(),
        run.found.len(),
        start.elapsed().as_secs_f64()
    );
    Ok(run)
}

fn curve(whole: &Run, curves: &[(Degraded, Run)]) -> String {
    let row = |degraded: Degraded, run: &Run| {
        let totals = Totals::of(std::slice::from_ref(run));
        vec![
            degraded.name(),
            format!("{} of {}", totals.found, totals.must),
            format!("{:.2}", totals.recall()),
            totals.wrong.to_string(),
            match totals.found + totals.more {
                0 => "–".to_owned(),
                _ => format!("{:.2}", totals.precision()),
            },
        ]
    };
    let mut rows = vec![row(Degraded::Whole, whole)];
    rows.extend(curves.iter().map(|(degraded, run)| row(*degraded, run)));
    report::table(&["seen", "must be found", "recall", "false", "precision"], &rows)
}
