//! Path templates (OpenAPI 3.1, "Path Templating") as a tree that finds the one of a path.
//!
//! A literal wins over a parameter, segment by segment from the left, as the specification wants:
//! "concrete, non-templated path definitions are matched first".

use std::borrow::Cow;
use std::collections::HashMap;

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// As it is.
    Literal(Box<str>),
    /// Text between parameters; the first and the last may be empty. Two of them: one parameter.
    Parameters(Box<[Box<str>]>),
}

impl Segment {
    /// Reads a segment; `None` when its braces do not match.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut pieces: Vec<Box<str>> = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (piece, parameter) = (&rest[..at], &rest[at + 1..]);
            let end = parameter.find('}')?;
            if end == 0 || piece.contains('}') || parameter[..end].contains('{') {
                return None;
            }
            pieces.push(piece.into());
            rest = &parameter[end + 1..];
        }
        if rest.contains('}') {
            return None;
        }
        if pieces.is_empty() {
            return Some(Self::Literal(rest.into()));
        }
        pieces.push(rest.into());
        Some(Self::Parameters(pieces.into()))
    }

    /// Whether a segment of a path can be this one; no parameter is empty.
    fn matches(&self, segment: &str) -> bool {
        match self {
            Self::Literal(literal) => **literal == *segment,
            Self::Parameters(pieces) => {
                let [first, middle @ .., last] = &**pieces else { return false };
                let Some(mut rest) = segment.strip_prefix(&**first) else { return false };
                for piece in middle {
                    let from = rest.char_indices().nth(1).map_or(rest.len(), |(at, _)| at);
                    let Some(at) = rest[from..].find(&**piece) else { return false };
                    rest = &rest[from + at + piece.len()..];
                }
                rest.strip_suffix(&**last).is_some_and(|value| !value.is_empty())
            }
        }
    }
}

/// Templates, and a number for each.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Branch>,
}

#[derive(Debug, Default)]
struct Branch {
    literals: HashMap<Box<str>, usize>,
    parameters: Vec<(Segment, usize)>,
    leaf: Option<usize>,
}

impl Tree {
    /// Adds a template; one that means the same as another gets that one's number back.
    pub(super) fn insert(&mut self, segments: &[Segment], number: usize) -> usize {
        if self.nodes.is_empty() {
            self.nodes.push(Branch::default());
        }
        let mut at = 0;
        for segment in segments {
            let new = self.nodes.len();
            let branch = &mut self.nodes[at];
            at = match segment {
                Segment::Literal(text) => *branch.literals.entry(text.clone()).or_insert(new),
                Segment::Parameters(_) => {
                    match branch.parameters.iter().find(|(known, _)| known == segment) {
                        Some((_, child)) => *child,
                        None => {
                            branch.parameters.push((segment.clone(), new));
                            // The more literal text, the more concrete.
                            branch.parameters.sort_by_key(|(segment, _)| {
                                std::cmp::Reverse(literal_bytes(segment))
                            });
                            new
                        }
                    }
                }
            };
            if at == new {
                self.nodes.push(Branch::default());
            }
        }
        *self.nodes[at].leaf.get_or_insert(number)
    }

    /// The number of the template that a path's segments match.
    pub(super) fn find(&self, segments: &[Cow<'_, str>]) -> Option<usize> {
        self.descend(0, segments)
    }

    /// No node is tried twice for one path, so it takes no longer than there are nodes.
    fn descend(&self, at: usize, segments: &[Cow<'_, str>]) -> Option<usize> {
        let branch = self.nodes.get(at)?;
        let Some((segment, rest)) = segments.split_first() else { return branch.leaf };
        if let Some(found) =
            branch.literals.get(&**segment).and_then(|&child| self.descend(child, rest))
        {
            return Some(found);
        }
        let mut fitting = branch.parameters.iter().filter(|(known, _)| known.matches(segment));
        fitting.find_map(|(_, child)| self.descend(*child, rest))
    }

    /// Whether a literal is named right below these segments, however they are matched.
    pub(super) fn names(&self, parents: &[Cow<'_, str>], literal: &str) -> bool {
        self.below(0, parents, literal)
    }

    fn below(&self, at: usize, parents: &[Cow<'_, str>], literal: &str) -> bool {
        let Some(branch) = self.nodes.get(at) else { return false };
        let Some((segment, rest)) = parents.split_first() else {
            return branch.literals.contains_key(literal);
        };
        // A placeholder stands for whatever a parameter does.
        let is_value = segment.starts_with('{');
        let literals = branch.literals.get(&**segment).into_iter();
        let fitting = branch
            .parameters
            .iter()
            .filter(|(known, _)| is_value || known.matches(segment))
            .map(|(_, child)| child);
        literals.chain(fitting).any(|&child| self.below(child, rest, literal))
    }
}

fn literal_bytes(segment: &Segment) -> usize {
    match segment {
        Segment::Literal(text) => text.len(),
        Segment::Parameters(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::path::Path;

    #[test]
    fn segments() {
        for (template, segment, expected) in [
            ("orders", "orders", Some(true)),
            ("orders", "order", Some(false)),
            ("{id}", "17", Some(true)),
            ("{id}", "", Some(false)),
            ("{name}.json", "a.json", Some(true)),
            ("{name}.json", ".json", Some(false)),
            ("{from}-{to}", "a-b", Some(true)),
            ("{from}-{to}", "-b", Some(false)),
            ("{from}-{to}", "ab", Some(false)),
            ("v{n}", "é", Some(false)),
            ("{a}{b}", "éé", Some(true)),
            ("{id", "17", None),
            ("id}", "17", None),
            ("{}", "17", None),
            ("{a{b}}", "17", None),
        ] {
            let found = Segment::of(template).map(|known| known.matches(segment));
            assert_eq!(found, expected, "{template} {segment}");
        }
    }

    #[test]
    fn the_concrete_wins_and_what_leads_nowhere_is_left() {
        let mut tree = Tree::default();
        let templates = [
            "/",
            "/users/{id}",
            "/users/me",
            "/users/{id}/posts",
            "/users/me/settings",
            "/files/{name}",
            "/files/{name}.json",
        ];
        for (number, template) in templates.into_iter().enumerate() {
            let segments: Vec<_> = template
                .split('/')
                .filter(|text| !text.is_empty())
                .map(|text| Segment::of(text).expect("a template"))
                .collect();
            assert_eq!(tree.insert(&segments, number), number);
            assert_eq!(tree.insert(&segments, 99), number, "the same again");
        }
        for (path, expected) in [
            ("/", Some(0)),
            ("/users/7", Some(1)),
            ("/users/me", Some(2)),
            ("/users/me/posts", Some(3)),
            ("/users/me/settings", Some(4)),
            ("/users/7/settings", None),
            ("/files/a", Some(5)),
            ("/files/a.json", Some(6)),
            ("/users", None),
        ] {
            let path = Path::of(path).expect("a path");
            assert_eq!(tree.find(&path.segments), expected, "{path:?}");
        }
        let named = |parents: &str, literal: &str| {
            tree.names(&Path::of(parents).expect("a path").segments, literal)
        };
        assert!(named("/users", "me") && named("/users/7", "posts") && named("/", "files"));
        assert!(named("/users/{id}", "posts"), "below a placeholder too");
        assert!(!named("/users", "you") && !named("/files", "me"));
    }
}
