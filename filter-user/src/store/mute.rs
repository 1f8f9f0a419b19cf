//! Which findings an operator does not want to be told of.

use rusqlite::params;

use super::Store;
use super::error::Result;

/// What this version of the file adds.
pub(super) const TABLES: &str = "
    CREATE TABLE mute (
        detector TEXT NOT NULL,
        api      TEXT NOT NULL,
        body     TEXT NOT NULL,
        PRIMARY KEY (detector, api)
    ) WITHOUT ROWID;
";

/// A mute as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuteRow {
    /// Name of the detector.
    pub detector: String,
    /// Name of the API.
    pub api: String,
    /// All of it, as JSON.
    pub body: String,
}

impl Store {
    /// Keeps these mutes in place of what was kept.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_mutes(&mut self, rows: &[MuteRow]) -> Result<()> {
        self.replace("DELETE FROM mute", rows, |change, row| {
            let MuteRow { detector, api, body } = row;
            change.execute(
                "INSERT INTO mute (detector, api, body) VALUES (?1, ?2, ?3)",
                params![detector, api, body],
            )
        })
    }

    /// The mutes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn mutes(&self) -> Result<Vec<MuteRow>> {
        self.all("SELECT detector, api, body FROM mute", |row| {
            Ok(MuteRow { detector: row.get(0)?, api: row.get(1)?, body: row.get(2)? })
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
        let row = |api: &str| MuteRow {
            detector: "rate_shift".to_owned(),
            api: api.to_owned(),
            body: "{}".to_owned(),
        };
        store.keep_mutes(&[row("orders"), row("stock")]).expect("writes");
        assert_eq!(store.mutes().expect("reads"), [row("orders"), row("stock")]);
        store.keep_mutes(&[row("stock")]).expect("writes");
        assert_eq!(store.mutes().expect("reads"), [row("stock")]);
    }
}
