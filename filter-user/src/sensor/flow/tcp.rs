//! What a TCP connection tells of itself, besides what it carries (RFC 9293).

use filter_common::packet::tcp_flags;
use filter_common::record::Header;

use super::Side;

/// How far the opening of a connection was seen to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opening {
    /// Its SYN was not seen: it was there before.
    Midstream,
    /// A SYN that nothing answered.
    Attempted,
    /// A SYN that was answered by a reset.
    Rejected,
    /// A SYN that was answered by one, and the client never went on.
    HalfOpen,
    /// Both sides went on.
    Established,
}

impl Opening {
    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Midstream => "midstream",
            Self::Attempted => "attempted",
            Self::Rejected => "rejected",
            Self::HalfOpen => "half_open",
            Self::Established => "established",
        }
    }
}

/// See the module. Pairs are of the client's segments and of the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// How it began.
    pub opening: Opening,
    /// From the client's first SYN to its first segment behind the server's answer, ns: the round
    /// trip to the server and the one to the client. Bare acknowledgements are in captures only;
    /// live it is the first segment with data, which clients that speak first send at once.
    pub handshake: Option<u64>,
    /// Segments with data, and SYNs, all of which was there before.
    pub retransmissions: [u64; 2],
    /// Resets.
    pub resets: [u64; 2],
    /// Segments whose sender has no room for more.
    pub zero_windows: [u64; 2],
    /// The connection ended in the middle of a request's head.
    pub unfinished_head: bool,
}

/// The same, being gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// When the client's SYN was first seen.
    syn: Option<u64>,
    /// The server's SYN was seen, or a segment of the client that answers it.
    answered: bool,
    handshake: Option<u64>,
    retransmissions: [u32; 2],
    resets: [u32; 2],
    zero_windows: [u32; 2],
}

impl Gathered {
    /// Takes a segment.
    pub(super) fn note(&mut self, side: Side, client: Side, header: &Header) {
        let has = |flag: u8| header.tcp_flags & flag != 0;
        if has(tcp_flags::RST) {
            self.resets[side] += 1;
        } else if has(tcp_flags::SYN) {
            if has(tcp_flags::ACK) {
                self.answered = true;
            } else if self.syn.is_some() {
                self.retransmissions[side] += 1;
            } else {
                self.syn = Some(header.time);
            }
        } else {
            self.zero_windows[side] += u32::from(header.tcp_window == 0);
            if let Some(syn) = self.syn
                && side == client
                && has(tcp_flags::ACK)
                && self.handshake.is_none()
            {
                // It acknowledges the server's SYN, whose record may come later.
                self.answered = true;
                self.handshake = Some(header.time.saturating_sub(syn));
            }
        }
    }

    /// A segment repeats what was there.
    pub(super) fn repeats(&mut self, side: Side) {
        self.retransmissions[side] += 1;
    }

    /// All of it, seen from the client.
    pub(super) fn facts(&self, client: Side, mutual: bool, unfinished_head: bool) -> Tcp {
        let pair = |of: [u32; 2]| [u64::from(of[client]), u64::from(of[1 - client])];
        let resets = pair(self.resets);
        Tcp {
            opening: match self.syn {
                None => Opening::Midstream,
                Some(_) if mutual || self.handshake.is_some() => Opening::Established,
                Some(_) if self.answered => Opening::HalfOpen,
                Some(_) if resets[1] != 0 => Opening::Rejected,
                Some(_) => Opening::Attempted,
            },
            handshake: self.handshake,
            retransmissions: pair(self.retransmissions),
            resets,
            zero_windows: pair(self.zero_windows),
            unfinished_head,
        }
    }
}
