//! Number 8, for information: what is left for an honest client while a flood is refused. Generator,
//! server and client share the processors, so that it says little.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use aya::programs::Xdp;
use filter_user::kernel::host::interface_index;
use weir_tests::lab::{Host, Lab};
use weir_tests::nginx::Nginx;
use weir_tests::weir::Weir;
use weir_tests::wrk;

use crate::forge::{Forge, Plan};
use crate::frames::PORT;
use crate::report::{Report, number, tell};
use crate::{peers, wire};

/// Packets a second of the flood.
const RATE: f64 = 300_000.0;
/// How long wrk runs, each time.
const DURATION: Duration = Duration::from_secs(4);
/// Times each is measured, in turn; the best counts.
const RUNS: usize = 3;
/// The web server's port; the flood goes to the UDP port of the same number.
const CONNECTIONS: u32 = 16;

/// Measures it.
pub(crate) fn measure(object: &Path, report: &mut Report) -> Result<()> {
    let names = ["quiet", "empty", "weir", "nft"];
    let lab = Lab::new(&[("quiet", 1), ("empty", 2), ("weir", 3), ("nft", 4), ("client", 5)])?;
    let client = lab.host("client")?;
    let mut servers = Vec::new();
    for name in names {
        let directory = lab.directory().join(name);
        std::fs::create_dir(&directory)?;
        servers.push(Nginx::start(lab.host(name)?, &directory, &[("orders", PORT)])?);
    }
    let mut rivals = Forge::new(object)?;
    rivals.gate("bench_drop_udp", lab.host("empty")?)?;
    let policy = format!(
        "[groups.clients]\ncidrs = [\"{}\"]\n[[api]]\nname = \"orders\"\n\
         listen = [\"tcp/{PORT}\", \"udp/{PORT}\"]\nallow = [\"clients\"]\n",
        client.v4()
    );
    let file = lab.directory().join("policy.toml");
    std::fs::write(&file, policy)?;
    let _weir = Weir::start(&lab, lab.host("weir")?, &["--policy", &file.to_string_lossy()])?;
    let rule = format!("ip saddr != {} counter drop", client.v4());
    peers::nftables(&lab, lab.host("nft")?, "", &rule)?;

    let mut best = [(0.0, f64::INFINITY); 4];
    for run in 0..RUNS {
        for (place, name) in names.into_iter().enumerate() {
            let host = lab.host(name)?;
            let frame = wire::datagram(host)?;
            let mut forge = Forge::sender(object, Plan::default(), host)?;
            let sender = &*forge.xdp("bench_send_random")?;
            let flood = (name != "quiet").then_some(sender);
            let got = load(&lab, host, client, flood, &frame)?;
            tell(&format!("run {} of {RUNS}, {name}: {:.0} requests/s", run + 1, got.0));
            best[place] = (f64::max(best[place].0, got.0), f64::min(best[place].1, got.1));
        }
    }
    report.line(&format!(
        "For information. wrk with {CONNECTIONS} connections to nginx while {} million datagrams a second \
         from random sources are refused before it; the best of {RUNS} runs of {} s. Generator, server and \
         client share the processors of this machine.",
        number(RATE / 1e6),
        DURATION.as_secs()
    ));
    let what = [
        "no flood, nothing before nginx",
        "flood, a program that drops UDP",
        "flood, weir with its sensor",
        "flood, nftables on netdev ingress",
    ];
    let rows: Vec<_> = what
        .iter()
        .zip(best)
        .map(|(what, (rate, p99))| vec![(*what).to_owned(), number(rate), number(p99 * 1e3)])
        .collect();
    report.table(&["before nginx", "requests/s", "99th percentile, ms"], &rows);
    drop(servers);
    Ok(())
}

/// Requests a second and the 99th percentile of their latency, in seconds.
fn load(
    lab: &Lab,
    host: &Host,
    client: &Host,
    flood: Option<&Xdp>,
    frame: &[u8],
) -> Result<(f64, f64)> {
    let over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flood = flood.map(|sender| {
            scope.spawn(move || {
                lab.switch().enter(|| {
                    let port = interface_index(host.name())?;
                    let (start, mut sent) = (Instant::now(), 0.0);
                    while !over.load(Ordering::Relaxed) {
                        let due = (start.elapsed().as_secs_f64() * RATE - sent).min(RATE / 100.0);
                        if due >= 64.0 {
                            wire::send(sender, port, frame, due as u32)?;
                            sent = start.elapsed().as_secs_f64() * RATE;
                        }
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Ok(())
                })
            })
        });
        let url = format!("http://{}:{PORT}/", host.v4());
        let loaded = wrk::run(client, CONNECTIONS, DURATION, &url);
        over.store(true, Ordering::Relaxed);
        if let Some(thread) = flood {
            thread.join().map_err(|_| anyhow!("the flood panicked"))??;
        }
        let loaded = loaded?;
        Ok((loaded.rate, loaded.p99))
    })
}
