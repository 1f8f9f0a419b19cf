//! What was in force and is: the generations, in a SQLite file of the state directory.
//!
//! A generation is kept with its text and its feeds, so that a restart and a rollback need no file
//! but this one. A feed is kept once, however many generations name it. Bans and orders are kept as
//! they stand, for a host that boots anew. The inventory, a sample of transactions and the findings
//! are kept in batches, by a connection of their own. What is done when the store
//! fails is the daemon's: the filter never waits for it.

mod error;
mod evidence;
mod exchange;
mod finding;
mod inventory;
mod learned;
mod maintenance;
mod mute;
mod respond;
mod row;
mod schema;
mod standing;
#[cfg(test)]
mod tests;
mod who;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

pub use error::{Error, Result};
pub use exchange::{COMPLETE, ENCRYPTED, Exchange, HANDSHAKE, Retention};
pub use finding::FindingRow;
pub use inventory::{Batch, Inventory};
pub use maintenance::MaintenanceRow;
pub use mute::MuteRow;
pub use respond::{ActionRow, DrillRow, QuotaRow};
pub use row::{Contents, New, Record, State};
pub use schema::SCHEMA;
pub use standing::{Ban, Order, Standing};
pub use who::Who;

use crate::policy::NamedFile;
use row::COLUMNS;

/// Generations that are kept; the one in force always is.
pub const KEPT: u32 = 50;

/// Of these, generations that nobody made but a feed that changed.
pub const KEPT_FEEDS: u32 = 10;

/// Paths of policies that are remembered.
const PATHS: u32 = 1000;

/// How long another process may hold the file.
const PATIENCE: Duration = Duration::from_secs(2);

/// Name of the file in the state directory.
pub const FILE: &str = "weir.db";

/// The open store.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the store in a state directory, making it when there is none.
    ///
    /// # Errors
    /// The file cannot be made or read, is damaged ([`Error::is_corrupt`], see [`set_aside`]), or is
    /// of a newer version.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let named = |error| Error::open(&path, error);
        let connection = Connection::open(&path).map_err(named)?;
        connection.busy_timeout(PATIENCE).map_err(named)?;
        let mut store = Self { connection, path };
        schema::prepare(&mut store.connection, &store.path)?;
        private(&store.path);
        Ok(store)
    }

    /// Keeps a generation, which is in force from now on, and forgets the oldest. Returns its
    /// number.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, new: &New<'_>) -> Result<u64> {
        let named = |error| Error::new("write", &self.path, error);
        let change = self.connection.transaction().map_err(named)?;
        let number = row::insert(&change, new).map_err(named)?;
        for (place, file) in new.files.iter().enumerate() {
            let hash: [u8; 32] = Sha256::digest(&file.bytes).into();
            change
                .execute(
                    "INSERT INTO feed (hash, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    params![hash, file.bytes],
                )
                .and_then(|_| {
                    change.execute(
                        "INSERT INTO generation_feed (generation, place, name, shown, feed)
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                        params![number, place as i64, &*file.name, &*file.shown, hash],
                    )
                })
                .map_err(named)?;
        }
        remember(&change, new.path, new.applied_at).map_err(named)?;
        change.execute("DELETE FROM fact WHERE name = 'detached'", []).map_err(named)?;
        prune(&change).map_err(named)?;
        change.commit().map_err(named)?;
        Ok(number.unsigned_abs())
    }

    /// Notes what became of a generation.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_state(&mut self, number: u64, state: State) -> Result<()> {
        self.write(
            "UPDATE generation SET state = ?2 WHERE number = ?1",
            params![number.cast_signed(), state.name()],
        )
    }

    /// Notes the kernel's number of a generation that was loaded again.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_kernel(&mut self, number: u64, kernel: u32) -> Result<()> {
        self.write(
            "UPDATE generation SET kernel = ?2 WHERE number = ?1",
            params![number.cast_signed(), kernel],
        )
    }

    /// Generations that nobody confirmed before their daemon ended are rolled back: notes that, and
    /// returns them.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn give_up_pending(&mut self) -> Result<Vec<Record>> {
        let pending = self.list("WHERE state = 'pending' ORDER BY number", &[])?;
        for record in &pending {
            self.set_state(record.number, State::RolledBack)?;
        }
        Ok(pending)
    }

    /// The generation to start from; none when there never was one, or after a detach.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn last_confirmed(&self) -> Result<Option<Record>> {
        let detached = "EXISTS (SELECT 1 FROM fact WHERE name = 'detached')";
        let which =
            format!("WHERE state = 'confirmed' AND NOT {detached} ORDER BY number DESC LIMIT 1");
        Ok(self.list(&which, &[])?.pop())
    }

    /// A generation by its number.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn record(&self, number: u64) -> Result<Option<Record>> {
        Ok(self.list("WHERE number = ?1", &[&number.cast_signed()])?.pop())
    }

    /// What a rollback goes to when nobody says: the latest generation that was confirmed before
    /// this one, or before the one that this one restored, and says something else. So a second
    /// rollback goes one step further back.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn before(&self, record: &Record) -> Result<Option<Record>> {
        let from = record.restores.unwrap_or(record.number);
        let which = "WHERE state = 'confirmed' AND number < ?1 AND hash <> ?2
                     ORDER BY number DESC LIMIT 1";
        Ok(self.list(which, &[&from.cast_signed(), &record.hash])?.pop())
    }

    /// The generations, the latest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn history(&self) -> Result<Vec<Record>> {
        self.list("ORDER BY number DESC", &[])
    }

    /// The text and the feeds of a generation.
    ///
    /// # Errors
    /// The file cannot be read, or something is missing in it.
    pub fn contents(&self, number: u64) -> Result<Contents> {
        let named = |error| Error::new("read", &self.path, error);
        let number = number.cast_signed();
        let text = self
            .connection
            .query_row("SELECT text FROM generation WHERE number = ?1", [number], |row| row.get(0))
            .map_err(named)?;
        let mut query = self
            .connection
            .prepare(
                "SELECT name, shown, bytes FROM generation_feed JOIN feed ON feed.hash = feed
                 WHERE generation = ?1 ORDER BY place",
            )
            .map_err(named)?;
        let files = query
            .query_map([number], |row| {
                Ok(NamedFile {
                    name: Arc::from(row.get::<_, String>(0)?),
                    shown: Arc::from(row.get::<_, String>(1)?),
                    bytes: row.get(2)?,
                })
            })
            .and_then(Iterator::collect)
            .map_err(named)?;
        Ok(Contents { text, files })
    }

    /// Whether a policy from this path was ever in force.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn knows(&self, path: &Path) -> Result<bool> {
        self.connection
            .query_row("SELECT 1 FROM path WHERE path = ?1", [shown(path)], |_| Ok(()))
            .optional()
            .map(|found| found.is_some())
            .map_err(|error| Error::new("read", &self.path, error))
    }

    /// Notes that the filter was taken off on purpose: the next start begins anew, with its policy
    /// file or without one, and without bans and orders. History stays.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_detached(&mut self) -> Result<()> {
        standing::forget(&self.connection)
            .map_err(|error| Error::new("write", &self.path, error))?;
        self.write("INSERT INTO fact (name) VALUES ('detached') ON CONFLICT DO NOTHING", [])
    }

    /// Notes that what the feed at `path` says now, by its SHA-256, is not wanted: a rollback went
    /// behind it. `None`: whatever it says is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_held(&mut self, path: &Path, hash: Option<[u8; 32]>) -> Result<()> {
        match hash {
            Some(hash) => self.write(
                "INSERT INTO held (path, hash) VALUES (?1, ?2)
                 ON CONFLICT (path) DO UPDATE SET hash = excluded.hash",
                params![shown(path), hash],
            ),
            None => self.write("DELETE FROM held WHERE path = ?1", [shown(path)]),
        }
    }

    /// What the feed at `path` said when it was not wanted.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn held(&self, path: &Path) -> Result<Option<[u8; 32]>> {
        self.connection
            .query_row("SELECT hash FROM held WHERE path = ?1", [shown(path)], |row| row.get(0))
            .optional()
            .map_err(|error| Error::new("read", &self.path, error))
    }

    fn write(&mut self, statement: &str, values: impl rusqlite::Params) -> Result<()> {
        let done = self.connection.execute(statement, values);
        done.map(drop).map_err(|error| Error::new("write", &self.path, error))
    }

    fn list(&self, which: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<Record>> {
        let named = |error| Error::new("read", &self.path, error);
        let statement = format!("SELECT {COLUMNS} FROM generation {which}");
        let mut query = self.connection.prepare(&statement).map_err(named)?;
        query.query_map(values, row::read).and_then(Iterator::collect).map_err(named)
    }
}

