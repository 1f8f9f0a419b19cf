//! Stage 2: bans of the source, on the whole host or on one API.

use super::{Step, Summary, Tables, in_force};
use crate::addr::Addr;
use crate::packet::Packet;
use crate::reason::Reason;
use crate::stat::Stat;
use crate::tables::{Api, BAN_AUTOMATIC, BanControl, BanKey, UNCLAIMED, WIDE_BANS, ban_place};

/// Stage 2: bans of the source, on the whole host or on the API.
#[inline(always)]
pub(super) fn banned<T: Tables>(
    tables: &T,
    packet: &Packet,
    control: Option<&BanControl>,
    api: Option<&Api>,
    monitor: bool,
) -> Option<Summary> {
    if !may_be_banned(tables, packet, control?) {
        return None;
    }
    let id = api.map_or(UNCLAIMED, |api| api.id);
    match tables.search_bans(packet, id) {
        NOT_BANNED => None,
        ban => Some(Summary::monitored(Reason::Banned, id, ban == BY_DETECTORS && monitor)),
    }
}

/// What [`search_bans`] gives: no ban is in force on the source.
const NOT_BANNED: u32 = 0;
/// An operator has banned it.
const BY_OPERATOR: u32 = 1;
/// Detectors alone have banned it.
const BY_DETECTORS: u32 = 2;

/// Whether any ban could be on the source: one look at the list of kinds when there are none, and
/// one at a bit when there are only single addresses.
#[inline(always)]
fn may_be_banned<T: Tables>(tables: &T, packet: &Packet, control: &BanControl) -> bool {
    let wide = if packet.is_v4 { &control.v4 } else { &control.v6 };
    if wide[0] != 0 {
        return true;
    }
    control.exact != 0
        && (has_bit(tables, packet.source)
            || (!packet.is_v4 && has_bit(tables, network(packet.source))))
}

/// The /64 of an IPv6 address.
#[inline(always)]
const fn network(addr: Addr) -> Addr {
    Addr { hi: addr.hi, lo: 0 }
}

#[inline(always)]
fn has_bit<T: Tables>(tables: &T, addr: Addr) -> bool {
    let (word, bit) = ban_place(tables.seed(), addr);
    tables.ban_bits(word) >> bit & 1 != 0
}

/// Looks for a ban in force on the source: 0 none, 1 by an operator, 2 by detectors alone. An
/// operator's counts before a detector's, because it is enforced where the other may only be watched.
#[inline(always)]
pub fn search_bans<T: Tables>(tables: &T, packet: &Packet, api: u32) -> u32 {
    match find_ban(tables, packet, api) {
        None => NOT_BANNED,
        Some(false) => BY_OPERATOR,
        Some(true) => BY_DETECTORS,
    }
}

#[inline(always)]
fn find_ban<T: Tables>(tables: &T, packet: &Packet, api: u32) -> Option<bool> {
    let control = tables.ban_control()?;
    let mut automatic = None;
    if control.exact != 0 {
        match probe_bit(tables, packet.source, 128, api) {
            Some(false) => return Some(false),
            Some(true) => automatic = Some(true),
            None => {}
        }
        if !packet.is_v4 {
            match probe_bit(tables, network(packet.source), 64, api) {
                Some(false) => return Some(false),
                Some(true) => automatic = Some(true),
                None => {}
            }
        }
    }
    let wide = if packet.is_v4 { &control.v4 } else { &control.v6 };
    for len in wide.iter().take(WIDE_BANS) {
        let len = *len as u32;
        if len == 0 {
            break;
        }
        match probe(tables, packet.source.masked(len), len, api) {
            Some(false) => return Some(false),
            Some(true) => automatic = Some(true),
            None => {}
        }
    }
    automatic
}

/// Asks the exact table only when the address's bit is set.
#[inline(always)]
fn probe_bit<T: Tables>(tables: &T, addr: Addr, len: u32, api: u32) -> Option<bool> {
    if !has_bit(tables, addr) {
        return None;
    }
    let found = probe(tables, addr, len, api);
    if found.is_none() {
        tables.bump(Stat::BanBitShared);
    }
    found
}

/// The ban of the prefix on the host, or on the API.
#[inline(always)]
fn probe<T: Tables>(tables: &T, addr: Addr, len: u32, api: u32) -> Option<bool> {
    let on_host = BanKey { addr, len, api: UNCLAIMED };
    let on_host = ban_in_force(tables, &on_host);
    if api == UNCLAIMED || on_host == Some(false) {
        return on_host;
    }
    ban_in_force(tables, &BanKey { addr, len, api }).or(on_host)
}

#[inline(always)]
fn ban_in_force<T: Tables>(tables: &T, key: &BanKey) -> Option<bool> {
    let ban = tables.ban(key)?;
    if !in_force(tables, ban.until.load()) {
        return None;
    }
    ban.hits.add(1);
    tables.trace(Step::Ban(key, ban));
    Some(ban.flags.load() & BAN_AUTOMATIC != 0)
}
