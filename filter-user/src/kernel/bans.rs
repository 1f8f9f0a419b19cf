//! Bans: the exact table, the bitmap that spares most packets the look-up, and their agreement.
//!
//! An entry goes in before its bit is set and out after its bit is cleared, so that the packet path
//! never misses a ban that has been acknowledged. Several addresses may share a bit, so bits are
//! counted here. The kernel checks expiry itself; sweeping only makes room.

use std::collections::HashMap as Counted;
use std::net::IpAddr;

use aya::maps::{HashMap, MapData, MapError};
use filter_common::addr::Addr;
use filter_common::slot::Slot;
use filter_common::tables::{
    BAN_AUTOMATIC, BAN_CONTROL_ORDERS, BAN_SOURCES_SHIFT, BanControl, BanKey, CONTROL_BANS,
    CONTROL_WORDS, FOREVER, UNCLAIMED, WIDE_BANS, ban_place,
};

use super::agreement::Entries;
use super::clock;
use super::error::{Error, Result};
use super::mapped::Mapped;
use crate::sensor::transaction::{addr, ip};

/// The words of a ban: until, hits, since, flags.
type Words = [u64; 4];

/// A ban as userspace sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First address of the banned network.
    pub network: IpAddr,
    /// Length of the prefix in the address's own family.
    pub prefix: u8,
    /// Stable id of the only API it covers; `None`: the whole host.
    pub api: Option<u32>,
    /// When it ends, CLOCK_BOOTTIME in ns; `None`: never.
    pub until: Option<u64>,
    /// When it began, CLOCK_BOOTTIME in ns.
    pub since: u64,
    /// Packets it dropped, or would have.
    pub hits: u64,
    /// Made by a detector, or out of bans of sources.
    pub automatic: bool,
    /// Out of the bans of how many of its sources it was made; 0: it was not.
    pub sources: u32,
}

/// All bans of the host.
pub struct Bans {
    table: HashMap<MapData, BanKey, Words>,
    bits: Mapped<Slot>,
    control: Mapped<[Slot; CONTROL_WORDS]>,
    seed: u64,
    capacity: u32,
    known: Counted<BanKey, Words>,
    shared: Counted<(u32, u32), u32>,
    changes: u64,
    failures: u64,
    /// Bans that the last whole comparison found otherwise in the kernel.
    differing: usize,
    /// Bans that were compared in this one, and of them those found otherwise.
    compared: (usize, usize),
}

impl Bans {
    /// Opens the tables, reads what is in them and makes bits and control agree with it.
    pub(super) fn open(
        table: HashMap<MapData, BanKey, Words>,
        bits: Mapped<Slot>,
        control: Mapped<[Slot; CONTROL_WORDS]>,
        seed: u64,
        capacity: u32,
    ) -> Result<Self> {
        let mut known = Counted::new();
        for entry in table.iter() {
            let (key, words) = entry.map_err(|e| Error::new("cannot read the bans").because(e))?;
            known.insert(key, words);
        }
        let shared = Counted::new();
        let (failures, differing, compared) = (0, 0, (0, 0));
        let mut bans = Self {
            table,
            bits,
            control,
            seed,
            capacity,
            known,
            shared,
            changes: 0,
            failures,
            differing,
            compared,
        };
        for key in bans.known.keys().filter(|key| is_exact(key)) {
            *bans.shared.entry(ban_place(seed, key.addr)).or_default() += 1;
        }
        // A crash may have left an entry without its bit; never the other way round for long.
        for &(word, bit) in bans.shared.keys() {
            set_bit(&bans.bits, word, bit, true);
        }
        bans.write_control();
        Ok(bans)
    }

    /// How many there are, expired ones that were not swept included.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Bans a network, or changes the ban that is there; returns the entry.
    ///
    /// # Errors
    /// When the table is full, or too many lengths are in use, or the kernel refuses.
    pub fn add(
        &mut self,
        network: IpAddr,
        prefix: u8,
        api: Option<u32>,
        until: Option<u64>,
        automatic: bool,
    ) -> Result<Entry> {
        self.put(network, prefix, api, until, if automatic { BAN_AUTOMATIC } else { 0 })
    }

