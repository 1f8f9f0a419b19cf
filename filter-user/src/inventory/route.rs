//! Request target → route: the name under which an endpoint is counted.
//!
//! The API's OpenAPI document decides, where there is one and it has the path. Otherwise segments
//! that look like values become their kind ([`super::segment`]), and where one parent has more
//! literals than an API has words for, these become `{value}` (fan-out). Literals that the operator
//! or the document named stay as they are.
//!
//! A route is stable: the same target gives the same route, until the literals beside it are found
//! to be values, which is never taken back and is to be kept over restarts ([`Routes::merged`]).
//! There are boundedly many, whatever clients ask for: targets that the server answers as missing
//! may take only a tenth of an API's routes, so that a scanner cannot push the real ones out.

mod known;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hashbrown::HashMap;

use super::openapi::Spec;
use super::path::Path;
use super::segment::placeholder;
use known::Known;

/// The route of everything there is no room for, and of targets without a path.
pub const OTHER: &str = "__other__";

/// What stands for one of many literals below the same parent.
pub const VALUE: &str = "{value}";

/// Bounds of [`Routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLimits {
    /// Distinct routes an API may have beside those of its OpenAPI document.
    pub per_api: usize,
    /// Of these, routes that were only ever answered as missing.
    pub missing_per_api: usize,
    /// APIs with routes; targets of further ones are all [`OTHER`].
    pub apis: usize,
    /// Bytes of a route's name; a longer one is [`OTHER`].
    pub bytes: usize,
    /// Literals that one parent may have before they are values.
    pub fan_out: usize,
}

impl Default for RouteLimits {
    fn default() -> Self {
        Self { per_api: 200, missing_per_api: 20, apis: 1024, bytes: 256, fan_out: 32 }
    }
}

/// A request as far as it names a route.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Stable id of the API.
    pub api: u32,
    /// The target as sent.
    pub target: &'a str,
    /// The status of the response, where one was seen: it says whether the endpoint exists.
    pub status: Option<u16>,
}

/// What is said about an API's routes from outside.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// Its OpenAPI document.
    pub spec: Option<Arc<Spec>>,
    /// Paths that the operator named, as in `login.routes`.
    pub named: Vec<Path<'static>>,
}

/// The routes seen, by API.
#[derive(Debug)]
pub struct Routes {
    limits: RouteLimits,
    apis: HashMap<u32, Known>,
    other: Arc<str>,
    overflowed: u64,
    changed: Vec<u32>,
}

impl Routes {
    /// None seen yet.
    pub fn new(limits: RouteLimits) -> Self {
        let other = Arc::from(OTHER);
        Self { limits, apis: HashMap::new(), other, overflowed: 0, changed: Vec::new() }
    }

    /// The route of a request.
    pub fn route(&mut self, request: &Request<'_>) -> Arc<str> {
        let Some(known) = Self::known(&mut self.apis, &self.limits, request.api) else {
            return self.overflow();
        };
        match known.route(request, &self.limits) {
            Found::Route(route) => {
                if known.take_changed() {
                    self.changed.push(request.api);
                }
                route
            }
            Found::NoPath => Arc::clone(&self.other),
            Found::NoRoom => self.overflow(),
        }
    }

    /// What the policy says of an API now. Routes that are called otherwise because of it are told
    /// by [`Self::take_changed`].
    pub fn declare(&mut self, api: u32, declared: Declared) {
        if let Some(known) = Self::known(&mut self.apis, &self.limits, api) {
            known.declare(declared, &self.limits);
            known.take_changed();
            self.changed.push(api);
        }
    }

    /// Puts back what an API had before a restart: its routes, whether each was ever answered as
    /// present, and the parents whose literals are values.
    pub fn restore<'a>(
        &mut self,
        api: u32,
        routes: impl IntoIterator<Item = (&'a str, bool)>,
        merged: impl IntoIterator<Item = String>,
    ) {
        if let Some(known) = Self::known(&mut self.apis, &self.limits, api) {
            known.restore(routes, merged, &self.limits);
        }
    }

    /// What a route that was told before is called now.
    pub fn renamed(&self, api: u32, route: &str) -> Option<Arc<str>> {
        self.apis.get(&api)?.renamed(route, &self.limits)
    }

    /// APIs of which routes are called otherwise since this was asked last, each at least once.
    pub fn take_changed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.changed)
    }

    /// The parents of an API whose literals are values: `/users` for `/users/{value}`, the empty
    /// text for the root.
    pub fn merged(&self, api: u32) -> impl Iterator<Item = &str> {
        self.apis.get(&api).into_iter().flat_map(Known::merged)
    }

    /// Whether routes of an API are known.
    pub fn has(&self, api: u32) -> bool {
        self.apis.contains_key(&api)
    }

    /// Forgets APIs for which `keep` says no, as those of a policy that was replaced.
    pub fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        self.apis.retain(|api, _| keep(*api));
    }

    /// Distinct routes now.
    pub fn len(&self) -> usize {
        self.apis.values().map(Known::len).sum()
    }

    /// Whether no route was seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Requests that were counted as [`OTHER`] because there was no room, ever.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    fn known<'k>(
        apis: &'k mut HashMap<u32, Known>,
        limits: &RouteLimits,
        api: u32,
    ) -> Option<&'k mut Known> {
        let room = apis.len() < limits.apis;
        if !room && !apis.contains_key(&api) {
            return None;
        }
        Some(apis.entry(api).or_default())
    }

    fn overflow(&mut self) -> Arc<str> {
        self.overflowed += 1;
        Arc::clone(&self.other)
    }
}

/// What asking for a route comes to.
enum Found {
    Route(Arc<str>),
    NoPath,
    NoRoom,
}

/// Whether a response says that there is something at its target: not when the server does not
/// know the target or the method, or could not read the request (RFC 9110, section 15.5).
pub fn says_exists(status: u16) -> bool {
    !matches!(status, 400 | 404 | 405 | 410 | 414 | 421 | 431 | 501)
}

/// The segment as it stands in a route without fan-out.
fn spelled(segment: &str) -> &str {
    placeholder(segment).unwrap_or(segment)
}
