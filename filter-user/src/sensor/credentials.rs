//! Secrets that tell who asks: that they are there, of which kind, and a keyed hash by which the same
//! one is known again. Their values are never kept.

use std::hash::{BuildHasher, RandomState};

/// How long a key is used, ns.
const ROTATION: u64 = 24 * 3_600 * 1_000_000_000;

/// A kind of secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Credential {
    /// Authorization with the scheme Basic (RFC 7617): the password is there for everyone to read.
    Basic,
    /// Authorization with the scheme Bearer (RFC 6750).
    Bearer,
    /// Authorization with another scheme, or Proxy-Authorization.
    Authorization,
    /// A Cookie.
    Cookie,
    /// A header that is used for API keys and tokens.
    ApiKey,
    /// A parameter of the query that is used for keys, tokens and passwords.
    Query,
}

impl Credential {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Basic, Self::Bearer, Self::Authorization, Self::Cookie, Self::ApiKey, Self::Query];

    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::ApiKey => "api_key",
            Self::Query => "query",
        }
    }
}

/// The secrets of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Credentials {
    kinds: u8,
    identity: u64,
}

impl Credentials {
    /// Whether there are any.
    pub const fn any(self) -> bool {
        self.kinds != 0
    }

    /// Whether there is one of a kind.
    pub const fn has(self, kind: Credential) -> bool {
        self.kinds & 1 << kind as u8 != 0
    }

    /// The kinds there are.
    pub fn kinds(self) -> impl Iterator<Item = Credential> {
        Credential::ALL.into_iter().filter(move |&kind| self.has(kind))
    }

    /// A keyed hash of the secrets' values, the same for the same values until the key rotates;
    /// `None` when there are none.
    pub fn identity(self) -> Option<u64> {
        self.any().then_some(self.identity)
    }

    pub(super) fn add(&mut self, kind: Credential, value: &[u8], secrets: &Secrets) {
        self.kinds |= 1 << kind as u8;
        // A sum: the order of the fields says nothing.
        self.identity = self.identity.wrapping_add(secrets.hash(kind, value));
    }
}

#[cfg(test)]
impl Credentials {
    /// Some for tests: a cookie.
    pub(crate) fn example() -> Self {
        let mut all = Self::default();
        all.add(Credential::Cookie, b"session=1", &Secrets::new());
        all
    }
}

/// The key of the hashes: random, never told, another every day.
#[derive(Debug)]
pub(super) struct Secrets {
    key: RandomState,
    since: Option<u64>,
}

impl Secrets {
    pub(super) fn new() -> Self {
        Self { key: RandomState::new(), since: None }
    }

    /// Takes another key when this one is old; `now` in ns on the records' clock.
    pub(super) fn rotate(&mut self, now: u64) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_sub(since) >= ROTATION {
            *self = Self { key: RandomState::new(), since: Some(now) };
        }
    }

    fn hash(&self, kind: Credential, value: &[u8]) -> u64 {
        self.key.hash_one((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(secrets: &Secrets, fields: &[(Credential, &[u8])]) -> Credentials {
        let mut all = Credentials::default();
        for (kind, value) in fields {
            all.add(*kind, value, secrets);
        }
        all
    }

    #[test]
    fn the_same_secrets_are_known_again_until_the_key_rotates() {
        let mut secrets = Secrets::new();
        secrets.rotate(5);
        let first = of(&secrets, &[(Credential::Cookie, b"a=1"), (Credential::Bearer, b"x")]);
        let again = of(&secrets, &[(Credential::Bearer, b"x"), (Credential::Cookie, b"a=1")]);
        assert_eq!(first, again);
        assert_eq!(first.kinds().collect::<Vec<_>>(), [Credential::Bearer, Credential::Cookie]);
        for other in [
            of(&secrets, &[(Credential::Bearer, b"x")]),
            of(&secrets, &[(Credential::Cookie, b"a=2"), (Credential::Bearer, b"x")]),
            of(&secrets, &[(Credential::ApiKey, b"a=1"), (Credential::Bearer, b"x")]),
        ] {
            assert_ne!(first.identity(), other.identity());
        }
        assert_eq!(Credentials::default().identity(), None);
        secrets.rotate(ROTATION);
        assert_eq!(
            first,
            of(&secrets, &[(Credential::Cookie, b"a=1"), (Credential::Bearer, b"x")])
        );
        secrets.rotate(ROTATION + 5);
        let later = of(&secrets, &[(Credential::Cookie, b"a=1"), (Credential::Bearer, b"x")]);
        assert_ne!(first.identity(), later.identity());
    }
}
