//! Bans and orders as they stand, for a host that boots anew: the kernel forgets them then.
//!
//! They are kept as a whole, with names in place of the kernel's numbers and the wall clock in place
//! of its own, because neither numbers nor clock survive.

use rusqlite::{Connection, Row, params};

use super::Store;
use super::error::{Error, Result};

/// What the third version of the file adds.
pub(super) const TABLES: &str = "
    CREATE TABLE ban (
        network   TEXT NOT NULL,
        prefix    INTEGER NOT NULL,
        api       TEXT,
        until     INTEGER,
        automatic INTEGER NOT NULL,
        sources   INTEGER NOT NULL,
        reason    TEXT NOT NULL
    );
    CREATE TABLE api_order (
        api       TEXT NOT NULL,
        kind      TEXT NOT NULL,
        argument  TEXT NOT NULL,
        automatic INTEGER NOT NULL,
        until     INTEGER
    );
";

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// First address of the network.
    pub network: String,
    /// Length of the prefix in the address's own family.
    pub prefix: u8,
    /// The only API that it covers; none: the whole host.
    pub api: Option<String>,
    /// When it ends, milliseconds since 1970; none: never.
    pub until: Option<u64>,
    /// Made by a detector.
    pub automatic: bool,
    /// Banned sources for which the network was banned; 0: it was banned itself.
    pub sources: u32,
    /// Why it was made.
    pub reason: String,
}

/// An order about an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The API's name.
    pub api: String,
    /// What is ordered.
    pub kind: String,
    /// What more there is to know: a group, a mode, the numbers of a rate.
    pub argument: String,
    /// Made by a detector.
    pub automatic: bool,
    /// When it ends, milliseconds since 1970; none: never.
    pub until: Option<u64>,
    /// Who gave it, when and why, as JSON; none: it is not known.
    pub note: Option<String>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Bans.
    pub bans: Vec<Ban>,
    /// Orders.
    pub orders: Vec<Order>,
}

impl Store {
    /// Keeps these in place of what was kept.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_standing(&mut self, standing: &Standing) -> Result<()> {
        let Self { connection, path } = self;
        replace(connection, standing).map_err(|error| Error::new("write", path, error))
    }

    /// What was kept last.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn standing(&self) -> Result<Standing> {
        read(&self.connection).map_err(|error| Error::new("read", &self.path, error))
    }
}

fn replace(connection: &mut Connection, standing: &Standing) -> rusqlite::Result<()> {
    let change = connection.transaction()?;
    forget(&change)?;
    let time = |until: Option<u64>| until.map(u64::cast_signed);
    {
        let mut insert = change.prepare(
            "INSERT INTO ban (network, prefix, api, until, automatic, sources, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for ban in &standing.bans {
            let until = time(ban.until);
            insert.execute(params![
                ban.network,
                ban.prefix,
                ban.api,
                until,
                ban.automatic,
                ban.sources,
                ban.reason
            ])?;
        }
        let mut insert = change.prepare(
            "INSERT INTO api_order (api, kind, argument, automatic, until, note)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for order in &standing.orders {
            let until = time(order.until);
            insert.execute(params![
                order.api,
                order.kind,
                order.argument,
                order.automatic,
                until,
                order.note
            ])?;
        }
    }
    change.commit()
}

/// Forgets all of them.
pub(super) fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM ban; DELETE FROM api_order;")
}

fn read(connection: &Connection) -> rusqlite::Result<Standing> {
    let time = |row: &Row<'_>, column: &str| {
        row.get::<_, Option<i64>>(column).map(|until| until.map(i64::unsigned_abs))
    };
    let bans = connection
        .prepare("SELECT * FROM ban")?
        .query_map([], |row| {
            Ok(Ban {
                network: row.get("network")?,
                prefix: row.get("prefix")?,
                api: row.get("api")?,
                until: time(row, "until")?,
                automatic: row.get("automatic")?,
                sources: row.get("sources")?,
                reason: row.get("reason")?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let orders = connection
        .prepare("SELECT * FROM api_order")?
        .query_map([], |row| {
            Ok(Order {
                api: row.get("api")?,
                kind: row.get("kind")?,
                argument: row.get("argument")?,
                automatic: row.get("automatic")?,
                until: time(row, "until")?,
                note: row.get("note")?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Standing { bans, orders })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_comes_back_until_a_detach() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(directory.path()).expect("opens");
        assert_eq!(store.standing().expect("reads"), Standing::default());
        let ban = |network: &str, api: Option<&str>, until| Ban {
            network: network.to_owned(),
            prefix: 24,
            api: api.map(str::to_owned),
            until,
            automatic: until.is_some(),
            sources: api.map_or(0, |_| 20),
            reason: "guessing".to_owned(),
        };
        let order = Order {
            api: "orders".to_owned(),
            kind: "lockdown".to_owned(),
            argument: "partners".to_owned(),
            automatic: true,
            until: Some(1_800_000_000_123),
            note: Some("{}".to_owned()),
        };
        for bans in [
            vec![ban("192.0.2.0", None, None), ban("192.0.2.0", Some("orders"), Some(7))],
            vec![ban("198.51.100.0", None, Some(u64::MAX >> 1))],
        ] {
            let standing = Standing { bans, orders: vec![order.clone()] };
            store.keep_standing(&standing).expect("writes");
            let store = Store::open(directory.path()).expect("opens again");
            assert_eq!(store.standing().expect("reads"), standing);
        }
        store.set_detached().expect("writes");
        assert_eq!(store.standing().expect("reads"), Standing::default());
    }
}
