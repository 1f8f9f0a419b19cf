//! Detectors of sources, against real attacks: who is found, and who is named. What the daemon
//! recorded gives the same when it is replayed.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::curl;
use weir_tests::lab::{Host, Lab};
use weir_tests::process;
use weir_tests::wait;
use weir_tests::weir::{self, Weir};

use crate::site::{self, PORT};

const SOON: Duration = Duration::from_secs(20);

const POLICY: &str = "[[api]]\nname = \"orders\"\nlisten = [\"tcp/8080\"]\nallow = \"any\"\n\
                      login = { routes = [\"POST /login\"] }\n";

/// The findings of a detector that opened.
fn opened(events: &[Value], detector: &str) -> Vec<Value> {
    let opened = site::named(events, "finding_opened").into_iter();
    opened.filter(|event| event["finding"]["detector"] == detector).cloned().collect()
}

fn until_opened(weir: &Weir<'_>, detector: &str) -> Result<Value> {
    wait::until(detector, SOON, || {
        let events = weir.events()?;
        let found = opened(&events, detector);
        ensure!(found.len() == 1, "{events:#?}\n{}", weir.log());
        Ok(found[0].clone())
    })
}

/// Several users behind one address, of whom one asks for one object after another.
#[test]
fn the_user_who_enumerates_is_named() -> Result<()> {
    let lab = site::lab()?;
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, POLICY)?;
    let ask = |user: &str, items: &str| {
        let user = format!("Authorization: Bearer {user}");
        let url = site::url(server.v4().into(), PORT, items);
        curl::many(client, &["--header", &user, &url])
    };
    for user in ["ann", "bob", "cyd"] {
        ask(user, &format!("/items/{}", user.len() * 7))?;
    }
    for n in 0..10 {
        ask("ann", &format!("/items/{}", n * 37 % 100))?;
    }
    assert_eq!(ask("bob", "/items/[1000-1199]")?.len(), 200);
    let found = until_opened(&weir, "enumeration")?;
    assert_eq!(found["source"]["ip"], client.v4().to_string().as_str(), "{found}");
    assert_eq!(found["http"]["route"], "/items/{id}", "{found}");
    assert!(found["finding"]["credential"].is_string(), "bob, not the address: {found}");
    assert!(
        found["finding"]["observed"].as_f64().is_some_and(|objects| objects >= 50.0),
        "{found}"
    );
    assert_eq!(found["finding"]["evidence_forgeable"], false, "{found}");
    Ok(())
}

#[test]
fn who_asks_for_what_is_not_there_is_found() -> Result<()> {
    let lab = site::lab()?;
    let (server, client, scanner) =
        (lab.host("server")?, lab.host("client")?, lab.host("stranger")?);
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, POLICY)?;
    let url = |path: &str| site::url(server.v4().into(), PORT, path);
    curl::many(client, &[&url("/items/[1-30]")])?;
    curl::many(client, &[&url("/favicon.ico?n=[1-60]")])?;
    let answers = curl::many(scanner, &[&url("/backup-[1-50].zip")])?;
    assert!(answers.iter().all(|answer| answer.status == 404));
    let found = until_opened(&weir, "probing")?;
    assert_eq!(found["source"]["ip"], scanner.v4().to_string().as_str(), "{found}");
    Ok(())
}

/// Closed ports one after another, and connections that are held open, at the same time.
#[test]
fn port_scans_and_held_connections_are_found() -> Result<()> {
    let lab = site::lab()?;
    let (server, client, scanner) =
        (lab.host("server")?, lab.host("client")?, lab.host("stranger")?);
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, POLICY)?;
    let to = server.v4();
    scanner.netns.enter(|| {
        for port in 2000..2030 {
            let refused = TcpStream::connect((to, port)).is_err();
            ensure!(refused, "something listens at {port}");
        }
        Ok(())
    })?;
    let found = until_opened(&weir, "port_scan")?;
    assert_eq!(found["source"]["ip"], scanner.v4().to_string().as_str(), "{found}");
    assert_eq!(found["finding"]["evidence_forgeable"], true, "{found}");

    let held = client.netns.enter(|| {
        let open = |_| -> Result<TcpStream> {
            let mut stream = TcpStream::connect((to, PORT))?;
            stream.write_all(b"GET /items/1 HTTP/1.1\r\nHost: a\r\nX: ")?;
            Ok(stream)
        };
        (0..20).map(open).collect::<Result<Vec<_>>>()
    })?;
    wait::pause(Duration::from_secs(10))?;
    let found = until_opened(&weir, "slow_attack")?;
    assert_eq!(found["source"]["ip"], client.v4().to_string().as_str(), "{found}");
    assert_eq!(found["finding"]["evidence_forgeable"], false, "{found}");
    drop(held);
    Ok(())
}

