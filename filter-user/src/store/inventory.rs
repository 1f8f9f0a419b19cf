//! What was seen of APIs and endpoints, written in batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::{Error, Result};
use super::exchange::{self, Exchange, Retention};
use super::finding::{self, FindingRow};
use crate::inventory::catalog::{Changes, EndpointRow, Seen, method};
use crate::inventory::sources::Sources;
use crate::inventory::usage::{Tally, Usage};
use crate::policy::{Port, Protocol};
use crate::sensor::transaction::Credential;

/// What the fourth version of the file adds. Times are seconds since 1970, but for those of
/// transactions and findings, which are milliseconds; counts are in 65536ths, as weights are.
pub(super) const TABLES: &str = "
    CREATE TABLE api_seen (
        name         TEXT PRIMARY KEY,
        port         INTEGER,
        first_seen   INTEGER NOT NULL,
        last_seen    INTEGER NOT NULL,
        connections  INTEGER NOT NULL,
        applications TEXT NOT NULL,
        sources      BLOB NOT NULL,
        tls          TEXT NOT NULL,
        merged       TEXT NOT NULL,
        documented   TEXT NOT NULL
    );
    CREATE TABLE endpoint (
        id         INTEGER PRIMARY KEY,
        api        TEXT NOT NULL,
        route      TEXT NOT NULL,
        method     TEXT NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen  INTEGER NOT NULL,
        requests   INTEGER NOT NULL,
        detail     TEXT NOT NULL,
        sources    BLOB NOT NULL,
        UNIQUE (api, route, method)
    );
    CREATE TABLE exchange (
        id             INTEGER PRIMARY KEY,
        time           INTEGER NOT NULL,
        endpoint       INTEGER NOT NULL,
        source         TEXT NOT NULL,
        status         INTEGER,
        latency        INTEGER,
        request_bytes  INTEGER,
        response_bytes INTEGER,
        facts          INTEGER NOT NULL,
        weight         INTEGER NOT NULL
    );
    CREATE INDEX exchange_endpoint ON exchange (endpoint, id);
    CREATE TABLE finding (
        id       TEXT PRIMARY KEY,
        detector TEXT NOT NULL,
        state    TEXT NOT NULL,
        updated  INTEGER NOT NULL,
        body     TEXT NOT NULL
    );
";

/// What is written at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// What changed in the inventory.
    pub changes: Changes,
    /// Transactions, oldest first.
    pub exchanges: Vec<Exchange>,
    /// Findings that are new or changed.
    pub findings: Vec<FindingRow>,
    /// How much is kept.
    pub retention: Retention,
}

/// What was kept.
#[derive(Debug, Default)]
pub struct Inventory {
    /// APIs without their endpoints.
    pub apis: Vec<(Arc<str>, Seen)>,
    /// Endpoints.
    pub endpoints: Vec<EndpointRow>,
    /// Findings, in no particular order.
    pub findings: Vec<FindingRow>,
}

impl Store {
    /// Writes a batch, all of it or nothing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_inventory(&mut self, batch: &Batch) -> Result<()> {
        let Self { connection, path } = self;
        write(connection, batch).map_err(|error| Error::new("write", path, error))
    }

    /// What was kept. What cannot be understood is left out.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn inventory(&self) -> Result<Inventory> {
        read(&self.connection).map_err(|error| Error::new("read", &self.path, error))
    }
}

/// What an endpoint has beside its columns. A field that a later version adds has a default.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Detail {
    proven: (u64, u64),
    present: bool,
    /// By kind: count and last, count and last in clear text.
    credentials: BTreeMap<String, [u64; 4]>,
    anonymous: (u64, u64),
    plaintext: (u64, u64),
    encrypted: (u64, u64),
    grpc: (u64, u64),
    statuses: BTreeMap<u16, u64>,
    request_types: BTreeMap<Box<str>, u64>,
    response_types: BTreeMap<Box<str>, u64>,
}

const fn pair(tally: Tally) -> (u64, u64) {
    (tally.count, tally.last)
}

const fn tally((count, last): (u64, u64)) -> Tally {
    Tally { count, last }
}

impl Detail {
    fn of(usage: &Usage) -> Self {
        let kinds = usage.credentials.iter().zip(&usage.clear_credentials);
        Self {
            proven: pair(usage.proven),
            present: usage.present,
            credentials: Credential::ALL
                .iter()
                .zip(kinds)
                .filter(|(_, (all, _))| all.count > 0)
                .map(|(kind, (all, clear))| {
                    (kind.name().to_owned(), [all.count, all.last, clear.count, clear.last])
                })
                .collect(),
            anonymous: pair(usage.anonymous),
            plaintext: pair(usage.plaintext),
            encrypted: pair(usage.encrypted),
            grpc: pair(usage.grpc),
            statuses: usage.statuses.clone(),
            request_types: usage.request_types.clone(),
            response_types: usage.response_types.clone(),
        }
    }

