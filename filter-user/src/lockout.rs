//! Whether a change would lock out whoever makes it: the connection they work over is held against
//! the tables the change would put in force.
//!
//! Finding that connection is [`crate::control::ssh`]'s, finding the interface that carries it
//! [`crate::kernel::netlink::carrier`]'s.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::net::SocketAddr;

use filter_common::gcra::GRAINS_PER_NS;
use filter_common::packet::{Packet, protocol, tcp_flags};
use filter_common::reason::{Reason, Verdict};
use filter_common::tables::feature;
use filter_common::verdict::{self, Step};

use crate::control::api::ApiError;
use crate::image::view::{State, View};
use crate::image::{Ids, Image};
use crate::policy::compile::explain_rule;
use crate::policy::{Policy, Port, Protocol};
use crate::sensor::transaction::addr;
use crate::text::Location;

/// The least that a login must get through: the opening segment, and then so many within three
/// seconds. An ssh client sends some 25 of them, 6 kB in all, before it has a prompt.
const SEGMENTS: u64 = 30;
const PAUSE_NS: u64 = 100_000_000;
const SEGMENT_BYTES: u32 = 200;
/// Between what is tried one after the other, so that no limit remembers.
const HOUR_NS: u64 = 3_600_000_000_000;

/// A TCP connection, seen from the host that `local` belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The server's end.
    pub local: SocketAddr,
    /// The client's end.
    pub peer: SocketAddr,
}

/// What a change would put in force.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Its tables.
    pub image: &'a Image,
    /// The ids they were made with.
    pub ids: &'a Ids,
    /// Bans and orders. Limits in it are charged: it is to be thrown away.
    pub state: &'a State,
    /// Seed of all hashes.
    pub seed: u64,
    /// CLOCK_BOOTTIME in ns.
    pub boot_ns: u64,
}

