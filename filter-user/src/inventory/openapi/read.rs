//! The text of a document → [`Spec`], with every problem told.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::inventory::path::Path;
use crate::text::{Diagnostic, Severity, Source};

use super::base::base_paths;
use super::node::{self, Node, Place, Value};
use super::pattern::{Segment, Tree};
use super::{Operation, Spec, SpecPath};

/// The largest document that is read, bytes.
pub const MAX_BYTES: usize = 32 << 20;
/// Documented paths at most, each counted once for each base path.
const MAX_PATHS: usize = 10_000;
/// Problems of one document that are told.
const MAX_TOLD: usize = 20;

/// The fixed fields of a path item that are operations (OpenAPI 3.1, "Path Item Object"; `query`
/// since 3.2).
const METHODS: [&str; 9] =
    ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];
/// The other fields.
const OTHERS: [&str; 6] =
    ["$ref", "summary", "description", "servers", "parameters", "additionalOperations"];

/// Reads a document, called `shown` in messages. `None` when there is an error among what was told.
pub fn read(bytes: &[u8], shown: &str, mut tell: impl FnMut(Diagnostic)) -> Option<Spec> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut whole = |message: String, hint: &str| {
        tell(Diagnostic::about_file(shown, message, hint.to_owned()));
    };
    if bytes.len() > MAX_BYTES {
        let message = format!("larger than {} MiB", MAX_BYTES >> 20);
        whole(message, "an OpenAPI document is text about one API");
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            whole(format!("not UTF-8 text: line {line} has other bytes"), "save it as UTF-8");
            return None;
        }
    };
    let source = Source::new(shown, text);
    let mut reader =
        Reader { source: &source, lines: text.lines().collect(), found: Vec::new(), untold: 0 };
    let spec = match node::read(&source) {
        Ok(root) => reader.document(root.as_deref()),
        Err((at, message)) => {
            reader.error(at, message, "correct it, or let a linter for OpenAPI find more");
            None
        }
    };
    let Reader { found, untold, .. } = reader;
    let failed = untold > 0 || found.iter().any(Diagnostic::is_error);
    if let Some(last) = found.last().filter(|_| untold > 0) {
        let message = format!("and {untold} more problems");
        let hint = "is this an OpenAPI document?".to_owned();
        let more = Diagnostic { severity: Severity::Error, message, hint, ..last.clone() };
        found.iter().cloned().for_each(&mut tell);
        tell(more);
    } else {
        found.into_iter().for_each(tell);
    }
    spec.filter(|_| !failed)
}

struct Reader<'t> {
    source: &'t Source<'t>,
    lines: Vec<&'t str>,
    found: Vec<Diagnostic>,
    /// Problems beyond [`MAX_TOLD`].
    untold: usize,
}