    /// Bans a network at an API because so many of its sources are banned; returns the entry.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn escalate(
        &mut self,
        network: IpAddr,
        prefix: u8,
        api: u32,
        until: Option<u64>,
        sources: u32,
    ) -> Result<Entry> {
        let flags = BAN_AUTOMATIC | u64::from(sources) << BAN_SOURCES_SHIFT;
        self.put(network, prefix, Some(api), until, flags)
    }

    fn put(
        &mut self,
        network: IpAddr,
        prefix: u8,
        api: Option<u32>,
        until: Option<u64>,
        flags: u64,
    ) -> Result<Entry> {
        let added = self.insert(network, prefix, api, until, flags);
        self.failures += u64::from(added.is_err());
        added
    }

    fn insert(
        &mut self,
        network: IpAddr,
        prefix: u8,
        api: Option<u32>,
        until: Option<u64>,
        flags: u64,
    ) -> Result<Entry> {
        let key = key(network, prefix, api)?;
        let held = self.known.get(&key).copied();
        if held.is_none() && self.known.len() as u32 >= self.capacity {
            self.sweep()?;
            if self.known.len() as u32 >= self.capacity {
                return Err(Error::new(format!("the ban table is full ({})", self.capacity))
                    .hint("remove bans, ban a network instead, or raise `[limits] max_bans`"));
            }
        }
        self.check_lengths(&key)?;
        let words = [
            until.unwrap_or(FOREVER),
            held.map_or(0, |held| held[1]),
            held.map_or_else(clock::boot_ns, |held| held[2]),
            flags,
        ];
        self.table
            .insert(key, words, 0)
            .map_err(|e| Error::new(format!("cannot ban {network}/{prefix}")).because(e))?;
        self.known.insert(key, words);
        self.changes += 1;
        if held.is_none() && is_exact(&key) {
            let place = ban_place(self.seed, key.addr);
            *self.shared.entry(place).or_default() += 1;
            set_bit(&self.bits, place.0, place.1, true);
        }
        self.write_control();
        Ok(entry(&key, &words))
    }

    /// Ends a ban; `None` when there is none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(
        &mut self,
        network: IpAddr,
        prefix: u8,
        api: Option<u32>,
    ) -> Result<Option<Entry>> {
        let key = key(network, prefix, api)?;
        if !self.known.contains_key(&key) {
            return Ok(None);
        }
        let words = self.read(&key);
        self.take_out(&key)?;
        self.write_control();
        Ok(Some(entry(&key, &words)))
    }

    /// Takes out what has expired and returns it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn sweep(&mut self) -> Result<Vec<Entry>> {
        let now = clock::boot_ns();
        let expired: Vec<_> =
            self.known.iter().filter(|(_, words)| words[0] <= now).map(|(key, _)| *key).collect();
        let mut entries = Vec::with_capacity(expired.len());
        for key in &expired {
            let words = self.read(key);
            self.take_out(key)?;
            entries.push(entry(key, &words));
        }
        if !expired.is_empty() {
            self.write_control();
        }
        Ok(entries)
    }

    /// The bans in force, with their hits as of now.
    pub fn list(&self) -> Vec<Entry> {
        let now = clock::boot_ns();
        let mut entries: Vec<_> = self
            .known
            .iter()
            .filter(|(_, words)| words[0] > now)
            .map(|(key, _)| entry(key, &self.read(key)))
            .collect();
        entries.sort_by_key(|entry| (entry.network, entry.prefix, entry.api));
        entries
    }

    /// The bans in force, in no order, with their hits as of when they were made: no look into the
    /// kernel.
    pub fn in_force(&self) -> impl Iterator<Item = Entry> {
        let now = clock::boot_ns();
        let held = self.known.iter().filter(move |(_, words)| words[0] > now);
        held.map(|(key, words)| entry(key, words))
    }

    /// The packets that a ban in force has dropped by now, or would have.
    pub fn hits(&self, entry: &Entry) -> u64 {
        let Entry { network, prefix, api, .. } = *entry;
        key(network, prefix, api).map_or(entry.hits, |key| self.read(&key)[1])
    }

    /// A number that is another one when a ban was made, changed or taken out.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The state of all bans for a verdict in userspace: entries, bits and control.
    pub fn copy_to(&self, state: &mut crate::image::view::State) {
        for (key, words) in &self.known {
            let ban = filter_common::tables::Ban {
                until: Slot::new(words[0]),
                hits: Slot::new(0),
                since: Slot::new(words[2]),
                flags: Slot::new(words[3]),
            };
            state.bans.insert(*key, ban);
        }
        for (to, from) in state.ban_bits.iter_mut().zip(self.bits.cells()) {
            *to = from.load();
        }
        state.ban_control = self.make_control();
    }

    /// Bans that could not be placed since this process began.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Compares some of the bans with what the packet path reads, going on where the last call ended.
    pub fn compare(&mut self, most: usize) {
        let (start, mut found) = self.compared;
        let whole = self.control_words().zip(self.wanted_control()).all(|(s, w)| s.load() == w);
        let kept = |(key, words): &(&BanKey, &Words)| {
            let held = self.table.get(key, 0);
            let same = held
                .is_ok_and(|held| [0, 2, 3].iter().all(|&word| held.get(word) == words.get(word)));
            whole && same && (!is_exact(key) || self.has_bit(key))
        };
        let part = self.known.iter().skip(start).take(most);
        found += part.filter(|ban| !kept(ban)).count();
        self.compared = (start + most, found);
        self.differing = self.differing.max(found).min(self.known.len());
        if start + most >= self.known.len() {
            self.differing = found;
            self.compared = (0, 0);
        }
    }

    /// Bans that were placed, and how many of them the packet path finds.
    pub fn entries(&self) -> Entries {
        let desired = self.known.len() as u64;
        Entries { kind: "bans", desired, enforced: desired.saturating_sub(self.differing as u64) }
    }

    fn has_bit(&self, key: &BanKey) -> bool {
        let (word, bit) = ban_place(self.seed, key.addr);
        self.bits.cells().get(word as usize).is_some_and(|slot| slot.load() >> bit & 1 != 0)
    }

    /// The same with a ban that is not in force.
    ///
    /// # Errors
    /// When there is no such network.
    pub fn suppose(
        &self,
        state: &mut crate::image::view::State,
        network: IpAddr,
        prefix: u8,
        api: Option<u32>,
    ) -> Result<()> {
        let key = key(network, prefix, api)?;
        self.copy_to(state);
        let ban = filter_common::tables::Ban {
            until: Slot::new(FOREVER),
            hits: Slot::new(0),
            since: Slot::new(0),
            flags: Slot::new(0),
        };
        state.bans.insert(key, ban);
        if is_exact(&key) {
            let (word, bit) = ban_place(self.seed, key.addr);
            if let Some(bits) = state.ban_bits.get_mut(word as usize) {
                *bits |= 1 << bit;
            }
        }
        state.ban_control = control_of(&state.bans.keys());
        Ok(())
    }

    /// The entry as the kernel has it, which counts hits.
    fn read(&self, key: &BanKey) -> Words {
        let held = self.known.get(key).copied().unwrap_or_default();
        self.table.get(key, 0).unwrap_or(held)
    }

    fn take_out(&mut self, key: &BanKey) -> Result<()> {
        if is_exact(key) {
            let place = ban_place(self.seed, key.addr);
            if let Some(count) = self.shared.get_mut(&place) {
                *count -= 1;
                if *count == 0 {
                    self.shared.remove(&place);
                    set_bit(&self.bits, place.0, place.1, false);
                }
            }
        }
        self.known.remove(key);
        self.changes += 1;
        match self.table.remove(key) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            // Somebody else took it out of the kernel's table.
            Err(MapError::SyscallError(e)) if e.io_error.raw_os_error() == Some(libc::ENOENT) => {
                Ok(())
            }
            Err(e) => Err(Error::new(format!("cannot unban {}", ip(key.addr))).because(e)),
        }
    }

    /// Refuses a ninth length beside single addresses and IPv6 /64s.
    fn check_lengths(&self, key: &BanKey) -> Result<()> {
        let mut lengths = wide_lengths(self.known.keys(), key.addr.is_v4());
        if is_exact(key) || lengths.contains(&(key.len as u8)) || lengths.len() < WIDE_BANS {
            return Ok(());
        }
        let offset = if key.addr.is_v4() { 96 } else { 0 };
        lengths.iter_mut().for_each(|len| *len -= offset);
        let used: Vec<_> = lengths.iter().map(|len| format!("/{len}")).collect();
        Err(Error::new(format!(
            "bans of {WIDE_BANS} different prefix lengths are in force ({}), no more are possible",
            used.join(" ")
        ))
        .hint("use one of these lengths, or a group in an API's `deny`"))
    }

    fn make_control(&self) -> BanControl {
        control_of(&self.known.keys())
    }

    /// The words that are about bans.
    fn wanted_control(&self) -> [u64; BAN_CONTROL_ORDERS] {
        let BanControl { exact, v4, v6, .. } = self.make_control();
        [exact, u64::from_ne_bytes(v4), u64::from_ne_bytes(v6)]
    }

    fn control_words(&self) -> impl Iterator<Item = &Slot> {
        self.control.cells().iter().flatten().skip(CONTROL_BANS).take(BAN_CONTROL_ORDERS)
    }

    fn write_control(&mut self) {
        for (slot, word) in self.control_words().zip(self.wanted_control()) {
            slot.store(word);
        }
    }
}

