//! Number 5: how exactly a limit holds for one source on two processors at once.
//!
//! Two threads run the recorder, which writes down the time of each packet and hands it to the gate;
//! what the gate admits, by its counter, is held against an exact limiter over those times.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use aya::Pod;
use aya::maps::{Array, PerCpuArray, PerCpuValues, ProgramArray};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::util::nr_cpus;
use filter_common::reason::Reason;
use filter_user::kernel::clock::monotonic_ns;
use filter_user::kernel::mapped::Mapped;
use filter_user::kernel::state::State;
use weir_tests::interrupt;

use crate::forge::Forge;
use crate::frames::udp;
use crate::gcra::{Exact, exact};
use crate::prefixes::{Feed, STRANGERS};
use crate::report::{Report, number, tell};
use crate::trial::{Pins, load, policy, told};
use crate::{cpu, trial};

/// Packets that the recorder has room for, for each processor: as in bench/ebpf.
const ROOM: usize = 1 << 23;
/// Packets a second.
const RATES: [u32; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];
/// Offered, in parts of the rate.
const FACTORS: [f64; 3] = [0.5, 2.0, 10.0];
/// Ports of the APIs begin here.
const FIRST_PORT: u16 = 9_000;
/// Packets that are later than this, in ns, are left out: what comes is even, not made up for.
const LATE: u64 = 500_000;
/// Runs at most, until one is steady.
const ATTEMPTS: u32 = 4;
/// From the start of the threads to the first packet, in seconds.
const LEAD: f64 = 0.03;

/// When packets are due, in ns; the layout is that of bench/ebpf's.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Pace {
    interval: u64,
    late: u64,
    start: u64,
    end: u64,
    second: u64,
}

// SAFETY: integers without padding.
unsafe impl Pod for Pace {}

/// One API and its limit.
struct Limit {
    rate: u32,
    /// In ms.
    burst: u32,
    port: u16,
}

impl Limit {
    fn name(&self) -> String {
        format!("r{}-b{}", self.rate, self.burst)
    }

    /// For how long it is offered packets: short where the recorder would have no room.
    fn seconds(&self) -> f64 {
        match self.rate {
            ..=999 => 2.0,
            1_000..=999_999 => 0.8,
            _ => 0.5,
        }
    }
}

fn limits(tick: f64) -> Vec<Limit> {
    // Two ticks (below that another clock is used), but no less than a packet and a tick.
    let shortest = |rate: u32| {
        let least = (2.0 * tick).max(1.0 / f64::from(rate) + tick);
        (least * 1e3).ceil() as u32
    };
    let bursts = |rate| [shortest(rate), 50, 1_000].map(|burst| (rate, burst));
    let pairs = RATES.into_iter().flat_map(bursts);
    pairs.zip(FIRST_PORT..).map(|((rate, burst), port)| Limit { rate, burst, port }).collect()
}

/// Measures it.
pub(crate) fn measure(object: &Path, report: &mut Report) -> Result<()> {
    let processors = cpu::allowed()?;
    ensure!(processors.len() > 1, "one source on two processors needs two processors");
    let cpus = [processors[0], processors[1]];
    let tick = trial::tick()?;
    let limits = limits(tick);
    let mut text = String::new();
    for limit in &limits {
        text.push_str(&format!(
            "[[api]]\nname = \"{}\"\nlisten = [\"udp/{}\"]\nallow = \"any\"\n\
             limit = {{ packets = \"{}/s\", burst = \"{}ms\" }}\n",
            limit.name(),
            limit.port,
            limit.rate,
            limit.burst
        ));
    }
    let pins = Pins::new();
    let mut state = pins.state()?;
    let (_generation, gate) = load(&mut state, &policy(&text, &Feed(String::new()))?)?;
    let room =
        u32::try_from(nr_cpus().map_err(|(_, e)| e)? * ROOM).context("too many processors")?;
    let mut forge = Forge::with(object, |loader| {
        loader.map_max_entries("TIMES", room);
    })?;
    let mut tails: ProgramArray<_> = ProgramArray::try_from(forge.map("GATE")?)?;
    tails.set(0, gate.xdp().fd()?, 0)?;
    forge.xdp("bench_record")?;
    let idle = idle(&mut forge)?;

    let (mut worst, mut refused_at_half, mut rows) = (0.0_f64, 0, Vec::new());
    let mut worst_of_bound = 0.0_f64;
    for limit in &limits {
        let rate = f64::from(limit.rate);
        tell(&format!("{}/s, burst {} ms, from two processors", limit.rate, limit.burst));
        let mut row = vec![format!("{}/s", limit.rate), format!("{} ms", limit.burst)];
        for factor in FACTORS {
            interrupt::check()?;
            let (admitted, exact) = steady(&mut forge, &state, limit, factor, (cpus, idle))?;
            let offered = exact.admitted + exact.refused;
            let error = (admitted as f64 - exact.admitted as f64) / exact.admitted as f64;
            // What a clock of ticks may be off, each time the limit begins anew, and one packet.
            let bound = (rate * tick + 1.0) * exact.rests as f64 / exact.admitted as f64;
            if factor < 1.0 {
                refused_at_half += offered - admitted;
                row.push((offered - admitted).to_string());
            } else {
                worst = worst.max(error.abs());
                worst_of_bound = worst_of_bound.max(error.abs() / bound);
                row.push(number(offered as f64 / limit.seconds() / rate));
                row.push(format!("{:+.2} %", error * 100.0));
            }
        }
        rows.push(row);
    }
    report.at_most("largest difference from the exact limiter, share", 0.01, worst);
    report.at_most("largest difference, share of the derived bound", 1.0, worst_of_bound);
    report.at_most("packets refused at half the rate", 0.0, refused_at_half as f64);
    report.line(&format!(
        "One source on two processors at once, a tick of {} ms. The exact limiter judges the arrival times \
         that were recorded right before the gate. \"Offered\" is what two processors came to, in parts of \
         the rate.",
        number(tick * 1e3)
    ));
    let heads = [
        "limit",
        "burst",
        "refused at 0.5",
        "offered",
        "difference",
        "offered (10 wanted)",
        "difference",
    ];
    report.table(&heads, &rows);
    Ok(())
}

