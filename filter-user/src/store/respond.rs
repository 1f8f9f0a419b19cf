//! What was done about findings and breaches, and what still waits: drills, automatic actions, the
//! kill switch and quotas.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::Store;
use super::error::{Error, Result};

/// Automatic actions that are kept, those that wait apart.
const ACTIONS: u32 = 1_000;

/// What this version of the file adds. Times are seconds since 1970, but for those of actions and
/// the stop, which are milliseconds.
pub(super) const TABLES: &str = "
    ALTER TABLE api_order ADD COLUMN note TEXT;
    CREATE TABLE drill (
        name TEXT PRIMARY KEY,
        time INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    CREATE TABLE action (
        id    INTEGER PRIMARY KEY,
        time  INTEGER NOT NULL,
        state TEXT NOT NULL,
        body  TEXT NOT NULL
    );
    CREATE TABLE stop (
        only  INTEGER PRIMARY KEY CHECK (only = 1),
        body  TEXT NOT NULL
    );
    CREATE TABLE quota (
        api    TEXT NOT NULL,
        source TEXT NOT NULL,
        window INTEGER NOT NULL,
        start  INTEGER NOT NULL,
        count  INTEGER NOT NULL,
        PRIMARY KEY (api, source, window)
    ) WITHOUT ROWID;
";

/// A drill as it is kept: the last of each playbook or API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillRow {
    /// The playbook's or API's name.
    pub name: String,
    /// When it began, seconds since 1970.
    pub time: u64,
    /// Its report, as JSON.
    pub body: String,
}

/// An automatic action as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRow {
    /// Its number.
    pub id: u64,
    /// When it was decided about first, milliseconds since 1970.
    pub time: u64,
    /// What became of it, in a word; `held` waits.
    pub state: String,
    /// All of it, as JSON.
    pub body: String,
}

/// What a source has used of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaRow {
    /// The API's name.
    pub api: String,
    /// The source.
    pub source: String,
    /// Length of the window, seconds.
    pub window: u64,
    /// When it began, seconds since 1970.
    pub start: u64,
    /// Requests, in 65536ths.
    pub count: u64,
}

impl Store {
    /// Keeps a drill in place of the one before of the same name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_drill(&mut self, row: &DrillRow) -> Result<()> {
        self.write(
            "INSERT OR REPLACE INTO drill (name, time, body) VALUES (?1, ?2, ?3)",
            params![row.name, row.time.cast_signed(), row.body],
        )
    }

    /// The last drill of each name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn drills(&self) -> Result<Vec<DrillRow>> {
        self.all("SELECT name, time, body FROM drill", |row| {
            let time = row.get::<_, i64>(1)?.unsigned_abs();
            Ok(DrillRow { name: row.get(0)?, time, body: row.get(2)? })
        })
    }

    /// Keeps actions as they are now, and forgets the oldest of those that do not wait.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_actions(&mut self, rows: &[ActionRow]) -> Result<()> {
        let Self { connection, path } = self;
        let mut write = || {
            let change = connection.transaction()?;
            for row in rows {
                change.execute(
                    "INSERT OR REPLACE INTO action (id, time, state, body) VALUES (?1, ?2, ?3, ?4)",
                    params![row.id.cast_signed(), row.time.cast_signed(), row.state, row.body],
                )?;
            }
            change.execute(
                "DELETE FROM action WHERE state <> 'held' AND id NOT IN
                 (SELECT id FROM action ORDER BY id DESC LIMIT ?1)",
                [ACTIONS],
            )?;
            change.commit()
        };
        write().map_err(|error| Error::new("write", path, error))
    }

    /// The actions, the oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn actions(&self) -> Result<Vec<ActionRow>> {
        self.all("SELECT id, time, state, body FROM action ORDER BY id", |row| {
            Ok(ActionRow {
                id: row.get::<_, i64>(0)?.unsigned_abs(),
                time: row.get::<_, i64>(1)?.unsigned_abs(),
                state: row.get(2)?,
                body: row.get(3)?,
            })
        })
    }

    /// Keeps that automatic actions are stopped, as JSON; `None`: they are not.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_stop(&mut self, body: Option<&str>) -> Result<()> {
        match body {
            Some(body) => {
                self.write("INSERT OR REPLACE INTO stop (only, body) VALUES (1, ?1)", [body])
            }
            None => self.write("DELETE FROM stop", []),
        }
    }

    /// Whether they are stopped.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stop(&self) -> Result<Option<String>> {
        self.connection
            .query_row("SELECT body FROM stop", [], |row| row.get(0))
            .optional()
            .map_err(|error| Error::new("read", &self.path, error))
    }

    /// Keeps what was used of quotas, and forgets windows that are over by `now` (seconds since
    /// 1970).
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_quotas(&mut self, rows: &[QuotaRow], now: u64) -> Result<()> {
        let Self { connection, path } = self;
        let mut write = || {
            let change = connection.transaction()?;
            put_quotas(&change, rows)?;
            change.execute("DELETE FROM quota WHERE start + window <= ?1", [now.cast_signed()])?;
            change.commit()
        };
        write().map_err(|error| Error::new("write", path, error))
    }

    /// What was used of quotas.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn quotas(&self) -> Result<Vec<QuotaRow>> {
        self.all("SELECT api, source, window, start, count FROM quota", |row| {
            Ok(QuotaRow {
                api: row.get(0)?,
                source: row.get(1)?,
                window: row.get::<_, i64>(2)?.unsigned_abs(),
                start: row.get::<_, i64>(3)?.unsigned_abs(),
                count: row.get::<_, i64>(4)?.unsigned_abs(),
            })
        })
    }
}

