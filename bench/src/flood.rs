//! Number 4: a flood of forged sources on a public API with a limit for each source, and what
//! becomes of real sources meanwhile. Live frames through veth, one processor; what a gate lets in is
//! ended by a TC program right behind it, the same for all.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use filter_common::limiter::WAYS;
use filter_user::kernel::host::interface_index;
use weir_tests::interrupt;
use weir_tests::lab::{Host, Lab};
use weir_tests::reading::Reading;
use weir_tests::weir::Weir;

use crate::forge::{Forge, Plan};
use crate::frames::PORT;
use crate::report::{Report, note, number};
use crate::wire::{self, Lane};
use crate::{cpu, trial};

/// Sources whose limits are kept exactly.
const TRACKED: u32 = 1 << 18;
/// Packets a second and source that the API admits.
const LIMIT: f64 = 100.0;
/// 16.0.0.0/8.
const FORGED: u32 = 16 << 24;
/// Forged sources.
const MANY: u32 = 1 << 24;
/// Sources that the limiter knows.
const FEW: u32 = 100_000;
/// 10.1.0.0: real sources meanwhile.
const REAL: u32 = 10 << 24 | 1 << 16;
const REALS: u32 = 1_000;
/// Packets a second of each real source: half of what it may send.
const REAL_RATE: f64 = 50.0;
/// For how long they are watched.
const WATCH: Duration = Duration::from_secs(5);
/// Packets of a burst: long enough for the limiter to be as full as it gets.
const BURST: u32 = 200_000;

/// Measures it.
pub(crate) fn measure(object: &Path, report: &mut Report) -> Result<()> {
    let lab = Lab::new(&[("floor", 1), ("weir", 2), ("sensor", 3), ("lru", 4)])?;
    let [floor, gated, sensor, lru] =
        [lab.host("floor")?, lab.host("weir")?, lab.host("sensor")?, lab.host("lru")?];
    let file = lab.directory().join("policy.toml");
    let policy = format!(
        "[[api]]\nname = \"public\"\nlisten = [\"udp/{PORT}\"]\nallow = \"any\"\n\
         limit = {{ packets = \"{LIMIT}/s\", burst = \"1s\" }}\n"
    );
    std::fs::write(&file, policy)?;
    let config = lab.directory().join("weir.toml");
    let text = format!("[limits]\nsources = {TRACKED}\n[sensor]\nsample = 0\n");
    std::fs::write(&config, text)?;
    let arguments = ["--policy", &file.to_string_lossy(), "--config", &config.to_string_lossy()];
    let weir = Weir::start(&lab, gated, &arguments)?;
    let _sampling = Weir::start(&lab, sensor, &arguments[..2])?;
    let mut rivals = Forge::with(object, |loader| {
        loader.map_max_entries("SOURCES", TRACKED);
    })?;
    rivals.gate("bench_pass", floor)?;
    rivals.gate("bench_lru", lru)?;
    let known = [REAL, REALS];
    let mut sink = Forge::with(object, |loader| {
        loader.override_global("KNOWN", &known, true);
    })?;
    let hosts = [floor, gated, sensor, lru];
    for host in hosts {
        sink.sink(host)?;
    }

    let mut senders = Vec::new();
    for host in hosts {
        for span in [MANY, FEW] {
            let plan = Plan { base: FORGED, span, ..Plan::default() };
            senders.push(Forge::sender(object, plan, host)?);
        }
    }
    let mut lanes = Vec::new();
    for (number, sender) in senders.iter_mut().enumerate() {
        let kind = ["many", "few"][number % 2];
        let random = &*sender.xdp("bench_send_random")?;
        lanes.push(Lane::new(kind, hosts[number / 2], random, BURST));
    }
    wire::measure(&lab, &mut lanes)?;
    let ns = |host: &str, kind: &str| {
        let lane = lanes.iter().find(|lane| lane.host.name() == host && lane.name == kind);
        lane.map_or(f64::NAN, |lane| lane.ns)
    };
    let above = |host: &str, kind: &str| ns(host, kind) - ns("floor", kind);
    let (many, few, lru) = (above("weir", "many"), above("weir", "few"), above("lru", "many"));
    report.at_most("16 million forged sources ÷ 100,000 known ones", 1.5, many / few);
    report.at_most("16 million forged sources ÷ LRU-hash insert per packet", 0.25, many / lru);
    report.line(&format!(
        "Nanoseconds a packet above an empty program that passes ({} ns from 16 million sources, {} ns \
         from 100,000), all packets within their limits and ended behind the gate.",
        number(ns("floor", "many")),
        number(ns("floor", "few"))
    ));
    report.table(
        &["gate", "16 million forged", "100,000 known"],
        &[
            vec!["weir, 100/s a source, no sampling".to_owned(), number(many), number(few)],
            vec![
                "the same, every datagram into the ring".to_owned(),
                number(above("sensor", "many")),
                number(above("sensor", "few")),
            ],
            vec![
                "LRU hash, time of each source".to_owned(),
                number(lru),
                number(above("lru", "few")),
            ],
        ],
    );
    watch(object, &lab, gated, &weir, &mut sink, 1e9 / ns("weir", "many"), report)
}