impl Reader<'_> {
    fn add(&mut self, severity: Severity, at: Place, message: String, hint: &str) {
        if self.found.len() >= MAX_TOLD {
            self.untold += 1;
            return;
        }
        let line = self.lines.get(at.line.saturating_sub(1) as usize);
        self.found.push(Diagnostic {
            severity,
            file: self.source.name().clone(),
            line: at.line,
            column: at.column,
            message,
            hint: hint.to_owned(),
            // A document may be one line.
            excerpt: line.map_or("", |line| line).chars().take(4_000).collect(),
        });
    }

    fn error(&mut self, at: Place, message: impl Into<String>, hint: &str) {
        self.add(Severity::Error, at, message.into(), hint);
    }

    fn warning(&mut self, at: Place, message: impl Into<String>, hint: &str) {
        self.add(Severity::Warning, at, message.into(), hint);
    }

    fn document(&mut self, root: Option<&Node>) -> Option<Spec> {
        let first = Place { line: 1, column: 1 };
        let mut spec =
            Spec { title: None, version: None, paths: Vec::new(), tree: Tree::default() };
        let Some(root) = root else {
            self.warning(first, "it documents nothing: it is empty", "describe the API's paths");
            return Some(spec);
        };
        if root.entries().is_none() {
            let hint = "an OpenAPI document begins with openapi: 3.1.0";
            self.error(root.at, "this is no OpenAPI document", hint);
            return None;
        }
        self.language(root)?;
        let info = |key: &str| {
            let text = root.get("info").and_then(|info| info.get(key))?.text()?;
            Some(text.chars().take(200).collect())
        };
        (spec.title, spec.version) = (info("title"), info("version"));
        let paths = root.get("paths").filter(|paths| !matches!(paths.value, Value::Null));
        let Some(paths) = paths else {
            let hint = "without `paths`, every route of the API is undocumented";
            self.warning(root.at, "it documents no path", hint);
            return Some(spec);
        };
        let Some(entries) = paths.entries() else {
            self.error(paths.at, "`paths` is not a mapping", "write /orders: below paths");
            return None;
        };
        let bases = self.bases(root.get("servers"));
        for entry in entries {
            if !entry.key.starts_with("x-") {
                self.path(&mut spec, root, &entry.key, entry.at, &entry.node, &bases);
            }
        }
        Some(spec)
    }

    /// That the document is in a language known here.
    fn language(&mut self, root: &Node) -> Option<()> {
        let Some(version) = root.get("openapi") else {
            match root.get("swagger") {
                Some(old) => self.error(
                    old.at,
                    format!("Swagger {} is not read", old.text().unwrap_or_default()),
                    "convert it to OpenAPI 3.0 or 3.1, for example with swagger2openapi",
                ),
                None => self.error(
                    root.at,
                    "this is no OpenAPI document: it has no `openapi`",
                    "begin it with openapi: 3.1.0",
                ),
            }
            return None;
        };
        let text = version.text().unwrap_or_default();
        let numbers: Vec<&str> = text.split('.').collect();
        match numbers[..] {
            ["3", "0" | "1", ..] => {}
            ["3", ..] => self.warning(
                version.at,
                format!("OpenAPI {text} is read as if it were 3.1"),
                "weir knows 3.0 and 3.1",
            ),
            _ => {
                let hint = "weir reads openapi: 3.0.x and 3.1.x";
                self.error(version.at, format!("OpenAPI `{text}` is not known"), hint);
                return None;
            }
        }
        Some(())
    }

    fn bases(&mut self, servers: Option<&Rc<Node>>) -> Vec<String> {
        base_paths(servers, |at, message, hint| self.error(at, message, hint))
    }

    fn path(
        &mut self,
        spec: &mut Spec,
        root: &Node,
        key: &str,
        at: Place,
        item: &Rc<Node>,
        bases: &[String],
    ) {
        if !key.starts_with('/') {
            let hint = "a path begins with a slash (Paths Object)";
            return self.error(at, format!("`{}` is not a path", key.escape_debug()), hint);
        }
        let Some(item) = self.resolve(root, item) else { return };
        let Some(entries) = item.entries() else {
            if matches!(item.value, Value::Null) {
                return;
            }
            let hint = "write its methods below it: get:, post:, …";
            return self.error(item.at, format!("`{}` is not a mapping", key.escape_debug()), hint);
        };
        // The innermost list of servers counts; that of an operation is rarely there.
        let own = item.get("servers").map(|_| self.bases(item.get("servers")));
        let path_bases = own.as_deref().unwrap_or(bases);
        let mut by_base: BTreeMap<String, BTreeMap<String, Operation>> = BTreeMap::new();
        let more = item.get("additionalOperations").and_then(|more| more.entries());
        let fixed = entries.iter().filter(|entry| METHODS.contains(&entry.key.as_str()));
        for entry in fixed.chain(more.unwrap_or_default()) {
            let method = entry.key.to_ascii_uppercase();
            if entry.node.entries().is_none() {
                let message = format!("`{method}` of `{}` is not a mapping", key.escape_debug());
                self.error(entry.at, message, "describe the operation: responses: …");
                continue;
            }
            let operation = Operation {
                id: entry.node.get("operationId").and_then(|id| id.text()).map(str::to_owned),
                deprecated: entry.node.get("deprecated").and_then(|d| d.text()) == Some("true"),
                line: entry.at.line,
            };
            let own = entry.node.get("servers").map(|_| self.bases(entry.node.get("servers")));
            for base in own.as_deref().unwrap_or(path_bases) {
                let methods = by_base.entry(base.clone()).or_default();
                methods.insert(method.clone(), operation.clone());
            }
        }
        for entry in entries {
            let known = METHODS.contains(&entry.key.as_str())
                || OTHERS.contains(&entry.key.as_str())
                || entry.key.starts_with("x-");
            if !known {
                let message = format!("`{}` is no method", entry.key.escape_debug());
                self.warning(entry.at, message, "methods are lower case: get, post, put, …");
            }
        }
        for (base, methods) in by_base {
            self.template(spec, &base, key, at, methods);
        }
    }

    fn template(
        &mut self,
        spec: &mut Spec,
        base: &str,
        key: &str,
        at: Place,
        methods: BTreeMap<String, Operation>,
    ) {
        let route = format!("{base}{key}");
        let shown = route.escape_debug();
        let slashed = format!("/{}", route.trim_start_matches('/'));
        let Some(path) = Path::of(&slashed).filter(|path| !path.deeper) else {
            return self.error(at, format!("`{shown}` is too deep"), "at most 16 segments");
        };
        let segments: Option<Vec<_>> = path.segments.iter().map(|s| Segment::of(s)).collect();
        let Some(segments) = segments else {
            let message = format!("the braces of `{shown}` do not match");
            return self.error(at, message, "a parameter is {name}, within one segment");
        };
        if spec.paths.len() >= MAX_PATHS {
            let hint = "split the document, or name fewer servers";
            return self.error(at, format!("more than {MAX_PATHS} paths"), hint);
        }
        let number = spec.tree.insert(&segments, spec.paths.len());
        if let Some(known) = spec.paths.get_mut(number) {
            let message = format!("`{shown}` is the same path as `{}`", known.route);
            // Their methods together are what is documented.
            known.methods.extend(methods);
            return self.warning(at, message, "templates that differ in names only are one path");
        }
        // As requests are named: one slash between segments, none at the end.
        let route = format!("/{}", path.segments.join("/"));
        spec.paths.push(SpecPath { route: route.into(), template: key.into(), methods });
    }

    /// The path item itself, or the one it refers to within the document (RFC 6901).
    fn resolve(&mut self, root: &Node, item: &Rc<Node>) -> Option<Rc<Node>> {
        let Some(reference) = item.get("$ref") else { return Some(Rc::clone(item)) };
        let text = reference.text().unwrap_or_default();
        let Some(pointer) = text.strip_prefix("#/") else {
            let message = format!("`{}` is not followed", text.escape_debug());
            self.warning(reference.at, message, "bundle the document: weir reads one file");
            return None;
        };
        let mut names = pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~"));
        let first = names.next().and_then(|name| root.get(&name).cloned());
        let found =
            first.and_then(|first| names.try_fold(first, |at, name| at.get(&name).cloned()));
        if found.as_ref().is_none_or(|found| found.get("$ref").is_some()) {
            let message = format!("`{}` leads nowhere", text.escape_debug());
            self.error(reference.at, message, "name a path item of this document");
            return None;
        }
        found
    }
}
