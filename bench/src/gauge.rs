//! Number 9: what it costs to see every request, and what is left of the server's peak.
//!
//! Servers that differ only in what looks at their packets are asked the same in turn. What a run cost
//! is the time that the processes of the server's host and the load's have spent on a processor,
//! the work of interrupts on their back included: programs at a hook run in whoever sends. What a
//! watcher cost is what its server's runs took more than those with programs that do nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use weir_tests::lab::{Host, INTERFACE, Lab};
use weir_tests::nginx::Nginx;
use weir_tests::process::Background;
use weir_tests::reading::Reading;
use weir_tests::weir::{Plan, Weir};
use weir_tests::{wait, wrk};

use crate::forge::Forge;
use crate::frames::PORT;
use crate::report::{Report, note, number, tell};

/// Times each server is asked, in turn.
const RUNS: usize = 10;
/// Requests a second that are offered, over so many connections.
const RATE: u64 = 4_000;
const CONNECTIONS: u64 = 40;
/// How long a run takes.
const SECONDS: u64 = 3;
/// Student's t for 9 degrees of freedom: 95 of 100 intervals hold the mean.
const T: f64 = 2.262;
/// How long Suricata takes to begin.
const START: Duration = Duration::from_secs(60);

/// A load, and what one request of it may cost.
struct Load {
    what: &'static str,
    /// CPU seconds a million requests.
    goal: f64,
    run: fn(&Host, &str) -> Result<u64>,
}

/// What a run cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Requests answered a second.
    rate: f64,
    /// CPU seconds a million requests.
    cpu: f64,
}

/// Measures it.
pub(crate) fn measure(object: &Path, report: &mut Report) -> Result<()> {
    let lab = Lab::new(&[("bare", 1), ("weir", 2), ("few", 3), ("peer", 4), ("client", 5)])?;
    let client = lab.host("client")?;
    let mut servers = Vec::new();
    for name in ["bare", "weir", "few", "peer"] {
        let directory = lab.directory().join(name);
        std::fs::create_dir(&directory)?;
        servers.push(Nginx::start(lab.host(name)?, &directory, &[("orders", PORT)])?);
    }
    let mut floor = Forge::new(object)?;
    floor.gate("bench_pass", lab.host("bare")?)?;
    floor.watch(lab.host("bare")?)?;
    let policy = lab.directory().join("policy.toml");
    std::fs::write(
        &policy,
        format!("[[api]]\nname = \"orders\"\nlisten = [\"tcp/{PORT}\"]\nallow = \"any\"\n"),
    )?;
    let policy = policy.to_string_lossy();
    let weir = Weir::start(&lab, lab.host("weir")?, &["--policy", &policy])?;
    let arguments = ["--policy", &*policy, "--sample", "0.01"];
    let plan = Plan { name: "few", arguments: &arguments, ..Plan::default() };
    let _few = Weir::launch(&lab, lab.host("few")?, &plan)?;
    let peer = suricata(&lab)?;

    let mut asked = 0;
    let loads = [
        Load { what: "4,000 requests/s", goal: 3.0, run: paced },
        Load { what: "as many as nginx answers", goal: 3.0, run: peak },
    ];
    let mut rows = Vec::new();
    for load in &loads {
        let mut names = vec!["bare", "weir"];
        names.extend(peer.as_ref().map(|_| "peer"));
        names.push("few");
        let mut costs = vec![Vec::with_capacity(RUNS); names.len()];
        for run in 0..RUNS {
            for (name, costs) in names.iter().zip(&mut costs) {
                let (cost, requests) = cost(&lab, lab.host(name)?, client, load)?;
                if *name == "weir" {
                    asked += requests;
                }
                costs.push(cost);
            }
            let shown: Vec<_> = names
                .iter()
                .zip(&costs)
                .filter_map(|(name, costs)| Some(format!("{name} {:.1}", costs.last()?.cpu)))
                .collect();
            tell(&format!("{}: run {} of {RUNS}: {}", load.what, run + 1, shown.join(", ")));
        }
        let more = |place: usize| {
            let pairs = costs[0].iter().zip(&costs[place]);
            spread(&pairs.map(|(bare, other)| other.cpu - bare.cpu).collect::<Vec<_>>())
        };
        let rate = |place: usize| {
            let mut rates: Vec<f64> = costs[place].iter().map(|cost| cost.rate).collect();
            rates.sort_by(f64::total_cmp);
            (rates[RUNS / 2 - 1] + rates[RUNS / 2]) / 2.0
        };
        let (mean, half) = more(1);
        let what = format!("CPU seconds a million requests, {}", load.what);
        report.at_most(&what, load.goal, mean);
        if peer.is_some() {
            let (suricata, _) = more(2);
            let what = format!("the same by Suricata's, {}", load.what);
            report.at_most(&what, 0.125, mean / suricata);
        }
        if load.what.starts_with("as many") {
            let share = |place: usize| 1.0 - rate(place) / rate(0);
            report.at_most(
                "share of nginx's peak that is lost, every flow sampled",
                0.15,
                share(1),
            );
            let last = names.len() - 1;
            report.at_most("the same, 1 flow in 100 sampled", 0.03, share(last));
        }
        let called = |name: &str| match name {
            "bare" => "programs that do nothing",
            "weir" => "weir, every flow",
            "few" => "weir, 1 flow in 100",
            _ => "Suricata, no rules",
        };
        for (place, name) in names.iter().enumerate() {
            let (more, half) = if place == 0 { (0.0, 0.0) } else { more(place) };
            rows.push(vec![
                format!("{}, {}", called(name), load.what),
                number(rate(place)),
                number(more),
                format!("± {}", number(half)),
            ]);
        }
        note(&format!("{}: {mean:.2} ± {half:.2} CPU s a million", load.what));
    }
    let (seen, lost) = seen(&weir)?;
    // What was still on its way when a load ended was answered, and counted by nobody but the server.
    let missing = asked.saturating_sub(seen);
    report.at_most("requests neither seen nor counted as lost", 0.0, missing as f64);
    report.line(&format!(
        "HTTP/1.1 over {CONNECTIONS} kept connections, h2load and wrk, {RUNS} runs of {SECONDS} s each in turn: \
         medians of the rates, means of what is more than with programs that do nothing, with 95 % intervals. \
         Of {asked} requests to the server that weir watches, {seen} are in its metrics; {lost} records were lost."
    ));
    if peer.is_none() {
        report
            .line("Suricata is not installed here: `apt-get install suricata` for the comparison.");
    }
    report.table(&["before nginx", "requests/s", "CPU s a million more", ""], &rows);
    drop((servers, peer));
    Ok(())
}

