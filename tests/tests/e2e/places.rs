//! Where sources are: databases that are there, change, go away and come back under a daemon.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::{Host, Lab};
use weir_tests::mmdb::{self, Place};
use weir_tests::wait;
use weir_tests::weir::{Plan, Weir};

use crate::site::{self, PORT};

/// Files are looked at every ten seconds.
const SOON: Duration = Duration::from_secs(20);
const POLICY: &str = "[[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = \"any\"\n";

/// Puts a database in place of the one that is there: the client is in `country`.
fn put(lab: &Lab, country: &str) -> Result<PathBuf> {
    let place = |name: &str, country, asn| -> Result<Place<'_>> {
        Ok(Place { network: (lab.host(name)?.v4(), 32), country, asn })
    };
    let places = [place("client", country, 64_496)?, place("stranger", "FR", 64_497)?];
    let [new, path] = ["new", "where.mmdb"].map(|name| lab.directory().join(name));
    let what = || format!("cannot write {}", path.display());
    std::fs::write(&new, mmdb::database("Test-Country-ASN", &places)).with_context(what)?;
    std::fs::rename(&new, &path).with_context(what)?;
    Ok(path)
}

fn ask(lab: &Lab, from: &Host, requests: u32) -> Result<()> {
    let url = site::url(lab.host("server")?.v4().into(), PORT, &format!("/?n=[1-{requests}]"));
    curl::many(from, &[&url]).map(drop)
}

/// Waits until so many requests were counted for a country.
fn counted(weir: &Weir<'_>, country: &str, requests: u32) -> Result<()> {
    wait::until("requests are counted by country", SOON, || {
        let labels = [("api", "orders"), ("country", country)];
        let seen = weir.metrics()?.sum("weir_requests_by_country_total", &labels);
        ensure!(seen == f64::from(requests), "{seen} of {country}");
        Ok(())
    })
}

/// Waits until both databases are in a state, and returns what `weir status` says of them.
fn state(weir: &Weir<'_>, wanted: &str) -> Result<Value> {
    wait::until("the state of the databases", SOON, || {
        let geo = weir.status()?["geo"].clone();
        for database in ["country", "asn"] {
            ensure!(geo[database]["state"] == wanted, "{geo}");
        }
        Ok(geo)
    })
}

#[test]
fn sources_have_a_place_while_there_is_a_database() -> Result<()> {
    let lab = site::lab()?;
    let [server, client, stranger] =
        [lab.host("server")?, lab.host("client")?, lab.host("stranger")?];
    let _nginx = site::nginx(&lab)?;
    let path = put(&lab, "DE")?;
    let settings =
        site::write(&lab, "weir.toml", "[geo]\ncountry = \"where.mmdb\"\nasn = \"where.mmdb\"\n")?;
    let policy = site::write(&lab, "policy.toml", POLICY)?;
    let arguments = ["--config", &settings, "--policy", &policy];
    let plan = Plan { arguments: &arguments, ..Plan::default() };
    let mut weir = Weir::launch(&lab, server, &plan)?;

    let loaded = state(&weir, "loaded")?;
    assert_eq!(loaded["country"]["kind"], "Test-Country-ASN", "{loaded}");
    ask(&lab, client, 3)?;
    ask(&lab, stranger, 2)?;
    counted(&weir, "DE", 3)?;
    counted(&weir, "FR", 2)?;
    // IPv6 is not in it.
    curl::one(client, &[&site::url(server.v6().into(), PORT, "/")])?;
    counted(&weir, "ZZ", 1)?;
    let top = weir.json(&["top"])?;
    let sources = top["sources"].as_array().context("no sources")?;
    let of = |host: &Host| sources.iter().find(|s| s["source"] == host.v4().to_string().as_str());
    for (host, country, asn) in [(client, "DE", 64_496), (stranger, "FR", 64_497)] {
        let source = of(host).with_context(|| format!("{top}"))?;
        assert_eq!((&source["country"], &source["asn"]), (&country.into(), &asn.into()), "{top}");
    }
    // A finding names the place of its source.
    let missing = site::url(server.v4().into(), PORT, "/backup-[1-50].zip");
    curl::many(stranger, &[&missing])?;
    let opened = wait::until("a finding", SOON, || {
        let events = weir.events()?;
        let probing = site::named(&events, "finding_opened")
            .into_iter()
            .find(|event| event["finding"]["detector"] == "probing");
        probing.cloned().context("no finding")
    })?;
    let source = &opened["source"];
    assert_eq!((&source["country"], &source["asn"]), (&"FR".into(), &64_497.into()), "{opened}");

    // Another file is another answer; a broken one is none.
    put(&lab, "AT")?;
    wait::until("the new database is asked", SOON, || {
        ask(&lab, client, 1)?;
        let labels = [("country", "AT")];
        ensure!(weir.metrics()?.sum("weir_requests_by_country_total", &labels) > 0.0, "none yet");
        Ok(())
    })?;
    std::fs::write(&path, b"no database").context("cannot write")?;
    let kept = state(&weir, "kept")?;
    let problem = kept["country"]["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("what was read before stays"), "{kept}");

    // One that is gone leaves what was read, until the daemon starts without it.
    std::fs::remove_file(&path).context("cannot remove")?;
    wait::until("the database is gone", SOON, || {
        let problem = weir.status()?["geo"]["asn"]["problem"].clone();
        ensure!(problem.as_str().is_some_and(|told| told.contains("no such file")), "{problem}");
        Ok(())
    })?;
    weir.stop()?;
    weir.start_again()?;
    state(&weir, "absent")?;
    ask(&lab, client, 3)?;
    wait::until("requests are counted", SOON, || {
        let apis = weir.json(&["apis"])?;
        ensure!(apis[0]["requests"].as_u64() > Some(50), "{apis}");
        let by_country = weir.metrics()?.sum("weir_requests_by_country_total", &[]);
        ensure!(by_country == 0.0, "{by_country} without a database");
        Ok(())
    })?;
    let top = weir.json(&["top"])?;
    assert_eq!(
        (&top["sources"][0]["country"], &top["sources"][0]["asn"]),
        (&Value::Null, &Value::Null)
    );
    put(&lab, "DE")?;
    state(&weir, "loaded")?;
    ask(&lab, client, 4)?;
    counted(&weir, "DE", 4)?;
    Ok(())
}
