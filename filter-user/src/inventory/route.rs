//! Request target → route: the name under which an endpoint is counted.
//!
//! A route is stable (the same target gives the same route as long as the daemon lives, but for one
//! that was over the bound before there was room), and there are boundedly many whatever clients ask
//! for: targets that the server answers as missing may take only a tenth of an API's routes, so that
//! a scanner cannot push the real ones out. Merging routes by their fan-out, and taking them from an
//! OpenAPI file, belong behind this same type.

use std::collections::HashMap;
use std::sync::Arc;

use super::path::Path;
use super::segment::placeholder;

/// The route of everything there is no room for, and of targets without a path.
pub const OTHER: &str = "__other__";

/// Bounds of [`Routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLimits {
    /// Distinct routes an API may have.
    pub per_api: usize,
    /// Of these, routes that were only ever answered as missing.
    pub missing_per_api: usize,
    /// APIs with routes; targets of further ones are all [`OTHER`].
    pub apis: usize,
    /// Bytes of a route's name; a longer one is [`OTHER`].
    pub bytes: usize,
}

impl Default for RouteLimits {
    fn default() -> Self {
        Self { per_api: 200, missing_per_api: 20, apis: 1024, bytes: 256 }
    }
}

/// The routes seen, by API.
#[derive(Debug)]
pub struct Routes {
    limits: RouteLimits,
    apis: HashMap<u32, ApiRoutes>,
    other: Arc<str>,
    overflowed: u64,
}

#[derive(Debug, Default)]
struct ApiRoutes {
    /// Whether the route was ever answered as present.
    routes: HashMap<Arc<str>, bool>,
    missing: usize,
}

impl Routes {
    /// None seen yet.
    pub fn new(limits: RouteLimits) -> Self {
        Self { limits, apis: HashMap::new(), other: Arc::from(OTHER), overflowed: 0 }
    }

    /// The route of a target at an API (stable id). `status` is that of the response, where one was
    /// seen: it says whether the endpoint exists.
    pub fn route(&mut self, api: u32, target: &str, status: Option<u16>) -> Arc<str> {
        let Some(name) = template(target).filter(|name| name.len() <= self.limits.bytes) else {
            return Arc::clone(&self.other);
        };
        let room = self.apis.len() < self.limits.apis;
        let known = match self.apis.get_mut(&api) {
            Some(known) => known,
            None if room => self.apis.entry(api).or_default(),
            None => return self.overflow(),
        };
        let exists = status.is_some_and(says_exists);
        if let Some((route, existed)) = known.routes.get_key_value(name.as_str()) {
            let route = Arc::clone(route);
            if exists && !existed {
                known.routes.insert(Arc::clone(&route), true);
                known.missing -= 1;
            }
            return route;
        }
        let full = known.routes.len() >= self.limits.per_api
            || !exists && known.missing >= self.limits.missing_per_api;
        if full {
            return self.overflow();
        }
        let route: Arc<str> = Arc::from(name);
        known.routes.insert(Arc::clone(&route), exists);
        known.missing += usize::from(!exists);
        route
    }

    /// Forgets APIs for which `keep` says no, as those of a policy that was replaced.
    pub fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        self.apis.retain(|api, _| keep(*api));
    }

    /// Distinct routes now.
    pub fn len(&self) -> usize {
        self.apis.values().map(|api| api.routes.len()).sum()
    }

    /// Whether no route was seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Requests that were counted as [`OTHER`] because there was no room, ever.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    fn overflow(&mut self) -> Arc<str> {
        self.overflowed += 1;
        Arc::clone(&self.other)
    }
}

/// Whether a response says that there is something at its target: not when the server does not
/// know the target or the method, or could not read the request (RFC 9110, section 15.5).
fn says_exists(status: u16) -> bool {
    !matches!(status, 400 | 404 | 405 | 410 | 414 | 421 | 431 | 501)
}

