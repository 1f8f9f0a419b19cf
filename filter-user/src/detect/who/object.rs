//! Which object a request asks for: the values in its target, told apart and, where they are
//! numbers, in order.
//!
//! Objects are the segments of the path for which the route has a placeholder (`/orders/{id}`), or
//! where it has none the values of query parameters whose name ends in `id`. Everything else in a
//! query is left out: what a cache is kept off with is no object.

use crate::detect::hasher::{bytes, mix};
use crate::inventory::path::Path;

/// An object of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Tells it from others of the route.
    pub(crate) hash: u64,
    /// Its number, where all its values are decimal numbers; where there are several, one more in
    /// one of them is always the same step.
    pub(crate) number: Option<u64>,
}

/// Collects values.
struct Values {
    seed: u64,
    hash: u64,
    number: Option<u64>,
    any: bool,
}

impl Values {
    fn new(seed: u64) -> Self {
        Self { seed, hash: 0, number: Some(0), any: false }
    }

    fn add(&mut self, value: &[u8]) {
        self.any = true;
        self.hash = mix(self.hash ^ bytes(self.seed, value), self.seed);
        // 19 digits always fit.
        let digits = !value.is_empty() && value.len() < 20 && value.iter().all(u8::is_ascii_digit);
        self.number = self.number.filter(|_| digits).map(|before| {
            let number = value.iter().fold(0_u64, |number, digit| {
                number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
            });
            before.wrapping_mul(1_000_003).wrapping_add(number)
        });
    }

    fn object(self) -> Option<Object> {
        self.any.then_some(Object { hash: self.hash, number: self.number })
    }
}

/// The path of a target in origin form, without query.
pub(crate) fn path(target: &str) -> &str {
    let end = target.bytes().position(|byte| byte == b'?' || byte == b'#').unwrap_or(target.len());
    &target[..end]
}

/// The object that a target of a route asks for.
pub(crate) fn object(seed: u64, route: &str, target: &str) -> Option<Object> {
    if !route.contains('{') {
        return in_query(seed, target);
    }
    let path = path(target);
    let plain = path.starts_with('/') && is_plain(path);
    let mut values = Values::new(seed);
    let segments = route.split('/').filter(|segment| !segment.is_empty());
    if plain {
        let parts = path.split('/').filter(|segment| !segment.is_empty());
        for (pattern, segment) in segments.zip(parts) {
            if pattern.starts_with('{') {
                values.add(segment.as_bytes());
            }
        }
    } else {
        let path = Path::of(target)?;
        for (pattern, segment) in segments.zip(&path.segments) {
            if pattern.starts_with('{') {
                values.add(segment.as_bytes());
            }
        }
    }
    values.object()
}

/// Whether a path has one spelling only: its segments are what stands between its slashes.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let odd = matches!(byte, b'%' | b';') || before == b'/' && matches!(byte, b'/' | b'.');
        before = byte;
        !odd
    })
}

fn in_query(seed: u64, target: &str) -> Option<Object> {
    let (_, query) = target.split_once('?')?;
    let mut values = Values::new(seed);
    for pair in query.split('&').take(16) {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let name = name.as_bytes();
        let named = name.len() >= 2 && name[name.len() - 2..].eq_ignore_ascii_case(b"id");
        if named && !value.is_empty() {
            values.add(value.as_bytes());
        }
    }
    values.object()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        for (route, target, number) in [
            ("/orders/{id}", "/orders/17", Some(Some(17))),
            ("/orders/{id}", "/orders/17?x=1", Some(Some(17))),
            ("/orders/{id}", "//orders/./%31%37", Some(Some(17))),
            ("/orders/{token}", "/orders/a-17", Some(None)),
            ("/orders/{id}", "/orders/123456789012345678901", Some(None)),
            ("/orders", "/orders?page=3", None),
            ("/order", "/order?user_id=5&_=99", Some(Some(5))),
            ("/order", "/order?orderId=5", Some(Some(5))),
            ("/order", "/order", None),
            ("__other__", "*", None),
            ("/a/{id}/b/{id}", "/a/2/b/7", Some(Some(2_000_013))),
        ] {
            let found = object(1, route, target).map(|object| object.number);
            assert_eq!(found, number, "{target}");
        }
        let hash = |target| object(1, "/a/{id}", target).unwrap().hash;
        assert_eq!(hash("/a/1"), hash("/a/1?b"));
        assert_ne!(hash("/a/1"), hash("/a/2"));
        assert_ne!(bytes(1, b"a"), bytes(1, b"a\0"));
        assert_ne!(bytes(1, b"a"), bytes(2, b"a"));
    }
}
