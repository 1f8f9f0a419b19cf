//! The routes of one API.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::{Declared, Found, Request, RouteLimits, VALUE, says_exists, spelled};
use crate::inventory::path::Path;

/// Targets whose route is remembered.
const REMEMBERED: usize = 1024;
/// Bytes of a target that is.
const REMEMBERED_BYTES: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Known {
    declared: Declared,
    /// Routes of the document that were asked for.
    documented: HashSet<Arc<str>>,
    /// Others, and whether each was ever answered as present.
    routes: HashMap<Arc<str>, bool>,
    missing: usize,
    /// Parents whose literals are values.
    merged: HashSet<String>,
    /// Literals that were answered as present, by parent.
    literals: HashMap<String, HashSet<Box<str>>>,
    /// Targets asked for lately that need no more thought.
    recent: HashMap<Box<str>, Arc<str>>,
    changed: bool,
}

impl Known {
    pub(super) fn route(&mut self, request: &Request<'_>, limits: &RouteLimits) -> Found {
        let plain = request.target.split(['?', '#']).next().unwrap_or_default();
        if let Some(route) = self.recent.get(plain) {
            return Found::Route(Arc::clone(route));
        }
        let Some(path) = Path::of(request.target) else { return Found::NoPath };
        if let Some(route) = self.document(&path) {
            if !self.documented.contains(&route) {
                self.documented.insert(Arc::clone(&route));
            }
            self.remember(plain, &route);
            return Found::Route(route);
        }
        let name = self.name(&path, !is_call(plain), spelled);
        if name.len() > limits.bytes {
            return Found::NoPath;
        }
        let exists = request.status.is_some_and(says_exists);
        let known = self.routes.get_key_value(name.as_str());
        let route = match known.map(|(route, existed)| (Arc::clone(route), *existed)) {
            Some((route, true)) => {
                self.remember(plain, &route);
                return Found::Route(route);
            }
            Some((route, false)) if !exists => return Found::Route(route),
            Some((route, false)) => {
                self.routes.insert(Arc::clone(&route), true);
                self.missing -= 1;
                route
            }
            None if self.routes.len() >= limits.per_api
                || !exists && self.missing >= limits.missing_per_api =>
            {
                return Found::NoRoom;
            }
            None => {
                let route: Arc<str> = Arc::from(name);
                self.routes.insert(Arc::clone(&route), exists);
                self.missing += usize::from(!exists);
                route
            }
        };
        if exists && self.spread(&route, limits.fan_out) {
            return Found::Route(self.name(&path, true, spelled).into());
        }
        Found::Route(route)
    }

    pub(super) fn declare(&mut self, declared: Declared, limits: &RouteLimits) {
        self.declared = declared;
        self.merge(Vec::new(), limits.fan_out);
    }

    pub(super) fn restore<'a>(
        &mut self,
        routes: impl IntoIterator<Item = (&'a str, bool)>,
        merged: impl IntoIterator<Item = String>,
        limits: &RouteLimits,
    ) {
        self.merged.extend(merged.into_iter().take(limits.per_api));
        for (route, exists) in routes {
            let room = self.routes.len() < limits.per_api
                && (exists || self.missing < limits.missing_per_api);
            let Some(path) = Path::of(route).filter(|_| room) else { continue };
            if let Some(documented) = self.document(&path) {
                self.documented.insert(documented);
            } else if self.routes.insert(Arc::from(route), exists).is_none() {
                self.missing += usize::from(!exists);
                if exists {
                    self.spread(route, limits.fan_out);
                }
            }
        }
        self.changed = false;
    }

    /// What a route is called now.
    pub(super) fn renamed(&self, route: &str, limits: &RouteLimits) -> Option<Arc<str>> {
        let path = Path::of(route)?;
        if let Some(documented) = self.document(&path) {
            return Some(documented);
        }
        // What is a route already keeps its placeholders, and a literal that is one.
        let name = self.name(&path, !is_call(route), |segment| segment);
        (name.len() <= limits.bytes).then(|| Arc::from(name))
    }

    pub(super) fn merged(&self) -> impl Iterator<Item = &str> {
        self.merged.iter().map(String::as_str)
    }

    pub(super) fn len(&self) -> usize {
        self.documented.len() + self.routes.len()
    }

    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn document(&self, path: &Path<'_>) -> Option<Arc<str>> {
        let spec = self.declared.spec.as_ref()?;
        spec.find(path).map(|found| Arc::clone(&found.route))
    }

