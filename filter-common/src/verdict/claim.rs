//! Who a packet is from and for: the source's class, trust, the API, what is ordered about it, and
//! its rule's own answer.

use super::{Step, Summary, Tables, has, in_force};
use crate::addr::Addr;
use crate::classify::{NO_GROUP, class_v4, class_v6};
use crate::packet::{Packet, port_of};
use crate::reason::Reason;
use crate::stat::Stat;
use crate::tables::{
    API_MONITOR, Api, MAX_CHAIN, OVERRIDE_AUTOMATIC, Override, PORT_CHAIN, PORT_TRUSTED,
    PORT_VALUE, RULE_DENIED, RULE_PASS, Rule, UNCLAIMED, feature,
};

/// Source to class, by longest prefix.
#[inline(always)]
pub(super) fn classify<T: Tables>(tables: &T, packet: &Packet) -> u32 {
    let class = if packet.is_v4 {
        if has(tables, feature::V4_CLASSES) {
            class_v4(tables, tables.known(packet).source as u32)
        } else {
            NO_GROUP
        }
    } else if has(tables, feature::V6_CLASSES) {
        class_v6(tables, tables.known(packet).source, packet.source.lo)
    } else {
        NO_GROUP
    };
    tables.trace(Step::Class(class));
    class
}

/// The port table's 16 bits for the destination.
#[inline(always)]
pub(super) fn port_entry<T: Tables>(tables: &T, packet: &Packet) -> u16 {
    port_bits(tables, tables.known(packet).port)
}

#[inline(always)]
fn port_bits<T: Tables>(tables: &T, cell: u32) -> u16 {
    if !has(tables, feature::APIS | feature::TRUSTED_PORTS) {
        return 0;
    }
    tables.port(cell as usize)
}

/// Stage 1: trusted sources are never judged.
#[inline(always)]
pub(super) fn trusted<T: Tables>(
    tables: &T,
    packet: &Packet,
    class: u32,
    port: u16,
) -> Option<Summary> {
    if !has(tables, feature::TRUSTED) || class == NO_GROUP || class >= tables.trusted_classes() {
        return None;
    }
    if has(tables, feature::TRUSTED_PORTS) && port & PORT_TRUSTED == 0 {
        return None;
    }
    if has(tables, feature::TRUSTED_INTERFACES) && !tables.on_trusted_interface() {
        return None;
    }
    tables.trace(Step::Trusted);
    let api = claim(tables, packet.destination, port).and_then(|slot| tables.api(slot));
    tables.trace(Step::Api(api));
    let api = api.map_or(UNCLAIMED, |api| api.id);
    Some(Summary::new(Reason::Trusted, api))
}

/// The slot of the API that listens on an address and port.
#[inline(always)]
pub(super) fn claim<T: Tables>(tables: &T, destination: Addr, port: u16) -> Option<u32> {
    if !has(tables, feature::APIS) {
        return None;
    }
    let mut number = (port & PORT_VALUE) as u32;
    if has(tables, feature::LISTENS) && port & PORT_CHAIN != 0 {
        number = tables.follow_chain(destination, number);
    }
    number.checked_sub(1)
}

/// The number of the API that listens on an address of a port with several.
#[inline(always)]
pub fn follow_chain<T: Tables>(tables: &T, destination: Addr, first: u32) -> u32 {
    for step in 0..MAX_CHAIN {
        let Some(listen) = tables.listen(first + step) else { break };
        if listen.last != 0 || listen.addr == destination {
            return listen.api;
        }
    }
    tables.bump(Stat::MissingCell);
    0
}

/// The API whose server sent a packet.
#[inline(always)]
pub fn claim_source<T: Tables>(tables: &T, packet: &Packet) -> Option<(u32, u32)> {
    let port = port_bits(tables, port_of(packet.protocol, packet.source_port));
    let api = tables.api(claim(tables, packet.source, port)?)?;
    Some((api.id, api.flags))
}

/// The API that a packet is for, with its flags.
#[inline(always)]
pub fn claim_destination<T: Tables>(tables: &T, packet: &Packet) -> Option<(u32, u32)> {
    let port = port_entry(tables, packet);
    let api = tables.api(claim(tables, packet.destination, port)?)?;
    Some((api.id, api.flags))
}

/// Whether the API's drops are would-drops now.
#[inline(always)]
pub(super) fn monitors<T: Tables>(tables: &T, api: &Api, over: Option<&Override>) -> bool {
    if let Some(over) = over
        && in_force(tables, over.mode_until.load())
    {
        return over.mode.load() != 0;
    }
    api.flags & API_MONITOR != 0
}

/// Stage 4: what is ordered about the API at the moment.
#[inline(always)]
pub(super) fn overridden<T: Tables>(
    tables: &T,
    api: &Api,
    over: Option<&Override>,
    class: u32,
    monitor: bool,
) -> Option<Summary> {
    let over = over?;
    if in_force(tables, over.shutdown_until.load()) {
        tables.trace(Step::Override(Reason::Shutdown));
        return Some(Summary::new(Reason::Shutdown, api.id));
    }
    if in_force(tables, over.lockdown_until.load()) {
        let group = over.lockdown_group.load() as u32;
        if !tables.class_groups(class).is_some_and(|groups| groups.contains(group)) {
            tables.trace(Step::Override(Reason::Lockdown));
            let automatic = over.lockdown_flags.load() & OVERRIDE_AUTOMATIC != 0;
            return Some(Summary::monitored(Reason::Lockdown, api.id, automatic && monitor));
        }
    }
    None
}

/// Stage 5: the rule's own answer.
#[inline(always)]
pub(super) fn refused(api: &Api, rule: &Rule, monitor: bool) -> Option<Summary> {
    let reason = match rule.action {
        RULE_PASS => return None,
        RULE_DENIED => Reason::Denied,
        _ => Reason::NotAllowed,
    };
    Some(Summary::monitored(reason, api.id, monitor))
}
