//! The list of problems that grows while a text is read.

use std::collections::BTreeSet;
use std::ops::Range;

use super::{Diagnostic, Location, Problem, Severity, Source, sort};

/// Collects the problems of one main text, and of the files it names.
#[derive(Debug)]
pub struct Report<'t> {
    source: &'t Source<'t>,
    found: Vec<Diagnostic>,
    broken_lines: BTreeSet<u32>,
}

impl<'t> Report<'t> {
    /// A report about `source`, with nothing in it.
    pub fn new(source: &'t Source<'t>) -> Self {
        Self { source, found: Vec::new(), broken_lines: BTreeSet::new() }
    }

    /// The text it is about.
    pub fn source(&self) -> &'t Source<'t> {
        self.source
    }

    /// The place where a span begins.
    pub fn at(&self, span: &Range<usize>) -> Location {
        self.source.locate(span.start)
    }

    /// Something that makes the text unusable.
    pub fn error(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Error, span, message.into(), hint.into());
    }

    /// Something that is likely not what was meant.
    pub fn warning(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Warning, span, message.into(), hint.into());
    }

    /// An error because something is not there. Silent when the text has syntax errors: the thing
    /// may be in what could not be read.
    pub fn missing(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.broken_lines.is_empty() {
            self.error(span, message, hint);
        }
    }

    /// A warning because something is not there, silent as `missing` is.
    pub fn missing_warning(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.broken_lines.is_empty() {
            self.warning(span, message, hint);
        }
    }

    /// The value, or an error at `span` when there is none.
    pub fn accept<T>(&mut self, span: &Range<usize>, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.error(span, problem.message, problem.hint)).ok()
    }

    /// A place where the text is not even TOML. One a line: the first is the cause, the others
    /// follow from it.
    pub(super) fn syntax_error(&mut self, span: &Range<usize>, message: &str) {
        let line = self.source.locate(span.start).line;
        let hint = "the file is TOML (https://toml.io): check quotes, brackets and `=` here";
        self.add(Severity::Error, span, message.to_owned(), hint.to_owned());
        self.broken_lines.insert(line);
    }

    /// A problem that another file has.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Whether nothing so far makes the text unusable.
    pub fn usable(&self) -> bool {
        !self.found.iter().any(Diagnostic::is_error)
    }

    /// The problems, sorted by file and position, each once.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        sort(&mut self.found, self.source.name());
        self.found.dedup();
        self.found
    }

    fn add(&mut self, severity: Severity, span: &Range<usize>, message: String, hint: String) {
        let Location { file, line, column } = self.at(span);
        // What a line means is not worth telling when it could not be read.
        if self.broken_lines.contains(&line) {
            return;
        }
        let excerpt = self.source.line_of(span.start).to_owned();
        self.found.push(Diagnostic { severity, file, line, column, message, hint, excerpt });
    }
}
