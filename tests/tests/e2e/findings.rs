//! What operators say of findings: seen, and not to be told of.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::Host;
use weir_tests::wait;
use weir_tests::weir::{Plan, Weir};

use crate::site::{self, PORT};

const SOON: Duration = Duration::from_secs(15);

/// Guesses passwords.
fn guess(from: &Host, server: &Host) -> Result<()> {
    let url = site::url(server.v4().into(), PORT, "/login?user=[1-20]");
    let words = ["--max-time", site::PATIENCE, "--data", "a=b", "--header", "Connection: close"];
    curl::many(from, &[&words[..], &[&url]].concat()).map(drop)
}

/// The finding about this source, as it is listed.
fn found(weir: &Weir<'_>, source: &Host) -> Result<Value> {
    let address = source.v4().to_string();
    wait::until("the finding", SOON, || {
        let list = weir.json(&["findings", "--all"])?;
        let about = |found: &&Value| {
            found["detector"] == "brute_force" && found["source"] == address.as_str()
        };
        let found = list.as_array().and_then(|list| list.iter().find(about));
        found.cloned().ok_or_else(|| anyhow::anyhow!("{list}\n{}", weir.log()))
    })
}

/// Waits until an event of this name about this finding is among these.
fn told(
    what: &str,
    (name, id): (&str, &Value),
    events: impl Fn() -> Result<Vec<Value>>,
) -> Result<Value> {
    wait::until(what, SOON, || {
        let events = events()?;
        let mut named = site::named(&events, name).into_iter();
        let told = named.find(|event| id.is_null() || event["finding"]["id"] == *id).cloned();
        told.ok_or_else(|| anyhow::anyhow!("no {name} of {id}: {events:?}"))
    })
}

