//! The control socket's questions, answered.

use std::net::IpAddr;
use std::path::Path;

use crate::control::api::{
    Answer, ApiError, ApiOrders, Applied, ApplyRequest, Ban, BanAdd, BanRemove, Caller, Daemon,
    Detached, EventQuery, ExplainRequest, Explanation, Feed, OrderLift, OrderSet, Status,
};
use crate::control::identity::reading_as;
use crate::export::events::{ActionField, Event, Kind, SourceField};
use crate::kernel::bans::Entry;
use crate::policy::{self, Cidr, Loaded};

use super::core::{Core, policy_field, unix_ns};
use super::gate::{Gate, unix_now};
use super::{orders, trouble};

impl Core {
    /// Reads a policy, with the caller's rights where there is one, and puts it in force.
    pub(super) fn apply_file(&self, path: &Path, caller: Option<&Caller>) -> Answer<Applied> {
        let load = || policy::load(path);
        let loaded = caller.map_or_else(|| Ok(load()), |caller| reading_as(caller, load));
        let Loaded { policy, diagnostics, .. } = loaded.map_err(|error| {
            ApiError::internal(format!("cannot read {} as the caller: {error}", path.display()))
                .hint("apply it as root")
        })?;
        let Some(policy) = policy else {
            let error = trouble::policy(diagnostics);
            self.tell_rejected(path, &error);
            return Err(error);
        };
        let mut gate = self.gate();
        let applied = gate.apply(policy, Some(path));
        let change = applied.map_err(|error| {
            let error = ApiError::internal(format!("{error:#}"))
                .hint("the policy before stays in force; `weir doctor` may say more");
            self.tell_rejected(path, &error);
            error
        })?;
        self.announce(&gate);
        self.tell_applied(&gate.now);
        tracing::info!(
            policy = gate.now.policy.name,
            generation = gate.now.generation,
            seconds = change.seconds,
            "applied"
        );
        Ok(Applied {
            name: gate.now.policy.name.clone(),
            hash: gate.now.hash.clone(),
            previous_hash: change.previous_hash,
            generation: gate.now.generation,
            apis: gate.now.policy.apis.len(),
            interfaces: gate.gated.iter().map(|gated| gated.name.clone()).collect(),
            seconds: change.seconds,
            warnings: diagnostics.into_iter().map(Into::into).collect(),
        })
    }

    fn tell_rejected(&self, path: &Path, error: &ApiError) {
        let problems = match error.diagnostics.len() {
            0 => String::new(),
            count => format!(" ({count} problems, the first: {})", error.diagnostics[0].message),
        };
        let message = format!("{}: {}{problems}", path.display(), error.message);
        tracing::warn!("{message}");
        let policy = self.try_gate().map(|gate| policy_field(&gate.now));
        self.tell(&Event { policy, ..Event::new(Kind::PolicyRejected, unix_ns(), message) });
    }

    /// Tells of a ban that began or ended.
    pub(super) fn tell_ban(&self, kind: Kind, entry: &Entry, reason: &str, by: &'static str) {
        let cidr = show(entry.network, entry.prefix);
        let (verb, outcome) = match kind {
            Kind::BanAdded => ("banned", "done"),
            Kind::BanRemoved => ("no longer banned", "done"),
            _ => ("no longer banned: its time is over", "done"),
        };
        let action = ActionField {
            kind: "ban",
            outcome,
            ttl_seconds: orders::remaining(entry.until).map(|seconds| seconds as f64),
            by: Some(by),
            reason: reason.to_owned(),
            ..ActionField::default()
        };
        let whole = if entry.network.is_ipv4() { 32 } else { 128 };
        let prefix = (entry.prefix != whole).then_some(entry.prefix);
        self.tell(&Event {
            source: Some(SourceField { ip: entry.network, prefix }),
            action: Some(action),
            ..Event::new(kind, unix_ns(), format!("{cidr} is {verb}"))
        });
    }

    /// Takes out bans whose time is over, and tells of them.
    pub(super) fn sweep_bans(&self) {
        let Some(mut gate) = self.try_gate() else { return };
        match gate.state.bans.sweep() {
            Ok(expired) => {
                for entry in expired {
                    let reason = gate.reasons.remove(&(entry.network, entry.prefix, entry.api));
                    self.tell_ban(
                        Kind::BanExpired,
                        &entry,
                        &reason.unwrap_or_default(),
                        if entry.automatic { "detector" } else { "operator" },
                    );
                }
            }
            Err(error) => tracing::error!(%error, "expired bans stay in the table"),
        }
    }
}

/// A network as it is written, a single address without its length.
fn show(network: IpAddr, prefix: u8) -> String {
    let whole = if network.is_ipv4() { 32 } else { 128 };
    if prefix == whole { network.to_string() } else { format!("{network}/{prefix}") }
}

