//! What is being maintained: by order, by the policy, over a crash, and what goes on meanwhile.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weir_tests::curl;
use weir_tests::wait;
use weir_tests::weir::{Plan, Weir};

use crate::site::{self, PORT};

const SOON: Duration = Duration::from_secs(15);

/// Messages of the events of this name about this API, once there are so many.
fn told(weir: &Weir<'_>, name: &str, api: &str, count: usize) -> Result<Vec<String>> {
    wait::until("the events", SOON, || {
        let events = weir.events()?;
        let named = site::named(&events, name).into_iter();
        let about = named.filter(|event| event["api"]["name"] == api);
        let told: Vec<_> =
            about.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect();
        ensure!(told.len() == count, "{name} of {api}: {told:?}");
        Ok(told)
    })
}

fn apis(weir: &Weir<'_>) -> Result<Vec<Value>> {
    let list = weir.json(&["maintenance", "list"])?;
    Ok(list.as_array().into_iter().flatten().map(|entry| entry["api"].clone()).collect())
}

#[test]
fn a_maintenance_is_told_kept_over_a_crash_and_hides_no_attack() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let more = "login = { routes = [\"POST /login\"] }";
    let window = "\n[[api]]\nname = \"stock\"\nlisten = [\"tcp/9999\"]\nallow = \"any\"\n\
                  [[maintenance]]\napis = [\"stock\"]\nreason = \"new disks\"\n\
                  from = \"2020-01-01T00:00:00Z\"\nuntil = \"2100-01-01T00:00:00Z\"\n";
    let text = site::orders(&lab, more)? + window;
    let policy = site::write(&lab, "policy.toml", &text)?;
    let plan = Plan { arguments: &["--policy", &policy], ..Plan::default() };
    let mut weir = Weir::launch(&lab, server, &plan)?;

    let planned = told(&weir, "maintenance_started", "stock", 1)?;
    ensure!(planned[0].ends_with("s, as the policy says: new disks"), "{planned:?}");
    assert_eq!(apis(&weir)?, [json!("stock")]);
    for words in [
        &["start", "nothing", "--ttl", "2h"][..],
        &["start", "orders", "--ttl", "40d"],
        &["start", "orders"],
        &["stop", "orders"],
        &["stop", "stock"],
    ] {
        let output = weir.verb(&[&["maintenance"], words].concat())?;
        assert_ne!(output.code, 0, "{words:?}");
    }
    let start = ["maintenance", "start", "orders", "--ttl", "2h", "--reason", "release 4.2"];
    let started = weir.json(&start)?;
    let lasts = started["until"].as_u64().unwrap_or(0) - started["since"].as_u64().unwrap_or(0);
    assert_eq!((&started["reason"], lasts), (&json!("release 4.2"), 7200), "{started}");
    let message = told(&weir, "maintenance_started", "orders", 1)?;
    assert_eq!(message, ["orders is being maintained for 7200 s: release 4.2"]);
    assert_eq!(apis(&weir)?, [json!("orders"), json!("stock")]);
    let metric = |weir: &Weir<'_>, api| {
        Ok::<f64, anyhow::Error>(weir.metrics()?.sum("weir_maintenance", &[("api", api)]))
    };
    assert_eq!((metric(&weir, "orders")?, metric(&weir, "stock")?), (1.0, 1.0));

    // Attackers do not pause.
    let url = site::url(server.v4().into(), PORT, "/login?user=[1-20]");
    let words = ["--max-time", site::PATIENCE, "--data", "a=b", "--header", "Connection: close"];
    curl::many(client, &[&words[..], &[&url]].concat())?;
    wait::until("the finding", SOON, || {
        let list = weir.json(&["findings", "--all"])?;
        let mut found = list.as_array().into_iter().flatten();
        ensure!(found.any(|one| one["detector"] == "brute_force"), "{list}");
        Ok(())
    })?;

    weir.crash()?;
    weir.start_again()?;
    assert_eq!(apis(&weir)?, [json!("orders"), json!("stock")]);
    assert_eq!(weir.json(&["maintenance", "list"])?[0]["until"], started["until"]);
    assert_eq!(metric(&weir, "orders")?, 1.0);
    // It did not begin once more.
    std::thread::sleep(Duration::from_secs(2));
    told(&weir, "maintenance_started", "orders", 1)?;
    told(&weir, "maintenance_started", "stock", 1)?;

    weir.verb(&["maintenance", "stop", "orders"])?.success()?;
    told(&weir, "maintenance_ended", "orders", 1)?;
    assert_eq!((metric(&weir, "orders")?, metric(&weir, "stock")?), (0.0, 1.0));
    // One that ends by itself, and a policy without the window.
    weir.verb(&["maintenance", "start", "orders", "--ttl", "1s"])?.success()?;
    told(&weir, "maintenance_ended", "orders", 2)?;
    site::write(&lab, "policy.toml", text.split("[[maintenance]]").next().unwrap_or_default())?;
    let difference = weir.verb(&["diff", &policy])?;
    ensure!(difference.stdout.contains("stock: 2020-01-01"), "{}", difference.stdout);
    weir.verb(&["apply", &policy])?.success()?;
    told(&weir, "maintenance_ended", "stock", 1)?;
    assert_eq!(apis(&weir)?, [] as [Value; 0]);
    let audit = weir.json(&["audit"])?;
    for what in ["maintenance_start", "maintenance_stop"] {
        let lines = audit.as_array().into_iter().flatten().filter(|line| line["what"] == what);
        assert_eq!(lines.count(), 2, "{what}: {audit}");
    }
    Ok(())
}
