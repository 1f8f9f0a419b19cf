//! TLS (RFC 8446, RFC 5246): what the handshake says in the clear, and turns of what is encrypted.
//!
//! Bytes come in the order of cause and effect (see [`super::flow`]), with every missing stretch
//! told. Nothing is decrypted. Which records of TLS 1.3 still belong to the handshake is told by
//! their order, and by the length of Finished (RFC 8446, 4.4.4); which ones are turns, see [`turns`].

mod certificate;
pub(crate) mod cipher;
pub(crate) mod hello;
mod ja4;
pub(crate) mod message;
mod record;
pub(crate) mod turns;

use self::hello::{ClientHello, ServerHello};
pub(crate) use self::ja4::Carrier;
use self::message::{Message, Messages};
use self::record::{Part, Records};
use self::turns::{Look, Turns};
use super::Context;
use super::encrypted::{Cipher, TlsVersion};
use super::flow::carried::{Outcome, Piece, Start};

/// Payload of a record of TLS 1.3 that holds an alert: two bytes, the content type, a tag.
const ALERT_1_3: u16 = 2 + 1 + 16;
/// Payload of one that holds EndOfEarlyData.
const END_OF_EARLY_DATA: u16 = 4 + 1 + 16;
/// Records that may follow the first encrypted one of a client that proves who it is (Certificate,
/// CertificateVerify, Finished), before it sends application data.
const CLIENT_FLIGHT: u8 = 3;

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// A ClientHello.
    Client,
    /// A ServerHello.
    Server,
    /// A record that is neither: the connection is entered late.
    Late,
    /// No TLS.
    Unknown,
}

/// Judges a segment somewhere in a connection by its first bytes.
pub(crate) fn opening(segment: &[u8]) -> Opening {
    if begins_hello(segment) {
        return Opening::Client;
    }
    if !record::begins_record(segment) {
        return Opening::Unknown;
    }
    match (segment.first(), segment.get(record::HEADER)) {
        (Some(&record::HANDSHAKE), Some(&message::SERVER_HELLO)) => Opening::Server,
        (Some(&record::APPLICATION_DATA), _) => Opening::Late,
        _ => Opening::Unknown,
    }
}

/// Whether a segment somewhere in a connection begins with a ClientHello.
pub(crate) fn begins_hello(segment: &[u8]) -> bool {
    let Some([kind, 3, _, _, _, message, 0, _, _, 3, minor]) = segment.first_chunk::<11>() else {
        return false;
    };
    *kind == record::HANDSHAKE
        && *message == message::CLIENT_HELLO
        && *minor <= 3
        && record::can_begin(segment)
}

/// Whether the first bytes of a stream can be TLS.
pub(crate) fn can_begin(bytes: &[u8]) -> bool {
    match bytes.first() {
        Some(&(record::HANDSHAKE | record::ALERT)) => record::can_begin(bytes),
        _ => old_hello(bytes).is_some(),
    }
}

/// The length of the ClientHello in the format of SSL 2 that these bytes begin (RFC 5246, E.2).
fn old_hello(bytes: &[u8]) -> Option<u16> {
    let [high, low, message::CLIENT_HELLO, major, minor] = bytes.first_chunk::<5>()? else {
        return None;
    };
    let length = u16::from_be_bytes([high & 0x7f, *low]);
    let version = matches!((major, minor), (3, 0..=3) | (0, 2));
    (high & 0x80 != 0 && length >= 9 && version).then_some(length)
}

/// What is made of the record at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Handshake messages in the clear.
    Handshake,
    /// Application data.
    Data,
    /// Nothing.
    Skip,
}

#[derive(Debug)]
struct Half {
    records: Records,
    messages: Messages,
    /// change_cipher_spec was seen: before TLS 1.3 all that follows is encrypted.
    changed: bool,
    /// When its Finished was seen.
    finished: Option<u64>,
    role: Role,
}

