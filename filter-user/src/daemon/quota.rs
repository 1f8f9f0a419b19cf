//! Quotas of requests at work: who may send how many, and what follows when it is more.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::control::api::ActionEntry;
use crate::control::ssh::own;
use crate::detect::Source;
use crate::export::events::{ActionField, ApiField, Event, Kind, SourceField};
use crate::kernel::clock;
use crate::policy::{Addresses, Api, Policy, SourceLengths};
use crate::respond::{Consumer, Exceeded, Quota, Quotas, Refusal, Used};
use crate::sensor::transaction::Transaction;
use crate::store::{QuotaRow, Store};
use crate::text::quantity::Rate;

use super::core::{Core, lock, unix_ns};
use super::gate::unix_now;

/// What a policy says of quotas, quick to ask.
#[derive(Debug, Default)]
pub(super) struct Rules {
    apis: HashMap<u32, Rule>,
    trusted: Option<Addresses>,
}

#[derive(Debug)]
struct Rule {
    lengths: SourceLengths,
    /// Groups in their order; the first that holds a source counts. `None`: no quota.
    groups: Vec<(Addresses, Option<Quota>)>,
    others: Option<Quota>,
}

fn quota(rate: Rate) -> Quota {
    Quota { amount: rate.amount, window: rate.period.as_secs().max(1) }
}

impl Rule {
    /// Of an API that has any quota.
    fn of(policy: &Policy, api: &Api) -> Option<Self> {
        let others = api.limit.as_ref().and_then(|limit| limit.rates.requests).map(quota);
        let groups: Vec<_> = api
            .limit_for
            .iter()
            .filter_map(|limit| {
                let group = policy.group(limit.group)?;
                let addresses = Addresses::of(std::iter::once(&group.prefixes));
                Some((addresses, limit.limit.rates.requests.map(quota)))
            })
            .collect();
        let any = others.is_some() || groups.iter().any(|(_, quota)| quota.is_some());
        any.then_some(Self { lengths: api.source, groups, others })
    }

    fn quota(&self, client: IpAddr) -> Option<Quota> {
        let group = self.groups.iter().find(|(addresses, _)| addresses.contains(client));
        group.map_or(self.others, |(_, quota)| *quota)
    }
}

impl Rules {
    /// Those of a policy whose APIs have these stable ids.
    pub(super) fn of<'a>(policy: &Policy, apis: impl Iterator<Item = (u32, &'a Api)>) -> Self {
        let apis: HashMap<u32, Rule> =
            apis.filter_map(|(id, api)| Some((id, Rule::of(policy, api)?))).collect();
        let trusted =
            (!apis.is_empty()).then(|| Addresses::of(std::iter::once(&policy.trusted.prefixes)));
        Self { apis, trusted }
    }

    /// Whether an API has any.
    pub(super) fn has(&self, api: u32) -> bool {
        self.apis.contains_key(&api)
    }

    /// Who is to be counted, and against what. Trusted sources are not, nor requests that anyone could
    /// have forged, nor a proxy that does not say whom it speaks for.
    fn consumer(
        &self,
        transaction: &Transaction,
        client: IpAddr,
        proxies: Option<&Addresses>,
    ) -> Option<(Consumer, Quota, bool)> {
        let rule = self.apis.get(&transaction.api)?;
        let quota = rule.quota(client)?;
        if !transaction.handshake || self.trusted.as_ref().is_some_and(|all| all.contains(client)) {
            return None;
        }
        let peer = transaction.flow.client;
        let through = proxies.is_some_and(|proxies| proxies.contains(peer));
        let user = if through { transaction.credentials.identity() } else { None };
        if through && client == peer && user.is_none() {
            return None;
        }
        let source = Source::of(client, rule.lengths);
        Some((Consumer { api: transaction.api, source, user }, quota, through))
    }
}

