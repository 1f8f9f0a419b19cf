//! What a flow carries: recognised by its first bytes, then fed to its parser.

use super::stream::Segment;
use super::{Carries, Connection, Environment, Flow, Side, Sure};
use crate::sensor::Context;
use crate::sensor::http1::{self, Opening, Outcome, Piece};

/// Segments that a connection entered in its middle may have before one begins a message.
const MAX_SEEK: u16 = 256;

impl Flow {
    pub(super) fn hand_on(&mut self, side: Side, segment: &Segment<'_>, env: &mut Environment<'_>) {
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

    pub(super) fn data(&mut self, side: Side, piece: Piece<'_>, env: &mut Environment<'_>) {
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
                self.with_connection(env, Connection::finish);
                self.becomes(Carries::Upgraded, env);
            }
            Some(Outcome::Http) | None => {}
        }
    }

    /// Whether the first bytes seen of a flow are HTTP; `None` when later ones may be.
    pub(super) fn recognise(&mut self, side: Side, piece: &Piece<'_>) -> Option<bool> {
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

    pub(super) fn becomes(&mut self, carries: Carries, env: &mut Environment<'_>) {
        match carries {
            Carries::Opaque => env.stats.opaque_flows += 1,
            Carries::Upgraded => env.stats.upgraded_flows += 1,
            Carries::Unknown(_) | Carries::Http(_) => {}
        }
        self.carries = carries;
    }

    pub(super) fn missing(&mut self, side: Side, length: u32, env: &mut Environment<'_>) {
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

    pub(super) fn with_connection<R>(
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
}
