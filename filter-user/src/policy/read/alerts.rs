//! `[alerts]`: how many the operator wants to see.

use crate::detect::{Alerts, Severity};
use crate::text::Table;

use super::Reader;

const EXAMPLE: &str = "[alerts] with per_day = 2";
/// Alerts a day that may be asked for: one in a hundred days to a thousand a minute.
const RANGE: std::ops::RangeInclusive<f64> = 0.01..=1_440_000.0;

impl Reader<'_, '_, '_> {
    pub(super) fn alerts(&mut self, root: &Table<'_>) -> Alerts {
        let mut alerts = Alerts::default();
        let table =
            root.get("alerts").and_then(|item| item.table(self.report, &["per_day"], EXAMPLE));
        let Some(item) = table.and_then(|table| table.get("per_day")) else { return alerts };
        if !item.is_table() {
            if let Some(number) = item.number(self.report, RANGE) {
                alerts.per_day = [number; 4];
            }
            return alerts;
        }
        let names = Severity::ALL.map(Severity::name);
        let Some(table) = item.table(self.report, &names, "per_day = { warning = 2, notice = 10 }")
        else {
            return alerts;
        };
        for (severity, per_day) in Severity::ALL.into_iter().zip(&mut alerts.per_day) {
            if let Some(number) =
                table.get(severity.name()).and_then(|item| item.number(self.report, RANGE))
            {
                *per_day = number;
            }
        }
        alerts
    }
}

#[cfg(test)]
mod tests {
    use crate::policy;

    #[test]
    fn numbers_and_tables() {
        for (text, expected) in [
            ("", [50.0, 10.0, 2.0, 1.0]),
            ("[alerts]\nper_day = 3", [3.0; 4]),
            ("[alerts]\nper_day = 0.5", [0.5; 4]),
            ("[alerts]\nper_day = { warning = 5, critical = 4 }", [50.0, 10.0, 5.0, 4.0]),
            ("[alerts]", [50.0, 10.0, 2.0, 1.0]),
        ] {
            let api = "[[api]]\nname = \"a\"\nlisten = [\"tcp/80\"]\nallow = \"any\"\n";
            let text = format!("{api}{text}");
            let loaded = policy::parse(&text, std::path::Path::new("."), "p.toml");
            let policy = loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
            assert_eq!(policy.alerts.per_day, expected, "{text}");
        }
    }
}