/// What the store kept, for the APIs of these names.
pub(super) fn restore(
    store: &mut Store,
    find: impl Fn(&str) -> Option<u32>,
) -> crate::store::Result<Quotas> {
    let mut quotas = Quotas::default();
    for row in store.quotas()? {
        let source = row.source.split_once('/').map_or_else(
            || row.source.parse::<IpAddr>().ok().map(Source::from),
            |(address, length)| {
                let (address, length) = (address.parse().ok()?, length.parse().ok()?);
                Some(Source { address, length })
            },
        );
        if let (Some(api), Some(source)) = (find(&row.api), source) {
            quotas.restore(Used {
                consumer: Consumer { api, source, user: None },
                start: row.start,
                window: row.window,
                used: row.count,
            });
        }
    }
    Ok(quotas)
}

impl Core {
    /// Counts a request against the quota of its source, and acts when it is used up.
    pub(super) fn count_quota(
        &self,
        rules: &Rules,
        transaction: &Transaction,
        client: IpAddr,
        proxies: Option<&Addresses>,
        field: impl FnOnce() -> ApiField,
    ) {
        let Some((consumer, quota, through)) = rules.consumer(transaction, client, proxies) else {
            return;
        };
        let mut quotas = lock(&self.quotas);
        let exceeded = quotas.note(unix_now(), consumer, quota, transaction.weight);
        let Some(exceeded) = exceeded else { return };
        if lock(&self.actions).is_stopped() {
            // It is told, and acted upon, when they are taken again.
            return;
        }
        quotas.told(&consumer);
        drop(quotas);
        self.quota_exceeded(&consumer, quota, &exceeded, through, field());
    }

    fn quota_exceeded(
        &self,
        consumer: &Consumer,
        quota: Quota,
        exceeded: &Exceeded,
        through: bool,
        field: ApiField,
    ) {
        let Consumer { api, source, .. } = *consumer;
        let Exceeded { used, until, .. } = *exceeded;
        let per = match quota.window {
            60 => "minute",
            3_600 => "hour",
            _ => "day",
        };
        let reason =
            format!("quota: {used} requests within this {per}, {} are allowed", quota.amount);
        let left = until.saturating_sub(unix_now()).max(1);
        let done: Result<(), String> = if through {
            Err(Refusal::BehindProxy.to_string())
        } else {
            let end = clock::boot_ns().saturating_add(left.saturating_mul(1_000_000_000));
            let mut gate = self.gate();
            let key = (source.address, source.length, Some(api));
            let known = gate
                .state
                .bans
                .list()
                .into_iter()
                .any(|ban| (ban.network, ban.prefix, ban.api) == key && !ban.automatic);
            if known {
                Err("an operator has banned it already, and that stays".to_owned())
            } else {
                match gate.state.bans.add(source.address, source.length, Some(api), Some(end), true)
                {
                    Ok(entry) => {
                        gate.reasons.insert(key, reason.clone());
                        drop(gate);
                        let field = Some(field.clone());
                        self.tell_ban(Kind::BanAdded, &entry, field, &reason, "quota");
                        Ok(())
                    }
                    Err(error) => Err(error.to_string()),
                }
            }
        };
        let outcome = match &done {
            Ok(()) => "done",
            Err(_) if through => "refused",
            Err(_) => "failed",
        };
        self.metrics.decided("quota", outcome);
        let entry = ActionEntry {
            time: unix_now(),
            state: outcome.to_owned(),
            kind: "quota".to_owned(),
            api: field.name.to_string(),
            source: Some(source.to_string()),
            argument: Some(format!("{}/{per}", quota.amount)),
            ttl_seconds: left as f64,
            why: reason.clone(),
            refusal: done.clone().err(),
            ..ActionEntry::default()
        };
        let id = lock(&self.actions).add(entry);
        if !through {
            let fields = [
                ("id", id.into()),
                ("action", "quota".into()),
                ("outcome", outcome.into()),
                ("api", field.name.to_string().into()),
                ("source", source.to_string().into()),
                ("used", used.into()),
                ("ttl_seconds", left.into()),
                ("error", done.clone().err().into()),
            ];
            self.audit_act("automatic", own(), fields);
        }
        let action = ActionField {
            id: Some(id),
            kind: "quota",
            outcome,
            ttl_seconds: Some(left as f64),
            refusal: through.then(|| Refusal::BehindProxy.name()),
            by: Some("policy"),
            reason: reason.clone(),
            ..ActionField::default()
        };
        let (kind, how) = match &done {
            Ok(()) => (Kind::QuotaExceeded, String::new()),
            Err(why) if through => (Kind::HandOff, format!(": {why}")),
            Err(why) => (Kind::QuotaExceeded, format!(", and it is not banned: {why}")),
        };
        let message = format!("{source} at {}: {reason}{how}", field.name);
        self.tell(&Event {
            api: Some(field),
            source: Some(SourceField::from(source)),
            action: Some(action),
            ..Event::new(kind, unix_ns(), message)
        });
    }

