//! Events leave the host: to the real receivers, and through whatever happens to them.

mod alertmanager;
mod formats;
mod reload;
mod spool;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::Lab;
use weir_tests::wait;
use weir_tests::weir::{Plan, Weir};

use crate::site::{self, PORT};

/// What a receiver may take.
const SOON: Duration = Duration::from_secs(10);

/// weir on the server with settings of this text, ready to be started.
fn prepared<'lab>(lab: &'lab Lab, settings: &str) -> Result<Weir<'lab>> {
    let login = "login = { routes = [\"POST /login\"] }";
    let policy = site::write(lab, "policy.toml", &site::orders(lab, login)?)?;
    let config = site::write(lab, "weir.toml", settings)?;
    let arguments = ["--policy", &policy, "--config", &config];
    Weir::prepare(lab, lab.host("server")?, &Plan { arguments: &arguments, ..Plan::default() })
}

/// The same, started.
fn started<'lab>(lab: &'lab Lab, settings: &str) -> Result<Weir<'lab>> {
    let mut weir = prepared(lab, settings)?;
    weir.start_again()?;
    Ok(weir)
}

/// Bans 198.18.0.N, which is an event for each.
fn ban(weir: &Weir<'_>, numbers: std::ops::Range<u32>) -> Result<()> {
    for n in numbers {
        weir.verb(&["ban", "add", &format!("198.18.0.{n}"), "--ttl", "1h"])?.success()?;
    }
    Ok(())
}

/// Guesses passwords until there is a finding, and hands on its event.
fn guess(lab: &Lab, weir: &Weir<'_>) -> Result<Value> {
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let url = site::url(server.v4().into(), PORT, "/login?user=[1-30]");
    let arguments = ["--data", "a=b", "--header", "Connection: close", &url];
    curl::many(client, &[&["--max-time", site::PATIENCE], &arguments[..]].concat())?;
    wait::until("the finding", SOON, || {
        let events = weir.events()?;
        let found = site::named(&events, "finding_opened").into_iter();
        let mut found = found.filter(|event| event["finding"]["detector"] == "brute_force");
        let found = found.next_back().cloned();
        found.ok_or_else(|| anyhow::anyhow!("none\n{}", weir.log()))
    })
}

/// What `weir status` says of the receiver of this name.
fn sink(weir: &Weir<'_>, name: &str) -> Result<Value> {
    let status = weir.status()?;
    let sinks = status["sinks"].as_array().cloned().unwrap_or_default();
    let found = sinks.into_iter().find(|sink| sink["name"] == name);
    found.ok_or_else(|| anyhow::anyhow!("there is no sink {name}: {status}"))
}

/// Waits until nothing waits for a receiver.
fn drained(weir: &Weir<'_>, name: &str) -> Result<Value> {
    wait::until(&format!("{name} has taken all"), SOON, || {
        let sink = sink(weir, name)?;
        ensure!(sink["pending"] == 0 && sink["state"] != "failing", "{sink}\n{}", weir.log());
        Ok(sink)
    })
}
