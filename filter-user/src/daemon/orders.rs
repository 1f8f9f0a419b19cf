//! Orders about APIs: between names and words of the socket and numbers of the kernel.

use std::time::Duration;

use crate::control::api::{
    Answer, ApiError, ApiOrders, Mode, Order, OrderInForce, OrderKind, OrderLift, OrderSet,
};
use crate::kernel::clock;
use crate::kernel::orders::{self as cells, InForce};
use crate::lockout::Connection;
use crate::policy;
use crate::text::quantity::{self, Measure, rate};

use super::breach::Note;
use super::gate::Gate;
use super::profile::packet_rate;
use super::trouble;

/// When a span from now ends, CLOCK_BOOTTIME in ns.
pub(super) fn end(ttl: Option<Duration>) -> Option<u64> {
    let span = u64::try_from(ttl?.as_nanos()).unwrap_or(u64::MAX);
    // The very last moment means "never" in the tables.
    Some(clock::boot_ns().saturating_add(span).min(u64::MAX - 1))
}

/// Whole seconds until then, at least 1 while it lies ahead.
pub(super) fn remaining(until: Option<u64>) -> Option<u64> {
    until.map(|until| until.saturating_sub(clock::boot_ns()).div_ceil(1_000_000_000))
}

/// A time to live as it came.
pub(super) fn ttl(seconds: Option<f64>) -> Answer<Option<Duration>> {
    let Some(seconds) = seconds else { return Ok(None) };
    match Duration::try_from_secs_f64(seconds) {
        Ok(span) if !span.is_zero() => Ok(Some(span)),
        _ => Err(ApiError::invalid(format!("{seconds} s is not a time to live"))
            .hint("give a positive number of seconds")),
    }
}

/// Bytes of a note or a reason at most: it goes with every event about what it was said of.
const NOTE: usize = 1_000;

/// A note or a reason as it came.
pub(super) fn note(text: &str) -> Answer<String> {
    if text.len() > NOTE {
        let told =
            format!("{} bytes are too long for a note or reason: {NOTE} at most", text.len());
        return Err(ApiError::invalid(told));
    }
    Ok(text.to_owned())
}

/// A note or a reason, if one was given.
pub(super) fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The answer when what is in force already was to be kept: `None` says that it could not be.
pub(super) fn written(kept: Option<()>) -> Answer<()> {
    kept.ok_or_else(|| {
        ApiError::internal(
            "it is so from now on, but that cannot be written down: a restart forgets it",
        )
        .hint("`weir status` says what is wrong with the state directory")
    })
}

/// The name of an order's kind in metrics.
pub(super) const fn kind_name(order: &cells::Order) -> &'static str {
    match order {
        cells::Order::Shutdown => "shutdown",
        cells::Order::Lockdown { .. } => "lockdown",
        cells::Order::Limit { .. } => "limit",
        cells::Order::Monitor(_) => "mode",
    }
}

