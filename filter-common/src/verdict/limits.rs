//! Stage 6: limits of the source, of its group and of the API as a whole. All of them are checked,
//! then all are charged, so that what one refuses costs nothing under another.
//!
//! The kernel's verifier follows every combination of what was found on the way. So a source's place
//! in its cell is a number here and not a reference, of which it is made to forget all but the range
//! (see [`crate::verifier`]), and kinds are written out and not looped over: it follows no variable
//! index into the stack.

use super::{Asked, Step, Summary, Tables, Whose, has, in_force};
use crate::addr::Addr;
use crate::gcra::{Charge, Rate};
use crate::hash;
use crate::limiter::{self, Cell, Claim, Kind, WAYS};
use crate::packet::Packet;
use crate::reason::Reason;
use crate::slot::Slot;
use crate::stat::Stat;
use crate::tables::{
    API_OVERFLOW_DROP, API_OVERFLOW_PASS, Api, OVERRIDE_AUTOMATIC, Override, Profile, RULE_PROXY,
    Rule, SHARED_OVERFLOW, SHARED_PER_API, SHARED_TOTAL, Shared, feature,
};
use crate::verifier::forget;

/// The decision of the limits; `None` when all of them admit the packet, which is then charged.
#[inline(always)]
pub(super) fn limited<T: Tables>(
    tables: &T,
    packet: &Packet,
    (slot, api): (u32, &Api),
    (number, rule): (u32, &Rule),
    over: Option<&Override>,
    monitor: bool,
) -> Option<Summary> {
    let tight = tighter(tables, rule, over).is_some();
    if !has(tables, feature::LIMITS) && !tight {
        return None;
    }
    let now = tables.now();
    let many = feature::LIMIT_BYTES | feature::LIMIT_CONNECTIONS | feature::LIMIT_SHARED;
    if !tables.tells() && !tight && !has(tables, many) {
        let profile = tables.profile(rule.profile as u32).filter(|_| rule.profile != 0)?;
        if let Some(admits) = one_known(tables, packet, api, profile, now) {
            return (!admits).then(|| Summary::monitored(Reason::LimitPackets, api.id, monitor));
        }
    }
    let reason = Reason::from_number(tables.many_limits(packet, slot, number, now) as u8)?;
    Some(Summary::monitored(reason, api.id, monitor))
}

/// The usual case: one limit of packets, of a source that has its way or gets one. Checked by charging
/// it; `None` when it is another case after all, or other CPUs are at the same state.
#[inline(always)]
fn one_known<T: Tables>(
    tables: &T,
    packet: &Packet,
    api: &Api,
    profile: &Profile,
    now: u64,
) -> Option<bool> {
    let hash = source_hash(tables, packet, api);
    let number = limiter::cell_place(hash, tables.limiter_mask());
    let cell = tables.limiter(number)?;
    let print = limiter::fingerprint(hash, Kind::Packets);
    let place = match cell.find(print) {
        Some(place) => place,
        None => {
            let claimed = tables.claim_way(number, print, now, profile.packets.cost(1).max(1));
            if claimed & CHARGED != 0 {
                // Within its burst, which is more than nothing.
                return Some(true);
            }
            Some(claimed as usize).filter(|&place| place < WAYS)?
        }
    };
    match profile.packets.charge_once(cell.arrival(place, hash), 1, now) {
        Charge::Admitted => Some(true),
        Charge::Refused => Some(false),
        Charge::Contended => None,
    }
}

/// What [`many_limits`] gives when all limits admit the packet: the number of no reason.
const ADMITTED: u32 = 0xff;

/// Holds a packet against all limits there can be: of its source or group, of the API as a whole,
/// and a tighter one that is ordered. The API and the rule are given by their place in the tables.
/// Returns the number of the reason, or 255.
#[inline(always)]
pub fn many_limits<T: Tables>(tables: &T, packet: &Packet, slot: u32, rule: u32, now: u64) -> u32 {
    let (Some(api), Some(rule)) = (tables.api(slot), tables.rule(rule)) else { return ADMITTED };
    let over = tables.overrides(api.id);
    let tight = tighter(tables, rule, over);
    match Limits::new(tables, packet, api, now).refusal(rule, tight) {
        Some(reason) => reason as u32,
        None => ADMITTED,
    }
}

