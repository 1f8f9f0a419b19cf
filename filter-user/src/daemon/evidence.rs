//! Evidence: what is kept of a source or an API in a span of time, put together and sealed.

mod reached;

use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::path::Path;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::control::api::{
    ActionQuery, Answer, ApiError, Caller, Completeness, Evidence, EvidenceHead, EvidenceQuery,
    FindingQuery,
};
use crate::control::ssh::who;
use crate::policy::Cidr;
use crate::store::{Exchange, Store};

use super::core::{Core, lock};
use super::gate::unix_now;
use super::trouble;
use reached::Tallies;

/// Requests that are listed one by one.
const LISTED: usize = 2_000;
/// Lines of the audit log, and events, that are looked through and told.
const LINES: usize = 100_000;
const TOLD: usize = 5_000;
/// Rotated event files that are looked through, beside the newest.
const FILES: u32 = 5;
/// Events about nobody that say whether weir saw.
const OF_WEIR: [&str; 6] = [
    "daemon_started",
    "daemon_stopped",
    "telemetry_gap",
    "sampling_reduced",
    "sampling_restored",
    "store_failed",
];

/// Who or what evidence is about.
enum Subject {
    Source(Cidr),
    Api(String),
}

impl Subject {
    fn of(query: &EvidenceQuery) -> Answer<Self> {
        match (&query.source, &query.api) {
            (Some(source), None) => Cidr::parse(source.as_bytes())
                .map(Self::Source)
                .map_err(|error| trouble::invalid(error.explain(source))),
            (None, Some(api)) => Ok(Self::Api(api.clone())),
            _ => Err(ApiError::invalid("evidence is about a source or about an API")
                .hint("give one of `source` and `api`")),
        }
    }

    fn has(&self, exchange: &Exchange) -> bool {
        match self {
            Self::Source(cidr) => cidr.contains(exchange.source),
            Self::Api(api) => *exchange.api == **api,
        }
    }

    /// Whether something that names a source, or an API, is about it. A source's network is.
    fn is_about(&self, source: Option<&str>, api: Option<&str>) -> bool {
        match self {
            Self::Source(cidr) => source.is_some_and(|text| overlaps(*cidr, text)),
            Self::Api(name) => api == Some(name),
        }
    }
}

/// Whether a prefix and the prefix or address of a text have an address in common.
fn overlaps(cidr: Cidr, text: &str) -> bool {
    let Ok(other) = Cidr::parse(text.as_bytes()) else { return false };
    let first = |cidr: Cidr| -> IpAddr {
        match cidr {
            Cidr::V4(bits, _) => std::net::Ipv4Addr::from(bits).into(),
            Cidr::V6(bits, _) => std::net::Ipv6Addr::from(bits).into(),
        }
    };
    cidr.contains(first(other)) || other.contains(first(cidr))
}

/// Seconds since 1970 of an RFC 3339 text.
fn seconds(text: &str) -> Option<u64> {
    u64::try_from(OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp()).ok()
}

fn date(seconds: u64) -> String {
    let date =
        i64::try_from(seconds).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_default()
}

/// The events of a span that a subject, or weir's own sight, is in; the newest at most.
fn events(path: &Path, since: u64, until: u64, subject: &Subject) -> Vec<Value> {
    let mut found = std::collections::VecDeque::new();
    let older = (1..=FILES).rev().map(|number| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    });
    let paths: Vec<std::path::PathBuf> = older.chain([path.to_owned()]).collect();
    for path in paths {
        let Ok(file) = std::fs::File::open(&path) else { continue };
        for line in BufReader::new(file).lines() {
            // The rest of a file that cannot be read is not there.
            let Ok(line) = line else { break };
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            let at = event["time"].as_str().and_then(seconds).unwrap_or_default();
            let source =
                event["source"]["ip"].as_str().map(|ip| match event["source"]["prefix"].as_u64() {
                    Some(length) => format!("{ip}/{length}"),
                    None => ip.to_owned(),
                });
            let wanted = subject.is_about(source.as_deref(), event["api"]["name"].as_str())
                || OF_WEIR.iter().any(|name| event["event"] == *name);
            if (since..=until).contains(&at) && wanted {
                found.push_back(event);
                if found.len() > TOLD {
                    found.pop_front();
                }
            }
        }
    }
    found.into()
}

