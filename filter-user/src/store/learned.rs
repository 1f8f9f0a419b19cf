//! What detectors and guards have learned, by API, as bytes that only they understand.

use std::collections::HashMap;

use rusqlite::params;

use super::Store;
use super::error::{Error, Result};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS learned (
    name  TEXT PRIMARY KEY,
    saved INTEGER NOT NULL,
    bytes BLOB NOT NULL
)";

/// Names that are kept, the latest: two for each of 4,096 APIs, and of those that are gone.
const KEPT: u32 = 10_000;

impl Store {
    /// Keeps what was learned under these names, at a time in ms since 1970; all of it or nothing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_learned(&mut self, parts: &HashMap<String, Vec<u8>>, at: u64) -> Result<()> {
        let named = |error| Error::new("write", &self.path, error);
        let change = self.connection.transaction().map_err(named)?;
        change.execute(TABLE, []).map_err(named)?;
        for (name, bytes) in parts {
            change
                .execute(
                    "INSERT OR REPLACE INTO learned (name, saved, bytes) VALUES (?1, ?2, ?3)",
                    params![name, at.cast_signed(), bytes],
                )
                .map_err(named)?;
        }
        let oldest = "DELETE FROM learned WHERE name NOT IN
                      (SELECT name FROM learned ORDER BY saved DESC LIMIT ?1)";
        change.execute(oldest, [KEPT]).map_err(named)?;
        change.commit().map_err(named)
    }

    /// All that was kept, by name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn learned(&self) -> Result<HashMap<String, Vec<u8>>> {
        let named = |error| Error::new("read", &self.path, error);
        // A file of before has no such table.
        self.connection.execute(TABLE, []).map_err(named)?;
        let mut query =
            self.connection.prepare("SELECT name, bytes FROM learned").map_err(named)?;
        query
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect)
            .map_err(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_and_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(directory.path()).expect("opens");
        assert_eq!(store.learned().expect("reads"), HashMap::new());
        let part = |bytes: &[u8]| HashMap::from([("orders".to_owned(), bytes.to_vec())]);
        store.keep_learned(&part(b"one"), 1).expect("writes");
        store.keep_learned(&HashMap::from([("b".to_owned(), vec![2])]), 2).expect("writes");
        store.keep_learned(&part(b"two"), 3).expect("writes");
        drop(store);
        let store = Store::open(directory.path()).expect("opens");
        let mut expected = part(b"two");
        expected.insert("b".to_owned(), vec![2]);
        assert_eq!(store.learned().expect("reads"), expected);
    }
}
