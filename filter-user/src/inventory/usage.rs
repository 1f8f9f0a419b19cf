//! What was seen of one endpoint, as numbers in bounded memory.

use std::collections::BTreeMap;

use crate::sensor::transaction::{Credential, Transaction, Visibility};

use super::route::says_exists;
use super::sources::Sources;
use crate::detect::Source;

/// Statuses of one endpoint that are told apart; further ones are counted as 0, as no answer is.
const MAX_STATUSES: usize = 40;
/// Media types of one endpoint that are told apart; further ones are [`OTHER_TYPE`].
const MAX_TYPES: usize = 8;
/// The media type of those for which there is no room.
pub const OTHER_TYPE: &str = "*/*";

/// How often and when last. Counts are in 65536ths of a request, as weights are; times are seconds
/// since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub count: u64,
    /// When last; 0: never.
    pub last: u64,
}

impl Tally {
    /// Adds so much, in 65536ths, at this time.
    pub fn add(&mut self, weight: u64, now: u64) {
        self.count = self.count.saturating_add(weight);
        self.last = self.last.max(now);
    }

    fn merge(&mut self, other: Self) {
        self.add(other.count, other.last);
    }

    /// Requests, rounded down.
    pub fn requests(self) -> u64 {
        self.count >> 16
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// When it was seen first, seconds since 1970.
    pub first: u64,
    /// All requests.
    pub all: Tally,
    /// Those that a server that has no such endpoint would hardly have answered so.
    pub proven: Tally,
    /// Those that were answered as present, whoever answered so ([`says_exists`]).
    pub present: bool,
    /// Those with a kind of credential, in the order of [`Credential::ALL`].
    pub credentials: [Tally; Credential::ALL.len()],
    /// Those of them that came in clear text.
    pub clear_credentials: [Tally; Credential::ALL.len()],
    /// Those without any.
    pub anonymous: Tally,
    /// Those in clear text.
    pub plaintext: Tally,
    /// Those inside TLS or QUIC.
    pub encrypted: Tally,
    /// Calls by gRPC.
    pub grpc: Tally,
    /// By status, in 65536ths; 0: no answer was seen.
    pub statuses: BTreeMap<u16, u64>,
    /// By media type of the request's body, in 65536ths.
    pub request_types: BTreeMap<Box<str>, u64>,
    /// By media type of the response's body, in 65536ths.
    pub response_types: BTreeMap<Box<str>, u64>,
    /// From where.
    pub sources: Sources,
}

impl Usage {
    /// Takes a transaction into account. `source` is who sent it, as the API tells sources apart;
    /// `now` is its time in seconds since 1970.
    pub fn add(&mut self, transaction: &Transaction, source: Source, now: u64) {
        let weight = u64::from(transaction.weight.max(1 << 16));
        if self.first == 0 {
            self.first = now;
        }
        self.all.add(weight, now);
        let status = transaction.status.filter(|status| (100..=599).contains(status)).unwrap_or(0);
        if proves(status) {
            self.proven.add(weight, now);
        }
        self.present |= status != 0 && says_exists(status);
        let clear = transaction.visibility == Visibility::Plaintext;
        let seen = if clear { &mut self.plaintext } else { &mut self.encrypted };
        seen.add(weight, now);
        if transaction.grpc.is_some() {
            self.grpc.add(weight, now);
        }
        if transaction.credentials.any() {
            for kind in transaction.credentials.kinds() {
                self.credentials[kind as usize].add(weight, now);
                if clear {
                    self.clear_credentials[kind as usize].add(weight, now);
                }
            }
        } else {
            self.anonymous.add(weight, now);
        }
        let room = self.statuses.len() < MAX_STATUSES || self.statuses.contains_key(&status);
        *self.statuses.entry(if room { status } else { 0 }).or_default() += weight;
        for (types, seen) in [
            (&mut self.request_types, &transaction.request_type),
            (&mut self.response_types, &transaction.response_type),
        ] {
            if let Some(media) = seen {
                count(types, media, weight);
            }
        }
        self.sources.add(source.address);
    }

