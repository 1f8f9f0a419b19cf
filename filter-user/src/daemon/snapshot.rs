//! What is read from the kernel and the pipeline when weir is scraped.

use std::sync::atomic::Ordering;

use filter_common::stat::Stat;
use filter_common::tables::UNCLAIMED;

use super::gate::Gate;
use super::pipeline::Report;
use crate::control::api::{FeedState, FeedStatus};
use crate::export::events::EventLog;
use crate::export::metrics::{
    ApiInfo, EgressCount, FeedCount, KernelSnapshot, MapFill, PacketCount, PolicyEntries,
    PolicyInfo,
};
use crate::kernel::agreement::Entries;

/// Counters of the programs that have metrics of their own under `weir_samples_total`.
const SAMPLES: [(Stat, &str); 4] = [
    (Stat::Attempted, "attempted"),
    (Stat::Submitted, "submitted"),
    (Stat::Dropped, "dropped"),
    (Stat::SampledOut, "sampled_out"),
];

/// The numbers now. What the kernel does not give is left out, and logged.
pub(super) fn take(gate: &Gate, report: &Report, events: &EventLog) -> KernelSnapshot {
    let mut snapshot = KernelSnapshot {
        completeness: report.completeness,
        sample_share: report.share,
        ring_pending_bytes: gate.positions.pending(),
        sensor: report.sensor.clone(),
        routes: report.routes,
        routes_overflow: report.routes_overflow,
        detectors: report.detectors.clone(),
        events: events.counts(),
        event_lines: events.lines().to_vec(),
        record_lines: report.recorded.clone(),
        store_failures: vec![("weir.db", gate.keeper.failures())],
        ..KernelSnapshot::default()
    };
    if let Err(error) = packets(gate, &mut snapshot).and_then(|()| stats(gate, &mut snapshot)) {
        tracing::error!(%error, "the kernel's counters are missing from this scrape");
    }
    policy(gate, &mut snapshot);
    snapshot
}

fn packets(gate: &Gate, snapshot: &mut KernelSnapshot) -> crate::kernel::error::Result<()> {
    let ids = gate.state.ids_ref();
    for id in std::iter::once(UNCLAIMED).chain(ids.apis().map(|(id, _)| id)) {
        let api = gate.api_name(id);
        for row in gate.state.counters.of(id)? {
            snapshot.packets.push(PacketCount {
                api: api.clone(),
                verdict: row.verdict(),
                reason: row.reason.name(),
                packets: row.packets,
                bytes: row.bytes,
            });
        }
        let sent = gate.state.counters.egress(id)?;
        snapshot.egress.push(EgressCount { api, packets: sent.packets, bytes: sent.bytes });
    }
    Ok(())
}

fn stats(gate: &Gate, snapshot: &mut KernelSnapshot) -> crate::kernel::error::Result<()> {
    for (stat, outcome) in SAMPLES {
        snapshot.samples.push((outcome, gate.state.counters.stat(stat)?));
    }
    let received = gate.received.segments.load(Ordering::Relaxed);
    let errors = gate.received.decode_errors.load(Ordering::Relaxed);
    snapshot.samples.push(("received", received));
    snapshot.samples.push(("decode_errors", errors));
    let stat = |stat| gate.state.counters.stat(stat);
    snapshot.insert_failures = vec![
        ("bans", gate.state.bans.failures()),
        ("limiter", stat(Stat::LimiterFull)?),
        ("ring", stat(Stat::Dropped)? + stat(Stat::NoticeDropped)?),
    ];
    snapshot.evictions =
        vec![("limiter", stat(Stat::LimiterEvicted)?), ("seen", stat(Stat::SeenEvicted)?)];
    for &stat in Stat::ALL {
        if !SAMPLES.iter().any(|(sample, _)| *sample == stat) {
            snapshot.kernel.push((stat.name(), gate.state.counters.stat(stat)?));
        }
    }
    Ok(())
}

fn policy(gate: &Gate, snapshot: &mut KernelSnapshot) {
    let now = &gate.now;
    let policy = &now.policy;
    let ring = gate.positions.pending();
    snapshot.maps = gate
        .state
        .map_uses(ring)
        .into_iter()
        .map(|map| MapFill { map: map.name, entries: map.entries, capacity: map.capacity })
        .collect();
    snapshot.policy = now.path.as_ref().map(|_| PolicyInfo {
        name: policy.name.clone(),
        hash: now.hash.clone(),
        generation: now.generation,
    });
    for Entries { kind, desired, enforced } in gate.entries() {
        snapshot.policy_entries.push(PolicyEntries { kind: kind.to_owned(), desired, enforced });
    }
    snapshot.apis = policy.apis.iter().map(ApiInfo::of).collect();
    for (id, name) in gate.state.ids_ref().apis() {
        for order in gate.state.orders.of(id) {
            snapshot.overrides.push((name.to_owned(), super::orders::kind_name(&order.order)));
        }
    }
    let gated = gate.gated.iter().map(|gated| (gated.name.clone(), true));
    let open = gate.open.iter().map(|open| (open.name.clone(), false));
    snapshot.interfaces = gated.chain(open).collect();
    let bans = gate.state.bans.list();
    let automatic = bans.iter().filter(|ban| ban.automatic).count();
    snapshot.bans =
        vec![("operator", (bans.len() - automatic) as u64), ("detector", automatic as u64)];
    let feed = |feed: &FeedStatus| FeedCount {
        feed: feed.feed.clone(),
        last_success: feed.last_success as f64,
        stale: feed.state != FeedState::Current,
        entries: feed.entries,
    };
    snapshot.feeds = now.feeds.iter().map(feed).collect();
}