/// Holds a packet, which passes because its drop is only counted, against the tighter limit that an
/// operator has ordered, and charges it.
#[inline(always)]
pub(super) fn ordered<T: Tables>(
    tables: &T,
    packet: &Packet,
    api: &Api,
    rule: &Rule,
    over: &Override,
) -> Option<Reason> {
    let over = tighter(tables, rule, Some(over))?;
    if over.limit_flags.load() & OVERRIDE_AUTOMATIC != 0 {
        return None;
    }
    Limits::new(tables, packet, api, tables.now()).tight_refusal(over)
}

/// Makes room for a source in a cell, as [`Cell::claim`]; returns its place, with 16 added when the way
/// is charged. That there is none is counted by whoever has no other way.
#[inline(always)]
pub fn claim_way<T: Tables>(tables: &T, cell: u32, fingerprint: u64, now: u64, cost: u64) -> u32 {
    let Some(cell) = tables.limiter(cell) else { return REFUSED as u32 };
    match cell.claim(fingerprint, now, cost) {
        Claim::Taken { place, charged, evicted } => {
            tables.bump(if evicted { Stat::LimiterEvicted } else { Stat::LimiterClaimed });
            place as u32 | if charged { CHARGED } else { 0 }
        }
        Claim::Full => FULL as u32,
    }
}

/// In what [`claim_way`] gives: the cost is charged already.
const CHARGED: u32 = PLACES as u32 + 1;
/// A cost that only says that the way is in use: the packet is charged once all limits are asked.
const IN_USE: u64 = 1;

/// The order for a tighter limit, when one is in force and the source does not speak for others.
#[inline(always)]
fn tighter<'a, T: Tables>(
    tables: &T,
    rule: &Rule,
    over: Option<&'a Override>,
) -> Option<&'a Override> {
    let over = over?;
    (in_force(tables, over.limit_until.load()) && rule.flags & RULE_PROXY == 0).then_some(over)
}

/// The hash of the source at this API, host bits that do not tell sources apart masked out.
#[inline(always)]
fn source_hash<T: Tables>(tables: &T, packet: &Packet, api: &Api) -> u64 {
    let known = tables.known(packet).source;
    if packet.is_v4 {
        return hash::source_v4(tables.source_key(0), known & api.v4_mask, api.id);
    }
    let (hi, lo) = (known, packet.source.lo);
    let keys = [tables.source_key(0), tables.source_key(1), tables.source_key(2)];
    hash::source(keys, Addr { hi: hi & api.v6_mask_hi, lo: lo & api.v6_mask_lo }, api.id)
}

/// Where a source's state for one limit is: below [`WAYS`] a way of its cell.
type Place = usize;
/// The API's budget for sources without room.
const OVERFLOW: Place = WAYS;
/// Nowhere: there is no limit, or none for sources without room.
const UNLIMITED: Place = WAYS + 1;
/// It has no room, and is dropped for it.
const REFUSED: Place = WAYS + 2;
/// Every way of its cell is in use.
const FULL: Place = WAYS + 3;
/// As many places as are masked to.
const PLACES: usize = 2 * WAYS - 1;

/// One packet before the limits.
struct Limits<'a, T> {
    tables: &'a T,
    packet: &'a Packet,
    api: &'a Api,
    hash: u64,
    now: u64,
}

impl<'a, T: Tables> Limits<'a, T> {
    #[inline(always)]
    fn new(tables: &'a T, packet: &'a Packet, api: &'a Api, now: u64) -> Self {
        Self { tables, packet, api, hash: source_hash(tables, packet, api), now }
    }