/// A single address or an IPv6 /64: those that have a bit.
fn is_exact(key: &BanKey) -> bool {
    key.len == 128 || (key.len == 64 && !key.addr.is_v4())
}

/// The lengths of networks that have no bit, the narrowest first: it is the most specific.
fn wide_lengths<'a>(keys: impl Iterator<Item = &'a BanKey>, v4: bool) -> Vec<u8> {
    let wide = keys.filter(|key| !is_exact(key) && key.addr.is_v4() == v4);
    let mut lengths: Vec<u8> = wide.map(|key| key.len as u8).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    lengths.dedup();
    lengths
}

fn control_of<'a>(keys: &(impl Iterator<Item = &'a BanKey> + Clone)) -> BanControl {
    let exact = keys.clone().filter(|key| is_exact(key)).count() as u64;
    let mut control = BanControl { exact, orders: 1, ..BanControl::default() };
    for (list, v4) in [(&mut control.v4, true), (&mut control.v6, false)] {
        for (to, from) in list.iter_mut().zip(wide_lengths(keys.clone(), v4)) {
            *to = from;
        }
    }
    control
}

fn set_bit(bits: &Mapped<Slot>, word: u32, bit: u32, on: bool) {
    if let Some(slot) = bits.cells().get(word as usize) {
        // Only this process writes, under one lock.
        let held = slot.load();
        slot.store(if on { held | 1 << bit } else { held & !(1 << bit) });
    }
}

fn key(network: IpAddr, prefix: u8, api: Option<u32>) -> Result<BanKey> {
    let (most, offset) = if network.is_ipv4() { (32, 96) } else { (128, 0) };
    if prefix == 0 || prefix > most {
        return Err(Error::new(format!("{network}/{prefix} is no network that can be banned"))
            .hint(format!("use a prefix length from 1 to {most}")));
    }
    let len = u32::from(prefix) + offset;
    let addr: Addr = addr(network).masked(len);
    Ok(BanKey { addr, len, api: api.unwrap_or(UNCLAIMED) })
}

fn entry(key: &BanKey, words: &Words) -> Entry {
    let v4 = key.addr.is_v4() && key.len >= 96;
    Entry {
        network: ip(key.addr),
        prefix: (key.len - if v4 { 96 } else { 0 }) as u8,
        api: Some(key.api).filter(|&api| api != UNCLAIMED),
        until: Some(words[0]).filter(|&until| until != FOREVER),
        hits: words[1],
        since: words[2],
        automatic: words[3] & BAN_AUTOMATIC != 0,
        sources: (words[3] >> BAN_SOURCES_SHIFT) as u32,
    }
}
