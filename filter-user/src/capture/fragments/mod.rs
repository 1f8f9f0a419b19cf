//! Puts datagrams together that were sent in fragments: RFC 791 and 815 for IPv4, RFC 8200, 4.5, and
//! 5722 for IPv6. Time is the capture's. What a datagram carries is left to others.
//!
//! Fragments that contradict each other are of no datagram: which of them the host believes cannot be
//! known. The beginning of a datagram that does not get whole is handed out as it is; a capture by
//! port has no later fragments at all.

mod parts;
mod read;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use self::parts::{Added, Parts};
use self::read::{Key, Piece};
use super::Frame;

/// A datagram is given up so long after its first fragment (RFC 1122, 3.3.2; RFC 8200, 4.5), ns.
const TIMEOUT: u64 = 60_000_000_000;
/// After this its beginning is handed out, ns. Fragments are sent one right behind the other, and
/// who follows a connection does not wait for a minute.
const PATIENCE: u64 = 1_000_000_000;
/// Bytes that are kept of all datagrams together; beyond, the oldest go.
const MAX_BYTES: usize = 16 << 20;
/// What a datagram takes beside its pieces, bytes, about.
const DATAGRAM: usize = 320;

/// A datagram, or its beginning. `N` is what the caller noted of its first fragment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Datagram<N> {
    /// When the last fragment of it was captured, ns since 1970.
    pub time: u64,
    /// What was captured, from the IP header on, which says the datagram's length; in one piece
    /// from the beginning.
    pub data: Vec<u8>,
    /// Bytes it has with those that were not captured, at least those of `data`.
    pub wire_len: usize,
    /// Fragments it came in.
    pub fragments: u32,
    /// Bytes of their frames on the wire.
    pub frame_bytes: u64,
    /// Whether it is whole; the header of one that is not says that more follows.
    pub whole: bool,
    /// What the caller noted.
    pub note: N,
}

/// What became of fragments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Datagrams put together.
    pub reassembled: u64,
    /// Datagrams of which fragments are missing.
    pub incomplete: u64,
    /// Datagrams given up to make room.
    pub no_room: u64,
    /// Datagrams whose fragments contradict each other or, in IPv6, overlap.
    pub overlapping: u64,
    /// Datagrams longer than 65,535 bytes.
    pub oversize: u64,
    /// Fragments that cannot be one, or whose headers were not captured.
    pub malformed: u64,
    /// Fragments that repeat another.
    pub duplicates: u64,
}

