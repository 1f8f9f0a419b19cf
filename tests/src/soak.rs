//! A soak: a daemon under mixed traffic for a long time while all sorts of things happen to it, in an
//! order that follows from a seed; looked at every few seconds, and held against invariants at the
//! end. The end-to-end tests run it briefly, `cargo xtask soak` at length.
//!
//! The first quarter kills the daemon again and again. In the rest it lives through everything else
//! without a restart, so that a leak has time to show: what it takes in the second quarter is held
//! against what it takes in the last.

mod claims;
mod inbox;
mod mishap;
mod report;
mod stage;
mod traffic;
pub mod usage;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

pub use claims::Claim;

use crate::lab::{INTERFACE, Lab};
use crate::nginx::Nginx;
use crate::reading::Reading;
use crate::stream::{Stream, streams};
use crate::wait;
use crate::weir::{self, Weir};
use inbox::Inbox;
use mishap::{DEADLY, LIVING, Mishap, Random, Scene};
use traffic::Counts;
use usage::{Objects, Usage};

/// Hosts of the laboratory that a soak takes: name and number.
pub const HOSTS: [(&str, u8); 5] =
    [("server", 1), ("client", 2), ("stranger", 3), ("flooder", 4), ("prober", 5)];
/// At least so long after a mishap, and up to four times as long, comes the next.
const PAUSE: Duration = Duration::from_millis(500);

/// How long, and in which order.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The time of mishaps; preparing and judging take some seconds more.
    pub length: Duration,
    /// What the order of mishaps follows from.
    pub seed: u64,
}

impl Plan {
    /// Between two looks at the daemon.
    fn every(self) -> Duration {
        (self.length / 120).clamp(Duration::from_millis(500), Duration::from_secs(5))
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// How long, and in which order.
    pub plan: Plan,
    /// What was to hold.
    pub claims: Vec<Claim>,
    /// What the daemon took of the host, from look to look.
    pub usages: Vec<Usage>,
    /// How many times each mishap happened, by its name.
    pub mishaps: BTreeMap<&'static str, u32>,
    /// What was asked for and sent.
    pub traffic: Counts,
    /// Datagrams of the host that is always allowed, and of the one that is always refused.
    pub streams: [Stream; 2],
    /// What the daemon warned of at the end.
    pub warnings: Vec<String>,
}

impl Outcome {
    /// Whether everything held that was to hold.
    pub fn held(&self) -> bool {
        self.claims.iter().all(|claim| claim.held)
    }
}

/// Who is looked at, and what was seen.
pub(crate) struct Watch {
    start: Instant,
    /// The daemon's process; 0 while there is none.
    pub(crate) pid: AtomicU32,
    usages: Mutex<Vec<Usage>>,
    known: Mutex<Objects>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    fn look(&self, state: &Path) -> Result<()> {
        let pid = self.pid.load(Ordering::Relaxed);
        if pid == 0 {
            return Ok(());
        }
        let looked = usage::look(self.start.elapsed(), pid, state, &mut lock(&self.known));
        if self.pid.load(Ordering::Relaxed) == pid {
            lock(&self.usages).push(looked?);
        }
        Ok(())
    }

    /// Looks until it is over.
    fn run(&self, state: &Path, every: Duration, over: &AtomicBool) -> Result<()> {
        while !over.load(Ordering::Relaxed) {
            self.look(state)?;
            wait::pause(every)?;
        }
        Ok(())
    }
}

/// Soaks in a laboratory with [`HOSTS`]. `tell` is given a line now and then.
///
/// # Errors
/// When it cannot be done at all, or a verb does not do what it is to do.
pub fn run(lab: &Lab, plan: Plan, tell: &mut dyn FnMut(&str)) -> Result<Outcome> {
    stage::wire(lab)?;
    let servers = stage::servers(lab)?;
    let files = stage::write(lab)?;
    let inbox = Inbox::open(lab.host("server")?)?;
    let arguments = ["--policy", &files.policies[0], "--config", &files.settings];
    let interfaces = [INTERFACE, "eth1"];
    let launch =
        weir::Plan { interfaces: &interfaces, arguments: &arguments, ..weir::Plan::default() };
    let mut weir = Weir::launch(lab, lab.host("server")?, &launch)?;
    let state = weir.state();
    let watch = Watch {
        start: Instant::now(),
        pid: AtomicU32::new(weir.pid().unwrap_or_default()),
        usages: Mutex::default(),
        known: Mutex::default(),
    };
    let over = AtomicBool::new(false);
    let counts = Counts::default();
    let mut scene = Scene {
        lab,
        files: &files,
        weir: &mut weir,
        inbox,
        random: Random(plan.seed),
        watch: &watch,
        feeds: 0,
    };
    let mut soak =
        Soak { plan, servers: &servers, counts: &counts, mishaps: BTreeMap::new(), tell };
    let ran = std::thread::scope(|scope| {
        let looking = scope.spawn(|| watch.run(&state, plan.every(), &over));
        let ran = soak.run(&mut scene);
        over.store(true, Ordering::Relaxed);
        let looked = looking.join().map_err(|_| anyhow!("the thread that looks panicked"))?;
        let ran = ran?;
        looked.map(|()| ran)
    });
    let ran = ran.with_context(|| format!("the daemon says\n{}", scene.weir.log()))?;
    let mishaps = soak.mishaps;
    let usages = lock(&watch.usages).clone();
    let mut claims = ran.claims;
    claims.extend(claims::flat(plan, &usages));
    let known = lock(&watch.known).clone();
    claims.extend(claims::left(lab, scene.weir, &known)?);
    Ok(Outcome {
        plan,
        claims,
        usages,
        mishaps,
        traffic: counts,
        streams: ran.streams,
        warnings: ran.warnings,
    })
}

/// What the two parts of a soak came to.
struct Ran {
    streams: [Stream; 2],
    claims: Vec<Claim>,
    warnings: Vec<String>,
}

/// A soak that runs.
struct Soak<'a> {
    plan: Plan,
    servers: &'a [Nginx],
    counts: &'a Counts,
    mishaps: BTreeMap<&'static str, u32>,
    tell: &'a mut dyn FnMut(&str),
}