    /// The first limit that refuses the packet.
    #[inline(always)]
    fn refusal(&self, rule: &Rule, ordered: Option<&Override>) -> Option<Reason> {
        let tables = self.tables;
        let own = tables.profile(rule.profile as u32).filter(|_| rule.profile != 0);
        let (mut group, mut total) = (None, None);
        if has(tables, feature::LIMIT_SHARED) {
            if rule.shared != 0 {
                group = self.budget(rule.shared as u32);
            }
            if self.api.total != 0 {
                total = tables.profile(self.api.total).zip(self.budget(SHARED_TOTAL));
            }
        }
        let (mut packets, mut bytes, mut connections) = (UNLIMITED, UNLIMITED, UNLIMITED);
        let mut tight = UNLIMITED;
        if let Some(profile) = own {
            if let Some(budget) = group {
                if let Some(kind) = self.check(profile, budget, Whose::Group) {
                    return Some(own_reason(kind));
                }
            } else {
                packets = self.find(profile, Kind::Packets);
                if let Some(reason) = self.check_own(profile, packets, Kind::Packets) {
                    return Some(reason);
                }
                packets = self.forget(packets);
                bytes = self.find(profile, Kind::Bytes);
                if let Some(reason) = self.check_own(profile, bytes, Kind::Bytes) {
                    return Some(reason);
                }
                bytes = self.forget(bytes);
                connections = self.find(profile, Kind::Connections);
                if let Some(reason) = self.check_own(profile, connections, Kind::Connections) {
                    return Some(reason);
                }
                connections = self.forget(connections);
            }
        }
        if let Some((profile, budget)) = total
            && let Some(kind) = self.check(profile, budget, Whose::Api)
        {
            return Some(total_reason(kind));
        }
        if let Some(over) = ordered {
            tight = self.place(limiter::tight_fingerprint(self.hash));
            if let Some(reason) = self.check_tight(over, tight) {
                return Some(reason);
            }
            tight = self.forget(tight);
        }

        if let Some(profile) = own {
            if let Some(budget) = group {
                if let Some(kind) = self.charge(profile, budget) {
                    return Some(own_reason(kind));
                }
            } else {
                if let Some(reason) = self.charge_own(profile, packets, Kind::Packets) {
                    return Some(reason);
                }
                if let Some(reason) = self.charge_own(profile, bytes, Kind::Bytes) {
                    return Some(reason);
                }
                if let Some(reason) = self.charge_own(profile, connections, Kind::Connections) {
                    return Some(reason);
                }
            }
        }
        if let Some((profile, budget)) = total
            && let Some(kind) = self.charge(profile, budget)
        {
            return Some(total_reason(kind));
        }
        if let (Some(over), Some(state)) = (ordered, self.state(tight, Kind::Packets))
            && self.charge_one(&tight_rate(over), state, 1)
        {
            return Some(self.reason(tight, Kind::Packets));
        }
        None
    }

    /// Holds the packet against a tighter limit that is ordered, and charges it at once.
    #[inline(always)]
    fn tight_refusal(&self, over: &Override) -> Option<Reason> {
        let place = self.place(limiter::tight_fingerprint(self.hash));
        if let Some(reason) = self.check_tight(over, place) {
            return Some(reason);
        }
        let place = self.forget(place);
        let state = self.state(place, Kind::Packets)?;
        let refuses = self.charge_one(&tight_rate(over), state, 1);
        refuses.then(|| self.reason(place, Kind::Packets))
    }

