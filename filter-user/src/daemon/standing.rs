//! Bans and orders across a reboot: kept in the store while they stand, put back before anything is
//! gated when the kernel has lost them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use filter_common::gcra::Rate;

use crate::kernel::clock::boot_ns;
use crate::kernel::orders::Order as Cell;
use crate::kernel::state::State;
use crate::store::{Ban, Order, Standing, Store};

use super::breach::Notes;
use super::gate::Gate;
use super::keeper::Keeper;

/// Why each ban was made.
pub(super) type Reasons = HashMap<(IpAddr, u8, Option<u32>), String>;

/// What was put back.
#[derive(Default)]
pub(super) struct Restored {
    /// Why each ban was made, also of bans that the kernel still had.
    pub(super) reasons: Reasons,
    /// Who gave each order and why, likewise.
    pub(super) order_notes: Notes,
    /// What the operator should know of, in sentences.
    pub(super) notes: Vec<String>,
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time of the tables on the wall's clock.
fn to_wall(until: u64) -> u64 {
    unix_ms().saturating_add(until.saturating_sub(boot_ns()) / 1_000_000)
}

/// And back; `None` when it is over. The last moment means "never" in the tables.
fn from_wall(until: u64) -> Option<u64> {
    let left = until.checked_sub(unix_ms()).filter(|&left| left != 0)?;
    Some(boot_ns().saturating_add(left.saturating_mul(1_000_000)).min(u64::MAX - 1))
}

/// When it ends, or that it never does; nothing when it is over.
fn end(until: Option<u64>) -> Option<Option<u64>> {
    match until {
        None => Some(None),
        Some(until) => from_wall(until).map(Some),
    }
}

/// Puts back what stands, when the kernel has lost it, and tells why bans were made. The ids of the
/// policy's APIs and groups are known already; nothing is attached yet.
pub(super) fn restore(state: &mut State, keeper: &mut Keeper) -> Restored {
    let mut restored = Restored::default();
    let Some(standing) = keeper.with(|store| Store::standing(store)) else { return restored };
    let (mut bans, mut orders) = (0, 0);
    for ban in &standing.bans {
        let (Ok(network), Some(until)) = (ban.network.parse::<IpAddr>(), end(ban.until)) else {
            continue;
        };
        let api = match &ban.api {
            None => None,
            Some(name) => match state.ids_ref().find_api(name) {
                Some(id) => Some(id),
                None => continue,
            },
        };
        if !state.adopted {
            let put = match api.filter(|_| ban.sources > 0) {
                Some(api) => state.bans.escalate(network, ban.prefix, api, until, ban.sources),
                None => state.bans.add(network, ban.prefix, api, until, ban.automatic),
            };
            match put {
                Ok(_) => bans += 1,
                Err(error) => {
                    let what = format!("{network}/{} is not banned any more: {error}", ban.prefix);
                    restored.notes.push(what);
                    continue;
                }
            }
        }
        restored.reasons.insert((network, ban.prefix, api), ban.reason.clone());
    }
    for order in &standing.orders {
        let Some(until) = end(order.until) else { continue };
        let note = order.note.as_deref().and_then(|note| serde_json::from_str(note).ok());
        if let Some(((api, cell), note)) =
            state.ids_ref().find_api(&order.api).zip(decode(state, order)).zip(note)
        {
            restored.order_notes.insert((api, cell.kind()), note);
        }
        if state.adopted {
            continue;
        }
        let put = state
            .ids_ref()
            .find_api(&order.api)
            .and_then(|api| Some((api, decode(state, order)?)))
            .is_some_and(|(api, cell)| state.orders.set(api, cell, until));
        if put {
            orders += 1;
        } else {
            let Order { api, kind, .. } = order;
            restored.notes.push(format!(
                "the order \"{kind}\" for {api} is not in force any more: the policy has no such \
                 API or group"
            ));
        }
    }
    if bans + orders != 0 {
        restored.notes.push(format!(
            "bans and orders that the kernel had lost were put back: {bans} and {orders}"
        ));
    }
    restored
}

/// An order's kind and argument in the store.
fn encode(state: &State, order: &Cell) -> Option<(&'static str, String, bool)> {
    Some(match order {
        Cell::Shutdown => ("shutdown", String::new(), false),
        Cell::Lockdown { group, automatic } => {
            ("lockdown", state.ids_ref().group_name(*group)?.to_owned(), *automatic)
        }
        Cell::Limit { rate, automatic } => {
            let Rate { mul, tau, ceiling, shift, .. } = rate;
            ("limit", format!("{mul} {tau} {ceiling} {shift}"), *automatic)
        }
        Cell::Monitor(on) => ("mode", if *on { "monitor" } else { "enforce" }.to_owned(), false),
    })
}

fn decode(state: &State, order: &Order) -> Option<Cell> {
    Some(match order.kind.as_str() {
        "shutdown" => Cell::Shutdown,
        "lockdown" => Cell::Lockdown {
            group: state.ids_ref().find_group(&order.argument)?,
            automatic: order.automatic,
        },
        "limit" => {
            let numbers: Result<Vec<u64>, _> =
                order.argument.split(' ').map(str::parse::<u64>).collect();
            let [mul, tau, ceiling, shift] = numbers.ok()?[..] else { return None };
            let shift = u32::try_from(shift).ok().filter(|&shift| shift < u64::BITS)?;
            let rate = Rate { mul, tau, ceiling, shift, reserved: 0 };
            Cell::Limit { rate, automatic: order.automatic }
        }
        "mode" => Cell::Monitor(order.argument == "monitor"),
        _ => return None,
    })
}

impl Gate {
    /// Keeps bans and orders as they stand, when they have changed since this was done last.
    pub(super) fn keep_standing(&mut self) {
        let now = (self.state.bans.changes(), self.state.orders.changes());
        if self.kept == Some(now) {
            return;
        }
        // Also when the store fails: it is told, and the next change is written with all others.
        self.kept = Some(now);
        let standing = self.standing();
        let _noted = self.keeper.with(|store| store.keep_standing(&standing));
    }

