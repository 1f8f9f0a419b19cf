//! Takes out what is nobody's business. Pure, but for the key.
//!
//! Secrets go in any case: values under names that speak of them, header values, users, paths and queries
//! of URLs, bearer tokens. Addresses (IPv4, IPv6, hardware) and mail addresses become pseudonyms, the same for the
//! same one throughout a bundle, by a key that is thrown away: who has the bundle can tell sources apart
//! and not find out who they are. Loopback and unspecified addresses say nothing and stay.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// What stands where a secret was.
const MASKED: &str = "masked";
/// Parts of names that speak of secrets, or of people.
const SECRET: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "headers",
    "contacts",
    "private",
];

/// See the module.
pub(super) struct Mask {
    key: [u8; 32],
    /// Addresses too, not only secrets.
    addresses: bool,
}

impl Mask {
    pub(super) fn new(key: [u8; 32], addresses: bool) -> Self {
        Self { key, addresses }
    }

    /// A name that only the key connects with the text.
    fn pseudonym(&self, kind: &str, text: &[u8]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            // A key of any length is taken.
            return MASKED.to_owned();
        };
        mac.update(text);
        let hash = mac.finalize().into_bytes();
        let hex: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("{kind}-{hex}")
    }

    /// Lines for people, logs, metrics.
    pub(super) fn text(&self, text: &str) -> String {
        let text = bearers(&urls(text));
        if !self.addresses {
            return text;
        }
        let mut masked = String::with_capacity(text.len());
        let mut rest = text.as_str();
        let mut before = ' ';
        while let Some(next) = rest.chars().next() {
            match self.address(rest, before) {
                Some((taken, name)) => {
                    masked.push_str(&name);
                    rest = &rest[taken..];
                    before = 'x';
                }
                None => {
                    masked.push(next);
                    rest = &rest[next.len_utf8()..];
                    before = next;
                }
            }
        }
        self.mails(&masked)
    }

    /// An address at the beginning of a text, after this character: its length there, and what to write.
    fn address(&self, text: &str, before: char) -> Option<(usize, String)> {
        let run = |of: fn(&u8) -> bool| text.bytes().take_while(of).count();
        let next = |at: usize| text[at..].chars().next().unwrap_or(' ');
        if !before.is_alphanumeric() {
            let wide = run(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')).min(45);
            for length in (2..=wide).rev().filter(|at| !next(*at).is_alphanumeric()) {
                if let Ok(address) = text[..length].parse::<Ipv6Addr>() {
                    return Some((length, self.ip(address.to_canonical())));
                }
            }
            if wide >= 17 && !next(17).is_alphanumeric() && is_hardware(&text[..17]) {
                let name = self.pseudonym("mac", text[..17].to_ascii_lowercase().as_bytes());
                return Some((17, name));
            }
        }
        if before.is_ascii_digit() {
            return None;
        }
        let narrow = run(|byte| byte.is_ascii_digit() || *byte == b'.').min(15);
        for length in (7..=narrow).rev().filter(|at| !next(*at).is_ascii_digit()) {
            if let Ok(address) = text[..length].parse::<Ipv4Addr>() {
                return Some((length, self.ip(address.into())));
            }
        }
        None
    }

    fn ip(&self, address: IpAddr) -> String {
        match address {
            _ if address.is_loopback() || address.is_unspecified() => address.to_string(),
            IpAddr::V4(address) => self.pseudonym("ip4", &address.octets()),
            IpAddr::V6(address) => self.pseudonym("ip6", &address.octets()),
        }
    }

    fn mails(&self, text: &str) -> String {
        let part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        let mut masked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('@') {
            let name = rest[..at]
                .rfind(|c| !part(c))
                .map_or(0, |end| end + rest[end..].chars().next().map_or(1, char::len_utf8));
            let domain = rest[at + 1..].find(|c| !part(c)).unwrap_or(rest.len() - at - 1);
            let end = at + 1 + domain;
            if name < at && domain > 0 {
                masked.push_str(&rest[..name]);
                masked.push_str(&self.pseudonym("mail", &rest.as_bytes()[name..end]));
            } else {
                masked.push_str(&rest[..end]);
            }
            rest = &rest[end..];
        }
        masked + rest
    }

    /// The same for JSON, where names say what is secret.
    pub(super) fn json(&self, value: &Value) -> Value {
        self.value(value, false)
    }

    fn value(&self, value: &Value, secret: bool) -> Value {
        match value {
            Value::String(text) if secret && !text.is_empty() => MASKED.into(),
            Value::String(text) => self.text(text).into(),
            Value::Array(all) => all.iter().map(|one| self.value(one, secret)).collect(),
            Value::Object(all) => {
                let each = all.iter().map(|(name, value)| {
                    (self.text(name), self.value(value, secret || speaks_of_secrets(name)))
                });
                Value::Object(each.collect())
            }
            other => other.clone(),
        }
    }

    /// TOML, without its comments: what stands there nobody can tell.
    pub(super) fn toml(&self, text: &str) -> Result<String, String> {
        let parsed: toml::Table = toml::from_str(text).map_err(|_| {
            "it is no TOML: what is secret in it cannot be told, so it is left out".to_owned()
        })?;
        let value = serde_json::to_value(&parsed).map_err(|error| error.to_string())?;
        toml::to_string_pretty(&self.json(&value)).map_err(|error| error.to_string())
    }
}

