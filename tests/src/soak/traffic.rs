//! The load of a soak: several kinds at once, each over and over with a pause, until it is over. What
//! comes of a request does not matter: the mishaps refuse some.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use super::stage::{FAST, SECURE, SHOP};
use crate::frame::Transport;
use crate::generator::{self, Flood, Sources};
use crate::lab::{Host, Lab};
use crate::{curl, h2load, wait, wrk};

/// Packets a second of the flood, while it lasts.
const RATE: u32 = 5_000;
/// Forged sources of the flood, of 203.0.113.0/24.
const FORGED: u32 = 64;

/// What was asked for and sent.
#[derive(Debug, Default)]
pub struct Counts {
    /// Answers over HTTP/1.1, kept connections.
    pub kept: AtomicU64,
    /// Answers over HTTP/1.1, a connection each.
    pub single: AtomicU64,
    /// Answers over HTTP/2.
    pub streams: AtomicU64,
    /// Answers inside TLS.
    pub secure: AtomicU64,
    /// Guesses and probes that were tried.
    pub probes: AtomicU64,
    /// Packets of the flood.
    pub flood: AtomicU64,
}

/// One kind of load.
type Load = fn(&Lab, &Counts) -> Result<()>;

const LOADS: [(&str, Load, Duration); 6] = [
    ("wrk", kept, Duration::from_millis(500)),
    ("curl", single, Duration::from_millis(300)),
    ("h2load", streams, Duration::from_millis(500)),
    ("curl inside TLS", secure, Duration::from_millis(500)),
    ("the prober", probes, Duration::from_millis(700)),
    ("the flood", flood, Duration::from_secs(2)),
];

/// Starts all kinds; each ends soon after `over` is set.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    lab: &'scope Lab,
    counts: &'scope Counts,
    over: &'scope AtomicBool,
) -> Vec<ScopedJoinHandle<'scope, Result<()>>> {
    LOADS
        .into_iter()
        .map(|(name, load, pause)| {
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    load(lab, counts).with_context(|| format!("{name} failed"))?;
                    wait::pause(pause)?;
                }
                Ok(())
            })
        })
        .collect()
}

fn url(host: &Host, scheme: &str, port: u16, path: &str) -> String {
    format!("{scheme}://{}:{port}{path}", host.v4())
}

fn answered(responses: &[curl::Response]) -> u64 {
    responses.iter().filter(|response| response.status != 0).count() as u64
}

fn kept(lab: &Lab, counts: &Counts) -> Result<()> {
    let url = url(lab.host("server")?, "http", SHOP, "/items/1");
    let report = wrk::run(lab.host("client")?, 4, Duration::from_secs(1), &url)?;
    counts.kept.fetch_add(report.requests, Ordering::Relaxed);
    Ok(())
}

fn single(lab: &Lab, counts: &Counts) -> Result<()> {
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let words = ["--max-time", "0.5", "--header", "Connection: close"];
    let paths = "/{items/1,items/2,items/3,items/4,files/64k,empty,error,nothing}";
    let four = url(server, "http", SHOP, paths);
    let six = format!("http://[{}]:{SHOP}/items/6", server.v6());
    let responses = curl::many(client, &[&words[..], &[&four]].concat())?;
    // The brackets of the address are no range of curl's.
    let more = curl::many(client, &[&words[..], &["--globoff", &six]].concat())?;
    counts.single.fetch_add(answered(&responses) + answered(&more), Ordering::Relaxed);
    Ok(())
}

fn streams(lab: &Lab, counts: &Counts) -> Result<()> {
    let url = url(lab.host("server")?, "http", FAST, "/items/1");
    let report = h2load::run(lab.host("client")?, 2_000, 2, 10, &[&url])?;
    counts.streams.fetch_add(report.succeeded, Ordering::Relaxed);
    Ok(())
}

fn secure(lab: &Lab, counts: &Counts) -> Result<()> {
    let url = url(lab.host("server")?, "https", SECURE, "/items/[1-20]");
    let responses =
        curl::many(lab.host("client")?, &["--insecure", "--max-time", "0.5", "--http1.1", &url])?;
    counts.secure.fetch_add(answered(&responses), Ordering::Relaxed);
    Ok(())
}

/// Guesses passwords, looks for what is not there, and at ports that nobody has.
fn probes(lab: &Lab, counts: &Counts) -> Result<()> {
    let (server, prober) = (lab.host("server")?, lab.host("prober")?);
    let soon = ["--max-time", "0.3"];
    let guess = ["--data", "a=b", "--header", "Connection: close"];
    let login = url(server, "http", SHOP, "/login?user=[1-20]");
    let paths = url(server, "http", SHOP, "/.{env,git/config,aws,htaccess,svn,DS_Store}");
    let ports = format!("http://{}:[9000-9011]/", server.v4());
    for words in [[&soon[..], &guess[..], &[&login]].concat(), vec![soon[0], soon[1], &paths]] {
        let tried = curl::many(prober, &words)?;
        counts.probes.fetch_add(tried.len() as u64, Ordering::Relaxed);
    }
    let tried = curl::many(prober, &["--max-time", "0.1", &ports])?;
    counts.probes.fetch_add(tried.len() as u64, Ordering::Relaxed);
    Ok(())
}

/// Connections that nobody opens, from forged sources that no policy admits.
fn flood(lab: &Lab, counts: &Counts) -> Result<()> {
    let server = lab.host("server")?;
    let flood = Flood {
        sources: Sources::Range { first: [203, 0, 113, 0].into(), count: FORGED },
        destination: server.v4().into(),
        transport: Transport::Syn { port: SHOP },
        rate: RATE,
        duration: Duration::from_secs(2),
    };
    let sent = generator::send(lab.host("flooder")?, server, &flood)?;
    counts.flood.fetch_add(sent.packets, Ordering::Relaxed);
    Ok(())
}
