//! A third reading of the rules, to hold the other two against: from docs/policy.md and the design
//! rather than from the code, with slices, lists and hash maps, and nothing of the parser, the
//! tables, the limiter or the verdict. Slow, and short enough to be checked by reading.
//!
//! Limits are counted, not timed: right as long as a test takes a moment and a rate is so many a day.
//! Limits of bytes, and of sources without room, are left out.

mod read;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use filter_common::oddity::{Oddity, Treatment};
use filter_common::reason::{Reason, Verdict};
use filter_user::kernel::orders::Order;
use filter_user::policy::{
    Action, Allow, Api, GroupIndex, LimitSpec, Mode, Per, Policy, Protocol, Sited,
};
use filter_user::text::quantity::Measure;

use crate::memory::network;
use crate::script::{Change, Until};

use self::read::{Seen, Unread, read};

/// What is to become of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) reason: Reason,
    pub(crate) would: bool,
    pub(crate) api: String,
}

impl Judged {
    fn new(reason: Reason, api: &str) -> Self {
        Self { reason, would: false, api: api.to_owned() }
    }

    fn monitored(self, would: bool) -> Self {
        Self { would, ..self }
    }
}

struct Ban {
    network: (IpAddr, u8),
    api: &'static str,
    automatic: bool,
}

/// A policy and what happened since.
pub(crate) struct Naive {
    policy: Policy,
    bans: Vec<Ban>,
    orders: Vec<(&'static str, Order, &'static str)>,
    sent: HashSet<(IpAddr, u16, IpAddr, u16)>,
    own: HashSet<IpAddr>,
    /// Packets or connections that were admitted under a limit.
    spent: HashMap<String, u64>,
}

fn is_in(address: IpAddr, (network, length): (IpAddr, u8)) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let (a, b) = (bits(address), bits(network));
    let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    a.len() == b.len() && (0..usize::from(length)).all(|at| bit(&a, at) == bit(&b, at))
}

impl Naive {
    pub(crate) fn open(policy: Policy) -> Self {
        Self {
            policy,
            bans: Vec::new(),
            orders: Vec::new(),
            sent: HashSet::new(),
            own: HashSet::new(),
            spent: HashMap::new(),
        }
    }

    pub(crate) fn change(&mut self, change: &Change) {
        let is_over = |until| matches!(until, Until::AMinuteAgo);
        match *change {
            Change::Ban { network: text, api, until, automatic } if !is_over(until) => {
                self.bans.push(Ban { network: network(text), api, automatic });
            }
            Change::Order { api, order, group, until } if !is_over(until) => {
                assert!(!matches!(order, Order::Limit { .. }), "left out");
                self.orders.push((api, order, group));
            }
            Change::Sent(frame) => {
                let seen = read(&frame().bytes()).expect("a good packet");
                let ports = (seen.source_port, seen.destination_port);
                self.sent.insert((seen.source, ports.0, seen.destination, ports.1));
            }
            Change::Own(addresses) => {
                self.own = addresses.iter().map(|text| network(text).0).collect();
            }
            Change::Ban { .. } | Change::Order { .. } => {}
            Change::Unban { .. } | Change::Lift { .. } => panic!("left out"),
        }
    }

    pub(crate) fn judge(&mut self, frame: &[u8], interface: &str) -> Judged {
        match read(frame) {
            Ok(seen) => self.judge_read(&seen, interface),
            Err(unread) => self.judge_unread(&unread),
        }
    }

    fn treatment(&self, kind: Oddity) -> Treatment {
        self.policy.packets.iter().find(|(of, _)| *of == kind).expect("every kind").1
    }

    /// The first of the documented table that gets a treatment.
    fn first(&self, kinds: &[Oddity], treatment: Treatment) -> Option<Reason> {
        let wanted = |kind: &&Oddity| kinds.contains(kind) && self.treatment(**kind) == treatment;
        Oddity::ALL.iter().find(wanted).map(|kind| kind.reason())
    }

    fn judge_unread(&self, unread: &Unread) -> Judged {
        let judged = Judged::new(unread.reason, "");
        let Some(kind) = Oddity::of(unread.reason) else { return judged };
        let banned = unread.source.and_then(|source| self.banned(source, ""));
        match (self.treatment(kind), banned) {
            (Treatment::Drop, _) => judged,
            (_, Some(_)) => Judged::new(Reason::Banned, ""),
            (Treatment::Monitor, None) => judged.monitored(true),
            (Treatment::Pass, None) => Judged::new(Reason::Unjudged, ""),
        }
    }

