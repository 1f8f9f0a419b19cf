//! The verdict: one straight line of stages, each of which decides or hands on.
//!
//! It exists once. The kernel, `weir explain`, `weir replay` and the tests differ only in where the
//! tables are ([`Tables`]).

mod bans;
mod claim;
mod decision;
mod limits;
mod odd;
mod unclaimed;

use crate::addr::Addr;
use crate::classify::ClassTables;
use crate::gcra::Rate;
use crate::limiter::{self, Kind};
use crate::packet::{Fragment, Known, Packet};
use crate::reason::Reason;
use crate::seen;
use crate::slot::Slot;
use crate::stat::Stat;
use crate::tables::{
    Api, Ban, BanControl, BanKey, ClassGroups, FOREVER, Listen, NO_PORT, Override, Profile,
    RULE_MONITOR, Rule, Shared, UNCLAIMED,
};
use crate::verifier::forget_flag;

pub use bans::search_bans;
pub use claim::{claim_destination, claim_source, follow_chain};
pub use decision::{Decision, Summary};
pub use limits::{claim_way, many_limits};
pub use odd::{odd_reason, source_oddities, summary_of_unparsed};
pub use unclaimed::{flow_hash, note_sent};

/// The tables and clocks of the verdict. A cell that is not there is `None`.
pub trait Tables: ClassTables + Sized {
    /// Bits of [`feature`].
    fn features(&self) -> u32;
    /// Seed of all hashes.
    fn seed(&self) -> u64;
    /// One of [`crate::hash::source_keys`].
    fn source_key(&self, which: usize) -> u64;
    /// Cells of the limiter less one.
    fn limiter_mask(&self) -> u32;
    /// See [`crate::tables::Config::trusted_classes`].
    fn trusted_classes(&self) -> u32;
    /// Classes there are: so many rules each API has.
    fn classes(&self) -> u32;
    /// Kinds of packets that are dropped: bits of [`crate::oddity::Oddity`].
    fn drops(&self) -> u32;
    /// Kinds of packets that are would-drops.
    fn watches(&self) -> u32;
    /// A word of the bitmap of addresses that may be this host's own.
    fn own_bits(&self, index: u32) -> u64;
    /// Whether an address is this host's own.
    fn is_own(&self, addr: &Addr) -> bool;
    /// Whether the packet came in by the loopback interface.
    fn on_loopback(&self) -> bool;
    /// Whether trust holds on the interface the packet came in by.
    fn on_trusted_interface(&self) -> bool;
    /// A cell of the port table, below [`crate::tables::PORT_CELLS`].
    fn port(&self, place: usize) -> u16;
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
    /// What is asked of the packet first, for whoever has it at hand.
    #[inline(always)]
    fn known(&self, packet: &Packet) -> Known {
        Known::of(packet)
    }
    /// Whether [`Self::trace`] does anything: then limits are asked one by one, which decides the same
    /// and tells more.
    #[inline(always)]
    fn tells(&self) -> bool {
        false
    }
    /// Told of each stage's finding; `weir explain` listens, the kernel does not.
    #[inline(always)]
    fn trace(&self, _step: Step<'_>) {}

    // What follows is rare or long. The kernel does it in functions of their own, which its verifier
    // checks once, and not once for every way that leads to them; numbers alone go in and out.

    /// See [`source_oddities`].
    #[inline(always)]
    fn source_oddities(&self, packet: &Packet) -> u32 {
        source_oddities(self, packet)
    }

    /// See [`odd_reason`]; `None` when there is none.
    #[inline(always)]
    fn odd_reason(&self, kinds: u32) -> Option<Reason> {
        Reason::from_number(odd_reason(kinds) as u8)
    }

    /// See [`follow_chain`].
    #[inline(always)]
    fn follow_chain(&self, destination: Addr, first: u32) -> u32 {
        follow_chain(self, destination, first)
    }

    /// See [`search_bans`].
    #[inline(always)]
    fn search_bans(&self, packet: &Packet, api: u32) -> u32 {
        search_bans(self, packet, api)
    }

    /// See [`claim_way`].
    #[inline(always)]
    fn claim_way(&self, cell: u32, fingerprint: u64, now: u64, cost: u64) -> u32 {
        claim_way(self, cell, fingerprint, now, cost)
    }

    /// See [`many_limits`].
    #[inline(always)]
    fn many_limits(&self, packet: &Packet, slot: u32, rule: u32, now: u64) -> u32 {
        many_limits(self, packet, slot, rule, now)
    }

    /// See [`operator_refuses`].
    #[inline(always)]
    fn operator_refuses(&self, packet: &Packet) -> u32 {
        operator_refuses(self, packet)
    }
}

/// What a stage found, for `weir explain`.
#[derive(Debug)]
pub enum Step<'a> {
    /// The source's class.
    Class(u32),
    /// The packet is of a kind that the policy refuses, or (`true`) watches.
    Odd(Reason, bool),
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
    /// A limit that was asked.
    Limit(Asked<'a>),
}

/// A limit that was asked and not charged yet.
#[derive(Debug)]
pub struct Asked<'a> {
    /// What it counts.
    pub kind: Kind,
    /// Whose state it is.
    pub whose: Whose,
    /// The rate.
    pub rate: &'a Rate,
    /// The arrival time.
    pub state: &'a Slot,
    /// Whether it admits the packet.
    pub admits: bool,
}

