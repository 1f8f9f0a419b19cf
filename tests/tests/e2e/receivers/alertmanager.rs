//! Findings at a real Alertmanager: they begin, they go on over restarts, they end.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::alertmanager::Alertmanager;
use weir_tests::curl;
use weir_tests::lab::{Host, Lab};
use weir_tests::wait;

use super::{SOON, drained, guess, sink, started};
use crate::site::{self, PORT};

const SETTINGS: &str = "[[sink]]\nname = \"am\"\nkind = \"alertmanager\"\n\
                        url = \"http://127.0.0.1:9093\"\nresend = \"1s\"\n";

/// After so long what the inventory knows is in the store.
const WRITTEN: Duration = Duration::from_millis(5_500);

/// The names of the alerts that fire, once they are these.
fn fire(alertmanager: &Alertmanager, server: &Host, names: &[&str]) -> Result<Vec<Value>> {
    wait::until(&format!("alerts {names:?}"), SOON, || {
        let alerts = alertmanager.alerts(server)?;
        let got: Vec<&str> =
            alerts.iter().filter_map(|alert| alert["labels"]["alertname"].as_str()).collect();
        ensure!(got == names, "{got:?}\n{}", alertmanager.log());
        Ok(alerts)
    })
}

/// Asks with a password in clear text, which is a finding of the inventory.
fn authenticate(lab: &Lab) -> Result<()> {
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let url = site::url(server.v4().into(), PORT, "/items/7");
    for _ in 0..3 {
        curl::one(client, &["--user", "a:b", &url])?;
    }
    Ok(())
}

#[test]
fn a_finding_fires_goes_on_over_a_crash_and_ends() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let alertmanager = Alertmanager::start(server, lab.directory())?;
    let mut weir = started(&lab, SETTINGS)?;
    authenticate(&lab)?;
    let opened = guess(&lab, &weir)?;
    let names = ["WeirBasicAuthentication", "WeirBruteForce", "WeirCleartextCredentials"];
    let alerts = fire(&alertmanager, server, &names)?;
    let guessing = &alerts[1];
    let mut expected = serde_json::json!({
        "alertname": "WeirBruteForce", "detector": "brute_force", "severity": "warning",
        "api": "orders", "owner": "team-orders", "criticality": "medium",
        "source": client.v4().to_string(), "group": opened["finding"]["group"],
    });
    assert_eq!(guessing["labels"], expected);
    assert_eq!(guessing["annotations"]["finding"], opened["finding"]["id"]);
    assert_eq!(guessing["startsAt"], opened["finding"]["opened"]);
    assert!(guessing["annotations"]["description"].to_string().contains("failed"), "{guessing}");

    // It is told again: its end moves on.
    let end = |alerts: &[Value]| alerts[1]["endsAt"].to_string();
    let first = end(&alerts);
    wait::until("it is told again", SOON, || {
        let now = end(&alertmanager.alerts(server)?);
        ensure!(now > first, "still {first}");
        Ok(())
    })?;

    // One that was seen has a label for that, and replaces the one without.
    let id = opened["finding"]["id"].as_str().unwrap_or_default();
    weir.verb(&["findings", "ack", id, "--note", "ticket 9"])?.success()?;
    expected["acknowledged"] = "true".into();
    wait::until("it is seen", SOON, || {
        let alerts = fire(&alertmanager, server, &names)?;
        ensure!(alerts[1]["labels"] == expected, "{alerts:?}");
        let said = alerts[1]["annotations"]["acknowledged"].to_string();
        ensure!(said.contains("ticket 9"), "{said}");
        Ok(())
    })?;

    // A crash ends what the detector knew, and with it the finding; the inventory's goes on.
    wait::pause(WRITTEN)?;
    weir.crash()?;
    weir.start_again()?;
    fire(&alertmanager, server, &[names[0], names[2]])?;
    assert_eq!(drained(&weir, "am")?["alerts"], 2);
    let events = weir.events()?;
    let closed = site::named(&events, "finding_closed");
    let ids: Vec<&Value> = closed.iter().map(|event| &event["finding"]["id"]).collect();
    assert_eq!(ids, [&opened["finding"]["id"]], "its end is an event too");
    Ok(())
}

#[test]
fn an_alertmanager_that_is_gone_hears_of_it_later_and_a_daemon_that_is_gone_leaves_nothing()
-> Result<()> {
    let lab = site::lab()?;
    let server = lab.host("server")?;
    let _nginx = site::nginx(&lab)?;
    let mut weir = started(&lab, SETTINGS)?;
    authenticate(&lab)?;
    wait::until("it waits", SOON, || {
        let sink = sink(&weir, "am")?;
        ensure!(sink["pending"] == 2 && sink["state"] == "failing", "{sink}");
        Ok(())
    })?;
    let tested = weir.verb(&["sink", "test", "am"])?.expect_code(1)?;
    assert!(tested.stdout.contains("cannot connect to 127.0.0.1:9093"), "{}", tested.stdout);
    let alertmanager = Alertmanager::start(server, lab.directory())?;
    let names = ["WeirBasicAuthentication", "WeirCleartextCredentials"];
    fire(&alertmanager, server, &names)?;
    // Nobody is there any more to say that it goes on.
    wait::pause(WRITTEN)?;
    weir.crash()?;
    fire(&alertmanager, server, &[])?;
    weir.start_again()?;
    fire(&alertmanager, server, &names)?;
    let tested = weir.verb(&["sink", "test", "am"])?.success()?;
    assert!(tested.contains("HTTP 200"), "{tested}");
    fire(&alertmanager, server, &[names[0], names[1], "WeirTest"])?;
    Ok(())
}
