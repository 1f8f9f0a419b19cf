//! Names, references to groups, and free text.

use crate::policy::model::{GroupIndex, Sited};
use crate::text::{Item, nearest};

use super::{Reader, Span};

/// Characters of a free text, such as an owner.
const MOST_TEXT: usize = 200;

impl Reader<'_, '_, '_> {
    /// A name given as a value.
    pub(super) fn name(&mut self, item: &Item<'_>, of: &str) -> Option<String> {
        let text = item.string(self.report, &format!("the name of {of}, such as \"edge\""))?;
        self.report.accept(item.span(), crate::text::name(text))
    }

    /// Text for people: not empty, not long, no control characters.
    pub(super) fn free_text(&mut self, item: &Item<'_>) -> Option<String> {
        let text = item.string(self.report, "a text such as \"team-orders\"")?;
        self.check_text(text, item.path(), item.span())
    }

    /// A list of such texts.
    pub(super) fn free_texts(&mut self, item: &Item<'_>) -> Vec<String> {
        let texts = item.strings(self.report, "a list such as [\"pci\", \"pii\"]");
        let texts = texts.unwrap_or_default().into_iter();
        texts.filter_map(|(text, span)| self.check_text(text, item.path(), &span)).collect()
    }

    fn check_text(&mut self, text: &str, path: &str, span: &Span) -> Option<String> {
        let long = text.chars().count() > MOST_TEXT;
        if text.trim().is_empty() || long || text.contains(char::is_control) {
            self.report.error(
                span,
                format!("`{path}` is empty, too long or has control characters"),
                format!("write 1 to {MOST_TEXT} printable characters, or leave the key out"),
            );
            return None;
        }
        Some(text.to_owned())
    }

    /// A list of groups. One named twice is a warning.
    pub(super) fn group_list(&mut self, item: &Item<'_>) -> Vec<Sited<GroupIndex>> {
        let names = item.strings(self.report, "a list of groups such as [\"partners\"]");
        let mut found: Vec<Sited<GroupIndex>> = Vec::new();
        for (name, span) in names.unwrap_or_default() {
            let Some(value) = self.group_named(name, item.path(), &span) else { continue };
            if found.iter().any(|earlier| earlier.value == value) {
                let message = format!("group `{name}` is listed twice in {}", item.path());
                self.report.warning(&span, message, "remove one of the two");
            } else {
                found.push(Sited { value, at: self.report.at(&span) });
            }
        }
        found
    }

    /// A group by its name, which counts as a use of it.
    pub(super) fn group_named(&mut self, name: &str, by: &str, span: &Span) -> Option<GroupIndex> {
        if let Some(index) = self.groups.iter().position(|group| group.name == name) {
            if let Some(used) = self.used.get_mut(index) {
                *used = true;
            }
            return Some(GroupIndex(index));
        }
        let known = self.groups.iter().map(|group| group.name.as_str());
        if let Some(near) = nearest(name, known) {
            // It was meant to be used.
            let index = self.groups.iter().position(|group| group.name == near);
            if let Some(used) = index.and_then(|index| self.used.get_mut(index)) {
                *used = true;
            }
        }
        let known: Vec<&str> = self.groups.iter().map(|group| group.name.as_str()).collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if name == "any" => "write allow = \"any\", without brackets".to_owned(),
            None if known.is_empty() => format!("define it: [groups.{}]", name.escape_debug()),
            None => {
                let first = known.iter().take(10).copied().collect::<Vec<_>>().join(", ");
                format!("define [groups.{}]; known: {first}", name.escape_debug())
            }
        };
        let message = format!("unknown group `{}` in {by}", name.escape_debug());
        self.report.missing(span, message, hint);
        None
    }
}
