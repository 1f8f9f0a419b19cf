//! What a flow carries: recognised by its first bytes, then fed to its parser.

use super::carried::{Outcome, Piece, Protocol, Recognised, Speaker, Start};
use super::stream::Segment;
use super::{Application, Carries, Environment, Flow, Side, Sure};
use crate::sensor::{Context, proxy};

/// Segments that a connection entered in its middle may have before one begins a message.
const MAX_SEEK: u16 = 256;

/// A PROXY header that is being read, and where it began.
#[derive(Debug)]
pub(super) struct Announcement {
    reader: proxy::Reader,
    seq: u32,
    ack: Option<u32>,
    time: u64,
    peer: Option<u32>,
}

impl Announcement {
    /// Memory it takes.
    pub(super) fn footprint(&self) -> usize {
        size_of::<Self>() + self.reader.footprint()
    }
}

impl Flow {
    pub(super) fn hand_on(&mut self, side: Side, segment: &Segment<'_>, env: &mut Environment<'_>) {
        let peer = self.directions[1 - side].stream.next();
        let Segment { seq, len, ack, fin, time, data } = *segment;
        self.directions[side].stream.pass(segment);
        self.confirm(side, ack);
        if matches!(self.carries, Carries::Opaque | Carries::Upgraded(_))
            && let Some(protocol) = Protocol::inside(data)
        {
            self.carries = Carries::Known(protocol);
        }
        if len != 0 && !matches!(self.carries, Carries::Opaque | Carries::Upgraded(_)) {
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
            self.with_protocol(env, |protocol, context| protocol.ended(from_client, context));
        }
    }

    pub(super) fn data(&mut self, side: Side, piece: Piece<'_>, env: &mut Environment<'_>) {
        let first = matches!(self.carries, Carries::Unknown(0)) && self.announced.is_none();
        if first && self.is_sure_client(side) && proxy::can_begin(piece.data) {
            let Piece { seq, ack, time, peer, .. } = piece;
            let reader = proxy::Reader::default();
            self.carries =
                Carries::Announced(Box::new(Announcement { reader, seq, ack, time, peer }));
        }
        if matches!(self.carries, Carries::Announced(_)) {
            self.announcement(side, piece, env);
        } else {
            self.content(side, piece, env);
        }
    }

    /// Whether the first bytes of this side are surely the client's first.
    fn is_sure_client(&self, side: Side) -> bool {
        side == self.client && self.sure != Sure::Guess && self.directions[side].stream.whole()
    }

    fn announcement(&mut self, side: Side, piece: Piece<'_>, env: &mut Environment<'_>) {
        let Carries::Announced(announcement) = &mut self.carries else { return };
        if side != self.client {
            // The server speaks first: nothing that is followed does.
            return self.becomes(Carries::Opaque, env);
        }
        match announcement.reader.feed(piece.data) {
            proxy::Progress::More => {}
            proxy::Progress::Done { used, client } => {
                env.stats.announced_flows += 1;
                self.announced = client;
                self.carries = Carries::Unknown(0);
                let data = piece.data.get(used..).unwrap_or_default();
                if !data.is_empty() {
                    let seq = piece.seq.wrapping_add(used as u32);
                    self.content(side, Piece { data, seq, ..piece }, env);
                }
            }
            proxy::Progress::Foreign => {
                let Carries::Announced(announcement) =
                    std::mem::replace(&mut self.carries, Carries::Unknown(0))
                else {
                    return;
                };
                let Announcement { reader, seq, ack, time, peer } = *announcement;
                // All that came before this piece, which was too little to tell.
                let held = reader.into_held();
                let before = piece.seq.wrapping_sub(seq) as usize;
                let data = held.get(..before).unwrap_or_default();
                if !data.is_empty() {
                    self.content(side, Piece { data, seq, ack, time, peer }, env);
                }
                self.content(side, piece, env);
            }
        }
    }

    fn content(&mut self, side: Side, piece: Piece<'_>, env: &mut Environment<'_>) {
        if let Carries::Unknown(seen) = self.carries {
            match self.recognise(side, &piece) {
                Recognised::Is(protocol) => self.carries = Carries::Known(protocol),
                Recognised::Unclear if seen < MAX_SEEK => {
                    self.carries = Carries::Unknown(seen + 1);
                    return;
                }
                Recognised::Unclear | Recognised::Foreign => {
                    return self.becomes(Carries::Opaque, env);
                }
            }
        }
        let from_client = side == self.client;
        let outcome =
            self.with_protocol(env, |protocol, context| protocol.data(from_client, piece, context));
        match outcome {
            Some(Outcome::Foreign) => {
                self.becomes(Carries::Opaque, env);
            }
            Some(Outcome::Upgraded) => {
                let to = self.with_protocol(env, |protocol, context| {
                    let to = protocol.upgraded_to();
                    protocol.finish(context);
                    to
                });
                self.becomes(Carries::Upgraded(to.unwrap_or(Application::Upgraded)), env);
            }
            Some(Outcome::Goes | Outcome::Http2(_)) | None => {}
        }
    }

    /// What the first bytes seen of a flow begin. The roles are settled by them where nothing said
    /// yet who is the client.
    fn recognise(&mut self, side: Side, piece: &Piece<'_>) -> Recognised {
        let known = self.sure != Sure::Guess && self.directions[side].stream.whole();
        let client = if known {
            side == self.client
        } else {
            match Protocol::speaker(piece.data) {
                Speaker::Client => true,
                Speaker::Server => false,
                Speaker::Either => side == self.client,
                Speaker::Unknown => return Recognised::Unclear,
            }
        };
        self.is_client(if client { side } else { 1 - side }, Sure::Content);
        let stream = |side: Side| &self.directions[side].stream;
        let (client, server) = (stream(self.client), stream(1 - self.client));
        let start = Start {
            client_whole: client.whole(),
            server_whole: server.whole(),
            missed: client.peer_then(),
        };
        Protocol::recognise(piece.data, side == self.client, known, start)
    }

    pub(super) fn becomes(&mut self, carries: Carries, env: &mut Environment<'_>) {
        match carries {
            Carries::Opaque => env.stats.opaque_flows += 1,
            Carries::Upgraded(_) => env.stats.upgraded_flows += 1,
            Carries::Unknown(_) | Carries::Announced(_) | Carries::Known(_) | Carries::Quic(_) => {}
        }
        self.carries = carries;
    }

    pub(super) fn missing(&mut self, side: Side, length: u32, env: &mut Environment<'_>) {
        let peer = self.directions[1 - side].stream.next();
        if matches!(self.carries, Carries::Announced(_)) {
            self.carries = Carries::Unknown(0);
        }
        if matches!(self.carries, Carries::Unknown(_)) {
            self.directions[side].stream.set_holed(peer);
            return;
        }
        let from_client = side == self.client;
        self.with_protocol(env, |protocol, context| {
            protocol.missing(from_client, length, peer, context);
        });
    }

    pub(super) fn with_protocol<R>(
        &mut self,
        env: &mut Environment<'_>,
        run: impl FnOnce(&mut Protocol, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let facts = self.facts();
        let Carries::Known(protocol) = &mut self.carries else { return None };
        let mut context = Context::new(env, facts);
        let result = run(protocol, &mut context);
        self.transactions += context.emitted;
        Some(result)
    }
}