    /// The name of a path that no document has; `spell` gives a segment as it stands alone.
    fn name(&self, path: &Path<'_>, fan_out: bool, spell: impl Fn(&str) -> &str) -> String {
        let mut name = String::with_capacity(64);
        for (depth, segment) in path.segments.iter().enumerate() {
            let spelled = spell(segment);
            let is_value = fan_out
                && is_literal(spelled)
                && self.merged.contains(name.as_str())
                && !self.is_named(&path.segments[..depth], segment);
            name.push('/');
            name.push_str(if is_value { VALUE } else { spelled });
        }
        if path.deeper {
            name.push_str("/{rest}");
        }
        if name.is_empty() {
            name.push('/');
        }
        name
    }

    /// Whether the operator or the document named a literal below these parents.
    fn is_named(&self, parents: &[Cow<'_, str>], literal: &str) -> bool {
        let fits = |known: &Cow<'_, str>, asked: &Cow<'_, str>| {
            known == asked || !is_literal(known) || !is_literal(asked)
        };
        let by_operator = self.declared.named.iter().any(|path| {
            path.segments.get(parents.len()).is_some_and(|segment| segment == literal)
                && path.segments.iter().zip(parents).all(|(known, asked)| fits(known, asked))
        });
        by_operator || self.declared.spec.as_ref().is_some_and(|spec| spec.names(parents, literal))
    }

    /// Notes the literals of a route that is there; true when that made values of some, and routes
    /// are called otherwise.
    fn spread(&mut self, route: &str, fan_out: usize) -> bool {
        let full = self.note(route, fan_out);
        let wide = !full.is_empty();
        if wide {
            self.merge(full, fan_out);
        }
        wide
    }

    /// Makes values of the literals below these parents, and calls every route by its name of now.
    fn merge(&mut self, mut parents: Vec<String>, fan_out: usize) {
        loop {
            self.merged.extend(parents);
            // Routes that became one may have made another parent too wide.
            parents = self.rename(fan_out);
            if parents.is_empty() {
                break;
            }
        }
    }

    /// Notes the literals of a route; returns the parents that have too many.
    fn note(&mut self, route: &str, fan_out: usize) -> Vec<String> {
        let mut full = Vec::new();
        let Some(path) = Path::of(route).filter(|_| !is_call(route)) else { return full };
        let mut parent = String::new();
        for (depth, segment) in path.segments.iter().enumerate() {
            if is_literal(segment)
                && !self.merged.contains(&parent)
                && !self.is_named(&path.segments[..depth], segment)
            {
                let literals = self.literals.entry(parent.clone()).or_default();
                literals.insert(segment.as_ref().into());
                if literals.len() > fan_out {
                    full.push(parent.clone());
                }
            }
            parent.push('/');
            parent.push_str(segment);
        }
        full
    }

    /// Calls every route by its name of now; returns the parents that have too many literals.
    fn rename(&mut self, fan_out: usize) -> Vec<String> {
        self.changed = true;
        self.recent.clear();
        self.literals.clear();
        let documented = std::mem::take(&mut self.documented);
        let routes = std::mem::take(&mut self.routes);
        for (route, exists) in routes.into_iter().chain(documented.into_iter().map(|r| (r, true))) {
            let Some(path) = Path::of(&route) else { continue };
            if let Some(documented) = self.document(&path) {
                self.documented.insert(documented);
            } else {
                let now = self.name(&path, !is_call(&route), |segment| segment);
                *self.routes.entry(now.into()).or_default() |= exists;
            }
        }
        self.missing = self.routes.values().filter(|exists| !**exists).count();
        let there = self.routes.iter().filter(|(_, exists)| **exists);
        let there: Vec<_> = there.map(|(route, _)| Arc::clone(route)).collect();
        there.iter().flat_map(|route| self.note(route, fan_out)).collect()
    }

    fn remember(&mut self, target: &str, route: &Arc<str>) {
        if target.len() > REMEMBERED_BYTES {
            return;
        }
        if self.recent.len() >= REMEMBERED {
            self.recent.clear();
        }
        self.recent.insert(target.into(), Arc::clone(route));
    }
}

/// Whether a segment of a route is itself rather than what stands for others.
fn is_literal(segment: &str) -> bool {
    !(segment.starts_with('{') && segment.ends_with('}'))
}

/// Whether a route is a gRPC method with its service (`/package.Service/Method`), which are words
/// however many there are.
fn is_call(route: &str) -> bool {
    let upper = |text: &str| text.starts_with(|first: char| first.is_ascii_uppercase());
    route.strip_prefix('/').and_then(|route| route.split_once('/')).is_some_and(
        |(service, method)| {
            let name = service.rsplit_once('.').map(|(_, name)| name);
            name.is_some_and(upper) && upper(method) && !method.contains('/')
        },
    )
}
