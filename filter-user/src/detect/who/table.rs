//! A bounded number of records, found by key: what strangers fill may not grow.
//!
//! Records lie one after another in chunks, so that growing moves none of them; an index of half
//! full slots of eight bytes leads from the key's hash to the place (open addressing, linear probing,
//! deletion by shifting back: Knuth, "The Art of Computer Programming", volume 3, 6.4, algorithm R).
//! A slot has half of the hash too: of a million records nearly each look is a miss of the caches, and
//! so only the one that is meant is looked at. When all is full, the least worth of the next few gives
//! way to the new one (a clock that looks at eight), which costs the same however many there are.

/// Records of a chunk.
const CHUNK: usize = 1024;
/// Records that are compared when one has to go.
const COMPARED: usize = 8;
/// The place of an empty slot of the index.
const NOWHERE: u32 = u32::MAX;

/// A slot of the index.
#[derive(Clone, Copy, Debug)]
struct Slot {
    place: u32,
    /// The lower half of the record's hash, which leads to its home.
    hash: u32,
}

const EMPTY: Slot = Slot { place: NOWHERE, hash: 0 };

/// Something with a key and a hash of it that does not change.
pub(crate) trait Keyed {
    /// What tells it from others.
    type Key: PartialEq + Copy;
    /// Its key.
    fn key(&self) -> Self::Key;
    /// The hash of its key.
    fn hash(&self) -> u64;
    /// What is lost when it goes: the least goes first, and who is worth `u64::MAX` stays.
    fn worth(&self, now: u32) -> u64;
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Table<R> {
    chunks: Vec<Vec<R>>,
    index: Vec<Slot>,
    length: usize,
    most: usize,
    /// Where the clock stands.
    hand: usize,
    evicted: u64,
}

impl<R: Keyed> Table<R> {
    /// A table of at most `most` records, at least [`COMPARED`].
    pub(crate) fn new(most: usize) -> Self {
        Self {
            chunks: Vec::new(),
            index: vec![EMPTY; 64],
            length: 0,
            most: most.clamp(COMPARED, NOWHERE as usize / 4),
            hand: 0,
            evicted: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Records that had to go, or did not get in, for want of room.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(crate) fn at(&self, place: usize) -> Option<&R> {
        self.chunks.get(place / CHUNK)?.get(place % CHUNK)
    }

    pub(crate) fn at_mut(&mut self, place: usize) -> Option<&mut R> {
        self.chunks.get_mut(place / CHUNK)?.get_mut(place % CHUNK)
    }

    /// Where the record of a key is. Places change when records go.
    pub(crate) fn find(&self, key: &R::Key, hash: u64) -> Option<usize> {
        let mut slot = self.home(hash);
        loop {
            let Slot { place, hash: half } = self.index[slot];
            if place == NOWHERE {
                return None;
            }
            let is_meant = half == hash as u32
                && self.at(place as usize).is_some_and(|record| record.key() == *key);
            if is_meant {
                return Some(place as usize);
            }
            slot = self.next(slot);
        }
    }

    /// Puts a record in whose key is not there yet. What had to go for it is handed to `gone`; where
    /// it is now, or `None` when all others are worth more than any price.
    pub(crate) fn insert(&mut self, record: R, now: u32, gone: impl FnOnce(R)) -> Option<usize> {
        let hash = record.hash();
        if self.length >= self.most {
            self.evicted += 1;
            let place = self.least(now)?;
            self.leave(self.at(place)?.hash(), place);
            self.enter(hash, place);
            gone(std::mem::replace(self.at_mut(place)?, record));
            return Some(place);
        }
        if (self.length + 1) * 2 > self.index.len() {
            self.grow();
        }
        let place = self.length;
        if place / CHUNK == self.chunks.len() {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[place / CHUNK].push(record);
        self.length += 1;
        self.enter(hash, place);
        Some(place)
    }

    /// Takes a record out; the last one takes its place.
    pub(crate) fn remove(&mut self, place: usize) -> Option<R> {
        let hash = self.at(place)?.hash();
        let last = self.length - 1;
        self.leave(hash, place);
        if place != last {
            let moved = self.at(last)?.hash();
            let slot = self.slot_of(moved, last)?;
            self.index[slot].place = place as u32;
        }
        let tail = self.chunks.last_mut()?.pop()?;
        if self.chunks.last().is_some_and(Vec::is_empty) {
            self.chunks.pop();
        }
        self.length = last;
        if place == last {
            return Some(tail);
        }
        Some(std::mem::replace(self.at_mut(place)?, tail))
    }

    /// Takes out those for which `keep` says no.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&R) -> bool) {
        let mut place = 0;
        while let Some(record) = self.at(place) {
            if keep(record) {
                place += 1;
            } else {
                self.remove(place);
            }
        }
    }

    /// The place with the least worth of the next few.
    fn least(&mut self, now: u32) -> Option<usize> {
        let mut best = None;
        for _ in 0..COMPARED {
            self.hand = (self.hand + 1) % self.length.max(1);
            let worth = self.at(self.hand)?.worth(now);
            if worth != u64::MAX && best.is_none_or(|(least, _)| worth < least) {
                best = Some((worth, self.hand));
            }
        }
        best.map(|(_, place)| place)
    }

    fn home(&self, hash: u64) -> usize {
        (hash as usize) & (self.index.len() - 1)
    }

    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.index.len() - 1)
    }