/// As [`run`], again when the machine held up the senders for so long that a limit that is offered
/// more than it admits came to rest; the steadiest of the runs.
fn steady(
    forge: &mut Forge,
    state: &State,
    limit: &Limit,
    factor: f64,
    how: ([usize; 2], f64),
) -> Result<(u64, Exact)> {
    let offered = f64::from(limit.rate) * factor;
    let mut best = run(forge, state, limit, offered, how)?;
    for _ in 1..ATTEMPTS {
        if factor < 1.0 || best.1.rests == 1 {
            break;
        }
        let other = run(forge, state, limit, offered, how)?;
        if other.1.rests < best.1.rests {
            best = other;
        }
    }
    Ok(best)
}

/// Offers packets to a limit from both processors; what the gate admitted, and what an exact
/// limiter would have.
fn run(
    forge: &mut Forge,
    state: &State,
    limit: &Limit,
    offered: f64,
    (cpus, idle): ([usize; 2], f64),
) -> Result<(u64, Exact)> {
    let mut frame = udp(STRANGERS[0]);
    frame[36..38].copy_from_slice(&limit.port.to_be_bytes());
    let api = state.ids().apis().find(|(_, name)| *name == limit.name()).map(|(id, _)| id);
    let api = api.with_context(|| format!("no API {}", limit.name()))?;
    // What the run before left of the burst has come back.
    let burst = Duration::from_millis(u64::from(limit.burst));
    std::thread::sleep(burst + Duration::from_millis(20));
    let before = state.counters.one(api, Reason::Allowed, false).map_err(told)?.packets;
    let start = monotonic_ns() + (LEAD * 1e9) as u64;
    let pace = Pace {
        // Half of them from each processor, in turn.
        interval: (2e9 / offered) as u64,
        late: LATE,
        start,
        end: start + (limit.seconds() * 1e9) as u64,
        second: cpus[1] as u64,
    };
    prepare(forge, pace)?;
    let repeat = ((LEAD + limit.seconds()) * 1e9 / idle) as u32;
    let record = &*forge.xdp("bench_record")?;
    let frame = &frame;
    std::thread::scope(|scope| {
        let threads = cpus.map(|cpu| {
            scope.spawn(move || {
                cpu::stay_on(cpu)?;
                cpu::go_first();
                spin(record, frame, repeat).map(drop)
            })
        });
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    let after = state.counters.one(api, Reason::Allowed, false).map_err(told)?.packets;
    let arrivals = arrivals(forge)?;
    Ok((after - before, exact(&arrivals, f64::from(limit.rate), burst.as_secs_f64())))
}

/// Runs the recorder so often; the mean time of a run.
fn spin(record: &Xdp, frame: &[u8], repeat: u32) -> Result<Duration> {
    let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
    let run = record.test_run(options).context("the kernel does not run the recorder")?;
    Ok(run.duration)
}

/// Nanoseconds of a run of the recorder that waits: the shortest there is.
fn idle(forge: &mut Forge) -> Result<f64> {
    prepare(forge, Pace { start: 1, ..Pace::default() })?;
    let record = &*forge.xdp("bench_record")?;
    let mut best = Duration::MAX;
    for _ in 0..20 {
        best = best.min(spin(record, &udp(STRANGERS[0]), 100_000)?);
    }
    Ok(best.as_nanos().max(1) as f64)
}

/// Sets the pace and forgets the run before.
fn prepare(forge: &mut Forge, pace: Pace) -> Result<()> {
    let mut paces: Array<_, Pace> = Array::try_from(forge.map("PACE")?)?;
    paces.set(0, pace, 0)?;
    for name in ["WRITTEN", "DUE"] {
        let mut map: PerCpuArray<_, u64> = PerCpuArray::try_from(forge.map(name)?)?;
        let zeros = vec![0; nr_cpus().map_err(|(_, e)| e)?];
        map.set(0, PerCpuValues::try_from(zeros)?, 0)?;
    }
    Ok(())
}

/// The times of all packets, in order.
fn arrivals(forge: &mut Forge) -> Result<Vec<u64>> {
    let written: PerCpuArray<_, u64> = PerCpuArray::try_from(forge.map("WRITTEN")?)?;
    let written: Vec<u64> = written.get(&0, 0)?.iter().copied().collect();
    let times = Mapped::<u64>::new("TIMES", forge.map("TIMES")?).map_err(told)?;
    let mut all = Vec::new();
    for (cpu, count) in written.into_iter().enumerate() {
        let count = usize::try_from(count)?;
        ensure!(count < ROOM, "the recorder was full: its packets never reached the gate");
        all.extend_from_slice(&times.cells()[cpu * ROOM..cpu * ROOM + count]);
    }
    all.sort_unstable();
    Ok(all)
}