    /// What changed of quotas, for the store.
    pub(super) fn changed_quotas(&self) -> Vec<QuotaRow> {
        let changed = lock(&self.quotas).take_changes();
        if changed.is_empty() {
            return Vec::new();
        }
        let gate = self.gate();
        let row = |used: Used| {
            Some(QuotaRow {
                api: gate.state.ids_ref().api_name(used.consumer.api)?.to_owned(),
                source: used.consumer.source.to_string(),
                window: used.window,
                start: used.start,
                count: used.used,
            })
        };
        changed.into_iter().filter_map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_counted_against_what() {
        let text = r#"
            [trusted]
            cidrs = ["198.51.100.9"]
            [groups.partners]
            cidrs = ["198.51.100.0/28"]
            [groups.free]
            cidrs = ["198.51.100.16/28"]
            [groups.front]
            cidrs = ["203.0.113.1"]
            [[api]]
            name = "orders"
            listen = ["tcp/80"]
            allow = "any"
            proxies = ["front"]
            limit = { requests = "100/day" }
            limit_for.partners = { requests = "1000/h" }
            limit_for.free = { packets = "1000/s" }
            [[api]]
            name = "other"
            listen = ["tcp/81"]
            allow = "any"
            limit = { packets = "1000/s" }
        "#;
        let loaded = crate::policy::parse(text, std::path::Path::new("."), "p.toml");
        let policy = loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let rules = Rules::of(&policy, (1..).zip(&policy.apis));
        assert!(rules.has(1) && !rules.has(2));
        let proxies = policy.proxies_of(&policy.apis[0]);
        let mut secrets = Transaction::example();
        secrets.credentials = crate::sensor::transaction::Credentials::example();
        // Peer, client, with a credential, a handshake; the quota, and whether it is a proxy's.
        let rows = [
            ("192.0.2.1", "192.0.2.1", false, true, Some((100, 86_400, false))),
            ("192.0.2.1", "192.0.2.1", false, false, None),
            ("198.51.100.1", "198.51.100.1", true, true, Some((1_000, 3_600, false))),
            ("198.51.100.9", "198.51.100.9", true, true, None),
            ("198.51.100.17", "198.51.100.17", false, true, None),
            ("203.0.113.1", "192.0.2.7", false, true, Some((100, 86_400, true))),
            ("203.0.113.1", "203.0.113.1", false, true, None),
            ("203.0.113.1", "203.0.113.1", true, true, Some((100, 86_400, true))),
        ];
        for (peer, client, secret, handshake, expected) in rows {
            let mut transaction = if secret { secrets.clone() } else { Transaction::example() };
            transaction.flow.client = peer.parse().expect("an address");
            transaction.handshake = handshake;
            let client = client.parse().expect("an address");
            let found = rules.consumer(&transaction, client, proxies.as_ref());
            let found = found.map(|(consumer, quota, through)| {
                assert_eq!(consumer.user.is_some(), through && secret, "{peer} {client}");
                (quota.amount, quota.window, through)
            });
            assert_eq!(found, expected, "{peer} {client} {secret} {handshake}");
        }
    }
}
