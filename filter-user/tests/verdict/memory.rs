//! The world in memory: the shared parser and verdict over the compiled image.

use std::net::IpAddr;
use std::path::Path;

use filter_common::packet::{self, Packet};
use filter_common::slot::Slot;
use filter_common::stat::Stat;
use filter_common::tables::{
    BAN_AUTOMATIC, Ban, BanControl, BanKey, FOREVER, OVERRIDE_AUTOMATIC, UNCLAIMED, ban_place,
};
use filter_common::verdict::{Decision, judge, judge_unparsed, note_sent};
use filter_common::{bytes::Slice, reason};
use filter_user::image::view::{State, View};
use filter_user::image::{Ids, Image};
use filter_user::kernel::orders::{Kind, Order};
use filter_user::policy::{Policy, compile, parse};
use filter_user::sensor::transaction::addr;
use filter_user::text::render;

use crate::script::{Change, Outcome, Script, Until, World};

/// Stable ids there can be.
pub(crate) const MAX_APIS: u32 = 32;

/// CLOCK_BOOTTIME in ns to begin with, and CLOCK_MONOTONIC in grains: they stand still.
const BOOT_NS: u64 = 100_000_000_000_000;
const NOW: u64 = 90_000_000_000_000 * 16;
const SEED: u64 = 0x5eed;

/// The policy of a script.
pub(crate) fn policy(script: &Script) -> Policy {
    let Some(text) = &script.policy else { return Policy::observe() };
    let loaded = parse(text, Path::new("/nonexistent"), script.about);
    loaded.policy.unwrap_or_else(|| panic!("{}", render(&loaded.diagnostics)))
}

/// An address and a length as written.
pub(crate) fn network(text: &str) -> (IpAddr, u8) {
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    let host = if address.is_ipv4() { 32 } else { 128 };
    (address, if length.is_empty() { host } else { length.parse().expect("a length") })
}

/// A policy over state in memory.
pub(crate) struct Memory {
    pub(crate) image: Image,
    pub(crate) ids: Ids,
    pub(crate) state: State,
    pub(crate) seed: u64,
    /// CLOCK_BOOTTIME in ns: it stands still.
    pub(crate) boot_ns: u64,
    missed: bool,
}

impl Memory {
    pub(crate) fn open(script: &Script) -> Self {
        let mut ids = Ids::new(MAX_APIS);
        let image = compile(&policy(script), &mut ids).expect("compiles");
        let state = State::new(MAX_APIS, script.sources / 8);
        Self { image, ids, state, seed: SEED, boot_ns: BOOT_NS, missed: false }
    }

    fn time(&self, until: Until) -> u64 {
        match until {
            Until::Never => FOREVER,
            Until::InAnHour => self.boot_ns + 3_600_000_000_000,
            // As early as it can be on a host that was just booted.
            Until::AMinuteAgo => self.boot_ns.saturating_sub(60_000_000_000).max(1),
        }
    }

    /// The decision on a frame, and the bytes it is counted with.
    pub(crate) fn decide(&mut self, frame: &[u8], interface: &str) -> (Decision, u64) {
        let mut view = View::new(&self.image, &self.state);
        (view.seed, view.now, view.boot_ns, view.interface) =
            (self.seed, NOW, self.boot_ns, interface);
        let mut packet = Packet::default();
        let decision = match packet::parse(&Slice::whole(frame), &mut packet) {
            Ok(()) => judge(&view, &packet),
            Err(reason) => judge_unparsed(&view, &packet, reason),
        };
        self.missed |= view.missed.get();
        (decision, u64::from(packet.wire_len))
    }

    fn api(&self, name: &str) -> u32 {
        api_id(&self.ids, name)
    }
}

/// The stable id behind a name; the empty name is nobody's.
pub(crate) fn api_id(ids: &Ids, name: &str) -> u32 {
    if name.is_empty() {
        return UNCLAIMED;
    }
    ids.find_api(name).unwrap_or_else(|| panic!("no API {name}"))
}

/// The key of a ban, as `kernel::bans` makes it.
fn ban_key(text: &str, api: u32) -> BanKey {
    let (address, length) = network(text);
    let len = u32::from(length) + if address.is_ipv4() { 96 } else { 0 };
    BanKey { addr: addr(address), len, api }
}

