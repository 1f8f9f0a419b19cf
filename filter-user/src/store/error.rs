//! What goes wrong with the file.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A failure of the store; the message names the file and what to do.
#[derive(Debug)]
pub struct Error {
    doing: &'static str,
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Sqlite(rusqlite::Error),
    /// SQLite says only that it cannot open the file; this is why.
    System(std::io::Error),
    Newer(i64),
}

/// The result of an operation of the store.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(super) fn new(doing: &'static str, path: &Path, cause: rusqlite::Error) -> Self {
        Self { doing, path: path.to_owned(), cause: Cause::Sqlite(cause) }
    }

    /// A file that cannot be opened: SQLite keeps the reason to itself, so the system is asked.
    pub(super) fn open(path: &Path, cause: rusqlite::Error) -> Self {
        let asked = (cause.sqlite_error_code() == Some(ErrorCode::CannotOpen))
            .then(|| std::fs::OpenOptions::new().read(true).append(true).create(true).open(path));
        let cause = match asked {
            Some(Err(why)) => Cause::System(why),
            _ => Cause::Sqlite(cause),
        };
        Self { doing: "open", path: path.to_owned(), cause }
    }

    pub(super) fn newer(path: &Path, version: i64) -> Self {
        Self { doing: "use", path: path.to_owned(), cause: Cause::Newer(version) }
    }

    /// The file is damaged, or is no store at all.
    pub fn is_corrupt(&self) -> bool {
        let Cause::Sqlite(cause) = &self.cause else { return false };
        match cause {
            rusqlite::Error::SqliteFailure(error, _) => {
                matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            }
            // A column that holds something else than this program ever wrote.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, path, cause } = self;
        match cause {
            Cause::Sqlite(cause) => write!(f, "cannot {doing} {}: {cause}", path.display()),
            Cause::System(cause) => write!(f, "cannot {doing} {}: {cause}", path.display()),
            Cause::Newer(version) => write!(
                f,
                "cannot use {}: it has schema {version}, of a newer weir; move it away, or go back \
                 to that weir",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {}