    /// Takes another endpoint's numbers too, which is the same one now.
    pub fn merge(&mut self, other: &Self) {
        self.first = match (self.first, other.first) {
            (0, first) | (first, 0) => first,
            (a, b) => a.min(b),
        };
        for (ours, theirs) in [
            (&mut self.all, other.all),
            (&mut self.proven, other.proven),
            (&mut self.anonymous, other.anonymous),
            (&mut self.plaintext, other.plaintext),
            (&mut self.encrypted, other.encrypted),
            (&mut self.grpc, other.grpc),
        ] {
            ours.merge(theirs);
        }
        self.present |= other.present;
        for (ours, theirs) in self.credentials.iter_mut().zip(other.credentials) {
            ours.merge(theirs);
        }
        for (ours, theirs) in self.clear_credentials.iter_mut().zip(other.clear_credentials) {
            ours.merge(theirs);
        }
        for (&status, &weight) in &other.statuses {
            let room = self.statuses.len() < MAX_STATUSES || self.statuses.contains_key(&status);
            *self.statuses.entry(if room { status } else { 0 }).or_default() += weight;
        }
        for (types, seen) in [
            (&mut self.request_types, &other.request_types),
            (&mut self.response_types, &other.response_types),
        ] {
            for (media, &weight) in seen {
                count(types, media, weight);
            }
        }
        self.sources.merge(&other.sources);
    }

    /// The kinds of credentials that were seen, with how often.
    pub fn credential_kinds(&self) -> impl Iterator<Item = (Credential, Tally)> {
        let all = Credential::ALL.into_iter().zip(self.credentials);
        all.filter(|(_, tally)| tally.count > 0)
    }
}

fn count(types: &mut BTreeMap<Box<str>, u64>, media: &str, weight: u64) {
    let media = media.to_ascii_lowercase();
    let room = types.len() < MAX_TYPES || types.contains_key(media.as_str());
    let key = if room && is_media_type(&media) { media.as_str() } else { OTHER_TYPE };
    match types.get_mut(key) {
        Some(known) => *known += weight,
        None => drop(types.insert(key.into(), weight)),
    }
}

/// Whether a text is a media type and nothing else (RFC 9110, section 8.3.1): a client can write
/// anything into the field, a secret too.
fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
        !part.is_empty() && part.len() <= 48 && part.bytes().all(plain)
    };
    const TOP: [&str; 10] = [
        "application",
        "audio",
        "font",
        "image",
        "message",
        "model",
        "multipart",
        "text",
        "video",
        "haptics",
    ];
    text.split_once('/').is_some_and(|(top, sub)| TOP.contains(&top) && token(sub))
}

/// Whether an answer with this status shows that there is something: not when it may be that of a
/// guard before the server, which answers so whatever is asked for (401, 403, 407, 429, 451), of a
/// gateway (502 to 504), or says that there is nothing.
fn proves(status: u16) -> bool {
    matches!(status, 100..=599)
        && says_exists(status)
        && !matches!(status, 401 | 403 | 407 | 408 | 429 | 451 | 502..=504)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_that_prove_something() {
        for (status, expected) in [
            (0, false),
            (200, true),
            (301, true),
            (401, false),
            (403, false),
            (404, false),
            (405, false),
            (409, true),
            (422, true),
            (500, true),
            (501, false),
            (503, false),
            (999, false),
        ] {
            assert_eq!(proves(status), expected, "{status}");
        }
    }

    #[test]
    fn media_types_are_few_and_nothing_else() {
        let mut types = BTreeMap::new();
        for media in ["Application/JSON", "application/json", "secret/hunter2", "x", "text/a b"] {
            count(&mut types, media, 1 << 16);
        }
        assert_eq!(
            types.into_iter().collect::<Vec<_>>(),
            [(OTHER_TYPE.into(), 3 << 16), ("application/json".into(), 2 << 16)]
        );
        let mut types = BTreeMap::new();
        for n in 0..100 {
            count(&mut types, &format!("text/x{n}"), 1);
        }
        assert_eq!((types.len(), types[OTHER_TYPE]), (MAX_TYPES + 1, 92));
    }
}
