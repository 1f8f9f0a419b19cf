//! Stable ids: numbers for the names of APIs and groups that outlive a policy.
//!
//! Counters, limits, bans and overrides are keyed by them, so that a policy that inserts an API
//! moves nobody's state. An id is never used again within a boot.

use std::collections::BTreeMap;
use std::fmt;

use filter_common::tables::{MAX_GROUPS, NAME_BYTES, SHARED_GROUPS, SHARED_PER_API};

/// Names by id. Id 0 is nobody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    apis: Vec<String>,
    groups: Vec<String>,
    shared: BTreeMap<(u32, u32), u32>,
    max_apis: u32,
}

/// There is no number left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// What for.
    pub what: &'static str,
    /// How many there can be.
    pub limit: u32,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no id is left for {}: {} have been used since the state was made; `weir detach` and a \
             new start make room, and `[limits] max_apis` sets how many APIs there can be",
            self.what, self.limit
        )
    }
}

impl std::error::Error for Full {}

impl Ids {
    /// No names yet; ids of APIs stay below `max_apis`.
    pub fn new(max_apis: u32) -> Self {
        Self {
            apis: vec![String::new()],
            groups: vec![String::new()],
            shared: BTreeMap::new(),
            max_apis,
        }
    }

    /// As read back from the kernel: names by id from 1 on, and slots of shared budgets by API and
    /// group.
    pub fn restore(
        apis: Vec<String>,
        groups: Vec<String>,
        shared: BTreeMap<(u32, u32), u32>,
        max_apis: u32,
    ) -> Self {
        let mut ids = Self::new(max_apis);
        ids.apis.extend(apis);
        ids.groups.extend(groups);
        ids.shared = shared;
        ids
    }

    /// The id of an API, a new one when it has none.
    ///
    /// # Errors
    /// When all ids are used.
    pub fn api(&mut self, name: &str) -> Result<u32, Full> {
        assign(&mut self.apis, name, self.max_apis, "another API")
    }

    /// The id of a group, a new one when it has none.
    ///
    /// # Errors
    /// When all ids are used.
    pub fn group(&mut self, name: &str) -> Result<u32, Full> {
        assign(&mut self.groups, name, MAX_GROUPS, "another group")
    }

    /// Which shared budget of the API is the group's, a new one when it has none.
    ///
    /// # Errors
    /// When the API has given all of its budgets to groups.
    pub fn shared(&mut self, api: u32, group: u32) -> Result<u32, Full> {
        if let Some(&slot) = self.shared.get(&(api, group)) {
            return Ok(slot);
        }
        let used = self.shared.range((api, 0)..=(api, u32::MAX)).count() as u32;
        let slot = SHARED_GROUPS + used;
        if slot >= SHARED_PER_API {
            let limit = SHARED_PER_API - SHARED_GROUPS;
            return Err(Full { what: "another group's budget at an API", limit });
        }
        self.shared.insert((api, group), slot);
        Ok(slot)
    }

    /// The name of an API by id.
    pub fn api_name(&self, id: u32) -> Option<&str> {
        self.apis.get(id as usize).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of a group by id.
    pub fn group_name(&self, id: u32) -> Option<&str> {
        self.groups.get(id as usize).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The id of an API that has one.
    pub fn find_api(&self, name: &str) -> Option<u32> {
        find(&self.apis, name)
    }

    /// The id of a group that has one.
    pub fn find_group(&self, name: &str) -> Option<u32> {
        find(&self.groups, name)
    }

    /// APIs with their ids.
    pub fn apis(&self) -> impl Iterator<Item = (u32, &str)> {
        self.apis.iter().enumerate().skip(1).map(|(id, name)| (id as u32, name.as_str()))
    }

    /// Groups with their ids.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &str)> {
        self.groups.iter().enumerate().skip(1).map(|(id, name)| (id as u32, name.as_str()))
    }
}

fn find(names: &[String], name: &str) -> Option<u32> {
    let place = names.iter().position(|known| known == name && !known.is_empty())?;
    u32::try_from(place).ok()
}

fn assign(
    names: &mut Vec<String>,
    name: &str,
    limit: u32,
    what: &'static str,
) -> Result<u32, Full> {
    debug_assert!(name.len() < NAME_BYTES, "the checker holds names below this");
    if let Some(id) = find(names, name) {
        return Ok(id);
    }
    let id = u32::try_from(names.len()).unwrap_or(u32::MAX);
    if id >= limit {
        return Err(Full { what, limit: limit.saturating_sub(1) });
    }
    names.push(name.to_owned());
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_and_run_out() {
        let mut ids = Ids::new(4);
        assert_eq!(ids.api("orders"), Ok(1));
        assert_eq!(ids.api("catalog"), Ok(2));
        assert_eq!(ids.api("orders"), Ok(1));
        assert_eq!(ids.api("third"), Ok(3));
        assert_eq!(ids.api("fourth"), Err(Full { what: "another API", limit: 3 }));
        assert_eq!(ids.api_name(2), Some("catalog"));
        assert_eq!(ids.api_name(0), None);
        assert_eq!(ids.find_group("orders"), None);
    }

    #[test]
    fn shared_budgets_are_per_api() {
        let mut ids = Ids::new(8);
        assert_eq!(ids.shared(1, 5), Ok(2));
        assert_eq!(ids.shared(2, 5), Ok(2));
        assert_eq!(ids.shared(1, 6), Ok(3));
        assert_eq!(ids.shared(1, 5), Ok(2));
        for group in 7..19 {
            assert!(ids.shared(1, group).is_ok());
        }
        assert!(ids.shared(1, 19).is_err());
    }
}
