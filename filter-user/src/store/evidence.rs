//! Stored transactions of a span of time, one after the other.

use std::sync::Arc;

use rusqlite::params;

use super::Store;
use super::error::{Error, Result};
use super::exchange::{self, Exchange};

impl Store {
    /// Hands on the transactions of a span (ms since 1970, both ends included), of one API or of all,
    /// in the order of time.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn each_exchange(
        &self,
        since: u64,
        until: u64,
        api: Option<&str>,
        mut take: impl FnMut(Exchange),
    ) -> Result<()> {
        let mut read = || -> rusqlite::Result<()> {
            let mut query = self.connection.prepare(
                "SELECT exchange.*, api, route, method FROM exchange
                     JOIN endpoint ON endpoint.id = exchange.endpoint
                 WHERE time BETWEEN ?1 AND ?2 AND (?3 IS NULL OR api = ?3) ORDER BY exchange.id",
            )?;
            let mut rows = query.query(params![since.cast_signed(), until.cast_signed(), api])?;
            while let Some(row) = rows.next()? {
                let api = Arc::from(row.get::<_, String>("api")?);
                exchange::one(row, api)?.into_iter().for_each(&mut take);
            }
            Ok(())
        };
        read().map_err(|error| Error::new("read", &self.path, error))
    }

    /// When the oldest transaction that is kept began, ms since 1970; `None`: none is kept.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn oldest_exchange(&self) -> Result<Option<u64>> {
        self.connection
            .query_row("SELECT min(time) FROM exchange", [], |row| row.get::<_, Option<i64>>(0))
            .map(|time| time.map(i64::unsigned_abs))
            .map_err(|error| Error::new("read", &self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::catalog::{Changes, EndpointRow};
    use crate::inventory::usage::Usage;
    use crate::store::{Batch, Retention};

    #[test]
    fn those_of_a_span_and_of_an_api() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(directory.path()).expect("opens");
        assert_eq!(store.oldest_exchange().expect("reads"), None);
        let endpoint = |api: &str| EndpointRow {
            api: api.into(),
            route: "/a".into(),
            method: "GET",
            usage: Usage::default(),
        };
        let exchange = |api: &str, time| Exchange {
            time,
            api: api.into(),
            route: "/a".into(),
            method: "GET",
            source: [192, 0, 2, 1].into(),
            status: None,
            latency: None,
            request_bytes: None,
            response_bytes: Some(5),
            facts: 3,
            weight: 1 << 16,
        };
        let exchanges: Vec<_> =
            (1..=4).flat_map(|time| [exchange("orders", time), exchange("other", time)]).collect();
        let endpoints = vec![endpoint("orders"), endpoint("other")];
        let batch = Batch {
            changes: Changes { endpoints, ..Changes::default() },
            exchanges: exchanges.clone(),
            retention: Retention { bytes: 1 << 20, since: 0 },
            ..Batch::default()
        };
        store.keep_inventory(&batch).expect("writes");
        assert_eq!(store.oldest_exchange().expect("reads"), Some(1));
        for (since, until, api, expected) in [
            (0, u64::MAX >> 1, None, exchanges.clone()),
            (2, 3, None, exchanges[2..6].to_vec()),
            (2, 3, Some("other"), vec![exchanges[3].clone(), exchanges[5].clone()]),
            (2, 3, Some("gone"), vec![]),
            (9, 10, None, vec![]),
        ] {
            let mut found = Vec::new();
            store.each_exchange(since, until, api, |one| found.push(one)).expect("reads");
            assert_eq!(found, expected, "{since}–{until} {api:?}");
        }
    }
}
