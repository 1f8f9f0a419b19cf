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
use crate::{cpu, peers, wire};

/// Packets a second of the flood.
const RATE: f64 = 300_000.0;
/// How long wrk runs, each time.
const DURATION: Duration = Duration::from_secs(4);
/// Times each is measured, in turn; the best counts.
const RUNS: usize = 3;
/// Of wrk, to the port whose number is the flood's, too.
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

    let mut best: [Option<Load>; 4] = [None; 4];
    for run in 0..RUNS {
        for (place, name) in names.into_iter().enumerate() {
            let host = lab.host(name)?;
            let frame = wire::datagram(host)?;
            let mut forge = Forge::sender(object, Plan::default(), host)?;
            let sender = &*forge.xdp("bench_send_random")?;
            let flood = (name != "quiet").then_some(sender);
            let got = load(&lab, host, client, flood, &frame)?;
            tell(&format!("run {} of {RUNS}, {name}: {:.0} requests/s", run + 1, got.requests));
            if best[place].is_none_or(|best| best.requests < got.requests) {
                best[place] = Some(got);
            }
        }
    }
    report.line(&format!(
        "For information. wrk with {CONNECTIONS} connections to nginx while datagrams from random sources \
         are refused before it, {} million a second wanted; the best of {RUNS} runs of {} s. Generator, \
         server and client share the processors of this machine.",
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
        .filter_map(|(what, best)| {
            let best = best?;
            let numbers = [best.flood / 1e6, best.requests, best.p99 * 1e3].map(number);
            Some([vec![(*what).to_owned()], numbers.to_vec()].concat())
        })
        .collect();
    report.table(&["before nginx", "flood, Mpps", "requests/s", "99th percentile, ms"], &rows);
    drop(servers);
    Ok(())
}

/// One run of wrk.
#[derive(Clone, Copy)]
struct Load {
    /// Packets of the flood a second.
    flood: f64,
    /// Answers a second.
    requests: f64,
    /// 99th percentile of their latency, in seconds.
    p99: f64,
}

fn load(lab: &Lab, host: &Host, client: &Host, flood: Option<&Xdp>, frame: &[u8]) -> Result<Load> {
    let over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flood = flood.map(|sender| {
            scope.spawn(move || {
                lab.switch().enter(|| {
                    let port = interface_index(host.name())?;
                    cpu::go_first();
                    let (start, mut sent) = (Instant::now(), 0_u64);
                    while !over.load(Ordering::Relaxed) {
                        let due = (start.elapsed().as_secs_f64() * RATE) as u64;
                        if due > sent {
                            wire::send(sender, port, frame, u32::try_from(due - sent)?)?;
                            sent = due;
                        }
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Ok(sent as f64 / start.elapsed().as_secs_f64())
                })
            })
        });
        let url = format!("http://{}:{PORT}/", host.v4());
        let loaded = wrk::run(client, CONNECTIONS, DURATION, &url);
        over.store(true, Ordering::Relaxed);
        let flood = match flood {
            Some(thread) => thread.join().map_err(|_| anyhow!("the flood panicked"))??,
            None => 0.0,
        };
        let loaded = loaded?;
        Ok(Load { flood, requests: loaded.rate, p99: loaded.p99 })
    })
}