#[test]
fn what_was_seen_says_so_and_what_is_muted_reaches_nobody() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let more = "login = { routes = [\"POST /login\"] }\nrespond = { brute_force = \"ban 5m\" }";
    let policy = site::orders(&lab, more)?.replace("[\"clients\"]", "\"any\"");
    let policy = site::write(&lab, "policy.toml", &policy)?;
    let path = lab.directory().join("copy.jsonl");
    let settings =
        format!("[[sink]]\nname = \"copy\"\nkind = \"file\"\npath = \"{}\"\n", path.display());
    let config = site::write(&lab, "weir.toml", &settings)?;
    let arguments = ["--policy", policy.as_str(), "--config", config.as_str()];
    let plan = Plan { arguments: &arguments, ..Plan::default() };
    let mut weir = Weir::launch(&lab, server, &plan)?;
    let delivered = || -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(&path)?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    };

    guess(client, server)?;
    let first = found(&weir, client)?["id"].clone();
    told("its delivery", ("finding_opened", &first), delivered)?;
    let id = first.as_str().unwrap_or_default();
    let seen = weir.json(&["findings", "ack", &id[..10], "--note", "ticket 9"])?;
    assert_eq!((&seen["id"], &seen["acknowledged"]["note"]), (&first, &"ticket 9".into()));
    let event = told("the word", ("finding_acknowledged", &first), delivered)?;
    assert_eq!(event["finding"]["acknowledged"]["note"], "ticket 9", "{event}");
    assert_eq!(weir.json(&["findings", "--unacknowledged"])?, serde_json::json!([]));
    let evidence = seen["evidence"].as_array().cloned().unwrap_or_default();
    assert_eq!(evidence.len(), 5, "{seen}");
    for one in &evidence {
        let is = |field: &str, value: Value| one[field] == value;
        let its = is("source", client.v4().to_string().into()) && is("method", "POST".into());
        assert!(its && is("route", "/login".into()) && one["status"].is_u64(), "{seen}");
    }
    assert!(!seen.to_string().contains("user="), "no query: {seen}");
    let event = told("its delivery", ("finding_opened", &first), delivered)?;
    assert!(event["finding"]["evidence"][0]["time"].is_string(), "{event}");
    let text = weir.verb(&["findings", "show", id])?.success()?;
    assert!(text.contains("POST /login") && text.contains("weir evidence --source"), "{text}");
    assert!(text.contains("acknowledged") && text.contains(": ticket 9"), "{text}");
    assert!(!site::answered(client, server)?[0], "the first one is banned");

    for (verb, detector, api) in [
        ("mute", "tea_leaves", "orders"),
        ("mute", "brute_force", "nothing"),
        ("mute", "enforcement", "orders"),
        ("unmute", "brute_force", "orders"),
    ] {
        let output = weir.verb(&["findings", verb, detector, "--api", api])?;
        assert_ne!(output.code, 0, "{verb} {detector} {api}");
    }
    let mute = ["findings", "mute", "brute_force", "--api", "orders", "--reason", "a drill"];
    let muted = weir.json(&mute)?;
    assert_eq!((&muted["findings"], &muted["until"]), (&1.into(), &Value::Null), "{muted}");
    told("the mute", ("finding_muted", &Value::Null), delivered)?;
    let open = |weir: &Weir<'_>, name: &str| -> Result<f64> {
        Ok(weir.metrics()?.sum(name, &[("api", "orders"), ("severity", "warning")]))
    };
    let status = weir.json(&["status"])?;
    let said = [&status["findings"]["muted"], &status["findings"]["acknowledged"]];
    assert_eq!(said, [&Value::from(1), &Value::from(1)], "{status}");
    let text = weir.verb(&["status"])?.success()?;
    assert!(text.contains("1 muted; 1 acknowledged"), "{text}");
    assert_eq!(open(&weir, "weir_findings_muted")?, 1.0);
    assert_eq!(open(&weir, "weir_findings_open")?, 0.0);

    // It holds over a crash.
    std::thread::sleep(Duration::from_millis(500));
    weir.crash()?;
    weir.start_again()?;
    let mutes = weir.json(&["findings", "mutes"])?;
    assert_eq!(
        (&mutes[0]["detector"], &mutes[0]["reason"]),
        (&"brute_force".into(), &"a drill".into())
    );
    assert_eq!(found(&weir, client)?["acknowledged"]["note"], "ticket 9");

    guess(stranger, server)?;
    let second = found(&weir, stranger)?;
    assert_eq!((&second["state"], &second["muted"]), (&"open".into(), &true.into()), "{second}");
    let group = second["group"].clone();
    assert_eq!((group.is_string(), &group), (true, &found(&weir, client)?["group"]), "{second}");
    let second = second["id"].clone();
    told("its event", ("finding_opened", &second), || weir.events())?;
    std::thread::sleep(Duration::from_secs(2));
    let about = |event: &Value| event["finding"]["id"] == second;
    ensure!(!delivered()?.iter().any(about), "it was delivered: {:?}", delivered()?);
    assert!(site::answered(stranger, server)?[0], "nothing answers it");

    weir.verb(&["findings", "unmute", "brute_force", "--api", "orders"])?.success()?;
    told("the end", ("finding_unmuted", &Value::Null), delivered)?;
    let event = told("what is open", ("finding_updated", &second), delivered)?;
    assert_eq!(event["finding"]["muted"], Value::Null, "{event}");
    assert_eq!(event["finding"]["group"], group, "{event}");
    assert_eq!(open(&weir, "weir_findings_muted")?, 0.0);
    assert!(open(&weir, "weir_findings_open")? >= 1.0);
    assert_eq!(weir.json(&["findings", "mutes"])?, serde_json::json!([]));

    weir.verb(&["findings", "mute", "brute_force", "--api", "orders", "--ttl", "1s"])?.success()?;
    wait::until("its time is over", SOON, || {
        let mutes = weir.json(&["findings", "mutes"])?;
        ensure!(mutes == serde_json::json!([]), "{mutes}");
        Ok(())
    })?;
    let audit = weir.json(&["audit"])?;
    for (what, count) in [("finding_ack", 1), ("mute", 2), ("unmute", 2)] {
        let lines = audit.as_array().into_iter().flatten().filter(|line| line["what"] == what);
        assert_eq!(lines.count(), count, "{what}: {audit}");
    }
    Ok(())
}
