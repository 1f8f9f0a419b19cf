//! `cargo xtask demo`: a server behind weir, an allowed client, a stranger and a flooder, real
//! traffic over IPv4 and IPv6, and a table of what weir claims, what the clients saw, what the kernel
//! counted and what /metrics says.
//!
//! Exit code 1 when a claim does not hold. Nothing is left behind, after Ctrl-C or a failure either,
//! unless `--keep` asks for it.

mod allowed;
mod banned;
mod keep;
mod limited;
mod logins;
mod measured;
mod refused;
mod scene;
mod table;
mod text;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use weir_tests::lab::Lab;
use weir_tests::{interrupt, sweep};

use crate::process;
use crate::setup::{self, Purpose};
use scene::{Family, HOSTS, Scene};
use table::{Row, Table};
use text::Paint;

/// Options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave server, clients and weir up, and say how to play with them
    #[arg(long)]
    keep: bool,
    /// Remove what an earlier --keep left up
    #[arg(long, conflicts_with = "keep")]
    remove: bool,
}

/// Builds, shows, and cleans up.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let privileges = process::privileges()?;
    ensure!(privileges.root, "the demo makes network namespaces: run `cargo xtask demo` as root");
    ensure!(
        privileges.lacking.is_empty(),
        "root lacks {} here: the demo needs a machine or a container that grants them",
        privileges.lacking.join(", ")
    );
    if options.remove {
        return keep::remove();
    }
    setup::ensure(Purpose::Demo)?;
    process::run(process::cargo().args(["build", "--locked", "--package", "filter-user"]))?;

    interrupt::catch();
    let shown = show(options.keep);
    if let Some(signal) = interrupt::asked() {
        if let Err(error) = shown {
            eprintln!("{error:#}");
        }
        return Ok(ExitCode::from(128 + u8::try_from(signal).unwrap_or(0)));
    }
    Ok(if shown? { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Runs it in a laboratory; whether every claim holds.
fn show(keeps: bool) -> Result<bool> {
    let mut lab = if keeps { keep::lab()? } else { Lab::new(&HOSTS)? };
    let prefix = lab.prefix().to_owned();
    let shown = play(&lab, keeps);
    if keeps && shown.is_ok() {
        lab.keep();
        return shown;
    }
    drop(lab);
    let left = sweep::leftovers(&prefix)?;
    if !left.is_empty() {
        bail!("left behind: {}", left.join(", "));
    }
    println!("Nothing is left behind: no namespace, process, pin, mount or file.");
    shown
}

/// Says what is going on, with the time.
struct Progress {
    start: Instant,
    paint: Paint,
}

impl Progress {
    fn say(&self, what: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        println!("{} {what}", self.paint.dim(&format!("{seconds:5.1} s ")));
    }
}

/// The whole show, from the first packet to the table.
fn play(lab: &Lab, keeps: bool) -> Result<bool> {
    let paint = Paint::of_stdout();
    let progress = Progress { start: Instant::now(), paint };
    progress.say(&format!(
        "hosts on one switch: {}",
        HOSTS.map(|(name, n)| format!("{name} .{n}")).join(", ")
    ));
    let mut scene = Scene::set(lab)?;
    progress.say("nginx serves orders (8080) and catalog (8081)");
    progress.say(&format!("weir {}", scene.headline()?));
    let start = Instant::now();
    let mut table = Table::default();
    let mut add = |rows: Vec<Row>| table.rows.extend(rows);

    progress.say("client: curl, then wrk for two seconds, over each of IPv4 and IPv6");
    add(both(|family| allowed::claim(&mut scene, family))?);
    progress.say("stranger: curl, and two thousand SYN packets");
    add(both(|family| refused::claim(&mut scene, family))?);
    progress.say("flooder: five times its limit; the client goes on meanwhile");
    add(both(|family| limited::claim(&mut scene, family))?);
    progress.say("client: banned for three seconds while it goes on asking");
    add(both(|family| banned::claim(&mut scene, family))?);
    progress.say("flooder: guesses passwords");
    let guesses = both(|family| logins::claim(&mut scene, family))?;
    progress.say("client: asks for things that are there, missing, forbidden, broken and slow");
    add(measured::claim(&mut scene)?);
    add(guesses);

    let traffic = start.elapsed();
    println!();
    print!("{}", table.render(paint));
    for note in scene.notes()? {
        println!("{}", paint.dim(&note));
    }
    println!();
    let failed = table.rows.iter().filter(|row| !row.holds).count();
    println!("{}", verdict(table.rows.len(), failed, traffic, paint));
    if keeps {
        scene.leave()?;
    } else {
        scene.end().context("weir detach")?;
    }
    Ok(failed == 0)
}

/// A claim over IPv4 and over IPv6.
fn both(mut claim: impl FnMut(Family) -> Result<Row>) -> Result<Vec<Row>> {
    Family::ALL.into_iter().map(&mut claim).collect()
}

fn verdict(rows: usize, failed: usize, traffic: Duration, paint: Paint) -> String {
    let seconds = traffic.as_secs_f64();
    if failed == 0 {
        paint.good(&format!("All {rows} claims hold, after {seconds:.0} s of traffic."))
    } else {
        paint.bad(&format!("{failed} of {rows} claims do not hold."))
    }
}
