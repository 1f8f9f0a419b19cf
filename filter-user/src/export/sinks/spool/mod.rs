//! Events that wait for a receiver: a journal on the disk, bounded, that survives a crash.
//!
//! One file, to which events and their ends are appended; when nothing waits it is cut to nothing,
//! and when it is mostly over it is written anew. A line that a crash tore off is cut. When the disk
//! does not take more, events wait in memory and are written as soon as it does. When there is no
//! room, the oldest event of the class that may be lost goes first, and everything that goes is
//! counted.

mod file;
mod line;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use file::Journal;
use line::Line;

/// Bytes of an event at most.
pub(super) const LARGEST: usize = 128 << 10;
/// Bytes of events that wait in memory while the disk takes none.
const MEMORY: u64 = 1 << 20;

/// Whether an event may be lost when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A finding or an action: it goes last.
    Kept,
    /// Anything else.
    Other,
}

impl Class {
    fn letter(self) -> char {
        match self {
            Self::Kept => 'k',
            Self::Other => 'o',
        }
    }

    fn of_letter(letter: &str) -> Option<Self> {
        match letter {
            "k" => Some(Self::Kept),
            "o" => Some(Self::Other),
            _ => None,
        }
    }
}

/// Why events were lost: the reason, and how many findings and actions, and others.
pub(super) type Lost = BTreeMap<&'static str, [u64; 2]>;

#[derive(Debug)]
struct Entry {
    id: u64,
    class: Class,
    /// Bytes of its line.
    length: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// From this byte of the file on, so many.
    Disk(u64, usize),
    Memory(Box<str>),
}

/// Events to be delivered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// They are done with [`Spool::done`] of this.
    pub(super) last: u64,
    /// What they say, oldest first.
    pub(super) payloads: Vec<String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Spool {
    journal: Journal,
    /// Bytes of lines of events that may wait.
    limit: u64,
    tag: &'static str,
    /// By id.
    entries: VecDeque<Entry>,
    /// Bytes of their lines, and of those in memory.
    bytes: u64,
    in_memory: u64,
    /// Entries of [`Class::Other`].
    others: u64,
    /// Whether what is thrown out is noted in the journal.
    journaled: bool,
    next: u64,
    /// Events up to this one are on their way: they are not thrown out.
    reserved: u64,
    lost: Lost,
    problem: Option<String>,
}

impl Spool {
    /// Opens the spool in a directory, making it when there is none. `tag` says how payloads are
    /// written: those of another tag are lost. What is wrong is no error, for the filter goes on:
    /// see [`Self::problem`]. Returns too where a damaged file was moved, its whole lines kept.
    pub(super) fn open(directory: &Path, limit: u64, tag: &'static str) -> (Self, Option<PathBuf>) {
        let mut spool = Self {
            journal: Journal::new(directory.join("events")),
            limit,
            tag,
            entries: VecDeque::new(),
            bytes: 0,
            in_memory: 0,
            others: 0,
            journaled: true,
            next: 1,
            reserved: 0,
            lost: Lost::new(),
            problem: None,
        };
        let mut entries = BTreeMap::new();
        let mut done = 0;
        let mut lost = 0;
        let read = spool.journal.read(|line, offset, length| match line {
            Line::Event { id, class, tag: of, payload } => {
                if of != tag {
                    lost += 1;
                    return;
                }
                let at = length - 1 - payload.len() as u64;
                let place = Place::Disk(offset + at, payload.len());
                entries.insert(id, Entry { id, class, length, place });
            }
            Line::Done(id) => done = done.max(id),
            Line::Gone(id) => drop(entries.remove(&id)),
        });
        entries.retain(|id, _| *id > done);
        spool.next = entries.keys().next_back().copied().unwrap_or(0).max(done) + 1;
        spool.entries = entries.into_values().collect();
        spool.bytes = spool.entries.iter().map(|entry| entry.length).sum();
        let others = spool.entries.iter().filter(|entry| entry.class == Class::Other);
        spool.others = others.count() as u64;
        if lost > 0 {
            spool.lose("other_format", Class::Other, lost);
        }
        let mut aside = None;
        match read {
            Ok(0) => {}
            Ok(damaged) => match spool.journal.set_aside() {
                Ok(moved) => {
                    spool.lose("damaged", Class::Kept, damaged);
                    spool.load(&moved);
                    aside = Some(moved);
                    if let Err(error) = spool.rewrite() {
                        spool.note(&error);
                    }
                }
                Err(error) => spool.note(&error),
            },
            Err(error) => spool.note(&error),
        }
        // A limit that became smaller. Written once, not with a line for each that goes.
        let before = spool.entries.len();
        spool.journaled = false;
        spool.make_room(0, Class::Kept);
        spool.journaled = true;
        if spool.entries.len() < before
            && let Err(error) = spool.rewrite()
        {
            spool.note(&error);
        }
        (spool, aside)
    }

