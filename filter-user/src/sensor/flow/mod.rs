//! Flows: who talks to whom, each direction in order, and both in the order of cause and effect.
//!
//! Records reach the sensor from several CPUs, so that a response may be read before its request.
//! Acknowledgements put that right: a segment is handed on when its own direction has been handed
//! on up to it, and the other direction up to what it acknowledges. What stays away is given up as
//! soon as something says that it will not come: the peer has it, records were lost, or time is up.
//!
//! What the bytes mean is [`super::http1`]'s; which flows there are is [`table`]'s.

mod key;
mod stream;
mod summary;
pub(crate) mod table;

use filter_common::packet::{protocol, tcp_flags};
use filter_common::record::{self, Header};

pub(crate) use self::key::{Key, Seeded, Side};
pub(crate) use self::stream::ahead;
use self::stream::{Place, Segment, Stream};
pub use self::summary::{Application, Closed, FlowSummary};
use super::config::SensorConfig;
use super::http1::{self, Connection, Opening, Outcome, Piece};
use super::stats::Stats;
use super::{Context, Facts, Output};

/// Segments that a connection entered in its middle may have before one begins a message.
const MAX_SEEK: u16 = 256;
/// Most segments of one direction that are kept back.
const MAX_HELD: usize = 512;

/// What a flow needs from the sensor.
pub(crate) struct Environment<'a> {
    pub(crate) config: &'a SensorConfig,
    pub(crate) stats: &'a mut Stats,
    pub(crate) emit: &'a mut dyn FnMut(Output),
    /// The sensor's clock: the latest time seen.
    pub(crate) now: u64,
    /// How many times records were lost.
    pub(crate) losses: u64,
}

/// What a flow carries.
#[derive(Debug)]
enum Carries {
    /// Not known yet; segments that told nothing.
    Unknown(u16),
    Http(Box<Connection>),
    /// Something that is not followed.
    Opaque,
    /// Something that HTTP turned into.
    Upgraded,
}

/// How sure it is which side is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sure {
    /// By who was seen first, or by the ports.
    Guess,
    /// By its first bytes, or because an API is claimed at one side.
    Content,
    /// By its SYN.
    Syn,
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    stream: Stream,
    packets: u64,
    bytes: u64,
    /// The interface it was seen on is left by it.
    egress: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Flow {
    key: Key,
    first: u64,
    last: u64,
    api: u32,
    weight: u32,
    client: Side,
    sure: Sure,
    reset: bool,
    /// The sensor's losses when the flow was last in order.
    losses: u64,
    transactions: u64,
    directions: [Direction; 2],
    carries: Carries,
}

impl Flow {
    /// A flow that begins with this record of `side`.
    pub(crate) fn new(key: Key, side: Side, header: &Header, losses: u64) -> Self {
        let client = match key.protocol() {
            // The lower port is the server's.
            protocol::TCP if key.port(0) < key.port(1) => 1,
            protocol::TCP if key.port(0) > key.port(1) => 0,
            _ => side,
        };
        Self {
            key,
            first: header.time,
            last: header.time,
            api: header.api,
            weight: header.weight,
            client,
            sure: Sure::Guess,
            reset: false,
            losses,
            transactions: 0,
            directions: Default::default(),
            carries: match key.protocol() {
                protocol::TCP => Carries::Unknown(0),
                _ => Carries::Opaque,
            },
        }
    }

    /// What tells it from others.
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// When its last record was made.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Whether it ended, by FINs of both sides or a reset.
    pub(crate) fn is_closed(&self) -> bool {
        self.reset || self.directions.iter().all(|direction| direction.stream.finished())
    }

    /// Whether segments are kept back.
    pub(crate) fn is_waiting(&self) -> bool {
        self.directions.iter().any(|direction| direction.stream.held() != 0)
    }

    /// Memory that is not the flow's own size.
    pub(crate) fn footprint(&self) -> usize {
        let held: usize =
            self.directions.iter().map(|direction| direction.stream.held_bytes()).sum();
        match &self.carries {
            Carries::Http(connection) => held + size_of::<Connection>() + connection.footprint(),
            _ => held,
        }
    }

