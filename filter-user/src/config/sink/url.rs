//! The few URLs that settings have: a scheme, a host, a port and a path. Credentials are refused:
//! settings are read by more people than may know them.

use std::fmt;
use std::net::Ipv6Addr;

use crate::text::Problem;

/// Bytes of a URL at most.
const LONGEST: usize = 2_048;

/// Where a receiver is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `http`, `https`, `tcp` or `tls`.
    pub scheme: &'static str,
    /// A name or an address, an IPv6 one without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// From the first slash on, with the query; empty when there is none.
    pub path: String,
}

impl Url {
    /// Parses a URL of one of these schemes, each with its usual port.
    ///
    /// # Errors
    /// Another scheme, credentials, a fragment, or what is no URL.
    pub fn parse(text: &str, schemes: &[(&'static str, u16)]) -> Result<Self, Problem> {
        let [(first, _), ..] = schemes else { return Err(Problem::new("no URL fits here", "")) };
        let example = format!("write it as {first}://HOST:PORT");
        if text.len() > LONGEST || text.bytes().any(|b| !b.is_ascii_graphic()) {
            let message = "a URL has up to 2048 printable ASCII characters without spaces";
            return Err(Problem::new(message, example));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Problem::new("this is not a URL", example));
        };
        let Some(&(scheme, usual)) = schemes.iter().find(|(name, _)| *name == scheme) else {
            let names: Vec<_> = schemes.iter().map(|(name, _)| format!("{name}://")).collect();
            let message = format!("`{scheme}://` does not fit here");
            return Err(Problem::new(message, format!("write {}", names.join(" or "))));
        };
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        // Said without what was written: it may be a password.
        if authority.contains('@') {
            let message = "a URL in the settings has no user and no password";
            return Err(Problem::new(message, "put the secret into a file: `token_file`"));
        }
        if path.contains('#') {
            return Err(Problem::new("a fragment (`#`) is never sent", "leave it out"));
        }
        let (host, port) = split(authority)
            .ok_or_else(|| Problem::new("the host or port of this URL is not one", &*example))?;
        let port = match port {
            None => usual,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| Problem::new("a port is a number from 1 to 65535", &*example))?,
        };
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port, path: path.to_owned() })
    }

    /// Whether what is sent is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.scheme, "https" | "tls")
    }

    /// Host and port as in a `Host` header.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Its path and query as in a request.
    pub fn target(&self) -> String {
        if self.path.starts_with('/') { self.path.clone() } else { format!("/{}", self.path) }
    }

    /// Its path with `more` behind it, before the query.
    pub fn joined(&self, more: &str) -> String {
        let (path, query) = match self.path.find('?') {
            Some(at) => self.path.split_at(at),
            None => (self.path.as_str(), ""),
        };
        format!("{}{more}{query}", path.trim_end_matches('/'))
    }
}

/// A query may hold a key: it is not shown.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        let query = if self.path.contains('?') { "?…" } else { "" };
        write!(f, "{}://{}{path}{query}", self.scheme, self.authority())
    }
}

/// Host and port, if there is one.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            let port = match rest.strip_prefix(':') {
                None if rest.is_empty() => None,
                None => return None,
                port => port,
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let is_name = authority.starts_with('[') || (host.chars().all(fits) && !host.contains(':'));
    (!host.is_empty() && host.len() <= 253 && is_name).then_some((host, port))
}
