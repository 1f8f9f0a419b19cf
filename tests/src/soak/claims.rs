//! What has to hold at the end of a soak, each with what was measured.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::inbox::{self, Key};
use super::mishap::Scene;
use super::stage::COUNTED;
use super::usage::{self, Objects, Usage};
use super::{Plan, usage::median};
use crate::lab::Lab;
use crate::reading::Reading;
use crate::stream::Stream;
use crate::wait;
use crate::weir::Weir;

/// A receiver that comes back is tried again within a minute.
const DELIVERED: Duration = Duration::from_secs(90);
/// Shorter soaks say nothing about growth: what is kept of the traffic fills up first.
const JUDGED: Duration = Duration::from_secs(480);
/// What memory may be more by in the last quarter than in the second: a tenth, and so many KiB.
const SLACK: u64 = 8 * 1024;

/// Something that has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What.
    pub what: String,
    /// What was measured.
    pub measured: String,
    /// Whether it held.
    pub held: bool,
}

fn claim(what: &str, measured: impl Into<String>, held: bool) -> Claim {
    Claim { what: what.to_owned(), measured: measured.into(), held }
}

/// What a daemon had counted at a moment at which nothing moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ledger {
    attempted: u64,
    submitted: u64,
    dropped: u64,
    sampled_out: u64,
    received: u64,
    decode_errors: u64,
    /// Events told by this daemon.
    told: u64,
    /// Events that the sink `narrow` has delivered, dropped and still has.
    taken: u64,
}

impl Ledger {
    /// Waits until receivers have what they are to have and nothing moves.
    pub(crate) fn at_rest(scene: &mut Scene<'_, '_>) -> Result<Self> {
        let weir = &*scene.weir;
        wait::until("receivers have taken all", DELIVERED, || {
            let sinks = weir.status()?["sinks"].clone();
            let waits = |sink: &Value| sink["pending"] != 0 || sink["state"] == "failing";
            ensure!(!sinks.as_array().is_some_and(|sinks| sinks.iter().any(waits)), "{sinks}");
            Ok(())
        })?;
        let reading = wait::until("nothing moves", DELIVERED, || {
            let reading = Reading::at_rest(weir)?;
            let pending = reading.metrics.sum("weir_sink_pending", &[]);
            ensure!(pending == 0.0, "{pending} events wait");
            Ok(reading)
        })?;
        scene.inbox.collect()?;
        let narrow = |outcome| {
            let labels = [("sink", "narrow"), ("outcome", outcome)];
            reading.metrics.sum("weir_sink_events_total", &labels) as u64
        };
        Ok(Self {
            attempted: reading.samples("attempted")?,
            submitted: reading.samples("submitted")?,
            dropped: reading.samples("dropped")?,
            sampled_out: reading.samples("sampled_out")?,
            received: reading.samples("received")?,
            decode_errors: reading.samples("decode_errors")?,
            told: reading.metrics.sum("weir_events_total", &[]) as u64,
            taken: narrow("delivered") + narrow("dropped"),
        })
    }
}

/// What came in and what did not, by who sends and who receives, who know nothing of the gate.
pub(crate) fn passage(reading: &Reading, [allowed, refused]: [Stream; 2]) -> Vec<Claim> {
    let sum = |reason| COUNTED.iter().map(|api| reading.kernel(api, reason)).sum::<u64>();
    let (passed, dropped) = (sum("allowed"), sum("not_allowed") + sum("denied"));
    vec![
        claim(
            "every datagram of the host that is always allowed arrives",
            format!("{} of {}", allowed.arrived, allowed.sent),
            allowed.arrived == allowed.sent && allowed.sent > 0,
        ),
        claim(
            "none of the host that is always refused does",
            format!("{} of {}", refused.arrived, refused.sent),
            refused.arrived == 0 && refused.sent > 0,
        ),
        claim(
            "weir counted all of them, over all changes and restarts",
            format!("{passed} passed, {dropped} dropped"),
            passed == allowed.sent && dropped == refused.sent,
        ),
    ]
}

