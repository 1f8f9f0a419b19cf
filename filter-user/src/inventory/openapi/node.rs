//! A document of YAML or JSON as a tree whose every value knows where it was written.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::value::RawValue;

use crate::text::Source;

/// How deep a document may be nested.
const MAX_DEPTH: usize = 100;
/// Values a document may have, those behind aliases counted once.
const MAX_VALUES: usize = 5_000_000;

/// Line and column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A value.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    /// Any scalar, a string or not, as text.
    Text(String),
    List(Vec<Rc<Node>>),
    /// In the order of the document.
    Map(Vec<Entry>),
}

/// A member of a mapping.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Place,
    pub(super) node: Rc<Node>,
}

/// What keeps a text from being a document, and where.
pub(super) type Refused = (Place, String);

impl Node {
    /// The value of a key; of one that is there twice the last, as YAML and JSON readers do.
    pub(super) fn get(&self, key: &str) -> Option<&Rc<Self>> {
        let found = self.entries()?.iter().rev().find(|entry| entry.key == key);
        found.map(|entry| &entry.node)
    }

    /// The members, when it is a mapping.
    pub(super) fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, when it is a list.
    pub(super) fn items(&self) -> Option<&[Rc<Self>]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text, when it is a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads a document: JSON when it begins with a brace and is nothing but JSON, else YAML, of which
/// flow style looks alike. `None` when there is nothing in it.
pub(super) fn read(source: &Source<'_>) -> Result<Option<Rc<Node>>, Refused> {
    if source.text().trim_start().starts_with('{') {
        return match json(source) {
            Ok(root) => Ok(Some(root)),
            // Told as JSON, unless the text makes sense as the other.
            Err(refused) => yaml(source.text()).map_err(|_| refused),
        };
    }
    yaml(source.text())
}

fn json(source: &Source<'_>) -> Result<Rc<Node>, Refused> {
    let raw: &RawValue = serde_json::from_str(source.text()).map_err(|error| {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let place = Place { line: narrow(error.line()), column: narrow(error.column().max(1)) };
        let told = error.to_string();
        // The place is told beside it.
        let told = told.split(" at line ").next().unwrap_or_default();
        (place, format!("this is not JSON: {told}"))
    })?;
    branch(source, raw, 0)
}

fn branch(source: &Source<'_>, raw: &RawValue, depth: usize) -> Result<Rc<Node>, Refused> {
    let text = raw.get();
    // A raw value borrows from the text it was read from.
    let offset = (text.as_ptr() as usize).saturating_sub(source.text().as_ptr() as usize);
    let location = source.locate(offset);
    let at = Place { line: location.line, column: location.column };
    if depth > MAX_DEPTH {
        return Err((at, format!("nested deeper than {MAX_DEPTH}")));
    }
    let broken = |error: serde_json::Error| (at, format!("this is not JSON: {error}"));
    let value = match text.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text).map_err(broken)?;
            let entries = members.into_iter().map(|(key, raw)| {
                let node = branch(source, raw, depth + 1)?;
                Ok(Entry { key, at: node.at, node })
            });
            Value::Map(entries.collect::<Result<_, Refused>>()?)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(broken)?;
            let items = items.into_iter().map(|raw| branch(source, raw, depth + 1));
            Value::List(items.collect::<Result<_, Refused>>()?)
        }
        Some(b'"') => Value::Text(serde_json::from_str(text).map_err(broken)?),
        Some(b'n') => Value::Null,
        _ => Value::Text(text.to_owned()),
    };
    Ok(Rc::new(Node { at, value }))
}

/// An object in the order of its text, duplicates included.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A list or mapping that is being read.
struct Open {
    at: Place,
    anchor: usize,
    items: Vec<Rc<Node>>,
    entries: Option<Vec<Entry>>,
    /// A key that waits for its value.
    key: Option<(String, Place)>,
}

