//! Text with line starts, so that a byte offset becomes a line and a column.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

/// A place in a text that the user wrote. Line and column are 1-based; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Location {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A text and where its lines begin.
#[derive(Debug)]
pub struct Source<'t> {
    name: Arc<str>,
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Source<'t> {
    /// Indexes `text`, to be called `name` in messages.
    pub fn new(name: &str, text: &'t str) -> Self {
        let after_newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let starts = std::iter::once(0).chain(after_newlines.map(|(at, _)| at + 1)).collect();
        Self { name: name.into(), text, starts }
    }

    /// What the text is called in messages.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// The position of a byte offset. One past the end, or inside a character, is the position of
    /// what stands there.
    pub fn locate(&self, offset: usize) -> Location {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let column = self.text[start..].char_indices().take_while(|(at, _)| start + at < offset);
        Location {
            file: Arc::clone(&self.name),
            line: u32::try_from(line + 1).unwrap_or(u32::MAX),
            column: u32::try_from(column.count() + 1).unwrap_or(u32::MAX),
        }
    }

    /// The line, without its end, that a byte offset is on.
    pub fn line_of(&self, offset: usize) -> &'t str {
        let line = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(0);
        let end = self.starts.get(line + 1).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    /// What stands in a span, or nothing when the span is not one of this text.
    pub fn slice(&self, span: Range<usize>) -> &'t str {
        self.text.get(span).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_character_columns() {
        let rows = [
            ("", 0, 1, 1, ""),
            ("a\nb", 0, 1, 1, "a"),
            ("a\nb", 1, 1, 2, "a"),
            ("a\nb", 2, 2, 1, "b"),
            ("a\nb", 3, 2, 2, "b"),
            ("a\r\nb", 3, 2, 1, "b"),
            ("é = x", 6, 1, 6, "é = x"),
            ("a\n", 2, 2, 1, ""),
            ("a", 99, 1, 2, "a"),
        ];
        for (text, offset, line, column, shown) in rows {
            let source = Source::new("t", text);
            let at = source.locate(offset);
            assert_eq!((at.line, at.column), (line, column), "{text:?} at {offset}");
            assert_eq!(source.line_of(offset.min(text.len())), shown, "{text:?} at {offset}");
        }
    }
}