/// What was counted adds up: over everything, and in the daemon's last life.
pub(crate) fn balance(begun: &Ledger, ended: &Ledger) -> Vec<Claim> {
    let Ledger { attempted, submitted, dropped, sampled_out, .. } = *ended;
    let read = |ledger: &Ledger| ledger.received + ledger.decode_errors;
    let (handed, read) =
        (ended.submitted - begun.submitted, read(ended).saturating_sub(read(begun)));
    let (told, taken) =
        (ended.told.saturating_sub(begun.told), ended.taken.saturating_sub(begun.taken));
    vec![
        claim(
            "samples: attempted = submitted + dropped + sampled out",
            format!("{attempted} = {submitted} + {dropped} + {sampled_out}"),
            attempted == submitted + dropped + sampled_out && attempted > 0,
        ),
        claim(
            "samples: submitted = received + decode errors, since the last restart",
            format!("{handed}, {read} (of these {} errors)", ended.decode_errors),
            handed == read && read > 0,
        ),
        claim(
            "events: told = delivered + dropped, since the last restart",
            format!("{told}, {taken}"),
            told == taken && told > 0,
        ),
    ]
}

/// Every event that must not be lost was delivered, or told to be lost.
pub(crate) fn delivery(scene: &Scene<'_, '_>) -> Result<Vec<Claim>> {
    let mut told = BTreeSet::<Key>::new();
    let (mut lost, mut findings) = (0, 0);
    let names = ["finding_opened", "finding_closed", "action_taken", "ban_added"];
    for file in (1..=5).rev().map(|n| format!("events.jsonl.{n}")).chain(["events.jsonl".into()]) {
        let path = scene.weir.state().join(&file);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {file}")),
        };
        // The oldest file is there: older ones may be gone.
        ensure!(!file.ends_with('5'), "the event files hold no whole soak");
        for line in text.lines() {
            let event: Value =
                serde_json::from_str(line).with_context(|| format!("an event: {line}"))?;
            let name = event["event"].as_str().unwrap_or_default();
            if names.contains(&name) {
                findings += u64::from(name == "finding_opened");
                told.insert(inbox::key(&event));
            } else if name == "sink_lost" && line.contains("\"hook\"") {
                lost += event["loss"]["records"].as_u64().unwrap_or_default();
            }
        }
    }
    let missing: Vec<&Key> = told.difference(&scene.inbox.hook).collect();
    let first = missing.first().map_or(String::new(), |key| format!(", first {key:?}"));
    Ok(vec![claim(
        "every finding, action and ban reached the receiver, or is counted as lost",
        format!(
            "{} told ({findings} findings), {} missing, {lost} lost{first}",
            told.len(),
            missing.len()
        ),
        missing.len() as u64 <= lost && findings > 0,
    )])
}

/// It is well at the end, and says so.
pub(crate) fn health(scene: &Scene<'_, '_>, reading: &Reading) -> Result<Vec<Claim>> {
    let verified = scene.weir.verb(&["audit", "verify"])?;
    let status = scene.weir.verb(&["status"])?;
    let head = status.stdout.lines().next().unwrap_or_default().to_owned();
    let state = &reading.status;
    let interfaces = state["interfaces"].as_array().map_or(&[][..], Vec::as_slice);
    let gated = interfaces.len() == 2 && interfaces.iter().all(|one| one["problem"].is_null());
    let sinks = state["sinks"].as_array().map_or(&[][..], Vec::as_slice);
    let taking = sinks.len() == 2 && sinks.iter().all(|sink| sink["state"] != "failing");
    let well = status.code == 0
        && state["daemon"]["ready"] == true
        && gated
        && taking
        && state["feeds"][0]["state"] == "current";
    let failures = reading.metrics.sum("weir_store_failures_total", &[]);
    let log = scene.weir.whole_log()?;
    let panics = log.lines().filter(|line| line.contains("panicked")).count();
    Ok(vec![
        claim(
            "`weir audit verify` finds nothing",
            verified.stdout.lines().next().unwrap_or_default(),
            verified.code == 0,
        ),
        claim("`weir status` says that all is well", head, well),
        claim(
            "no failure of the store, no panic",
            format!("{failures}, {panics}"),
            failures == 0.0 && panics == 0,
        ),
    ])
}

