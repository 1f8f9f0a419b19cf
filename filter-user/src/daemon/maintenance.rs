//! Which APIs are being maintained: by an operator's order, or because the policy says so. What such an
//! API does is neither judged nor learned ([`crate::detect::Engine::set_maintained`]).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::control::api::{
    Answer, ApiError, Caller, MaintenanceEntry, MaintenanceStart, MaintenanceStop,
};
use crate::control::ssh::{own, who};
use crate::export::events::{ApiField, Event, Kind};
use crate::policy::Policy;
use crate::store::MaintenanceRow;
use crate::text::quantity::DAY;

use super::core::{Core, lock, unix_ns};
use super::gate::unix_now;
use super::orders;
use super::profile::UNCLAIMED;

/// An order that is to last longer is a mistake: so long an API would not be looked at.
const LONGEST: Duration = DAY.saturating_mul(31);

/// What is in force, by API and whether the policy says so.
#[derive(Debug, Default)]
pub(super) struct Maintained(BTreeMap<(String, bool), MaintenanceEntry>);

fn key(entry: &MaintenanceEntry) -> (String, bool) {
    (entry.api.clone(), entry.by.is_none())
}

impl Maintained {
    /// What a store kept.
    pub(super) fn restore(rows: &[MaintenanceRow]) -> Self {
        let entries = rows.iter().filter_map(|row| {
            let entry: MaintenanceEntry = serde_json::from_str(&row.body).ok()?;
            Some((key(&entry), entry))
        });
        Self(entries.collect())
    }

    /// For the store.
    fn rows(&self) -> Vec<MaintenanceRow> {
        let rows = self.0.iter().filter_map(|((api, planned), entry)| {
            let (api, planned) = (api.clone(), *planned);
            Some(MaintenanceRow { api, planned, body: serde_json::to_string(entry).ok()? })
        });
        rows.collect()
    }

    /// Whether an API is being maintained.
    pub(super) fn covers(&self, api: &str) -> bool {
        // Hardly ever is one, so that the key is hardly ever made.
        let is = |planned| self.0.contains_key(&(api.to_owned(), planned));
        !self.0.is_empty() && (is(false) || is(true))
    }

    /// Those that began, as the policy says, and those whose time is over. `now` is seconds since
    /// 1970.
    fn look(&mut self, policy: &Policy, now: u64) -> [Vec<MaintenanceEntry>; 2] {
        let planned = policy.maintained(now);
        let over = |(api, is_planned): &(String, bool), entry: &mut MaintenanceEntry| {
            if *is_planned { !planned.contains_key(api.as_str()) } else { entry.until <= now }
        };
        let ended = self.0.extract_if(.., over).map(|(_, entry)| entry).collect();
        let mut begun = Vec::new();
        for (api, (window, until)) in planned {
            let reason = window.reason.clone();
            let entry =
                MaintenanceEntry { api: api.to_owned(), since: now, until, by: None, reason };
            match self.0.get_mut(&key(&entry)) {
                Some(held) => (held.until, held.reason) = (until, entry.reason),
                None => {
                    begun.push(entry.clone());
                    self.0.insert(key(&entry), entry);
                }
            }
        }
        [begun, ended]
    }
}

impl Core {
    /// What is in force.
    pub(super) fn list_maintenance(&self) -> Vec<MaintenanceEntry> {
        lock(&self.maintained).0.values().cloned().collect()
    }

    /// An operator begins to maintain an API; a second order replaces the first.
    pub(super) fn start_maintenance(
        &self,
        request: &MaintenanceStart,
        caller: &Caller,
    ) -> Answer<MaintenanceEntry> {
        let MaintenanceStart { api, ttl_seconds, reason } = request;
        let ttl = orders::ttl(Some(*ttl_seconds))?.unwrap_or_default();
        if ttl > LONGEST {
            let told = "a maintenance of more than 31 days would leave the API unwatched";
            return Err(ApiError::invalid(told).hint("give a shorter time, and order it again"));
        }
        let reason = orders::note(reason)?;
        if self.gate().now.policy.api(api).is_none() && api != UNCLAIMED {
            return Err(ApiError::not_found(format!("the policy has no API `{api}`"))
                .hint("`weir apis` lists them"));
        }
        let (since, seconds) = (unix_now(), ttl.as_secs_f64().ceil() as u64);
        let entry = MaintenanceEntry {
            api: api.clone(),
            since,
            until: since.saturating_add(seconds),
            by: Some(who(caller)),
            reason,
        };
        lock(&self.maintained).0.insert(key(&entry), entry.clone());
        let fields = [
            ("api", api.clone().into()),
            ("ttl_seconds", (*ttl_seconds).into()),
            ("reason", orders::given(&entry.reason).into()),
        ];
        self.audit_act("maintenance_start", who(caller), fields);
        self.tell_maintenance(&entry, Some(seconds));
        self.keep_maintenance()?;
        Ok(entry)
    }

