//! Quotas of requests: counted by the sensor, over restarts, and held in the kernel.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::{Host, Lab};
use weir_tests::nginx::Nginx;
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::site::{self, PORT};

const SOON: Duration = Duration::from_secs(15);

fn policy(lab: &Lab, more: &str) -> Result<String> {
    Ok(site::orders(lab, more)?.replace("[\"clients\"]", "\"any\""))
}

/// So many requests on one connection.
fn ask(from: &Host, server: &Host, number: u32) -> Result<Vec<curl::Response>> {
    let url = site::url(server.v4().into(), PORT, &format!("/items/[1-{number}]"));
    curl::many(from, &["--max-time", site::PATIENCE, &url])
}

fn exceeded(weir: &Weir<'_>, name: &str) -> Result<Value> {
    wait::until(name, SOON, || {
        let events = weir.events()?;
        let told = site::named(&events, name);
        ensure!(told.len() == 1, "{events:?}\n{}", weir.log());
        Ok(told[0].clone())
    })
}

#[test]
fn who_uses_up_a_quota_is_banned_at_that_api_until_the_window_ends() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = Nginx::start(server, lab.directory(), &[("orders", PORT), ("other", 9000)])?;
    let more = "limit = { requests = \"40/day\" }\nlimit_for.vip = { requests = \"1000/day\" }";
    let vip = format!("[groups.vip]\ncidrs = [\"{}\"]\n", stranger.v4());
    // In dry run: a quota is the operator's rule, not an answer.
    let policy = policy(&lab, more)?.replace("mode = \"act\"", "mode = \"dry_run\"") + &vip;
    let mut weir = site::weir(&lab, &policy)?;
    assert!(ask(client, server, 30)?.iter().all(|answer| answer.status == 200));
    // What was counted is written every five seconds, and at the end.
    assert_eq!(weir.stop()?, 0);
    weir.start_again()?;
    ask(stranger, server, 80)?;

    let url = site::url(server.v4().into(), PORT, "/items/[1-3000]");
    let words = ["--fail-early", "--max-time", site::PATIENCE, &url];
    let start = Instant::now();
    let served = curl::many(client, &words)?;
    let told = exceeded(&weir, "quota_exceeded")?;
    let good: Vec<_> = served.iter().filter(|answer| answer.status == 200).collect();
    let spent: f64 = good.iter().map(|answer| answer.seconds).sum();
    println!(
        "{} requests were served beyond the quota, at {:.0} requests/s: {:.1} ms after it was used up \
         ({:.1} s in all)",
        good.len().saturating_sub(10),
        good.len() as f64 / spent.max(1e-9),
        good.iter().skip(10).map(|answer| answer.seconds).sum::<f64>() * 1e3,
        start.elapsed().as_secs_f64()
    );
    assert!((10..2_900).contains(&good.len()), "thirty were used before: {}", good.len());
    assert_eq!(told["source"]["ip"], client.v4().to_string());
    assert_eq!(
        (&told["action"]["kind"], &told["action"]["outcome"]),
        (&"quota".into(), &"done".into())
    );
    let bans = weir.json(&["ban", "list"])?;
    assert_eq!(bans.as_array().map(Vec::len), Some(1), "{bans}");
    assert_eq!((&bans[0]["api"], &bans[0]["automatic"]), (&"orders".into(), &true.into()));
    assert!(bans[0]["remaining_seconds"].as_u64().is_some_and(|left| left <= 86_400), "{bans}");
    assert_eq!(site::answered(client, server)?, [false, true], "IPv6 is another source");
    assert_eq!(site::ask(client, server.v4().into(), 9000)?.status, 200, "only at that API");
    assert!(site::answered(stranger, server)?[0], "another group has another quota");

    // One verb takes it back, and it stays free for this window.
    let actions = weir.json(&["actions", "list", "--all"])?;
    let id = actions[0]["id"].to_string();
    weir.verb(&["actions", "undo", &id])?.success()?;
    assert!(ask(client, server, 20)?.iter().all(|answer| answer.status == 200));
    Ok(())
}

#[test]
fn a_quota_only_counts_in_monitor_mode_and_behind_a_proxy() -> Result<()> {
    let lab = site::lab()?;
    let [server, proxy, client] = [lab.host("server")?, lab.host("stranger")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let upstream = format!("{}:{PORT}", server.v4());
    let _proxy = Nginx::proxy(proxy, lab.directory(), 8000, &upstream)?;
    let front = format!("[groups.front]\ncidrs = [\"{}\"]\n", proxy.v4());
    let more = "mode = \"monitor\"\nproxies = [\"front\"]\nlimit = { requests = \"40/day\" }";
    let weir = site::weir(&lab, &(policy(&lab, more)? + &front))?;
    assert!(ask(client, server, 60)?.iter().all(|answer| answer.status == 200));
    exceeded(&weir, "quota_exceeded")?;
    assert!(ask(client, server, 20)?.iter().all(|answer| answer.status == 200), "it passes");
    let would = [("api", "orders"), ("reason", "banned"), ("verdict", "would_drop")];
    assert!(weir.metrics()?.sum("weir_packets_total", &would) > 0.0);
    assert_eq!(weir.json(&["ban", "list"])?[0]["automatic"], true);

    // A client of the proxy, whose packets nobody can drop here.
    let through = site::url(proxy.v4().into(), 8000, "/items/[1-60]");
    let forwarded = ["--header", "X-Forwarded-For: 203.0.113.77", &through];
    curl::many(client, &forwarded)?;
    curl::many(client, &["--header", "Cookie: session=1", &through])?;
    let events = wait::until("the hand-off", SOON, || {
        let events = weir.events()?;
        ensure!(!site::named(&events, "hand_off").is_empty(), "{events:?}");
        Ok(events)
    })?;
    let told = site::named(&events, "hand_off");
    assert_eq!(told[0]["action"]["refusal"], "behind_proxy", "{told:?}");
    assert_eq!(told[0]["source"]["ip"], client.v4().to_string());
    Ok(())
}
