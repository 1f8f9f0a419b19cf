//! `[assess]`.

use crate::policy::Assess;
use crate::text::Table;

use super::Reader;

const KEYS: [&str; 3] = ["every", "drill_within", "finding_within"];

impl Reader<'_, '_, '_> {
    /// `[assess]`: each time from 1s to 366d.
    pub(super) fn assess(&mut self, root: &Table<'_>) -> Assess {
        let mut assess = Assess::default();
        let example = "[assess] with every = \"90d\"";
        let Some(table) =
            root.get("assess").and_then(|item| item.table(self.report, &KEYS, example))
        else {
            return assess;
        };
        assess.every = table.get("every").and_then(|item| self.time(&item));
        for (key, slot) in [
            ("drill_within", &mut assess.drill_within),
            ("finding_within", &mut assess.finding_within),
        ] {
            let given = table.get(key).and_then(|item| self.time(&item));
            *slot = given.unwrap_or(*slot);
        }
        assess
    }
}