    fn usage(self) -> Usage {
        let mut usage = Usage {
            proven: tally(self.proven),
            present: self.present,
            anonymous: tally(self.anonymous),
            plaintext: tally(self.plaintext),
            encrypted: tally(self.encrypted),
            grpc: tally(self.grpc),
            statuses: self.statuses,
            request_types: self.request_types,
            response_types: self.response_types,
            ..Usage::default()
        };
        for kind in Credential::ALL {
            if let Some(&[all, last, clear, clear_last]) = self.credentials.get(kind.name()) {
                usage.credentials[kind as usize] = tally((all, last));
                usage.clear_credentials[kind as usize] = tally((clear, clear_last));
            }
        }
        usage
    }
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn write(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<()> {
    let change = connection.transaction()?;
    for name in &batch.changes.forgotten {
        exchange::forget(&change, name)?;
        change.execute("DELETE FROM endpoint WHERE api = ?1", [name])?;
        change.execute("DELETE FROM api_seen WHERE name = ?1", [name])?;
    }
    apis(&change, &batch.changes)?;
    endpoints(&change, &batch.changes)?;
    exchange::write(&change, &batch.exchanges, batch.retention)?;
    finding::write(&change, &batch.findings)?;
    change.commit()
}

fn apis(change: &Connection, changes: &Changes) -> rusqlite::Result<()> {
    let mut put = change.prepare_cached(
        "INSERT OR REPLACE INTO api_seen (name, port, first_seen, last_seen, connections,
         applications, sources, tls, merged, documented)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for (name, seen) in &changes.apis {
        let documented: Vec<(&str, &str, u64)> = seen
            .documented
            .iter()
            .map(|((route, method), since)| (&**route, method.as_str(), *since))
            .collect();
        let tls: BTreeMap<u16, (u64, u64)> =
            seen.tls.iter().map(|(version, tally)| (*version, pair(*tally))).collect();
        put.execute(params![
            name,
            seen.port.map(encode),
            seen.first.cast_signed(),
            seen.last.cast_signed(),
            seen.connections.cast_signed(),
            json(&seen.applications)?,
            seen.sources.to_bytes(),
            json(&tls)?,
            json(&seen.merged)?,
            json(&documented)?
        ])?;
    }
    Ok(())
}

fn endpoints(change: &Connection, changes: &Changes) -> rusqlite::Result<()> {
    let mut put = change.prepare_cached(
        "INSERT INTO endpoint (api, route, method, first_seen, last_seen, requests, detail, sources)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (api, route, method) DO UPDATE SET first_seen = excluded.first_seen,
             last_seen = excluded.last_seen, requests = excluded.requests,
             detail = excluded.detail, sources = excluded.sources",
    )?;
    for row in &changes.endpoints {
        let usage = &row.usage;
        put.execute(params![
            row.api,
            row.route,
            row.method,
            usage.first.cast_signed(),
            usage.all.last.cast_signed(),
            usage.all.count.cast_signed(),
            json(&Detail::of(usage))?,
            usage.sources.to_bytes()
        ])?;
    }
    // What a route was called before is gone; its transactions are the new one's.
    for (api, before, now) in &changes.renamed {
        exchange::rename(change, api, before, now)?;
        change
            .prepare_cached("DELETE FROM endpoint WHERE api = ?1 AND route = ?2")?
            .execute(params![api, before])?;
    }
    Ok(())
}

/// A port as one number.
fn encode(port: Port) -> u32 {
    u32::from(port.protocol.number()) << 16 | u32::from(port.port)
}

fn decode(number: u32) -> Option<Port> {
    let protocol = match number >> 16 {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => return None,
    };
    Some(Port { protocol, port: (number & 0xffff) as u16 })
}

fn read(connection: &Connection) -> rusqlite::Result<Inventory> {
    let unsigned = |number: i64| number.unsigned_abs();
    let mut kept = Inventory::default();
    let mut query = connection.prepare("SELECT * FROM api_seen")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let text = |column: &str| row.get::<_, String>(column);
        let documented: Vec<(Arc<str>, String, u64)> =
            serde_json::from_str(&text("documented")?).unwrap_or_default();
        let tls: BTreeMap<u16, (u64, u64)> =
            serde_json::from_str(&text("tls")?).unwrap_or_default();
        let seen = Seen {
            tls: tls.into_iter().map(|(version, of)| (version, tally(of))).collect(),
            port: row.get::<_, Option<u32>>("port")?.and_then(decode),
            first: unsigned(row.get("first_seen")?),
            last: unsigned(row.get("last_seen")?),
            connections: unsigned(row.get("connections")?),
            applications: serde_json::from_str(&text("applications")?).unwrap_or_default(),
            sources: Sources::from_bytes(&row.get::<_, Vec<u8>>("sources")?).unwrap_or_default(),
            merged: serde_json::from_str(&text("merged")?).unwrap_or_default(),
            documented: documented
                .into_iter()
                .map(|(route, method, since)| ((route, method), since))
                .collect(),
        };
        kept.apis.push((text("name")?.into(), seen));
    }
    let mut query = connection.prepare("SELECT * FROM endpoint ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let text = |column: &str| row.get::<_, String>(column);
        let detail: Detail = serde_json::from_str(&text("detail")?).unwrap_or_default();
        let mut usage = detail.usage();
        usage.first = unsigned(row.get("first_seen")?);
        usage.all = tally((unsigned(row.get("requests")?), unsigned(row.get("last_seen")?)));
        let sources: Vec<u8> = row.get("sources")?;
        usage.sources = Sources::from_bytes(&sources).unwrap_or_default();
        kept.endpoints.push(EndpointRow {
            api: text("api")?.into(),
            route: text("route")?.into(),
            method: method(&text("method")?),
            usage,
        });
    }
    kept.findings = finding::read(connection)?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::catalog::Catalog;

    fn usage(first: u64, count: u64) -> Usage {
        let mut usage = Usage {
            first,
            all: Tally { count: count << 16, last: first + 9 },
            present: true,
            ..Usage::default()
        };
        usage.proven = usage.all;
        usage.credentials[Credential::Cookie as usize] = Tally { count: 3, last: 4 };
        usage.clear_credentials[Credential::Cookie as usize] = Tally { count: 1, last: 2 };
        usage.statuses.insert(200, 7);
        usage.response_types.insert("text/plain".into(), 8);
        usage.sources.add([192, 0, 2, 1].into());
        usage
    }

    fn row(route: &str, usage: Usage) -> EndpointRow {
        EndpointRow { api: "orders".into(), route: route.into(), method: "GET", usage }
    }

    #[test]
    fn what_is_kept_comes_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(directory.path()).expect("opens");
        let port = Port { protocol: Protocol::Udp, port: 53 };
        let mut seen = Seen { port: Some(port), first: 5, last: 6, ..Seen::default() };
        seen.merged.push("/users".to_owned());
        seen.documented.insert(("/a".into(), "GET".to_owned()), 7);
        seen.applications.insert("http".into());
        seen.tls.insert(0x0304, Tally { count: 7, last: 8 });
        let changes = Changes {
            apis: vec![("orders".into(), Seen::default()), ("udp/53".into(), seen.clone())],
            endpoints: vec![row("/a", usage(1, 2)), row("/b", usage(3, 4))],
            ..Changes::default()
        };
        let mut batch = Batch { changes: changes.clone(), ..Batch::default() };
        for _ in 0..2 {
            store.keep_inventory(&batch).expect("writes");
            let kept = store.inventory().expect("reads");
            assert_eq!(kept.apis, changes.apis);
            assert_eq!(kept.endpoints, changes.endpoints);
        }
        // A catalog that is filled with it has nothing to write.
        let kept = store.inventory().expect("reads");
        let mut catalog = Catalog::default();
        catalog.restore(kept.apis, kept.endpoints);
        assert!(catalog.take_changes().is_empty());
        assert_eq!(catalog.get("orders").map(|r| r.endpoints().count()), Some(2));
        catalog.rename("orders", |_| Some("/{value}".into()), ["".to_owned()]);
        catalog.forget(|name, _| name == "udp/53");
        batch.changes = catalog.take_changes();
        store.keep_inventory(&batch).expect("writes");
        let kept = store.inventory().expect("reads");
        assert_eq!(kept.apis.len(), 1);
        let [only] = &kept.endpoints[..] else { panic!("{:?}", kept.endpoints) };
        assert_eq!((&*only.route, only.usage.first, only.usage.all.requests()), ("/{value}", 1, 6));
        assert_eq!(only.usage.sources.count(), 1);
    }
}
