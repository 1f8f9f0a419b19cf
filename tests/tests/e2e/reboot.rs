//! A host that boots anew has lost all that is pinned: weir starts with what was confirmed last, and
//! bans and orders are in force before anything is gated.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::site;

const LIMIT: Duration = Duration::from_secs(20);

/// What a reboot leaves of weir in the kernel: nothing.
fn forget(weir: &mut Weir<'_>) -> Result<()> {
    weir.crash()?;
    std::fs::remove_dir_all(weir.pins()).context("cannot remove the pins")
}

/// Waits until the history has everything that was ordered: within a second or so.
fn until_kept(weir: &Weir<'_>, since: std::time::SystemTime) -> Result<()> {
    let path = weir.state().join("weir.db");
    wait::until("bans and orders in the history", LIMIT, || {
        let changed = std::fs::metadata(&path)?.modified()?;
        ensure!(changed > since, "{} has not changed", path.display());
        Ok(())
    })
}

#[test]
fn bans_orders_and_what_was_confirmed_survive_a_reboot() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let policy = site::orders(&lab, "")?;
    let mut weir = site::weir(&lab, &policy)?;
    let v4 = client.v4().to_string();
    let soon = ["ban", "add", "192.0.2.99", "--ttl", "1s"];
    let ban = ["ban", "add", &v4, "--ttl", "10m", "--reason", "guessed too much"];
    let narrow = ["ban", "add", "198.51.100.0/24", "--forever", "--api", "orders"];
    let mode = ["monitor", "on", "orders"];
    let order = ["breach", "lockdown", "orders", "--group", "clients", "--ttl", "10m"];
    for verb in [&soon[..], &ban, &narrow, &mode] {
        weir.verb(verb)?.success()?;
    }
    let since = std::time::SystemTime::now();
    weir.verb(&order)?.success()?;
    until_kept(&weir, since)?;
    let before = weir.json(&["ban", "list"])?;
    let orders = weir.json(&["breach", "status"])?;

    // Edited, never applied: not what the host boots with.
    site::write(&lab, "policy.toml", &policy.replace("[\"clients\"]", "\"any\""))?;
    forget(&mut weir)?;
    wait::until("nothing to be enforced", LIMIT, || {
        ensure!(site::answered(stranger, server)? == [true; 2], "something is");
        Ok(())
    })?;
    weir.start_again()?;
    assert_eq!(site::answered(client, server)?, [false, true], "banned by IPv4");
    let after = weir.json(&["ban", "list"])?;
    for prefix in [v4.as_str(), "198.51.100.0/24"] {
        let find = |bans: &serde_json::Value| {
            let bans = bans.as_array().cloned().unwrap_or_default();
            bans.into_iter().find(|ban| ban["prefix"] == prefix)
        };
        let (was, is) = (find(&before), find(&after));
        let (was, is) = (was.context("no ban before")?, is.context("the ban is gone")?);
        for field in ["api", "reason", "automatic"] {
            assert_eq!(is[field], was[field], "{prefix}: {field}");
        }
        let left = is["remaining_seconds"].as_u64();
        assert!(left <= was["remaining_seconds"].as_u64(), "{prefix}: {is}");
    }
    assert!(after.to_string().contains("guessed too much"), "{after}");
    assert!(!after.to_string().contains("192.0.2.99"), "it was over: {after}");
    let kinds = |orders: &serde_json::Value| {
        let text = orders.to_string();
        ["lockdown", "clients", "monitor"].map(|word| text.contains(word))
    };
    assert_eq!(kinds(&orders), [true; 3], "{orders}");
    let now = weir.json(&["breach", "status"])?;
    assert_eq!(kinds(&now), [true; 3], "{now}");
    let status = weir.status()?;
    assert!(status.to_string().contains("were put back"), "{status}");
    assert_eq!(status["policy"]["pending"], true, "the edit waits: {status}");

    // What was lifted stays lifted; a detach is no reboot.
    let since = std::time::SystemTime::now();
    weir.verb(&["ban", "del", &v4])?.success()?;
    until_kept(&weir, since)?;
    forget(&mut weir)?;
    weir.start_again()?;
    assert_eq!(site::answered(client, server)?, [true; 2], "not banned any more");
    weir.detach()?.success()?;
    assert_eq!(weir.ended()?, 0);
    weir.start_again()?;
    assert_eq!(weir.json(&["ban", "list"])?.as_array().map(Vec::len), Some(0));
    Ok(())
}
