//! The flows there are: found by key, bounded in number, the longest idle first to go.
//!
//! Flows without payload (a SYN is all that a forged source can send) have a share of their own, so
//! that a flood of them does not push out those that carry something.

use std::collections::HashMap;

use super::{Flow, Key, Seeded};

/// No slot.
const NONE: u32 = u32::MAX;

/// A place of a flow, and which of those that have been there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    slot: u32,
    generation: u32,
}

/// The flows by the time of their last record.
#[derive(Clone, Copy, Debug)]
struct List {
    oldest: u32,
    newest: u32,
    length: usize,
}

const EMPTY: List = List { oldest: NONE, newest: NONE, length: 0 };

#[derive(Debug)]
struct Slot {
    flow: Option<Flow>,
    generation: u32,
    older: u32,
    newer: u32,
    /// Which list it is in: [`BARE`] or [`CARRYING`].
    list: u8,
    /// Marks of the sensor's, see [`Table::mark`].
    marks: u8,
    /// The flow's part of [`Table::footprint`].
    footprint: u32,
}

/// Flows without payload.
const BARE: u8 = 0;
/// Flows with payload.
const CARRYING: u8 = 1;

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    index: HashMap<Key, u32, Seeded>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    lists: [List; 2],
    max: usize,
    footprint: usize,
}

impl Table {
    /// A table of at most `max` flows.
    pub(crate) fn new(max: usize, seed: u64) -> Self {
        Self {
            index: HashMap::with_hasher(Seeded(seed)),
            slots: Vec::new(),
            free: Vec::new(),
            lists: [EMPTY; 2],
            max: max.clamp(8, NONE as usize),
            footprint: 0,
        }
    }

    /// How many flows there are.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Memory of all flows that is not the table's own.
    pub(crate) fn footprint(&self) -> usize {
        self.footprint
    }

    /// Where the flow of a key is.
    pub(crate) fn find(&self, key: &Key) -> Option<Handle> {
        let slot = *self.index.get(key)?;
        Some(Handle { slot, generation: self.slots[slot as usize].generation })
    }

    /// The flow at a place, if it is still the same.
    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut Flow> {
        let slot = self.slots.get_mut(handle.slot as usize)?;
        if slot.generation != handle.generation {
            return None;
        }
        slot.flow.as_mut()
    }

    /// The flows for which `keep` says no.
    pub(crate) fn without(&self, keep: impl Fn(&Key) -> bool) -> Vec<Handle> {
        let unwanted = self.index.iter().filter(|(key, _)| !keep(key));
        let handle = |slot: u32| Handle { slot, generation: self.slots[slot as usize].generation };
        unwanted.map(|(_, &slot)| handle(slot)).collect()
    }

    /// Places there ever were: flows are at those below.
    pub(crate) fn places(&self) -> usize {
        self.slots.len()
    }

    /// The flow at one of [`Self::places`], if there is one.
    pub(crate) fn at(&self, place: usize) -> Option<Handle> {
        let slot = self.slots.get(place)?;
        slot.flow.as_ref()?;
        Some(Handle { slot: place as u32, generation: slot.generation })
    }

    /// The flow that must go before another without payload, or with it, can come.
    pub(crate) fn surplus(&self) -> Option<Handle> {
        if self.lists[usize::from(BARE)].length * 4 >= self.max {
            return self.oldest_in(BARE);
        }
        if self.len() >= self.max {
            return self.oldest_in(CARRYING).or_else(|| self.oldest_in(BARE));
        }
        None
    }

    fn oldest_in(&self, list: u8) -> Option<Handle> {
        let slot = self.lists[usize::from(list)].oldest;
        let generation = self.slots.get(slot as usize)?.generation;
        Some(Handle { slot, generation })
    }

    /// The longest idle flows, of those without payload and those with it.
    pub(crate) fn oldest(&self) -> [Option<Handle>; 2] {
        [self.oldest_in(BARE), self.oldest_in(CARRYING)]
    }

    /// Puts a flow without payload in; there must be room, and none of its key.
    pub(crate) fn insert(&mut self, flow: Flow) -> Handle {
        let key = flow.key();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                flow: None,
                generation: 0,
                older: NONE,
                newer: NONE,
                list: BARE,
                marks: 0,
                footprint: 0,
            });
            (self.slots.len() - 1) as u32
        });
        let place = &mut self.slots[slot as usize];
        place.flow = Some(flow);
        place.list = BARE;
        let generation = place.generation;
        self.index.insert(key, slot);
        self.link(slot);
        Handle { slot, generation }
    }

    /// Takes a flow out.
    pub(crate) fn remove(&mut self, handle: Handle) -> Option<Flow> {
        let slot = self.slots.get_mut(handle.slot as usize)?;
        if slot.generation != handle.generation {
            return None;
        }
        let flow = slot.flow.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.marks = 0;
        self.footprint -= std::mem::take(&mut slot.footprint) as usize;
        self.index.remove(&flow.key());
        self.unlink(handle.slot);
        self.free.push(handle.slot);
        Some(flow)
    }

    /// A flow has had a record, with payload or not: it is the last to go now.
    pub(crate) fn touch(&mut self, handle: Handle, payload: bool) {
        let Some(slot) = self.slots.get(handle.slot as usize) else { return };
        let list = if payload { CARRYING } else { slot.list };
        if slot.list == list && self.lists[usize::from(list)].newest == handle.slot {
            return;
        }
        self.unlink(handle.slot);
        self.slots[handle.slot as usize].list = list;
        self.link(handle.slot);
    }

    /// Notes how much memory a flow takes now.
    pub(crate) fn account(&mut self, handle: Handle) {
        let Some(slot) = self.slots.get_mut(handle.slot as usize) else { return };
        let now = slot.flow.as_ref().map_or(0, Flow::footprint).min(u32::MAX as usize);
        self.footprint = self.footprint - slot.footprint as usize + now;
        slot.footprint = now as u32;
    }

    /// Sets or clears one of a flow's marks; what it was.
    pub(crate) fn mark(&mut self, handle: Handle, mark: u8, set: bool) -> bool {
        let Some(slot) = self.slots.get_mut(handle.slot as usize) else { return false };
        let before = slot.marks & mark != 0;
        slot.marks = if set { slot.marks | mark } else { slot.marks & !mark };
        before
    }

    fn link(&mut self, slot: u32) {
        let list = &mut self.lists[usize::from(self.slots[slot as usize].list)];
        let older = std::mem::replace(&mut list.newest, slot);
        list.length += 1;
        if older == NONE {
            list.oldest = slot;
        } else {
            self.slots[older as usize].newer = slot;
        }
        let place = &mut self.slots[slot as usize];
        (place.older, place.newer) = (older, NONE);
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { older, newer, list, .. } = self.slots[slot as usize];
        let list = &mut self.lists[usize::from(list)];
        list.length -= 1;
        if older == NONE {
            list.oldest = newer;
        } else {
            self.slots[older as usize].newer = newer;
        }
        if newer == NONE {
            list.newest = older;
        } else {
            self.slots[newer as usize].older = older;
        }
    }
}