impl World for Memory {
    fn judge(&mut self, frame: &[u8], interface: &str) -> Outcome {
        let (decision, bytes) = self.decide(frame, interface);
        let api = self.ids.api_name(decision.api).unwrap_or_default().to_owned();
        Outcome {
            passes: decision.verdict() == reason::Verdict::Pass,
            counted: vec![(api, decision.reason, decision.would, 1, bytes)],
        }
    }

    fn change(&mut self, change: &Change) {
        match *change {
            Change::Ban { network, api, until, automatic } => {
                let key = ban_key(network, self.api(api));
                let ban = Ban {
                    until: Slot::new(self.time(until)),
                    flags: Slot::new(if automatic { BAN_AUTOMATIC } else { 0 }),
                    ..Ban::default()
                };
                self.state.bans.insert(key, ban);
                self.index_bans();
            }
            Change::Unban { network, api } => {
                let key = ban_key(network, self.api(api));
                assert!(self.state.bans.remove(&key).is_some(), "{network} is not banned");
                self.index_bans();
            }
            Change::Order { api, order, group, until } => {
                self.order(api, order, group, self.time(until));
            }
            Change::Lift { api, kind } => {
                let cell = &self.state.overrides[self.api(api) as usize];
                let until = match kind {
                    Kind::Shutdown => &cell.shutdown_until,
                    Kind::Lockdown => &cell.lockdown_until,
                    Kind::Limit => &cell.limit_until,
                    Kind::Monitor => &cell.mode_until,
                };
                until.store(0);
            }
            Change::Sent(frame) => {
                let frame = frame().bytes();
                let mut packet = Packet::default();
                packet::parse(&Slice::whole(&frame), &mut packet).expect("a good packet");
                let mut view = View::new(&self.image, &self.state);
                (view.seed, view.boot_ns) = (self.seed, self.boot_ns);
                note_sent(&view, &packet);
            }
            Change::Own(addresses) => {
                self.state.own = addresses.iter().map(|text| addr(network(text).0)).collect();
            }
        }
    }

    fn is_sound(&self) -> bool {
        !self.missed && self.state.stats.borrow()[Stat::MissingCell as usize] == 0
    }
}

impl Memory {
    /// Makes the bitmap and the lists of lengths agree with the bans.
    fn index_bans(&mut self) {
        let mut control = BanControl { orders: 1, ..BanControl::default() };
        self.state.ban_bits.fill(0);
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for key in self.state.bans.keys() {
            let is_v4 = key.addr.is_v4();
            if key.len == 128 || (key.len == 64 && !is_v4) {
                control.exact += 1;
                let (word, bit) = ban_place(self.seed, key.addr);
                self.state.ban_bits[word as usize] |= 1 << bit;
            } else {
                (if is_v4 { &mut v4 } else { &mut v6 }).push(key.len as u8);
            }
        }
        for (list, mut lengths) in [(&mut control.v4, v4), (&mut control.v6, v6)] {
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
            list[..lengths.len()].copy_from_slice(&lengths);
        }
        self.state.ban_control = control;
    }

    fn order(&mut self, api: &str, order: Order, group: &str, until: u64) {
        let cell = &self.state.overrides[self.api(api) as usize];
        match order {
            Order::Shutdown => cell.shutdown_until.store(until),
            Order::Lockdown { automatic, .. } => {
                let group = self.ids.find_group(group).expect("a group");
                cell.lockdown_group.store(u64::from(group));
                cell.lockdown_flags.store(if automatic { OVERRIDE_AUTOMATIC } else { 0 });
                cell.lockdown_until.store(until);
            }
            Order::Limit { rate, automatic } => {
                cell.limit_flags.store(if automatic { OVERRIDE_AUTOMATIC } else { 0 });
                cell.limit_mul.store(rate.mul);
                cell.limit_tau.store(rate.tau);
                cell.limit_ceiling.store(rate.ceiling);
                cell.limit_shift.store(u64::from(rate.shift));
                cell.limit_until.store(until);
            }
            Order::Monitor(on) => {
                cell.mode.store(u64::from(on));
                cell.mode_until.store(until);
            }
        }
    }
}
