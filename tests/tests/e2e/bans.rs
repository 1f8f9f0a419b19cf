//! A banned source gets nothing, for as long as it was said: with the daemon, across a restart, and
//! without a daemon at all.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use weir_tests::lab::Host;
use weir_tests::reading::Reading;
use weir_tests::wait;

use crate::site::{self, PORT};

/// Waits until a source is answered again, and says how long that took.
fn back(from: &Host, server: &Host, since: Instant) -> Result<f64> {
    wait::until("the source is back", Duration::from_secs(10), || {
        ensure!(site::answered(from, server)? == [true; 2], "it is not answered");
        Ok(())
    })?;
    Ok(since.elapsed().as_secs_f64())
}

fn ban(weir: &weir_tests::weir::Weir<'_>, host: &Host, ttl: &str) -> Result<()> {
    for address in host.addresses() {
        weir.verb(&["ban", "add", &address.to_string(), "--ttl", ttl])?.success()?;
    }
    Ok(())
}

#[test]
fn a_ban_ends_by_itself() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    assert_eq!(site::answered(client, server)?, [true; 2]);
    let start = Instant::now();
    ban(&weir, client, "3s")?;
    assert_eq!(site::answered(client, server)?, [false; 2]);
    assert_eq!(site::ask(client, server.v4().into(), 9090)?.result, 28, "on the whole host");
    let listed = weir.json(&["ban", "list"])?;
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    assert_eq!((&listed[0]["automatic"], &listed[0]["api"]), (&false.into(), &().into()));
    let gone = back(client, server, start)?;
    assert!((3.0..4.5).contains(&gone), "gone for {gone:.2} s");

    let reading = Reading::at_rest(&weir)?;
    assert!(reading.kernel("orders", "banned") >= 2);
    assert_eq!(reading.kernel("__unclaimed__", "banned"), 1);
    let events = wait::until("the events", Duration::from_secs(5), || {
        let events = weir.events()?;
        ensure!(site::named(&events, "ban_expired").len() == 2, "{events:?}");
        Ok(events)
    })?;
    let added = site::named(&events, "ban_added");
    assert_eq!((added.len(), &added[0]["action"]["by"]), (2, &"operator".into()));
    assert_eq!(weir.json(&["ban", "list"])?, serde_json::json!([]));
    // The verb tells what the file has.
    let told = weir.verb(&["events", "--json"])?.success()?;
    let told: Vec<serde_json::Value> =
        told.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(told, weir.events()?);
    Ok(())
}

#[test]
fn a_ban_survives_a_restart_and_ends_without_a_daemon() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let mut weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    ban(&weir, client, "5m")?;
    assert_eq!(weir.stop()?, 0);
    assert_eq!(site::answered(client, server)?, [false; 2], "stopped");
    weir.start_again()?;
    assert_eq!(site::answered(client, server)?, [false; 2], "started");
    let listed = weir.json(&["ban", "list"])?;
    let left = listed[0]["remaining_seconds"].as_u64();
    assert!(left.is_some_and(|left| (280..=300).contains(&left)), "{listed}");

    let start = Instant::now();
    ban(&weir, client, "2s")?;
    weir.crash()?;
    assert_eq!(site::answered(client, server)?, [false; 2], "crashed");
    let gone = back(client, server, start)?;
    assert!((2.0..3.5).contains(&gone), "gone for {gone:.2} s");
    Ok(())
}

#[test]
fn bans_of_networks_of_one_api_and_those_that_are_lifted() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let own = format!("{}/64", site::network(client));
    // A prefix, whether it is narrowed to the API, and what the client is answered meanwhile.
    let rows = [
        ("192.0.2.0/28", true, [false, true]),
        ("192.0.2.2", true, [false, true]),
        ("192.0.2.128/25", false, [true, true]),
        (own.as_str(), true, [true, false]),
        ("2001:db8:0:2::/63", false, [true, false]),
        ("2001:db8::/32", true, [true, false]),
        ("2001:db8:1::/48", true, [true, true]),
    ];
    for (prefix, narrowed, expected) in rows {
        let narrow: &[&str] = if narrowed { &["--api", "orders"] } else { &[] };
        weir.verb(&[&["ban", "add", prefix, "--forever"], narrow].concat())?.success()?;
        assert_eq!(site::answered(client, server)?, expected, "{prefix}");
        if narrowed {
            assert_eq!(site::ask(client, server.v4().into(), 9090)?.result, 7, "elsewhere refused");
        }
        weir.verb(&[&["ban", "del", prefix], narrow].concat())?.success()?;
        assert_eq!(site::answered(client, server)?, [true; 2], "{prefix} is lifted");
    }
    Ok(())
}

#[test]
fn what_cannot_be_banned() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let trust = format!("[trusted]\ncidrs = [\"{}\"]\nports = [\"tcp/{PORT}\"]\n\n", client.v4());
    let weir = site::weir(&lab, &(trust + &site::orders(&lab, "")?))?;
    // Arguments, exit code, a word of the answer.
    let stranger = stranger.v4().to_string();
    let rows: [(&[&str], i32, &str); 5] = [
        (&["ban", "add", "192.0.2.300", "--ttl", "1m"], 2, "192.0.2.300"),
        (&["ban", "add", "192.0.2.1/24", "--ttl", "1m"], 2, "192.0.2.0/24"),
        (&["ban", "add", &stranger], 2, "--ttl"),
        (&["ban", "add", &stranger, "--ttl", "1m", "--api", "order"], 1, "orders"),
        (&["ban", "del", &stranger], 1, "not banned"),
    ];
    for (arguments, code, word) in rows {
        let output = weir.verb(arguments)?.expect_code(code)?;
        assert!(output.stderr.contains(word), "{arguments:?}: {}", output.stderr);
    }
    let address = client.v4().to_string();
    let _any = weir.verb(&["ban", "add", &address, "--ttl", "1m"])?;
    assert!(site::answered(client, server)?[0], "a trusted source passes whatever is banned");
    Ok(())
}
