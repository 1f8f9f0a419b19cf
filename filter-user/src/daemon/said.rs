//! What operators say of findings: that they have seen one, and that they do not want to be told of what
//! a detector finds at an API.
//!
//! A muted finding opens, updates, closes and is counted like any other; receivers are not told of it
//! and nothing answers it. When a mute ends, what is still open is told to them.

use crate::control::api::{
    Acknowledged, Answer, ApiError, Caller, FindingAck, FindingEntry, MuteEntry, MuteLift, MuteSet,
};
use crate::control::ssh::{own, who};
use crate::detect::{Detector, Finding};
use crate::export::events::{ApiField, Event, Kind};
use crate::store::Who;

use super::core::{Core, lock, unix_ns};
use super::gate::unix_now;
use super::inventory::MOST_MUTES;
use super::orders;
use super::profile::UNCLAIMED;

impl Core {
    /// Whether nobody is to be told of a finding.
    pub(super) fn is_muted(&self, finding: &Finding) -> bool {
        let inventory = lock(&self.inventory);
        inventory.ledger.mutes.covers(finding.detector.name(), &finding.api_name)
    }

    /// Of the open findings, how many are muted, and how many an operator has seen.
    pub(super) fn said_of_open(&self) -> (u64, u64) {
        let inventory = lock(&self.inventory);
        let counts = inventory.ledger.open().fold((0, 0), |(muted, seen), entry| {
            (muted + u64::from(entry.muted), seen + u64::from(entry.acknowledged.is_some()))
        });
        drop(inventory);
        counts
    }

    /// Notes that an operator has seen a finding, or, without `acknowledged`, takes that back.
    pub(super) fn acknowledge(
        &self,
        request: &FindingAck,
        caller: &Caller,
        seen: bool,
    ) -> Answer<FindingEntry> {
        let note = orders::note(&request.note)?;
        let who = who(caller);
        let said = seen.then(|| Acknowledged { time: unix_now(), by: who.clone(), note });
        let entry = lock(&self.inventory).ledger.acknowledge(&request.id, said)?;
        let (kind, what) = match seen {
            true => (Kind::FindingAcknowledged, "finding_ack"),
            false => (Kind::FindingUnacknowledged, "finding_unack"),
        };
        let fields = [
            ("finding", entry.id.clone().into()),
            ("detector", entry.detector.clone().into()),
            ("api", entry.api.clone().into()),
            ("note", orders::given(&request.note).into()),
        ];
        self.audit_act(what, who, fields);
        self.tell_said(kind, &entry);
        self.write_inventory();
        Ok(entry)
    }

    /// The mutes in force.
    pub(super) fn list_mutes(&self) -> Vec<MuteEntry> {
        let inventory = lock(&self.inventory);
        let ledger = &inventory.ledger;
        let entries = ledger.mutes.iter().map(|entry| MuteEntry {
            findings: ledger.open_of(&entry.detector, &entry.api),
            ..entry.clone()
        });
        entries.collect()
    }