fn parse(prefix: &str) -> Answer<(IpAddr, u8)> {
    let cidr =
        Cidr::parse(prefix.as_bytes()).map_err(|error| trouble::invalid(error.explain(prefix)))?;
    Ok(match cidr {
        Cidr::V4(bits, length) => (IpAddr::V4(bits.into()), length),
        Cidr::V6(bits, length) => (IpAddr::V6(bits.into()), length),
    })
}

fn told(gate: &Gate, entry: &Entry) -> Ban {
    let held = gate.reasons.get(&(entry.network, entry.prefix, entry.api));
    let age = crate::kernel::clock::boot_ns().saturating_sub(entry.since) / 1_000_000_000;
    Ban {
        prefix: show(entry.network, entry.prefix),
        api: entry.api.map(|id| gate.api_name(id)),
        since: unix_now().saturating_sub(age),
        remaining_seconds: orders::remaining(entry.until),
        reason: held.cloned().unwrap_or_default(),
        automatic: entry.automatic,
        hits: entry.hits,
    }
}

impl Daemon for Core {
    fn status(&self) -> Answer<Status> {
        super::status::take(self).map_err(trouble::kernel)
    }

    fn apply(&self, request: &ApplyRequest, caller: &Caller) -> Answer<Applied> {
        tracing::info!(path = %request.path.display(), uid = caller.uid, pid = caller.pid, "apply");
        self.apply_file(&request.path, Some(caller))
    }

    fn bans(&self) -> Answer<Vec<Ban>> {
        let gate = self.gate();
        Ok(gate.state.bans.list().iter().map(|entry| told(&gate, entry)).collect())
    }

    fn ban_add(&self, request: &BanAdd, caller: &Caller) -> Answer<Ban> {
        let (network, prefix) = parse(&request.prefix)?;
        let until = orders::end(orders::ttl(request.ttl_seconds)?);
        let mut gate = self.gate();
        let api = request.api.as_deref().map(|name| gate.api_id(name)).transpose()?;
        if let Some((cidr, at)) = gate.now.policy.trusted_by(network)
            && cidr.length() <= prefix
        {
            return Err(ApiError::refused(format!(
                "{} is trusted by {at} and cannot be banned",
                request.prefix
            ))
            .hint("take it out of [trusted] first"));
        }
        let entry =
            gate.state.bans.add(network, prefix, api, until, false).map_err(trouble::kernel)?;
        gate.reasons.insert((network, prefix, api), request.reason.clone());
        tracing::info!(prefix = request.prefix, uid = caller.uid, "ban added");
        self.tell_ban(Kind::BanAdded, &entry, &request.reason, "operator");
        Ok(told(&gate, &entry))
    }

    fn ban_remove(&self, request: &BanRemove, caller: &Caller) -> Answer<Ban> {
        let (network, prefix) = parse(&request.prefix)?;
        let mut gate = self.gate();
        let api = request.api.as_deref().map(|name| gate.api_id(name)).transpose()?;
        let removed = gate.state.bans.remove(network, prefix, api).map_err(trouble::kernel)?;
        let Some(entry) = removed else {
            return Err(ApiError::not_found(format!("{} is not banned", request.prefix)).hint(
                "`weir ban list` shows what is; a ban is lifted as it was made: the same \
                       prefix, the same API",
            ));
        };
        let ban = told(&gate, &entry);
        gate.reasons.remove(&(network, prefix, api));
        tracing::info!(prefix = request.prefix, uid = caller.uid, "ban removed");
        self.tell_ban(Kind::BanRemoved, &entry, &ban.reason, "operator");
        Ok(ban)
    }

    fn explain(&self, request: &ExplainRequest) -> Answer<Explanation> {
        super::explain::explain(&self.gate(), request)
    }

    fn events(&self, query: &EventQuery) -> Answer<Feed> {
        if query.follow {
            let (past, live) = self.events.follow(query.limit, query.since);
            return Ok(Feed { past, live: Some(live) });
        }
        Ok(Feed { past: self.events.past(query.limit, query.since), live: None })
    }

    fn orders(&self) -> Answer<Vec<ApiOrders>> {
        let gate = self.gate();
        let all = gate.state.ids_ref().apis().map(|(id, name)| gate.orders_of(name, id));
        Ok(all.filter(|api| !api.orders.is_empty()).collect())
    }

    fn order_set(&self, request: &OrderSet, caller: &Caller) -> Answer<ApiOrders> {
        tracing::info!(api = request.api, order = ?request.order, uid = caller.uid, "order");
        self.gate().order_set(request)
    }

    fn order_lift(&self, request: &OrderLift, caller: &Caller) -> Answer<ApiOrders> {
        tracing::info!(api = request.api, kinds = ?request.kinds, uid = caller.uid, "lift");
        self.gate().order_lift(request)
    }

    fn detach(&self, caller: &Caller) -> Answer<Detached> {
        let gate = self.gate();
        tracing::warn!(uid = caller.uid, pid = caller.pid, "detach: the filter is taken off");
        let detached = crate::kernel::attach::detach(gate.pins()).map_err(trouble::kernel)?;
        self.stop_detached();
        Ok(detached.into())
    }
}