impl Counts {
    /// Each with its name.
    pub fn each(&self) -> [(&'static str, u64); 7] {
        let Self { reassembled, incomplete, no_room, overlapping, oversize, malformed, duplicates } =
            *self;
        [
            ("reassembled", reassembled),
            ("incomplete", incomplete),
            ("no_room", no_room),
            ("overlapping", overlapping),
            ("oversize", oversize),
            ("malformed", malformed),
            ("duplicates", duplicates),
        ]
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Fragments are missing.
    Open,
    /// It was handed out; what still comes repeats it.
    Done,
    /// It was given up; what still comes is of no use.
    Dead,
}

#[derive(Debug)]
struct Pending<N> {
    serial: u64,
    state: State,
    parts: Parts,
    /// Its beginning was handed out, or never will be.
    told: bool,
    time: u64,
    fragments: u32,
    frame_bytes: u64,
    note: Option<N>,
    footprint: usize,
}

impl<N: Copy> Pending<N> {
    fn datagram(&self) -> Option<Datagram<N>> {
        let (data, wire_len) = self.parts.datagram()?;
        Some(Datagram {
            time: self.time,
            data,
            wire_len,
            fragments: self.fragments,
            frame_bytes: self.frame_bytes,
            whole: self.parts.is_whole(),
            note: self.note?,
        })
    }
}

/// When to look at which datagram again.
type Queue = VecDeque<(u64, Key, u64)>;

/// See the module.
#[derive(Debug)]
pub struct Reassembly<N> {
    pending: HashMap<Key, Pending<N>>,
    /// Those whose beginning is waited for, the oldest first.
    young: Queue,
    /// Those that may get whole yet.
    old: Queue,
    counts: Counts,
    /// The latest time seen.
    now: u64,
    serial: u64,
    held: usize,
    limit: usize,
}

impl<N> Default for Reassembly<N> {
    fn default() -> Self {
        Self {
            pending: HashMap::new(),
            young: Queue::new(),
            old: Queue::new(),
            counts: Counts::default(),
            now: 0,
            serial: 0,
            held: 0,
            limit: MAX_BYTES,
        }
    }
}

impl<N: Copy> Reassembly<N> {
    /// What was counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes a frame that holds a fragment. `note` is kept of the first one of a datagram.
    pub fn push(&mut self, frame: &Frame<'_>, note: N, out: &mut impl FnMut(Datagram<N>)) {
        self.tick(frame.time, out);
        let Some(piece) = Piece::of(frame) else {
            self.counts.malformed += 1;
            return;
        };
        let key = piece.key;
        let pending = self.pending.entry(key).or_insert_with(|| {
            self.serial += 1;
            self.young.push_back((self.now.saturating_add(PATIENCE), key, self.serial));
            self.held += DATAGRAM;
            Pending {
                serial: self.serial,
                state: State::Open,
                parts: Parts::default(),
                told: false,
                time: 0,
                fragments: 0,
                frame_bytes: 0,
                note: None,
                footprint: DATAGRAM,
            }
        });
        match pending.state {
            State::Open => {}
            State::Done => {
                self.counts.duplicates += 1;
                return;
            }
            State::Dead => return,
        }
        let added = pending.parts.add(&piece);
        match added {
            Added::New => {
                pending.time = pending.time.max(frame.time);
                pending.fragments += 1;
                pending.frame_bytes += frame.wire_len as u64;
                if piece.start == 0 {
                    pending.note = Some(note);
                }
            }
            Added::Duplicate => self.counts.duplicates += 1,
            Added::Conflict => {
                self.counts.overlapping += 1;
                pending.state = State::Dead;
            }
        }
        if added == Added::New && pending.parts.is_whole() {
            pending.state = State::Done;
            match pending.datagram() {
                Some(datagram) => {
                    self.counts.reassembled += 1;
                    out(datagram);
                }
                None => self.counts.oversize += 1,
            }
        }
        if pending.state != State::Open {
            pending.parts = Parts::default();
        }
        let before = pending.footprint;
        pending.footprint = DATAGRAM + pending.parts.footprint();
        self.held = self.held - before + pending.footprint;
        if pending.told && pending.state == State::Done {
            // So late that its number may be another datagram's already.
            self.remove(&key);
        }
        self.make_room(out);
    }

    /// Tells the time, ns on the capture's clock: what has waited long enough is handed out or given up.
    pub fn tick(&mut self, now: u64, out: &mut impl FnMut(Datagram<N>)) {
        self.now = self.now.max(now);
        while let Some(&(due, key, serial)) = self.young.front()
            && due <= self.now
        {
            self.young.pop_front();
            let Some(pending) = self.pending.get_mut(&key).filter(|p| p.serial == serial) else {
                continue;
            };
            if pending.state == State::Done {
                self.remove(&key);
                continue;
            }
            if !std::mem::replace(&mut pending.told, true) {
                pending.datagram().into_iter().for_each(&mut *out);
            }
            self.old.push_back((due.saturating_add(TIMEOUT - PATIENCE), key, serial));
        }
        while let Some(&(due, key, serial)) = self.old.front()
            && due <= self.now
        {
            self.old.pop_front();
            if self.pending.get(&key).is_some_and(|pending| pending.serial == serial) {
                self.counts.incomplete += self.give_up(&key, out);
            }
        }
    }

    /// The end of the capture.
    pub fn finish(&mut self, out: &mut impl FnMut(Datagram<N>)) {
        for (_, key, serial) in self.old.split_off(0).into_iter().chain(self.young.split_off(0)) {
            if self.pending.get(&key).is_some_and(|pending| pending.serial == serial) {
                self.counts.incomplete += self.give_up(&key, out);
            }
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Pending<N>> {
        let pending = self.pending.remove(key)?;
        self.held -= pending.footprint;
        // Of what was removed out of turn the queues still speak.
        for queue in [&mut self.young, &mut self.old] {
            if queue.len() > 2 * self.pending.len() + 64 {
                queue.retain(|(_, key, serial)| {
                    self.pending.get(key).is_some_and(|pending| pending.serial == *serial)
                });
            }
        }
        Some(pending)
    }

    /// Takes a datagram out, and hands out its beginning if nobody has it. Returns 1 when it was still
    /// waited for.
    fn give_up(&mut self, key: &Key, out: &mut impl FnMut(Datagram<N>)) -> u64 {
        let Some(pending) = self.remove(key).filter(|pending| pending.state == State::Open) else {
            return 0;
        };
        if !pending.told {
            pending.datagram().into_iter().for_each(out);
        }
        1
    }

    fn make_room(&mut self, out: &mut impl FnMut(Datagram<N>)) {
        while self.held > self.limit
            && let Some((_, key, serial)) = self.old.pop_front().or_else(|| self.young.pop_front())
        {
            if self.pending.get(&key).is_some_and(|pending| pending.serial == serial) {
                self.counts.no_room += self.give_up(&key, out);
            }
        }
    }
}