    /// Puts a mute in force.
    pub(super) fn set_mute(&self, request: &MuteSet, caller: &Caller) -> Answer<MuteEntry> {
        let ttl = orders::ttl(request.ttl_seconds)?;
        let reason = orders::note(&request.reason)?;
        let MuteSet { detector, api, .. } = request;
        let Some(known) = Detector::ALL.into_iter().find(|known| known.name() == detector) else {
            let error = ApiError::invalid(format!("there is no detector `{detector}`"));
            let names: Vec<_> = Detector::ALL.iter().map(|known| known.name()).collect();
            return Err(error.hint(format!("detectors are: {}", names.join(", "))));
        };
        if known == Detector::Enforcement {
            let message = "enforcement cannot be muted: it says that the filter does not hold";
            return Err(ApiError::refused(message));
        }
        let declared = self.gate().now.policy.api(api).is_some() || api == UNCLAIMED;
        let who = who(caller);
        let now = unix_now();
        let entry = MuteEntry {
            detector: detector.clone(),
            api: api.clone(),
            since: now,
            until: ttl.map(|ttl| now.saturating_add(ttl.as_secs_f64().ceil() as u64)),
            by: who.clone(),
            reason,
            findings: 0,
        };
        {
            let mut inventory = lock(&self.inventory);
            if !declared && inventory.catalog.get(api).is_none() {
                return Err(ApiError::not_found(format!("there is no API `{api}`")).hint(
                    "`weir apis` lists them; a port that nobody declared is called tcp/9000",
                ));
            }
            if !inventory.ledger.mutes.set(entry.clone()) {
                let told = format!("{MOST_MUTES} mutes are in force: there is no room for more");
                return Err(ApiError::refused(told).hint("`weir findings unmute` ends one"));
            }
        }
        let until = match ttl {
            Some(ttl) => format!("for {} s", ttl.as_secs_f64().ceil()),
            None => "until it is lifted".to_owned(),
        };
        let because = match entry.reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        let message = format!("{detector} at {api} is muted {until}{because}");
        let fields = [
            ("detector", detector.clone().into()),
            ("api", api.clone().into()),
            ("ttl_seconds", request.ttl_seconds.into()),
            ("reason", orders::given(&entry.reason).into()),
        ];
        self.mutes_changed(Kind::FindingMuted, &entry, message, who, fields)?;
        let list = self.list_mutes();
        let made = list.into_iter().find(|made| made.detector == *detector && made.api == *api);
        Ok(made.unwrap_or(entry))
    }

    /// Ends a mute.
    pub(super) fn lift_mute(&self, request: &MuteLift, caller: &Caller) -> Answer<MuteEntry> {
        let MuteLift { detector, api } = request;
        let lifted = lock(&self.inventory).ledger.mutes.lift(detector, api);
        let entry = lifted.ok_or_else(|| {
            ApiError::not_found(format!("{detector} at {api} is not muted"))
                .hint("`weir findings mutes` lists what is")
        })?;
        let message = format!("{detector} at {api} is no longer muted");
        let fields = [
            ("detector", detector.clone().into()),
            ("api", api.clone().into()),
            ("over", false.into()),
            ("reason", None::<String>.into()),
        ];
        self.mutes_changed(Kind::FindingUnmuted, &entry, message, who(caller), fields)?;
        Ok(entry)
    }

    /// What is due of mutes every second: some are over.
    pub(super) fn look_after_mutes(&self) {
        let over = lock(&self.inventory).ledger.mutes.expire(unix_now());
        for entry in over {
            let MuteEntry { detector, api, .. } = &entry;
            let message = format!("{detector} at {api} is no longer muted: its time is over");
            let fields = [
                ("detector", detector.clone().into()),
                ("api", api.clone().into()),
                ("over", true.into()),
                ("reason", None::<String>.into()),
            ];
            let kept = self.mutes_changed(Kind::FindingUnmuted, &entry, message, own(), fields);
            if let Err(error) = kept {
                tracing::error!("{error}");
            }
        }
    }

    /// Tells of a mute that began or ended, and of the findings it is about; writes it.
    fn mutes_changed(
        &self,
        kind: Kind,
        entry: &MuteEntry,
        message: String,
        by: Who,
        fields: [(&str, serde_json::Value); 4],
    ) -> Answer<()> {
        let (rows, changed) = {
            let mut inventory = lock(&self.inventory);
            (inventory.ledger.mutes.rows(), inventory.ledger.mute_again())
        };
        let kept = self.gate().keeper.with(|store| store.keep_mutes(&rows));
        self.audit_act(if kind == Kind::FindingMuted { "mute" } else { "unmute" }, by, fields);
        let api = Some(ApiField::find(&self.gate().now.policy, &entry.api));
        self.tell(&Event { api, ..Event::new(kind, unix_ns(), message) });
        for found in &changed {
            self.metrics.mute(&found.id, found.muted);
            self.tell_said(Kind::FindingUpdated, found);
        }
        orders::written(kept)
    }

    /// Tells of a finding as it is remembered.
    fn tell_said(&self, kind: Kind, entry: &FindingEntry) {
        let find = || ApiField::find(&self.gate().now.policy, &entry.api);
        let api = (!entry.api.is_empty()).then(find);
        if let Some(event) = Event::of_entry(kind, entry, api, unix_ns()) {
            self.tell(&event);
        }
    }
}
