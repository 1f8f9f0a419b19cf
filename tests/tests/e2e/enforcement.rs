//! Somebody else changes weir's tables, as one could with bpftool: it is found, told, and gone when
//! they are as they were.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, HashMap, Map, MapData};
use aya::programs::loaded_programs;
use serde_json::Value;
use weir_tests::wait;
use weir_tests::weir::Weir;

use crate::site;

/// A look takes place every second.
const SOON: Duration = Duration::from_secs(20);

/// A map of the program that judges on the first interface, by its name.
fn map(weir: &Weir<'_>, name: &str) -> Result<MapData> {
    let status = weir.status()?;
    let id = status["interfaces"][0]["ingress_program"].as_u64().context("a program")?;
    let program = loaded_programs()
        .flatten()
        .find(|program| u64::from(program.id()) == id)
        .with_context(|| format!("no program {id}"))?;
    for id in program.map_ids()?.context("maps of the program")? {
        let data = MapData::from_id(id)?;
        if data.info()?.name_as_str() == Some(name) {
            return Ok(data);
        }
    }
    anyhow::bail!("the program has no map {name}")
}

/// Waits until so many findings are open, and the kernel has so many entries of a kind too few.
fn differs(weir: &Weir<'_>, kind: &str, open: f64, missing: f64) -> Result<()> {
    wait::until(&format!("{missing} {kind} to differ"), SOON, || {
        let metrics = weir.metrics()?;
        let of = |state| metrics.sum("weir_policy_entries", &[("kind", kind), ("state", state)]);
        let found = metrics.sum("weir_findings_open", &[("severity", "critical")]);
        ensure!(of("desired") - of("enforced") == missing, "{} {}", of("desired"), of("enforced"));
        ensure!(found == open, "{found} findings are open");
        Ok(())
    })
}

fn findings(weir: &Weir<'_>, name: &str) -> Result<Vec<Value>> {
    let events = weir.events()?;
    let ours = |event: &&&Value| event["finding"]["detector"] == "enforcement";
    Ok(site::named(&events, name).iter().filter(ours).map(|event| (*event).clone()).collect())
}

#[test]
fn a_changed_table_is_a_finding_until_it_is_put_right() -> Result<()> {
    let lab = site::lab()?;
    let [server, stranger] = [lab.host("server")?, lab.host("stranger")?];
    let weir = site::weir(&lab, &site::orders(&lab, "")?)?;
    let explain = || -> Result<String> {
        let (from, to) = (stranger.v4().to_string(), server.v4().to_string());
        let output = weir.verb(&["explain", &from, &to, "--dport", "8080", "--json"])?;
        let told: Value = serde_json::from_str(&output.stdout)?;
        Ok(told["reason"].as_str().unwrap_or_default().to_owned())
    };
    differs(&weir, "rules", 0.0, 0.0)?;
    assert_eq!(explain()?, "not_allowed");

    // The rule for sources in no group: pass.
    // Two classes of sources at one API, all in one value.
    let mut rules: Array<_, [u64; 2]> = Map::Array(map(&weir, ".bss.rules")?).try_into()?;
    let held = rules.get(&0, 0)?;
    rules.set(0, [2, held[1]], 0)?;
    assert_eq!(explain()?, "allowed", "what is told is what the kernel does");
    differs(&weir, "rules", 1.0, 1.0)?;
    rules.set(0, held, 0)?;
    differs(&weir, "rules", 0.0, 0.0)?;
    assert_eq!(explain()?, "not_allowed");

    let banned = stranger.v4().to_string();
    weir.verb(&["ban", "add", &banned, "--ttl", "1h"])?.success()?;
    let mut bans: HashMap<_, [u64; 3], [u64; 4]> = Map::HashMap(map(&weir, "BANS")?).try_into()?;
    let keys: Vec<_> = bans.keys().collect::<std::result::Result<_, _>>()?;
    assert_eq!(keys.len(), 1);
    bans.remove(&keys[0])?;
    differs(&weir, "bans", 1.0, 1.0)?;
    weir.verb(&["ban", "del", &banned])?.success()?;
    differs(&weir, "bans", 0.0, 0.0)?;

    let opened = findings(&weir, "finding_opened")?;
    let closed = findings(&weir, "finding_closed")?;
    assert_eq!((opened.len(), closed.len()), (2, 2), "{opened:?}");
    for (opened, closed) in opened.iter().zip(&closed) {
        assert_eq!(opened["severity"], "critical", "{opened}");
        assert_eq!(opened["finding"]["id"], closed["finding"]["id"]);
    }
    assert!(opened[0]["message"].to_string().contains("rules differ"), "{}", opened[0]);

    // A ninth length of networks finds no room, and is counted.
    for length in 9..17 {
        weir.verb(&["ban", "add", &format!("10.0.0.0/{length}"), "--ttl", "1h"])?.success()?;
    }
    assert_ne!(weir.verb(&["ban", "add", "10.0.0.0/17", "--ttl", "1h"])?.code, 0);
    let metrics = weir.metrics()?;
    assert_eq!(metrics.sum("weir_map_insert_failures_total", &[("map", "bans")]), 1.0);
    assert_eq!(metrics.sum("weir_map_entries", &[("map", "bans")]), 8.0);
    Ok(())
}
