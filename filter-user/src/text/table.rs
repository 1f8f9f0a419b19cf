//! A reader of TOML that reports what it cannot use and goes on.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{Report, nearest};

type Span = Range<usize>;

/// Parses the report's text and hands the root table to `walk`. Syntax errors are reported, each,
/// and what could be read is handed over nevertheless, so that one run finds every problem.
pub fn read<T>(
    report: &mut Report<'_>,
    known: &[&str],
    walk: impl FnOnce(&mut Report<'_>, &Table<'_>) -> T,
) -> T {
    let (root, errors) = DeTable::parse_recoverable(report.source().text());
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        report.syntax_error(&span, error.message());
    }
    let table = Table::new(report, "", root.span(), root.get_ref(), known);
    walk(report, &table)
}

/// A table of the text, its unknown keys already reported.
#[derive(Debug)]
pub struct Table<'a> {
    path: String,
    span: Span,
    entries: &'a DeTable<'a>,
    /// For each unknown key, the known one it was likely meant to be.
    unknown: Vec<Option<String>>,
}

impl<'a> Table<'a> {
    fn new(
        report: &mut Report<'_>,
        path: &str,
        span: Span,
        entries: &'a DeTable<'a>,
        known: &[&str],
    ) -> Self {
        let mut unknown = Vec::new();
        for (key, _) in entries.iter() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let place = if path.is_empty() { "here".to_owned() } else { format!("in {path}") };
                let near = nearest(name, known.iter().copied());
                unknown.push(near.map(str::to_owned));
                let known_here = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known {place}: {}", known.join(", ")),
                };
                let what = match entries.get(name).map(toml::Spanned::get_ref) {
                    Some(DeValue::Table(_)) if path.is_empty() => "table",
                    _ => "key",
                };
                report.error(
                    &key.span(),
                    format!("unknown {what} `{}`{}", name.escape_debug(), after(path)),
                    known_here,
                );
            }
        }
        Self { path: path.to_owned(), span, entries, unknown }
    }

    /// Where the table is.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// What the table is called in messages.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it has keys that were reported as unknown.
    pub fn has_unknown(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// Whether a key is missing, and not just misspelt, which was reported already.
    pub fn lacks(&self, key: &str) -> bool {
        !self.entries.contains_key(key)
            && !self.unknown.iter().any(|meant| meant.as_deref() == Some(key))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Item<'a>> {
        let (name, value) = self.entries.get_key_value(key)?;
        Some(Item::new(join(&self.path, key), name.span(), value.span(), value.get_ref()))
    }
}

/// ` in PATH`, or nothing at the root.
fn after(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" in {path}") }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A value of the text, its type not yet looked at.
#[derive(Debug)]
pub struct Item<'a> {
    path: String,
    key: Span,
    span: Span,
    value: &'a DeValue<'a>,
}

impl<'a> Item<'a> {
    fn new(path: String, key: Span, span: Span, value: &'a DeValue<'a>) -> Self {
        Self { path, key, span, value }
    }

    /// What the value is called in messages.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where the value is.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Where its key is (the value itself, for an element of a list).
    pub fn key_span(&self) -> &Span {
        &self.key
    }

    /// Whether it is a string, for keys that take a word or a list.
    pub fn is_string(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// Whether it is a table, for keys that take a number or a table.
    pub fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// Whether it is a list without elements.
    pub fn is_empty_list(&self) -> bool {
        matches!(self.value, DeValue::Array(elements) if elements.is_empty())
    }

    /// Reports that the value has another type than `expected`, with an example of a right one.
    pub fn wrong_type(&self, report: &mut Report<'_>, expected: &str, example: &str) {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        report.error(
            &self.span,
            format!("`{}` must be {expected}, not {found}", self.path),
            format!("write {example}"),
        );
    }

