//! Request target → the segments of its path, in one spelling (RFC 3986, section 6.2.2).
//!
//! The query, the fragment and path parameters (`;jsessionid=…`) are cut off: they may hold
//! secrets, and they name no endpoint. Servers treat `/a//b`, `/a/./b` and `/%61/b` as `/a/b`; if
//! weir did not, a client could reach an endpoint under a name that weir does not know.

use std::borrow::Cow;

/// Segments that are looked at; a path that goes deeper is named by these.
pub const MAX_SEGMENTS: usize = 16;

/// The segments of a target's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    /// At most [`MAX_SEGMENTS`], none empty.
    pub segments: Vec<Cow<'a, str>>,
    /// There were more.
    pub deeper: bool,
}

impl<'a> Path<'a> {
    /// Reads a target in origin form (`/path?query`) or absolute form (`http://host/path`),
    /// RFC 9112, section 3.2. `None` for `*` and `host:port`, which have no path.
    pub fn of(target: &'a str) -> Option<Self> {
        let target = match target.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => match rest.find(['/', '?', '#']) {
                Some(at) => &rest[at..],
                None => "",
            },
            _ if target.starts_with('/') => target,
            _ => return None,
        };
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let mut segments: Vec<Cow<'a, str>> = Vec::new();
        let mut deeper = false;
        for raw in path.split('/') {
            let raw = raw.split(';').next().unwrap_or_default();
            let segment = decode_unreserved(raw);
            match segment.as_ref() {
                "" | "." => {}
                ".." => drop(segments.pop()),
                _ if segments.len() == MAX_SEGMENTS => deeper = true,
                _ => segments.push(segment),
            }
        }
        Some(Self { segments, deeper })
    }

    /// The same path, independent of the text it was read from.
    pub fn into_owned(self) -> Path<'static> {
        let own = |segment: Cow<'_, str>| Cow::Owned(segment.into_owned());
        Path { segments: self.segments.into_iter().map(own).collect(), deeper: self.deeper }
    }

    /// Whether this path is the one a policy names: segment by segment, where `{anything}` stands
    /// for any one segment.
    pub fn matches(&self, pattern: &Path<'_>) -> bool {
        self.deeper == pattern.deeper
            && self.segments.len() == pattern.segments.len()
            && self.segments.iter().zip(&pattern.segments).all(|(segment, pattern)| {
                segment == pattern || (pattern.starts_with('{') && pattern.ends_with('}'))
            })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Decodes what needs no encoding (RFC 3986, section 2.3); everything else stays as it was sent,
/// so that an encoded slash makes no segment.
fn decode_unreserved(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let mut decoded = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                decoded.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            _ => {
                decoded.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_a_path_one_way() {
        for (target, expected) in [
            ("/", Some("")),
            ("/a/b", Some("a|b")),
            ("/a/b/?key=secret", Some("a|b")),
            ("/a#b/c", Some("a")),
            ("//a///b", Some("a|b")),
            ("/a/./b/../c", Some("a|c")),
            ("/../../a", Some("a")),
            ("/%6cogin", Some("login")),
            ("/%2e%2e/a", Some("a")),
            ("/a%2Fb", Some("a%2Fb")),
            ("/a%", Some("a%")),
            ("/a%4", Some("a%4")),
            ("/a%é", Some("a%é")),
            ("/a;jsessionid=SECRET/b", Some("a|b")),
            ("http://host/a/b?c", Some("a|b")),
            ("http://host", Some("")),
            ("http://host?next=/a", Some("")),
            ("/go?to=http://host/a", Some("go")),
            ("*", None),
            ("host:443", None),
            ("", None),
        ] {
            let path = Path::of(target).map(|path| path.segments.join("|"));
            assert_eq!(path.as_deref(), expected, "{target}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let path = "/a".repeat(MAX_SEGMENTS + 1);
        let path = Path::of(&path).unwrap();
        assert_eq!(path.segments.len(), MAX_SEGMENTS);
        assert!(path.deeper);
    }

    #[test]
    fn matches_what_a_policy_names() {
        for (pattern, target, expected) in [
            ("/login", "/login", true),
            ("/login", "/login/?next=/", true),
            ("/login", "//%6Cogin", true),
            ("/login", "/Login", false),
            ("/login", "/login/now", false),
            ("/{tenant}/login", "/acme/login", true),
            ("/{tenant}/login", "/login", false),
            ("/", "/", true),
        ] {
            let (path, pattern) = (Path::of(target).unwrap(), Path::of(pattern).unwrap());
            assert_eq!(path.matches(&pattern), expected, "{target}");
        }
    }
}
