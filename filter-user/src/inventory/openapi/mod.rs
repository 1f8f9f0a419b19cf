//! What an OpenAPI document (3.0, 3.1) says of an API's paths and methods, and which of them a
//! request is.
//!
//! Only what names endpoints is read: `servers`, `paths`, `$ref` of path items within the document,
//! methods, `operationId` and `deprecated`. Schemas are left to others. The document is a
//! stranger's: its size, its depth and the number of its operations are bounded.

mod base;
mod node;
mod pattern;
mod read;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::path::Path;
use pattern::Tree;

pub use read::{MAX_BYTES, read};

/// What a document says.
#[derive(Debug)]
pub struct Spec {
    /// `info.title`.
    pub title: Option<String>,
    /// `info.version`.
    pub version: Option<String>,
    paths: Vec<SpecPath>,
    tree: Tree,
}

/// A documented path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecPath {
    /// The base path of a server with the template, as written: the name of its route.
    pub route: Arc<str>,
    /// The template without a base path: the same operation under each of them.
    pub template: Arc<str>,
    /// Its methods, upper case.
    pub methods: BTreeMap<String, Operation>,
}

/// A documented operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    /// `operationId`.
    pub id: Option<String>,
    /// Whether it is marked as deprecated.
    pub deprecated: bool,
    /// The line it begins in.
    pub line: u32,
}

impl Spec {
    /// The documented path that a request's path matches, by the rules of "Path Templating
    /// Matching": a concrete path before a templated one.
    pub fn find(&self, path: &Path<'_>) -> Option<&SpecPath> {
        if path.deeper {
            return None;
        }
        self.tree.find(&path.segments).and_then(|number| self.paths.get(number))
    }

    /// Whether the document has this literal as a segment below these parents, which may hold
    /// placeholders.
    pub fn names(&self, parents: &[Cow<'_, str>], literal: &str) -> bool {
        self.tree.names(parents, literal)
    }

    /// Every documented path, in the order of the document.
    pub fn paths(&self) -> &[SpecPath] {
        &self.paths
    }

    /// The documented path whose route has this name.
    pub fn route(&self, route: &str) -> Option<&SpecPath> {
        self.paths.iter().find(|path| &*path.route == route)
    }

    /// How many operations are documented, each once however many base paths it has.
    pub fn operations(&self) -> usize {
        self.paths.iter().map(|path| path.methods.len()).sum()
    }
}

impl SpecPath {
    /// Whether a method is documented. HEAD is where GET is (RFC 9110, section 9.3.2), and OPTIONS
    /// where anything is: browsers ask it on their own (Fetch, "CORS-preflight request").
    pub fn documents(&self, method: &str) -> bool {
        self.methods.contains_key(method)
            || match method {
                "HEAD" => self.methods.contains_key("GET"),
                "OPTIONS" => !self.methods.is_empty(),
                _ => false,
            }
    }
}