fn speaks_of_secrets(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

fn is_hardware(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let octet = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    parts.len() == 6 && parts.iter().all(octet)
}

/// URLs without user, path and query: some receivers' are all the secret there is.
fn urls(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        masked.push_str(before);
        let ends =
            |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | ')' | ',');
        let url = &after[..after.find(ends).unwrap_or(after.len())];
        let (authority, path) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
        masked.push_str(authority.rsplit('@').next().unwrap_or_default());
        if matches!(path, "" | "/" | "/metrics") {
            masked.push_str(path);
        } else {
            masked.push('/');
            masked.push_str(MASKED);
        }
        rest = &after[url.len()..];
    }
    masked + rest
}

/// What comes after `Bearer` or `Basic`.
fn bearers(text: &str) -> String {
    let mut masked = text.to_owned();
    for scheme in ["Bearer ", "bearer ", "Basic ", "basic "] {
        let mut from = 0;
        while let Some(at) = masked[from..].find(scheme) {
            let start = from + at + scheme.len();
            let ends = |c: char| !(c.is_alphanumeric() || "-._~+/=".contains(c));
            let end = masked[start..].find(ends).map_or(masked.len(), |end| start + end);
            // A word of a sentence is shorter than any token.
            if end - start >= 8 {
                masked.replace_range(start..end, MASKED);
            }
            from = start;
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask() -> Mask {
        Mask::new([7; 32], true)
    }

    #[test]
    fn addresses_become_names_that_are_the_same_again() {
        let mask = mask();
        let one = mask.text("192.0.2.7");
        assert!(one.starts_with("ip4-") && one.len() == 16, "{one}");
        assert_ne!(one, mask.text("192.0.2.8"));
        assert_ne!(one, Mask::new([8; 32], true).text("192.0.2.7"), "another bundle, another name");
        for (text, expected) in [
            ("192.0.2.7:8080", format!("{one}:8080")),
            ("192.0.2.7:tcp/8080", format!("{one}:tcp/8080")),
            ("192.0.2.7/32, (192.0.2.7)", format!("{one}/32, ({one})")),
            ("from=192.0.2.7.", format!("from={one}.")),
            ("::ffff:192.0.2.7", one.clone()),
            ("host_192.0.2.7x ip192.0.2.7 ..192.0.2.7", format!("host_{one}x ip{one} ..{one}")),
            ("127.0.0.1:9720 [::1]:80 0.0.0.0", "127.0.0.1:9720 [::1]:80 0.0.0.0".to_owned()),
            ("weir 0.1.0 kernel 6.18.5", "weir 0.1.0 kernel 6.18.5".to_owned()),
            ("12:01:44Z filter_user::daemon", "12:01:44Z filter_user::daemon".to_owned()),
            ("2026-11-22T17:35:49.123Z", "2026-11-22T17:35:49.123Z".to_owned()),
            ("300.1.2.3", "300.1.2.3".to_owned()),
        ] {
            assert_eq!(mask.text(text), expected, "{text}");
        }
        for text in [
            "2001:db8::7",
            "[2001:db8::7]:443",
            "2001:db8::/48",
            "fe80::1%eth0",
            "2001:DB8::7,",
            "src:fdb8::7",
            "x=fdb8::1",
        ] {
            let masked = mask.text(text);
            assert!(masked.contains("ip6-") && !masked.to_lowercase().contains("db8"), "{masked}");
        }
        assert_eq!(mask.text("2001:db8::7"), mask.text("2001:0DB8:0:0::7"));
        let hardware = mask.text("link 02:42:ac:11:00:02 up");
        assert!(hardware.starts_with("link mac-") && hardware.ends_with(" up"), "{hardware}");
        assert_eq!(Mask::new([7; 32], false).text("192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn secrets_go_in_any_case() {
        for addresses in [true, false] {
            let mask = Mask::new([7; 32], addresses);
            for (text, expected) in [
                ("https://u:p@siem.example/hook/abc?k=v", "https://siem.example/masked"),
                ("to \"http://siem.example:8080/\".", "to \"http://siem.example:8080/\"."),
                ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer masked"),
                ("basic authentication is not", "basic masked is not"),
            ] {
                assert_eq!(mask.text(text), expected, "{text}");
            }
            let value = serde_json::json!({
                "token": "s3cret", "nested": {"api_password": ["a", "b"]},
                "headers": {"X-Key": "s3cret"}, "name": "siem", "count": 3, "token_file": "/etc/t",
            });
            let masked = mask.json(&value).to_string();
            assert!(!masked.contains("s3cret") && masked.contains("\"siem\""), "{masked}");
            assert!(masked.contains("[\"masked\",\"masked\"]") && masked.contains('3'), "{masked}");
        }
        let told = mask().text("call ops+night@example.org now");
        assert!(told.starts_with("call mail-") && told.ends_with(" now"), "{told}");
    }

    #[test]
    fn settings_lose_their_comments() {
        let text = "# hunter2\n[[sink]]\nname = \"a\" # hunter2\nurl = \"https://a.example/hunter2\"\n\
                    headers = { X = \"hunter2\" }\n[trusted]\ncidrs = [\"192.0.2.10/32\"]\n";
        let masked = mask().toml(text).unwrap();
        assert!(!masked.contains("hunter2") && !masked.contains("192.0.2"), "{masked}");
        assert!(masked.contains("name = \"a\"") && masked.contains("/32"), "{masked}");
        assert!(mask().toml("no = = toml hunter2").is_err_and(|told| !told.contains("hunter2")));
    }
}
