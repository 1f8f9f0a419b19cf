//! Posture reports: gathering what they are made of, keeping them in the state directory, and making
//! one when it is due. What a report says is [`crate::assess`]'s.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::assess::facts::{DrillFact, Terms};
use crate::assess::{ApiFacts, Facts, Format, LARGEST, Level, LimitFact, Report};
use crate::control::api::{Answer, ApiEntry, ApiError, Assessed, FindingQuery, Mode, Sources};
use crate::control::ssh::own;
use crate::export::events::{Event, Kind};
use crate::policy::diff::{settings_of, sources_of, trusted_of};
use crate::policy::{Allow, Api, Policy, Rates, Response};
use crate::store::{Store, Who};
use crate::text::quantity::Measure;

use super::core::{Core, lock, unix_ns};
use super::gate::unix_now;
use super::trouble;

/// Reports that are kept, each in every format; the oldest go.
const KEPT: usize = 100;
/// Findings of a report at most.
const FINDINGS: usize = 10_000;
/// How far the clock may have been ahead, seconds.
const SKEW: u64 = 86_400;
/// Between two looks at whether a report is due.
const LOOK: Duration = Duration::from_secs(1);
/// After a report could not be written, before it is tried again.
const RETRY: Duration = Duration::from_secs(600);

fn directory(state: &Path) -> PathBuf {
    state.join("assess")
}

/// The reports that are kept, as their JSON, the oldest first: their names sort by date.
fn kept(state: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory(state)) else { return Vec::new() };
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("posture-") && name.ends_with(".json")
    };
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(named).collect();
    paths.sort();
    paths
}

/// The last report that can be read. One of another version is none, and neither is one of the future:
/// a clock that was wrong once must not end the schedule.
fn newest(state: &Path) -> Option<Report> {
    let latest = unix_now() + SKEW;
    kept(state).iter().rev().find_map(|path| {
        let text = crate::text::read_regular(path, LARGEST).map_err(
            |error| tracing::warn!(path = %path.display(), ?error, "a report cannot be read"),
        );
        let report = serde_json::from_slice::<Report>(&text.ok()?)
            .map_err(|error| tracing::warn!(path = %path.display(), %error, "it is no report"));
        let is_usable =
            |report: &Report| report.report == crate::assess::REPORT && report.facts.time <= latest;
        report.ok().filter(is_usable)
    })
}

/// When the last one was made, seconds since 1970; 0: there is none.
pub(super) fn last(state: &Path) -> u64 {
    newest(state).map_or(0, |report| report.facts.time)
}

/// Starts the thread that makes a report when one is due.
pub(super) fn start(core: Arc<Core>) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("weir-assess".to_owned())
        .spawn(move || {
            let mut not_before = Instant::now();
            loop {
                if Instant::now() >= not_before && core.report_is_due() {
                    not_before = Instant::now() + RETRY;
                    match core.keep_report(own()) {
                        Ok(_) => not_before = Instant::now(),
                        Err(error) => tracing::error!(%error, "no posture report was made"),
                    }
                }
                if core.pause(LOOK) {
                    break;
                }
            }
        })
        .context("cannot start the schedule of reports")
}

impl Core {
    fn report_is_due(&self) -> bool {
        if !self.is_ready() {
            return false;
        }
        let every = self.try_gate().and_then(|gate| gate.now.policy.assess.every);
        let Some(every) = every else { return false };
        let last = self.assessed.load(Ordering::Relaxed);
        unix_now().saturating_sub(last) >= every.as_secs()
    }

    /// All that a report is made of.
    pub(super) fn gather_facts(&self) -> Answer<Facts> {
        let status = super::status::take(self).map_err(trouble::kernel)?;
        let seen = self.list_apis();
        let playbooks = self.list_playbooks();
        let query = FindingQuery { limit: FINDINGS, ..FindingQuery::default() };
        let findings = self.list_findings(&query);
        let mut gate = self.gate();
        let drills = gate.keeper.with(|store| store.drills()).unwrap_or_default();
        let policy = Arc::clone(&gate.now.policy);
        drop(gate);
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let transactions =
            Store::open(&self.config.state_dir).ok().and_then(|store| store.oldest_exchange().ok());
        let mut orders: BTreeMap<_, _> =
            status.apis.into_iter().map(|api| (api.name, (api.mode, api.orders))).collect();
        let apis = seen.into_iter().map(|seen| {
            let (mode, orders) = orders.remove(&seen.name).unwrap_or((Mode::Enforce, Vec::new()));
            let mode = if mode == Mode::Monitor { "monitor" } else { "enforce" };
            let mode = mode.to_owned();
            match policy.api(&seen.name) {
                Some(api) => ApiFacts { mode, orders, ..of_policy(&policy, api, seen) },
                None => ApiFacts { seen, ..ApiFacts::default() },
            }
        });
        let apis = apis.collect();
        Ok(Facts {
            time: unix_now(),
            host: host.trim().to_owned(),
            instance: status.daemon.instance,
            weir: status.daemon.version,
            uptime_seconds: status.daemon.uptime_seconds,
            policy: status.policy,
            settings: settings_of(&policy, None),
            trusted: trusted_of(&policy),
            interfaces: status.interfaces,
            apis,
            findings,
            feeds: status.feeds,
            playbooks,
            drills: drills
                .into_iter()
                .filter(|drill| policy.playbook(&drill.name).is_none())
                .map(|drill| {
                    let body = serde_json::from_str::<serde_json::Value>(&drill.body);
                    let passed = body.is_ok_and(|body| body["passed"] == true);
                    (drill.name, DrillFact { time: drill.time, passed })
                })
                .collect(),
            samples: status.samples,
            transactions_since: transactions.flatten().map(|time| time / 1_000),
            receivers: status.sinks.len() as u64,
            actions_stopped: status.actions.stopped.is_some(),
            terms: Terms {
                every_seconds: policy.assess.every.map(|every| every.as_secs()),
                drill_seconds: policy.assess.drill_within.as_secs(),
                finding_seconds: policy.assess.finding_within.as_secs(),
            },
            previous: newest(&self.config.state_dir).map(Box::new),
        })
    }