    /// An operator ends what one ordered.
    pub(super) fn stop_maintenance(
        &self,
        request: &MaintenanceStop,
        caller: &Caller,
    ) -> Answer<MaintenanceEntry> {
        let MaintenanceStop { api } = request;
        let (entry, planned) = {
            let mut maintained = lock(&self.maintained);
            let entry = maintained.0.remove(&(api.clone(), false));
            (entry, maintained.0.contains_key(&(api.clone(), true)))
        };
        let entry = entry.ok_or_else(|| match planned {
            true => ApiError::refused(format!("the policy has {api} in maintenance"))
                .hint("change its [[maintenance]], and apply it"),
            false => ApiError::not_found(format!("{api} is not being maintained"))
                .hint("`weir maintenance list` lists what is"),
        })?;
        let fields = [("api", api.clone().into()), ("over", false.into())];
        self.audit_act("maintenance_stop", who(caller), fields);
        self.tell_maintenance(&entry, None);
        self.keep_maintenance()?;
        Ok(entry)
    }

    /// What is due of maintenance every second: some begin, some are over.
    pub(super) fn look_after_maintenance(&self, policy: &Policy) {
        let now = unix_now();
        let [begun, ended] = lock(&self.maintained).look(policy, now);
        if begun.is_empty() && ended.is_empty() {
            return;
        }
        for entry in &ended {
            if entry.by.is_some() {
                let fields = [("api", entry.api.clone().into()), ("over", true.into())];
                self.audit_act("maintenance_stop", own(), fields);
            }
            self.tell_maintenance(entry, None);
        }
        for entry in &begun {
            self.tell_maintenance(entry, Some(entry.until.saturating_sub(now)));
        }
        if let Err(error) = self.keep_maintenance() {
            tracing::error!("{error}");
        }
    }

    fn keep_maintenance(&self) -> Answer<()> {
        let rows = lock(&self.maintained).rows();
        let kept = self.gate().keeper.with(|store| store.keep_maintenance(&rows));
        orders::written(kept)
    }

    /// Tells that a maintenance began, for so many seconds, or ended.
    fn tell_maintenance(&self, entry: &MaintenanceEntry, seconds: Option<u64>) {
        let MaintenanceEntry { api, by, reason, .. } = entry;
        let because = match reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        let planned = if by.is_none() { ", as the policy says" } else { "" };
        let (kind, message) = match seconds {
            Some(seconds) => (
                Kind::MaintenanceStarted,
                format!("{api} is being maintained for {seconds} s{planned}{because}"),
            ),
            None => {
                let rest =
                    if lock(&self.maintained).covers(api) { "; another goes on" } else { "" };
                (Kind::MaintenanceEnded, format!("a maintenance of {api} is over{rest}"))
            }
        };
        let api = Some(ApiField::find(&self.gate().now.policy, api));
        self.tell(&Event { api, ..Event::new(kind, unix_ns(), message) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Who;

    #[test]
    fn windows_and_orders_begin_and_end_each_for_itself() {
        let text = "[[api]]\nname = \"orders\"\nlisten = [\"tcp/80\"]\nallow = \"any\"\n\
                    [[api]]\nname = \"stock\"\nlisten = [\"tcp/81\"]\nallow = \"any\"\n\
                    [[maintenance]]\nfrom = \"1970-01-01T00:01:00Z\"\nuntil = \"1970-01-01T00:02:00Z\"\n\
                    [[maintenance]]\napis = [\"stock\"]\nreason = \"disks\"\n\
                    from = \"1970-01-01T00:01:30Z\"\nuntil = \"1970-01-01T00:03:00Z\"\n";
        let loaded = crate::policy::parse(text, std::path::Path::new(""), "p.toml");
        let policy = loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let mut maintained = Maintained::default();
        let order = MaintenanceEntry {
            api: "orders".to_owned(),
            since: 50,
            until: 150,
            by: Some(Who::default()),
            reason: "a release".to_owned(),
        };
        maintained.0.insert(key(&order), order);
        // At a time: what began, what ended, who is maintained then.
        for (time, begun, ended, now) in [
            (59, "", "", "orders"),
            (60, "orders+ stock+", "", "orders stock"),
            (90, "", "", "orders stock"),
            (120, "", "orders+", "orders stock"),
            (149, "", "", "orders stock"),
            (150, "", "orders-", "stock"),
            (180, "", "stock+", ""),
            (181, "", "", ""),
        ] {
            // A restart changes nothing.
            maintained = Maintained::restore(&maintained.rows());
            let [first, last] = maintained.look(&policy, time);
            let named = |entries: Vec<MaintenanceEntry>| {
                let name = |entry: MaintenanceEntry| {
                    format!("{}{}", entry.api, if entry.by.is_none() { '+' } else { '-' })
                };
                entries.into_iter().map(name).collect::<Vec<_>>().join(" ")
            };
            assert_eq!((&*named(first), &*named(last)), (begun, ended), "at {time}");
            let covered = ["orders", "stock"].into_iter().filter(|api| maintained.covers(api));
            assert_eq!(covered.collect::<Vec<_>>().join(" "), now, "at {time}");
            if time == 90 {
                let stock = &maintained.0[&("stock".to_owned(), true)];
                assert_eq!((stock.until, &*stock.reason, stock.since), (180, "disks", 60));
            }
        }
    }
}
