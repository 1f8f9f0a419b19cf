//! What weir does by itself, and what keeps it from doing so: the modes, the kill switch, the guards.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::{Host, Lab};
use weir_tests::metrics::Metrics;
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::site::{self, PORT};

const SOON: Duration = Duration::from_secs(15);

/// The policy: what follows guessing, and the rules of `[respond]`.
fn policy(lab: &Lab, answer: &str, rules: &str) -> Result<String> {
    let more =
        format!("login = {{ routes = [\"POST /login\"] }}\nrespond = {{ brute_force = {answer} }}");
    let text = site::orders(lab, &more)?.replace("[\"clients\"]", "\"any\"");
    Ok(text.replace("mode = \"act\"", rules))
}

/// Guesses passwords.
fn guess(from: &Host, server: &Host) -> Result<()> {
    let url = site::url(server.v4().into(), PORT, "/login?user=[1-20]");
    let words = ["--max-time", site::PATIENCE, "--data", "a=b", "--header", "Connection: close"];
    curl::many(from, &[&words[..], &[&url]].concat()).map(drop)
}

/// Waits for so many events of a name.
fn told(weir: &Weir<'_>, name: &str, count: usize) -> Result<Vec<Value>> {
    wait::until(&format!("{count} times {name}"), SOON, || {
        let events = weir.events()?;
        let named: Vec<Value> = site::named(&events, name).into_iter().cloned().collect();
        ensure!(named.len() >= count, "{events:?}\n{}", weir.log());
        Ok(named)
    })
}

fn outcomes(metrics: &Metrics, outcome: &str) -> f64 {
    metrics.sum("weir_actions_total", &[("outcome", outcome)])
}

#[test]
fn a_dry_run_says_what_it_would_do() -> Result<()> {
    let lab = site::lab()?;
    let [server, stranger] = [lab.host("server")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let policy = policy(&lab, "\"ban 5m\"", "mode = \"dry_run\"")?;
    let weir = site::weir(&lab, &policy)?;
    guess(stranger, server)?;
    let events = told(&weir, "action_dry_run", 1)?;
    assert_eq!(events[0]["action"]["outcome"], "dry_run");
    assert_eq!(events[0]["source"]["ip"], stranger.v4().to_string());
    assert_eq!(weir.json(&["ban", "list"])?, serde_json::json!([]));
    assert!(site::answered(stranger, server)?[0], "nothing was done");
    let metrics = weir.metrics()?;
    assert_eq!((outcomes(&metrics, "dry_run"), outcomes(&metrics, "done")), (1.0, 0.0));
    let audit = weir.json(&["audit"])?;
    let line = audit.as_array().into_iter().flatten().find(|line| line["what"] == "automatic");
    let line = line.cloned().unwrap_or_default();
    assert_eq!(line["about"]["outcome"], "dry_run", "{audit}");
    assert!(line["about"]["finding"].is_string(), "{line}");
    assert_eq!(weir.json(&["actions"])?, serde_json::json!([]), "nothing waits");
    let listed = weir.json(&["actions", "list", "--all"])?;
    assert_eq!((&listed[0]["state"], &listed[0]["kind"]), (&"dry_run".into(), &"ban".into()));
    Ok(())
}

#[test]
fn what_waits_outlives_the_daemon_and_is_decided() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let answer = "{ do = \"ban\", ttl = \"5m\" }";
    let policy = policy(&lab, answer, "mode = \"approve\"\napprove_within = \"1h\"")?;
    let mut weir = site::weir(&lab, &policy)?;
    guess(stranger, server)?;
    told(&weir, "action_held", 1)?;
    assert!(site::answered(stranger, server)?[0], "it waits");
    wait::until("it is written", SOON, || {
        let text = weir.verb(&["status"])?.success()?;
        ensure!(text.contains("wait to be approved: 1"), "{text}");
        Ok(())
    })?;
    std::thread::sleep(Duration::from_millis(1_500));
    weir.crash()?;
    weir.start_again()?;
    let held = weir.json(&["actions"])?;
    assert_eq!((&held[0]["id"], &held[0]["state"]), (&1.into(), &"held".into()), "{held}");
    assert_eq!(weir.metrics()?.sum("weir_actions_held", &[]), 1.0);
    let done = weir.json(&["actions", "approve", "1"])?;
    assert_eq!((&done["state"], done["by"]["uid"].is_u64()), (&"done".into(), true), "{done}");
    assert!(!site::answered(stranger, server)?[0], "it is banned");
    let bans = weir.json(&["ban", "list"])?;
    assert_eq!((&bans[0]["automatic"], bans.as_array().map(Vec::len)), (&true.into(), Some(1)));
    assert_eq!(weir.verb(&["actions", "approve", "1"])?.code, 1, "once");

    weir.verb(&["actions", "undo", "1"])?.success()?;
    assert!(site::answered(stranger, server)?[0], "it is free again");
    assert_eq!(weir.verb(&["actions", "undo", "1"])?.code, 1);

    guess(client, server)?;
    told(&weir, "action_held", 2)?;
    weir.verb(&["actions", "reject", "2"])?.success()?;
    assert_eq!(weir.json(&["actions"])?, serde_json::json!([]));
    assert!(site::answered(client, server)?[0], "nothing was done");
    let events = weir.events()?;
    for (name, count) in [("action_taken", 1), ("action_undone", 1), ("action_rejected", 1)] {
        assert_eq!(site::named(&events, name).len(), count, "{name}: {events:?}");
    }
    let audit = weir.json(&["audit"])?;
    for what in ["action_approve", "action_undo", "action_reject"] {
        let lines = audit.as_array().into_iter().flatten().filter(|line| line["what"] == what);
        assert_eq!(lines.count(), 1, "{what}");
    }
    Ok(())
}

