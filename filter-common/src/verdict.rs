//! The verdict: one straight line of stages, each of which decides or hands on.
//!
//! It exists once. The kernel, `weir explain`, `weir replay` and the tests differ only in where the
//! tables are ([`Tables`]).

use crate::addr::Addr;
use crate::classify::{ClassTables, NO_GROUP, class_v4, class_v6};
use crate::gcra::{Charge, Rate};
use crate::limiter::{self, Found, Kind};
use crate::packet::{Fragment, Packet, protocol};
use crate::reason::{Reason, Verdict};
use crate::slot::Slot;
use crate::stat::Stat;
use crate::tables::{
    API_MONITOR, API_OVERFLOW_DROP, API_OVERFLOW_PASS, Api, BAN_AUTOMATIC, Ban, BanControl, BanKey,
    ClassGroups, FOREVER, Listen, MAX_CHAIN, OVERRIDE_AUTOMATIC, Override, PORT_CHAIN,
    PORT_TRUSTED, PORT_VALUE, Profile, RULE_DENIED, RULE_MONITOR, RULE_PASS, RULE_PROXY, Rule,
    SEEN_CELLS, SHARED_OVERFLOW, SHARED_PER_API, SHARED_TOTAL, Shared, UNCLAIMED, WIDE_BANS,
    ban_place, feature, port_place,
};
use crate::{hash, seen};

/// The tables and clocks of the verdict. A cell that is not there is `None`.
pub trait Tables: ClassTables {
    /// Bits of [`feature`].
    fn features(&self) -> u32;
    /// Seed of all hashes.
    fn seed(&self) -> u64;
    /// Cells of the limiter less one.
    fn limiter_mask(&self) -> u32;
    /// See [`crate::tables::Config::trusted_classes`].
    fn trusted_classes(&self) -> u32;
    /// Whether trust holds on the interface the packet came in by.
    fn on_trusted_interface(&self) -> bool;
    /// A word of the port table.
    fn ports(&self, index: u32) -> u64;
    /// A step of a chain of listens.
    fn listen(&self, index: u32) -> Option<&Listen>;
    /// An API by slot.
    fn api(&self, slot: u32) -> Option<&Api>;
    /// A rule.
    fn rule(&self, index: u32) -> Option<&Rule>;
    /// A limit profile.
    fn profile(&self, index: u32) -> Option<&Profile>;
    /// The groups of a class.
    fn class_groups(&self, class: u32) -> Option<&ClassGroups>;
    /// What is ordered about an API, by stable id.
    fn overrides(&self, api: u32) -> Option<&Override>;
    /// What kinds of bans there are.
    fn ban_control(&self) -> Option<&BanControl>;
    /// A word of the ban bitmap.
    fn ban_bits(&self, index: u32) -> u64;
    /// A ban.
    fn ban(&self, key: &BanKey) -> Option<&Ban>;
    /// A cell of the limiter.
    fn limiter(&self, index: u32) -> Option<&limiter::Cell>;
    /// A shared budget.
    fn shared(&self, index: u32) -> Option<&Shared>;
    /// A cell of the UDP flows this host has sent on.
    fn seen(&self, index: u32) -> Option<&seen::Cell>;
    /// CLOCK_MONOTONIC in grains, see [`crate::gcra`].
    fn now(&self) -> u64;
    /// CLOCK_BOOTTIME in ns.
    fn boot_ns(&self) -> u64;
    /// Counts something about weir itself.
    fn bump(&self, stat: Stat);
    /// Told of each stage's finding; `weir explain` listens, the kernel does not.
    #[inline(always)]
    fn trace(&self, _step: Step<'_>) {}
}

/// What a stage found, for `weir explain`.
#[derive(Debug)]
pub enum Step<'a> {
    /// The source's class.
    Class(u32),
    /// The source is trusted here.
    Trusted,
    /// The API that claims the destination, if any.
    Api(Option<&'a Api>),
    /// A ban in force, of this key.
    Ban(&'a BanKey, &'a Ban),
    /// The override that decides, if any.
    Override(Reason),
    /// The rule for the API and the class.
    Rule(&'a Rule),
    /// A limit that was asked: its kind, whether it is the API's total, and whether it admits.
    Limit(Kind, bool, bool),
}

/// What is to be done with a packet, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Why.
    pub reason: Reason,
    /// The reason says drop, but monitor mode lets it pass.
    pub would: bool,
    /// Stable id of the API; [`UNCLAIMED`] when there is none.
    pub api: u32,
}

impl Decision {
    #[inline(always)]
    const fn new(reason: Reason, api: u32) -> Self {
        Self { reason, would: false, api }
    }