/// Requests of the server's API in the metrics, and records lost.
fn seen(weir: &Weir<'_>) -> Result<(u64, u64)> {
    let reading = Reading::at_rest(weir)?;
    let count = |name: &str, labels: &[(&str, &str)]| reading.metrics.sum(name, labels) as u64;
    let orders = [("api", "orders"), ("http_response_status_code", "200")];
    let seen = count("http_server_request_duration_seconds_count", &orders);
    Ok((seen, reading.samples("dropped")?))
}

/// Mean, and half of the interval that holds the true one 95 times in 100.
fn spread(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, T * (variance / n).sqrt())
}

/// One run of a load.
fn cost(lab: &Lab, server: &Host, client: &Host, load: &Load) -> Result<(Cost, u64)> {
    let url = format!("http://{}:{PORT}/", server.v4());
    let before = spent(lab, server)?;
    let start = std::time::Instant::now();
    let requests = (load.run)(client, &url)?;
    let seconds = start.elapsed().as_secs_f64();
    // What the watcher still has to do is part of it.
    std::thread::sleep(Duration::from_millis(200));
    let cpu = spent(lab, server)? - before;
    let cost = Cost { rate: requests as f64 / seconds, cpu: cpu / requests as f64 * 1e6 };
    Ok((cost, requests))
}

/// Seconds on a processor of a host's processes, of all that this one has waited for, and of the
/// kernel's threads that take over when interrupts are too many.
fn spent(_lab: &Lab, server: &Host) -> Result<f64> {
    let mut ns = 0;
    for pid in server.netns.processes()? {
        ns += on_cpu(Path::new(&format!("/proc/{pid}/task")));
    }
    for entry in std::fs::read_dir("/proc").context("cannot read /proc")?.flatten() {
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.starts_with("ksoftirqd/") {
            ns += on_cpu(&entry.path().join("task"));
        }
    }
    // SAFETY: an all-zero value is one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the value is valid for writing.
    let done = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    ensure!(done == 0, "cannot tell what children took: {}", std::io::Error::last_os_error());
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(ns as f64 / 1e9 + seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

/// Nanoseconds that the threads in a directory of /proc were on a processor; none of those that ended
/// meanwhile.
fn on_cpu(tasks: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(tasks) else { return 0 };
    let times = entries.flatten().filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    times.sum()
}

/// h2load at a steady rate; how many requests were answered.
fn paced(client: &Host, url: &str) -> Result<u64> {
    let connections = CONNECTIONS.to_string();
    let rate = (RATE / CONNECTIONS).to_string();
    let seconds = SECONDS.to_string();
    let words = ["--h1", "-c", &connections, "--rps", &rate, "-D", &seconds, url];
    let limit = Duration::from_secs(SECONDS + 20);
    let text = client.netns.run("h2load", &words, limit)?.success()?;
    let of = |mark: &str| {
        let line = text.lines().find(|line| line.starts_with("requests:"))?;
        let before = line.split_once(mark)?.0;
        before.rsplit([' ', ',']).find(|word| !word.is_empty())?.parse::<u64>().ok()
    };
    let (done, failed) =
        of(" succeeded").zip(of(" failed")).context("unexpected output of h2load")?;
    ensure!(failed == 0 && done > 0, "h2load failed:\n{text}");
    Ok(done)
}

/// wrk, as fast as it can.
fn peak(client: &Host, url: &str) -> Result<u64> {
    let connections = u32::try_from(CONNECTIONS)?;
    let report = wrk::run(client, connections, Duration::from_secs(SECONDS), url)?;
    ensure!(report.socket_errors + report.bad_status == 0, "wrk failed: {report:?}");
    Ok(report.requests)
}

/// Suricata on its host, with its own configuration and no rules; `None` where it is not installed.
fn suricata(lab: &Lab) -> Result<Option<Background>> {
    let host = lab.host("peer")?;
    if host.netns.run("suricata", &["-V"], Duration::from_secs(10)).is_err() {
        return Ok(None);
    }
    let directory = lab.directory().join("suricata");
    std::fs::create_dir(&directory)?;
    let mut command = host.netns.command("suricata");
    command.args(["-c", "/etc/suricata/suricata.yaml", "-S", "/dev/null"]);
    command.arg(format!("--af-packet={INTERFACE}")).arg("-l").arg(&directory);
    command.args(["--set", "runmode=workers", "--pidfile"]).arg(directory.join("pid"));
    let mut process = Background::start("suricata", command, &directory.join("log"))?;
    process.ready("suricata captures", START, || {
        let log = std::fs::read_to_string(directory.join("suricata.log"))?;
        ensure!(log.contains("Engine started") || log.contains("engine started"), "{log}");
        Ok(())
    })?;
    wait::pause(Duration::from_secs(1))?;
    Ok(Some(process))
}
