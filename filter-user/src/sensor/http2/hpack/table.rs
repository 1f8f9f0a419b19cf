//! The dynamic table (RFC 7541, 2.3.2 and 4), also of a connection that was not seen from its
//! beginning.
//!
//! An index counts entries from the newest one. So entries that came since the last loss have known
//! indices whatever is below them, and what is below is unknown, not absent. To know which ones the
//! encoder still holds is not needed: it never refers to others. When its table is smaller than what
//! is kept here, or the size of an entry is unknown, more is kept than it holds, never less.

use std::collections::VecDeque;

/// What an entry counts besides its name and value (RFC 7541, 4.1).
const OVERHEAD: usize = 32;
/// The table's size before anything is said of it (RFC 9113, 6.5.2).
const DEFAULT_SIZE: usize = 4096;
/// Most that is kept of a table, by its own count.
pub(super) const MAX_SIZE: usize = 64 * 1024;

/// A text that may be unknown.
pub(super) type Text<'a> = Option<&'a [u8]>;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where its name begins, its value behind it; counted from the first byte ever kept.
    at: u64,
    /// Length of the name; `None` when it is unknown.
    name: Option<u32>,
    /// Length of the value; `None` when it is unknown.
    value: Option<u32>,
}

impl Entry {
    /// Bytes of both texts.
    fn length(&self) -> usize {
        self.name.unwrap_or(0) as usize + self.value.unwrap_or(0) as usize
    }

    fn size(&self) -> usize {
        self.length() + OVERHEAD
    }
}

