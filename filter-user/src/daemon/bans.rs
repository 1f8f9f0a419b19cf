//! Bans: told as events, swept when they are over, shown to clients.

use std::net::IpAddr;

use crate::control::api::{Answer, ApiError, Ban};
use crate::detect::Source;
use crate::export::events::{ActionField, ApiField, Event, Kind, SourceField};
use crate::kernel::bans::Entry;
use crate::kernel::clock;
use crate::policy::Cidr;
use crate::respond::{Refusal, escalation_reason};

use super::clients::Known;
use super::core::{Core, lock, unix_ns};
use super::gate::{Gate, unix_now};
use super::{orders, trouble};

impl Core {
    /// Tells of a ban that began or ended.
    pub(super) fn tell_ban(
        &self,
        kind: Kind,
        entry: &Entry,
        api: Option<ApiField>,
        reason: &str,
        by: &'static str,
    ) {
        let cidr = show(entry.network, entry.prefix);
        let at = api.as_ref().map_or_else(String::new, |api| format!(" at {}", api.name));
        let (verb, outcome) = match kind {
            Kind::BanAdded => ("banned", "done"),
            Kind::BanRemoved => ("no longer banned", "done"),
            _ => ("no longer banned: its time is over", "done"),
        };
        let action = ActionField {
            kind: "ban",
            outcome,
            ttl_seconds: orders::remaining(entry.until).map(|seconds| seconds as f64),
            sources: Some(entry.sources).filter(|&sources| sources > 0),
            by: Some(by),
            reason: reason.to_owned(),
            ..ActionField::default()
        };
        let whole = if entry.network.is_ipv4() { 32 } else { 128 };
        let prefix = (entry.prefix != whole).then_some(entry.prefix);
        self.tell(&Event {
            api,
            source: Some(SourceField::new(entry.network, prefix)),
            action: Some(action),
            ..Event::new(kind, unix_ns(), format!("{cidr} is {verb}{at}"))
        });
    }

    /// Refuses to ban who is only known through a proxy: no packet would be dropped. Those who watch
    /// the events are told, for whoever runs the proxy can do it.
    pub(super) fn hand_off(
        &self,
        (network, prefix): (IpAddr, u8),
        gate: &Gate,
        reason: &str,
    ) -> Result<(), ApiError> {
        let source = Source { address: network, length: prefix };
        let known = lock(&self.clients).hidden(&source, clock::monotonic_ns());
        let Some(Known { proxy, api, .. }) = known else { return Ok(()) };
        let field = gate.api_field(api);
        let message = format!(
            "not enforceable here: {source} is only known through {proxy}, a proxy of `{}`",
            field.name
        );
        let action = ActionField {
            kind: "ban",
            outcome: "refused",
            refusal: Some(Refusal::BehindProxy.name()),
            by: Some("operator"),
            reason: reason.to_owned(),
            ..ActionField::default()
        };
        self.tell(&Event {
            api: Some(field),
            source: Some(source.into()),
            action: Some(action),
            ..Event::new(Kind::HandOff, unix_ns(), message.clone())
        });
        Err(ApiError::refused(message).hint(format!(
            "ban it at {proxy}; with --force its packets are refused here too, should there be any"
        )))
    }

    /// Takes out bans whose time is over, and tells of them.
    pub(super) fn sweep_bans(&self) {
        let Some(mut gate) = self.try_gate() else { return };
        gate.state.orders.settle();
        match gate.state.bans.sweep() {
            Ok(expired) => {
                for entry in expired {
                    let reason = gate.ban_reason(&entry);
                    gate.reasons.remove(&(entry.network, entry.prefix, entry.api));
                    self.tell_ban(
                        Kind::BanExpired,
                        &entry,
                        gate.ban_api(&entry),
                        &reason,
                        if entry.automatic { "detector" } else { "operator" },
                    );
                }
            }
            Err(error) => tracing::error!(%error, "expired bans stay in the table"),
        }
        self.expire_orders(&mut gate);
        gate.keep_standing();
    }
}

/// A network as it is written, a single address without its length.
fn show(network: IpAddr, prefix: u8) -> String {
    let whole = if network.is_ipv4() { 32 } else { 128 };
    if prefix == whole { network.to_string() } else { format!("{network}/{prefix}") }
}

/// What an operator wrote.
pub(super) fn parse(prefix: &str) -> Answer<(IpAddr, u8)> {
    let cidr =
        Cidr::parse(prefix.as_bytes()).map_err(|error| trouble::invalid(error.explain(prefix)))?;
    Ok(match cidr {
        Cidr::V4(bits, length) => (IpAddr::V4(bits.into()), length),
        Cidr::V6(bits, length) => (IpAddr::V6(bits.into()), length),
    })
}

impl Gate {
    /// Why a ban was made. What the kernel keeps of it outlives the daemon.
    pub(super) fn ban_reason(&self, entry: &Entry) -> String {
        let held = self.reasons.get(&(entry.network, entry.prefix, entry.api));
        match held {
            Some(reason) => reason.clone(),
            None if entry.sources > 0 => escalation_reason(entry.sources),
            None => String::new(),
        }
    }

    /// The only API a ban covers, as events show it.
    pub(super) fn ban_api(&self, entry: &Entry) -> Option<ApiField> {
        Some(self.api_field(entry.api?))
    }

    /// The API of a stable id, as events show it.
    pub(super) fn api_field(&self, id: u32) -> ApiField {
        ApiField::find(&self.now.policy, &self.api_name(id))
    }
}

/// A ban as the control socket shows it.
pub(super) fn told(gate: &Gate, entry: &Entry) -> Ban {
    let age = crate::kernel::clock::boot_ns().saturating_sub(entry.since) / 1_000_000_000;
    Ban {
        prefix: show(entry.network, entry.prefix),
        api: entry.api.map(|id| gate.api_name(id)),
        since: unix_now().saturating_sub(age),
        remaining_seconds: orders::remaining(entry.until),
        reason: gate.ban_reason(entry),
        automatic: entry.automatic,
        sources: Some(entry.sources).filter(|&sources| sources > 0),
        hits: entry.hits,
    }
}