    /// Whether a SYN opens another connection between the same ends.
    pub(crate) fn is_reopened_by(&self, side: Side, header: &Header) -> bool {
        let stream = &self.directions[side].stream;
        stream.next().is_some()
            && !stream.begins_with(header.tcp_seq)
            // A SYN made before the flow's first record is its own, and late.
            && header.time >= self.first
    }

    /// A record of the flow.
    pub(crate) fn push(
        &mut self,
        side: Side,
        header: &Header,
        payload: &[u8],
        env: &mut Environment<'_>,
    ) {
        self.first = self.first.min(header.time);
        self.last = self.last.max(header.time);
        let direction = &mut self.directions[side];
        direction.packets += u64::from(header.segments.max(1));
        direction.bytes += u64::from(header.wire_len);
        direction.egress = header.flags & record::EGRESS != 0;
        if header.api != 0 {
            self.api = header.api;
            // The kernel names an API by its server: where a packet goes to, or leaves from.
            let client = if direction.egress { 1 - side } else { side };
            self.is_client(client, Sure::Content);
        }
        if header.protocol == protocol::TCP {
            self.segment(side, header, payload, env);
        }
    }

    fn is_client(&mut self, side: Side, sure: Sure) {
        // Once messages are read the roles stay.
        if sure > self.sure && !matches!(self.carries, Carries::Http(_)) {
            (self.client, self.sure) = (side, sure);
        }
    }

    fn segment(&mut self, side: Side, header: &Header, payload: &[u8], env: &mut Environment<'_>) {
        let flags = header.tcp_flags;
        let acknowledges = flags & tcp_flags::ACK != 0;
        if flags & tcp_flags::RST != 0 {
            // What a reset acknowledges is no evidence: it may answer a forged segment.
            self.reset = true;
            return;
        }
        let mut seq = header.tcp_seq;
        if flags & tcp_flags::SYN != 0 {
            self.is_client(if acknowledges { 1 - side } else { side }, Sure::Syn);
            self.directions[side].stream.open(seq);
            if acknowledges {
                // It answers the other side's SYN, seen or not.
                self.directions[1 - side].stream.open(header.tcp_ack.wrapping_sub(1));
            }
            seq = seq.wrapping_add(1);
        }
        let segment = Segment {
            seq,
            len: header.payload_len,
            ack: acknowledges.then_some(header.tcp_ack),
            fin: flags & tcp_flags::FIN != 0,
            time: header.time,
            data: payload,
        };
        self.directions[side].stream.note(&segment);
        self.confirm(side, segment.ack);
        if segment.len != 0 || segment.fin {
            self.accept(side, &segment, env);
        } else if self.is_waiting() {
            self.catch_up(env);
        }
        if !self.is_waiting() {
            self.losses = env.losses;
        }
    }

    /// Notes what an acknowledgement of `side`, and the latest of the other, prove.
    fn confirm(&mut self, side: Side, ack: Option<u32>) {
        if self.is_mutual() {
            return;
        }
        let [a, b] = &mut self.directions;
        let (own, peer) = if side == 0 { (a, b) } else { (b, a) };
        peer.stream.confirm(ack);
        own.stream.confirm(peer.stream.acknowledgement());
    }

    /// Whether the two sides have acknowledged each other.
    fn is_mutual(&self) -> bool {
        self.directions.iter().all(|direction| direction.stream.confirmed())
    }

    fn accept(&mut self, side: Side, segment: &Segment<'_>, env: &mut Environment<'_>) {
        let stream = &self.directions[side].stream;
        match stream.place(*segment) {
            Place::Old => {
                env.stats.retransmitted += 1;
                return;
            }
            Place::Next(next) if self.is_due(side, segment.ack) => {
                if next.seq != segment.seq {
                    env.stats.retransmitted += 1;
                }
                self.hand_on(side, &next, env);
            }
            Place::Next(_) | Place::Ahead => {
                if matches!(self.carries, Carries::Opaque | Carries::Upgraded) {
                    // Nobody reads on: only the numbers are followed.
                    self.directions[side].stream.skip_to(segment.seq);
                    self.directions[side].stream.pass(segment);
                    return;
                }
                let counter = if self.directions[side].stream.hold(segment, env.now) {
                    &mut env.stats.held
                } else {
                    &mut env.stats.retransmitted
                };
                *counter += 1;
            }
        }
        if self.is_waiting() {
            self.catch_up(env);
        }
        let share = env.config.flow_bytes;
        if self.directions[side].stream.held() > MAX_HELD || self.footprint() > share {
            self.let_go(share, env);
        }
    }

