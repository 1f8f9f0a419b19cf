//! A sample of transactions, as far as they may be kept: routes for targets, and of secrets only
//! their kinds.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::Store;
use super::error::{Error, Result};

/// Bytes that one takes in the file with its index, at most: its varints are rarely as long.
const ROW_BYTES: u64 = 96;

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When the request began, ms since 1970.
    pub time: u64,
    /// The API's name, or its port.
    pub api: Arc<str>,
    /// The route.
    pub route: Arc<str>,
    /// The method.
    pub method: &'static str,
    /// Who sent it, as the network shows it.
    pub source: std::net::IpAddr,
    /// The final status.
    pub status: Option<u16>,
    /// From the request's first byte to that of the response, microseconds.
    pub latency: Option<u64>,
    /// Bytes of the request's body.
    pub request_bytes: Option<u64>,
    /// Bytes of the response's body.
    pub response_bytes: Option<u64>,
    /// Kinds of credentials, a bit each as in [`crate::sensor::transaction::Credential`]; bit 8: the
    /// source is not forged; bit 9: complete; bit 10: inside TLS.
    pub facts: u16,
    /// How many requests it stands for, in 65536ths.
    pub weight: u64,
}

/// [`Exchange::facts`]: a handshake was seen both ways.
pub const HANDSHAKE: u16 = 1 << 8;
/// [`Exchange::facts`]: nothing of it was lost.
pub const COMPLETE: u16 = 1 << 9;
/// [`Exchange::facts`]: it was inside TLS.
pub const ENCRYPTED: u16 = 1 << 10;

/// How many transactions are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Bytes they may take on the disk.
    pub bytes: u64,
    /// Those before go, ms since 1970.
    pub since: u64,
}

impl Store {
    /// The latest transactions of an API, the latest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn exchanges(&self, api: &str, limit: usize) -> Result<Vec<Exchange>> {
        read(&self.connection, api, limit).map_err(|error| Error::new("read", &self.path, error))
    }
}

pub(super) fn write(
    change: &Connection,
    exchanges: &[Exchange],
    retention: Retention,
) -> rusqlite::Result<()> {
    let mut put = change.prepare_cached(
        "INSERT INTO exchange (time, endpoint, source, status, latency, request_bytes,
             response_bytes, facts, weight)
         SELECT ?1, id, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM endpoint
         WHERE api = ?2 AND route = ?3 AND method = ?4",
    )?;
    for exchange in exchanges {
        put.execute(params![
            exchange.time.cast_signed(),
            exchange.api,
            exchange.route,
            exchange.method,
            exchange.source.to_string(),
            exchange.status,
            exchange.latency.map(u64::cast_signed),
            exchange.request_bytes.map(u64::cast_signed),
            exchange.response_bytes.map(u64::cast_signed),
            exchange.facts,
            exchange.weight.cast_signed()
        ])?;
    }
    let rows = (retention.bytes / ROW_BYTES).cast_signed();
    // They are numbered in the order of time.
    let newest: Option<i64> =
        change.query_row("SELECT max(id) FROM exchange", [], |row| row.get(0))?;
    let Some(newest) = newest else { return Ok(()) };
    let first_kept: Option<i64> = change
        .query_row(
            "SELECT id FROM exchange WHERE time >= ?1 ORDER BY id LIMIT 1",
            [retention.since.cast_signed()],
            |row| row.get(0),
        )
        .optional()?;
    let first = first_kept.unwrap_or(newest + 1).max(newest.saturating_sub(rows) + 1);
    change.execute("DELETE FROM exchange WHERE id < ?1", [first]).map(drop)
}

/// Those of a route become those of another of the same API.
pub(super) fn rename(
    change: &Connection,
    api: &str,
    before: &str,
    now: &str,
) -> rusqlite::Result<()> {
    change
        .prepare_cached(
            "UPDATE exchange SET endpoint = new.id
             FROM endpoint AS old JOIN endpoint AS new
                 ON new.api = old.api AND new.method = old.method AND new.route = ?3
             WHERE old.api = ?1 AND old.route = ?2 AND exchange.endpoint = old.id",
        )?
        .execute(params![api, before, now])?;
    Ok(())
}

/// Forgets those of an API.
pub(super) fn forget(change: &Connection, api: &str) -> rusqlite::Result<()> {
    change
        .execute(
            "DELETE FROM exchange WHERE endpoint IN (SELECT id FROM endpoint WHERE api = ?1)",
            [api],
        )
        .map(drop)
}

