//! The reference of the policy language, `docs/policy-reference.md`: every table and every key, with type,
//! range, default and a sentence. `cargo xtask reference` writes it.
//!
//! What a key means is said here, in `sections` and `apis`; which words and numbers it takes, the parser is asked
//! ([`probe`]), so that the page cannot say otherwise. Tests hold the rest against the parser: the keys of each
//! table, one way and the other, tables nobody listed, values at the ends of their ranges, what is required, and
//! that leaving a key out is the same as writing its default.

mod apis;
mod sections;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use super::{ReadFile, parse_with};
use crate::text::{Diagnostic, Problem, Severity};

/// Stands in a [`Section::frame`] for the key in question.
const HERE: &str = "@";
/// No key, nor like one.
const NOBODY: &str = "zqxjkvbw";

/// A table of the language.
struct Section {
    /// Its path, with names of the user's in capitals.
    title: &'static str,
    /// How it is written.
    header: &'static str,
    about: &'static str,
    /// A policy without an error that has the table, and [`HERE`] in it.
    frame: &'static str,
    keys: Vec<Key>,
}

/// A key of a table.
struct Key {
    name: &'static str,
    takes: Takes,
    default: Default,
    about: &'static str,
    /// Another frame than the section's, for a key that goes with none of those there.
    frame: Option<&'static str>,
}

/// What a key takes.
enum Takes {
    /// One of a few words: the parser says which.
    Word,
    /// A number within a range: the parser says which.
    Number(&'static str),
    /// A value of this type; TOML that is accepted, the first as an example, and that is refused.
    Value {
        kind: &'static str,
        good: &'static [&'static str],
        #[cfg_attr(not(test), expect(dead_code, reason = "only tests try what is refused"))]
        bad: &'static [&'static str],
    },
    /// A table, or a list of them, with a section of its own.
    Table(&'static str, &'static [&'static str]),
}

/// What holds without a key.
enum Default {
    /// An error.
    Required,
    /// The same as with this TOML.
    Is(&'static str),
    /// This, which cannot be written.
    Says(&'static str),
}

/// Any word of a choice, or a number of this type.
const fn word(name: &'static str, default: &'static str, about: &'static str) -> Key {
    Key { name, takes: Takes::Word, default: Default::Is(default), about, frame: None }
}

const fn number(
    name: &'static str,
    kind: &'static str,
    default: Default,
    about: &'static str,
) -> Key {
    Key { name, takes: Takes::Number(kind), default, about, frame: None }
}

const fn value(
    name: &'static str,
    kind: &'static str,
    (good, bad): (&'static [&'static str], &'static [&'static str]),
    default: Default,
    about: &'static str,
) -> Key {
    Key { name, takes: Takes::Value { kind, good, bad }, default, about, frame: None }
}

const fn table(
    name: &'static str,
    section: &'static str,
    good: &'static [&'static str],
    default: Default,
    about: &'static str,
) -> Key {
    Key { name, takes: Takes::Table(section, good), default, about, frame: None }
}

fn all() -> Vec<Section> {
    let mut all = sections::before();
    all.extend(apis::sections());
    all.extend(sections::after());
    all
}

impl Section {
    /// A policy that says `key = value` in this table, or nothing of the key.
    fn text(&self, key: &Key, value: Option<&str>) -> String {
        let said = value.map(|value| format!("{} = {value}", key.name)).unwrap_or_default();
        let mut text = String::new();
        let frame = key.frame.unwrap_or(self.frame);
        // Only the table's own line of the key makes room for this one: that after the last header.
        let own = frame.rfind("\n[").map_or(0, |at| at + 1);
        let (before, inside) = frame.split_at(own);
        text.push_str(before);
        for line in inside.lines() {
            let is_key = line.split_once(" = ").is_some_and(|(name, _)| name == key.name);
            text.push_str(if line == HERE {
                &said
            } else if is_key {
                ""
            } else {
                line
            });
            text.push('\n');
        }
        text
    }
}

/// Files that a policy names: a feed and an OpenAPI document.
struct Files;

impl ReadFile for Files {
    fn read(&self, name: &str) -> Result<Vec<u8>, Problem> {
        match name {
            "partners.txt" => Ok(b"198.18.0.0/24\n".to_vec()),
            "orders.yaml" => Ok(b"openapi: 3.1.0\npaths: {}\n".to_vec()),
            _ => Err(Problem::new(format!("there is no {name}"), "")),
        }
    }
}

/// What the parser objects to in a policy.
fn errors(text: &str) -> Vec<Diagnostic> {
    let mut told = parse_with(text, "policy.toml", &Files).diagnostics;
    told.retain(|diagnostic| diagnostic.severity == Severity::Error);
    told
}

/// What the parser says a key takes, asked with a value that it cannot take.
fn probe(section: &Section, key: &Key, wrong: &str, begin: &str) -> Option<String> {
    let told = errors(&section.text(key, Some(wrong)));
    let hint = told.iter().find_map(|told| told.hint.split_once(begin))?.1;
    Some(hint.to_owned())
}

/// The words that a key takes, in quotes.
fn words(section: &Section, key: &Key) -> Vec<String> {
    let words = probe(section, key, &format!("\"{NOBODY}\""), "write one of ").unwrap_or_default();
    words.split(", ").filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The least and the most that a key takes.
fn range(section: &Section, key: &Key) -> Option<(String, String)> {
    let told = probe(section, key, "-987654321", "a number from ")?;
    told.split_once(" to ").map(|(least, most)| (least.to_owned(), most.to_owned()))
}

/// The page.
pub fn page() -> String {
    let mut page = String::from(
        "# Policy reference\n\n<!-- Made by `cargo xtask reference`: a test fails while it is another. -->\n\n\
         Every table and every key of the policy language, as the parser of this version takes them; [policy.md](policy.md) says what they are for, \
         how values are written, and what `check` says of mistakes. A key that is not here is an error. \
         Names in capitals are yours.\n",
    );
    for section in all() {
        let _infallible = write!(
            page,
            "\n## {}\n\n{}\n\n| key | type | default | |\n| --- | --- | --- | --- |\n",
            section.header, section.about
        );
        for key in &section.keys {
            let default = match key.default {
                Default::Required => "required".to_owned(),
                Default::Is(text) => format!("`{text}`"),
                Default::Says(text) => text.to_owned(),
            };
            let kind = kind(&section, key);
            let _infallible =
                writeln!(page, "| `{}` | {kind} | {default} | {} |", key.name, key.about.trim());
        }
    }
    page
}

/// What a key takes, for people.
fn kind(section: &Section, key: &Key) -> String {
    match &key.takes {
        Takes::Word => {
            let words = words(section, key);
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Takes::Number(kind) => {
            let (least, most) = range(section, key).unwrap_or_default();
            format!("{kind}, {least} to {most}")
        }
        Takes::Value { kind, good, .. } => match good.first() {
            Some(example) => format!("{kind}: `{example}`"),
            None => (*kind).to_owned(),
        },
        Takes::Table(title, good) => {
            let linked = all().into_iter().find(|section| section.title == *title);
            let anchor = linked.map(|section| anchor(section.header)).unwrap_or_default();
            match good.first() {
                Some(example) => format!("[table](#{anchor}): `{example}`"),
                None => format!("[table](#{anchor})"),
            }
        }
    }
}

/// What a renderer of Markdown makes of a heading: letters, digits, `-` and `_`; spaces become `-`.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}