    fn slot_of(&self, hash: u64, place: usize) -> Option<usize> {
        let mut slot = self.home(hash);
        while self.index[slot].place != NOWHERE {
            if self.index[slot].place as usize == place {
                return Some(slot);
            }
            slot = self.next(slot);
        }
        None
    }

    fn enter(&mut self, hash: u64, place: usize) {
        let mut slot = self.home(hash);
        while self.index[slot].place != NOWHERE {
            slot = self.next(slot);
        }
        self.index[slot] = Slot { place: place as u32, hash: hash as u32 };
    }

    /// Empties the slot of a place, and moves back what was pushed behind it.
    fn leave(&mut self, hash: u64, place: usize) {
        let Some(mut hole) = self.slot_of(hash, place) else { return };
        let mask = self.index.len() - 1;
        let mut slot = hole;
        loop {
            slot = self.next(slot);
            let other = self.index[slot];
            if other.place == NOWHERE {
                break;
            }
            let home = self.home(other.hash.into());
            // It may move when its home is not between the hole and it.
            if slot.wrapping_sub(home) & mask >= slot.wrapping_sub(hole) & mask {
                self.index[hole] = other;
                hole = slot;
            }
        }
        self.index[hole] = EMPTY;
    }

    fn grow(&mut self) {
        let larger = vec![EMPTY; self.index.len() * 2];
        for slot in std::mem::replace(&mut self.index, larger) {
            if slot.place != NOWHERE {
                self.enter(slot.hash.into(), slot.place as usize);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Random;
    use std::collections::HashMap;

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Row {
        key: u64,
        value: u64,
        worth: u64,
    }

    impl Keyed for Row {
        type Key = u64;
        fn key(&self) -> u64 {
            self.key
        }
        fn hash(&self) -> u64 {
            // Many share a home.
            self.key / 3
        }
        fn worth(&self, _: u32) -> u64 {
            self.worth
        }
    }

    #[test]
    fn is_a_map() {
        let mut random = Random::new(5);
        let mut table: Table<Row> = Table::new(100_000);
        let mut model = HashMap::new();
        for step in 0..60_000 {
            let key = random.next() % 3000;
            let found = table.find(&key, key / 3);
            assert_eq!(found.map(|place| table.at(place).unwrap().value), model.get(&key).copied());
            match (found, random.next() % 3) {
                (Some(place), 0) => {
                    assert_eq!(table.remove(place).map(|row| row.key), Some(key));
                    model.remove(&key);
                }
                (Some(place), _) => {
                    table.at_mut(place).unwrap().value = step;
                    model.insert(key, step);
                }
                (None, _) => {
                    let row = Row { key, value: step, worth: 1 };
                    table.insert(row, 0, |_| panic!("there is room")).unwrap();
                    model.insert(key, step);
                }
            }
            assert_eq!(table.len(), model.len());
        }
        table.retain(|row| row.key % 2 == 0);
        model.retain(|key, _| key % 2 == 0);
        assert_eq!(table.len(), model.len());
        for (key, value) in model {
            let place = table.find(&key, key / 3).unwrap();
            assert_eq!(table.at(place).unwrap().value, value);
        }
    }

    #[test]
    fn who_comes_for_another_is_found_and_the_other_is_not() {
        let mut random = Random::new(7);
        let mut table: Table<Row> = Table::new(500);
        let mut model = HashMap::new();
        for value in 0..20_000 {
            let key = random.next() % 3000;
            if let Some(place) = table.find(&key, key / 3) {
                assert_eq!(Some(table.at(place).unwrap().value), model.get(&key).copied());
                continue;
            }
            let row = Row { key, value, worth: random.next() % 9 };
            let place = table.insert(row, 0, |old| assert!(model.remove(&old.key).is_some()));
            assert_eq!(table.at(place.unwrap()), Some(&row));
            model.insert(key, value);
            assert_eq!(table.len(), model.len());
        }
        assert_eq!(table.len(), 500);
        for key in 0..3000 {
            let found = table.find(&key, key / 3).map(|place| table.at(place).unwrap().value);
            assert_eq!(found, model.get(&key).copied(), "{key}");
        }
    }

    #[test]
    fn the_least_goes_and_the_priceless_stay() {
        let mut table: Table<Row> = Table::new(64);
        let row = |key, worth| Row { key, value: 0, worth };
        for key in 0..64 {
            let worth = if key % 8 == 0 { 1 } else { 10 };
            table.insert(row(key, worth), 0, |_| panic!("there is room")).unwrap();
        }
        let mut gone = Vec::new();
        for key in 100..108 {
            table.insert(row(key, 20), 0, |old| gone.push(old.key)).unwrap();
        }
        assert!(gone.iter().all(|key| key % 8 == 0), "{gone:?}");
        assert_eq!((table.len(), table.evicted()), (64, 8));
        for place in 0..64 {
            table.at_mut(place).unwrap().worth = u64::MAX;
        }
        assert_eq!(table.insert(row(200, 1), 0, |_| panic!("nobody goes")), None);
        assert_eq!((table.len(), table.evicted()), (64, 9));
    }
}
