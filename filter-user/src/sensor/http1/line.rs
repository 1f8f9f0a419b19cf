//! Start lines (RFC 9112, 3 and 4), and telling HTTP from anything else by its first bytes.

/// Longest method that is looked at.
const MAX_METHOD: usize = 32;
/// Longest start line on which a stream may be entered in its middle.
const MAX_LINE: usize = 16 * 1024;

/// A version as it is written in transactions.
pub(super) const V0_9: &str = "0.9";
pub(super) const V1_0: &str = "1.0";
pub(super) const V1_1: &str = "1.1";

/// The methods of RFC 9110, 9.3, RFC 5789 and WebDAV (RFC 4918, RFC 3253, RFC 5323): with one of
/// these a line may lack its version, or its end, and still be taken for a request.
const METHODS: [&[u8]; 21] = [
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"SEARCH",
    b"MKCALENDAR",
    b"ACL",
    b"QUERY",
];

/// What a request line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) version: &'static str,
}

/// Whether the first bytes of a stream can be HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// They are, as far as they go.
    Yes,
    /// They are not.
    No,
    /// There are too few to tell.
    More,
}

/// A character of a token (RFC 9110, 5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// The line without its end and trailing blanks.
pub(super) fn trim_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n' | b' ' | b'\t'));
    &line[..end.map_or(0, |last| last + 1)]
}

/// The version a request line ends with, and where it begins; `None` when there is none.
fn version(line: &[u8]) -> Option<(&'static str, usize)> {
    let at = line.len().checked_sub(8)?;
    let digits = line[at..].strip_prefix(b"HTTP/")?;
    let &[major, b'.', minor] = digits else { return None };
    match (major, minor) {
        (b'1', b'0') => Some((V1_0, at)),
        (b'1', b'1'..=b'9') => Some((V1_1, at)),
        (b'0', b'9') => Some((V0_9, at)),
        _ => None,
    }
}

/// Whether a request line, without its end, names a protocol version. One that names none is all of
/// an HTTP/0.9 request: no fields follow.
pub(super) fn is_versioned(line: &[u8]) -> bool {
    line.len() >= 8 && line[line.len() - 8..].starts_with(b"HTTP/")
}

/// Reads a request line.
pub(super) fn request(line: &[u8]) -> Option<RequestLine<'_>> {
    let line = trim_end(line);
    let space = line.iter().take(MAX_METHOD + 1).position(|&byte| byte == b' ')?;
    let (method, rest) = (&line[..space], &line[space + 1..]);
    if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
        return None;
    }
    let (version, target) = if is_versioned(line) {
        let (version, at) = version(line)?;
        // A target with blanks in it is against the rules and common enough: RFC 9112, 3.2.
        (version, trim_end(rest.get(..at.checked_sub(space + 1)?)?))
    } else {
        if !METHODS.contains(&method) {
            return None;
        }
        (V0_9, rest)
    };
    let target = target.trim_ascii_start();
    let first = *target.first()?;
    let plausible = match version {
        // Other line protocols begin with the same words.
        V0_9 => first == b'/' || target.starts_with(b"http"),
        _ => first.is_ascii_graphic(),
    };
    plausible.then_some(RequestLine { method, target, version })
}

/// Reads a status line: the status.
pub(super) fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let [minor, b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = rest else {
        return None;
    };
    if !minor.is_ascii_digit() || !matches!(rest.first(), None | Some(b' ' | b'\r' | b'\n')) {
        return None;
    }
    let digit = |byte: &u8| u16::from(byte - b'0');
    Some(digit(a) * 100 + digit(b) * 10 + digit(c))
}

/// Whether a server's first bytes are a status line.
pub(super) fn probe_response(bytes: &[u8]) -> Probe {
    const SHAPE: &[u8; 13] = b"HTTP/1.0 000 ";
    for (at, (&byte, &shape)) in bytes.iter().zip(SHAPE).enumerate() {
        let fits = match shape {
            b'0' => byte.is_ascii_digit(),
            _ if at == 12 => matches!(byte, b' ' | b'\r' | b'\n'),
            _ => byte == shape,
        };
        if !fits {
            return Probe::No;
        }
    }
    if bytes.len() >= SHAPE.len() { Probe::Yes } else { Probe::More }
}