    /// One of the API's shared budgets.
    #[inline(always)]
    fn budget(&self, number: u32) -> Option<&'a Shared> {
        self.tables.shared(self.api.id * SHARED_PER_API + (number & (SHARED_PER_API - 1)))
    }

    #[inline(always)]
    fn cell(&self) -> Option<&'a Cell> {
        self.tables.limiter(limiter::cell_place(self.hash, self.tables.limiter_mask()))
    }

    /// Units that the packet counts for one kind of limit; `None` when the policy has none, or it
    /// does not count.
    #[inline(always)]
    fn units(&self, profile: &Profile, kind: Kind) -> Option<u64> {
        let units = match kind {
            Kind::Packets => 1,
            Kind::Bytes if has(self.tables, feature::LIMIT_BYTES) => self.packet.wire_len as u64,
            Kind::Connections
                if has(self.tables, feature::LIMIT_CONNECTIONS)
                    && self.packet.opens_connection() =>
            {
                1
            }
            _ => return None,
        };
        profile.rate(kind).is_limit().then_some(units)
    }

    /// Finds the source's place for one kind, or makes one.
    #[inline(always)]
    fn find(&self, profile: &Profile, kind: Kind) -> Place {
        if self.units(profile, kind).is_none() {
            return UNLIMITED;
        }
        self.place(limiter::fingerprint(self.hash, kind))
    }

    #[inline(always)]
    fn place(&self, fingerprint: u64) -> Place {
        let number = limiter::cell_place(self.hash, self.tables.limiter_mask());
        let Some(cell) = self.tables.limiter(number) else { return REFUSED };
        let mut place = match cell.find(fingerprint) {
            Some(place) => place,
            None => self.tables.claim_way(number, fingerprint, self.now, IN_USE) as usize & PLACES,
        };
        if place == FULL {
            self.tables.bump(Stat::LimiterFull);
            place = match self.api.flags {
                flags if flags & API_OVERFLOW_PASS != 0 => UNLIMITED,
                flags if flags & API_OVERFLOW_DROP != 0 => REFUSED,
                _ => OVERFLOW,
            };
        }
        self.forget(place)
    }

    /// The same place, so that where paths met that knew more of it they go on as one.
    #[inline(always)]
    fn forget(&self, place: Place) -> Place {
        forget::<PLACES>(place, self.packet.source.lo)
    }

    /// The arrival time at a place.
    #[inline(always)]
    fn state(&self, place: Place, kind: Kind) -> Option<&'a Slot> {
        if place < WAYS {
            return Some(self.cell()?.arrival(place, self.hash));
        }
        if place != OVERFLOW {
            return None;
        }
        Some(self.budget(SHARED_OVERFLOW)?.arrival(kind))
    }

    /// Why a source is refused by a limit of its own.
    #[inline(always)]
    fn reason(&self, place: Place, kind: Kind) -> Reason {
        if place < WAYS { own_reason(kind) } else { Reason::LimitOverflow }
    }

    #[inline(always)]
    fn check_own(&self, profile: &Profile, place: Place, kind: Kind) -> Option<Reason> {
        if place == REFUSED {
            return Some(Reason::LimitOverflow);
        }
        let state = self.state(place, kind)?;
        self.refuses(profile.rate(kind), state, kind, whose(place, Whose::Source))
            .then(|| self.reason(place, kind))
    }

    #[inline(always)]
    fn check_tight(&self, over: &Override, place: Place) -> Option<Reason> {
        if place == REFUSED {
            return Some(Reason::LimitOverflow);
        }
        let state = self.state(place, Kind::Packets)?;
        let whose = whose(place, Whose::Order);
        let refuses = self.refuses(&tight_rate(over), state, Kind::Packets, whose);
        refuses.then(|| self.reason(place, Kind::Packets))
    }

    #[inline(always)]
    fn refuses(&self, rate: &Rate, state: &Slot, kind: Kind, whose: Whose) -> bool {
        let admits = rate.admits(state, self.now);
        self.tables.trace(Step::Limit(Asked { kind, whose, rate, state, admits }));
        !admits
    }

    /// The first kind for which a shared budget does not admit the packet.
    #[inline(always)]
    fn check(&self, profile: &Profile, budget: &Shared, whose: Whose) -> Option<Kind> {
        let refuses = |kind| {
            self.units(profile, kind).is_some()
                && self.refuses(profile.rate(kind), budget.arrival(kind), kind, whose)
        };
        if refuses(Kind::Packets) {
            return Some(Kind::Packets);
        }
        if refuses(Kind::Bytes) {
            return Some(Kind::Bytes);
        }
        refuses(Kind::Connections).then_some(Kind::Connections)
    }

    /// Charges a source's own limit; the reason when other CPUs have exhausted it meanwhile, or
    /// when nobody has asked before.
    #[inline(always)]
    fn charge_own(&self, profile: &Profile, place: Place, kind: Kind) -> Option<Reason> {
        if place == REFUSED {
            return Some(Reason::LimitOverflow);
        }
        let state = self.state(place, kind)?;
        let units = self.units(profile, kind).unwrap_or(0);
        self.charge_one(profile.rate(kind), state, units).then(|| self.reason(place, kind))
    }

    /// Charges a shared budget; the kind that other CPUs have exhausted meanwhile, if any.
    #[inline(always)]
    fn charge(&self, profile: &Profile, budget: &Shared) -> Option<Kind> {
        let refuses = |kind| {
            self.units(profile, kind).is_some_and(|units| {
                self.charge_one(profile.rate(kind), budget.arrival(kind), units)
            })
        };
        if refuses(Kind::Packets) {
            return Some(Kind::Packets);
        }
        if refuses(Kind::Bytes) {
            return Some(Kind::Bytes);
        }
        refuses(Kind::Connections).then_some(Kind::Connections)
    }

    /// Charges one state; whether it refuses.
    #[inline(always)]
    fn charge_one(&self, rate: &Rate, state: &Slot, units: u64) -> bool {
        match rate.charge(state, units, self.now) {
            Charge::Admitted => false,
            Charge::Contended => {
                self.tables.bump(Stat::LimiterContended);
                false
            }
            Charge::Refused => true,
        }
    }
}

/// Whose state lies at a place, where the source's own is `own`.
#[inline(always)]
const fn whose(place: Place, own: Whose) -> Whose {
    if place < WAYS { own } else { Whose::Overflow }
}

#[inline(always)]
const fn own_reason(kind: Kind) -> Reason {
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

#[inline(always)]
fn tight_rate(over: &Override) -> Rate {
    Rate {
        mul: over.limit_mul.load(),
        tau: over.limit_tau.load(),
        ceiling: over.limit_ceiling.load(),
        shift: over.limit_shift.load() as u32,
        reserved: 0,
    }
}