    #[inline(always)]
    const fn monitored(reason: Reason, api: u32, would: bool) -> Self {
        Self { reason, would, api }
    }

    /// Pass or drop.
    #[inline(always)]
    pub const fn verdict(&self) -> Verdict {
        if self.would { Verdict::Pass } else { self.reason.verdict() }
    }

    /// The verdict's name in metrics and output: `pass`, `drop` or `would_drop`.
    pub const fn verdict_name(&self) -> &'static str {
        match (self.reason.verdict(), self.would) {
            (Verdict::Pass, _) => "pass",
            (Verdict::Drop, false) => "drop",
            (Verdict::Drop, true) => "would_drop",
        }
    }
}

#[inline(always)]
fn has<T: Tables>(tables: &T, bits: u32) -> bool {
    tables.features() & bits != 0
}

/// The decision on a packet that the parser gave up on. With no policy in force nothing is dropped.
#[inline(always)]
pub fn judge_unparsed<T: Tables>(tables: &T, reason: Reason) -> Decision {
    let drops = matches!(reason.verdict(), Verdict::Drop);
    Decision::monitored(reason, UNCLAIMED, drops && !has(tables, feature::ENFORCE))
}

/// The decision on a packet.
#[inline(always)]
pub fn judge<T: Tables>(tables: &T, packet: &Packet) -> Decision {
    if packet.is_essential() {
        return Decision::new(Reason::Essential, UNCLAIMED);
    }
    let class = classify(tables, packet);
    let port = port_entry(tables, packet);
    if let Some(decision) = trusted(tables, packet, class, port) {
        return decision;
    }
    let api = claim(tables, packet.destination, port);
    let monitor = api.is_some_and(|api| monitors(tables, api));
    if let Some(decision) = banned(tables, packet, api, monitor) {
        return decision;
    }
    if matches!(packet.fragment, Fragment::Later) {
        return Decision::new(Reason::Fragment, UNCLAIMED);
    }
    let Some(api) = api else { return unclaimed(tables, packet) };
    if let Some(decision) = overridden(tables, api, class, monitor) {
        return decision;
    }
    let Some(rule) = tables.rule(api.rules.wrapping_add(class)) else {
        tables.bump(Stat::MissingCell);
        return Decision::new(Reason::NotAllowed, api.id);
    };
    tables.trace(Step::Rule(rule));
    let monitor = monitor || rule.flags & RULE_MONITOR != 0;
    if let Some(decision) = refused(api, rule, monitor) {
        return decision;
    }
    if let Some(decision) = limited(tables, packet, api, rule, monitor) {
        return decision;
    }
    Decision::new(Reason::Allowed, api.id)
}

/// Source to class, by longest prefix.
#[inline(always)]
fn classify<T: Tables>(tables: &T, packet: &Packet) -> u32 {
    let class = if packet.is_v4 {
        if has(tables, feature::V4_CLASSES) {
            class_v4(tables, packet.source.v4_bits())
        } else {
            NO_GROUP
        }
    } else if has(tables, feature::V6_CLASSES) {
        class_v6(tables, packet.source.hi, packet.source.lo)
    } else {
        NO_GROUP
    };
    tables.trace(Step::Class(class));
    class
}

/// The port table's 16 bits for the destination.
#[inline(always)]
fn port_entry<T: Tables>(tables: &T, packet: &Packet) -> u16 {
    port_bits(tables, packet.protocol, packet.destination_port)
}

#[inline(always)]
fn port_bits<T: Tables>(tables: &T, proto: u8, port: u16) -> u16 {
    if !has(tables, feature::APIS | feature::TRUSTED_PORTS) {
        return 0;
    }
    let udp = match proto {
        protocol::TCP => false,
        protocol::UDP => true,
        _ => return 0,
    };
    let (word, shift) = port_place(udp, port);
    (tables.ports(word) >> shift) as u16
}