fn is_of_weir(event: &Value) -> bool {
    OF_WEIR.iter().any(|name| event["event"] == *name)
}

impl Core {
    /// Puts evidence together.
    pub(super) fn take_evidence(&self, query: &EvidenceQuery, caller: &Caller) -> Answer<Evidence> {
        let subject = Subject::of(query)?;
        let now = unix_now();
        let (since, until) = (query.since, query.until.unwrap_or(now).min(now));
        if since >= until {
            return Err(ApiError::invalid("the span of the evidence ends before it begins"));
        }
        let who = who(caller);
        // What was seen a moment ago is to be in it.
        self.write_inventory();
        let store = Store::open(&self.config.state_dir).map_err(|error| {
            ApiError::internal(error.to_string()).hint("`weir status` says what is wrong with it")
        })?;
        let mut tallies = Tallies::default();
        let mut listed = std::collections::VecDeque::new();
        let api = match &subject {
            Subject::Api(api) => Some(api.as_str()),
            Subject::Source(_) => None,
        };
        let (since_ms, until_ms) = (since.saturating_mul(1_000), until.saturating_mul(1_000) + 999);
        store
            .each_exchange(since_ms, until_ms, api, |exchange| {
                if subject.has(&exchange) {
                    tallies.add(&exchange);
                    listed.push_back(exchange);
                    if listed.len() > LISTED {
                        listed.pop_front();
                    }
                }
            })
            .map_err(|error| ApiError::internal(error.to_string()))?;
        let oldest_ms = store.oldest_exchange().ok().flatten();
        let reached = tallies.told();
        let findings = self.list_findings(&FindingQuery {
            all: true,
            limit: LINES,
            ..FindingQuery::default()
        });
        let findings: Vec<_> = findings
            .into_iter()
            .filter(|found| found.opened <= until && found.closed.unwrap_or(until) >= since)
            .filter(|found| subject.is_about(found.source.as_deref(), Some(&found.api)))
            .collect();
        let actions = lock(&self.actions).list(&ActionQuery { all: true, limit: LINES });
        let actions: Vec<_> = actions
            .into_iter()
            .filter(|action| (since..=until).contains(&action.time))
            .filter(|action| subject.is_about(action.source.as_deref(), Some(&action.api)))
            .collect();
        let events = events(&self.config.events_path(), since, until, &subject);
        let (bans, orders) = self.standing_of(&subject);
        let audit = self.audit_of(&subject, since, until)?;
        let known = reached.total.kept > 0
            || !findings.is_empty()
            || !actions.is_empty()
            || !bans.is_empty()
            || !orders.is_null()
            || !audit.is_empty()
            || events.iter().any(|event| !is_of_weir(event));
        let named = query.source.as_deref().or(query.api.as_deref()).unwrap_or_default();
        if !known {
            let span = format!("{} to {}", date(since), date(until));
            return Err(ApiError::not_found(format!("nothing is known of {named} from {span}"))
                .hint(match oldest_ms {
                    Some(oldest) => format!("requests are kept from {} on", date(oldest / 1_000)),
                    None => "no requests are kept at all".to_owned(),
                }));
        }
        let report = lock(&self.report).clone();
        let completeness = Completeness {
            sample_share: report.share,
            telemetry: report.completeness,
            oldest_ms,
            covers_span: oldest_ms.is_some_and(|oldest| oldest <= since_ms),
            lost_records: events.iter().filter_map(|event| event["loss"]["records"].as_u64()).sum(),
            daemon: events
                .iter()
                .filter(|event| {
                    event["event"] == "daemon_started" || event["event"] == "daemon_stopped"
                })
                .map(|event| {
                    let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
                    format!("{} {}", text("time"), text("event"))
                })
                .collect(),
            most_weight: tallies.most_weight,
        };
        let not_known = self.not_known(&subject, &reached, &completeness, since);
        let fields = [
            ("subject", named.to_owned().into()),
            ("since", since.into()),
            ("until", until.into()),
            ("requests", reached.total.kept.into()),
        ];
        self.audit_act("evidence", who.clone(), fields);
        let last = lock(&self.auditor).log.last(1).ok().and_then(|mut last| last.pop());
        let (audit_number, audit_hash) =
            last.map_or_else(Default::default, |entry| (entry.number, entry.hash));
        let head = EvidenceHead {
            source: query.source.clone(),
            api: query.api.clone(),
            since,
            until,
            taken: now,
            by: who,
            weir: env!("CARGO_PKG_VERSION").to_owned(),
            policy: self.gate().now.hash.clone(),
            audit_number,
            audit_hash,
        };
        let requests: Vec<Value> = listed.iter().map(request).collect();
        let sections = [
            ("reached", serde_json::to_value(&reached)),
            ("findings", serde_json::to_value(&findings)),
            ("actions", serde_json::to_value(&actions)),
            ("bans", serde_json::to_value(&bans)),
            ("orders", Ok(orders)),
            ("audit", serde_json::to_value(&audit)),
            ("events", serde_json::to_value(&events)),
            ("completeness", serde_json::to_value(&completeness)),
            ("not_known", serde_json::to_value(&not_known)),
            ("requests", serde_json::to_value(&requests)),
        ];
        let failed =
            |error: serde_json::Error| ApiError::internal(format!("it cannot be written: {error}"));
        let mut named = Vec::new();
        for (name, value) in sections {
            named.push((name, value.map_err(failed)?));
        }
        Evidence::seal(&head, named).map_err(failed)
    }

