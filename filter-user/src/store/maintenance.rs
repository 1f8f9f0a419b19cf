//! Which APIs are being maintained.

use rusqlite::params;

use super::Store;
use super::error::Result;

/// What this version of the file adds.
pub(super) const TABLES: &str = "
    CREATE TABLE maintenance (
        api     TEXT NOT NULL,
        planned INTEGER NOT NULL,
        body    TEXT NOT NULL,
        PRIMARY KEY (api, planned)
    ) WITHOUT ROWID;
";

/// A maintenance as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceRow {
    /// Name of the API.
    pub api: String,
    /// By the policy rather than by an operator.
    pub planned: bool,
    /// All of it, as JSON.
    pub body: String,
}

impl Store {
    /// Keeps these in place of what was kept.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_maintenance(&mut self, rows: &[MaintenanceRow]) -> Result<()> {
        self.replace("DELETE FROM maintenance", rows, |change, row| {
            let MaintenanceRow { api, planned, body } = row;
            change.execute(
                "INSERT INTO maintenance (api, planned, body) VALUES (?1, ?2, ?3)",
                params![api, planned, body],
            )
        })
    }

    /// Those that were kept.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn maintenance(&self) -> Result<Vec<MaintenanceRow>> {
        self.all("SELECT api, planned, body FROM maintenance", |row| {
            let (api, planned, body) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(MaintenanceRow { api, planned, body })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_come_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(directory.path()).expect("opens");
        let row =
            |planned| MaintenanceRow { api: "orders".to_owned(), planned, body: "{}".to_owned() };
        store.keep_maintenance(&[row(false), row(true)]).expect("writes");
        assert_eq!(store.maintenance().expect("reads"), [row(false), row(true)]);
        store.keep_maintenance(&[row(true)]).expect("writes");
        assert_eq!(store.maintenance().expect("reads"), [row(true)]);
    }
}