/// Stage 1: trusted sources are never judged.
#[inline(always)]
fn trusted<T: Tables>(tables: &T, packet: &Packet, class: u32, port: u16) -> Option<Decision> {
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
    let api = claim(tables, packet.destination, port).map_or(UNCLAIMED, |api| api.id);
    Some(Decision::new(Reason::Trusted, api))
}

/// The API that listens on an address and port.
#[inline(always)]
fn claim<T: Tables>(tables: &T, destination: Addr, port: u16) -> Option<&Api> {
    if !has(tables, feature::APIS) {
        return None;
    }
    let mut number = (port & PORT_VALUE) as u32;
    if has(tables, feature::LISTENS) && port & PORT_CHAIN != 0 {
        number = follow_chain(tables, destination, number);
    }
    if number == 0 {
        tables.trace(Step::Api(None));
        return None;
    }
    let api = tables.api(number - 1);
    tables.trace(Step::Api(api));
    api
}

/// The number of the API that listens on an address of a port with several.
#[inline(always)]
fn follow_chain<T: Tables>(tables: &T, destination: Addr, first: u32) -> u32 {
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
    let port = port_bits(tables, packet.protocol, packet.source_port);
    claim(tables, packet.source, port).map(|api| (api.id, api.flags))
}

/// The API that a packet is for, with its flags.
#[inline(always)]
pub fn claim_destination<T: Tables>(tables: &T, packet: &Packet) -> Option<(u32, u32)> {
    let port = port_entry(tables, packet);
    claim(tables, packet.destination, port).map(|api| (api.id, api.flags))
}

#[inline(always)]
fn in_force<T: Tables>(tables: &T, until: u64) -> bool {
    until != 0 && (until == FOREVER || tables.boot_ns() < until)
}

/// Whether the API's drops are would-drops now.
#[inline(always)]
fn monitors<T: Tables>(tables: &T, api: &Api) -> bool {
    if let Some(over) = tables.overrides(api.id)
        && in_force(tables, over.mode_until.load())
    {
        return over.mode.load() != 0;
    }
    api.flags & API_MONITOR != 0
}

/// Stage 2: bans of the source, on the whole host or on the API.
#[inline(always)]
fn banned<T: Tables>(
    tables: &T,
    packet: &Packet,
    api: Option<&Api>,
    monitor: bool,
) -> Option<Decision> {
    let id = api.map_or(UNCLAIMED, |api| api.id);
    let automatic = find_ban(tables, packet, id)?;
    Some(Decision::monitored(Reason::Banned, id, automatic && monitor))
}

