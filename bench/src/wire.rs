//! Live frames: packets sent from inside the kernel to a host of the laboratory, as fast as one
//! processor sends and receives them, so that the time of both is the cost of a packet.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use filter_user::kernel::host::interface_index;
use weir_tests::frame::{self, Route, Transport};
use weir_tests::interrupt;
use weir_tests::lab::{Host, INTERFACE, Lab};

use crate::cpu;
use crate::frames::PORT;
use crate::prefixes::STRANGERS;
use crate::report::{note, tell};

/// Times that every lane is measured, in turn with the others; the fastest counts.
pub(crate) const RUNS: usize = 5;
/// Bursts of one run: other processes use the processor too.
const BURSTS: usize = 8;
/// Frames that are under way at once: as many as a receiver takes at once.
const BATCH: u32 = 64;
/// The share of packets that may miss the receiver before a measurement says nothing.
const LOST: f64 = 0.001;

/// A datagram to the measured API of a host, from a stranger: 64 bytes with its check sequence.
pub(crate) fn datagram(host: &Host) -> Result<Vec<u8>> {
    let route = Route {
        from: [2, 0, 0, 0, 0, 1],
        to: host.mac,
        source: STRANGERS[0],
        source_port: 40_000,
        destination: host.v4().into(),
    };
    frame::build(&route, Transport::Udp { port: PORT, payload: 18 })
}

/// A host, how packets get to it, and how long one took.
pub(crate) struct Lane<'a> {
    /// For the report.
    pub(crate) name: String,
    /// Receives.
    pub(crate) host: &'a Host,
    /// Sends.
    pub(crate) sender: &'a Xdp,
    /// Packets of a burst.
    pub(crate) packets: u32,
    /// Least nanoseconds a packet so far.
    pub(crate) ns: f64,
}

impl<'a> Lane<'a> {
    /// Not measured yet.
    pub(crate) fn new(name: &str, host: &'a Host, sender: &'a Xdp, packets: u32) -> Self {
        Self { name: name.to_owned(), host, sender, packets, ns: f64::INFINITY }
    }

    fn what(&self) -> String {
        format!("{}, {}", self.host.name(), self.name)
    }
}

/// Measures lanes in turn.
pub(crate) fn measure(lab: &Lab, lanes: &mut [Lane<'_>]) -> Result<()> {
    let processors = cpu::allowed()?;
    for run in 0..RUNS {
        tell(&format!("run {} of {RUNS}: {} lanes", run + 1, lanes.len()));
        for lane in lanes.iter_mut() {
            interrupt::check()?;
            // In turn on each processor: the one with less other work wins.
            let cpu = processors[run % processors.len()];
            let ns = burst(lab, lane, cpu).with_context(|| lane.what())?;
            lane.ns = lane.ns.min(ns.unwrap_or(f64::INFINITY));
        }
    }
    match lanes.iter().find(|lane| lane.ns.is_infinite()) {
        Some(lane) => bail!("{}: in no run did all packets get there", lane.what()),
        None => Ok(()),
    }
}

/// The least nanoseconds a packet of some bursts; `None` when too many were lost on the way.
fn burst(lab: &Lab, lane: &Lane<'_>, cpu: usize) -> Result<Option<f64>> {
    let frame = datagram(lane.host)?;
    let before = received(lane.host)?;
    let best = lab.switch().enter(|| {
        cpu::stay_on(cpu)?;
        cpu::go_first();
        let port = interface_index(lane.host.name())?;
        let mut best = Duration::MAX;
        for _ in 0..BURSTS {
            best = best.min(send(lane.sender, port, &frame, lane.packets)?);
        }
        Ok(best)
    })?;
    let sent = u64::from(lane.packets) * BURSTS as u64;
    let arrived = received(lane.host)? - before;
    let good = arrived as f64 >= sent as f64 * (1.0 - LOST);
    if !good {
        note(&format!("{}: {arrived} of {sent} packets got there, left out", lane.what()));
    }
    Ok(good.then_some(best.as_nanos() as f64))
}

/// Runs a sender as if frames came in by the interface with this index; it sends them out there.
/// The thread is in the interface's namespace. Returns the time a packet took on this processor,
/// receiving it included, other processes' time not, in whole nanoseconds as the kernel tells it.
pub(crate) fn send(sender: &Xdp, port: u32, frame: &[u8], packets: u32) -> Result<Duration> {
    // An xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context = [0, frame.len() as u32, 0, port, 0, 0].map(u32::to_ne_bytes).concat();
    let options = TestRunOptions {
        data_in: Some(frame),
        ctx_in: Some(&context),
        repeat: packets,
        attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
        ..TestRunOptions::new()
    };
    let run = sender.test_run(options).context("the kernel does not send live frames")?;
    Ok(run.duration)
}

/// Packets that a host's interface has taken from the wire.
pub(crate) fn received(host: &Host) -> Result<u64> {
    let limit = Duration::from_secs(20);
    let text = host.netns.run("ethtool", &["-S", INTERFACE], limit)?.success()?;
    let counters = text.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once(": ")?;
        (name.starts_with("rx_queue_") && name.ends_with("_xdp_packets")).then_some(value)
    });
    let mut sum = None;
    for value in counters {
        let value: u64 = value.trim().parse().with_context(|| format!("a counter: {value}"))?;
        sum = Some(sum.unwrap_or(0) + value);
    }
    sum.with_context(|| format!("ethtool tells no received packets:\n{text}"))
}