    /// Whether a segment that is next in its own direction has its turn.
    fn is_due(&self, side: Side, ack: Option<u32>) -> bool {
        self.directions[side].stream.settled() && self.directions[1 - side].stream.reached(ack)
    }

    /// Hands on all that has its turn.
    fn catch_up(&mut self, env: &mut Environment<'_>) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for side in [0, 1] {
                while let Some(front) = self.directions[side].stream.front() {
                    let segment = front.segment();
                    let ready = match self.directions[side].stream.place(segment) {
                        Place::Old => true,
                        Place::Next(_) => self.is_due(side, front.ack),
                        Place::Ahead => false,
                    };
                    if !ready {
                        break;
                    }
                    let Some(held) = self.directions[side].stream.take() else { break };
                    match self.directions[side].stream.place(held.segment()) {
                        Place::Next(next) => self.hand_on(side, &next, env),
                        _ => env.stats.retransmitted += 1,
                    }
                    moved = true;
                }
            }
        }
    }

    /// Gives up what is missing and has been waited for long enough.
    pub(crate) fn expire(&mut self, env: &mut Environment<'_>) {
        self.relent(false, env);
    }

    /// Gives up all that is missing.
    fn relent(&mut self, all: bool, env: &mut Environment<'_>) {
        while let Some((side, seq)) = self.overdue(all, env) {
            self.skip(side, seq, env);
            self.catch_up(env);
        }
    }

    /// The stretch to give up next: in which direction, and up to where.
    fn overdue(&self, all: bool, env: &Environment<'_>) -> Option<(Side, u32)> {
        let mut found: Option<(u64, Side, u32)> = None;
        for side in [0, 1] {
            let (own, peer) = (&self.directions[side].stream, &self.directions[1 - side].stream);
            let Some(front) = own.front() else { continue };
            let (missing_of, seq, wait) = match own.place(front.segment()) {
                _ if !own.settled() => (side, front.seq, env.config.reorder_ns),
                Place::Ahead => {
                    let hopeless = peer.acknowledges(front.seq) || env.losses != self.losses;
                    let config = env.config;
                    let wait = if hopeless { config.reorder_ns } else { config.hole_ns };
                    (side, front.seq, wait)
                }
                _ => {
                    // Up to what is kept back of the peer, or to what is acknowledged.
                    let ack = front.ack.unwrap_or_default();
                    let seq = match peer.front() {
                        Some(held)
                            if ahead(held.seq, ack) < 0
                                && matches!(peer.place(held.segment()), Place::Ahead) =>
                        {
                            held.seq
                        }
                        _ => ack,
                    };
                    (1 - side, seq, env.config.reorder_ns)
                }
            };
            let due = all || env.now.saturating_sub(front.arrived) >= wait;
            if due && found.is_none_or(|(time, ..)| front.time < time) {
                found = Some((front.time, missing_of, seq));
            }
        }
        found.map(|(_, side, seq)| (side, seq))
    }

    /// Gives up what is missing of a direction before `seq`.
    fn skip(&mut self, side: Side, seq: u32, env: &mut Environment<'_>) {
        let stream = &mut self.directions[side].stream;
        if stream.next().is_none() {
            stream.set_absent();
            return;
        }
        if !stream.settled() {
            stream.settle();
            return;
        }
        let length = stream.skip_to(seq);
        env.stats.gaps += 1;
        env.stats.gap_bytes += u64::from(length);
        self.missing(side, length, env);
    }

    /// Keeps nothing back any longer, and of the messages at hand no more than `share` bytes.
    pub(crate) fn let_go(&mut self, share: usize, env: &mut Environment<'_>) {
        env.stats.buffer_limit += 1;
        self.relent(true, env);
        if self.footprint() > share {
            self.with_connection(env, |connection, context| connection.abandon(context));
        }
    }

    fn hand_on(&mut self, side: Side, segment: &Segment<'_>, env: &mut Environment<'_>) {
        let peer = self.directions[1 - side].stream.next();
        let Segment { seq, len, ack, fin, time, data } = *segment;
        self.directions[side].stream.pass(segment);
        self.confirm(side, ack);
        if len != 0 && !matches!(self.carries, Carries::Opaque | Carries::Upgraded) {
            if !data.is_empty() {
                self.data(side, Piece { data, seq, ack, time, peer }, env);
            }
            let cut = len - data.len() as u32;
            if cut != 0 {
                env.stats.cut_bytes += u64::from(cut);
                self.missing(side, cut, env);
            }
        }
        if fin {
            let from_client = side == self.client;
            self.with_connection(env, |connection, context| {
                connection.ended(from_client, context);
            });
        }
    }

    fn data(&mut self, side: Side, piece: Piece<'_>, env: &mut Environment<'_>) {
        if let Carries::Unknown(seen) = self.carries {
            match self.recognise(side, &piece) {
                Some(true) => {}
                Some(false) => return self.becomes(Carries::Opaque, env),
                None if seen >= MAX_SEEK => return self.becomes(Carries::Opaque, env),
                None => {
                    self.carries = Carries::Unknown(seen + 1);
                    return;
                }
            }
            let stream = |side: Side| &self.directions[side].stream;
            let (client, server) = (stream(self.client), stream(1 - self.client));
            let connection = Connection::new(client.whole(), server.whole(), client.peer_then());
            self.carries = Carries::Http(Box::new(connection));
        }
        let from_client = side == self.client;
        let outcome = self.with_connection(env, |connection, context| {
            connection.data(from_client, piece, context)
        });
        match outcome {
            Some(Outcome::NotHttp) => {
                self.becomes(Carries::Opaque, env);
            }
            Some(Outcome::Upgraded) => {
                self.with_connection(env, |connection, context| connection.finish(context));
                self.becomes(Carries::Upgraded, env);
            }
            Some(Outcome::Http) | None => {}
        }
    }

    /// Whether the first bytes seen of a flow are HTTP; `None` when later ones may be.
    fn recognise(&mut self, side: Side, piece: &Piece<'_>) -> Option<bool> {
        if self.sure != Sure::Guess && self.directions[side].stream.whole() {
            return Some(http1::can_begin(piece.data, side == self.client));
        }
        match http1::opening(piece.data) {
            Opening::Unknown => return None,
            Opening::Request => self.is_client(side, Sure::Content),
            Opening::Response => self.is_client(1 - side, Sure::Content),
        }
        Some(true)
    }

    fn becomes(&mut self, carries: Carries, env: &mut Environment<'_>) {
        match carries {
            Carries::Opaque => env.stats.opaque_flows += 1,
            Carries::Upgraded => env.stats.upgraded_flows += 1,
            Carries::Unknown(_) | Carries::Http(_) => {}
        }
        self.carries = carries;
    }

    fn missing(&mut self, side: Side, length: u32, env: &mut Environment<'_>) {
        let peer = self.directions[1 - side].stream.next();
        if matches!(self.carries, Carries::Unknown(_)) {
            self.directions[side].stream.set_holed(peer);
            return;
        }
        let from_client = side == self.client;
        self.with_connection(env, |connection, context| {
            connection.missing(from_client, length, peer, context);
        });
    }

    fn with_connection<R>(
        &mut self,
        env: &mut Environment<'_>,
        run: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let facts = self.facts();
        let Carries::Http(connection) = &mut self.carries else { return None };
        let mut context =
            Context { stats: &mut *env.stats, emit: &mut *env.emit, facts, emitted: 0 };
        let result = run(connection, &mut context);
        self.transactions += context.emitted;
        Some(result)
    }

    fn facts(&self) -> Facts {
        Facts {
            flow: self.key.seen_from(self.client),
            api: self.api,
            inbound: !self.directions[self.client].egress,
            handshake: self.is_mutual(),
            weight: self.weight,
        }
    }

    /// The flow is over: hands out what is unfinished, and the flow itself.
    pub(crate) fn finish(mut self, closed: Closed, env: &mut Environment<'_>) {
        self.relent(true, env);
        self.with_connection(env, |connection, context| connection.finish(context));
        let closed = match () {
            () if self.reset => Closed::Rst,
            () if self.is_closed() => Closed::Fin,
            () => closed,
        };
        (env.emit)(Output::Flow(self.summary(closed)));
    }
}