/// A ban in force on the source: whether detectors alone made it. An operator's counts before a
/// detector's, because it is enforced where the other may only be watched.
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
            let network = Addr { hi: packet.source.hi, lo: 0 };
            match probe_bit(tables, network, 64, api) {
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
    let (word, bit) = ban_place(tables.seed(), addr);
    if tables.ban_bits(word) >> bit & 1 == 0 {
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

/// Stage 3, for traffic that no API claims.
#[inline(always)]
fn unclaimed<T: Tables>(tables: &T, packet: &Packet) -> Decision {
    if !has(tables, feature::UNCLAIMED_DROP) {
        return Decision::new(Reason::Unclaimed, UNCLAIMED);
    }
    let reason = match packet.protocol {
        protocol::TCP if packet.opens_connection() => Reason::UnclaimedRefused,
        protocol::UDP if is_reply(tables, packet) => Reason::Reply,
        protocol::UDP => Reason::UnclaimedRefused,
        _ => Reason::Unclaimed,
    };
    Decision::new(reason, UNCLAIMED)
}

/// Whether a UDP packet answers one this host sent, or is DHCP's (RFC 2131, RFC 8415).
#[inline(always)]
fn is_reply<T: Tables>(tables: &T, packet: &Packet) -> bool {
    if matches!((packet.source_port, packet.destination_port), (67, 68) | (547, 546)) {
        return true;
    }
    let hash = udp_flow(tables.seed(), packet);
    let second = (tables.boot_ns() / 1_000_000_000) as u32;
    tables.seen(hash as u32 & (SEEN_CELLS - 1)).is_some_and(|cell| cell.knows(hash, second))
}

/// Notes a UDP packet that leaves the host, so that its answer is known.
#[inline(always)]
pub fn note_sent<T: Tables>(tables: &T, packet: &Packet) {
    if !has(tables, feature::UNCLAIMED_DROP) || packet.protocol != protocol::UDP {
        return;
    }
    let hash = udp_flow(tables.seed(), packet);
    let second = (tables.boot_ns() / 1_000_000_000) as u32;
    if let Some(cell) = tables.seen(hash as u32 & (SEEN_CELLS - 1)) {
        cell.note(hash, second);
    }
}

#[inline(always)]
fn udp_flow(seed: u64, packet: &Packet) -> u64 {
    flow_hash(seed, packet)
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

/// Stage 4: what is ordered about the API at the moment.
#[inline(always)]
fn overridden<T: Tables>(tables: &T, api: &Api, class: u32, monitor: bool) -> Option<Decision> {
    let over = tables.overrides(api.id)?;
    if in_force(tables, over.shutdown_until.load()) {
        tables.trace(Step::Override(Reason::Shutdown));
        return Some(Decision::new(Reason::Shutdown, api.id));
    }
    if in_force(tables, over.lockdown_until.load()) {
        let group = over.lockdown_group.load() as u32;
        if !tables.class_groups(class).is_some_and(|groups| groups.contains(group)) {
            tables.trace(Step::Override(Reason::Lockdown));
            let automatic = over.lockdown_flags.load() & OVERRIDE_AUTOMATIC != 0;
            return Some(Decision::monitored(Reason::Lockdown, api.id, automatic && monitor));
        }
    }
    None
}

/// Stage 5: the rule's own answer.
#[inline(always)]
fn refused(api: &Api, rule: &Rule, monitor: bool) -> Option<Decision> {
    let reason = match rule.action {
        RULE_PASS => return None,
        RULE_DENIED => Reason::Denied,
        _ => Reason::NotAllowed,
    };
    Some(Decision::monitored(reason, api.id, monitor))
}

/// The states that a packet is held against; `None` where the profile has no limit. What a claim
/// costs is asked twice rather than kept: the kernel's stack is small. Kinds are written out and not
/// looped over, because the verifier follows no variable index into the stack.
#[derive(Clone, Copy, Default)]
struct Claims<'a> {
    packets: Option<&'a Slot>,
    bytes: Option<&'a Slot>,
    connections: Option<&'a Slot>,
    /// Some of them are the overflow budget's.
    overflow: bool,
}

/// Stage 6: all limits of the source and of the API are checked, then all are charged.
#[inline(always)]
fn limited<T: Tables>(
    tables: &T,
    packet: &Packet,
    api: &Api,
    rule: &Rule,
    monitor: bool,
) -> Option<Decision> {
    let tight = tight_limit(tables, api).filter(|_| rule.flags & RULE_PROXY == 0);
    if !has(tables, feature::LIMITS) && tight.is_none() {
        return None;
    }
    let now = tables.now();
    let refuse = |reason| Some(Decision::monitored(reason, api.id, monitor));
    let hash = source_hash(tables, packet, api);
    let own_profile = tables.profile(rule.profile as u32).filter(|_| rule.profile != 0);
    let total_profile =
        tables.profile(api.total).filter(|_| has(tables, feature::LIMIT_SHARED) && api.total != 0);

    let mut own = Claims::default();
    let mut total = Claims::default();
    if let Some(profile) = own_profile {
        let claims = if has(tables, feature::LIMIT_SHARED) && rule.shared != 0 {
            claim_shared(tables, packet, api, profile, rule.shared as u32)
        } else {
            claim_own(tables, packet, api, profile, hash, now)
        };
        match claims {
            Some(claims) => own = claims,
            None => return refuse(Reason::LimitOverflow),
        }
        if let Some(kind) = first_refusal(tables, &own, profile, false, now) {
            return refuse(own_reason(kind, &own));
        }
    }
    if let Some(profile) = total_profile
        && let Some(claims) = claim_shared(tables, packet, api, profile, SHARED_TOTAL)
    {
        total = claims;
        if let Some(kind) = first_refusal(tables, &total, profile, true, now) {
            return refuse(total_reason(kind));
        }
    }
    if let Some(over) = tight
        && !within_tight(tables, over, hash, now)
    {
        return refuse(Reason::LimitPackets);
    }
    if let Some(profile) = own_profile
        && let Some(kind) = charge(tables, packet, &own, profile, now)
    {
        return refuse(own_reason(kind, &own));
    }
    if let Some(profile) = total_profile
        && let Some(kind) = charge(tables, packet, &total, profile, now)
    {
        return refuse(total_reason(kind));
    }
    None
}

#[inline(always)]
const fn own_reason(kind: Kind, claims: &Claims<'_>) -> Reason {
    if claims.overflow {
        return Reason::LimitOverflow;
    }
    match kind {
        Kind::Packets => Reason::LimitPackets,
        Kind::Bytes => Reason::LimitBytes,
        Kind::Connections => Reason::LimitConnections,
    }
}

#[inline(always)]
const fn total_reason(kind: Kind) -> Reason {
    match kind {
        Kind::Packets => Reason::TotalPackets,
        Kind::Bytes => Reason::TotalBytes,
        Kind::Connections => Reason::TotalConnections,
    }
}

/// The hash of the source at this API, host bits that do not tell sources apart masked out.
#[inline(always)]
fn source_hash<T: Tables>(tables: &T, packet: &Packet, api: &Api) -> u64 {
    let source = if packet.is_v4 {
        Addr { hi: 0, lo: packet.source.lo & api.v4_mask }
    } else {
        Addr { hi: packet.source.hi & api.v6_mask_hi, lo: packet.source.lo & api.v6_mask_lo }
    };
    hash::addr(tables.seed(), source, api.id as u64)
}

/// The kinds of limits that this policy uses and this packet counts for, with its units.
#[inline(always)]
fn units<T: Tables>(tables: &T, packet: &Packet, profile: &Profile, kind: Kind) -> Option<u64> {
    let units = match kind {
        Kind::Packets => 1,
        Kind::Bytes if has(tables, feature::LIMIT_BYTES) => packet.wire_len as u64,
        Kind::Connections
            if has(tables, feature::LIMIT_CONNECTIONS) && packet.opens_connection() =>
        {
            1
        }
        _ => return None,
    };
    profile.rate(kind).is_limit().then_some(units)
}

/// Claims on the source's own ways; `None` when the limiter is full and the API drops then.
#[inline(always)]
fn claim_own<'a, T: Tables>(
    tables: &'a T,
    packet: &Packet,
    api: &Api,
    profile: &Profile,
    hash: u64,
    now: u64,
) -> Option<Claims<'a>> {
    let cell = tables.limiter(limiter::cell_place(hash, tables.limiter_mask()))?;
    let mut overflow = false;
    let mut slot = |kind| {
        if units(tables, packet, profile, kind).is_none() {
            return Some(None);
        }
        match own_way(tables, api, cell, hash, now, kind) {
            Way::Own(slot) => Some(Some(slot)),
            Way::Overflow(slot) => {
                overflow = true;
                Some(Some(slot))
            }
            Way::Unlimited => Some(None),
            Way::Refused => None,
        }
    };
    let packets = slot(Kind::Packets)?;
    let bytes = slot(Kind::Bytes)?;
    let connections = slot(Kind::Connections)?;
    Some(Claims { packets, bytes, connections, overflow })
}

