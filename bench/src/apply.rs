//! Number 6: how long `weir apply` takes for a million prefixes, as a whole process, and what memory
//! they take.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use weir_tests::lab::Lab;
use weir_tests::weir::Weir;

use crate::frames::PORT;
use crate::memory;
use crate::prefixes::Prefixes;
use crate::report::{Report, number, tell};

/// Prefixes of each family: few and many.
const FEW: [usize; 2] = [800, 200];
const MANY: [usize; 2] = [1_000_000, 250_000];
/// Times it is applied; the fastest counts.
const RUNS: usize = 5;
/// Maps whose size is the operator's, not the policy's.
const CHOSEN: [&str; 2] = ["RING", "LIMITER"];
const MIB: f64 = (1 << 20) as f64;

/// Writes a policy with its feed.
fn write(directory: &Path, name: &str, [v4, v6]: [usize; 2]) -> Result<String> {
    let feed = Prefixes::new(v4, v6).text();
    std::fs::write(directory.join(format!("{name}.txt")), feed)?;
    let path = directory.join(format!("{name}.toml"));
    let text = format!(
        "[policy]\nname = \"{name}\"\n\n[groups.listed]\nfiles = [\"{name}.txt\"]\n\n\
         [[api]]\nname = \"measured\"\nlisten = [\"udp/{PORT}\"]\nallow = [\"listed\"]\n\
         limit = {{ packets = \"2000/s\" }}\n"
    );
    std::fs::write(&path, text)?;
    Ok(path.to_string_lossy().into_owned())
}

/// Measures it.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let lab = Lab::new(&[("server", 1)])?;
    tell("writing two policies: 1,000 prefixes and 1,250,000");
    let few = write(lab.directory(), "few", FEW)?;
    let many = write(lab.directory(), "many", MANY)?;
    let weir = Weir::start(&lab, lab.host("server")?, &["--policy", &few])?;
    let pid = weir.pid().context("the daemon does not run")?;
    let small = Held::of(pid)?;
    let (mut best, mut swap) = (f64::INFINITY, Swap::default());
    for run in 0..RUNS {
        let this = apply(&weir, pid, &many)?;
        tell(&format!("run {} of {RUNS}: {:.2} s", run + 1, this.seconds));
        best = best.min(this.seconds);
        swap = Swap {
            seconds: best,
            maps: swap.maps.max(this.maps),
            process: swap.process.max(this.process),
        };
        if run + 1 < RUNS {
            weir.verb(&["apply", &few])?.success()?;
        }
    }
    let large = Held::of(pid)?;
    let prefixes = (MANY.iter().sum::<usize>() - FEW.iter().sum::<usize>()) as f64;
    report.at_most("`weir apply` of 1,000,000 IPv4 and 250,000 IPv6 prefixes, s", 2.0, best);
    report.at_most(
        "kernel memory for 1,000 prefixes without ring and limiter, MiB",
        64.0,
        small.policy() / MIB,
    );
    report.line(&format!(
        "`weir apply` as a whole process, the fastest of {RUNS}. Memory is `memlock` of the maps that the \
         daemon holds. From 1,000 to 1,250,000 prefixes it grows by {} bytes a prefix. During a swap both \
         generations are there: at most {} MiB in maps, and the daemon's own memory, tables being filled \
         included, at most {} MiB.",
        number((large.policy() - small.policy()) / prefixes),
        number(swap.maps as f64 / MIB),
        number(swap.process as f64 / MIB)
    ));
    let mut rows = Vec::new();
    let mut line = |name: &str, value: &dyn Fn(&Held) -> f64| {
        rows.push(vec![name.to_owned(), number(value(&small) / MIB), number(value(&large) / MIB)]);
    };
    line("all maps", &Held::all);
    for name in CHOSEN {
        line(&format!("`{name}`, sized by a setting"), &|held| held.of_name(name));
    }
    line("the rest", &Held::policy);
    let mut names: Vec<_> =
        large.0.iter().filter(|(name, _)| !CHOSEN.contains(&name.as_str())).collect();
    names.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
    for (name, _) in names.into_iter().take(8) {
        line(&format!("of it `{name}`"), &|held| held.of_name(name));
    }
    report.table(&["MiB, steady", "1,000 prefixes", "1,250,000 prefixes"], &rows);
    Ok(())
}

/// One apply.
#[derive(Default)]
struct Swap {
    seconds: f64,
    /// Most bytes in maps.
    maps: u64,
    /// Most bytes of the daemon's own.
    process: u64,
}

fn apply(weir: &Weir<'_>, pid: u32, path: &str) -> Result<Swap> {
    memory::reset_peak(pid)?;
    let (over, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let seconds = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let maps = memory::maps(pid).map_or(0, |maps| maps.values().sum());
                most.fetch_max(maps, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let start = Instant::now();
        let done = weir.verb(&["apply", path]);
        let seconds = start.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        done?.success()?;
        Ok::<_, anyhow::Error>(seconds)
    })?;
    Ok(Swap { seconds, maps: most.into_inner(), process: memory::peak(pid)? })
}

/// Bytes of the maps that a daemon holds, by name.
struct Held(BTreeMap<String, u64>);

impl Held {
    fn of(pid: u32) -> Result<Self> {
        // The generation before goes when nothing refers to it any more.
        std::thread::sleep(Duration::from_millis(500));
        let names = memory::names();
        let mut held = BTreeMap::new();
        for (id, bytes) in memory::maps(pid)? {
            let name = names.get(&id).cloned().ok_or_else(|| anyhow!("map {id} is gone"))?;
            *held.entry(name).or_default() += bytes;
        }
        Ok(Self(held))
    }

    fn all(&self) -> f64 {
        self.0.values().sum::<u64>() as f64
    }

    fn of_name(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0) as f64
    }

    fn policy(&self) -> f64 {
        self.all() - CHOSEN.iter().map(|name| self.of_name(name)).sum::<f64>()
    }
}