impl Case<'_> {
    /// Why the change must not be made without `--force` by somebody who works over `connection`,
    /// which `interfaces` carry: it would be cut, or could not be opened again, or nobody is trusted
    /// there, so that a ban or an order to come could do so.
    ///
    /// # Errors
    /// A refusal with what to do.
    pub fn admit(&self, connection: &Connection, interfaces: &[String]) -> Result<(), ApiError> {
        self.admit_packets(connection, interfaces)?;
        let enforces = self.image.features & feature::ENFORCE != 0;
        let lacking = |name: &&String| enforces && !self.trusts_somebody(connection, name);
        let Some(interface) = interfaces.iter().find(lacking) else { return Ok(()) };
        let Connection { local, peer } = connection;
        let lacks = if self.policy.trusted.prefixes.is_empty() {
            "the policy trusts nobody"
        } else {
            "[trusted] trusts nobody there"
        };
        Err(ApiError::refused(format!(
            "{lacks}, and {interface} carries your SSH connection from {peer} to {local}: a ban, an \
             order or a limit could lock you out"
        ))
        .hint(remedy(connection)))
    }

    /// The first half of [`Self::admit`]: whether packets get through.
    ///
    /// # Errors
    /// A refusal with what to do.
    pub fn admit_packets(
        &self,
        connection: &Connection,
        interfaces: &[String],
    ) -> Result<(), ApiError> {
        let Some((interface, how)) = self.cut(connection, interfaces) else { return Ok(()) };
        let Connection { local, peer } = connection;
        Err(ApiError::refused(format!(
            "this would lock you out: you work over SSH from {peer} to {local} on {interface}, and \
             {how}"
        ))
        .hint(remedy(connection)))
    }

    /// The first interface on which a connection would be cut, and how, as the end of a sentence;
    /// `None`: it goes on, and can be opened again. Limits are taken as unspent.
    fn cut<'i>(
        &self,
        connection: &Connection,
        interfaces: &'i [String],
    ) -> Option<(&'i str, String)> {
        let mut now = 0;
        interfaces
            .iter()
            .find_map(|name| Some((name.as_str(), self.play(connection, name, &mut now)?)))
    }

    fn play(&self, connection: &Connection, interface: &str, now: &mut u64) -> Option<String> {
        *now += HOUR_NS;
        let established = packet(connection, tcp_flags::ACK);
        if let Some(why) = self.dropped(&established, interface, *now) {
            return Some(format!("its packets would be dropped: {why}"));
        }
        *now += HOUR_NS;
        let opening = packet(connection, tcp_flags::SYN);
        if let Some(why) = self.dropped(&opening, interface, *now) {
            return Some(format!("no new connection could be opened: {why}"));
        }
        for _ in 0..SEGMENTS {
            *now += PAUSE_NS;
            if let Some(why) = self.dropped(&established, interface, *now) {
                return Some(format!("a limit leaves too little for a login: {why}"));
            }
        }
        None
    }

    /// Why a packet would be dropped, and where the policy says so.
    fn dropped(&self, packet: &Packet, interface: &str, now: u64) -> Option<String> {
        let place: RefCell<Place> = RefCell::default();
        let listener = |step: Step<'_>| self.note(&mut place.borrow_mut(), &step);
        let mut view = View::new(self.image, self.state);
        view.seed = self.seed;
        view.now = now.wrapping_mul(GRAINS_PER_NS);
        view.boot_ns = self.boot_ns;
        view.interface = interface;
        view.listener = Some(&listener);
        let decision = verdict::judge(&view, packet);
        if decision.verdict() == Verdict::Pass {
            return None;
        }
        let mut why = decision.reason.describe().trim().trim_end_matches('.').to_owned();
        let mut place = place.into_inner();
        let limit = match decision.reason {
            Reason::TotalPackets | Reason::TotalBytes | Reason::TotalConnections => place.total,
            Reason::LimitPackets
            | Reason::LimitBytes
            | Reason::LimitConnections
            | Reason::LimitOverflow => place.limit,
            _ => None,
        };
        place.at = limit.or(place.at);
        if let Some(api) = self.ids.api_name(decision.api) {
            why.push_str(&format!(", API {api}"));
        }
        match (decision.reason, place.at) {
            // Neither is written in the policy.
            (Reason::Banned | Reason::Shutdown | Reason::Lockdown, _) => {}
            (_, Some(at)) => why.push_str(&format!(" ({}:{})", at.file, at.line)),
            (_, None) => {
                if let Some(file) = self.policy.texts.first() {
                    why.push_str(&format!(" ([unclaimed] of {file})"));
                }
            }
        }
        Some(why)
    }

    fn note(&self, place: &mut Place, step: &Step<'_>) {
        match *step {
            Step::Api(Some(api)) => {
                let name = self.ids.api_name(api.id).unwrap_or_default();
                let api = self.policy.api(name);
                place.api = api.map(|api| api.name.clone());
                place.at = api.map(|api| api.at.clone());
                let total = api.and_then(|api| api.limit_total.as_ref());
                place.total = total.map(|limit| limit.at.clone());
            }
            Step::Rule(rule) => {
                let api = place.api.as_deref().and_then(|name| self.policy.api(name));
                let Some(api) = api else { return };
                let (entry, limit) = explain_rule(api, rule);
                place.limit = limit.map(|limit| limit.at.clone());
                place.at = Some(entry.map_or(&api.at, |entry| &entry.at).clone());
            }
            _ => {}
        }
    }

    /// Whether there is any source that gets in at the connection's port whatever is ordered.
    fn trusts_somebody(&self, connection: &Connection, interface: &str) -> bool {
        let trusted = &self.policy.trusted;
        let port = Port { protocol: Protocol::Tcp, port: connection.local.port() };
        let on_port = trusted.ports.is_empty() || trusted.ports.iter().any(|p| p.value == port);
        let here = trusted.interfaces.is_empty()
            || trusted.interfaces.iter().any(|name| name.value == interface);
        !trusted.prefixes.is_empty() && on_port && here
    }
}

/// Where the policy says what was found last.
#[derive(Default)]
struct Place {
    api: Option<String>,
    at: Option<Location>,
    limit: Option<Location>,
    total: Option<Location>,
}

fn packet(connection: &Connection, flags: u8) -> Packet {
    let Connection { local, peer } = connection;
    Packet {
        source: addr(peer.ip()),
        destination: addr(local.ip()),
        source_port: peer.port(),
        destination_port: local.port(),
        protocol: protocol::TCP,
        tcp_flags: flags,
        wire_len: SEGMENT_BYTES,
        hop_limit: 64,
        is_v4: peer.is_ipv4(),
        ..Packet::default()
    }
}

fn remedy(connection: &Connection) -> String {
    let Connection { local, peer } = connection;
    let length = if peer.is_ipv4() { 32 } else { 128 };
    format!(
        "add \"{}/{length}\" to `cidrs` of [trusted] (and \"tcp/{}\" to its `ports` when it has any), or \
         say --force",
        peer.ip(),
        local.port()
    )
}
