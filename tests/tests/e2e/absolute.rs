//! Limits that an operator sets for what an API does.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::weir::{Plan, Weir};

use crate::site::{self, PORT};

/// Two windows of a minute, and what starting takes.
const SOON: Duration = Duration::from_secs(170);

/// One request in five fails, from two minutes on somebody is told; what is within its limit is not.
#[test]
fn a_share_of_failures_and_a_rate_beyond_their_limits_are_told() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let more = "alert = { error_ratio = \"5%\", latency_p99 = \"50s\", \
                requests_per_second = { min = 900, max = 5000 } }";
    let policy = site::write(&lab, "policy.toml", &site::orders(&lab, more)?)?;
    let plan = Plan { arguments: &["--policy", &policy], ..Plan::default() };
    let weir = Weir::launch(&lab, server, &plan)?;
    let begun = Instant::now();
    let good = site::url(server.v4().into(), PORT, "/items/[1-80]");
    let bad = site::url(server.v4().into(), PORT, "/error?n=[1-20]");
    let found = loop {
        for url in [&good, &bad] {
            curl::many(client, &["--max-time", "5", url])?;
        }
        let list = weir.json(&["findings", "--all"])?;
        let found: Vec<Value> = list
            .as_array()
            .into_iter()
            .flatten()
            .filter(|found| found["detector"] == "absolute_limit")
            .cloned()
            .collect();
        if found.len() >= 2 {
            break found;
        }
        if begun.elapsed() > SOON {
            bail!("{list}\n{}", weir.log());
        }
        std::thread::sleep(Duration::from_secs(2));
    };
    assert!(begun.elapsed() >= Duration::from_secs(119), "two windows");
    let of = |unit: &str| found.iter().find(|found| found["unit"] == unit);
    let (errors, rate) = (of("share of requests that fail"), of("requests a second"));
    let [Some(errors), Some(rate)] = [errors, rate] else { bail!("{found:?}") };
    let number = |found: &Value, key: &str| found[key].as_f64().unwrap_or(-1.0);
    assert!((number(errors, "observed") - 0.2).abs() < 0.02, "{errors}");
    assert_eq!((number(errors, "threshold"), number(rate, "threshold")), (0.05, 900.0));
    assert!((5.0..900.0).contains(&number(rate, "observed")), "{rate}");
    assert_eq!((&errors["state"], &errors["api"]), (&"open".into(), &"orders".into()));
    let why = errors["why"].as_str().unwrap_or_default();
    assert!(why.contains("the policy wants 5.0 % at most"), "{why}");
    Ok(())
}
