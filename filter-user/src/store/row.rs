//! A generation, in and out of its row.

use std::path::{Path, PathBuf};

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::who::Who;
use crate::policy::NamedFile;

/// What became of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is in force and ends by itself, unless it is confirmed.
    Pending,
    /// It was meant to stay.
    Confirmed,
    /// Nobody confirmed it in time.
    RolledBack,
}

impl State {
    /// Its name in the file and in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::RolledBack => "rolled_back",
        }
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        [Self::Pending, Self::Confirmed, Self::RolledBack]
            .into_iter()
            .find(|state| state.name() == text)
            .ok_or(FromSqlError::InvalidType)
    }
}

/// A generation to keep.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// The kernel's number.
    pub kernel: u32,
    /// The policy's name.
    pub name: &'a str,
    /// SHA-256 over text and feeds, in hex.
    pub hash: &'a str,
    /// Where the text was read.
    pub path: &'a Path,
    /// The policy.
    pub text: &'a str,
    /// The files it names.
    pub files: &'a [NamedFile],
    /// When it was put in force, seconds since 1970.
    pub applied_at: u64,
    /// By whom.
    pub who: &'a Who,
    /// Whether it stays.
    pub state: State,
    /// The generation in force before.
    pub previous: Option<u64>,
    /// The generation that it brings back.
    pub restores: Option<u64>,
    /// What made it, when that was nobody: `feed`.
    pub why: Option<&'a str>,
}

/// A generation that is kept, without its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number in the history.
    pub number: u64,
    /// The kernel's number, as it was loaded last.
    pub kernel: u32,
    /// The policy's name.
    pub name: String,
    /// SHA-256 over text and feeds, in hex.
    pub hash: String,
    /// Where the text was read.
    pub path: PathBuf,
    /// When it was put in force, seconds since 1970.
    pub applied_at: u64,
    /// By whom.
    pub who: Who,
    /// What became of it.
    pub state: State,
    /// The generation in force before.
    pub previous: Option<u64>,
    /// The generation that it brought back.
    pub restores: Option<u64>,
    /// What made it, when that was nobody: `feed`.
    pub why: Option<String>,
}

/// What a generation was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The policy.
    pub text: String,
    /// The files it names.
    pub files: Vec<NamedFile>,
}

/// The columns that [`read`] wants.
pub(super) const COLUMNS: &str = "number, kernel, name, hash, path, applied_at, uid, login_uid, \
                                  pid, ssh, state, previous, restores, why";

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Record> {
    let number =
        |column: usize| row.get::<_, Option<i64>>(column).map(|n| n.map(i64::unsigned_abs));
    Ok(Record {
        number: number(0)?.unwrap_or_default(),
        kernel: row.get(1)?,
        name: row.get(2)?,
        hash: row.get(3)?,
        path: PathBuf::from(row.get::<_, String>(4)?),
        applied_at: number(5)?.unwrap_or_default(),
        who: Who { uid: row.get(6)?, login_uid: row.get(7)?, pid: row.get(8)?, ssh: row.get(9)? },
        state: row.get(10)?,
        previous: number(11)?,
        restores: number(12)?,
        why: row.get(13)?,
    })
}

pub(super) fn insert(change: &Connection, new: &New<'_>) -> rusqlite::Result<i64> {
    change.execute(
        "INSERT INTO generation (kernel, name, hash, path, text, applied_at, uid, login_uid, pid,
                                 ssh, state, previous, restores, why)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            new.kernel,
            new.name,
            new.hash,
            super::shown(new.path),
            new.text,
            new.applied_at.cast_signed(),
            new.who.uid,
            new.who.login_uid,
            new.who.pid,
            new.who.ssh,
            new.state.name(),
            new.previous.map(u64::cast_signed),
            new.restores.map(u64::cast_signed),
            new.why,
        ],
    )?;
    Ok(change.last_insert_rowid())
}