    /// Makes a report and keeps it in every format.
    pub(super) fn keep_report(&self, who: Who) -> Answer<Assessed> {
        // One at a time: each is held against the one before.
        let _alone = lock(&self.reporting);
        let mut facts = self.gather_facts()?;
        let before = facts.previous.as_ref().map_or(0, |report| report.facts.time);
        if facts.time <= before {
            // Two reports in one second would have one name, and the clock may have been set back.
            facts.time = before + 1;
        }
        let report = Report::of(facts.clone());
        let files = self.write_report(&report)?;
        self.assessed.store(report.facts.time, Ordering::Relaxed);
        let open = Level::WORST_FIRST
            .map(|level| format!("{} {}", report.count(level), level.name()))
            .join(", ");
        let text = format!("posture report of {} APIs: open points: {open}", report.apis.len());
        self.tell(&Event::new(Kind::Assessed, unix_ns(), text));
        self.audit_act("assess", who, [("files", files.clone().into())]);
        Ok(Assessed { facts, files })
    }

    fn write_report(&self, report: &Report) -> Answer<Vec<String>> {
        let directory = directory(&self.config.state_dir);
        let name = report.file_name();
        let mut files = Vec::new();
        // JSON is what the next report is held against: it comes last, when the others are there.
        for format in Format::ALL {
            let path = directory.join(format!("{name}.{}", format.ending()));
            std::fs::create_dir_all(&directory)
                .and_then(|()| replace(&path, report.write(format).as_bytes()))
                .map_err(|error| {
                    ApiError::internal(format!("cannot write {}: {error}", path.display()))
                        .hint("make room in the state directory; without --keep and --output nothing is kept")
                })?;
            files.push(path.display().to_string());
        }
        let kept = kept(&self.config.state_dir);
        for old in kept.iter().take(kept.len().saturating_sub(KEPT)) {
            for format in Format::ALL {
                let path = old.with_extension(format.ending());
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        tracing::warn!(path = %path.display(), %error, "an old report stays");
                    }
                    _ => {}
                }
            }
        }
        Ok(files)
    }
}

/// Writes a file that is whole or not there. Who may reach what is nobody else's business.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let new = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// What the policy says of an API; mode and orders are those of now.
fn of_policy(policy: &Policy, api: &Api, seen: ApiEntry) -> ApiFacts {
    let names = |groups: &[crate::policy::Sited<crate::policy::GroupIndex>]| {
        let groups = groups.iter().filter_map(|group| policy.group(group.value));
        groups.map(|group| group.name.clone()).collect::<Vec<_>>()
    };
    let settings = settings_of(policy, Some(api));
    let (any, allow) = match &api.allow {
        Allow::Any(_) => (true, Vec::new()),
        Allow::Groups(groups) => (false, names(groups)),
    };
    let mut limits = Vec::new();
    let mut add = |of: String, rates: &Rates| {
        for measure in [Measure::Packets, Measure::Bytes, Measure::Connections, Measure::Requests] {
            limits.extend(rates.rate(measure).map(|rate| LimitFact {
                of: of.clone(),
                measure: measure.key().to_owned(),
                rate: rate.display(measure).to_string(),
            }));
        }
    };
    if let Some(limit) = &api.limit {
        add("source".to_owned(), &limit.rates);
    }
    for limit in &api.limit_for {
        let name = policy.group(limit.group).map_or("", |group| group.name.as_str());
        add(format!("group {name}"), &limit.limit.rates);
    }
    if let Some(limit) = &api.limit_total {
        add("all".to_owned(), &limit.rates);
    }
    let answers = api
        .respond
        .answers
        .iter()
        .filter(|(_, answer)| answer.response != Response::Alert)
        .filter_map(|(detector, _)| {
            let shown = settings.get(&format!("respond.{}", detector.name()))?;
            Some((detector.name().to_owned(), shown.clone()))
        });
    let sources =
        if any && api.deny.is_empty() { Sources::default() } else { sources_of(policy, api) };
    ApiFacts {
        kind: settings.get("kind").cloned().unwrap_or_default(),
        any,
        allow,
        deny: names(&api.deny),
        sources,
        limits,
        login: api
            .login
            .iter()
            .flat_map(|login| login.routes.iter().map(|r| format!("{} {}", r.method, r.path)))
            .collect(),
        answers: answers.collect(),
        respond_mode: api.respond.mode.unwrap_or(policy.responses.mode).name().to_owned(),
        settings,
        seen,
        ..ApiFacts::default()
    }
}