    fn judge_read(&mut self, seen: &Seen, interface: &str) -> Judged {
        let (kind, code) = seen.icmp;
        let is_essential = match (seen.source.is_ipv4(), seen.protocol) {
            (true, 1) => (kind, code) == (3, 4),
            (false, 58) => kind == 2 || ((133..=137).contains(&kind) && seen.hop_limit == 255),
            _ => false,
        };
        if is_essential && !seen.is_later {
            return Judged::new(Reason::Essential, "");
        }
        let mut kinds = self.source_kinds(seen.source, interface);
        if let Some(reason) = self.first(&kinds, Treatment::Drop) {
            return Judged::new(reason, "");
        }
        let judged = self.stages(seen, interface);
        if judged.reason != Reason::Trusted {
            kinds.extend(&seen.kinds);
        }
        match self.first(&kinds, Treatment::Monitor) {
            Some(reason) if judged.reason.verdict() == Verdict::Pass => {
                Judged::new(reason, &judged.api).monitored(true)
            }
            _ => judged,
        }
    }

    fn source_kinds(&self, source: IpAddr, interface: &str) -> Vec<Oddity> {
        let mut kinds = Vec::new();
        let is_mapped = matches!(source, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        if is_mapped {
            kinds.push(Oddity::MappedSources);
        }
        if interface == "lo" {
            return kinds;
        }
        if source.is_loopback() {
            kinds.push(Oddity::LoopbackSources);
        }
        let is_broadcast = matches!(source, IpAddr::V4(v4) if v4.is_broadcast());
        if source.is_multicast() || is_broadcast {
            kinds.push(Oddity::MulticastSources);
        }
        if self.own.contains(&source) {
            kinds.push(Oddity::OwnSources);
        }
        kinds
    }

    fn stages(&mut self, seen: &Seen, interface: &str) -> Judged {
        let policy = self.policy.clone();
        let api = claimed(&policy, seen);
        let name = api.map_or("", |api| api.name.as_str());
        let trusted = &policy.trusted;
        let is_port = |port: &filter_user::policy::Port| {
            port.port == seen.destination_port && port.protocol.number() == seen.protocol
        };
        if policy.trusted_by(seen.source).is_some()
            && (trusted.ports.is_empty() || trusted.ports.iter().any(|port| is_port(&port.value)))
            && (trusted.interfaces.is_empty()
                || trusted.interfaces.iter().any(|name| name.value == interface))
        {
            return Judged::new(Reason::Trusted, name);
        }
        let ordered = |wanted: fn(&Order) -> bool| {
            self.orders.iter().find(|(api, order, _)| *api == name && wanted(order))
        };
        let mut monitor = api.is_some_and(|api| api.mode == Mode::Monitor);
        if let Some((_, Order::Monitor(on), _)) =
            ordered(|order| matches!(order, Order::Monitor(_)))
        {
            monitor = *on;
        }
        if let Some(automatic) = self.banned(seen.source, name) {
            return Judged::new(Reason::Banned, name).monitored(automatic && monitor);
        }
        if let Some(reason) = self.first(&seen.kinds, Treatment::Drop) {
            return Judged::new(reason, name);
        }
        if seen.is_later {
            return Judged::new(Reason::Fragment, "");
        }
        let Some(api) = api else { return Judged::new(self.unclaimed(seen), "") };
        if ordered(|order| matches!(order, Order::Shutdown)).is_some() {
            return Judged::new(Reason::Shutdown, name);
        }
        let groups: Vec<GroupIndex> =
            policy.groups_of(seen.source).into_iter().map(|(group, ..)| group).collect();
        if let Some((_, Order::Lockdown { automatic, .. }, group)) =
            ordered(|order| matches!(order, Order::Lockdown { .. }))
        {
            let named =
                |index: &GroupIndex| policy.group(*index).is_some_and(|found| found.name == *group);
            if !groups.iter().any(named) {
                return Judged::new(Reason::Lockdown, name).monitored(*automatic && monitor);
            }
        }
        let member =
            |of: &[Sited<GroupIndex>]| of.iter().any(|group| groups.contains(&group.value));
        if member(&api.deny) {
            return Judged::new(Reason::Denied, name).monitored(monitor);
        }
        let is_allowed = match &api.allow {
            Allow::Any(_) => true,
            Allow::Groups(allowed) => member(allowed),
        };
        if !is_allowed {
            return Judged::new(Reason::NotAllowed, name).monitored(monitor);
        }
        match self.limited(api, seen, &groups) {
            Some(reason) => Judged::new(reason, name).monitored(monitor),
            None => Judged::new(Reason::Allowed, name),
        }
    }

    /// Whether a ban is on the source, and if so whether only detectors made it.
    fn banned(&self, source: IpAddr, api: &str) -> Option<bool> {
        let holds =
            |ban: &&Ban| is_in(source, ban.network) && (ban.api.is_empty() || ban.api == api);
        let bans: Vec<&Ban> = self.bans.iter().filter(holds).collect();
        (!bans.is_empty()).then(|| bans.iter().all(|ban| ban.automatic))
    }

    fn unclaimed(&self, seen: &Seen) -> Reason {
        if self.policy.unclaimed == Action::Pass {
            return Reason::Unclaimed;
        }
        let ports = (seen.source_port, seen.destination_port);
        let answered = (seen.destination, ports.1, seen.source, ports.0);
        match seen.protocol {
            6 if seen.flags & 0x12 == 0x02 => Reason::UnclaimedRefused,
            17 if ports == (67, 68) || ports == (547, 546) => Reason::Reply,
            17 if self.sent.contains(&answered) => Reason::Reply,
            17 => Reason::UnclaimedRefused,
            _ => Reason::Unclaimed,
        }
    }

    /// Asks every limit, and charges all of them when none refuses.
    fn limited(&mut self, api: &Api, seen: &Seen, groups: &[GroupIndex]) -> Option<Reason> {
        let mut asked: Vec<(&LimitSpec, String, [Reason; 2])> = Vec::new();
        let own = [Reason::LimitPackets, Reason::LimitConnections];
        let total = [Reason::TotalPackets, Reason::TotalConnections];
        let first = self.limit_for(api, groups);
        let is_proxy = self.policy.proxy_of(api, seen.source).is_some();
        let length = if seen.source.is_ipv4() { api.source.v4 } else { api.source.v6 };
        let source = match seen.source {
            IpAddr::V4(v4) => (v4.to_bits() >> (32 - u32::from(length))).to_string(),
            IpAddr::V6(v6) => format!("six {}", v6.to_bits() >> (128 - u32::from(length))),
        };
        match first {
            Some((limit, Per::Group, group)) => asked.push((limit, format!("group {group}"), own)),
            _ if is_proxy => {}
            Some((limit, Per::Source, _)) => asked.push((limit, source, own)),
            None => asked.extend(api.limit.as_ref().map(|limit| (limit, source, own))),
        }
        asked.extend(api.limit_total.as_ref().map(|limit| (limit, "total".to_owned(), total)));
        let opens = seen.protocol == 6 && seen.flags & 0x12 == 0x02;
        let mut charged = Vec::new();
        for (limit, whose, [packets, connections]) in asked {
            for (measure, reason, counts) in
                [(Measure::Packets, packets, true), (Measure::Connections, connections, opens)]
            {
                let Some(rate) = limit.rates.rate(measure).filter(|_| counts) else { continue };
                let key = format!("{} {whose} {measure:?}", api.name);
                let spent = self.spent.get(&key).copied().unwrap_or(0);
                if rate.time_for(spent) >= limit.rates.burst(measure) {
                    return Some(reason);
                }
                charged.push(key);
            }
        }
        for key in charged {
            *self.spent.entry(key).or_default() += 1;
        }
        None
    }

    /// The limit of the first group, in the order of `allow`, that has one and that the source is in.
    fn limit_for<'a>(
        &self,
        api: &'a Api,
        groups: &[GroupIndex],
    ) -> Option<(&'a LimitSpec, Per, usize)> {
        let order: Vec<GroupIndex> = match &api.allow {
            Allow::Any(_) => api.limit_for.iter().map(|limit| limit.group).collect(),
            Allow::Groups(allowed) => allowed.iter().map(|group| group.value).collect(),
        };
        let of = |group: &GroupIndex| api.limit_for.iter().find(|limit| limit.group == *group);
        let found = order.iter().filter(|group| groups.contains(group)).find_map(of)?;
        Some((&found.limit, found.per, found.group.0))
    }
}

/// The API that listens on the destination: one with the address before one without.
fn claimed<'p>(policy: &'p Policy, seen: &Seen) -> Option<&'p Api> {
    let protocol = match seen.protocol {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => return None,
    };
    let listens = |api: &Api, address: Option<IpAddr>| {
        api.listen.iter().any(|listen| {
            let port = listen.value.port;
            (port.protocol, port.port) == (protocol, seen.destination_port)
                && listen.value.address == address
        })
    };
    let at = |address| policy.apis.iter().find(|api| listens(api, address));
    at(Some(seen.destination)).or_else(|| at(None))
}