/// What is refused is told of sparingly: a scan within a second must show all the same.
#[test]
fn a_fast_scan_of_refused_ports_is_found() -> Result<()> {
    let lab = site::lab()?;
    let (server, scanner) = (lab.host("server")?, lab.host("stranger")?);
    let _nginx = site::nginx(&lab)?;
    let weir = site::weir(&lab, &format!("[unclaimed]\naction = \"drop\"\n{POLICY}"))?;
    let to = server.v4();
    scanner.netns.enter(|| {
        for port in 2000..2030 {
            let short = Duration::from_millis(5);
            let refused = TcpStream::connect_timeout(&(to, port).into(), short).is_err();
            ensure!(refused, "something answers at {port}");
        }
        Ok(())
    })?;
    let found = until_opened(&weir, "port_scan")?;
    assert_eq!(found["source"]["ip"], scanner.v4().to_string().as_str(), "{found}");
    assert_eq!(found["finding"]["evidence_forgeable"], true, "{found}");
    let ports = found["finding"]["evidence"].as_array().cloned().unwrap_or_default();
    assert!(!ports.is_empty() && ports.iter().all(|one| one["port"].is_u64()), "{found}");
    Ok(())
}

/// One login from each of many addresses; and the recording of it.
#[test]
fn stuffing_is_found_live_and_in_the_recording() -> Result<()> {
    let lab = site::lab()?;
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let _nginx = site::nginx(&lab)?;
    let record = lab.directory().join("record.jsonl");
    let record = record.to_str().context("the laboratory's path is not text")?.to_owned();
    let policy =
        site::write(&lab, "policy.toml", &format!("[policy]\nname = \"lab\"\n\n{POLICY}"))?;
    let recorded = format!("--record={record}");
    let mut weir = Weir::start(&lab, server, &[&format!("--policy={policy}"), &recorded])?;
    stuff(client, server)?;
    let found = until_opened(&weir, "credential_stuffing")?;
    assert_eq!(found["api"]["name"], "orders", "{found}");
    assert!(found["finding"]["observed"].as_f64().is_some_and(|share| share > 0.9), "{found}");
    let events = weir.events()?;
    assert!(opened(&events, "brute_force").is_empty(), "none of them tried much: {events:?}");
    // A replay ends with the last line: without one nobody knows that time went on.
    curl::many(client, &[&site::url(server.v4().into(), PORT, "/items/1")])?;
    wait::pause(Duration::from_secs(1))?;
    weir.stop()?;

    let text = std::fs::read_to_string(&record)?;
    assert!(text.contains("\"route\":\"/login\""), "{text}");
    assert!(!text.contains("secret"), "the recording has the query: {text}");
    let again = replay(&lab, &record, &policy)?;
    let found = again.iter().filter(|line| line["type"] == "finding");
    let mut found = found.filter(|line| line["finding"]["detector"] == "credential_stuffing");
    assert!(found.any(|line| line["finding"]["state"] == "open"), "{again:#?}");
    let summary = again.last().context("no summary")?;
    assert_eq!((&summary["skipped"], &summary["unknown_api"]), (&0.into(), &0.into()), "{summary}");
    Ok(())
}

/// One wrong password from each of 60 addresses.
fn stuff(client: &Host, server: &Host) -> Result<()> {
    for n in 1..=60 {
        client.netns.ip(&format!("address add 192.0.2.{}/24 dev eth0", 100 + n))?;
    }
    for n in 1..=60 {
        let url = site::url(server.v4().into(), PORT, &format!("/login?token=secret{n}"));
        let source = format!("192.0.2.{}", 100 + n);
        let answer = curl::one(client, &["--interface", &source, "--data", "a=b", &url])?;
        assert_eq!(answer.status, 401);
    }
    Ok(())
}

fn replay(lab: &Lab, record: &str, policy: &str) -> Result<Vec<Value>> {
    let mut command = std::process::Command::new(weir::binary()?);
    command.args(["replay", record, "--policy", policy, "--json"]).current_dir(lab.directory());
    let output = process::run(&mut command, SOON)?.success()?;
    output.lines().map(|line| serde_json::from_str(line).context("no JSON")).collect()
}
