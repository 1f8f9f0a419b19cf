//! QUIC (RFC 9000, RFC 9001, RFC 9369): the hellos in the Initial packets of both sides.
//!
//! Initial packets are encrypted with keys that everyone can derive; nothing behind them is opened.
//! When both hellos are known, or as many packets were looked at as are looked at, all state goes.

mod crypto;
mod keys;
mod packet;
mod version;

use self::crypto::Stream;
use self::keys::Keys;
pub(crate) use self::packet::can_begin;
use self::packet::{Kind, Packet};
use super::Context;
use super::encrypted::QuicVersion;
use super::flow::Side;
use super::reader::Reader;
use super::stats::Stats;
use super::tls::hello::{ClientHello, ServerHello};
use super::tls::{Carrier, Negotiated, message};

/// Most Initial packets of a connection that are opened.
const MAX_PACKETS: u8 = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Side,
    /// When the client's first packet was seen.
    began: u64,
    /// `None` when nothing more is looked at.
    opening: Option<Box<Opening>>,
    version: QuicVersion,
    client_hello: Option<Box<ClientHello>>,
    server_hello: Option<Box<ServerHello>>,
    retried: bool,
    told: bool,
}

/// What is needed to open packets.
#[derive(Debug)]
struct Opening {
    keys: Keys,
    /// What the keys are made from.
    id: Box<[u8]>,
    client: Stream,
    server: Stream,
    packets: u8,
}

impl Opening {
    /// What a client's first packet begins; and its frames.
    fn new(packet: &Packet<'_>) -> Option<(Self, Vec<u8>)> {
        let mut candidates = Keys::candidates(packet.version, packet.to);
        let (keys, frames) =
            candidates.find_map(|keys| keys.client.open(packet).map(|frames| (keys, frames)))?;
        let (client, server) = (Stream::default(), Stream::default());
        Some((Self { keys, id: packet.to.into(), client, server, packets: 0 }, frames))
    }
}

impl Connection {
    /// A connection that this datagram begins, if it does: it must hold an Initial packet that
    /// opens with the keys of a client.
    pub(crate) fn begin(side: Side, datagram: &[u8], time: u64, stats: &mut Stats) -> Option<Self> {
        let mut rest = datagram;
        while let Some(packet) = packet::next(&mut rest) {
            if packet.kind != Kind::Initial {
                continue;
            }
            let Some((opening, _)) = Opening::new(&packet) else {
                stats.quic_bad_tags += 1;
                return None;
            };
            stats.quic_flows += 1;
            return Some(Self {
                client: side,
                began: time,
                opening: Some(Box::new(opening)),
                version: packet.version,
                client_hello: None,
                server_hello: None,
                retried: false,
                told: false,
            });
        }
        None
    }

    /// The side that is the client.
    pub(crate) fn client(&self) -> Side {
        self.client
    }

    /// Memory that is not the connection's own size.
    pub(crate) fn footprint(&self) -> usize {
        let opening = self.opening.as_ref().map_or(0, |opening| {
            size_of::<Opening>() + opening.client.footprint() + opening.server.footprint()
        });
        opening + self.client_hello.as_ref().map_or(0, |hello| hello.footprint())
    }

    /// A datagram of one side's.
    pub(crate) fn datagram(&mut self, side: Side, datagram: &[u8], context: &mut Context<'_>) {
        let mut rest = datagram;
        while self.opening.is_some()
            && let Some(packet) = packet::next(&mut rest)
        {
            match packet.kind {
                Kind::Initial => self.initial(side, &packet, context),
                Kind::Retry if side != self.client => self.retry(&packet, context.stats),
                Kind::Retry | Kind::Other => {}
            }
        }
    }

    fn initial(&mut self, side: Side, packet: &Packet<'_>, context: &mut Context<'_>) {
        let Some(opening) = &mut self.opening else { return };
        if opening.packets == MAX_PACKETS {
            context.stats.quic_limit += 1;
            self.tell(context);
            return;
        }
        opening.packets += 1;
        let from_client = side == self.client;
        let Some(frames) = self.open(from_client, packet) else {
            context.stats.quic_bad_tags += 1;
            return;
        };
        if !from_client {
            // The server may choose another version (RFC 9368).
            self.version = packet.version;
        }
        let Some(opening) = &mut self.opening else { return };
        let stream = if from_client { &mut opening.client } else { &mut opening.server };
        let read = read(&frames, stream);
        context.stats.quic_malformed += u64::from(!read);
        let (malformed, unread) = match (from_client, stream.message()) {
            (true, Some((message::CLIENT_HELLO, body))) if self.client_hello.is_none() => {
                let hello = ClientHello::parse(body, true, Carrier::Quic);
                self.client_hello = hello.map(Box::new);
                (self.client_hello.is_none(), false)
            }
            (false, Some((message::SERVER_HELLO, body))) if self.server_hello.is_none() => {
                let hello = ServerHello::parse(body);
                self.retried |= hello.as_ref().is_some_and(|hello| hello.retry);
                self.server_hello = hello.map(Box::new);
                (self.server_hello.is_none(), false)
            }
            (_, message) => (false, message.is_none()),
        };
        context.stats.quic_malformed += u64::from(malformed);
        if !unread && self.client_hello.is_some() && self.server_hello.is_some() {
            self.tell(context);
        }
    }