    /// After a detach: what the daemon still knows until it ends is not to be kept.
    pub(super) fn forget_standing(&mut self) {
        self.kept = Some((self.state.bans.changes(), self.state.orders.changes()));
    }

    fn standing(&self) -> Standing {
        let ids = self.state.ids_ref();
        let bans = self.state.bans.in_force().map(|entry| Ban {
            network: entry.network.to_string(),
            prefix: entry.prefix,
            api: entry.api.and_then(|id| ids.api_name(id)).map(str::to_owned),
            until: entry.until.map(to_wall),
            automatic: entry.automatic,
            sources: entry.sources,
            reason: self.ban_reason(&entry),
        });
        let orders = ids.apis().flat_map(|(id, name)| {
            self.state.orders.of(id).into_iter().filter_map(move |held| {
                let (kind, argument, automatic) = encode(&self.state, &held.order)?;
                Some(Order {
                    api: name.to_owned(),
                    kind: kind.to_owned(),
                    argument,
                    automatic,
                    until: held.until.map(to_wall),
                    note: self
                        .order_notes
                        .get(&(id, held.order.kind()))
                        .and_then(|note| serde_json::to_string(note).ok()),
                })
            })
        });
        Standing { bans: bans.collect(), orders: orders.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_to_the_wall_and_back() {
        let until = boot_ns() + 60_000_000_000;
        let back = from_wall(to_wall(until)).expect("it lies ahead");
        assert!(back.abs_diff(until) < 1_000_000_000, "{back} instead of {until}");
        assert_eq!(from_wall(unix_ms().saturating_sub(1)), None, "it is over");
        assert_eq!(end(None), Some(None));
        assert_eq!(end(Some(1)), None);
    }
}
