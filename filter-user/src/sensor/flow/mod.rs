//! Flows: who talks to whom, each direction in order, and both in the order of cause and effect.
//!
//! Records reach the sensor from several CPUs, so that a response may be read before its request.
//! Acknowledgements put that right: a segment is handed on when its own direction has been handed
//! on up to it, and the other direction up to what it acknowledges. What stays away is given up as
//! soon as something says that it will not come: the peer has it, records were lost, or time is up.
//!
//! What the bytes mean is for the protocols in [`carried`]; which flows there are is [`table`]'s.

pub(crate) mod carried;
mod carry;
mod datagram;
mod key;
mod order;
mod stream;
mod summary;
pub(crate) mod table;
mod tcp;

use std::net::IpAddr;

use filter_common::packet::{protocol, tcp_flags};
use filter_common::record::{self, Header};

use self::carried::Protocol;
pub(crate) use self::key::{Key, Seeded, Side};
pub(crate) use self::stream::ahead;
use self::stream::{Segment, Stream};
pub use self::summary::{Application, Closed, FlowSummary};
pub use self::tcp::{Opening, Tcp};
use super::config::SensorConfig;
use super::credentials::Secrets;
use super::quic;
use super::stats::Stats;
use super::{Facts, Output};

/// How long a request's head, or a slow body, may take before a flow is reported, ns: ten times what a
/// phone on a bad network takes.
pub(crate) const TRICKLE_AFTER: u64 = 10_000_000_000;
/// Bytes a second from which on a body is none that trickles.
const TRICKLE_RATE: u64 = 500;

/// What a flow needs from the sensor.
pub(crate) struct Environment<'a> {
    pub(crate) config: &'a SensorConfig,
    pub(crate) stats: &'a mut Stats,
    pub(crate) secrets: &'a Secrets,
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
    /// What a proxy says of its client, before anything else.
    Announced(Box<carry::Announcement>),
    /// A protocol that is followed.
    Known(Protocol),
    /// QUIC.
    Quic(Box<quic::Connection>),
    /// Something that is not followed.
    Opaque,
    /// Something that HTTP turned into.
    Upgraded(Application),
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
    /// The client that a PROXY header names.
    announced: Option<IpAddr>,
    directions: [Direction; 2],
    tcp: tcp::Gathered,
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
            announced: None,
            directions: Default::default(),
            tcp: tcp::Gathered::default(),
            carries: Carries::Unknown(0),
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
            Carries::Known(protocol) => held + protocol.footprint(),
            Carries::Quic(connection) => {
                held + size_of::<quic::Connection>() + connection.footprint()
            }
            Carries::Announced(announcement) => held + announcement.footprint(),
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
        // How many it stands for changes while the sampling adapts.
        self.weight = header.weight;
        let direction = &mut self.directions[side];
        if header.flags & record::CONTINUED == 0 {
            direction.packets += u64::from(header.segments.max(1));
        }
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
        } else if header.payload_len != 0 {
            self.datagram(side, header, payload, env);
        }
    }

    fn is_client(&mut self, side: Side, sure: Sure) {
        // Once messages are read the roles stay.
        let settled = matches!(self.carries, Carries::Known(_) | Carries::Quic(_));
        if sure > self.sure && !settled {
            (self.client, self.sure) = (side, sure);
        }
    }

    fn segment(&mut self, side: Side, header: &Header, payload: &[u8], env: &mut Environment<'_>) {
        let flags = header.tcp_flags;
        let acknowledges = flags & tcp_flags::ACK != 0;
        if flags & tcp_flags::SYN != 0 {
            self.is_client(if acknowledges { 1 - side } else { side }, Sure::Syn);
        }
        self.tcp.note(side, self.client, header);
        if flags & tcp_flags::RST != 0 {
            // What a reset acknowledges is no evidence: it may answer a forged segment.
            self.reset = true;
            return;
        }
        let mut seq = header.tcp_seq;
        if flags & tcp_flags::SYN != 0 {
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

    fn facts(&self) -> Facts {
        Facts {
            flow: self.key.seen_from(self.client),
            api: self.api,
            inbound: !self.directions[self.client].egress,
            handshake: self.is_mutual(),
            weight: self.weight,
            announced: self.announced,
        }
    }

    /// Tells of the flow, while it goes on, when its client takes its time over a request.
    pub(crate) fn report_trickle(&self, env: &mut Environment<'_>) {
        let Carries::Known(protocol) = &self.carries else { return };
        if !self.is_closed() && protocol.trickles(env.now, self.first, TRICKLE_AFTER, TRICKLE_RATE)
        {
            let summary = self.summary(Closed::Open, protocol.in_head());
            (env.emit)(Output::Slow(summary));
        }
    }

    /// The flow is no longer sampled: what is unfinished is nobody's to tell.
    pub(crate) fn discard(self, env: &mut Environment<'_>) {
        (env.emit)(Output::Flow(self.summary(Closed::Unsampled, false)));
    }

    /// The flow is over: hands out what is unfinished, and the flow itself.
    pub(crate) fn finish(mut self, closed: Closed, env: &mut Environment<'_>) {
        self.relent(true, env);
        let unfinished_head = match &self.carries {
            Carries::Known(protocol) => protocol.in_head(),
            _ => false,
        };
        self.with_protocol(env, Protocol::finish);
        self.with_quic(env, quic::Connection::finish);
        let closed = match () {
            () if self.reset => Closed::Rst,
            () if self.is_closed() => Closed::Fin,
            () => closed,
        };
        (env.emit)(Output::Flow(self.summary(closed, unfinished_head)));
    }
}
