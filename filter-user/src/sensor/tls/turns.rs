//! Turns of an encrypted connection: what the client sends, and what the server sends until the
//! client sends again.
//!
//! Content cannot be seen, so that some of what servers send by themselves has to be told by its
//! look: tickets, which follow a handshake and are as long as each other, and HTTP/2's frames of
//! control, which have lengths of their own.

use super::record::Origin;
use crate::sensor::Context;
use crate::sensor::flow::ahead;

/// Longest record that is taken for a ticket, and shortest.
const TICKET: std::ops::RangeInclusive<u16> = 48..=1500;
/// Most tickets that a server sends after a handshake.
const MAX_TICKETS: u8 = 4;
/// Longest content of the record that holds a server's SETTINGS, and a WINDOW_UPDATE behind them
/// (RFC 9113, 6.5: nine bytes, and six for each setting).
const MAX_SETTINGS: u16 = 9 + 8 * 6 + 13;
/// Lengths of frames that are no part of a request or its answer (RFC 9113, 4.1 and 6): an
/// acknowledgement of SETTINGS, WINDOW_UPDATE or RST_STREAM, PING, and two of them.
const CONTROL: [u16; 5] = [9, 13, 17, 22, 26];

/// When the server's first byte was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    /// It was lost.
    Unseen,
    At(u64),
}

#[derive(Clone, Copy, Debug)]
struct Open {
    /// Where the client's first byte is.
    origin: Origin,
    request: u64,
    response: u64,
    answer: Answer,
    /// The client's first byte was seen for what it is.
    whole: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Turns {
    open: Option<Open>,
    /// The client sent what was not seen.
    hidden: bool,
    /// Records of the server's that might be tickets, and the length of the first.
    tickets: u8,
    ticket: u16,
    /// The client has sent after the server answered: no ticket is waited for.
    settled: bool,
    /// The server's SETTINGS were seen.
    settings: bool,
}

/// What a record of application data says about itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Bytes of its payload.
    pub(super) length: u16,
    /// Bytes of what is in it, where the cipher tells.
    pub(super) content: Option<u16>,
    /// TLS 1.3: servers send tickets as application data.
    pub(super) tickets: bool,
    /// HTTP/2 may be spoken.
    pub(super) h2: bool,
}

impl Look {
    fn is_control(&self) -> bool {
        self.h2 && self.content.is_some_and(|content| CONTROL.contains(&content))
    }
}

impl Turns {
    /// Whether a record of the client's belongs to a turn.
    pub(super) fn counts_client(look: &Look) -> bool {
        !look.is_control()
    }

    /// Whether a record of the server's that begins here answers; `ack` is what its segment
    /// acknowledges.
    pub(super) fn counts_server(&mut self, look: &Look, ack: Option<u32>) -> bool {
        if look.tickets && !self.settled && self.tickets < MAX_TICKETS {
            self.tickets += 1;
            if self.tickets == 1 {
                self.ticket = look.length;
            } else if self.ticket == look.length && TICKET.contains(&look.length) {
                // And so was the one before.
                if let Some(open) = &mut self.open {
                    (open.answer, open.response) = (Answer::Awaited, 0);
                }
                return false;
            } else {
                self.tickets = MAX_TICKETS;
            }
        }
        let unasked = match (&self.open, ack) {
            // What its sender has not received it does not answer.
            (Some(Open { answer: Answer::Awaited, origin, .. }), Some(ack)) => {
                ahead(ack, origin.seq) <= 0
            }
            _ => false,
        };
        if unasked || look.is_control() {
            return false;
        }
        let settings = look.h2
            && !self.settings
            && look.content.is_some_and(|content| (9..=MAX_SETTINGS).contains(&content));
        self.settings = true;
        !settings
    }

    /// Bytes of the client's that belong to a turn.
    pub(super) fn client(&mut self, bytes: u64, origin: Origin, context: &mut Context<'_>) {
        match &mut self.open {
            Some(open) if open.answer == Answer::Awaited => open.request += bytes,
            _ => {
                self.close(context);
                let whole = !std::mem::take(&mut self.hidden);
                let answer = Answer::Awaited;
                self.open = Some(Open { origin, request: bytes, response: 0, answer, whole });
            }
        }
    }

    /// Bytes of the server's that answer.
    pub(super) fn server(&mut self, bytes: u64, time: u64) {
        if let Some(open) = &mut self.open {
            if open.answer == Answer::Awaited {
                open.answer = Answer::At(time);
            }
            open.response += bytes;
        }
    }

    /// Bytes of the client's that are missing.
    pub(super) fn client_missing(&mut self, bytes: u64, context: &mut Context<'_>) {
        match &mut self.open {
            Some(open) if open.answer == Answer::Awaited => open.request += bytes,
            _ => {
                self.close(context);
                self.hidden = true;
            }
        }
    }

    /// Bytes of the server's that are missing.
    pub(super) fn server_missing(&mut self, bytes: u64) {
        if let Some(open) = &mut self.open {
            if open.answer == Answer::Awaited {
                open.answer = Answer::Unseen;
            }
            open.response += bytes;
        }
    }

    /// What was taken for a request was part of the handshake.
    pub(super) fn take_back(&mut self) {
        if self.open.is_some_and(|open| open.answer == Answer::Awaited) {
            self.open = None;
        }
    }

    /// The turn at hand, if there is one, is over.
    pub(super) fn close(&mut self, context: &mut Context<'_>) {
        let Some(open) = self.open.take() else { return };
        self.settled |= open.answer != Answer::Awaited;
        let Open { origin, request, response, answer, whole } = open;
        context.turn(Exchanged {
            time: origin.time,
            request_bytes: request,
            response_bytes: response,
            latency: match answer {
                Answer::At(time) if whole => Some(time.saturating_sub(origin.time)),
                _ => None,
            },
            complete: whole && matches!(answer, Answer::At(_)),
        });
    }
}

/// A turn as far as TLS knows it: [`crate::sensor::Turn`] without what the flow adds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchanged {
    pub(crate) time: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) latency: Option<u64>,
    pub(crate) complete: bool,
}