impl Soak<'_> {
    fn run(&mut self, scene: &mut Scene<'_, '_>) -> Result<Ran> {
        let quarter = self.plan.length / 4;
        let all: Vec<Mishap> = DEADLY.into_iter().chain(LIVING).collect();
        let first = self.part(scene, &all, DEADLY.len(), quarter)?;
        let begun = claims::Ledger::at_rest(scene)?;
        let left = self.plan.length.saturating_sub(scene.watch.start.elapsed());
        let second = self.part(scene, &LIVING, 0, left)?;
        (self.tell)("at rest, judging");
        let ended = claims::Ledger::at_rest(scene)?;
        let sum =
            |a: Stream, b: Stream| Stream { sent: a.sent + b.sent, arrived: a.arrived + b.arrived };
        let streams = [sum(first[0], second[0]), sum(first[1], second[1])];
        let reading = Reading::at_rest(scene.weir)?;
        let mut claims = claims::passage(&reading, streams);
        claims.extend(claims::balance(&begun, &ended));
        claims.extend(claims::delivery(scene)?);
        claims.extend(claims::health(scene, &reading)?);
        let warnings = reading.status["warnings"].as_array().into_iter().flatten();
        // Files by their names: where they lay ends with the soak.
        let here = format!("{}/", scene.lab.directory().display());
        let warnings = warnings.filter_map(|said| Some(said.as_str()?.replace(&here, "")));
        let warnings = warnings.collect();
        Ok(Ran { streams, claims, warnings })
    }

    /// Mishaps under traffic for so long: rounds of all of them, each in another order, of which the
    /// first begins with its first `ahead`.
    fn part(
        &mut self,
        scene: &mut Scene<'_, '_>,
        mishaps: &[Mishap],
        ahead: usize,
        length: Duration,
    ) -> Result<[Stream; 2]> {
        let lab = scene.lab;
        let hosts = [lab.host("client")?, lab.host("stranger")?];
        let counts = self.counts;
        let over = AtomicBool::new(false);
        let (happened, streams) = std::thread::scope(|scope| {
            let loads = traffic::start(scope, lab, counts, &over);
            let done = streams(&hosts, lab.host("server")?, stage::STEADY, || {
                let happened = self.happen(scene, mishaps, ahead, length);
                over.store(true, Ordering::Relaxed);
                // The streams go on until the rest has ended, so that nothing rests before they do.
                let mut ended = Ok(());
                for load in loads {
                    let load = load.join().map_err(|_| anyhow!("a thread of the load panicked"));
                    ended = ended.and(load.and_then(|load| load));
                }
                happened.and(ended)
            });
            over.store(true, Ordering::Relaxed);
            done
        })?;
        let () = happened;
        <[Stream; 2]>::try_from(streams).map_err(|_| anyhow!("two hosts, two streams"))
    }

    fn happen(
        &mut self,
        scene: &mut Scene<'_, '_>,
        mishaps: &[Mishap],
        mut ahead: usize,
        length: Duration,
    ) -> Result<()> {
        let start = Instant::now();
        let mut round = mishaps.to_vec();
        loop {
            scene.random.shuffle(&mut round[ahead..]);
            ahead = 0;
            for &(name, act) in &round {
                if start.elapsed() >= length {
                    return Ok(());
                }
                act(scene).with_context(|| format!("after {}: {name}", self.told(scene)))?;
                *self.mishaps.entry(name).or_default() += 1;
                scene.inbox.collect()?;
                for nginx in self.servers {
                    nginx.forget()?;
                }
                let line = self.told(scene);
                (self.tell)(&format!("{line}: {name}"));
                let pause = PAUSE.as_millis() as u64;
                wait::pause(Duration::from_millis(pause + scene.random.below(3 * pause)))?;
            }
        }
    }

    /// How far it is.
    fn told(&self, scene: &Scene<'_, '_>) -> String {
        let done: u32 = self.mishaps.values().sum();
        let taken = lock(&scene.watch.usages).last().map_or(0, |usage| usage.anonymous / 1024);
        let (at, of) = (scene.watch.start.elapsed().as_secs(), self.plan.length.as_secs());
        format!("{at} of {of} s, {done} mishaps, {taken} MiB")
    }
}