    /// Takes events out of a file that was moved into memory, to be written to another.
    fn load(&mut self, moved: &Path) {
        let old = Journal::new(moved.to_owned());
        let mut gone = Vec::new();
        for entry in &mut self.entries {
            let Place::Disk(offset, length) = entry.place else { continue };
            match old.payload(offset, length) {
                Ok(payload) => {
                    self.in_memory += entry.length;
                    entry.place = Place::Memory(payload.into());
                }
                Err(_) => gone.push((entry.id, entry.class)),
            }
        }
        for (id, class) in gone {
            self.forget(id);
            self.lose("unreadable", class, 1);
        }
    }

    /// Puts an event behind the others. `payload` has no newline.
    pub(super) fn push(&mut self, class: Class, payload: &str) {
        if payload.len() > LARGEST || payload.contains('\n') {
            return self.lose("too_large", class, 1);
        }
        let id = self.next;
        let line = Line::Event { id, class, tag: self.tag, payload }.write();
        let length = line.len() as u64;
        if !self.make_room(length, class) {
            return self.lose("spool_full", class, 1);
        }
        self.next += 1;
        self.bytes += length;
        self.others += u64::from(class == Class::Other);
        self.tend();
        let entry = |place| Entry { id, class, length, place };
        // Behind what still waits in memory, so that the order stays.
        let written = if self.in_memory > 0 { None } else { self.append(&line) };
        match written {
            Some(offset) => {
                let at = offset + length - 1 - payload.len() as u64;
                self.entries.push_back(entry(Place::Disk(at, payload.len())));
            }
            None => {
                self.in_memory += length;
                self.entries.push_back(entry(Place::Memory(payload.into())));
                while self.in_memory > MEMORY {
                    let held = |entry: &Entry| matches!(entry.place, Place::Memory(_));
                    if !self.throw_out("disk_full", Class::Kept, held) {
                        break;
                    }
                }
            }
        }
    }

    /// The oldest events: at most so many, and bytes unless it is one. They stay until
    /// [`Self::done`].
    pub(super) fn peek(&mut self, most: usize, bytes: usize) -> Batch {
        let mut batch = Batch::default();
        let mut size = 0;
        let mut unreadable = Vec::new();
        for entry in self.entries.iter().take(most.max(1)) {
            let payload = match &entry.place {
                Place::Memory(payload) => Ok(payload.to_string()),
                Place::Disk(offset, length) => self.journal.payload(*offset, *length),
            };
            match payload {
                Ok(payload) => {
                    size += payload.len();
                    if size > bytes && !batch.payloads.is_empty() {
                        break;
                    }
                    batch.payloads.push(payload);
                    batch.last = entry.id;
                }
                Err(_) => unreadable.push((entry.id, entry.class)),
            }
        }
        for (id, class) in unreadable {
            self.forget(id);
            self.lose("unreadable", class, 1);
        }
        self.reserved = batch.last;
        batch
    }

    /// Events up to this one are delivered, or given up.
    pub(super) fn done(&mut self, last: u64) {
        self.reserved = 0;
        let mut on_disk = false;
        while let Some(entry) = self.entries.front().filter(|entry| entry.id <= last) {
            let id = entry.id;
            on_disk |= matches!(entry.place, Place::Disk(..));
            self.forget(id);
        }
        if self.entries.is_empty() {
            if let Err(error) = self.journal.clear() {
                self.note(&error);
            }
        } else if on_disk {
            // Unwritten, they are delivered once more after a restart.
            let _offset = self.append(&Line::Done(last).write());
        }
    }

    /// What is on its way did not arrive.
    pub(super) fn keep(&mut self) {
        self.reserved = 0;
    }

    /// Writes what waits in memory, if the disk takes it.
    pub(super) fn tend(&mut self) {
        if self.in_memory == 0 || !self.journal.may_try() {
            return;
        }
        for at in 0..self.entries.len() {
            let Some(Entry { id, class, length, place: Place::Memory(payload) }) =
                self.entries.get(at)
            else {
                continue;
            };
            let line = Line::Event { id: *id, class: *class, tag: self.tag, payload }.write();
            let (length, size) = (*length, payload.len());
            let Some(offset) = self.append(&line) else { return };
            self.in_memory = self.in_memory.saturating_sub(length);
            self.entries[at].place = Place::Disk(offset + length - 1 - size as u64, size);
        }
        self.problem = None;
    }