fn read(connection: &Connection, api: &str, limit: usize) -> rusqlite::Result<Vec<Exchange>> {
    // The latest of each endpoint by its index, then the latest of all.
    let mut query = connection.prepare(
        "SELECT exchange.*, route, method FROM endpoint JOIN exchange
             ON exchange.id IN (SELECT id FROM exchange WHERE endpoint = endpoint.id
                                ORDER BY id DESC LIMIT ?2)
         WHERE api = ?1 ORDER BY exchange.id DESC LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = query.query(params![api, limit])?;
    let mut exchanges = Vec::new();
    let api: Arc<str> = api.into();
    while let Some(row) = rows.next()? {
        exchanges.extend(one(row, Arc::clone(&api))?);
    }
    Ok(exchanges)
}

/// The transaction of a row with its endpoint's route and method; `None` when its source is no
/// address.
pub(super) fn one(row: &Row<'_>, api: Arc<str>) -> rusqlite::Result<Option<Exchange>> {
    let number = |column: &str| {
        row.get::<_, Option<i64>>(column).map(|number| number.map(i64::unsigned_abs))
    };
    let Ok(source) = row.get::<_, String>("source")?.parse() else { return Ok(None) };
    Ok(Some(Exchange {
        time: number("time")?.unwrap_or_default(),
        api,
        route: row.get::<_, String>("route")?.into(),
        method: crate::inventory::catalog::method(&row.get::<_, String>("method")?),
        source,
        status: row.get("status")?,
        latency: number("latency")?,
        request_bytes: number("request_bytes")?,
        response_bytes: number("response_bytes")?,
        facts: row.get("facts")?,
        weight: number("weight")?.unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::inventory::Batch;
    use super::*;
    use crate::inventory::catalog::{Changes, EndpointRow};
    use crate::inventory::usage::Usage;

    fn batch(from: u64, count: u64) -> Batch {
        let endpoint = |route: &str| EndpointRow {
            api: "orders".into(),
            route: route.into(),
            method: "GET",
            usage: Usage::default(),
        };
        let exchange = |n: u64| Exchange {
            time: 1_700_000_000_000 + n,
            api: "orders".into(),
            route: if n.is_multiple_of(2) { "/even" } else { "/odd" }.into(),
            method: "GET",
            source: std::net::IpAddr::from(
                (0x2001_0db8_u128 << 96 | u128::from(n) << 40).to_be_bytes(),
            ),
            status: Some(200),
            latency: Some(1_234_567),
            request_bytes: Some(100_000),
            response_bytes: Some(1_000_000),
            facts: HANDSHAKE | COMPLETE | 5,
            weight: 1 << 30,
        };
        Batch {
            changes: Changes {
                endpoints: vec![endpoint("/even"), endpoint("/odd")],
                ..Changes::default()
            },
            exchanges: (from..from + count).map(exchange).collect(),
            retention: Retention { bytes: 4 << 20, since: 0 },
            ..Batch::default()
        }
    }

    #[test]
    fn the_latest_are_kept_within_the_budget_and_the_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(directory.path()).expect("opens");
        let size =
            || std::fs::metadata(directory.path().join(crate::store::FILE)).expect("there").len();
        let empty = size();
        for round in 0..12 {
            store.keep_inventory(&batch(round * 10_000, 10_000)).expect("writes");
            assert!(size() < empty + (4 << 20), "{} bytes after round {round}", size());
        }
        assert!(size() > empty + (2 << 20), "the budget is used: {}", size());
        let latest = store.exchanges("orders", 3).expect("reads");
        let mut expected = batch(119_997, 3).exchanges;
        expected.reverse();
        assert_eq!(latest, expected);
        assert_eq!(store.exchanges("other", 3).expect("reads"), []);
        let mut old = batch(120_000, 1);
        old.retention.since = 1_700_000_000_000 + 119_999;
        store.keep_inventory(&old).expect("writes");
        assert_eq!(store.exchanges("orders", 99).expect("reads").len(), 2);
        old.exchanges.clear();
        old.retention = Retention { bytes: 0, since: 0 };
        store.keep_inventory(&old).expect("writes");
        assert_eq!(store.exchanges("orders", 99).expect("reads").len(), 0);
        assert!(size() < empty + (1 << 20), "room is given back: {}", size());
    }

    #[test]
    fn they_follow_their_route() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(directory.path()).expect("opens");
        let mut batch = batch(0, 10);
        store.keep_inventory(&batch).expect("writes");
        batch.exchanges.clear();
        for before in ["/even", "/odd"] {
            let merged =
                EndpointRow { route: "/{value}".into(), ..batch.changes.endpoints[0].clone() };
            batch.changes.endpoints = vec![merged];
            batch.changes.renamed = vec![("orders".into(), before.into(), "/{value}".into())];
            store.keep_inventory(&batch).expect("writes");
        }
        let now = store.exchanges("orders", 99).expect("reads");
        assert_eq!(now.len(), 10);
        assert!(now.iter().all(|exchange| &*exchange.route == "/{value}"));
        batch.changes = Changes { forgotten: vec!["orders".into()], ..Changes::default() };
        store.keep_inventory(&batch).expect("writes");
        assert_eq!(store.exchanges("orders", 99).expect("reads"), []);
    }
}
