//! A reader that cannot keep up: what was lost is known to the packet, what is left out stands for
//! more, and everything is seen again afterwards.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::reading::Reading;
use weir_tests::weir::Weir;
use weir_tests::{curl, wait, wrk};

use crate::site::{self, PORT};

const RING: &str = "[sensor]\nring = \"256KiB\"\n";

/// Attempted, submitted, dropped, sampled out.
fn outcomes(reading: &Reading) -> Result<[u64; 4]> {
    let [a, s, d, o] = ["attempted", "submitted", "dropped", "sampled_out"];
    let all = [reading.samples(a)?, reading.samples(s)?, reading.samples(d)?, reading.samples(o)?];
    assert_eq!(all[0], all[1] + all[2] + all[3], "{}", reading.status["samples"]);
    let received = reading.samples("received")? + reading.samples("decode_errors")?;
    assert_eq!(received, all[1], "{}", reading.status["samples"]);
    Ok(all)
}

#[test]
fn a_stopped_reader_loses_what_the_counters_say_and_recovers() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let policy = site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
    let config = site::write(&lab, "weir.toml", RING)?;
    let weir = Weir::start(&lab, server, &["--policy", &policy, "--config", &config])?;
    let url = site::url(server.v4().into(), PORT, "/items/1");
    curl::many(client, &[&site::url(server.v4().into(), PORT, "/items/[1-20]")])?;

    weir.signal(libc::SIGSTOP)?;
    let report = wrk::run(client, 4, Duration::from_secs(3), &url);
    weir.signal(libc::SIGCONT)?;
    let report = report?;
    assert_eq!(
        report.socket_errors + report.bad_status,
        0,
        "the server does not suffer: {report:?}"
    );

    let reading = Reading::at_rest(&weir)?;
    let [attempted, _, dropped, out] = outcomes(&reading)?;
    assert!(dropped > attempted / 4, "starved for most of the time: {}", reading.status["samples"]);
    let told = wait::until("the gap is told", Duration::from_secs(10), || {
        let events = weir.events()?;
        let gaps = site::named(&events, "telemetry_gap");
        let lost: u64 = gaps.iter().filter_map(|gap| gap["loss"]["records"].as_u64()).sum();
        ensure!(lost == dropped, "{dropped} were dropped, {gaps:?}");
        weir.metrics()
    })?;
    let completeness = told.sum("weir_telemetry_completeness_ratio", &[]);
    let expected = 1.0 - dropped as f64 / (attempted - out) as f64;
    assert!((completeness - expected).abs() < 0.005, "{completeness}, expected {expected}");

    // Flows that were left out for want of room are sampled again, and everything is counted.
    wait::until("all flows are sampled again", Duration::from_secs(40), || {
        let events = weir.events()?;
        let [fewer, all] =
            ["sampling_reduced", "sampling_restored"].map(|name| site::named(&events, name).len());
        ensure!(fewer > 0 && fewer == all, "{events:?}");
        Ok(())
    })?;
    let route = [("http_route", "/items/{id}"), ("http_response_status_code", "200")];
    let count = |reading: &Reading| {
        reading.metrics.sum("http_server_request_duration_seconds_count", &route) as u64
    };
    let before = count(&Reading::at_rest(&weir)?);
    curl::many(client, &[&site::url(server.v4().into(), PORT, "/items/[1-200]")])?;
    let after = Reading::at_rest(&weir)?;
    assert_eq!(count(&after) - before, 200);
    let [_, _, dropped_then, _] = outcomes(&after)?;
    assert_eq!(dropped_then, dropped, "nothing more was lost");
    Ok(())
}

/// A reader that is awake and has too little room takes fewer flows instead of losing parts of all.
#[test]
fn fewer_flows_stand_for_the_others() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let policy = site::write(&lab, "policy.toml", &site::orders(&lab, "")?)?;
    let config = site::write(&lab, "weir.toml", "[sensor]\nring = \"64KiB\"\n")?;
    let weir = Weir::start(&lab, server, &["--policy", &policy, "--config", &config])?;
    let url = site::url(server.v4().into(), PORT, "/items/1");
    let report = wrk::run(client, 256, Duration::from_secs(3), &url)?;
    assert_eq!(report.socket_errors + report.bad_status, 0, "{report:?}");
    let reading = Reading::at_rest(&weir)?;
    let [attempted, _, dropped, out] = outcomes(&reading)?;
    assert!(out > attempted / 4, "most flows were left out: {}", reading.status["samples"]);
    assert!(dropped < attempted / 20, "little was lost: {}", reading.status["samples"]);
    let events = weir.events()?;
    assert!(!site::named(&events, "sampling_reduced").is_empty(), "{events:?}");
    let route = [("http_route", "/items/{id}"), ("http_response_status_code", "200")];
    let counted = reading.metrics.sum("http_server_request_duration_seconds_count", &route);
    // A few connections stand for 256 that are not quite alike.
    let share = counted / report.requests as f64;
    assert!((0.25..4.0).contains(&share), "{counted} counted of {}", report.requests);
    Ok(())
}