fn put_quotas(change: &Connection, rows: &[QuotaRow]) -> rusqlite::Result<()> {
    let mut put = change.prepare_cached(
        "INSERT OR REPLACE INTO quota (api, source, window, start, count)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for QuotaRow { api, source, window, start, count } in rows {
        let [window, start, count] = [window, start, count].map(|number| number.cast_signed());
        put.execute(params![api, source, window, start, count])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(directory.path()).expect("opens");
        let drill = |time| DrillRow { name: "leak".to_owned(), time, body: "{}".to_owned() };
        store.keep_drill(&drill(5)).expect("writes");
        store.keep_drill(&drill(9)).expect("writes");
        assert_eq!(store.drills().expect("reads"), [drill(9)]);

        assert_eq!(store.stop().expect("reads"), None);
        store.keep_stop(Some("{}")).expect("writes");
        store.keep_stop(Some("{1}")).expect("writes");
        assert_eq!(store.stop().expect("reads").as_deref(), Some("{1}"));
        store.keep_stop(None).expect("writes");
        assert_eq!(store.stop().expect("reads"), None);

        let row = |id: u64, state: &str| ActionRow {
            id,
            time: id * 1000,
            state: state.to_owned(),
            body: "{}".to_owned(),
        };
        let mut rows = vec![row(1, "held")];
        rows.extend((2..1_500).map(|id| row(id, "done")));
        store.keep_actions(&rows).expect("writes");
        let kept = store.actions().expect("reads");
        assert_eq!((kept.len(), &kept[0], kept[1].id), (1_001, &row(1, "held"), 500));
        store.keep_actions(&[row(1, "done")]).expect("writes");
        assert_eq!(store.actions().expect("reads").len(), 1_000, "it waits no longer");

        let quota = |source: &str, start| QuotaRow {
            api: "orders".to_owned(),
            source: source.to_owned(),
            window: 3_600,
            start,
            count: 7 << 16,
        };
        store.keep_quotas(&[quota("192.0.2.1", 0), quota("192.0.2.2", 3_600)], 7).expect("writes");
        assert_eq!(store.quotas().expect("reads").len(), 2);
        store.keep_quotas(&[], 3_600).expect("writes");
        assert_eq!(store.quotas().expect("reads"), [quota("192.0.2.2", 3_600)]);
    }
}