/// Whose state a limit looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// The source's own.
    Source,
    /// That of the sources for which the limiter has no room.
    Overflow,
    /// That of the source's group.
    Group,
    /// That of the API as a whole.
    Api,
    /// The source's own, under a tighter limit that is ordered.
    Order,
}

#[inline(always)]
fn has<T: Tables>(tables: &T, bits: u32) -> bool {
    tables.features() & bits != 0
}

/// The decision on a packet.
#[inline(always)]
pub fn judge<T: Tables>(tables: &T, packet: &Packet) -> Decision {
    summary_of(tables, packet).decision()
}

/// The decision on a packet that the parser gave up on.
#[inline(always)]
pub fn judge_unparsed<T: Tables>(tables: &T, packet: &Packet, reason: Reason) -> Decision {
    summary_of_unparsed(tables, packet, reason).decision()
}

/// As [`judge`], in one word.
#[inline(always)]
pub fn summary_of<T: Tables>(tables: &T, packet: &Packet) -> Summary {
    if tables.known(packet).port == NO_PORT && packet.is_essential() {
        return Summary::new(Reason::Essential, UNCLAIMED);
    }
    if let Some(decision) = odd::martian(tables, packet) {
        return decision;
    }
    odd::watched(tables, packet, stages(tables, packet))
}

#[inline(always)]
fn stages<T: Tables>(tables: &T, packet: &Packet) -> Summary {
    let class = claim::classify(tables, packet);
    let port = claim::port_entry(tables, packet);
    if let Some(decision) = claim::trusted(tables, packet, class, port) {
        return decision;
    }
    let slot = claim::claim(tables, packet.destination, port);
    let api = slot.and_then(|slot| tables.api(slot));
    tables.trace(Step::Api(api));
    let control = tables.ban_control();
    let over = match control {
        Some(control) if control.orders == 0 => None,
        _ => api.and_then(|api| tables.overrides(api.id)),
    };
    let monitor = forget_flag(
        api.is_some_and(|api| claim::monitors(tables, api, over)),
        packet.destination.lo,
    );
    if let Some(decision) = bans::banned(tables, packet, control, api, monitor) {
        return decision;
    }
    if packet.odd != 0 {
        if let Some(decision) = odd::odd(tables, packet, api.map_or(UNCLAIMED, |api| api.id)) {
            return decision;
        }
        // Which is one of the kinds.
        if matches!(packet.fragment, Fragment::Later) {
            return Summary::new(Reason::Fragment, UNCLAIMED);
        }
    }
    let (Some(api), Some(slot)) = (api, slot) else { return unclaimed::unclaimed(tables, packet) };
    if let Some(decision) = claim::overridden(tables, api, over, class, monitor) {
        return decision;
    }
    let number = slot.wrapping_mul(tables.classes()).wrapping_add(class);
    let Some(rule) = tables.rule(number) else {
        tables.bump(Stat::MissingCell);
        return Summary::new(Reason::NotAllowed, api.id);
    };
    tables.trace(Step::Rule(rule));
    let monitor = monitor | (rule.flags & RULE_MONITOR != 0);
    if let Some(decision) = claim::refused(api, rule, monitor) {
        return decision;
    }
    if let Some(decision) =
        limits::limited(tables, packet, (slot, api), (number, rule), over, monitor)
    {
        return decision;
    }
    Summary::new(Reason::Allowed, api.id)
}

/// What an operator orders is enforced in every mode: a packet that is refused, but only counted, is
/// held against it once more.
#[inline(always)]
fn counted_only<T: Tables>(tables: &T, packet: &Packet, decision: Summary) -> Summary {
    let none = tables.ban_control().is_some_and(|control| control.orders == 0);
    if decision.drops() || none {
        return decision;
    }
    match Reason::from_number(tables.operator_refuses(packet) as u8) {
        Some(reason) => Summary::new(reason, decision.api()),
        None => decision,
    }
}

/// The number of the reason for which an order of an operator drops a packet that would pass otherwise;
/// 255 when none does.
#[inline(always)]
pub fn operator_refuses<T: Tables>(tables: &T, packet: &Packet) -> u32 {
    ordered_reason(tables, packet).map_or(0xff, |reason| reason as u32)
}

#[inline(always)]
fn ordered_reason<T: Tables>(tables: &T, packet: &Packet) -> Option<Reason> {
    let slot = claim::claim(tables, packet.destination, claim::port_entry(tables, packet))?;
    let api = tables.api(slot)?;
    let over = tables.overrides(api.id)?;
    let class = claim::classify(tables, packet);
    if let Some(decision) = claim::overridden(tables, api, Some(over), class, true)
        && decision.drops()
    {
        return Reason::from_number(decision.reason_number());
    }
    let rule = tables.rule(slot.wrapping_mul(tables.classes()).wrapping_add(class))?;
    limits::ordered(tables, packet, api, rule, over)
}

#[inline(always)]
fn in_force<T: Tables>(tables: &T, until: u64) -> bool {
    until != 0 && (until == FOREVER || tables.boot_ns() < until)
}