    /// The text of a string.
    pub fn string(&self, report: &mut Report<'_>, example: &str) -> Option<&'a str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => {
                self.wrong_type(report, "a string", example);
                None
            }
        }
    }

    /// An integer within a range.
    pub fn integer(
        &self,
        report: &mut Report<'_>,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let example = format!("a number from {} to {}", range.start(), range.end());
        let DeValue::Integer(number) = self.value else {
            self.wrong_type(report, "an integer", &example);
            return None;
        };
        let value = i64::from_str_radix(number.as_str(), number.radix()).ok();
        let fits = value.filter(|value| range.contains(value));
        if fits.is_none() {
            report.error(
                &self.span,
                format!("`{}` is out of range: {number}", self.path),
                format!("write {example}"),
            );
        }
        fits
    }

    /// A number within a range, with or without a fraction.
    pub fn number(
        &self,
        report: &mut Report<'_>,
        range: std::ops::RangeInclusive<f64>,
    ) -> Option<f64> {
        let example = format!("a number from {} to {}", range.start(), range.end());
        let value = match self.value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n as f64)
            }
            _ => {
                self.wrong_type(report, "a number", &example);
                return None;
            }
        };
        let fits = value.filter(|value| range.contains(value));
        if fits.is_none() {
            report.error(
                &self.span,
                format!("`{}` is out of range", self.path),
                format!("write {example}"),
            );
        }
        fits
    }

    /// A boolean.
    pub fn boolean(&self, report: &mut Report<'_>) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.wrong_type(report, "a boolean", "true or false");
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, report: &mut Report<'_>, words: &[(&str, T)]) -> Option<T> {
        let list = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>();
        let list = list.join(", ");
        let text = self.string(report, &format!("one of {list}"))?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let hint = match nearest(text, words.iter().map(|(word, _)| *word)) {
                Some(near) => format!("did you mean \"{near}\"? It is one of {list}"),
                None => format!("write one of {list}"),
            };
            report.error(
                &self.span,
                format!("`{}` cannot be \"{}\"", self.path, text.escape_debug()),
                hint,
            );
        }
        found
    }

    /// The elements of a list.
    pub fn list(&self, report: &mut Report<'_>, example: &str) -> Option<Vec<Item<'a>>> {
        let DeValue::Array(elements) = self.value else {
            self.wrong_type(report, "a list", example);
            return None;
        };
        let element = |value: &'a toml::Spanned<DeValue<'a>>| {
            Item::new(self.path.clone(), value.span(), value.span(), value.get_ref())
        };
        Some(elements.iter().map(element).collect())
    }

    /// The strings of a list; elements of other types are reported and left out.
    pub fn strings(&self, report: &mut Report<'_>, example: &str) -> Option<Vec<(&'a str, Span)>> {
        let elements = self.list(report, example)?;
        let mut strings = Vec::with_capacity(elements.len());
        for element in elements {
            if let Some(text) = element.string(report, example) {
                strings.push((text, element.span));
            }
        }
        Some(strings)
    }

    /// A table with known keys.
    pub fn table(
        &self,
        report: &mut Report<'_>,
        known: &[&str],
        example: &str,
    ) -> Option<Table<'a>> {
        let DeValue::Table(entries) = self.value else {
            self.wrong_type(report, "a table", example);
            return None;
        };
        Some(Table::new(report, &self.path, self.span.clone(), entries, known))
    }

    /// The entries of a table whose keys are the user's own names, in the order of the text.
    pub fn entries(
        &self,
        report: &mut Report<'_>,
        example: &str,
    ) -> Option<Vec<(&'a str, Item<'a>)>> {
        let DeValue::Table(entries) = self.value else {
            self.wrong_type(report, "a table", example);
            return None;
        };
        let mut named: Vec<(&'a str, Item<'a>)> = entries
            .iter()
            .map(|(key, value)| {
                let name: &'a str = key.get_ref();
                let path = join(&self.path, &name.escape_debug().to_string());
                (name, Item::new(path, key.span(), value.span(), value.get_ref()))
            })
            .collect();
        named.sort_by_key(|(_, item)| item.key.start);
        Some(named)
    }
}