/// The name of a target's route; `None` when it has no path. Literal segments stay, values become
/// their kind (see [`placeholder`]), and what lies deeper than the segments looked at is `{rest}`.
pub fn template(target: &str) -> Option<String> {
    let path = Path::of(target)?;
    let mut name = String::with_capacity(target.len().min(256));
    for segment in &path.segments {
        name.push('/');
        name.push_str(placeholder(segment).unwrap_or(segment));
    }
    if path.deeper {
        name.push_str("/{rest}");
    }
    if name.is_empty() {
        name.push('/');
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        for (target, expected) in [
            ("/", Some("/")),
            ("/orders/17?token=SECRET", Some("/orders/{id}")),
            ("/orders/17/", Some("/orders/{id}")),
            ("http://shop/orders/17/items/3", Some("/orders/{id}/items/{id}")),
            ("/u/f81d4fae-7dec-11d0-a765-00a0c91e6bf6", Some("/u/{uuid}")),
            ("/reports/2024-05-31", Some("/reports/{date}")),
            ("/blobs/deadbee5", Some("/blobs/{hex}")),
            ("/reset/V1StGXR8_Z5jdHi6B-myT", Some("/reset/{token}")),
            ("*", None),
        ] {
            assert_eq!(template(target).as_deref(), expected, "{target}");
        }
        assert!(template(&"/a".repeat(100)).unwrap().ends_with("/a/{rest}"));
    }

    #[test]
    fn is_bounded_and_stable_whatever_is_asked_for() {
        let mut routes = Routes::new(RouteLimits::default());
        assert_eq!(&*routes.route(1, "/login", Some(401)), "/login");
        // A scanner: only a tenth of the room, and none of it for good.
        let scanned: Vec<_> = (0..10_000)
            .map(|n| routes.route(1, &format!("/{}", word(n)), Some(404)))
            .filter(|route| &**route != OTHER)
            .collect();
        assert_eq!(scanned.len(), 20);
        assert_eq!(routes.overflowed(), 9_980);
        assert_eq!(&*routes.route(1, "/orders/1", Some(200)), "/orders/{id}");
        // A route that turns out to exist makes room for another missing one.
        assert_eq!(routes.route(1, &scanned[0], Some(200)), scanned[0]);
        assert_eq!(&*routes.route(1, "/zzz", None), "/zzz");
        // An API that answers everything is bounded too, and keeps what it had.
        for n in 0..10_000 {
            routes.route(1, &format!("/x{}", word(n)), Some(200));
        }
        assert_eq!(routes.len(), 200);
        assert_eq!(&*routes.route(1, "/orders/9", Some(500)), "/orders/{id}");
        assert_eq!(&*routes.route(1, "/new", Some(200)), OTHER);
        // Other APIs have their own room; forgetting one gives it back.
        assert_eq!(&*routes.route(2, "/new", Some(200)), "/new");
        routes.retain(|api| api == 2);
        assert_eq!(routes.len(), 1);
    }

    #[test]
    fn apis_and_names_are_bounded() {
        let limits = RouteLimits { apis: 1, bytes: 20, ..RouteLimits::default() };
        let mut routes = Routes::new(limits);
        for (api, target, expected) in [
            (1, "/a", "/a"),
            (2, "/a", OTHER),
            (1, "/aaaaaaaaaaaaaaaaaaaa", OTHER),
            (1, "example.org:443", OTHER),
        ] {
            assert_eq!(&*routes.route(api, target, Some(200)), expected, "{target}");
        }
        assert_eq!(routes.overflowed(), 1);
        assert!(!routes.is_empty());
    }

    /// Letters only, so that it stays a literal.
    fn word(mut n: usize) -> String {
        let mut word = String::new();
        loop {
            word.push(char::from(b'a' + u8::try_from(n % 26).unwrap()));
            n /= 26;
            if n == 0 {
                return word;
            }
        }
    }
}