/// Moves a damaged store out of the way, so that the next opening makes a new one. `date` is
/// appended to its name, which is returned.
///
/// # Errors
/// It cannot be renamed.
pub fn set_aside(directory: &Path, date: &str) -> std::io::Result<PathBuf> {
    let path = directory.join(FILE);
    let aside = directory.join(format!("{FILE}.corrupt-{date}"));
    std::fs::rename(&path, &aside)?;
    // What SQLite was about to undo belongs to the damaged file.
    match std::fs::remove_file(directory.join(format!("{FILE}-journal"))) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(aside),
    }
}

/// A path as text; what is not UTF-8 is replaced.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn remember(change: &Connection, path: &Path, at: u64) -> rusqlite::Result<()> {
    change.execute(
        "INSERT INTO path (path, used) VALUES (?1, ?2)
         ON CONFLICT (path) DO UPDATE SET used = excluded.used",
        params![shown(path), at.cast_signed()],
    )?;
    let oldest = "DELETE FROM path WHERE path NOT IN
                  (SELECT path FROM path ORDER BY used DESC LIMIT ?1)";
    change.execute(oldest, [PATHS]).map(drop)
}

/// Forgets what is too old, and feeds that nothing names any more.
fn prune(change: &Connection) -> rusqlite::Result<()> {
    change.execute(
        "DELETE FROM generation
         WHERE number NOT IN (SELECT number FROM generation ORDER BY number DESC LIMIT ?1)
           AND number NOT IN (SELECT max(number) FROM generation WHERE state = 'confirmed')",
        [KEPT],
    )?;
    change.execute(
        "DELETE FROM generation
         WHERE why = 'feed'
           AND number NOT IN (SELECT number FROM generation WHERE why = 'feed'
                              ORDER BY number DESC LIMIT ?1)
           AND number NOT IN (SELECT max(number) FROM generation WHERE state = 'confirmed')",
        [KEPT_FEEDS],
    )?;
    change.execute(
        "DELETE FROM generation_feed WHERE generation NOT IN (SELECT number FROM generation)",
        [],
    )?;
    change
        .execute("DELETE FROM feed WHERE hash NOT IN (SELECT feed FROM generation_feed)", [])
        .map(drop)
}

/// Policies and lists of addresses are nobody else's business.
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    // On a file system that cannot, the directory's mode has to do.
    let _left_open = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
}
