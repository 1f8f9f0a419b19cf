//! What is kept of the fields of a message (RFC 9110, 5), whichever version of HTTP carried them.

use std::net::IpAddr;

use super::credentials::{Credential, Credentials, Secrets};

/// Longest target, host, user agent and media type that are kept.
pub(super) const MAX_TARGET: usize = 2048;
pub(super) const MAX_HOST: usize = 256;
const MAX_AGENT: usize = 256;
const MAX_TYPE: usize = 64;
/// Most addresses of proxies and clients that are kept.
const MAX_FORWARDED: usize = 8;

/// The first `limit` bytes as text.
pub(super) fn text(bytes: &[u8], limit: usize) -> String {
    let bytes = &bytes[..bytes.len().min(limit)];
    // Nearly all of it is text, which the first look tells sixteen bytes at a time.
    str::from_utf8(bytes)
        .map_or_else(|_| String::from_utf8_lossy(bytes).into_owned(), str::to_owned)
}

/// The media type that a Content-Type field names, in lower case and without parameters.
pub(super) fn media_type(value: &[u8]) -> Option<String> {
    let name = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let known = |&byte: &u8| byte.is_ascii_graphic();
    (!name.is_empty() && name.len() <= MAX_TYPE && name.iter().all(known))
        .then(|| text(name, MAX_TYPE).to_ascii_lowercase())
}

/// What is kept of a request's fields.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct RequestFields {
    pub(super) host: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) credentials: Credentials,
    pub(super) forwarded: Vec<IpAddr>,
}

impl RequestFields {
    /// Takes a field; false when nothing is kept of it. Names may be in any case.
    pub(super) fn note(&mut self, name: &[u8], value: &[u8], secrets: &Secrets) -> bool {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host = Some(text(value, MAX_HOST)),
            10 if name.eq_ignore_ascii_case(b"user-agent") => {
                self.user_agent = Some(text(value, MAX_AGENT));
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                self.content_type = media_type(value);
            }
            9 if name.eq_ignore_ascii_case(b"forwarded") => self.forwarded(value),
            15 if name.eq_ignore_ascii_case(b"x-forwarded-for") => {
                value.split(|&byte| byte == b',').for_each(|part| self.add_forwarded(part));
            }
            _ => {
                let Some(kind) = credential(name, value) else { return false };
                self.credentials.add(kind, value, secrets);
            }
        }
        true
    }

    /// Takes the secrets that are in a target's query.
    pub(super) fn note_target(&mut self, target: &[u8], secrets: &Secrets) {
        let Some(query) = memchr::memchr(b'?', target).map(|at| &target[at + 1..]) else { return };
        let query = query.split(|&byte| byte == b'#').next().unwrap_or_default();
        for pair in query.split(|byte| matches!(byte, b'&' | b';')) {
            if let Some(equals) = memchr::memchr(b'=', pair)
                && equals + 1 < pair.len()
                && is_secret_parameter(&pair[..equals])
            {
                self.credentials.add(Credential::Query, &pair[equals + 1..], secrets);
            }
        }
    }

    /// `for=192.0.2.43, for="[2001:db8::17]:4711";proto=https` (RFC 7239, 4).
    fn forwarded(&mut self, value: &[u8]) {
        for element in value.split(|&byte| byte == b',') {
            for pair in element.split(|&byte| byte == b';') {
                let pair = pair.trim_ascii();
                if pair.len() > 4 && pair[..4].eq_ignore_ascii_case(b"for=") {
                    self.add_forwarded(&pair[4..]);
                }
            }
        }
    }

    /// Takes one address, with a port or not, in brackets and quotes or not. Behind a node that gives
    /// none (RFC 7239 allows `unknown` and made-up names) nobody is known: what it was told goes. Of
    /// too many the nearest ones stay.
    fn add_forwarded(&mut self, node: &[u8]) {
        let node = node.trim_ascii();
        let node = node.strip_prefix(b"\"").unwrap_or(node);
        let node = node.strip_suffix(b"\"").unwrap_or(node);
        let node = std::str::from_utf8(node).unwrap_or_default();
        let address = match node.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default().parse().ok(),
            None => node.parse().ok().or_else(|| node.split(':').next()?.parse().ok()),
        };
        if let Some(address) = address {
            if self.forwarded.len() == MAX_FORWARDED {
                self.forwarded.remove(0);
            }
            self.forwarded.push(address);
        } else {
            self.forwarded.clear();
        }
    }

    /// Bytes it takes in memory besides its own size.
    pub(super) fn footprint(&self) -> usize {
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        optional(&self.host)
            + optional(&self.user_agent)
            + optional(&self.content_type)
            + size_of::<IpAddr>() * self.forwarded.capacity()
    }
}