impl Gate {
    /// The stable id of an API of the policy in force.
    pub(super) fn api_id(&self, name: &str) -> Answer<u32> {
        let known = self.now.policy.api(name).and(self.state.ids_ref().find_api(name));
        known.ok_or_else(|| {
            let names: Vec<_> = self.now.policy.apis.iter().map(|api| api.name.as_str()).collect();
            let hint = match crate::text::nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None if names.is_empty() => "the policy in force has no APIs".to_owned(),
                None => format!("there are {}", names.join(", ")),
            };
            ApiError::not_found(format!("there is no API {name}")).hint(hint)
        })
    }

    /// The policy's mode of an API.
    fn policy_mode(&self, name: &str) -> Mode {
        match self.now.policy.api(name).map(|api| api.mode) {
            Some(policy::Mode::Monitor) => Mode::Monitor,
            _ => Mode::Enforce,
        }
    }

    /// What is ordered about an API.
    pub(super) fn orders_of(&self, name: &str, id: u32) -> ApiOrders {
        let in_force = self.state.orders.of(id);
        let ordered = in_force.iter().find_map(|held| match held.order {
            cells::Order::Monitor(on) => Some(if on { Mode::Monitor } else { Mode::Enforce }),
            _ => None,
        });
        ApiOrders {
            api: name.to_owned(),
            mode: ordered.unwrap_or_else(|| self.policy_mode(name)),
            orders: in_force.iter().map(|held| self.told(id, held)).collect(),
        }
    }

    fn told(&self, id: u32, held: &InForce) -> OrderInForce {
        let note = self.order_notes.get(&(id, held.order.kind())).cloned().unwrap_or_default();
        let order = match held.order {
            cells::Order::Shutdown => Order::Shutdown,
            cells::Order::Lockdown { group, .. } => {
                let name = self.state.ids_ref().group_name(group).map(str::to_owned);
                Order::Lockdown { group: name }
            }
            cells::Order::Monitor(on) => {
                Order::Mode { mode: if on { Mode::Monitor } else { Mode::Enforce } }
            }
            cells::Order::Limit { rate, .. } => {
                Order::Limit { packets: show(&rate, Measure::Packets) }
            }
        };
        OrderInForce {
            order,
            remaining_seconds: remaining(held.until),
            automatic: held.order.is_automatic(),
            reason: note.reason,
            since: Some(note.since).filter(|&since| since != 0),
            by: note.by,
            playbook: note.playbook,
        }
    }

    /// Puts an order in force, unless it would cut a connection that must not be.
    pub(super) fn order_set(
        &mut self,
        request: &OrderSet,
        guards: Option<&Connection>,
        note: Note,
    ) -> Answer<ApiOrders> {
        let ttl = ttl(request.ttl_seconds)?;
        let (id, order) = self.order_cell(request)?;
        if let Some(connection) = guards {
            self.guard_order(id, order, connection)?;
        }
        if let Order::Mode { mode } = &request.order
            && ttl.is_none()
            && *mode == self.policy_mode(&request.api)
        {
            self.order_notes.remove(&(id, cells::Kind::Monitor));
            self.state.orders.lift(id, cells::Kind::Monitor);
            return Ok(self.orders_of(&request.api, id));
        }
        self.put_order(&request.api, id, order, ttl, note)?;
        Ok(self.orders_of(&request.api, id))
    }

    /// Puts an order of an operator in force, whatever it does to whom.
    pub(super) fn put_order(
        &mut self,
        api: &str,
        id: u32,
        order: cells::Order,
        ttl: Option<Duration>,
        note: Note,
    ) -> Answer<()> {
        if !self.state.orders.set(id, order, end(ttl)) {
            return Err(ApiError::internal(format!("the kernel has no cell for {api}")));
        }
        self.order_notes.insert((id, order.kind()), note);
        Ok(())
    }

    /// What a request comes to in the kernel: the API's stable id and the order.
    pub(super) fn order_cell(&self, request: &OrderSet) -> Answer<(u32, cells::Order)> {
        let id = self.api_id(&request.api)?;
        Ok((
            id,
            match &request.order {
                Order::Shutdown => cells::Order::Shutdown,
                Order::Lockdown { group } => cells::Order::Lockdown {
                    group: self.group_id(group.as_deref())?,
                    automatic: false,
                },
                Order::Mode { mode } => cells::Order::Monitor(*mode == Mode::Monitor),
                Order::Limit { packets } => {
                    let parsed = rate(packets, Measure::Packets).map_err(trouble::invalid)?;
                    let gcra = packet_rate(parsed).ok_or_else(|| {
                        ApiError::invalid(format!("{packets} cannot be kept exactly"))
                            .hint("choose a rate between 1/day and 1000000000/s")
                    })?;
                    cells::Order::Limit { rate: gcra, automatic: false }
                }
            },
        ))
    }

    /// Ends orders.
    pub(super) fn order_lift(&mut self, request: &OrderLift) -> Answer<ApiOrders> {
        let id = self.api_id(&request.api)?;
        let all = [OrderKind::Shutdown, OrderKind::Lockdown, OrderKind::Mode, OrderKind::Limit];
        let kinds = if request.kinds.is_empty() { &all[..] } else { &request.kinds };
        let mut lifted = false;
        for kind in kinds {
            let kind = match kind {
                OrderKind::Shutdown => cells::Kind::Shutdown,
                OrderKind::Lockdown => cells::Kind::Lockdown,
                OrderKind::Mode => cells::Kind::Monitor,
                OrderKind::Limit => cells::Kind::Limit,
            };
            self.order_notes.remove(&(id, kind));
            lifted |= self.state.orders.lift(id, kind);
        }
        if lifted {
            return Ok(self.orders_of(&request.api, id));
        }
        Err(ApiError::not_found(format!("nothing of that kind is ordered about {}", request.api))
            .hint("`weir breach status` shows what is in force"))
    }

    /// The group of a lockdown by stable id; without a group only trusted sources pass, which is
    /// what a group that no class is in does.
    fn group_id(&self, name: Option<&str>) -> Answer<u32> {
        let Some(name) = name else { return Ok(filter_common::tables::MAX_GROUPS) };
        let known = self.now.policy.groups.iter().any(|group| group.name == name);
        match self.state.ids_ref().find_group(name).filter(|_| known) {
            Some(id) => Ok(id),
            None => {
                let names: Vec<_> =
                    self.now.policy.groups.iter().map(|group| group.name.as_str()).collect();
                Err(ApiError::not_found(format!("there is no group {name}"))
                    .hint(format!("the policy in force has: {}", names.join(", "))))
            }
        }
    }
}

/// A rate as a person would write it, from its cost: in the shortest time in which it is a whole
/// number.
pub(super) fn show(rate: &filter_common::gcra::Rate, measure: Measure) -> String {
    let grains = rate.mul.max(1) as f64 / (1u64 << (rate.shift & 63)) as f64;
    let per_second = 1e9 * filter_common::gcra::GRAINS_PER_NS as f64 / grains;
    for seconds in [1, 60, 3_600, 86_400] {
        let amount = per_second * seconds as f64;
        let whole = amount.round();
        if whole >= 1.0 && (amount - whole).abs() <= amount * 1e-4 {
            let rate =
                quantity::Rate { amount: whole as u64, period: Duration::from_secs(seconds) };
            return rate.display(measure).to_string();
        }
    }
    format!("{:.3}/day", per_second * 86_400.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_shown_as_they_were_written() {
        let rows = [
            ("1/s", Measure::Packets),
            ("90/min", Measure::Packets),
            ("1/day", Measure::Connections),
            ("1000000/s", Measure::Packets),
            ("10MB/s", Measure::Bytes),
            ("7/h", Measure::Connections),
        ];
        for (text, measure) in rows {
            let rate = rate(text, measure).expect("a rate");
            let burst = policy::DEFAULT_BURST.max(rate.time_for(1));
            let gcra = policy::compile::gcra(rate, burst, measure).expect("fits");
            assert_eq!(show(&gcra, measure), text);
        }
    }
}