    /// The frames of an Initial packet.
    fn open(&mut self, from_client: bool, packet: &Packet<'_>) -> Option<Vec<u8>> {
        let opening = self.opening.as_mut()?;
        if opening.keys.version != packet.version {
            opening.keys = Keys::derive(packet.version, &opening.id)?;
        }
        let keys = if from_client { &opening.keys.client } else { &opening.keys.server };
        let frames = keys.open(packet);
        if frames.is_some() || !from_client || self.server_hello.is_some() {
            return frames;
        }
        // It may have begun anew: after a Retry or a Version Negotiation that were not seen.
        let (anew, frames) = Opening::new(packet)?;
        let packets = opening.packets;
        self.opening = Some(Box::new(Opening { packets, ..anew }));
        self.version = packet.version;
        Some(frames)
    }

    fn retry(&mut self, packet: &Packet<'_>, stats: &mut Stats) {
        let Some(opening) = &mut self.opening else { return };
        if !keys::is_retry(packet, &opening.id) {
            stats.quic_bad_tags += 1;
            return;
        }
        if let Some(keys) = Keys::derive(packet.version, packet.from) {
            self.retried = true;
            (opening.keys, opening.id) = (keys, packet.from.into());
            // The hello comes again, from its beginning.
            opening.client = Stream::default();
        }
    }

    /// The flow is over, or its memory is needed: what is known goes out.
    pub(crate) fn finish(&mut self, context: &mut Context<'_>) {
        self.tell(context);
    }

    fn tell(&mut self, context: &mut Context<'_>) {
        self.opening = None;
        let (client, server) = (self.client_hello.take(), self.server_hello.take());
        if std::mem::replace(&mut self.told, true) || (client.is_none() && server.is_none()) {
            return;
        }
        let complete = client.is_some() && server.is_some();
        let offered = client.as_ref().and_then(|hello| hello.version);
        let (sni, alpn, ja4) =
            client.map_or_else(Default::default, |hello| (hello.sni, hello.alpn, hello.ja4));
        context.handshake(Negotiated {
            time: self.began,
            quic: Some(self.version),
            version: server.as_ref().map(|hello| hello.version),
            offered,
            sni,
            alpn,
            alpn_selected: None,
            cipher: server.map(|hello| hello.cipher),
            ja4,
            not_after: None,
            duration: None,
            retried: self.retried,
            complete,
        });
    }
}

/// Reads the frames of an Initial packet (RFC 9000, 12.4, 17.2.2 and 19), and keeps what CRYPTO ones
/// carry. False when they are none, or carry too much.
fn read(frames: &[u8], stream: &mut Stream) -> bool {
    const PADDING: u64 = 0x00;
    const PING: u64 = 0x01;
    const ACK: u64 = 0x02;
    const ACK_ECN: u64 = 0x03;
    const CRYPTO: u64 = 0x06;
    const CONNECTION_CLOSE: u64 = 0x1c;

    let mut reader = Reader::new(frames);
    let mut read = || -> Option<bool> {
        while !reader.is_empty() {
            match reader.varint()? {
                PADDING | PING => {}
                kind @ (ACK | ACK_ECN) => {
                    let (_largest, _delay) = (reader.varint()?, reader.varint()?);
                    let ranges = reader.varint()?;
                    reader.varint()?;
                    for _ in 0..ranges {
                        let (_gap, _length) = (reader.varint()?, reader.varint()?);
                    }
                    if kind == ACK_ECN {
                        let _counts = (reader.varint()?, reader.varint()?, reader.varint()?);
                    }
                }
                CRYPTO => {
                    let offset = reader.varint()?;
                    let length = usize::try_from(reader.varint()?).ok()?;
                    if !stream.put(offset, reader.take(length)?) {
                        return Some(false);
                    }
                }
                CONNECTION_CLOSE => {
                    let (_error, _frame) = (reader.varint()?, reader.varint()?);
                    let length = usize::try_from(reader.varint()?).ok()?;
                    reader.take(length)?;
                }
                _ => return Some(false),
            }
        }
        Some(true)
    };
    read().unwrap_or(false)
}
