//! Heads: what the sensor takes from a start line and the fields behind it (RFC 9112, 5 and 6).

use std::borrow::Cow;

use super::line;
use crate::sensor::credentials::Secrets;
use crate::sensor::fields::{MAX_HOST, MAX_TARGET, RequestFields, media_type, text};

/// How the length of a message's body is told by its fields (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Length {
    /// Not at all.
    #[default]
    Unsaid,
    /// By Content-Length.
    Fixed(u64),
    /// By chunks.
    Chunked,
    /// A transfer coding other than chunked is the last: to the end of the connection.
    Coded,
    /// Contradictory or unreadable.
    Conflict,
}

/// The protocol that a response says comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// None, or one that nobody follows.
    None,
    /// HTTP/2 (RFC 7540, 3.2).
    H2c,
    /// WebSocket (RFC 6455, 4.2.2).
    WebSocket,
}

impl Upgrade {
    fn of(value: &[u8]) -> Self {
        match () {
            () if value.eq_ignore_ascii_case(b"h2c") => Self::H2c,
            () if value.eq_ignore_ascii_case(b"websocket") => Self::WebSocket,
            () => Self::None,
        }
    }
}

/// What is kept of a request's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestHead {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) version: &'static str,
    pub(super) fields: RequestFields,
    pub(super) length: Length,
}

/// What is kept of a response's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResponseHead {
    pub(super) status: u16,
    /// The media type of the body.
    pub(super) content_type: Option<String>,
    /// What it says comes next (RFC 9110, 7.8).
    pub(super) upgrade: Upgrade,
    pub(super) length: Length,
}

impl RequestHead {
    /// Reads a head: the request line and whole field lines. `None` when the first line is none.
    pub(super) fn parse(head: &[u8], secrets: &Secrets) -> Option<Self> {
        let (first, rest) = split_line(head);
        let line = line::request(first)?;
        let mut length = LengthFields::default();
        let mut fields = RequestFields::default();
        each_field(rest, |name, value| {
            if !fields.note(name, value, secrets) {
                length.field(name, value);
            }
        });
        if let Some(authority) = authority(&line) {
            // The Host field is ignored then: RFC 9112, 3.2.2.
            fields.host = Some(text(authority, MAX_HOST));
        }
        fields.note_target(line.target, secrets);
        Some(Self {
            method: text(line.method, usize::MAX),
            target: text(line.target, MAX_TARGET),
            version: line.version,
            fields,
            length: length.told(),
        })
    }

    /// Bytes it takes in memory.
    pub(super) fn footprint(&self) -> usize {
        size_of::<Self>() + self.method.len() + self.target.len() + self.fields.footprint()
    }
}

impl ResponseHead {
    /// Reads a head: the status line and whole field lines. `None` when the first line is none.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let (first, fields) = split_line(head);
        let status = line::status(first)?;
        let mut length = LengthFields::default();
        let (mut content_type, mut upgrade) = (None, Upgrade::None);
        each_field(fields, |name, value| match name.len() {
            12 if name.eq_ignore_ascii_case(b"content-type") => content_type = media_type(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => upgrade = Upgrade::of(value),
            _ => length.field(name, value),
        });
        Some(Self { status, content_type, upgrade, length: length.told() })
    }
}

/// The authority of a target in absolute form, without user information, or of a CONNECT.
fn authority<'a>(line: &line::RequestLine<'a>) -> Option<&'a [u8]> {
    let target = line.target;
    if line.method == b"CONNECT" {
        return Some(target);
    }
    let scheme = ["http://", "https://"].iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()))
    })?;
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = &rest[..end.unwrap_or(rest.len())];
    let host = authority.iter().rposition(|&byte| byte == b'@').map_or(0, |at| at + 1);
    Some(&authority[host..])
}

/// The fields that tell a body's length, gathered.
#[derive(Default)]
struct LengthFields {
    length: Option<u64>,
    conflict: bool,
    /// Whether the last transfer coding is chunked, when there is one.
    chunked: Option<bool>,
}

impl LengthFields {
    fn field(&mut self, name: &[u8], value: &[u8]) {
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let last = value.rsplit(|&byte| byte == b',').next().unwrap_or_default();
                let coding = last.split(|&byte| byte == b';').next().unwrap_or_default();
                self.chunked = Some(coding.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            }
            _ => {}
        }
    }

    /// The same value several times is one: RFC 9112, 6.3.
    fn content_length(&mut self, value: &[u8]) {
        for part in value.split(|&byte| byte == b',') {
            let part = part.trim_ascii();
            let number = (!part.is_empty() && part.iter().all(u8::is_ascii_digit))
                .then(|| std::str::from_utf8(part).ok()?.parse::<u64>().ok())
                .flatten();
            match (number, self.length) {
                (None, _) => self.conflict = true,
                (Some(number), Some(before)) if number != before => self.conflict = true,
                (number, _) => self.length = number,
            }
        }
    }

    /// Transfer-Encoding overrides Content-Length: RFC 9112, 6.3.
    fn told(&self) -> Length {
        match (self.chunked, self.length) {
            (Some(true), _) => Length::Chunked,
            (Some(false), _) => Length::Coded,
            (None, _) if self.conflict => Length::Conflict,
            (None, Some(length)) => Length::Fixed(length),
            (None, None) => Length::Unsaid,
        }
    }
}

