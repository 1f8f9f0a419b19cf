//! The stage: a server behind weir, a host that has everybody's address, and a recording of what passes.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_tests::lab::Lab;
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::plan::Plan;
use crate::seen::Seen;
use crate::send::{self, Progress};
use crate::server::Server;
use crate::world;

/// What the daemon may take to look at the last request.
const LAST: Duration = Duration::from_secs(20);
/// Between two words about how far it is.
const WORD: Duration = Duration::from_secs(5);
/// Files of a recording beside the newest.
const OLDER: u32 = 7;

/// The policy of the laboratory, in a file.
///
/// # Errors
/// It cannot be written.
pub fn policy(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("policy.toml");
    std::fs::write(&path, world::policy())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// What passed.
#[derive(Debug)]
pub struct Passed {
    /// What weir recorded of it.
    pub seen: Seen,
    /// Answers that the client got and that are not as planned.
    pub unlike: u64,
    /// Seconds that the traffic took.
    pub seconds: f64,
}

/// Sends a plan's requests through the daemon and reads what it recorded; `say` is told how far it is.
///
/// # Errors
/// The stage cannot be built, or the traffic fails.
pub fn perform(plan: &Plan, say: impl Fn(&str)) -> Result<Passed> {
    crate::connect::raise_limit().context("cannot raise the limit of open files")?;
    let lab = Lab::new(&[("server", 1), ("client", 10)])?;
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    // Everybody lives on one host: each address of these networks is its own.
    client.netns.ip("route add local 198.18.0.0/15 dev lo")?;
    server.netns.ip(&format!("route add 198.18.0.0/15 via {}", client.v4()))?;
    let shop = Server::start(server, lab.directory())?;
    let policy = policy(lab.directory())?;
    let recording = lab.directory().join("record.jsonl");
    let settings = lab.directory().join("weir.toml");
    let text = format!(
        "[sensor]\nring = \"256MiB\"\nsnap = 1024\nturn = 2048\n\n[record]\npath = \"{}\"\n\
         max_size = \"32GiB\"\n\n[store]\ntransactions = \"0B\"\n",
        recording.display()
    );
    std::fs::write(&settings, text)
        .with_context(|| format!("cannot write {}", settings.display()))?;
    let arguments =
        [format!("--policy={}", policy.display()), format!("--config={}", settings.display())];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut weir = Weir::start(&lab, server, &arguments)?;

    send::first(client, server.v4())?;
    let counted = |least: u64| {
        wait::until("weir to have seen every request", LAST, || {
            let seen = weir.metrics()?.sum("weir_record_lines_total", &[]);
            ensure!(seen >= least as f64, "{seen} lines of {least}");
            Ok(())
        })
    };
    // Lines are gathered before they are written: the count says that one is at least under way.
    wait::pause(Duration::from_millis(300))?;
    let progress = Progress::default();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| send::send(plan, client, server.v4(), &progress));
        let mut next = WORD;
        while !sender.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
            if start.elapsed() >= next {
                next += WORD;
                say(&so_far(plan, &progress, start.elapsed()));
            }
        }
        sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?
    })
    .with_context(|| format!("the server says\n{}", shop.log()))?;
    let seconds = start.elapsed().as_secs_f64();
    // What is not written by then is missing, and counted below.
    if let Err(error) = counted(plan.requests.len() as u64) {
        say(&format!("{error:#}"));
    }
    ensure!(weir.stop()? == 0, "the daemon did not end well\n{}", weir.log());
    let mut seen = Seen::new(plan.requests.len());
    for number in (0..=OLDER).rev() {
        let path = match number {
            0 => recording.clone(),
            _ => recording.with_extension(format!("jsonl.{number}")),
        };
        if number == 0 || path.exists() {
            let file =
                File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
            seen.read(plan, BufReader::with_capacity(1 << 20, file))?;
        }
    }
    Ok(Passed { seen, unlike: progress.unlike.load(Relaxed), seconds })
}

fn so_far(plan: &Plan, progress: &Progress, elapsed: Duration) -> String {
    let (answered, all) = (progress.answered.load(Relaxed), plan.requests.len());
    let rate = answered as f64 / elapsed.as_secs_f64();
    let left = (all as f64 - answered as f64) / rate.max(1.0);
    format!("{answered} of {all} requests answered, {rate:.0} a second, {left:.0} s left")
}
