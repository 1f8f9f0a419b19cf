//! `weir status`: everything at a glance.

use std::path::Path;
use std::sync::atomic::Ordering;

use filter_common::stat::Stat;
use filter_common::tables::UNCLAIMED;

use crate::control::api::{
    ApiStatus, DaemonStatus, FindingsStatus, GeoDatabase, GeoStatus, InterfaceStatus, MapStatus,
    NamedCount, PacketCounts, PolicyStatus, ReasonCount, SampleStatus, Status,
};
use crate::export::criticality;
use crate::kernel::counters::Row;
use crate::kernel::error::Result;
use crate::policy::treatment_name;
use crate::policy::{Directory, MAX_POLICY_BYTES, NamedFile, ReadFile};
use crate::text::read_text;

use super::core::{Core, lock};
use super::gate::{Gate, unix_now};
use super::in_force::InForce;

/// The status now.
pub(super) fn take(core: &Core) -> Result<Status> {
    core.tend_interfaces();
    let gate = core.gate();
    let mut status = glance(core, &gate)?;
    if let Some(policy) = &mut status.policy {
        policy.pending = is_pending(&gate.now, &policy.path);
    }
    Ok(status)
}

/// The same without a look at the policy's files, which may be large.
pub(super) fn glance(core: &Core, gate: &Gate) -> Result<Status> {
    let report = lock(&core.report).clone();
    let (muted, acknowledged) = core.said_of_open();
    let mut status = Status {
        daemon: DaemonStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: core.started.elapsed().as_secs(),
            instance: core.instance.clone(),
            time: unix_now(),
            metrics: Some(core.config.metrics.to_string()),
            ready: core.is_ready(),
        },
        policy: gate.now.path.is_some().then(|| policy(gate)),
        feeds: gate.now.feeds.clone(),
        interfaces: interfaces(gate),
        samples: SampleStatus {
            share: core.config.sensor.sample,
            share_now: report.share,
            attempted: gate.state.counters.stat(Stat::Attempted)?,
            submitted: gate.state.counters.stat(Stat::Submitted)?,
            dropped: gate.state.counters.stat(Stat::Dropped)?,
            sampled_out: gate.state.counters.stat(Stat::SampledOut)?,
            received: gate.received.segments.load(Ordering::Relaxed),
            decode_errors: gate.received.decode_errors.load(Ordering::Relaxed),
            completeness: report.completeness,
        },
        bans: gate.state.bans.in_force().count() as u64,
        actions: core.actions_status_in(gate.now.policy.responses.mode.name().to_owned()),
        geo: geo(core),
        findings: FindingsStatus {
            open: report.open.values().sum(),
            by_severity: report
                .open
                .iter()
                .map(|(severity, count)| NamedCount { name: (*severity).into(), value: *count })
                .collect(),
            muted,
            acknowledged,
        },
        sinks: core.list_sinks(),
        maps: gate
            .state
            .map_uses(gate.positions.pending())
            .into_iter()
            .filter_map(|map| {
                Some(MapStatus { entries: map.entries?, map: map.name, capacity: map.capacity })
            })
            .collect(),
        sensor: report
            .sensor
            .iter()
            .map(|&(name, value)| NamedCount { name: name.into(), value })
            .collect(),
        kernel: Stat::ALL
            .iter()
            .map(|&stat| {
                let value = gate.state.counters.stat(stat)?;
                Ok(NamedCount { name: stat.name().into(), value })
            })
            .collect::<Result<_>>()?,
        warnings: gate.state.notes.clone(),
        ..Status::default()
    };
    if let Some(stop) = &status.actions.stopped {
        let until = stop.until.map_or_else(
            || "until `weir actions start`".to_owned(),
            |until| format!("for {} s more", until.saturating_sub(unix_now())),
        );
        let told = format!("automatic actions are stopped {until}: {}", stop.reason);
        status.warnings.insert(0, told.trim_end_matches([' ', ':']).to_owned());
    }
    if status.actions.held > 0 {
        let held = status.actions.held;
        status
            .warnings
            .push(format!("actions that wait to be approved: {held} (`weir actions list`)"));
    }
    status.warnings.extend(core.events.problem());
    status.warnings.extend(core.notes.get().cloned().unwrap_or_default());
    status.warnings.extend(gate.keeper.problem());
    status.warnings.extend(core.told.problem());
    status.warnings.extend(core.sink_warnings());
    status.warnings.extend(core.restart_warning());
    for feed in gate.now.feeds.iter().filter(|feed| !feed.problem.is_empty()) {
        status.warnings.push(format!(
            "{}: {}; the {} prefixes in force stay",
            feed.path.display(),
            feed.problem,
            feed.entries
        ));
    }
    status.warnings.extend(lock(&core.auditor).problem());
    if gate.now.policy.apis.is_empty() && gate.now.path.is_some() {
        status.warnings.push("the policy in force has no APIs".to_owned());
    }
    count(gate, &mut status)?;
    Ok(status)
}