/// The first line without its LF, and the rest.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', bytes) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

/// Calls `take` with name and value of each field; folded lines are joined by a blank (RFC 9112,
/// 5.2). Lines without a colon are passed over.
fn each_field(mut bytes: &[u8], mut take: impl FnMut(&[u8], &[u8])) {
    let mut current: Option<(&[u8], Cow<'_, [u8]>)> = None;
    while !bytes.is_empty() {
        let (line, rest) = split_line(bytes);
        bytes = rest;
        if matches!(line.first(), Some(b' ' | b'\t')) {
            if let Some((_, value)) = &mut current {
                let value = value.to_mut();
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
            continue;
        }
        if let Some((name, value)) = current.take() {
            take(name, &value);
        }
        if let Some(colon) = memchr::memchr(b':', line) {
            let name = line[..colon].trim_ascii_end();
            current = Some((name, Cow::Borrowed(line[colon + 1..].trim_ascii())));
        }
    }
    if let Some((name, value)) = current {
        take(name, &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (fields, expected) in [
            ("", Length::Unsaid),
            ("Content-Length: 5\r\n", Length::Fixed(5)),
            ("content-LENGTH:5\n", Length::Fixed(5)),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", Length::Fixed(5)),
            ("Content-Length: 5, 5\r\n", Length::Fixed(5)),
            ("Content-Length: 5, 6\r\n", Length::Conflict),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Length::Conflict),
            ("Content-Length: +5\r\n", Length::Conflict),
            ("Content-Length: 99999999999999999999\r\n", Length::Conflict),
            ("Content-Length:\r\n", Length::Conflict),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Length::Chunked),
            ("Transfer-Encoding: gzip, Chunked\r\n", Length::Chunked),
            ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Length::Chunked),
            ("Transfer-Encoding: gzip,\r\n chunked\r\n", Length::Chunked),
            ("Transfer-Encoding: gzip\r\n", Length::Coded),
            ("X: Content-Length: 5\r\n", Length::Unsaid),
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            let found = ResponseHead::parse(head.as_bytes()).unwrap();
            assert_eq!(found.length, expected, "{fields:?}");
        }
    }

    #[test]
    fn requests() {
        for (head, host, agent, credentials) in [
            (
                "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent:  x y \r\n\r\n",
                Some("a"),
                Some("x y"),
                false,
            ),
            ("GET / HTTP/1.1\nhost:a:80\n\n", Some("a:80"), None, false),
            ("GET http://b:8/x HTTP/1.1\r\nHost: a\r\n\r\n", Some("b:8"), None, false),
            ("GET HTTP://u:p@b?q HTTP/1.1\r\n\r\n", Some("b"), None, false),
            ("CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n", Some("b:443"), None, false),
            ("GET / HTTP/1.1\r\nUser-Agent: a\r\n\tb\r\n c\r\n\r\n", None, Some("a b c"), false),
            ("GET / HTTP/1.1\r\nCookie: s=1\r\n\r\n", None, None, true),
            ("GET / HTTP/1.1\r\nX-API-Key: 1\r\n\r\n", None, None, true),
            ("GET / HTTP/1.1\r\nAUTHORIZATION: Basic x\r\n\r\n", None, None, true),
            ("GET / HTTP/1.1\r\n lost fold\r\nno colon\r\nHost: a\r\n\r\n", Some("a"), None, false),
        ] {
            let found = RequestHead::parse(head.as_bytes(), &Secrets::new()).unwrap();
            assert_eq!(found.fields.host.as_deref(), host, "{head:?}");
            assert_eq!(found.fields.user_agent.as_deref(), agent, "{head:?}");
            assert_eq!(found.fields.credentials.any(), credentials, "{head:?}");
        }
        assert_eq!(RequestHead::parse(b"hello\r\n\r\n", &Secrets::new()), None);
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "x".repeat(5000);
        let head = format!("GET /{long} HTTP/1.1\r\nHost: {long}\r\nUser-Agent: {long}\r\n\r\n");
        let found = RequestHead::parse(head.as_bytes(), &Secrets::new()).unwrap();
        assert_eq!(found.target.len(), MAX_TARGET);
        assert_eq!(found.fields.host.unwrap().len(), MAX_HOST);
        assert_eq!(found.fields.user_agent.unwrap().len(), 256);
    }
}