/// Which kind of secret a field carries.
fn credential(name: &[u8], value: &[u8]) -> Option<Credential> {
    const KEYS: [&[u8]; 6] = [
        b"x-api-key",
        b"api-key",
        b"apikey",
        b"x-auth-token",
        b"x-access-token",
        b"x-amz-security-token",
    ];
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    match name.len() {
        6 if is(b"cookie") => Some(Credential::Cookie),
        13 if is(b"authorization") => {
            let scheme = value.split(|&byte| byte == b' ').next().unwrap_or_default();
            Some(match () {
                () if scheme.eq_ignore_ascii_case(b"basic") => Credential::Basic,
                () if scheme.eq_ignore_ascii_case(b"bearer") => Credential::Bearer,
                () => Credential::Authorization,
            })
        }
        19 if is(b"proxy-authorization") => Some(Credential::Authorization),
        6..=20 if KEYS.into_iter().any(is) => Some(Credential::ApiKey),
        _ => None,
    }
}

/// Names of query parameters whose values are secrets.
fn is_secret_parameter(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 18] = [
        b"access_token",
        b"api-key",
        b"api_key",
        b"apikey",
        b"auth",
        b"auth_token",
        b"authtoken",
        b"client_secret",
        b"id_token",
        b"jwt",
        b"passwd",
        b"password",
        b"pwd",
        b"refresh_token",
        b"secret",
        b"sessionid",
        b"token",
        b"x-amz-security-token",
    ];
    matches!(name.len(), 3..=20) && NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(fields: &[(&str, &str)]) -> RequestFields {
        let (mut noted, secrets) = (RequestFields::default(), Secrets::new());
        for (name, value) in fields {
            noted.note(name.as_bytes(), value.as_bytes(), &secrets);
        }
        noted
    }

    #[test]
    fn kinds_of_secrets() {
        for (name, value, expected) in [
            ("Authorization", "Basic dTpw", Some(Credential::Basic)),
            ("authorization", "bearer x", Some(Credential::Bearer)),
            ("Authorization", "AWS4-HMAC-SHA256 x", Some(Credential::Authorization)),
            ("Proxy-Authorization", "Basic dTpw", Some(Credential::Authorization)),
            ("COOKIE", "a=1", Some(Credential::Cookie)),
            ("X-Api-Key", "1", Some(Credential::ApiKey)),
            ("X-Api-Keys", "1", None),
            ("Set-Cookie", "1", None),
        ] {
            let found: Vec<_> = noted(&[(name, value)]).credentials.kinds().collect();
            assert_eq!(found, Vec::from_iter(expected), "{name}: {value}");
        }
        for (target, secret) in [
            ("/a", false),
            ("/a?b=1&token=x", true),
            ("/a?API_KEY=x", true),
            ("/a?token=", false),
            ("/a?mytoken=1", false),
            ("/token=1", false),
            ("/a?b=1#token=1", false),
        ] {
            let mut fields = RequestFields::default();
            fields.note_target(target.as_bytes(), &Secrets::new());
            assert_eq!(fields.credentials.has(Credential::Query), secret, "{target}");
        }
    }

    #[test]
    fn media_types() {
        for (value, expected) in [
            ("application/JSON; charset=utf-8", Some("application/json")),
            (" text/html ", Some("text/html")),
            ("", None),
            (";x", None),
            ("a b", None),
        ] {
            assert_eq!(media_type(value.as_bytes()).as_deref(), expected, "{value:?}");
        }
        assert_eq!(media_type(&[b'x'; 65]), None);
    }

    #[test]
    fn forwarded_addresses() {
        for (name, value, expected) in [
            ("X-Forwarded-For", "203.0.113.9, 198.51.100.2", "203.0.113.9 198.51.100.2"),
            ("x-forwarded-for", "203.0.113.9:4711,2001:db8::1", "203.0.113.9 2001:db8::1"),
            ("X-Forwarded-For", "unknown, ,x:y", ""),
            ("Forwarded", "for=192.0.2.43;proto=http", "192.0.2.43"),
            ("Forwarded", "By=203.0.113.1;For=\"[2001:db8::17]:4711\"", "2001:db8::17"),
            ("forwarded", "for=192.0.2.43, for=_hidden, for=198.51.100.17", "198.51.100.17"),
            ("Forwarded", "for=\"192.0.2.43:47011\"", "192.0.2.43"),
            ("Forwarded", "for=", ""),
        ] {
            let found: Vec<_> =
                noted(&[(name, value)]).forwarded.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{name}: {value}");
        }
        let many: Vec<_> = (0..20).map(|n| format!("192.0.2.{n}")).collect();
        let found = noted(&[("X-Forwarded-For", &many.join(","))]).forwarded;
        assert_eq!(found.len(), MAX_FORWARDED);
        assert_eq!(found[7].to_string(), "192.0.2.19", "the nearest stays");
        // Several fields are one list: RFC 9110, 5.3.
        let two = noted(&[("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "192.0.2.2")]);
        assert_eq!(two.forwarded.len(), 2);
    }
}
