//! What real receivers make of what they get: rsyslog with and without TLS, rotel, and files.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::rotel::{self, Rotel};
use weir_tests::rsyslog::{self, Rsyslog};
use weir_tests::wait;

use super::{SOON, ban, drained, guess, sink, started};
use crate::site;

/// The messages of an event, as rsyslog wrote them.
fn of(messages: &[Value], event: &str) -> Vec<Value> {
    messages.iter().filter(|message| message["event"] == event).cloned().collect()
}

#[test]
fn rsyslog_over_tcp_and_tls() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    rsyslog::certificates(lab.directory())?;
    let mut plain = Rsyslog::start(server, lab.directory(), 5_514, false)?;
    let encrypted = Rsyslog::start(server, lab.directory(), 6_514, true)?;
    let mut weir = started(
        &lab,
        "[[sink]]\nname = \"plain\"\nkind = \"syslog\"\nurl = \"tcp://127.0.0.1:5514\"\n\
         facility = \"local3\"\ntimeout = \"1s\"\n\
         [[sink]]\nname = \"tls\"\nkind = \"syslog\"\nurl = \"tls://127.0.0.1:6514\"\n\
         ca = \"ca.pem\"\nformat = \"ocsf\"\n\
         [[sink]]\nname = \"stranger\"\nkind = \"syslog\"\nurl = \"tls://127.0.0.1:6514\"\n",
    )?;
    let opened = guess(&lab, &weir)?;
    drained(&weir, "plain")?;
    drained(&weir, "tls")?;
    let id = opened["finding"]["id"].as_str().context("no id")?;
    let found = wait::until("it is written", SOON, || {
        of(&plain.messages()?, "finding_opened").pop().context("not yet")
    })?;
    assert_eq!((&found["app"], &found["priority"]), (&"weir".into(), &"156".into()), "{found}");
    assert_eq!(found["pid"], weir.pid().context("runs")?.to_string().as_str());
    let data = found["data"].as_str().context("no data")?;
    for part in [
        "[weir@32473 severity=\"warning\" api=\"orders\" owner=\"team-orders\"".to_owned(),
        format!("source=\"{}\"", client.v4()),
        format!("finding=\"{id}\" state=\"open\" detector=\"brute_force\"]"),
    ] {
        assert!(data.contains(&part), "{part}\n{data}");
    }
    let text: Value = serde_json::from_str(found["text"].as_str().context("no text")?.trim())?;
    assert_eq!(text, opened, "the message is the event");

    let found = wait::until("it is written over TLS", SOON, || {
        of(&encrypted.messages()?, "finding_opened").pop().context("not yet")
    })?;
    let text: Value = serde_json::from_str(found["text"].as_str().context("no text")?.trim())?;
    assert_eq!((&text["class_uid"], &text["finding_info"]["uid"]), (&2004.into(), &id.into()));
    let stranger = sink(&weir, "stranger")?;
    let error = stranger["last_error"].as_str().unwrap_or_default();
    assert!(error.contains("no TLS") && error.contains("UnknownIssuer"), "{stranger}");

    // The receiver is killed, and comes back; the daemon is killed meanwhile.
    plain.crash()?;
    ban(&weir, 0..5)?;
    wait::until("it fails", SOON, || {
        ensure!(sink(&weir, "plain")?["state"] == "failing");
        Ok(())
    })?;
    weir.crash()?;
    weir.start_again()?;
    plain.start_again(server)?;
    ban(&weir, 5..10)?;
    drained(&weir, "plain")?;
    let banned = wait::until("all are written", SOON, || {
        let messages = of(&plain.messages()?, "ban_added");
        ensure!(messages.len() >= 10, "{}", messages.len());
        Ok(messages)
    })?;
    assert_eq!(banned.len(), 10, "and none twice");
    Ok(())
}

#[test]
fn a_collector_of_opentelemetry() -> Result<()> {
    let lab = site::lab()?;
    let [server, client] = [lab.host("server")?, lab.host("client")?];
    let _nginx = site::nginx(&lab)?;
    let copy = lab.directory().join("copy/ocsf.jsonl");
    let weir = started(
        &lab,
        &format!(
            "[[sink]]\nname = \"otel\"\nkind = \"otlp\"\nurl = \"http://{}\"\n\
             [[sink]]\nname = \"copy\"\nkind = \"file\"\nformat = \"ocsf\"\npath = \"{}\"\n",
            rotel::LISTEN,
            copy.display()
        ),
    )?;
    ban(&weir, 0..3)?;
    let rotel = Rotel::start(server, lab.directory())?;
    let opened = guess(&lab, &weir)?;
    let sink = drained(&weir, "otel")?;
    let told = weir.events()?.len() as u64;
    ensure!(sink["delivered"].as_u64().is_some_and(|count| count <= told), "{sink}");
    let printed = rotel.printed()?;
    assert_eq!(printed.matches("EventName: ban_added").count(), 3, "{printed}");
    let record = printed
        .split("LogRecord #")
        .find(|record| record.contains("EventName: finding_opened"))
        .context("no finding")?;
    for part in [
        "SeverityNumber: SEVERITY_NUMBER_WARN(13)".to_owned(),
        format!("client.address: Str({})", client.v4()),
        "weir.api.owner: Str(team-orders)".to_owned(),
        "weir.finding.detector: Str(brute_force)".to_owned(),
        "weir.finding.window: Int(600)".to_owned(),
        "weir.finding.evidence_forgeable: Bool(false)".to_owned(),
    ] {
        assert!(record.contains(&part), "{part}\n{record}");
    }
    assert!(printed.contains("service.name: Str(weir)"), "{printed}");

    drained(&weir, "copy")?;
    let text = std::fs::read_to_string(&copy)?;
    let findings: Vec<Value> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("not JSON")?;
    let found = findings.iter().find(|f| f["finding_info"]["uid"] == opened["finding"]["id"]);
    let found = found.context("not in the copy")?;
    assert_eq!(found["type_uid"], 200_401);
    assert_eq!(found["evidences"][0]["src_endpoint"]["ip"], client.v4().to_string().as_str());

    // What can be asked without a daemon.
    let config = lab.directory().join("weir.toml").display().to_string();
    let mut doctor = server.netns.command(weir_tests::weir::binary()?);
    doctor.args(["doctor", "--json", "--config", &config]);
    let report = weir_tests::process::run(&mut doctor, SOON)?;
    let report: Value = serde_json::from_str(&report.stdout)?;
    let checks = report["checks"].as_array().context("no checks")?;
    let check = checks.iter().find(|check| check["name"] == "sink otel").context("no check")?;
    assert_eq!(
        (&check["state"], check["finding"].as_str()),
        (&"ok".into(), Some("http://127.0.0.1:4318 answers, without TLS"),)
    );
    Ok(())
}
