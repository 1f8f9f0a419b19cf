//! Nothing is lost by a receiver that hangs, fails and comes back, by a daemon that is killed, or by
//! a disk that is full.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::process;
use weir_tests::receiver::{Mood, Receiver};
use weir_tests::wait;

use super::{SOON, ban, drained, prepared, sink, started};
use crate::site;

const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 9_999);

fn settings(more: &str) -> String {
    format!(
        "[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9999/in\"\n\
         timeout = \"300ms\"\nevents = [\"ban_added\", \"ban_removed\"]\n{more}"
    )
}

/// The addresses that were banned, in the order in which the receiver took them.
fn banned(events: &[Value]) -> Vec<&str> {
    let added = events.iter().filter(|event| event["event"] == "ban_added");
    added.filter_map(|event| event["source"]["ip"].as_str()).collect()
}

#[test]
fn a_receiver_that_hangs_fails_and_comes_back_and_a_daemon_that_is_killed() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let receiver = Receiver::start(server, SocketAddr::from(ADDRESS), Mood::Hang)?;
    let mut weir = started(&lab, &settings("batch = 10"))?;
    ban(&weir, 0..8)?;
    wait::until("it is given up", SOON, || {
        let sink = sink(&weir, "hook")?;
        ensure!(sink["state"] == "failing" && sink["pending"] == 8, "{sink}");
        let error = sink["last_error"].as_str().unwrap_or_default();
        ensure!(error.contains("no answer within 300ms"), "{sink}");
        Ok(())
    })?;
    receiver.set(Mood::Answer(500));
    ban(&weir, 8..16)?;
    weir.crash()?;
    weir.start_again()?;
    receiver.set(Mood::BreakOff);
    ban(&weir, 16..24)?;
    let text = weir.verb(&["status"])?.success()?;
    ensure!(text.contains("failing") && text.contains("sink hook takes no events"), "{text}");
    // Killed once more while it waits, and right after the last event.
    weir.crash()?;
    weir.start_again()?;
    receiver.set(Mood::Take);
    ban(&weir, 24..32)?;
    let sink = drained(&weir, "hook")?;

    let events = receiver.events()?;
    let expected: Vec<String> = (0..32).map(|n| format!("198.18.0.{n}")).collect();
    let got = banned(&events);
    let distinct: BTreeSet<&str> = got.iter().copied().collect();
    assert_eq!(distinct.len(), 32, "all of them: {got:?}");
    assert_eq!(got, expected, "in order, and none twice: no batch was taken before a kill");
    let metrics = weir.metrics()?;
    let count = |outcome: &str| {
        let labels = [("sink", "hook"), ("outcome", outcome)];
        metrics.sum("weir_sink_events_total", &labels)
    };
    assert_eq!(count("delivered"), 32.0, "of this daemon: {sink}");
    assert_eq!(count("dropped"), 0.0);
    assert_eq!(metrics.sum("weir_sink_pending", &[("sink", "hook")]), 0.0);
    Ok(())
}

#[test]
fn what_was_on_its_way_when_the_daemon_was_killed_comes_at_least_once() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let receiver = Receiver::start(server, SocketAddr::from(ADDRESS), Mood::Take)?;
    let mut weir = started(&lab, &settings(""))?;
    for round in 0..4 {
        ban(&weir, round * 5..round * 5 + 5)?;
        // At once, when the last of them is written down: the verb does not wait for that.
        wait::until("the last ban is written down", SOON, || {
            let events = weir.events()?;
            let told = events.iter().filter(|event| event["event"] == "ban_added").count();
            ensure!(u32::try_from(told)? == (round + 1) * 5, "{told}");
            Ok(())
        })?;
        weir.crash()?;
        weir.start_again()?;
    }
    drained(&weir, "hook")?;
    let events = receiver.events()?;
    let got = banned(&events);
    let distinct: BTreeSet<&str> = got.iter().copied().collect();
    assert_eq!(distinct.len(), 20, "{got:?}");
    assert!(got.len() <= 20 + 4, "at most what was on its way comes twice: {got:?}");
    Ok(())
}

/// A file system of so many bytes on a directory; gone when dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: std::path::PathBuf, options: &str) -> Result<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "weir-tests"]).arg(&at);
        process::run(&mut command, SOON)?.success()?;
        Ok(Self(at))
    }

    fn resize(&self, options: &str) -> Result<()> {
        let mut command = Command::new("mount");
        command.args(["-o", &format!("remount,{options}")]).arg(&self.0);
        process::run(&mut command, SOON)?.success().map(drop)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A test that fails says so already.
        let _left = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_and_holds_up_nothing() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let receiver = Receiver::start(server, SocketAddr::from(ADDRESS), Mood::Answer(503))?;
    let mut weir = prepared(&lab, &settings(""))?;
    let spool = weir.state().join("spool");
    std::fs::create_dir_all(&spool).context("cannot make the spool")?;
    let disk = Small::mount(spool, "size=8k")?;
    weir.start_again()?;
    ban(&weir, 0..60)?;
    let full = sink(&weir, "hook")?;
    let problem = full["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("No space left") && problem.contains("memory"), "{full}");
    assert_eq!((&full["pending"], &full["dropped"]), (&60.into(), &serde_json::json!({})));
    // There is room again: what waited in memory survives a kill from now on.
    disk.resize("size=1m")?;
    wait::until("it is written", SOON, || {
        let sink = sink(&weir, "hook")?;
        ensure!(sink["problem"].is_null(), "{sink}");
        Ok(())
    })?;
    weir.crash()?;
    weir.start_again()?;
    receiver.set(Mood::Take);
    drained(&weir, "hook")?;
    let events = receiver.events()?;
    let got: BTreeSet<&str> = banned(&events).into_iter().collect();
    assert_eq!(got.len(), 60);
    weir.stop()?;
    Ok(())
}

#[test]
fn a_damaged_spool_is_set_aside_and_told() -> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let receiver = Receiver::start(server, SocketAddr::from(ADDRESS), Mood::Answer(503))?;
    let mut weir = started(&lab, &settings(""))?;
    ban(&weir, 0..6)?;
    weir.crash()?;
    let path = weir.state().join("spool/hook/events");
    let mut bytes = std::fs::read(&path).context("no spool")?;
    let at = bytes.windows(10).position(|part| part == b"198.18.0.3").context("not in it")?;
    bytes[at] = b'2';
    std::fs::write(&path, &bytes)?;
    weir.start_again()?;
    receiver.set(Mood::Take);
    drained(&weir, "hook")?;
    let events = receiver.events()?;
    assert_eq!(banned(&events).len(), 5, "all but the one that was changed: {events:?}");
    let told = wait::until("it is told", SOON, || {
        let events = weir.events()?;
        let lost = site::named(&events, "sink_lost");
        lost.first().map(|event| event["message"].to_string()).context("no sink_lost")
    })?;
    assert!(told.contains("spool/hook/damaged-"), "{told}");
    let labels = [("sink", "hook"), ("reason", "damaged")];
    assert_eq!(weir.metrics()?.sum("weir_sink_dropped_total", &labels), 1.0);
    Ok(())
}