    /// Bans and orders that stand now.
    fn standing_of(&self, subject: &Subject) -> (Vec<Value>, Value) {
        use crate::control::api::Daemon as _;
        let bans = self.bans().unwrap_or_default();
        let about = |ban: &crate::control::api::Ban| match subject {
            Subject::Source(_) => subject.is_about(Some(&ban.prefix), None),
            Subject::Api(name) => ban.api.as_ref() == Some(name),
        };
        let bans = bans.into_iter().filter(about).filter_map(|ban| serde_json::to_value(ban).ok());
        let orders = match subject {
            Subject::Source(_) => Value::Null,
            Subject::Api(name) => {
                let all = self.orders().unwrap_or_default();
                all.into_iter()
                    .find(|orders| orders.api == *name)
                    .and_then(|orders| serde_json::to_value(orders).ok())
                    .unwrap_or(Value::Null)
            }
        };
        (bans.collect(), orders)
    }

    /// Lines of the audit log of a span that name the subject.
    fn audit_of(&self, subject: &Subject, since: u64, until: u64) -> Answer<Vec<Value>> {
        let auditor = lock(&self.auditor);
        let lines = auditor.log.last(LINES).map_err(|error| {
            let path = auditor.log.path().display();
            ApiError::internal(format!("cannot read {path}: {error}"))
        })?;
        drop(auditor);
        let wanted = |entry: &crate::export::audit::Entry| {
            let text = |name: &str| entry.about.get(name).and_then(Value::as_str);
            entry.what != "evidence"
                && seconds(&entry.time).is_some_and(|at| (since..=until).contains(&at))
                && subject.is_about(text("source").or(text("prefix")), text("api"))
        };
        let lines = lines.iter().filter(|entry| wanted(entry)).take(TOLD);
        Ok(lines.filter_map(|entry| serde_json::to_value(entry).ok()).collect())
    }

