//! What a flow of datagrams carries: QUIC, or something that is not followed.

use filter_common::record::Header;

use super::{Carries, Environment, Flow, Side, Sure};
use crate::sensor::{Context, quic};

/// Datagrams that a flow may have before one begins a connection: some are lost, and others come
/// before the first.
const MAX_SEEK: u16 = 8;

impl Flow {
    pub(super) fn datagram(
        &mut self,
        side: Side,
        header: &Header,
        payload: &[u8],
        env: &mut Environment<'_>,
    ) {
        if let Carries::Unknown(seen) = self.carries {
            let begins = quic::can_begin(payload, header.payload_len as usize)
                .then(|| quic::Connection::begin(side, payload, header.time, env.stats));
            match begins.flatten() {
                Some(connection) => {
                    self.is_client(connection.client(), Sure::Content);
                    self.carries = Carries::Quic(Box::new(connection));
                }
                None if seen < MAX_SEEK => self.carries = Carries::Unknown(seen + 1),
                None => self.becomes(Carries::Opaque, env),
            }
        }
        env.stats.cut_bytes += u64::from(header.payload_len) - payload.len() as u64;
        self.with_quic(env, |connection, context| connection.datagram(side, payload, context));
    }

    pub(super) fn with_quic(
        &mut self,
        env: &mut Environment<'_>,
        run: impl FnOnce(&mut quic::Connection, &mut Context<'_>),
    ) {
        let facts = self.facts();
        let Carries::Quic(connection) = &mut self.carries else { return };
        run(connection, &mut Context::new(env, facts));
    }
}
