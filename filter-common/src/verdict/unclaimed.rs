//! Traffic that no API claims, and which of it answers what this host sent.

use super::{Summary, Tables, has};
use crate::hash;
use crate::packet::{Packet, protocol};
use crate::reason::Reason;
use crate::stat::Stat;
use crate::tables::{SEEN_CELLS, UNCLAIMED, feature};

/// Stage 3, for traffic that no API claims.
#[inline(always)]
pub(super) fn unclaimed<T: Tables>(tables: &T, packet: &Packet) -> Summary {
    if !has(tables, feature::UNCLAIMED_DROP) {
        return Summary::new(Reason::Unclaimed, UNCLAIMED);
    }
    let reason = match packet.protocol {
        protocol::TCP if packet.opens_connection() => Reason::UnclaimedRefused,
        protocol::UDP if is_reply(tables, packet) => Reason::Reply,
        protocol::UDP => Reason::UnclaimedRefused,
        _ => Reason::Unclaimed,
    };
    Summary::new(reason, UNCLAIMED)
}

/// Whether a UDP packet answers one this host sent, or is DHCP's (RFC 2131, RFC 8415).
#[inline(always)]
fn is_reply<T: Tables>(tables: &T, packet: &Packet) -> bool {
    if matches!((packet.source_port, packet.destination_port), (67, 68) | (547, 546)) {
        return true;
    }
    let hash = flow_hash(tables.seed(), packet);
    let second = (tables.boot_ns() / 1_000_000_000) as u32;
    tables.seen(hash as u32 & (SEEN_CELLS - 1)).is_some_and(|cell| cell.knows(hash, second))
}

/// Notes a UDP packet that leaves the host, so that its answer is known.
#[inline(always)]
pub fn note_sent<T: Tables>(tables: &T, packet: &Packet) {
    if !has(tables, feature::UNCLAIMED_DROP) || packet.protocol != protocol::UDP {
        return;
    }
    let hash = flow_hash(tables.seed(), packet);
    let second = (tables.boot_ns() / 1_000_000_000) as u32;
    if let Some(cell) = tables.seen(hash as u32 & (SEEN_CELLS - 1))
        && cell.note(hash, second)
    {
        tables.bump(Stat::SeenEvicted);
    }
}

/// The hash of the packet's flow, the same for both directions.
#[inline(always)]
pub fn flow_hash(seed: u64, packet: &Packet) -> u64 {
    hash::flow(
        seed,
        packet.protocol,
        (packet.source, packet.source_port),
        (packet.destination, packet.destination_port),
    )
}