#[test]
fn a_stop_holds_over_a_restart_and_ends() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let policy = policy(&lab, "\"ban 5m\"", "mode = \"act\"")?;
    let mut weir = site::weir(&lab, &policy)?;
    weir.verb(&["actions", "stop", "--reason", "ticket 9"])?.success()?;
    weir.crash()?;
    weir.start_again()?;
    let status = weir.verb(&["status"])?.success()?;
    assert!(status.contains("! automatic actions are stopped"), "{status}");
    assert!(status.contains("ticket 9"), "{status}");
    assert_eq!(weir.metrics()?.sum("weir_actions_stopped", &[]), 1.0);
    guess(stranger, server)?;
    let refused = told(&weir, "action_refused", 1)?;
    assert_eq!(refused[0]["action"]["refusal"], "stopped");
    assert!(site::answered(stranger, server)?[0], "nothing is done");
    weir.verb(&["actions", "start"])?.success()?;
    assert_eq!(weir.verb(&["actions", "start"])?.code, 1, "they are");
    weir.verb(&["actions", "stop", "--ttl", "1s"])?.success()?;
    told(&weir, "actions_started", 2)?;
    guess(client, server)?;
    told(&weir, "action_taken", 1)?;
    assert!(!site::answered(client, server)?[0], "it is banned");
    Ok(())
}

