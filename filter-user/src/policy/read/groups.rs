//! `[groups.NAME]`.

use crate::policy::feed;
use crate::policy::model::{Group, Sited};
use crate::policy::prefixes::Prefixes;
use crate::text::{Item, Table};

use super::{CIDRS, Reader, Span};

/// Groups there can be; stable id 0 is nobody's.
const MAX_GROUPS: usize = filter_common::tables::MAX_GROUPS as usize - 1;

impl Reader<'_, '_, '_> {
    /// Reads the groups; returns where each is named.
    pub(super) fn groups(&mut self, root: &Table<'_>) -> Vec<Span> {
        let entries = root
            .get("groups")
            .and_then(|item| item.entries(self.report, &format!("[groups.NAME] with {CIDRS}")));
        let mut spans = Vec::new();
        for (name, item) in entries.unwrap_or_default() {
            let span = item.key_span().clone();
            self.report.accept(&span, crate::text::name(name));
            if name == "any" {
                self.report.error(
                    &span,
                    "a group cannot be called `any`",
                    "allow = \"any\" means everyone: choose another name",
                );
            }
            let (prefixes, files) = self.group_contents(name, &item);
            let at = self.report.at(&span);
            self.groups.push(Group { name: name.to_owned(), at, prefixes, files });
            self.used.push(false);
            if self.groups.len() == MAX_GROUPS + 1 {
                self.report.error(
                    &span,
                    format!("more than {MAX_GROUPS} groups"),
                    "join groups: one can have many files",
                );
            }
            spans.push(span);
        }
        spans
    }

    fn group_contents(&mut self, name: &str, item: &Item<'_>) -> (Prefixes, Vec<Sited<String>>) {
        let (mut prefixes, mut files) = (Prefixes::default(), Vec::new());
        let example = format!("[groups.NAME] with {CIDRS}");
        let Some(table) = item.table(self.report, &["cidrs", "files"], &example) else {
            return (prefixes, files);
        };
        // Emptiness is only worth telling when it is not the echo of another error.
        let mut sound = !table.has_unknown();
        if let Some(item) = table.get("cidrs") {
            let all;
            (prefixes, all) = self.cidrs(&item, |_, _, _| {});
            sound &= all;
        }
        if let Some(item) = table.get("files") {
            let names = item.strings(self.report, "files = [\"feeds/partners.txt\"]");
            for (file, span) in names.unwrap_or_default() {
                sound &= self.feed(file, &span, &mut prefixes);
                files.push(Sited { value: file.to_owned(), at: self.report.at(&span) });
            }
        }
        if prefixes.is_empty() && sound {
            self.report.missing_warning(
                item.key_span(),
                format!("group `{name}` is empty: it admits nobody"),
                format!("add {CIDRS} or files = [\"feeds/{}.txt\"]", name.escape_debug()),
            );
        }
        (prefixes, files)
    }

    /// Adds the prefixes of a feed; whether it could be read without an error.
    fn feed(&mut self, name: &str, span: &Span, into: &mut Prefixes) -> bool {
        let opened = self.files.open(name);
        let Some(index) = self.report.accept(span, opened) else { return false };
        let Some(file) = self.files.get(index) else { return false };
        // Text 0 is the policy itself.
        let text = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let mut sound = true;
        feed::read(&file.bytes, &file.shown, text, into, |diagnostic| {
            sound = false;
            self.report.push(diagnostic);
        });
        sound
    }

    /// Warns of groups that no API names.
    pub(super) fn unused_groups(&mut self, spans: &[Span]) {
        for ((group, used), span) in self.groups.iter().zip(&self.used).zip(spans) {
            if !used {
                self.report.missing_warning(
                    span,
                    format!("group `{}` is not used", group.name.escape_debug()),
                    "name it in an API's allow, deny, proxies, crawlers or limit_for, or remove it",
                );
            }
        }
    }
}
