//! One direction of a TCP connection, put in order by its sequence numbers (RFC 9293, 3.4).
//!
//! Numbers wrap: they are compared by their distance. What is done with the bytes, and when a
//! missing stretch is given up, is the flow's business.

use std::collections::VecDeque;

/// Sequence numbers further ahead than any window reaches (RFC 7323, 2.2) are nonsense.
const MAX_AHEAD: i32 = 1 << 30;
/// How far before the first segment that was seen an earlier one may still begin.
const MAX_BEHIND: i32 = 1 << 20;

/// How far `a` is ahead of `b`.
#[inline]
pub(crate) fn ahead(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

/// A segment's part in its stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    /// Number of its first byte.
    pub(crate) seq: u32,
    /// Payload bytes on the wire.
    pub(crate) len: u32,
    /// The number of the byte its sender expects from the peer.
    pub(crate) ack: Option<u32>,
    /// Whether nothing follows it.
    pub(crate) fin: bool,
    /// When it was captured.
    pub(crate) time: u64,
    /// The first of its bytes.
    pub(crate) data: &'a [u8],
}

impl Segment<'_> {
    /// The number behind its last byte, or behind its FIN.
    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.len).wrapping_add(u32::from(self.fin))
    }
}

/// A segment kept back.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) seq: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) time: u64,
    /// The sensor's clock when it was kept back.
    pub(crate) arrived: u64,
    len: u32,
    fin: bool,
    data: Box<[u8]>,
}

impl Held {
    /// As it came.
    pub(crate) fn segment(&self) -> Segment<'_> {
        let Self { seq, len, ack, fin, time, .. } = *self;
        Segment { seq, len, ack, fin, time, data: &self.data }
    }

    fn bytes(&self) -> usize {
        self.data.len() + size_of::<Self>()
    }
}

/// Where a segment stands.
pub(crate) enum Place<'a> {
    /// Nothing of it is new.
    Old,
    /// It is next; what was there before is cut off.
    Next(Segment<'a>),
    /// Something before it is missing.
    Ahead,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The number of the next byte, once anything was seen.
    next: Option<u32>,
    /// The first number that was seen, a SYN's included.
    start: u32,
    /// The number behind the last that was seen.
    high: u32,
    /// The latest acknowledgement its sender has sent.
    ack: Option<u32>,
    /// Its beginning was seen: the SYN.
    whole: bool,
    /// Bytes were missed before any message was recognised.
    holed: bool,
    /// How far the other direction had been handed on then.
    peer_then: Option<u32>,
    /// Where it begins is certain: by the SYN, or because earlier segments have been waited for.
    settled: bool,
    /// Bytes have been handed on.
    begun: bool,
    /// The peer has acknowledged some of what was seen.
    confirmed: bool,
    /// Its FIN was reached.
    finished: bool,
    /// The other direction went on without it: nothing of it is seen.
    absent: bool,
    held: VecDeque<Held>,
    held_bytes: usize,
}

impl Stream {
    /// The number of the next byte.
    pub(crate) fn next(&self) -> Option<u32> {
        self.next
    }

    /// Whether it was seen from its first byte on.
    pub(crate) fn whole(&self) -> bool {
        self.whole && !self.holed
    }

    /// Bytes were missed, when the other direction had been handed on to `peer`.
    pub(crate) fn set_holed(&mut self, peer: Option<u32>) {
        (self.holed, self.peer_then) = (true, peer);
    }

    /// How far the other direction had been handed on when bytes were last missed here, in a
    /// stream whose SYN was seen.
    pub(crate) fn peer_then(&self) -> Option<u32> {
        self.peer_then.filter(|_| self.whole)
    }

    /// Whether its FIN was reached.
    pub(crate) fn finished(&self) -> bool {
        self.finished
    }

    /// The first segment kept back.
    pub(crate) fn front(&self) -> Option<&Held> {
        self.held.front()
    }

    /// How many are kept back.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Memory in segments kept back.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether a SYN with this number begins this very stream: it is repeated, or comes so late that
    /// what follows it has been handed on.
    pub(crate) fn begins_with(&self, seq: u32) -> bool {
        let behind = ahead(self.start, seq.wrapping_add(1));
        if self.whole { self.start == seq } else { (0..MAX_BEHIND).contains(&behind) }
    }

    /// A SYN: where the stream begins.
    pub(crate) fn open(&mut self, seq: u32) {
        let first = seq.wrapping_add(1);
        match self.next {
            None => (self.start, self.high) = (seq, first),
            // It comes late, behind data that was handed on already.
            Some(_) if self.begun => return,
            Some(_) => self.start = seq,
        }
        self.next = Some(first);
        (self.whole, self.settled) = (true, true);
        self.absent = false;
    }