/// What a source is held to for one kind.
enum Way<'a> {
    /// Its own state.
    Own(&'a Slot),
    /// The API's budget for sources without room.
    Overflow(&'a Slot),
    /// Nothing.
    Unlimited,
    /// It has no room, and is dropped for it.
    Refused,
}

/// The source's way for one kind, or what the API has instead when the cell is full.
#[inline(always)]
fn own_way<'a, T: Tables>(
    tables: &'a T,
    api: &Api,
    cell: &'a limiter::Cell,
    hash: u64,
    now: u64,
    kind: Kind,
) -> Way<'a> {
    let place = match cell.find(limiter::fingerprint(hash, kind), now) {
        Found::Known(place) => place,
        Found::Claimed(place) => {
            tables.bump(Stat::LimiterClaimed);
            place
        }
        Found::Evicted(place) => {
            tables.bump(Stat::LimiterEvicted);
            place
        }
        Found::Full => {
            tables.bump(Stat::LimiterFull);
            if api.flags & API_OVERFLOW_PASS != 0 {
                return Way::Unlimited;
            }
            if api.flags & API_OVERFLOW_DROP != 0 {
                return Way::Refused;
            }
            return match tables.shared(api.id * SHARED_PER_API + SHARED_OVERFLOW) {
                Some(budget) => Way::Overflow(budget.arrival(kind)),
                None => Way::Refused,
            };
        }
    };
    Way::Own(cell.arrival(place))
}

