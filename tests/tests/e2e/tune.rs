//! `weir tune`: limits from traffic of known rates, put into a policy that keeps its comments, and held
//! against the same traffic.

use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::{Host, Lab};
use weir_tests::process;
use weir_tests::reading::Reading;
use weir_tests::wait;

use crate::site::{self, PORT};

/// Addresses of the client, and what each asks in a minute.
const SOURCES: [(&str, u32); 4] =
    [("192.0.2.21", 60), ("192.0.2.22", 31), ("192.0.2.23", 20), ("192.0.2.24", 9)];
/// Requests that belong together end well before this second of a minute.
const LATEST: u64 = 45;

/// Waits until a minute has room for what follows.
fn in_one_minute() -> Result<()> {
    let second = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() % 60;
    if second >= LATEST {
        wait::pause(Duration::from_secs(61 - second))?;
    }
    Ok(())
}

/// What every source asks for, each in one go.
fn ask(client: &Host, server: &Host) -> Result<()> {
    for (source, requests) in SOURCES {
        let url = site::url(server.v4().into(), PORT, &format!("/items/[1-{requests}]"));
        let answers = curl::many(client, &["--interface", source, &url])?;
        ensure!(answers.iter().all(|answer| answer.status == 200), "{source} got no answer");
    }
    Ok(())
}

#[test]
fn limits_come_from_what_was_seen() -> Result<()> {
    let lab = Lab::new(&[("server", 1), ("client", 2)])?;
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let _nginx = site::nginx(&lab)?;
    for (source, _) in SOURCES {
        client.netns.ip(&format!("address add {source}/24 dev eth0"))?;
    }
    let text = format!(
        "# The first line\n[policy]\nname = \"lab\"\n\n[[api]]   # of the shop\nname = \"orders\"\n\
         listen = [\"tcp/{PORT}\"] # nginx\nallow = \"any\"\n# not yet: limit = {{ packets = \"1/s\" }}\n\n\
         [[api]]\nname = \"quiet\"\nlisten = [\"tcp/9\"]\nallow = \"any\"\n"
    );
    let weir = site::weir(&lab, &text)?;
    let file = lab.directory().join("policy.toml");
    let none = weir.verb(&["tune"])?.expect_code(1)?;
    for part in
        ["orders: no proposal: too little was seen: 0 kept requests", "nothing can be proposed"]
    {
        ensure!(none.stderr.contains(part), "{part} is not said\n{}", none.stderr);
    }
    assert_eq!(none.stdout, "");

    in_one_minute()?;
    let before = Reading::at_rest(&weir)?.kernel("orders", "allowed");
    ask(client, server)?;
    let packets = Reading::at_rest(&weir)?.kernel("orders", "allowed") - before;

    let told = weir.json(&["tune"])?;
    let api = |name: &str| -> Result<Value> {
        let apis = told["apis"].as_array().context("no APIs")?;
        apis.iter().find(|api| api["api"] == name).cloned().context("no such API")
    };
    assert!(api("quiet")?["refused"].as_str().is_some_and(|why| why.contains("too little")));
    let orders = api("orders")?;
    let rests = orders["rests_on"].as_str().unwrap_or_default();
    ensure!(rests.starts_with("120 kept requests, of 4 sources"), "{rests}");
    let proposed = |key: &str| {
        let limits = orders["limits"].as_array().map_or(&[][..], Vec::as_slice);
        let limit = limits.iter().find(|limit| limit["key"] == key);
        limit.and_then(|limit| limit["proposed"].as_str()).map(str::to_owned).context("no proposal")
    };
    // Twice what the busiest of four did, which is 192.0.2.21.
    assert_eq!(proposed("requests")?, "120/min");
    let rate: u64 = proposed("packets")?.trim_end_matches("/s").parse()?;
    // Half of all requests are of that source: so are half of the packets, give or take a connection.
    let sent = packets / 2;
    ensure!(rate >= sent, "{rate} packets a second are proposed to who sent {sent} in one go");
    ensure!(rate <= 60 * 7 * 2 + 20, "{rate}: seven packets a request at most, twice");

    // The diff is one that patch(1) takes, and what it makes is what --write writes.
    let printed = weir.verb(&["tune"])?.expect_code(0)?;
    assert_eq!(Some(printed.stdout.as_str()), told["diff"].as_str());
    let [patch, copy] = ["tune.patch", "copy.toml"].map(|name| lab.directory().join(name));
    std::fs::write(&patch, &printed.stdout)?;
    std::fs::copy(&file, &copy)?;
    let mut command = Command::new("patch");
    command.arg(&copy).arg(&patch);
    process::run(&mut command, Duration::from_secs(10))?.success()?;
    assert_eq!(std::fs::read_to_string(&file)?, text, "only --write changes it");
    weir.verb(&["tune", "--write"])?.success()?;
    let after = std::fs::read_to_string(&file)?;
    assert_eq!(after, std::fs::read_to_string(&copy)?);
    let line = format!("limit = {{ requests = \"120/min\", packets = \"{rate}/s\" }}\n");
    assert_eq!(after.replace(&line, ""), text, "all else stays");
    let name = file.display().to_string();
    weir.verb(&["check", &name])?.success()?;
    weir.verb(&["apply", &name])?.success()?;

    // The same traffic fits into it, and there is nothing more to propose.
    in_one_minute()?;
    ask(client, server)?;
    let reading = Reading::at_rest(&weir)?;
    assert_eq!(reading.dropped("orders"), 0);
    assert_eq!(weir.json(&["ban", "list"])?.as_array().map(Vec::len), Some(0));
    let again = weir.json(&["tune"])?;
    assert_eq!((&again["diff"], &again["written"]), (&"".into(), &false.into()));
    Ok(())
}