    /// Notes what a segment says, before it is placed.
    pub(crate) fn note(&mut self, segment: &Segment<'_>) {
        if let Some(ack) = segment.ack
            && self.ack.is_none_or(|old| ahead(ack, old) > 0)
        {
            self.ack = Some(ack);
        }
        let end = segment.end();
        match self.next {
            None if segment.len == 0 && !segment.fin => {}
            None => {
                (self.next, self.start, self.high) = (Some(segment.seq), segment.seq, end);
                self.absent = false;
            }
            Some(next) => {
                if !self.begun
                    && !self.whole
                    && segment.len != 0
                    && (-MAX_BEHIND..0).contains(&ahead(segment.seq, next))
                {
                    self.next = Some(segment.seq);
                    self.start = segment.seq;
                }
                if (0..MAX_AHEAD).contains(&ahead(end, self.high)) {
                    self.high = end;
                }
            }
        }
    }

    /// The peer acknowledges: whether this is proof that it has seen something that was sent here.
    pub(crate) fn confirm(&mut self, ack: Option<u32>) {
        // Only what was seen counts: a number that was guessed lies beyond it.
        self.confirmed |= self.next.is_some()
            && ack.is_some_and(|ack| ahead(ack, self.start) > 0 && ahead(ack, self.high) <= 0);
    }

    /// Whether the peer has seen something of it.
    pub(crate) fn confirmed(&self) -> bool {
        self.confirmed
    }

    /// The latest acknowledgement its sender has sent.
    pub(crate) fn acknowledgement(&self) -> Option<u32> {
        self.ack
    }

    /// Whether the latest acknowledgement reaches `seq` of the peer's stream.
    pub(crate) fn acknowledges(&self, seq: u32) -> bool {
        self.ack.is_some_and(|ack| ahead(ack, seq) >= 0)
    }

    /// Whether everything that an acknowledgement speaks of has been handed on.
    pub(crate) fn reached(&self, ack: Option<u32>) -> bool {
        match (ack, self.next) {
            (None, _) => true,
            (Some(_), None) => self.absent,
            (Some(ack), Some(next)) => self.settled && !(1..MAX_AHEAD).contains(&ahead(ack, next)),
        }
    }

    /// Where a segment stands.
    pub(crate) fn place<'a>(&self, segment: Segment<'a>) -> Place<'a> {
        let Some(next) = self.next else { return Place::Ahead };
        let distance = ahead(segment.seq, next);
        if distance >= MAX_AHEAD || ahead(segment.end(), next) <= 0 {
            return Place::Old;
        }
        if distance > 0 {
            return Place::Ahead;
        }
        let old = distance.unsigned_abs().min(segment.len);
        Place::Next(Segment {
            seq: next,
            len: segment.len - old,
            data: segment.data.get(old as usize..).unwrap_or(&[]),
            ..segment
        })
    }

    /// Moves over a segment that is next.
    pub(crate) fn pass(&mut self, segment: &Segment<'_>) {
        self.next = Some(segment.end());
        self.begun = true;
        self.finished |= segment.fin;
    }

    /// Gives up what is missing before `seq`; how many bytes that is.
    pub(crate) fn skip_to(&mut self, seq: u32) -> u32 {
        let Some(next) = self.next else { return 0 };
        self.next = Some(seq);
        self.begun = true;
        seq.wrapping_sub(next)
    }

    /// Whether it is certain where it begins.
    pub(crate) fn settled(&self) -> bool {
        self.settled
    }

    /// Takes what is there for the beginning.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
    }

    /// Stops waiting for a direction that nothing is seen of.
    pub(crate) fn set_absent(&mut self) {
        self.absent = true;
    }

    /// Keeps a segment back, in order; false when the same is there already.
    pub(crate) fn hold(&mut self, segment: &Segment<'_>, now: u64) -> bool {
        let at = self.held.partition_point(|held| ahead(held.seq, segment.seq) < 0);
        if let Some(there) = self.held.get(at)
            && there.seq == segment.seq
            && (there.len > segment.len || (there.len == segment.len && there.fin >= segment.fin))
        {
            return false;
        }
        let Segment { seq, len, ack, fin, time, data } = *segment;
        let held = Held { seq, ack, time, arrived: now, len, fin, data: data.into() };
        self.held_bytes += held.bytes();
        self.held.insert(at, held);
        true
    }

    /// Takes the first segment kept back.
    pub(crate) fn take(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        self.held_bytes -= held.bytes();
        if self.held.is_empty() {
            // Most flows never hold anything again.
            self.held = VecDeque::new();
        }
        Some(held)
    }
}