    /// What evidence leaves open, in sentences.
    fn not_known(
        &self,
        subject: &Subject,
        reached: &crate::control::api::Reached,
        completeness: &Completeness,
        since: u64,
    ) -> Vec<String> {
        let mut open = Vec::new();
        let store = &self.config.store;
        if store.transactions == 0 {
            open.push("no requests are kept (`store.transactions` is 0)".to_owned());
        } else if !completeness.covers_span {
            let from = completeness.oldest_ms.map_or_else(
                || "none is kept at all".to_owned(),
                |oldest| format!("the oldest that is kept is of {}", date(oldest / 1_000)),
            );
            open.push(format!(
                "requests from {} on: {from}; {} s and {} bytes of them are kept at most",
                date(since),
                store.retention.as_secs(),
                store.transactions
            ));
        }
        open.push(
            "of each API at most 250 requests of every five seconds are kept, chosen at random: \
             numbers beyond those kept are estimates, and who asked rarely of a busy API may be \
             missing"
                .to_owned(),
        );
        if completeness.sample_share < 1.0 {
            let share = completeness.sample_share * 100.0;
            open.push(format!("only {share} % of flows are sampled now"));
        }
        if completeness.lost_records > 0 {
            let lost = completeness.lost_records;
            open.push(format!("{lost} records were lost in the span"));
        }
        let unknown = reached.total.sizes_unknown;
        if unknown > 0 {
            open.push(format!("how much went out in {unknown} of the requests kept"));
        }
        let forged = reached.total.kept.saturating_sub(reached.handshakes);
        if forged > 0 {
            open.push(format!("whether the source of {forged} of the requests kept is real"));
        }
        open.push(
            "what was inside TLS or QUIC, and packets that were refused: they are no requests"
                .to_owned(),
        );
        open.push("queries, bodies and the values of credentials: they are never kept".to_owned());
        if matches!(subject, Subject::Source(_)) {
            open.push(
                "who used the address; a client behind a proxy is who the proxy says it is"
                    .to_owned(),
            );
        }
        open
    }
}

/// A stored transaction, as it is listed.
fn request(exchange: &Exchange) -> Value {
    use crate::sensor::transaction::Credential;
    let kinds = Credential::ALL.into_iter().filter(|kind| exchange.facts & 1 << *kind as u16 != 0);
    json!({
        "time_ms": exchange.time,
        "api": &*exchange.api,
        "source": exchange.source.to_string(),
        "method": exchange.method,
        "route": &*exchange.route,
        "status": exchange.status,
        "request_bytes": exchange.request_bytes,
        "response_bytes": exchange.response_bytes,
        "credentials": kinds.map(Credential::name).collect::<Vec<_>>(),
        "handshake": exchange.facts & crate::store::HANDSHAKE != 0,
        "complete": exchange.facts & crate::store::COMPLETE != 0,
        "stands_for_65536ths": exchange.weight,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_a_subject() {
        let source = |text: &str| Subject::Source(Cidr::parse(text.as_bytes()).expect("a prefix"));
        let api = Subject::Api("orders".to_owned());
        let rows = [
            (source("192.0.2.1"), Some("192.0.2.1"), None, true),
            (source("192.0.2.1"), Some("192.0.2.2"), None, false),
            (source("192.0.2.1"), Some("192.0.2.0/24"), None, true),
            (source("192.0.2.0/24"), Some("192.0.2.9"), Some("orders"), true),
            (source("192.0.2.0/24"), None, Some("orders"), false),
            (source("2001:db8::/64"), Some("2001:db8::7"), None, true),
            (source("2001:db8::/64"), Some("192.0.2.1"), None, false),
            (source("192.0.2.1"), Some("nobody"), None, false),
            (api, Some("192.0.2.1"), Some("orders"), true),
            (Subject::Api("other".to_owned()), None, Some("orders"), false),
        ];
        for (subject, source, api, expected) in rows {
            assert_eq!(subject.is_about(source, api), expected, "{source:?} {api:?}");
        }
    }

    #[test]
    fn events_of_the_span_and_the_subject() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("events.jsonl");
        let line = |second: u64, name: &str, ip: &str| {
            format!(
                "{{\"time\":\"{}\",\"event\":\"{name}\",\"source\":{{\"ip\":\"{ip}\"}}}}\n",
                date(second)
            )
        };
        let older = line(5, "ban_added", "192.0.2.1") + &line(15, "ban_added", "192.0.2.1");
        std::fs::write(directory.path().join("events.jsonl.1"), older).expect("writes");
        let newer = line(16, "ban_added", "192.0.2.2")
            + "no JSON\n"
            + &line(17, "telemetry_gap", "")
            + &line(99, "ban_added", "192.0.2.1");
        std::fs::write(&path, newer).expect("writes");
        let subject = Subject::Source(Cidr::parse(b"192.0.2.1").expect("an address"));
        let found = events(&path, 10, 20, &subject);
        let names: Vec<_> = found.iter().filter_map(|event| event["event"].as_str()).collect();
        assert_eq!(names, ["ban_added", "telemetry_gap"]);
    }
}