/// What an index refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// An entry: its name and value.
    Entry(Text<'a>, Text<'a>),
    /// An entry that was not seen.
    Unknown,
    /// Nothing.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    /// Texts of the entries, the oldest first.
    bytes: Vec<u8>,
    /// What the first byte's place counts.
    base: u64,
    /// The oldest first.
    entries: VecDeque<Entry>,
    /// By the table's own count, of what is kept.
    size: usize,
    /// What the encoder holds at most; the largest that is kept when that is unknown.
    max: usize,
    /// `max` is what the encoder said.
    exact: bool,
    /// There is nothing below what is kept.
    whole: bool,
    /// Times that the encoder held more than is kept.
    cut: u64,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            base: 0,
            entries: VecDeque::new(),
            size: 0,
            max: DEFAULT_SIZE,
            exact: true,
            whole: true,
            cut: 0,
        }
    }

    /// Memory behind it.
    pub(super) fn footprint(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Times that entries went because the encoder's table is larger than what is kept, since it
    /// was last asked.
    pub(super) fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }

    /// The entry with an index, the newest has 0.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Found<'_> {
        let place = self.entries.len().checked_sub(index + 1);
        let Some(entry) = place.and_then(|place| self.entries.get(place)) else {
            return if self.whole { Found::Nothing } else { Found::Unknown };
        };
        let start = (entry.at - self.base) as usize;
        let middle = start + entry.name.unwrap_or(0) as usize;
        let end = middle + entry.value.unwrap_or(0) as usize;
        Found::Entry(
            entry.name.and_then(|_| self.bytes.get(start..middle)),
            entry.value.and_then(|_| self.bytes.get(middle..end)),
        )
    }

    /// Puts an entry in. Its name is that of the entry with an index where `name` is `Err`.
    pub(super) fn insert(&mut self, name: Result<Text<'_>, usize>, value: Text<'_>) {
        let length = |text: Text<'_>| text.map(|text| text.len() as u32);
        let at = self.base + self.bytes.len() as u64;
        let entry = match name {
            Ok(name) => {
                self.bytes.extend_from_slice(name.unwrap_or_default());
                Entry { at, name: length(name), value: length(value) }
            }
            Err(index) => {
                // The texts of the entry may move before the new one's: it is copied first.
                let there = self.entries.len().checked_sub(index + 1);
                let named = there.and_then(|place| self.entries.get(place)).copied();
                let name = named.and_then(|named| named.name);
                if let Some((named, name)) = named.zip(name) {
                    let start = (named.at - self.base) as usize;
                    self.bytes.extend_from_within(start..start + name as usize);
                }
                Entry { at, name, value: length(value) }
            }
        };
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.size += entry.size();
        self.entries.push_back(entry);
        self.shrink();
    }

    /// The encoder says how large its table is.
    pub(super) fn resize(&mut self, max: usize) {
        (self.max, self.exact) = (max, true);
        // What is unknown goes with all the rest.
        self.whole |= max == 0;
        self.shrink();
    }

    /// Entries may have been put in, and sizes said, that were not seen.
    pub(super) fn lose(&mut self) {
        *self = Self {
            base: 0,
            max: MAX_SIZE,
            exact: false,
            whole: false,
            cut: self.cut,
            ..Self::new()
        };
    }

    /// Evicts the oldest (RFC 7541, 4.3 and 4.4). One that is larger than the whole table empties it
    /// and goes itself.
    fn shrink(&mut self) {
        while self.size > self.max.min(MAX_SIZE) {
            let Some(entry) = self.entries.pop_front() else { break };
            self.size -= entry.size();
            if self.size + entry.size() <= self.max || !self.exact {
                self.whole = false;
                self.cut += 1;
            }
        }
        let start = match self.entries.front() {
            Some(entry) => (entry.at - self.base) as usize,
            None => self.bytes.len(),
        };
        // Moving what is left costs less than what was put in since the last time.
        if start > 2048 && start > self.bytes.len() / 2 || start == self.bytes.len() {
            self.bytes.drain(..start);
            self.base += start as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: &mut Table, name: &str, value: &str) {
        table.insert(Ok(Some(name.as_bytes())), Some(value.as_bytes()));
    }

    fn all(table: &Table) -> Vec<String> {
        fn text(text: Text<'_>) -> String {
            text.map_or("?".into(), |text| String::from_utf8_lossy(text).into_owned())
        }
        let mut found = Vec::new();
        loop {
            match table.get(found.len()) {
                Found::Entry(name, value) => found.push(format!("{}={}", text(name), text(value))),
                Found::Unknown => found.push("…".to_owned()),
                Found::Nothing => return found,
            }
            if found.last().is_some_and(|last| last == "…") {
                return found;
            }
        }
    }

    #[test]
    fn the_newest_has_the_lowest_index() {
        let mut table = Table::new();
        put(&mut table, "a", "1");
        put(&mut table, "b", "2");
        table.insert(Err(1), Some(b"3"));
        assert_eq!(all(&table), ["a=3", "b=2", "a=1"]);
    }

    #[test]
    fn the_oldest_goes() {
        let mut table = Table::new();
        table.resize(70);
        put(&mut table, "a", "1");
        put(&mut table, "b", "2");
        assert_eq!(all(&table), ["b=2", "a=1"], "34 each");
        // Its name is that of one that goes.
        table.insert(Err(1), Some(b"3"));
        assert_eq!(all(&table), ["a=3", "b=2"]);
        put(&mut table, "large", &"x".repeat(40));
        assert_eq!(all(&table), [""; 0], "larger than the table");
        put(&mut table, "c", "4");
        assert_eq!(all(&table), ["c=4"]);
        table.resize(33);
        assert_eq!(all(&table), [""; 0]);
        assert_eq!(table.size, 0);
    }

    #[test]
    fn after_a_loss_what_came_since_is_known() {
        let mut table = Table::new();
        put(&mut table, "a", "1");
        table.lose();
        assert_eq!(all(&table), ["…"]);
        put(&mut table, "b", "2");
        table.insert(Ok(None), Some(b"3"));
        table.insert(Err(7), None);
        assert_eq!(all(&table), ["?=?", "?=3", "b=2", "…"]);
        table.insert(Err(2), Some(b"4"));
        assert_eq!(all(&table), ["b=4", "?=?", "?=3", "b=2", "…"]);
        table.resize(0);
        assert_eq!(all(&table), [""; 0], "emptied for certain");
    }

    #[test]
    fn memory_is_bounded_whatever_the_size_said() {
        let mut table = Table::new();
        table.resize(1 << 28);
        let value = "v".repeat(1000);
        for number in 0..10_000 {
            put(&mut table, &number.to_string(), &value);
            assert!(table.size <= MAX_SIZE);
            assert!(table.footprint() < 4 * MAX_SIZE, "{}", table.footprint());
        }
        let kept = all(&table);
        assert_eq!(
            kept.last().map(String::as_str),
            Some("…"),
            "older ones are unknown, not absent"
        );
        assert!(kept.len() > 60 && kept[0].starts_with("9999="));
        assert!(table.take_cut() > 0);
        let small = Table::new().footprint();
        table.lose();
        assert_eq!(table.footprint(), small);
        for _ in 0..100_000 {
            put(&mut table, "", "");
        }
        assert!(table.footprint() < 4 * MAX_SIZE, "{}", table.footprint());
    }
}
