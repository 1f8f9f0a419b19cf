//! Number 10: what a transaction costs the daemon's sensor, out of recorded records.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use filter_common::bytes::Slice;
use filter_common::packet::Packet;
use filter_common::record::{EGRESS, Header};
use filter_user::capture;
use filter_user::sensor::{Output, Sensor, SensorConfig};
use weir_tests::lab::{Host, INTERFACE, Lab};
use weir_tests::nginx::Nginx;
use weir_tests::process::Background;
use weir_tests::{h2load, wait, wrk};

use crate::cpu;
use crate::report::{Report, number, tell};

/// Ports of the two servers.
const HTTP1: u16 = 8080;
const HTTP2: u16 = 8081;
/// Requests over HTTP/2 that are recorded.
const REQUESTS: u32 = 20_000;
/// Connections of both, and streams on each.
const CONNECTIONS: u32 = 4;
const STREAMS: u32 = 10;
/// How long one run goes through the records, again and again.
const RUN: Duration = Duration::from_millis(500);
/// Runs of each, in turn; the quickest counts.
const RUNS: usize = 7;
/// What is asked for.
const PATH: &str = "/items/1";

/// A record with its payload.
type Record = (Header, Box<[u8]>);

/// Measures it.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let lab = Lab::new(&[("server", 1), ("client", 2)])?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let homes = ["one", "two"].map(|name| lab.directory().join(name));
    for home in &homes {
        std::fs::create_dir(home)?;
    }
    let _one = Nginx::start(server, &homes[0], &[("orders", HTTP1)])?;
    let _two = Nginx::http2(server, &homes[1], &[("orders", HTTP2)])?;
    let url = |port| format!("http://{}:{port}{PATH}", server.v4());
    tell("recording wrk over HTTP/1.1 and h2load over HTTP/2");
    let one = record(&lab, server, "one", || {
        wrk::run(client, CONNECTIONS, Duration::from_secs(1), &url(HTTP1))?;
        Ok(())
    })?;
    let two = record(&lab, server, "two", || {
        h2load::run(client, REQUESTS, CONNECTIONS, STREAMS, &[&url(HTTP2)])?;
        Ok(())
    })?;
    let mut best = [f64::INFINITY; 2];
    let mut about = [(0, 0); 2];
    for _ in 0..RUNS {
        for (place, records) in [&one, &two].into_iter().enumerate() {
            let (cost, transactions) = run(records)?;
            best[place] = best[place].min(cost);
            about[place] = (records.len(), transactions);
        }
    }
    let [one, two] = best;
    report.at_most("ns a transaction of HTTP/1.1 (1,000,000 a second)", 1000.0, one * 1e9);
    report.at_most("ns a transaction of HTTP/2 (500,000 a second)", 2000.0, two * 1e9);
    let row = |name: &str, cost: f64, (records, transactions): (usize, u64)| {
        let each = records as f64 / transactions as f64;
        vec![name.to_owned(), number(1.0 / cost), number(cost * 1e9), number(each)]
    };
    let rows = [row("HTTP/1.1, wrk", one, about[0]), row("HTTP/2, h2load", two, about[1])];
    let heads = ["records of", "transactions a second", "ns each", "records each"];
    report.table(&heads, &rows);
    report.line(&format!("HTTP/2 costs {} times what HTTP/1.1 costs.", number(two / one)));
    Ok(())
}

/// What the sampler would make of all packets at the server's interface meanwhile.
fn record(
    lab: &Lab,
    server: &Host,
    name: &str,
    during: impl FnOnce() -> Result<()>,
) -> Result<Vec<Record>> {
    let file = lab.directory().join(format!("{name}.pcap"));
    let log = lab.directory().join(format!("{name}.log"));
    let mut command = server.netns.command("tcpdump");
    // Enough room for everything before it is written.
    command.args(["-i", INTERFACE, "-B", "200000", "-Z", "root", "-w"]).arg(&file);
    let mut tcpdump = Background::start("tcpdump", command, &log)?;
    tcpdump.ready("tcpdump listens", Duration::from_secs(10), || {
        ensure!(std::fs::read_to_string(&log)?.contains("listening on"));
        Ok(())
    })?;
    during()?;
    wait::pause(Duration::from_millis(500))?;
    tcpdump.stop()?;
    read(&file, server)
}

fn read(file: &Path, server: &Host) -> Result<Vec<Record>> {
    let source = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut records = Vec::new();
    let end = capture::read(source, |frame| {
        let mut packet = Packet::default();
        let bytes = Slice { data: frame.data, wire_len: frame.wire_len };
        if frame.link.parse(&bytes, &mut packet).is_ok() {
            let mut header = Header::of(&packet);
            header.time = frame.time;
            let from = filter_user::sensor::transaction::ip(packet.source);
            if server.addresses().contains(&from) {
                header.flags |= EGRESS;
            }
            let start = packet.payload_offset as usize;
            let payload = frame.data.get(start..start + header.payload_len as usize);
            let payload = payload.or_else(|| frame.data.get(start..)).unwrap_or_default();
            header.captured = payload.len() as u32;
            records.push((header, payload.into()));
        }
        true
    });
    end.map_err(|error| anyhow!("{}: {error}", file.display()))?;
    Ok(records)
}

/// Seconds of processor time a transaction, and how many there are in the records.
fn run(records: &[Record]) -> Result<(f64, u64)> {
    let (start, before) = (Instant::now(), cpu::thread_seconds()?);
    let (mut transactions, mut complete, mut rounds) = (0_u64, 0_u64, 0);
    while start.elapsed() < RUN {
        let mut sensor = Sensor::new(SensorConfig::default());
        let mut take = |output: Output| {
            if let Output::Transaction(transaction) = std::hint::black_box(output) {
                transactions += 1;
                complete += u64::from(transaction.complete);
            }
        };
        for (header, payload) in records {
            sensor.push(header, payload, &mut take);
        }
        sensor.flush(&mut take);
        rounds += 1;
    }
    let spent = cpu::thread_seconds()? - before;
    let each = transactions / rounds;
    ensure!(each > 1000, "{each} transactions were recorded");
    ensure!(complete * 100 >= transactions * 99, "{complete} of {transactions} are whole");
    Ok((spent / transactions as f64, each))
}
