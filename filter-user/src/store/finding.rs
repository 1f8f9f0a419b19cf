//! Findings, from open to closed, as the daemon writes them.

use rusqlite::{Connection, params};

/// Findings that are over and kept.
const KEPT: u32 = 2_000;

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingRow {
    /// Its id.
    pub id: String,
    /// Name of its detector.
    pub detector: String,
    /// Name of its state: `open`, `update` or `closed`.
    pub state: String,
    /// When its numbers are from, ms since 1970.
    pub updated: u64,
    /// All of it, as JSON.
    pub body: String,
}

pub(super) fn write(change: &Connection, findings: &[FindingRow]) -> rusqlite::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let mut put = change.prepare_cached(
        "INSERT OR REPLACE INTO finding (id, detector, state, updated, body)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for FindingRow { id, detector, state, updated, body } in findings {
        put.execute(params![id, detector, state, updated.cast_signed(), body])?;
    }
    change
        .execute(
            "DELETE FROM finding WHERE state = 'closed' AND id NOT IN
             (SELECT id FROM finding WHERE state = 'closed' ORDER BY updated DESC LIMIT ?1)",
            [KEPT],
        )
        .map(drop)
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<FindingRow>> {
    let mut query = connection.prepare("SELECT id, detector, state, updated, body FROM finding")?;
    query
        .query_map([], |row| {
            Ok(FindingRow {
                id: row.get(0)?,
                detector: row.get(1)?,
                state: row.get(2)?,
                updated: row.get::<_, i64>(3)?.unsigned_abs(),
                body: row.get(4)?,
            })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::inventory::Batch;
    use super::*;

    #[test]
    fn open_ones_stay_and_of_others_the_latest() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(directory.path()).expect("opens");
        let row = |n: u64, state: &str| FindingRow {
            id: n.to_string(),
            detector: "x".to_owned(),
            state: state.to_owned(),
            updated: n,
            body: "{}".to_owned(),
        };
        let mut findings = vec![row(1, "open"), row(2, "update")];
        findings.extend((3..3_000).map(|n| row(n, "closed")));
        store.keep_inventory(&Batch { findings, ..Batch::default() }).expect("writes");
        let findings = vec![row(2, "closed")];
        store.keep_inventory(&Batch { findings, ..Batch::default() }).expect("writes");
        let mut kept = store.inventory().expect("reads").findings;
        kept.sort_by_key(|row| row.updated);
        assert_eq!(kept.len(), 2_001);
        assert_eq!((kept[0].clone(), kept[1].updated), (row(1, "open"), 1_000));
    }
}