/// What it takes does not grow.
pub(crate) fn flat(plan: Plan, usages: &[Usage]) -> Vec<Claim> {
    let judged = plan.length >= JUDGED;
    // A quarter of the length, by its number from 0 on.
    let quarter = |number: u32, of: fn(&Usage) -> u64| {
        let (from, until) = (plan.length / 4 * number, plan.length / 4 * (number + 1));
        median(usages.iter().filter(|one| one.at >= from && one.at < until).map(of))
    };
    type Of = fn(&Usage) -> u64;
    let kinds: [(&str, Of, u64); 5] = [
        ("anonymous memory, KiB (10 % and 8 MiB more at most)", |one| one.anonymous, SLACK),
        ("descriptors (10 % and 4 more at most)", |one| one.descriptors, 4),
        ("threads (10 % and 2 more at most)", |one| one.threads, 2),
        ("maps, programs and links it holds (10 % and 2 more at most)", |one| one.held, 2),
        ("of those it ever held, alive in the kernel (the same)", |one| one.alive, 2),
    ];
    let rows = kinds.into_iter().map(|(what, of, slack)| {
        let [second, last] = [1, 3].map(|number| quarter(number, of));
        let flat = second > 0 && last <= second + second / 10 + slack;
        let note = if judged { "" } else { ", too short to judge" };
        claim(
            &format!("flat: {what}"),
            format!("{second} in the second quarter, {last} in the last{note}"),
            flat || !judged,
        )
    });
    rows.collect()
}

/// Takes the filter off, and looks for what is left of it.
pub(crate) fn left(lab: &Lab, weir: &mut Weir<'_>, known: &Objects) -> Result<Vec<Claim>> {
    let last = usage::held(weir.pid().context("the daemon does not run")?)?;
    let known: Objects = known.union(&last).copied().collect();
    weir.detach()?.success()?;
    let code = weir.ended()?;
    // The kernel frees programs and tables a moment after their last user is gone.
    let alive = wait::until("the kernel has freed all", Duration::from_secs(10), || {
        let alive = usage::all()?.intersection(&known).count();
        ensure!(alive == 0, "{alive} are left");
        Ok(0)
    })
    .unwrap_or_else(|_| usage::all().map_or(usize::MAX, |all| all.intersection(&known).count()));
    let binary = crate::weir::binary()?.canonicalize()?;
    let processes = lab.host("server")?.netns.processes()?;
    let running = processes.iter().filter(|pid| {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path == binary)
    });
    let running = running.count();
    let pins = weir.pins().exists();
    Ok(vec![claim(
        "after `weir detach` nothing is left: objects of BPF, processes, pins",
        format!("{alive} of {} objects, {running} processes, pins: {pins}", known.len()),
        alive == 0 && running == 0 && !pins && code == 0,
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(at: u64, anonymous: u64) -> Usage {
        let at = Duration::from_secs(at);
        Usage { at, pid: 1, anonymous, descriptors: 9, threads: 3, held: 5, alive: 5, state: 0 }
    }

    #[test]
    fn growth_is_seen() {
        let plan = |seconds| Plan { length: Duration::from_secs(seconds), seed: 1 };
        let grows = |by: u64| (0..600).map(|at| usage(at, 50_000 + at * by)).collect::<Vec<_>>();
        let rows = [
            ("flat", plan(600), grows(0), true),
            ("half as much again", plan(600), grows(50), false),
            ("too short", plan(60), grows(50), true),
            ("never looked", plan(600), Vec::new(), false),
        ];
        for (name, plan, usages, expected) in rows {
            let claims = flat(plan, &usages);
            assert_eq!(claims[0].held, expected, "{name}: {claims:?}");
        }
    }

    #[test]
    fn what_does_not_add_up_is_seen() {
        let begun = Ledger {
            attempted: 10,
            submitted: 10,
            dropped: 0,
            sampled_out: 0,
            received: 7,
            decode_errors: 0,
            told: 1,
            taken: 1,
        };
        let good = Ledger { attempted: 20, submitted: 15, dropped: 5, received: 12, ..begun };
        let good = Ledger { told: 3, taken: 3, ..good };
        let rows = [
            ("good", good, [true, true, true]),
            ("one unread", Ledger { received: 11, ..good }, [true, false, true]),
            ("one uncounted", Ledger { attempted: 21, ..good }, [false, true, true]),
            ("one untold", Ledger { taken: 2, ..good }, [true, true, false]),
        ];
        for (name, ended, expected) in rows {
            let held: Vec<bool> = balance(&begun, &ended).iter().map(|one| one.held).collect();
            assert_eq!(held, expected, "{name}");
        }
    }
}