fn geo(core: &Core) -> GeoStatus {
    let [country, asn] = core.geo.status().map(|status| GeoDatabase {
        state: status.state().to_owned(),
        path: status.path,
        kind: status.kind,
        built: status.built,
        problem: status.problem,
    });
    GeoStatus { country, asn }
}

fn policy(gate: &Gate) -> PolicyStatus {
    let now = &gate.now;
    let path = now.path.clone().unwrap_or_default();
    PolicyStatus {
        name: now.policy.name.clone(),
        pending: false,
        path,
        hash: now.hash.clone(),
        generation: now.generation,
        applied_at: now.since,
        number: now.number,
        confirm_seconds: gate.confirm_seconds(),
        packets: now
            .policy
            .packets
            .iter()
            .filter(|&(kind, _)| now.policy.packets.at(kind).is_some())
            .map(|(kind, treatment)| (kind.key().to_owned(), treatment_name(treatment).to_owned()))
            .collect(),
    }
}

/// Whether the policy's text, or a file it names, is another than in force. Feeds have a state of
/// their own.
fn is_pending(now: &InForce, path: &Path) -> bool {
    let text = read_text(path, MAX_POLICY_BYTES);
    let is_feed = |file: &&NamedFile| now.feeds.iter().any(|feed| *feed.feed == *file.name);
    let mut others = now.files.iter().filter(|file| !is_feed(file));
    let directory = Directory::new(now.directory());
    text.map_or(true, |text| text != *now.text)
        || others.any(|file| directory.read(&file.name).as_ref() != Ok(&file.bytes))
}

fn interfaces(gate: &Gate) -> Vec<InterfaceStatus> {
    let open = gate.open.iter().map(|open| InterfaceStatus {
        name: open.name.clone(),
        problem: Some(open.why.clone()),
        ..InterfaceStatus::default()
    });
    let gated = gate.gated.iter().map(|gated| InterfaceStatus {
        name: gated.name.clone(),
        index: gated.index,
        mode: gated.mode.name().to_owned(),
        pinned: true,
        egress: gated.egress.name().to_owned(),
        ingress_program: gated.program,
        egress_program: gated.egress_program,
        generation: gate.now.generation,
        problem: None,
    });
    gated.chain(open).collect()
}

fn add(to: &mut PacketCounts, row: &Row) {
    match row.verdict() {
        "pass" => to.pass += row.packets,
        "drop" => to.drop += row.packets,
        _ => to.would_drop += row.packets,
    }
    to.bytes += row.bytes;
}

/// Packets by API, and by reason. APIs of former policies show among the reasons only.
fn count(gate: &Gate, status: &mut Status) -> Result<()> {
    let ids = gate.state.ids_ref();
    for id in std::iter::once(UNCLAIMED).chain(ids.apis().map(|(id, _)| id)) {
        let name = gate.api_name(id);
        let rows = gate.state.counters.of(id)?;
        let mut packets = PacketCounts::default();
        for row in &rows {
            add(&mut packets, row);
            status.reasons.push(ReasonCount {
                api: name.clone(),
                verdict: row.verdict().to_owned(),
                reason: row.reason.name().to_owned(),
                packets: row.packets,
                bytes: row.bytes,
            });
        }
        if id == UNCLAIMED {
            status.unclaimed = packets;
            continue;
        }
        let Some(api) = gate.now.policy.api(&name) else { continue };
        let orders = gate.orders_of(&name, id);
        let sent = gate.state.counters.egress(id)?;
        status.apis.push(ApiStatus {
            name,
            id,
            listen: api.listen.iter().map(|listen| listen.value.to_string()).collect(),
            mode: orders.mode,
            criticality: criticality(api.about.criticality).to_owned(),
            owner: api.about.owner.clone().unwrap_or_default(),
            packets,
            egress_packets: sent.packets,
            egress_bytes: sent.bytes,
            orders: orders.orders,
        });
    }
    Ok(())
}