impl Half {
    fn new(whole: bool) -> Self {
        Self {
            records: Records::new(whole),
            messages: Messages::default(),
            changed: false,
            finished: None,
            role: Role::Skip,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Half,
    server: Half,
    /// When the first record was seen.
    first: u64,
    /// When the first of the client's part of the handshake was seen.
    began: Option<u64>,
    client_hello: Option<Box<ClientHello>>,
    server_hello: Option<Box<ServerHello>>,
    not_after: Option<i64>,
    retried: bool,
    /// The ClientHello was in the format of SSL 2.
    old_hello: bool,
    /// The side that opened the connection is TLS's server.
    swapped: bool,
    /// The connection is entered in its middle: no handshake is expected.
    late: bool,
    /// Some of the client's part of the handshake was lost.
    unsure: bool,
    /// How many more records of the client's may belong to its part of the handshake.
    flight: u8,
    started: bool,
    told: bool,
    turns: Turns,
}

impl Connection {
    /// A connection that is entered like this; `first` are its first bytes.
    pub(crate) fn new(start: Start, first: &[u8]) -> Self {
        let hello = begins_hello(first);
        let mut client = Half::new(start.client_whole || hello);
        let old = if start.client_whole { old_hello(first) } else { None };
        if let Some(length) = old {
            client.records.expect_old_hello(length);
        }
        Self {
            client,
            server: Half::new(start.server_whole),
            first: 0,
            began: None,
            client_hello: None,
            server_hello: None,
            not_after: None,
            retried: false,
            old_hello: old.is_some(),
            swapped: false,
            late: !start.client_whole && !hello && opening(first) != Opening::Server,
            unsure: !start.client_whole && !hello,
            flight: 0,
            started: false,
            told: false,
            turns: Turns::default(),
        }
    }

    /// Memory that is not the connection's own size.
    pub(crate) fn footprint(&self) -> usize {
        let hello = self.client_hello.as_ref().map_or(0, |hello| hello.footprint());
        hello + self.client.messages.footprint() + self.server.messages.footprint()
    }

    /// Whether the client has begun a hello and not ended it.
    pub(crate) fn in_hello(&self) -> bool {
        self.client_hello.is_none() && !self.late && !self.unsure && !self.old_hello
    }

    fn half(&mut self, client: bool) -> &mut Half {
        if client { &mut self.client } else { &mut self.server }
    }

    /// Bytes of the client, or of the server.
    pub(crate) fn data(
        &mut self,
        from_client: bool,
        piece: Piece<'_>,
        context: &mut Context<'_>,
    ) -> Outcome {
        if !from_client && !self.started && begins_hello(piece.data) {
            self.swapped = true;
            std::mem::swap(&mut self.client, &mut self.server);
        }
        let from_client = from_client != self.swapped;
        let mut at = 0;
        loop {
            match self.half(from_client).records.next(&piece, &mut at) {
                Ok(Some(part)) => self.part(from_client, &part, &piece, context),
                Ok(None) => return Outcome::Goes,
                Err(record::NoRecord) if !self.started && !self.old_hello => {
                    return Outcome::Foreign;
                }
                Err(record::NoRecord) => {
                    context.stats.tls_malformed += 1;
                    self.half(from_client).messages.lose();
                    self.unsure |= from_client && !self.is_over();
                    return Outcome::Goes;
                }
            }
        }
    }

    /// Whether the handshake is behind, as far as the client goes.
    fn is_over(&self) -> bool {
        self.late || self.client.finished.is_some()
    }

    /// Whether it is TLS 1.3, or may be as far as is known.
    fn is_1_3(&self) -> bool {
        match (&self.server_hello, &self.client_hello) {
            (Some(hello), _) => hello.version.is_1_3(),
            (None, Some(hello)) => hello.version.is_some_and(TlsVersion::is_1_3),
            (None, None) => false,
        }
    }

    fn part(
        &mut self,
        from_client: bool,
        part: &Part<'_>,
        piece: &Piece<'_>,
        context: &mut Context<'_>,
    ) {
        if part.first || part.kind == record::UNFRAMED {
            if part.first && !std::mem::replace(&mut self.started, true) {
                self.first = part.origin.time;
                context.stats.tls_flows += 1;
                context.stats.tls_joined_late += u64::from(self.late);
            }
            if from_client && part.kind == record::HANDSHAKE {
                self.began.get_or_insert(part.origin.time);
            }
            let role = self.role(from_client, part, piece.ack, context);
            self.half(from_client).role = role;
        }
        match self.half(from_client).role {
            Role::Handshake => self.handshake(from_client, part, context),
            Role::Data => {
                let header = if part.first { record::HEADER } else { 0 };
                let bytes = (part.bytes.len() + header) as u64;
                if from_client {
                    self.turns.client(bytes, part.origin, context);
                } else {
                    self.tell(context);
                    self.turns.server(bytes, part.origin.time);
                }
            }
            Role::Skip => {}
        }
    }

    /// What a record that begins is.
    fn role(
        &mut self,
        from_client: bool,
        part: &Part<'_>,
        ack: Option<u32>,
        context: &mut Context<'_>,
    ) -> Role {
        match part.kind {
            record::HANDSHAKE if self.is_1_3() || !self.half(from_client).changed => {
                Role::Handshake
            }
            record::HANDSHAKE => {
                self.half(from_client).finished.get_or_insert(part.origin.time);
                if self.client.finished.is_some() && self.server.finished.is_some() {
                    self.tell(context);
                }
                Role::Skip
            }
            record::CHANGE_CIPHER_SPEC => {
                self.half(from_client).changed = true;
                Role::Skip
            }
            record::APPLICATION_DATA if from_client => self.client_role(part, context),
            record::APPLICATION_DATA => self.server_role(part, ack),
            record::UNFRAMED if self.late || self.is_over() => Role::Data,
            _ => Role::Skip,
        }
    }

    fn look(&self, part: &Part<'_>) -> Look {
        let overhead =
            self.server_hello.as_ref().and_then(|hello| cipher::overhead(hello.cipher.0));
        let selected = self.server_hello.as_ref().and_then(|hello| hello.alpn.as_deref());
        let offered = self.client_hello.as_ref().is_some_and(|hello| {
            (self.is_1_3() || selected.is_some()) && hello.alpn.iter().any(|name| name == "h2")
        });
        Look {
            length: part.length,
            content: overhead.and_then(|overhead| part.length.checked_sub(overhead)),
            tickets: self.is_1_3(),
            h2: offered && selected.is_none_or(|name| name == "h2"),
        }
    }

    fn client_role(&mut self, part: &Part<'_>, context: &mut Context<'_>) -> Role {
        if self.is_1_3() && !self.unsure {
            let finished = match &self.server_hello {
                Some(hello) => part.length == 4 + cipher::hash_bytes(hello.cipher.0) + 17,
                None => matches!(part.length, 53 | 69),
            };
            let early = self.client_hello.as_ref().is_some_and(|hello| hello.early_data);
            match self.client.finished {
                None if early && part.length == END_OF_EARLY_DATA => return Role::Skip,
                None if !early || finished => {
                    self.client.finished = Some(part.origin.time);
                    self.flight = if finished { 0 } else { CLIENT_FLIGHT };
                    if finished {
                        self.tell(context);
                    }
                    return Role::Skip;
                }
                Some(_) if self.flight != 0 && finished => {
                    self.client.finished = Some(part.origin.time);
                    self.flight = 0;
                    self.turns.take_back();
                    self.tell(context);
                    return Role::Skip;
                }
                Some(_) if self.flight != 0 => self.flight -= 1,
                Some(_) if part.length == ALERT_1_3 => return Role::Skip,
                _ => {}
            }
        }
        if self.late && part.length == ALERT_1_3 {
            return Role::Skip;
        }
        if Turns::counts_client(&self.look(part)) { Role::Data } else { Role::Skip }
    }

    fn server_role(&mut self, part: &Part<'_>, ack: Option<u32>) -> Role {
        if self.is_1_3() && !self.unsure {
            if self.client.finished.is_none() || part.length == ALERT_1_3 {
                return Role::Skip;
            }
            // It answers: the client's part was over before.
            self.flight = 0;
        }
        if self.late && part.length == ALERT_1_3 {
            return Role::Skip;
        }
        let look = self.look(part);
        if self.turns.counts_server(&look, ack) { Role::Data } else { Role::Skip }
    }

    fn handshake(&mut self, from_client: bool, part: &Part<'_>, context: &mut Context<'_>) {
        let mut rest = part.bytes;
        while let Some(message) = self.half(from_client).messages.next(&mut rest) {
            self.message(from_client, &message, context);
        }
    }

    fn message(&mut self, from_client: bool, message: &Message<'_>, context: &mut Context<'_>) {
        match (from_client, message.kind) {
            (true, message::CLIENT_HELLO) if self.client_hello.is_none() => {
                let hello = ClientHello::parse(&message.body, message.whole, Carrier::Tcp);
                context.stats.tls_malformed += u64::from(hello.is_none() && message.whole);
                self.client_hello = hello.map(Box::new);
            }
            (false, message::SERVER_HELLO) if message.whole => match &mut self.server_hello {
                Some(hello) if !hello.retry => {}
                before => match ServerHello::parse(&message.body) {
                    Some(hello) => {
                        self.retried |= hello.retry;
                        *before = Some(Box::new(hello));
                    }
                    None => context.stats.tls_malformed += 1,
                },
            },
            (false, message::CERTIFICATE) if self.not_after.is_none() => {
                self.not_after = certificate::not_after(&message.body);
            }
            _ => {}
        }
    }

    /// `length` bytes of the client, or of the server, are missing.
    pub(crate) fn missing(&mut self, from_client: bool, length: u32, context: &mut Context<'_>) {
        let from_client = from_client != self.swapped;
        let half = self.half(from_client);
        let missing = half.records.missing(length);
        let role = half.role;
        let mut cut = None;
        if missing.kind == record::HANDSHAKE && role == Role::Handshake {
            cut = half.messages.missing(missing.inside);
        }
        if missing.lost {
            half.messages.lose();
        }
        if let Some(message) = cut {
            self.message(from_client, &message, context);
        }
        if missing.lost {
            context.stats.tls_resynchronised += 1;
            self.unsure |= from_client && !self.is_over();
        }
        if role == Role::Data || (missing.lost && self.is_over()) {
            if from_client {
                self.turns.client_missing(u64::from(length), context);
            } else {
                self.turns.server_missing(u64::from(length));
            }
        }
    }

    /// The flow is over: everything there is goes out.
    pub(crate) fn finish(&mut self, context: &mut Context<'_>) {
        self.tell(context);
        self.turns.close(context);
    }

    /// Lets go of all memory: what is unfinished is void.
    pub(crate) fn abandon(&mut self, context: &mut Context<'_>) {
        self.unsure |= !self.is_over();
        self.tell(context);
        self.client.messages.lose();
        self.server.messages.lose();
    }

    /// Hands out the handshake, once.
    fn tell(&mut self, context: &mut Context<'_>) {
        let seen = self.client_hello.is_some() || self.server_hello.is_some() || self.old_hello;
        if self.told || !seen {
            return;
        }
        self.told = true;
        context.stats.tls_old_hellos += u64::from(self.old_hello);
        let finished = if self.is_1_3() {
            self.client.finished
        } else {
            self.client
                .finished
                .zip(self.server.finished)
                .map(|(client, server)| client.max(server))
        };
        let hello = self.client_hello.as_mut();
        let (sni, alpn, ja4) = hello.map_or_else(Default::default, |hello| {
            (hello.sni.take(), std::mem::take(&mut hello.alpn), hello.ja4.take())
        });
        // Whether HTTP/2 may be spoken is asked on.
        if let Some(hello) = &mut self.client_hello
            && alpn.iter().any(|name| name == "h2")
        {
            hello.alpn = vec!["h2".to_owned()];
        }
        let chosen = self.server_hello.as_ref();
        let complete = ja4.is_some() && chosen.is_some_and(|hello| !hello.retry);
        context.handshake(Negotiated {
            time: self.began.unwrap_or(self.first),
            quic: None,
            version: chosen.map(|hello| hello.version),
            offered: self.client_hello.as_ref().and_then(|hello| hello.version),
            sni,
            alpn,
            alpn_selected: chosen.and_then(|hello| hello.alpn.clone()),
            cipher: chosen.map(|hello| hello.cipher),
            ja4,
            not_after: self.not_after,
            duration: finished.zip(self.began).map(|(end, begin)| end.saturating_sub(begin)),
            retried: self.retried,
            complete,
        });
    }
}

/// A handshake as far as its protocol knows it: [`crate::sensor::Handshake`] without what the flow
/// adds.
#[derive(Debug)]
pub(crate) struct Negotiated {
    pub(crate) time: u64,
    pub(crate) quic: Option<crate::sensor::encrypted::QuicVersion>,
    pub(crate) version: Option<TlsVersion>,
    pub(crate) offered: Option<TlsVersion>,
    pub(crate) sni: Option<String>,
    pub(crate) alpn: Vec<String>,
    pub(crate) alpn_selected: Option<String>,
    pub(crate) cipher: Option<Cipher>,
    pub(crate) ja4: Option<String>,
    pub(crate) not_after: Option<i64>,
    pub(crate) duration: Option<u64>,
    pub(crate) retried: bool,
    pub(crate) complete: bool,
}