#[test]
fn the_guards_of_the_many() -> Result<()> {
    // What the policy answers, a header of each good request, the guard that refuses it.
    let rows = [
        ("\"lockdown clients\"", "X-Nothing: 1", "blast_radius"),
        ("\"ban 5m\"", "Cookie: session=", "shared"),
        ("\"ban 5m\"", "X-Nothing: 1", "blast_radius"),
    ];
    for (answer, header, guard) in rows {
        let lab = Lab::new(&[("server", 1), ("client", 2), ("stranger", 3), ("third", 4)])?;
        let [server, stranger, third] =
            [lab.host("server")?, lab.host("stranger")?, lab.host("third")?];
        let _nginx = site::nginx(&lab)?;
        let weir = site::weir(&lab, &policy(&lab, answer, "mode = \"act\"")?)?;
        // Two sources outside of `clients` are served, one of them very often.
        for number in 0..12 {
            let url = site::url(server.v4().into(), PORT, "/items/[1-12]");
            let header = format!("{header}{number}");
            curl::many(stranger, &["--header", &header, &url])?;
        }
        site::ask(third, server.v4().into(), PORT)?;
        guess(stranger, server)?;
        let refused = told(&weir, "action_refused", 1)?;
        assert_eq!(refused[0]["action"]["refusal"], guard, "{answer} {header}: {refused:?}");
        println!("{}", refused[0]["message"].as_str().unwrap_or_default());
        let numbers = if guard == "shared" { "different credentials" } else { " of 2 sources" };
        assert!(refused[0]["message"].as_str().is_some_and(|said| said.contains(numbers)));
        assert!(site::answered(stranger, server)?[0], "nothing was done");
        assert_eq!(weir.json(&["breach", "status"])?, serde_json::json!([]));
    }
    Ok(())
}

#[test]
fn the_guards_remember_over_a_restart() -> Result<()> {
    let lab = Lab::new(&[("server", 1), ("client", 2), ("stranger", 3), ("third", 4)])?;
    let [server, client, stranger, third] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?, lab.host("third")?];
    let _nginx = site::nginx(&lab)?;
    let text = policy(&lab, "\"lockdown clients\"", "mode = \"act\"")?;
    let mut weir = site::weir(&lab, &text)?;
    // Two sources outside of `clients` are served.
    let url = site::url(server.v4().into(), PORT, "/items/[1-60]");
    for host in [stranger, third] {
        curl::many(host, &[&url])?;
    }
    wait::until("they were seen", SOON, || {
        let seen = weir.metrics()?.sum("http_server_request_duration_seconds_count", &[]);
        ensure!(seen >= 120.0, "{seen}");
        Ok(())
    })?;
    weir.stop()?;
    weir.start_again()?;
    guess(client, server)?;
    let refused = told(&weir, "action_refused", 1)?;
    assert_eq!(refused[0]["action"]["refusal"], "blast_radius", "{refused:?}");
    let said = refused[0]["message"].as_str().unwrap_or_default();
    println!("{said}");
    assert!(said.contains("2 of 2 sources") && said.contains("120 of 120"), "{said}");
    assert_eq!(weir.json(&["breach", "status"])?, serde_json::json!([]), "nothing was done");
    Ok(())
}

#[test]
fn who_is_shared_is_remembered_over_a_restart() -> Result<()> {
    let lab = site::lab()?;
    let [server, stranger] = [lab.host("server")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    // A network shared by many is banned by nobody else's guess: the other guards are off.
    let rules = "mode = \"act\"\nmax_share_sources = 1.0\nmax_share_requests = 1.0";
    let mut weir = site::weir(&lab, &policy(&lab, "\"ban 5m\"", rules)?)?;
    let url = site::url(server.v4().into(), PORT, "/items/7");
    for number in 0..12 {
        let cookie = format!("Cookie: session={number}");
        curl::many(stranger, &["--header", &cookie, &url])?;
    }
    wait::until("they were seen", SOON, || {
        let seen = weir.metrics()?.sum("http_server_request_duration_seconds_count", &[]);
        ensure!(seen >= 12.0, "{seen}");
        Ok(())
    })?;
    weir.stop()?;
    weir.start_again()?;
    guess(stranger, server)?;
    let refused = told(&weir, "action_refused", 1)?;
    assert_eq!(refused[0]["action"]["refusal"], "shared", "{refused:?}");
    let said = refused[0]["message"].as_str().unwrap_or_default();
    println!("{said}");
    assert!(said.contains("different credentials"), "{said}");
    assert!(site::answered(stranger, server)?[0], "nothing was done");
    Ok(())
}