fn yaml(text: &str) -> Result<Option<Rc<Node>>, Refused> {
    let mut parser = Parser::new_from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, Rc<Node>> = HashMap::new();
    let mut root = None;
    let mut values = 0;
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            (place(error.marker()), format!("this is not YAML: {}", error.info()))
        })?;
        let at = place(&span.start);
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = matches!(style, ScalarStyle::Plain);
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null { Value::Null } else { Value::Text(text.into_owned()) };
                (Rc::new(Node { at, value }), anchor)
            }
            Event::Alias(anchor) => match anchors.get(&anchor) {
                Some(node) => (Rc::clone(node), 0),
                None => return Err((at, "an alias stands inside what it stands for".to_owned())),
            },
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if open.len() >= MAX_DEPTH {
                    return Err((at, format!("nested deeper than {MAX_DEPTH}")));
                }
                let entries = matches!(event, Event::MappingStart(..)).then(Vec::new);
                open.push(Open { at, anchor, items: Vec::new(), entries, key: None });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { at, anchor, items, entries, .. }) = open.pop() else { continue };
                let value = entries.map_or(Value::List(items), Value::Map);
                (Rc::new(Node { at, value }), anchor)
            }
            Event::DocumentEnd => break,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {
                continue;
            }
        };
        values += 1;
        if values > MAX_VALUES {
            return Err((at, format!("more than {MAX_VALUES} values")));
        }
        if anchor != 0 {
            anchors.insert(anchor, Rc::clone(&node));
        }
        match open.last_mut() {
            None => root = Some(node),
            Some(Open { entries: None, items, .. }) => items.push(node),
            Some(Open { entries: Some(entries), key, .. }) => match key.take() {
                Some((key, at)) => entries.push(Entry { key, at, node }),
                None => {
                    // A key of OpenAPI is text; any other is kept under what it says, if anything.
                    *key = Some((node.text().unwrap_or_default().to_owned(), at));
                }
            },
        }
    }
    Ok(root.filter(|root| !matches!(root.value, Value::Null)))
}

fn place(marker: &saphyr_parser::Marker) -> Place {
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place { line: narrow(marker.line().max(1)), column: narrow(marker.col().saturating_add(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<Rc<Node>>, Refused> {
        read(&Source::new("spec", text))
    }

    #[test]
    fn yaml_and_json_give_the_same_tree_with_places() {
        let rows = [
            ("a:\n  b: [x, '1']\n", (2, 6)),
            ("# c\na: {b: [x, 1]}\n", (2, 8)),
            ("{\n\t\"a\": {\n\t\t\"b\": [\"x\", 1]}}", (3, 8)),
            ("{a: {b: [x, 1]}}", (1, 9)),
            ("c: &n\n  [x, 1]\na: {b: *n}\n", (1, 4)),
        ];
        for (text, (line, column)) in rows {
            let root = parsed(text).expect("a document").expect("not empty");
            let list = root.get("a").and_then(|a| a.get("b")).expect("a.b");
            let items: Vec<_> = list.items().expect("a list").iter().map(|i| i.text()).collect();
            assert_eq!(items, [Some("x"), Some("1")], "{text}");
            assert_eq!(list.at, Place { line, column }, "{text}");
        }
        let root = parsed(r#"{"a": "\ud83d\ude00 \/", "a": null}"#).expect("reads");
        let entries = root.as_ref().and_then(|root| root.entries()).expect("a mapping");
        assert_eq!(entries[0].node.text(), Some("😀 /"));
        assert!(matches!(entries[1].node.value, Value::Null), "the last one counts");
    }

    #[test]
    fn what_is_no_document_is_told_with_its_line() {
        for text in ["", "# nothing\n", "---\n", "null\n"] {
            assert!(parsed(text).expect("reads").is_none(), "{text:?}");
        }
        let deep = "[".repeat(200);
        for (text, line, words) in [
            ("a: 1\nb: [1\n", 3, "not YAML"),
            ("a:\n\tb: 2\n", 2, "not YAML"),
            ("{\n \"a\": 1,,\n}", 2, "not JSON"),
            ("a: *nowhere\n", 1, "not YAML"),
            ("a: &x {b: *x}\n", 1, "alias"),
            (&deep, 1, "nested"),
        ] {
            let (place, told) = parsed(text).map(drop).expect_err(text);
            assert_eq!(place.line, line, "{text:?}: {told}");
            assert!(told.contains(words), "{text:?}: {told}");
        }
    }

    #[test]
    fn aliases_take_no_room() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..60 {
            let many = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{many}]\n"));
        }
        assert!(parsed(&text).is_ok());
    }
}
