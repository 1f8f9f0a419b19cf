//! Detectors of which nobody is to be told at an API.

use std::collections::BTreeMap;

use crate::control::api::MuteEntry;
use crate::store::MuteRow;

/// Mutes at most: far more than an operator can mean.
pub(in crate::daemon) const MOST: usize = 1_000;

/// See the module. By API and detector.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Mutes(BTreeMap<(String, String), MuteEntry>);

impl Mutes {
    /// What a store kept.
    pub(in crate::daemon) fn restore(rows: &[MuteRow]) -> Self {
        let entries = rows.iter().filter_map(|row| {
            let entry: MuteEntry = serde_json::from_str(&row.body).ok()?;
            Some(((entry.api.clone(), entry.detector.clone()), entry))
        });
        Self(entries.collect())
    }

    /// For the store.
    pub(in crate::daemon) fn rows(&self) -> Vec<MuteRow> {
        let rows = self.0.values().filter_map(|entry| {
            Some(MuteRow {
                detector: entry.detector.clone(),
                api: entry.api.clone(),
                body: serde_json::to_string(entry).ok()?,
            })
        });
        rows.collect()
    }

    /// Whether nobody is told of what this detector finds at this API.
    pub(in crate::daemon) fn covers(&self, detector: &str, api: &str) -> bool {
        // Few are muted, so that the key is hardly ever made.
        !self.0.is_empty() && self.0.contains_key(&(api.to_owned(), detector.to_owned()))
    }

    /// Puts one in force, in place of the one before; false when there is no room.
    pub(in crate::daemon) fn set(&mut self, entry: MuteEntry) -> bool {
        let key = (entry.api.clone(), entry.detector.clone());
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            return false;
        }
        self.0.insert(key, entry);
        true
    }

    /// Ends one.
    pub(in crate::daemon) fn lift(&mut self, detector: &str, api: &str) -> Option<MuteEntry> {
        self.0.remove(&(api.to_owned(), detector.to_owned()))
    }

    /// Ends those whose time is over. `now` is seconds since 1970.
    pub(in crate::daemon) fn expire(&mut self, now: u64) -> Vec<MuteEntry> {
        self.0
            .extract_if(.., |_, entry| entry.until.is_some_and(|until| until <= now))
            .map(|(_, entry)| entry)
            .collect()
    }

    /// Those in force.
    pub(in crate::daemon) fn iter(&self) -> impl Iterator<Item = &MuteEntry> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_cover_what_they_name_until_they_end() {
        let entry = |api: &str, until| MuteEntry {
            detector: "rate_shift".to_owned(),
            api: api.to_owned(),
            until,
            ..MuteEntry::default()
        };
        let mut mutes = Mutes::default();
        assert!(!mutes.covers("rate_shift", "orders"));
        assert!(mutes.set(entry("orders", Some(10))) && mutes.set(entry("stock", None)));
        let mut mutes = Mutes::restore(&mutes.rows());
        for (detector, api, covered) in [
            ("rate_shift", "orders", true),
            ("rate_shift", "stock", true),
            ("rate_shift", "other", false),
            ("probing", "orders", false),
        ] {
            assert_eq!(mutes.covers(detector, api), covered, "{detector} {api}");
        }
        assert_eq!(mutes.expire(9), []);
        assert_eq!(mutes.expire(10), [entry("orders", Some(10))]);
        assert_eq!(mutes.lift("rate_shift", "orders"), None);
        assert_eq!(mutes.lift("rate_shift", "stock"), Some(entry("stock", None)));
        assert_eq!(mutes.iter().count(), 0);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let entry = |n: usize| MuteEntry { api: n.to_string(), ..MuteEntry::default() };
        let mut mutes = Mutes::default();
        assert!((0..MOST).all(|n| mutes.set(entry(n))));
        assert!(!mutes.set(entry(MOST)) && mutes.set(entry(0)), "one that is there is changed");
    }
}
