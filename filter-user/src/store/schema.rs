//! The tables, and how they change from version to version.

use std::path::Path;

use rusqlite::Connection;

use super::error::{Error, Result};

/// What each version adds to the one before; the version is in `user_version`.
const VERSIONS: [&str; 7] = [
    "
    CREATE TABLE generation (
        number     INTEGER PRIMARY KEY AUTOINCREMENT,
        kernel     INTEGER NOT NULL,
        name       TEXT NOT NULL,
        hash       TEXT NOT NULL,
        path       TEXT NOT NULL,
        text       TEXT NOT NULL,
        applied_at INTEGER NOT NULL,
        uid        INTEGER NOT NULL,
        login_uid  INTEGER,
        pid        INTEGER NOT NULL,
        ssh        TEXT,
        state      TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'rolled_back')),
        previous   INTEGER,
        restores   INTEGER
    );
    CREATE TABLE feed (hash BLOB PRIMARY KEY, bytes BLOB NOT NULL);
    CREATE TABLE generation_feed (
        generation INTEGER NOT NULL,
        place      INTEGER NOT NULL,
        name       TEXT NOT NULL,
        shown      TEXT NOT NULL,
        feed       BLOB NOT NULL,
        PRIMARY KEY (generation, place)
    );
    CREATE INDEX generation_feed_feed ON generation_feed (feed);
    CREATE TABLE path (path TEXT PRIMARY KEY, used INTEGER NOT NULL);
    CREATE TABLE fact (name TEXT PRIMARY KEY);
",
    "
    ALTER TABLE generation ADD COLUMN why TEXT;
    CREATE TABLE held (path TEXT PRIMARY KEY, hash BLOB NOT NULL);
",
    super::standing::TABLES,
    super::inventory::TABLES,
    super::respond::TABLES,
    super::mute::TABLES,
    super::maintenance::TABLES,
];

/// The version of the tables that this weir writes; older ones are brought up to it.
pub const SCHEMA: u32 = VERSIONS.len() as u32;

/// Brings the file to the newest version, in one step or not at all.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<()> {
    let named = |error| Error::new("prepare", path, error);
    let version: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(named)?;
    let newest = VERSIONS.len() as i64;
    if version == newest {
        return Ok(());
    }
    let Some(missing) = usize::try_from(version).ok().and_then(|held| VERSIONS.get(held..)) else {
        return Err(Error::newer(path, version));
    };
    // Has an effect on an empty file only: room of feeds that went is given back.
    connection.pragma_update(None, "auto_vacuum", "FULL").map_err(named)?;
    let change = connection.transaction().map_err(named)?;
    for step in missing {
        change.execute_batch(step).map_err(named)?;
    }
    change.pragma_update(None, "user_version", newest).map_err(named)?;
    change.commit().map_err(named)
}