    /// Makes what was pushed survive a loss of power.
    pub(super) fn sync(&mut self) {
        if let Err(error) = self.journal.sync() {
            self.note(&error);
        }
    }

    /// Events that wait, and bytes of their lines.
    pub(super) fn pending(&self) -> (u64, u64) {
        (self.entries.len() as u64, self.bytes)
    }

    /// What was lost since this was asked last.
    pub(super) fn take_lost(&mut self) -> Lost {
        std::mem::take(&mut self.lost)
    }

    /// What is wrong with the disk.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    fn note(&mut self, error: &io::Error) {
        let path = self.journal.path().display();
        self.problem = Some(format!("cannot write {path}: {error}; events wait in memory"));
    }

    fn lose(&mut self, reason: &'static str, class: Class, count: u64) {
        let lost = self.lost.entry(reason).or_default();
        lost[usize::from(class == Class::Other)] += count;
    }

    /// Takes an event out.
    fn forget(&mut self, id: u64) -> Option<Entry> {
        let at = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        let entry = self.entries.remove(at)?;
        self.bytes = self.bytes.saturating_sub(entry.length);
        self.others -= u64::from(entry.class == Class::Other);
        if let Place::Memory(_) = entry.place {
            self.in_memory = self.in_memory.saturating_sub(entry.length);
        }
        Some(entry)
    }

    /// Whether there is room for a line of an event of this class, now that others may have gone.
    fn make_room(&mut self, length: u64, class: Class) -> bool {
        while self.bytes.saturating_add(length) > self.limit {
            if !self.throw_out("spool_full", class, |_| true) {
                return false;
            }
        }
        true
    }

    /// Throws out the oldest event that may go for one of `class`; false when none may.
    fn throw_out(
        &mut self,
        reason: &'static str,
        class: Class,
        which: impl Fn(&Entry) -> bool,
    ) -> bool {
        let reserved = self.reserved;
        let free = |entry: &&Entry| entry.id > reserved && which(entry);
        let other = || self.entries.iter().filter(free).find(|entry| entry.class == Class::Other);
        let other = (self.others > 0).then(other).flatten();
        let any = || self.entries.iter().find(free).filter(|_| class == Class::Kept);
        let Some(id) = other.or_else(any).map(|entry| entry.id) else { return false };
        let Some(entry) = self.forget(id) else { return false };
        self.lose(reason, entry.class, 1);
        if let Place::Disk(..) = entry.place
            && self.journaled
        {
            // Unwritten, it is delivered after a restart, if there is room for it then.
            let _offset = self.append(&Line::Gone(id).write());
        }
        true
    }

    /// Appends a line; its place, or `None` when the disk does not take it.
    fn append(&mut self, line: &[u8]) -> Option<u64> {
        if !self.journal.may_try() {
            return None;
        }
        // A quarter more than what may wait: so each byte is written anew four times at most.
        let most = self.limit + self.limit / 4 + LARGEST as u64;
        let appended = if self.journal.length() + line.len() as u64 > most {
            self.rewrite().and_then(|()| self.journal.append(line))
        } else {
            self.journal.append(line)
        };
        match appended {
            Ok(offset) => Some(offset),
            Err(error) => {
                self.note(&error);
                None
            }
        }
    }

    /// Writes the journal anew with what waits, and only that.
    fn rewrite(&mut self) -> io::Result<()> {
        let (journal, entries, tag) = (&mut self.journal, &mut self.entries, self.tag);
        let mut places = Vec::with_capacity(entries.len());
        journal.replace(|old, new| {
            for entry in entries.iter() {
                let payload = match &entry.place {
                    Place::Memory(payload) => payload.to_string(),
                    Place::Disk(offset, length) => old.payload(*offset, *length)?,
                };
                let Entry { id, class, .. } = *entry;
                let line = Line::Event { id, class, tag, payload: &payload }.write();
                let offset = new.append(&line)?;
                let at = offset + line.len() as u64 - 1 - payload.len() as u64;
                places.push(Place::Disk(at, payload.len()));
            }
            Ok(())
        })?;
        for (entry, place) in entries.iter_mut().zip(places) {
            entry.place = place;
        }
        self.in_memory = 0;
        Ok(())
    }
}