/// Claims on one of the API's shared budgets.
#[inline(always)]
fn claim_shared<'a, T: Tables>(
    tables: &'a T,
    packet: &Packet,
    api: &Api,
    profile: &Profile,
    number: u32,
) -> Option<Claims<'a>> {
    let budget = tables.shared(api.id * SHARED_PER_API + (number & (SHARED_PER_API - 1)))?;
    let claim = |kind| units(tables, packet, profile, kind).map(|_| budget.arrival(kind));
    Some(Claims {
        packets: claim(Kind::Packets),
        bytes: claim(Kind::Bytes),
        connections: claim(Kind::Connections),
        overflow: false,
    })
}

/// The first kind whose limit does not admit the packet.
#[inline(always)]
fn first_refusal<T: Tables>(
    tables: &T,
    claims: &Claims<'_>,
    profile: &Profile,
    total: bool,
    now: u64,
) -> Option<Kind> {
    let refuses = |kind, state: Option<&Slot>| {
        let admits = profile.rate(kind).admits(state?, now);
        tables.trace(Step::Limit(kind, total, admits));
        (!admits).then_some(kind)
    };
    if let Some(kind) = refuses(Kind::Packets, claims.packets) {
        return Some(kind);
    }
    if let Some(kind) = refuses(Kind::Bytes, claims.bytes) {
        return Some(kind);
    }
    refuses(Kind::Connections, claims.connections)
}

/// Charges every claim; the kind that another CPU exhausted meanwhile, if any.
#[inline(always)]
fn charge<T: Tables>(
    tables: &T,
    packet: &Packet,
    claims: &Claims<'_>,
    profile: &Profile,
    now: u64,
) -> Option<Kind> {
    let refuses = |kind, state: Option<&Slot>| {
        let units = units(tables, packet, profile, kind).unwrap_or(0);
        match profile.rate(kind).charge(state?, units, now) {
            Charge::Admitted => None,
            Charge::Contended => {
                tables.bump(Stat::LimiterContended);
                None
            }
            Charge::Refused => Some(kind),
        }
    };
    if let Some(kind) = refuses(Kind::Packets, claims.packets) {
        return Some(kind);
    }
    if let Some(kind) = refuses(Kind::Bytes, claims.bytes) {
        return Some(kind);
    }
    refuses(Kind::Connections, claims.connections)
}

/// The orders for the API, when a tighter limit for each of its sources is among them.
#[inline(always)]
fn tight_limit<'a, T: Tables>(tables: &'a T, api: &Api) -> Option<&'a Override> {
    let over = tables.overrides(api.id)?;
    in_force(tables, over.limit_until.load()).then_some(over)
}

/// Checks and charges the tighter limit, in a way of its own beside the policy's.
#[inline(always)]
fn within_tight<T: Tables>(tables: &T, over: &Override, hash: u64, now: u64) -> bool {
    let rate = Rate {
        mul: over.limit_mul.load(),
        tau: over.limit_tau.load(),
        ceiling: over.limit_ceiling.load(),
        shift: over.limit_shift.load() as u32,
        reserved: 0,
    };
    let Some(cell) = tables.limiter(limiter::cell_place(hash, tables.limiter_mask())) else {
        return true;
    };
    match cell.find(limiter::tight_fingerprint(hash), now) {
        Found::Known(place) | Found::Claimed(place) | Found::Evicted(place) => {
            let state = cell.arrival(place);
            let admits = rate.admits(state, now) && rate.charge(state, 1, now) != Charge::Refused;
            tables.trace(Step::Limit(Kind::Packets, false, admits));
            admits
        }
        Found::Full => {
            tables.bump(Stat::LimiterFull);
            false
        }
    }
}
