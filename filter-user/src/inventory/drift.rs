//! An OpenAPI document against what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::catalog::Record;
use super::openapi::{Spec, SpecPath};
use super::route::OTHER;
use super::usage::Usage;

/// Something that is there and that the document does not have.
#[derive(Clone, Debug)]
pub struct Undocumented<'a> {
    /// Its route.
    pub route: &'a Arc<str>,
    /// Its method.
    pub method: &'static str,
    /// The document has the path, but not the method.
    pub path_is_documented: bool,
    /// What was seen.
    pub usage: &'a Usage,
}

/// An operation that the document has and that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// Its route, with the first base path it has.
    pub route: Arc<str>,
    /// Its method.
    pub method: String,
    /// Since when the document is known to have it, seconds since 1970.
    pub since: u64,
    /// Its line in the document.
    pub line: u32,
}

/// What was seen to be there that the document lacks, the most asked for first. A route that only
/// ever was answered as missing, or by a guard or a gateway, is not known to be there.
pub fn undocumented<'a>(record: &'a Record, spec: &Spec) -> Vec<Undocumented<'a>> {
    let mut found: Vec<_> = record
        .endpoints()
        .filter(|(route, _, usage)| ***route != *OTHER && usage.proven.count > 0)
        .filter_map(|(route, method, usage)| {
            let path = spec.route(route);
            let documented = path.is_some_and(|path| path.documents(method));
            let path_is_documented = path.is_some();
            (!documented).then_some(Undocumented { route, method, path_is_documented, usage })
        })
        .collect();
    found.sort_by(|a, b| {
        let key = |u: &Undocumented<'_>| (std::cmp::Reverse(u.usage.all.count), u.method);
        (key(a), a.route).cmp(&(key(b), b.route))
    });
    found
}

/// What the document has and nobody asked for, in the order of the document. An operation with
/// several base paths is used when it is under one of them.
pub fn unused(record: &Record, spec: &Spec) -> Vec<Unused> {
    let is_used = |path: &SpecPath, method: &str| {
        record.endpoint(&path.route, method).is_some_and(|usage| usage.all.count > 0)
    };
    let mut used: BTreeSet<(&str, &str)> = BTreeSet::new();
    for path in spec.paths() {
        for method in path.methods.keys().filter(|method| is_used(path, method)) {
            used.insert((&path.template, method));
        }
    }
    let mut told: BTreeMap<(&str, &str), ()> = BTreeMap::new();
    let mut found = Vec::new();
    for path in spec.paths() {
        for (method, operation) in &path.methods {
            let key = (&*path.template, method.as_str());
            if used.contains(&key) || told.insert(key, ()).is_some() {
                continue;
            }
            let documented = record.seen.documented.get(&(path.route.clone(), method.clone()));
            found.push(Unused {
                route: path.route.clone(),
                method: method.clone(),
                since: documented.copied().unwrap_or_default(),
                line: operation.line,
            });
        }
    }
    found
}