/// Whether a client's first bytes are a request line.
pub(super) fn probe_request(bytes: &[u8]) -> Probe {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let Some(bytes) = start.map(|start| &bytes[start..]) else { return Probe::More };
    let method = bytes.iter().take(MAX_METHOD + 1).take_while(|&&byte| is_token(byte)).count();
    if method == 0 || method > MAX_METHOD {
        return Probe::No;
    }
    match bytes.get(method) {
        None => return Probe::More,
        Some(b' ') => {}
        Some(_) => return Probe::No,
    }
    match memchr::memchr(b'\n', bytes) {
        Some(end) if request(&bytes[..end]).is_some() => Probe::Yes,
        Some(_) => Probe::No,
        None if bytes.len() > MAX_LINE && !METHODS.contains(&&bytes[..method]) => Probe::No,
        None => Probe::More,
    }
}

/// Whether a segment begins with a whole start line: where a stream can be entered in its middle.
pub(super) fn begins_request(segment: &[u8]) -> bool {
    let window = &segment[..segment.len().min(MAX_LINE)];
    memchr::memchr(b'\n', window)
        .is_some_and(|end| request(&window[..end]).is_some_and(|line| line.version != V0_9))
}

/// As [`begins_request`], for a status line.
pub(super) fn begins_response(segment: &[u8]) -> bool {
    segment.starts_with(b"HTTP/1.") && status(segment).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines() {
        for (line, expected) in [
            ("GET / HTTP/1.1", Some(("GET", "/", V1_1))),
            ("GET / HTTP/1.1\r", Some(("GET", "/", V1_1))),
            ("POST /a?b=c HTTP/1.0 ", Some(("POST", "/a?b=c", V1_0))),
            ("OPTIONS * HTTP/1.1", Some(("OPTIONS", "*", V1_1))),
            ("CONNECT h:443 HTTP/1.1", Some(("CONNECT", "h:443", V1_1))),
            ("GET /a b HTTP/1.1", Some(("GET", "/a b", V1_1))),
            ("GET  /two HTTP/1.1", Some(("GET", "/two", V1_1))),
            ("BREW pot:1 HTTP/1.1", Some(("BREW", "pot:1", V1_1))),
            ("GET /old", Some(("GET", "/old", V0_9))),
            ("GET http://h/old", Some(("GET", "http://h/old", V0_9))),
            ("BREW /old", None),
            ("GET key", None),
            ("GET", None),
            ("GET ", None),
            ("GET HTTP/1.1", None),
            (" GET / HTTP/1.1", None),
            ("G\u{1}T / HTTP/1.1", None),
            ("PRI * HTTP/2.0", None),
            ("INVITE sip:a@b SIP/2.0", None),
            ("SSH-2.0-OpenSSH_9.2 Debian-2", None),
            ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1", None),
        ] {
            let found = request(line.as_bytes()).map(|found| {
                let text = |bytes| std::str::from_utf8(bytes).unwrap();
                (text(found.method), text(found.target), found.version)
            });
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn status_lines() {
        for (line, expected) in [
            ("HTTP/1.1 200 OK", Some(200)),
            ("HTTP/1.0 404", Some(404)),
            ("HTTP/1.1 204 \r", Some(204)),
            ("HTTP/1.1 2000", None),
            ("HTTP/1.1 099 x", None),
            ("HTTP/1.1  200", None),
            ("HTTP/2 200", None),
            ("HTTP/1.1 20", None),
        ] {
            assert_eq!(status(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn probes_at_every_length() {
        for (whole, request) in [
            ("GET /x HTTP/1.1\r\n", true),
            ("\r\n\r\nPUT /x HTTP/1.1\n", true),
            ("HTTP/1.1 200 OK\r\n", false),
        ] {
            let probe = if request { probe_request } else { probe_response };
            for end in 0..whole.len() {
                assert_ne!(probe(&whole.as_bytes()[..end]), Probe::No, "{whole:?} to {end}");
            }
            assert_eq!(probe(whole.as_bytes()), Probe::Yes);
        }
        for other in ["\x16\x03\x01\x02", "SSH-2.0-x y\r\n", "*1\r\n", "EHLO a\r\n", "\0"] {
            assert_eq!(probe_request(other.as_bytes()), Probe::No, "{other:?}");
        }
        for other in ["220 mail", "HTTP/2", "+OK", "HTTP/1.1 2x0"] {
            assert_eq!(probe_response(other.as_bytes()), Probe::No, "{other:?}");
        }
    }
}