/// Real sources below their limit in the middle of the flood: how many packets they lose.
fn watch(
    object: &Path,
    lab: &Lab,
    host: &Host,
    weir: &Weir<'_>,
    sink: &mut Forge,
    rate: f64,
    report: &mut Report,
) -> Result<()> {
    let every = (rate / (REAL_RATE * f64::from(REALS))).ceil() as u32;
    let plan = Plan { base: FORGED, span: MANY, every, known: REAL, knowns: REALS, sum: 0 };
    let mut forge = Forge::sender(object, plan, host)?;
    let frame = wire::datagram(host)?;
    let before = refused(weir)?;
    note(&format!("{REALS} real sources in a flood of {} Mpps at most", number(rate / 1e6)));
    let (mut sent, mut real, mut arrived, mut spent) = (0, 0, 0, Duration::ZERO);
    while sent < (rate * WATCH.as_secs_f64()) as u64 {
        interrupt::check()?;
        let start = (forge.known_sent()?, sink.count("ARRIVED", 1)?, wire::received(host)?);
        let sender = &*forge.xdp("bench_send_random")?;
        let took = lab.switch().enter(|| {
            cpu::stay_on(cpu::allowed()?[0])?;
            cpu::go_first();
            wire::send(sender, interface_index(host.name())?, &frame, BURST)
        })?;
        let end = (forge.known_sent()?, sink.count("ARRIVED", 1)?, wire::received(host)?);
        spent += took * BURST;
        sent += u64::from(BURST);
        // Only bursts that came to the gate as a whole say what it did.
        if end.2 - start.2 >= u64::from(BURST) {
            real += end.0 - start.0;
            arrived += end.1 - start.1;
        }
    }
    ensure!(real >= 100_000, "only {real} packets of real sources came to the gate");
    let lost = real.saturating_sub(arrived);
    let refused = refused(weir)? - before;
    let rate = sent as f64 / spent.as_secs_f64();

    // A packet holds a way for as long as it costs, and until the clock has moved on.
    let tick = trial::tick()?;
    let cells = f64::from(TRACKED / WAYS as u32);
    let load = rate * (1.0 / LIMIT + tick) / cells;
    let full = poisson_tail(load, WAYS as u32);
    let share = lost as f64 / real as f64;
    report.at_most("packets that real sources lose in the flood", 0.001, share);
    // Three standard deviations of a count of so many packets above what is expected.
    let expected = full + 3.0 * (full / real as f64).sqrt() + 1.0 / real as f64;
    report.at_most("the same, by the probability of a full cell", expected, share);
    report.line(&format!(
        "{REALS} real sources sent {} packets a second each, half of their limit, in a flood of {} million \
         packets a second from {MANY} forged ones: {lost} of {real} packets did not arrive; {refused} of all \
         {sent} packets found their cell full and the overflow budget spent. A packet holds a way for \
         1/rate + tick, so a cell of {WAYS} ways has {} of them in use on average, and all of them with \
         probability {} (Poisson).",
        number(REAL_RATE),
        number(rate / 1e6),
        number(load),
        number(full)
    ));
    Ok(())
}

/// Packets of the API that were refused for want of a way.
fn refused(weir: &Weir<'_>) -> Result<u64> {
    let reading = Reading::now(weir).context("the daemon's counters")?;
    Ok(reading.kernel("public", "limit_overflow"))
}

/// The probability that a Poisson variable with this mean is at least `least`.
fn poisson_tail(mean: f64, least: u32) -> f64 {
    let mut term = (-mean).exp();
    for k in 1..=least {
        term *= mean / f64::from(k);
    }
    let mut sum = 0.0;
    for k in least..least + 64 {
        sum += term;
        term *= mean / f64::from(k + 1);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_poisson_distribution() {
        // 1 - e^-1 (1 + 1), and 1 - e^-2 (1 + 2 + 2 + 4/3).
        for (mean, least, expected) in [(1.0, 2, 0.264_241), (2.0, 4, 0.142_877), (0.5, 0, 1.0)] {
            assert!((poisson_tail(mean, least) - expected).abs() < 1e-6, "{mean} {least}");
        }
    }
}
